/*
 * tokenizer_block.h
 *	  The inside of a compiled tokenizer; seen by tokenizer.c, tokenize.c and token_*.c.
 *
 * A block is a header and, each at a multiple of 8 bytes, its sections. All places
 * are offsets from the block's start, so it can be mapped anywhere. It is made and
 * read on one machine: numbers are in its byte order.
 *
 *		header | index | pages | sequences | nodes | added | piece_ids | ...
 *
 * The trie holds three sets of strings, told apart by a first byte that occurs in no
 * UTF-8: the vocabulary, the added tokens looked for in the raw text, and those
 * looked for in the normalized text.
 */
#ifndef BERT_TOKENIZER_BLOCK_H
#define BERT_TOKENIZER_BLOCK_H

#include "tokenizer.h"
#include "trie.h"
#include "unicode.h"

#define BERT_TOKENIZER_MAGIC   0x4B4F5442 /* "BTOK" */
#define BERT_TOKENIZER_VERSION 2          /* change it with anything below */

#define BERT_TAG_VOCAB      0xFF
#define BERT_TAG_RAW        0xFE
#define BERT_TAG_NORMALIZED 0xFD

/* Bounds of a scan's buffers, far above what any real model has. */
#define BERT_MAX_WORD_CHARS  65535
#define BERT_MAX_PIECE_BYTES (BERT_TRIE_MAX_KEY - 1)

typedef struct BertSection
{
	uint64 offset;
	uint64 count; /* of elements */
} BertSection;

/* Flags are uint8, not bool: a damaged bool would be undefined behaviour. */
typedef struct BertAddedEntry
{
	int32 id;
	uint8 single_word;
	uint8 lstrip;
	uint8 rstrip;
	uint8 special;
} BertAddedEntry;

typedef struct BertTokenizerBlock
{
	uint32 magic;
	uint32 version;
	uint64 nbytes; /* of the whole block */
	int32 n_ids;   /* every id is less */
	int32 unk_id;
	int32 cls_id;
	int32 sep_id;
	int32 max_chars_per_word;
	int32 longest_normalized; /* of the normalized added tokens, in characters */
	uint8 any_lstrip;         /* among the raw added tokens */
	uint8 split_special;      /* these as in BertTokenizerSpec */
	uint8 decoder_cleanup;
	uint8 clean_up_spaces;
	uint8 decoder_prefix_nbytes;
	uint8 decoder_prefix[BERT_MAX_DECODER_PREFIX];

	/* Nodes to start from; BERT_TRIE_ROOT where there is nothing to find. */
	uint32 vocab_root;
	uint32 continuing_root; /* after the prefix "##" */
	uint32 raw_root;
	uint32 normalized_root;

	BertSection index;
	BertSection pages;
	BertSection sequences;
	BertSection nodes;
	BertSection added;
	BertSection piece_ids;     /* int32, ascending */
	BertSection piece_offsets; /* uint32, one more than ids, into piece_bytes */
	BertSection piece_bytes;
	BertSection piece_special; /* uint8, one for each id: a special token? */

	/* Whether a raw added token can begin with this byte. */
	uint8 starts_added[256];

	/*
	 * The fast path: for an ASCII byte that is part of a word and nothing else, what
	 * it is normalized to; 0 for all other bytes.
	 */
	uint8 plain[256];
} BertTokenizerBlock;

struct BertTokenizer
{
	const BertTokenizerBlock *block;
	BertCharmap map;
	const BertTrieNode *nodes;
	uint32 n_nodes;
	const BertAddedEntry *added;
	int32 n_added;
	const int32 *piece_ids;
	const uint32 *piece_offsets;
	const uint8 *piece_bytes;
	const uint8 *piece_special;
	int32 n_pieces;
	uint32 n_piece_bytes;
};

/* ERROR XX001. */
extern void bert_tokenizer_damaged(void);

/*
 * The normalized form of a text, as UTF-8, palloc'd. Only the map of the tokenizer is
 * used.
 */
extern uint8 *bert_normalize(const BertCharmap *map, const char *text, size_t nbytes,
							 size_t *normalized_nbytes);

#endif /* BERT_TOKENIZER_BLOCK_H */
