/*
 * batch.c
 *	  Many sequences -> runs of tokens without padding. See batch.h.
 */
#include "port.h"
#include "batch.h"
#include "encoder.h"

/*
 * Counting sort by length, longest first: linear, stable, and no comparator that a
 * column of equal lengths could make quadratic.
 */
int *
bert_batch_order(const BertSequence *sequences, int n)
{
	int32 longest = 0;
	int *order = palloc(Max(n, 1) * sizeof(int));
	int *next;

	for (int i = 0; i < n; i++)
		longest = Max(longest, sequences[i].n_tokens);
	next = palloc0((longest + 2) * sizeof(int));
	for (int i = 0; i < n; i++)
		next[longest - sequences[i].n_tokens + 1]++;
	for (int32 i = 1; i <= longest; i++)
		next[i] += next[i - 1];
	for (int i = 0; i < n; i++)
		order[next[longest - sequences[i].n_tokens]++] = i;
	pfree(next);
	return order;
}

/* How many of order[0 .. n) fit; sets the batch's counts. */
static void
take_sequences(BertBatch *batch, const BertSequence *sequences, const int *order, int n,
			   int batch_tokens)
{
	for (int i = 0; i < n; i++)
	{
		int64 n_tokens = sequences[order[i]].n_tokens;

		if (i > 0 && batch->n_tokens + n_tokens > batch_tokens)
			break;
		batch->n_sequences++;
		batch->n_tokens += n_tokens;
		batch->n_blocks += (n_tokens + BERT_QUERY_BLOCK - 1) / BERT_QUERY_BLOCK;
		batch->attention_pairs += n_tokens * n_tokens;
	}
}

static int32 *
add_blocks(int32 *block, int32 first_row, int32 n_tokens)
{
	for (int32 q = 0; q < n_tokens; q += BERT_QUERY_BLOCK)
	{
		*block++ = first_row + q;
		*block++ = Min(BERT_QUERY_BLOCK, n_tokens - q);
		*block++ = first_row;
		*block++ = n_tokens;
	}
	return block;
}

static int32 *
add_tokens(int32 *token, const BertSequence *sequence)
{
	for (int32 p = 0; p < sequence->n_tokens; p++)
	{
		*token++ = sequence->ids[p];
		*token++ = p >= sequence->first_size;
		*token++ = p;
	}
	return token;
}

void
bert_batch_next(BertBatch *batch, const BertSequence *sequences, const int *order,
				int n, int batch_tokens)
{
	int32 first_row = 0;
	int32 *token;
	int32 *block;

	memset(batch, 0, sizeof(*batch));
	take_sequences(batch, sequences, order, n, batch_tokens);
	batch->order = order;
	batch->tokens = token = palloc((size_t) batch->n_tokens * 3 * sizeof(int32));
	batch->sequences = palloc((size_t) batch->n_sequences * 3 * sizeof(int32));
	batch->blocks = block = palloc((size_t) batch->n_blocks * 4 * sizeof(int32));
	for (int i = 0; i < batch->n_sequences; i++)
	{
		const BertSequence *sequence = &sequences[order[i]];

		batch->sequences[3 * i] = first_row;
		batch->sequences[3 * i + 1] = sequence->n_tokens;
		batch->sequences[3 * i + 2] = sequence->pool_from;
		token = add_tokens(token, sequence);
		block = add_blocks(block, first_row, sequence->n_tokens);
		first_row += sequence->n_tokens;
	}
}

void
bert_batch_free(BertBatch *batch)
{
	pfree(batch->tokens);
	pfree(batch->sequences);
	pfree(batch->blocks);
}
