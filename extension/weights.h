/*
 * weights.h
 *	  Where each tensor of a model lies in a pack.
 *
 * The kernels want linear layers in panels of BERT_PANEL output columns (the layout is
 * drawn in kernels/cpu/linear.cl), Q, K and V as one layer of 3 * hidden outputs, and
 * everything that is read in whole vectors padded with zeros. The layout follows from
 * the config alone, so a pack needs no directory of tensors.
 */
#ifndef BERT_WEIGHTS_H
#define BERT_WEIGHTS_H

#include "model.h"

#define BERT_PANEL        48  /* kernels are built with -D PANEL */
#define BERT_WEIGHT_ALIGN 128 /* bytes; OpenCL's strictest alignment */

/* Columns of an activation with that many features: whole panels. */
#define BERT_PADDED(size) (((size) + BERT_PANEL - 1) / BERT_PANEL * BERT_PANEL)

/* y = x W^T + b. Offsets are bytes from the start of the weights. */
typedef struct BertLinear
{
	int32 in_size;
	int32 out_size;
	size_t weight; /* (panels, in_size, BERT_PANEL) float32 */
	size_t bias;   /* (padded out_size) */
} BertLinear;

typedef struct BertNorm
{
	size_t weight; /* (padded hidden_size) */
	size_t bias;
} BertNorm;

typedef struct BertLayer
{
	BertLinear qkv;
	BertLinear attention_output;
	BertNorm attention_norm;
	BertLinear intermediate;
	BertLinear output;
	BertNorm output_norm;
} BertLayer;

typedef struct BertWeightsLayout
{
	size_t word_embeddings;     /* (vocab_size, hidden_size) */
	size_t position_embeddings; /* (max_positions, hidden_size) */
	size_t type_embeddings;     /* (type_vocab_size, hidden_size) */
	BertNorm embeddings_norm;
	BertLinear pooler; /* where config.has_pooler */
	size_t nbytes;     /* of all */
	int32 num_layers;
	BertLayer layers[FLEXIBLE_ARRAY_MEMBER];
} BertWeightsLayout;

/* palloc'd. */
extern BertWeightsLayout *bert_weights_layout(const BertConfig *config);

/* A tensor by its offset. */
static inline const float *
bert_weights_at(const void *weights, size_t offset)
{
	return (const float *) ((const char *) weights + offset);
}

#endif /* BERT_WEIGHTS_H */
