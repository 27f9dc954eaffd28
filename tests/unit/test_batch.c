/*
 * test_batch.c
 *	  Sequences become batches: each one once, whole, in the right order.
 */
#include "port.h"

#include "batch.h"
#include "encoder.h"
#include "tap.h"

#define MAX_LENGTH 70

static const int32 ids[MAX_LENGTH] = {101, 7, 8, 9, 102};

static BertSequence
sequence_of(int32 n_tokens)
{
	return (BertSequence){ids, n_tokens, n_tokens / 2, n_tokens / 3};
}

static BertSequence *
sequences_of(const int32 *lengths, int n)
{
	BertSequence *sequences = palloc(n * sizeof(BertSequence));

	for (int i = 0; i < n; i++)
		sequences[i] = sequence_of(lengths[i]);
	return sequences;
}

/* ---- order ---- */

static bool
ordered_as(const int32 *lengths, int n, const int *expected)
{
	BertSequence *sequences = sequences_of(lengths, n);
	int *order = bert_batch_order(sequences, n);
	bool right = memcmp(order, expected, n * sizeof(int)) == 0;

	pfree(order);
	pfree(sequences);
	return right;
}

static void
test_order(void)
{
	ok(ordered_as((int32[]){3, 9, 1, 9, 3}, 5, (int[]){1, 3, 0, 4, 2}),
	   "the longest come first, equal ones in their order");
	ok(ordered_as((int32[]){5, 5, 5}, 3, (int[]){0, 1, 2}), "equal lengths stay");
	ok(ordered_as((int32[]){512}, 1, (int[]){0}), "one sequence");
	pfree(bert_batch_order(NULL, 0));
	ok(true, "no sequence at all");
}

/* ---- cutting ---- */

/* How many sequences the first batch takes of these, already in order. */
static int
first_batch(const int32 *lengths, int n, int batch_tokens)
{
	BertSequence *sequences = sequences_of(lengths, n);
	int *order = bert_batch_order(sequences, n);
	BertBatch batch;
	int taken;

	bert_batch_next(&batch, sequences, order, n, batch_tokens);
	taken = batch.n_sequences;
	bert_batch_free(&batch);
	pfree(order);
	pfree(sequences);
	return taken;
}

static void
test_cutting(void)
{
	ok(first_batch((int32[]){40, 30, 30}, 3, 100) == 3,
	   "a batch is filled to the brim");
	ok(first_batch((int32[]){40, 30, 30}, 3, 99) == 2, "and not beyond");
	ok(first_batch((int32[]){70, 1}, 2, 64) == 1,
	   "a sequence longer than a batch is a batch of its own");
	ok(first_batch((int32[]){3, 2, 1}, 3, 1) == 1, "a batch has one sequence at least");
	ok(first_batch((int32[]){70, 70}, 2, INT_MAX) == 2, "the largest limit there is");
}

/* ---- what the kernels read ---- */

/* The tokens of one sequence, from token on. */
static bool
tokens_right(const int32 *token, const BertSequence *sequence)
{
	for (int32 p = 0; p < sequence->n_tokens; p++, token += 3)
		if (token[0] != sequence->ids[p] || token[1] != (p >= sequence->first_size) ||
			token[2] != p)
			return false;
	return true;
}

/* The next blocks cover one sequence's rows, 16 by 16; *block moves behind them. */
static bool
blocks_right(const int32 **block, int32 first_row, int32 n_tokens)
{
	for (int32 row = 0; row < n_tokens; row += BERT_QUERY_BLOCK, *block += 4)
		if ((*block)[0] != first_row + row ||
			(*block)[1] != Min(BERT_QUERY_BLOCK, n_tokens - row) ||
			(*block)[2] != first_row || (*block)[3] != n_tokens)
			return false;
	return true;
}

/* One batch is whole in itself; marks its sequences in seen. */
static bool
batch_right(const BertBatch *batch, const BertSequence *sequences, int *seen)
{
	const int32 *block = batch->blocks;
	int64 pairs = 0;
	int32 row = 0;

	for (int i = 0; i < batch->n_sequences; i++)
	{
		const BertSequence *sequence = &sequences[batch->order[i]];

		seen[batch->order[i]]++;
		if (batch->sequences[3 * i] != row ||
			batch->sequences[3 * i + 1] != sequence->n_tokens ||
			batch->sequences[3 * i + 2] != sequence->pool_from ||
			!tokens_right(batch->tokens + 3 * row, sequence) ||
			!blocks_right(&block, row, sequence->n_tokens))
			return false;
		row += sequence->n_tokens;
		pairs += (int64) sequence->n_tokens * sequence->n_tokens;
	}
	return row == batch->n_tokens && block == batch->blocks + 4 * batch->n_blocks &&
		   pairs == batch->attention_pairs;
}

static bool
all_batches_right(const BertSequence *sequences, int n, int batch_tokens)
{
	int *order = bert_batch_order(sequences, n);
	int *seen = palloc0(n * sizeof(int));
	bool right = true;
	BertBatch batch;

	for (int done = 0; done < n; done += batch.n_sequences)
	{
		bert_batch_next(&batch, sequences, order + done, n - done, batch_tokens);
		right = right && batch_right(&batch, sequences, seen) &&
				(batch.n_tokens <= batch_tokens || batch.n_sequences == 1);
		bert_batch_free(&batch);
	}
	for (int i = 0; i < n; i++)
		right = right && seen[i] == 1;
	pfree(order);
	pfree(seen);
	return right;
}

static void
test_contents(void)
{
	static const int limits[] = {1, 16, 64, 100, 2048};
	BertSequence sequences[500];
	uint32 state = 1;

	for (int i = 0; i < (int) lengthof(sequences); i++)
	{
		state = state * 1664525 + 1013904223;
		sequences[i] = sequence_of(1 + (state >> 16) % MAX_LENGTH);
	}
	for (int i = 0; i < (int) lengthof(limits); i++)
		ok(all_batches_right(sequences, lengthof(sequences), limits[i]),
		   "every sequence is once in a batch of at most %d tokens, and all is there",
		   limits[i]);
}

int
main(void)
{
	test_order();
	test_cutting();
	test_contents();
	return done_testing();
}
