/*
 * tokenizer.h
 *	  BERT WordPiece, exactly as Hugging Face's fast tokenizer does it.
 *
 * A tokenizer is compiled once per model, from its vocabulary and options, into one
 * position-independent block of bytes (bert_tokenizer_compile). The block lives in the
 * model's pack and is shared by all backends; bert_tokenizer_attach() only checks it
 * and keeps pointers into it.
 *
 * All text is UTF-8 and must be valid (the SQL layer sees to it). Offsets count
 * characters of that text, from 0, stop exclusive, as Hugging Face has them.
 */
#ifndef BERT_TOKENIZER_H
#define BERT_TOKENIZER_H

#include "port.h"

/* One piece of the vocabulary, "##" included. */
typedef struct BertVocabPiece
{
	const char *bytes; /* UTF-8, not terminated */
	int32 nbytes;
	int32 id;
} BertVocabPiece;

/* An entry of added_tokens: found in the text before anything else. */
typedef struct BertAddedToken
{
	BertVocabPiece piece;
	bool single_word;
	bool lstrip;
	bool rstrip;
	bool normalized;
	bool special;
} BertAddedToken;

/* What the model's files say about its tokenizer, resolved and checked. */
typedef struct BertTokenizerSpec
{
	/* BertNormalizer */
	bool clean_text;
	bool handle_chinese_chars;
	bool strip_accents; /* null in the files: the value of lowercase */
	bool lowercase;
	/* WordPiece */
	int32 max_chars_per_word; /* max_input_chars_per_word, 100 */
	const char *prefix;       /* continuing_subword_prefix, "##" */
	int32 unk_id;
	/* template: [CLS] A [SEP], [CLS] A [SEP] B [SEP] */
	int32 cls_id;
	int32 sep_id;
	const BertVocabPiece *vocab;
	int32 n_vocab;
	const BertAddedToken *added;
	int32 n_added;
} BertTokenizerSpec;

/*
 * Compile to a palloc'd block of *nbytes bytes. Raises an ERROR (F0000) where the
 * spec cannot be: an id out of [0, INT_MAX), an empty vocabulary, a piece too long, an
 * added token that normalization deletes. A piece given twice: the later id wins.
 */
extern void *bert_tokenizer_compile(const BertTokenizerSpec *spec, size_t *nbytes);

/* Pointers into a compiled block. Plain data; nothing to free. */
typedef struct BertTokenizer BertTokenizer;

/*
 * Attach to a block that outlives the result (palloc'd). The block is checked (magic,
 * version, every offset inside), so that a damaged one is an ERROR (XX001), no crash.
 */
extern BertTokenizer *bert_tokenizer_attach(const void *block, size_t nbytes);

/*
 * Receives the tokens of a text in order, special tokens of the template not included.
 * Returns false to stop.
 */
typedef bool (*BertTokenSink)(void *arg, int32 id, int64 start, int64 stop);

/*
 * Tokenize a text of any size in linear time and constant memory, with
 * CHECK_FOR_INTERRUPTS() at least every 64 KB.
 *
 * With complete = false the text is only the beginning of a longer one: nothing is
 * emitted that the rest could change, so the caller can come again with more.
 * Returns false when the sink stopped it.
 */
extern bool bert_tokenize(const BertTokenizer *tokenizer, const char *text,
						  size_t nbytes, bool complete, BertTokenSink sink, void *arg);

/* The ids that the encoder gets for one text, or for a pair. */
typedef struct BertTokens
{
	int32 *ids;       /* (n_tokens), palloc'd with room for max_tokens */
	int32 n_tokens;   /* with the special tokens; <= max_tokens */
	int32 first_size; /* ids[first_size ..] have type 1; = n_tokens without a pair */
	bool truncated;
} BertTokens;

/*
 * [CLS] text [SEP], the text's tokens cut on the right to max_tokens - 2. Tokenizing
 * stops once the cut is known. False (complete = false only): more text is needed.
 */
extern bool bert_tokens_single(const BertTokenizer *tokenizer, int32 max_tokens,
							   const char *text, size_t nbytes, bool complete,
							   BertTokens *tokens);

/*
 * [CLS] a [SEP] b [SEP], cut longest_first as the fast tokenizer does. Reads all of a,
 * and b as far as it matters; keeps no more ids than stay.
 */
extern void bert_tokens_pair(const BertTokenizer *tokenizer, int32 max_tokens,
							 const char *a, size_t a_nbytes, const char *b,
							 size_t b_nbytes, BertTokens *tokens);

/* The vocabulary's text of an id, not terminated; NULL for an id that has none. */
extern const char *bert_token_text(const BertTokenizer *tokenizer, int32 id,
								   int32 *nbytes);

extern int32 bert_tokenizer_cls(const BertTokenizer *tokenizer);
extern int32 bert_tokenizer_sep(const BertTokenizer *tokenizer);

/* Every id that can come out is less: to be compared with the model's vocab_size. */
extern int32 bert_tokenizer_n_ids(const BertTokenizer *tokenizer);

#endif /* BERT_TOKENIZER_H */
