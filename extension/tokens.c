/*
 * tokens.c
 *	  The ids that an encoder gets: special tokens put around a text's own, and these
 *	  cut to the length that the model allows.
 *
 * Only the ids that stay are kept, so a text may be of any size. Follows
 * utils/truncation.rs of huggingface/tokenizers 0.23.3.
 */
#include "port.h"

#include "tokenizer.h"

/* The first ids of a text, and how many there were. */
typedef struct Collected
{
	int32 *ids;
	int64 room;
	int64 n;    /* may be more than room */
	int64 stop; /* enough is known when there are so many */
} Collected;

static bool
collect(void *arg, int32 id, int64 start pg_attribute_unused(),
		int64 stop pg_attribute_unused())
{
	Collected *collected = arg;

	if (collected->n < collected->room)
		collected->ids[collected->n] = id;
	return ++collected->n < collected->stop;
}

bool
bert_tokens_single(const BertTokenizer *tokenizer, int32 max_tokens, const char *text,
				   size_t nbytes, bool complete, bool split_special, BertTokens *tokens)
{
	const int32 room = max_tokens - 2;
	Collected collected = {.room = room, .stop = (int64) room + 1};
	bool finished;

	if (room < 0)
		elog(ERROR, "no room for special tokens in %d", max_tokens);
	tokens->ids = palloc(max_tokens * sizeof(int32));
	collected.ids = tokens->ids + 1;

	/* One token too many shows that the text is cut. */
	finished = bert_tokenize(tokenizer, text, nbytes, complete, split_special, collect,
							 &collected);
	if (finished && !complete)
	{
		pfree(tokens->ids);
		return false;
	}
	tokens->truncated = collected.n > room;
	tokens->n_tokens = Min(collected.n, room) + 2;
	tokens->first_size = tokens->n_tokens;
	tokens->ids[0] = bert_tokenizer_cls(tokenizer);
	tokens->ids[tokens->n_tokens - 1] = bert_tokenizer_sep(tokenizer);
	return true;
}

/*
 * truncate_encodings() with longest_first: cut the two sizes to room in all. If both
 * must be cut, the odd token goes to the longer one, on ties to the second.
 */
static void
cut_pair(int64 *first, int64 *second, int64 room)
{
	int64 *shorter = *first > *second ? second : first;
	int64 *longer = *first > *second ? first : second;

	if (*first + *second <= room)
		return;
	*longer = *shorter > room ? *shorter : Max(*shorter, room - *shorter);
	if (*shorter + *longer > room)
	{
		*shorter = room / 2;
		*longer = room / 2 + room % 2;
	}
}

/*
 * Which side is the longer one decides about the odd token, so the first is counted to
 * its end, and the second until it is longer than both the first and the room: how
 * much longer makes no difference.
 */
void
bert_tokens_pair(const BertTokenizer *tokenizer, int32 max_tokens, const char *a,
				 size_t a_nbytes, const char *b, size_t b_nbytes, bool split_special,
				 BertTokens *tokens)
{
	const int64 room = (int64) max_tokens - 3;
	Collected first = {.room = room, .stop = PG_INT64_MAX};
	Collected second = {.room = room};
	int64 first_n;
	int64 second_n;

	if (room < 0)
		elog(ERROR, "no room for special tokens in %d", max_tokens);
	tokens->ids = palloc(max_tokens * sizeof(int32));
	first.ids = tokens->ids + 1;
	second.ids = palloc(max_tokens * sizeof(int32));
	bert_tokenize(tokenizer, a, a_nbytes, true, split_special, collect, &first);
	second.stop = Max(first.n, room) + 1;
	bert_tokenize(tokenizer, b, b_nbytes, true, split_special, collect, &second);

	first_n = first.n;
	second_n = second.n;
	cut_pair(&first_n, &second_n, room);
	tokens->truncated = first_n < first.n || second_n < second.n;
	tokens->first_size = first_n + 2;
	tokens->n_tokens = first_n + second_n + 3;
	memcpy(tokens->ids + tokens->first_size, second.ids, second_n * sizeof(int32));
	tokens->ids[0] = bert_tokenizer_cls(tokenizer);
	tokens->ids[tokens->first_size - 1] = bert_tokenizer_sep(tokenizer);
	tokens->ids[tokens->n_tokens - 1] = bert_tokenizer_sep(tokenizer);
	pfree(second.ids);
}
