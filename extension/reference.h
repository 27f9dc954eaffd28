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
								  float *hidden);

/* result: as bert_encode() gives it for one sequence. */
extern void bert_reference_encode(const BertConfig *config, const BertRecipe *recipe,
								  const void *weights, const BertSequence *sequence,
								  BertOutput output, float *result);

/* The parts, for the tests of single kernels. */
extern double bert_reference_activation(BertActivation activation, double x);
extern void bert_reference_pool(const float *hidden, int32 n_tokens, int32 hidden_size,
								int32 modes, bool normalize, float *result);

#endif /* BERT_REFERENCE_H */
