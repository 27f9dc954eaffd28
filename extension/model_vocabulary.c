/*
 * model_vocabulary.c
 *	  Pieces and added tokens while a model's files are read: see model_vocabulary.h.
 *
 * A hash table has every text once, since a vocabulary of 250,000 pieces may come with
 * thousands of added tokens.
 */
#include "port.h"

#include "common/hashfn.h"
#include "model_vocabulary.h"

/* What a text is. */
typedef struct Entry
{
	const char *bytes; /* NUL-terminated */
	int32 piece_id;    /* -1: no piece */
	int32 added;       /* place in BertVocabulary.added, or -1 */
	bool was_special;  /* as an added token */
	char status;
} Entry;

static inline uint32
hash_text(const char *bytes)
{
	return hash_bytes((const unsigned char *) bytes, strlen(bytes));
}

#ifdef FRONTEND /* what simplehash.h calls there */
#define pg_fatal(...)    elog(ERROR, __VA_ARGS__)
#define pg_log_info(...) elog(LOG, __VA_ARGS__)
#endif

#define SH_PREFIX          vocabulary
#define SH_ELEMENT_TYPE    Entry
#define SH_KEY_TYPE        const char *
#define SH_KEY             bytes
#define SH_HASH_KEY(tb, k) hash_text(k)
#define SH_EQUAL(tb, a, b) (strcmp(a, b) == 0)
#define SH_SCOPE           static inline
#define SH_RAW_ALLOCATOR   palloc0
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

void
bert_vocabulary_init(BertVocabulary *vocabulary)
{
	*vocabulary = (BertVocabulary){.max_pieces = 32768, .max_added = 16};
	vocabulary->pieces = palloc(vocabulary->max_pieces * sizeof(BertVocabPiece));
	vocabulary->added = palloc(vocabulary->max_added * sizeof(BertAddedToken));
	vocabulary->names = vocabulary_create(32768, NULL);
}

static Entry *
insert_entry(BertVocabulary *vocabulary, const char *bytes)
{
	bool found;
	Entry *entry = vocabulary_insert(vocabulary->names, bytes, &found);

	if (!found)
	{
		entry->piece_id = -1;
		entry->added = -1;
		entry->was_special = false;
	}
	return entry;
}

void
bert_vocabulary_add_piece(BertVocabulary *vocabulary, const char *bytes, int32 id)
{
	if (vocabulary->n_pieces == vocabulary->max_pieces)
	{
		vocabulary->max_pieces *= 2;
		vocabulary->pieces = repalloc(vocabulary->pieces,
									  vocabulary->max_pieces * sizeof(BertVocabPiece));
	}
	vocabulary->pieces[vocabulary->n_pieces++] =
		(BertVocabPiece){.bytes = bytes, .nbytes = strlen(bytes), .id = id};
	vocabulary->max_piece_id = Max(vocabulary->max_piece_id, id);
	insert_entry(vocabulary, bytes)->piece_id = id;
}

int32
bert_vocabulary_piece_id(const BertVocabulary *vocabulary, const char *bytes)
{
	const Entry *entry = vocabulary_lookup(vocabulary->names, bytes);

	return entry != NULL ? entry->piece_id : -1;
}

int32
bert_vocabulary_token_id(const BertVocabulary *vocabulary, const char *bytes)
{
	const Entry *entry = vocabulary_lookup(vocabulary->names, bytes);

	if (entry == NULL)
		return -1;
	return entry->added >= 0 ? vocabulary->added[entry->added].piece.id
							 : entry->piece_id;
}

int32
bert_vocabulary_find_added(const BertVocabulary *vocabulary, const char *bytes)
{
	const Entry *entry = vocabulary_lookup(vocabulary->names, bytes);

	return entry != NULL ? entry->added : -1;
}

void
bert_vocabulary_begin_added(BertVocabulary *vocabulary)
{
	vocabulary->n_texts = vocabulary->names->members;
	vocabulary->next_id = vocabulary->n_texts;
}

int32
bert_vocabulary_next_id(const BertVocabulary *vocabulary, const char *bytes)
{
	int32 id = bert_vocabulary_token_id(vocabulary, bytes);

	return id >= 0 ? id : vocabulary->next_id;
}

/* The place where an added token of that id is; -1: none. */
static int32
find_same_id(const BertVocabulary *vocabulary, int32 id)
{
	if (vocabulary->max_piece_id < vocabulary->n_texts)
		return -1; /* all ids differ */
	for (int32 i = 0; i < vocabulary->n_added; i++)
		if (vocabulary->added[i].piece.id == id)
			return i;
	return -1;
}

/* A place among the added tokens for one of that id. */
static int32
place_of(BertVocabulary *vocabulary, int32 id)
{
	int32 place = find_same_id(vocabulary, id);

	if (place >= 0)
		return place;
	if (vocabulary->n_added == vocabulary->max_added)
	{
		vocabulary->max_added *= 2;
		vocabulary->added =
			repalloc(vocabulary->added, vocabulary->max_added * sizeof(BertAddedToken));
	}
	return vocabulary->n_added++;
}

void
bert_vocabulary_add_token(BertVocabulary *vocabulary, const BertAddedToken *token)
{
	int32 id = bert_vocabulary_next_id(vocabulary, token->piece.bytes);
	Entry *entry = insert_entry(vocabulary, token->piece.bytes);

	if (entry->added < 0 && entry->piece_id < 0)
		vocabulary->next_id++;
	if (entry->added < 0)
		entry->added = place_of(vocabulary, id);
	entry->was_special |= token->special;
	vocabulary->added[entry->added] = *token;
	vocabulary->added[entry->added].piece.id = id;
	vocabulary->added[entry->added].special = entry->was_special;
}
