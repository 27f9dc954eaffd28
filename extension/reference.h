/*
 * reference.h
 *	  The forward pass in plain C: the oracle of the kernels.
 *
 * Written to be read beside Hugging Face's modeling_bert.py, not to be fast: one
 * sequence at a time, sums in double, libm's functions. bert_selftest() and the kernel
 * tests compare every device with it.
 */
#ifndef BERT_REFERENCE_H
#define BERT_REFERENCE_H

#include "encoder.h"

/*
 * hidden: (n_tokens, hidden_size), the state after `layers` layers (0: embeddings).
 * Interruptible.
 */
extern void bert_reference_hidden(const BertConfig *config, const void *weights,
								  const BertSequence *sequence, int32 layers,
								  bool positions, float *hidden);

/* result: as bert_encode() gives it for one sequence. */
extern void bert_reference_encode(const BertConfig *config, const BertRecipe *recipe,
								  const void *weights, const BertSequence *sequence,
								  BertOutput output, bool positions, float *result);

/* attention: (n_tokens, n_tokens), as bert_encode_attention() gives it. */
extern void bert_reference_attention(const BertConfig *config, const void *weights,
									 const BertSequence *sequence, int32 layer,
									 int32 head, bool positions, float *attention);

/*
 * The parts, for the tests of single kernels, and for those who want to look inside.
 * parameters: (BERT_ACT_PARAMETERS), of the activations that have them.
 */
extern double bert_reference_activation(BertActivation activation,
										const float *parameters, double x);
extern void bert_reference_pool(const float *hidden, int32 n_tokens, int32 hidden_size,
								uint32 modes, int32 pool_from, float *result);

/*
 * weight (n) = softmax over keys of one query and head; qkv (n, 3 hidden_size), distances
 * as in weights.h, or NULL where the scores know no positions.
 */
extern void bert_reference_attention_row(const BertConfig *config,
										 const float *distances, const float *qkv,
										 int32 n, int32 head, int32 query,
										 double *weight);

#endif /* BERT_REFERENCE_H */
