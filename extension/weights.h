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

/*
 * Distances of a layer's relative positions, one column for each: distance_embedding,
 * transposed and padded, so that 16 queries that follow each other read 16 columns that
 * do, also those past the last query.
 */
#define BERT_DISTANCES_LD(max_positions) TYPEALIGN(16, 2 * (max_positions) -1 + 16)

/* Floats of a layer's distances. */
static inline size_t
bert_distances_size(const BertConfig *config)
{
	return (size_t) config->head_size * BERT_DISTANCES_LD(config->max_positions);
}

typedef struct BertLayer
{
	BertLinear qkv;
	size_t distances; /* (head_size, BERT_DISTANCES_LD); relative positions only */
	BertLinear attention_output;
	BertNorm attention_norm;
	BertLinear intermediate;
	size_t activation; /* (BERT_ACT_PARAMETERS) of hidden_act */
	BertLinear output;
	BertNorm output_norm;
} BertLayer;

/* Of a module of the recipe: what its kind has. */
typedef struct BertModuleWeights
{
	BertLinear linear;
	BertLinear residual; /* out_size 0: the input itself */
	BertNorm norm;
} BertModuleWeights;

typedef struct BertWeightsLayout
{
	size_t word_embeddings;     /* (vocab_size, hidden_size) */
	size_t position_embeddings; /* (max_positions, hidden_size); absolute only */
	size_t type_embeddings;     /* (type_vocab_size, hidden_size) */
	BertNorm embeddings_norm;
	BertLinear pooler; /* where config.has_pooler */
	BertModuleWeights modules[BERT_MAX_MODULES];
	size_t nbytes; /* of all */
	int32 num_layers;
	BertLayer layers[FLEXIBLE_ARRAY_MEMBER];
} BertWeightsLayout;

/* palloc'd. */
extern BertWeightsLayout *bert_weights_layout(const BertConfig *config,
											  const BertRecipe *recipe);

/* A tensor by its offset. */
static inline const float *
bert_weights_at(const void *weights, size_t offset)
{
	return (const float *) ((const char *) weights + offset);
}

#endif /* BERT_WEIGHTS_H */
