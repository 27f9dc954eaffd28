/*
 * model.h
 *	  What a BERT model is, once its files have been read and found good: sizes,
 *	  and the recipe that turns hidden states into one sentence vector.
 *
 * Both structs are plain data of fixed size: they are stored in the pack as they
 * are, so a change of either asks for a new BERT_PACK_VERSION (pack.h).
 */
#ifndef BERT_MODEL_H
#define BERT_MODEL_H

#include "port.h"

/* A model name, also a directory name: [A-Za-z0-9][A-Za-z0-9._-]{0,62} */
#define BERT_MODEL_NAME_LEN 64

typedef enum BertActivation
{
	BERT_ACT_GELU,       /* x * (1 + erf(x / sqrt(2))) / 2 */
	BERT_ACT_GELU_TANH,  /* gelu_new, gelu_pytorch_tanh */
	BERT_ACT_GELU_FAST,  /* the same with the constant 0.7978845608 */
	BERT_ACT_QUICK_GELU, /* x * sigmoid(1.702 x) */
	BERT_ACT_RELU,
	BERT_ACT_SILU,
	BERT_ACT_TANH
} BertActivation;

/* config.json, checked. Names as Hugging Face's BertConfig. */
typedef struct BertConfig
{
	int32 vocab_size;
	int32 hidden_size; /* = num_heads * head_size */
	int32 num_layers;
	int32 num_heads;
	int32 head_size;
	int32 intermediate_size;
	int32 max_positions; /* max_position_embeddings */
	int32 type_vocab_size;
	int32 hidden_act; /* BertActivation */
	float layer_norm_eps;
	int32 has_pooler; /* pooler.dense is among the weights */
} BertConfig;

/* Several may be set; their vectors are joined in this order. */
typedef enum BertPooling
{
	BERT_POOL_CLS = 1 << 0,
	BERT_POOL_MAX = 1 << 1,
	BERT_POOL_MEAN = 1 << 2,
	BERT_POOL_MEAN_SQRT = 1 << 3,
	BERT_POOL_WEIGHTED_MEAN = 1 << 4,
	BERT_POOL_LAST = 1 << 5
} BertPooling;

#define BERT_POOL_MODES 6
#define BERT_MAX_PROMPT 1024

/* The sentence-transformers modules after the encoder (bert_embed's recipe). */
typedef struct BertRecipe
{
	int32 max_tokens; /* with [CLS] and [SEP]; <= max_positions */
	int32 pooling;    /* set of BertPooling */
	int32 normalize;  /* divide by max(L2 norm, 1e-12) */
	int32 prompt_nbytes;
	char prompt[BERT_MAX_PROMPT]; /* default prompt, UTF-8, put before the text */
} BertRecipe;

#endif /* BERT_MODEL_H */
