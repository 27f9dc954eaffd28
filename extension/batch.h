/*
 * batch.h
 *	  Many sequences -> runs of tokens without padding.
 *
 * Sequences are ordered longest first, which puts equal lengths side by side and the
 * long attention blocks first, and cut into batches of at most batch_tokens tokens (a
 * longer sequence is a batch of its own). A batch is what the kernels read:
 *
 *	tokens     id, type, position of each token     sequence after sequence
 *	sequences  first row, number of rows, pool_from  for pooling
 *	blocks     first query, queries, first row, length: up to 16 queries of one sequence
 */
#ifndef BERT_BATCH_H
#define BERT_BATCH_H

#include "port.h"

#define BERT_QUERY_BLOCK 16 /* lanes of the attention kernels */

struct BertSequence;

typedef struct BertBatch
{
	int n_sequences;
	int32 n_tokens;
	int32 n_blocks;
	int64 attention_pairs; /* sum of n_tokens squared, for the price of attention */
	const int *order;      /* (n_sequences) index of each in the caller's array */
	int32 *tokens;         /* (n_tokens, 3) */
	int32 *sequences;      /* (n_sequences, 3) */
	int32 *blocks;         /* (n_blocks, 4) */
} BertBatch;

/* palloc'd: the indexes of the sequences, longest first, equal ones in their order. */
extern int *bert_batch_order(const struct BertSequence *sequences, int n);

/*
 * The next batch: as many sequences of order[0 .. n) as fit. palloc'd arrays, freed by
 * bert_batch_free(). At least one sequence.
 */
extern void bert_batch_next(BertBatch *batch, const struct BertSequence *sequences,
							const int *order, int n, int batch_tokens);
extern void bert_batch_free(BertBatch *batch);

#endif /* BERT_BATCH_H */
