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

#define BERT_MAX_DECODER_PREFIX 32

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
	bool split_special; /* split_special_tokens: what callers do that don't say */
	/* back to a text: the decoder, and clean_up_tokenization_spaces */
	const char *decoder_prefix; /* at most BERT_MAX_DECODER_PREFIX bytes; "##" */
	bool decoder_cleanup;
	bool clean_up_spaces;
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
 *
 * With split_special an added token that is special, "[SEP]" in a user's text, is text
 * like any other (encode_special_tokens in huggingface/tokenizers).
 */
extern bool bert_tokenize(const BertTokenizer *tokenizer, const char *text,
						  size_t nbytes, bool complete, bool split_special,
						  BertTokenSink sink, void *arg);

/*
 * The same, a word at a time: what BertPreTokenizer calls a word, or an added token.
 * Returns false to stop.
 */
typedef bool (*BertWordSink)(void *arg, int32 n_tokens, int64 start, int64 stop);

extern bool bert_tokenize_words(const BertTokenizer *tokenizer, const char *text,
								size_t nbytes, bool split_special, BertWordSink sink,
								void *arg);

/* A part of a text, given as a text of its own. */
typedef struct BertChunk
{
	int64 start; /* in characters of the text, stop exclusive */
	int64 stop;
	int32 n_tokens; /* with [CLS] and [SEP] */
} BertChunk;

typedef void (*BertChunkSink)(void *arg, const BertChunk *chunk);

/*
 * Cut a text into chunks of at most max_tokens tokens, neighbours sharing at most
 * overlap tokens; token_chunk.c says where. Each character is in a chunk, and a chunk
 * tokenized alone has n_tokens. Time is linear in what comes out, but that a word with
 * too many tokens for a chunk is read again for each of its chunks (it has no more than
 * max_chars_per_word characters, or it is [UNK]); memory is a chunk's list of words.
 * overlap < max_tokens - 2. ERROR 22023 where that is not so, or a character alone has
 * more tokens.
 */
extern void bert_chunk(const BertTokenizer *tokenizer, const char *text, size_t nbytes,
					   int32 max_tokens, int32 overlap, bool split_special,
					   BertChunkSink sink, void *arg);

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
							   bool split_special, BertTokens *tokens);

/*
 * [CLS] a [SEP] b [SEP], cut longest_first as the fast tokenizer does. Reads all of a,
 * and b as far as it matters; keeps no more ids than stay.
 */
extern void bert_tokens_pair(const BertTokenizer *tokenizer, int32 max_tokens,
							 const char *a, size_t a_nbytes, const char *b,
							 size_t b_nbytes, bool split_special, BertTokens *tokens);

/*
 * The text of an id, not terminated; NULL for an id that has none. Of an added token
 * that is looked for in the normalized text: its normalized form, as id_to_token() has
 * it.
 */
extern const char *bert_token_text(const BertTokenizer *tokenizer, int32 id,
								   int32 *nbytes);

/* Is the text of an id that of a special token? */
extern bool bert_token_is_special(const BertTokenizer *tokenizer, int32 id);

/*
 * The text that these ids stand for, palloc'd, NUL-terminated, as tokenizer.decode():
 * ids that have no text are left out, with skip_special also special tokens. With
 * clean_up_spaces transformers' clean_up_tokenization() follows.
 */
extern char *bert_decode(const BertTokenizer *tokenizer, const int32 *ids, int64 n_ids,
						 bool skip_special, bool clean_up_spaces, size_t *nbytes);

extern int32 bert_tokenizer_cls(const BertTokenizer *tokenizer);
extern int32 bert_tokenizer_sep(const BertTokenizer *tokenizer);

/* What the model's files ask for where a call doesn't say. */
extern bool bert_tokenizer_split_special(const BertTokenizer *tokenizer);
extern bool bert_tokenizer_clean_up_spaces(const BertTokenizer *tokenizer);

/* Every id that can come out is less: to be compared with the model's vocab_size. */
extern int32 bert_tokenizer_n_ids(const BertTokenizer *tokenizer);

#endif /* BERT_TOKENIZER_H */
