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

/*
 * What transformers' ACT2FN calls hidden_act, and what torch.nn calls the activation of a
 * Dense module. The numbers are those of kernels/common.cl.
 */
typedef enum BertActivation
{
	BERT_ACT_GELU,         /* x * (1 + erf(x / sqrt(2))) / 2 */
	BERT_ACT_GELU_TANH,    /* gelu_new, gelu_pytorch_tanh, gelu_accurate */
	BERT_ACT_GELU_FAST,    /* the same with the constant 0.7978845608 */
	BERT_ACT_QUICK_GELU,   /* x * sigmoid(1.702 x) */
	BERT_ACT_RELU,         /* max(x, 0) */
	BERT_ACT_SILU,         /* silu, swish: x * sigmoid(x) */
	BERT_ACT_TANH,         /* tanh(x) */
	BERT_ACT_GELU_10,      /* gelu, bounded by -10 and 10 */
	BERT_ACT_RELU2,        /* max(x, 0)^2 */
	BERT_ACT_RELU6,        /* min(max(x, 0), 6) */
	BERT_ACT_MISH,         /* x * tanh(log(1 + exp(x))) */
	BERT_ACT_SIGMOID,      /* 1 / (1 + exp(-x)) */
	BERT_ACT_LINEAR,       /* x */
	BERT_ACT_LAPLACE,      /* (1 + erf((x - 0.707107) / (0.282095 sqrt(2)))) / 2 */
	BERT_ACT_LEAKY_RELU,   /* x, or 0.01 x below 0 */
	BERT_ACT_HARDSWISH,    /* x * relu6(x + 3) / 6 */
	BERT_ACT_SQRTSOFTPLUS, /* see activations.py */
	BERT_ACT_PRELU,        /* x, or parameter 0 times x below 0 */
	BERT_ACT_XIELU /* parameters alpha_p, alpha_n, beta, eps: see activations.py */
} BertActivation;

#define BERT_ACT_PARAMETERS 4 /* floats, of each layer; learned, or zeros */

/* position_embedding_type. Transformers 5 ignores the last two; 4 is the reference. */
typedef enum BertPositions
{
	BERT_POSITIONS_ABSOLUTE,          /* a table that is added to the embeddings */
	BERT_POSITIONS_RELATIVE_KEY,      /* score += q . E[distance] */
	BERT_POSITIONS_RELATIVE_KEY_QUERY /* score += q . E[distance] + k . E[distance] */
} BertPositions;

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
	int32 hidden_act;    /* BertActivation */
	int32 position_type; /* BertPositions */
	float layer_norm_eps;
	int32 has_pooler; /* pooler.dense is among the weights */
} BertConfig;

/* A recipe lists them with four bits each, the first in the lowest: 0x13 is mean, cls. */
typedef enum BertPooling
{
	BERT_POOL_CLS = 1,
	BERT_POOL_MAX,
	BERT_POOL_MEAN,
	BERT_POOL_MEAN_SQRT,
	BERT_POOL_WEIGHTED_MEAN,
	BERT_POOL_LAST
} BertPooling;

#define BERT_POOL_BITS      4
#define BERT_MAX_POOLINGS   8
#define BERT_POOL_MODES     6
#define BERT_MAX_MODULES    8
#define BERT_PROMPTS_NBYTES 16384

/* A module of sentence-transformers that follows Pooling; works on one vector. */
typedef enum BertModuleKind
{
	BERT_MODULE_NORMALIZE, /* x / max(|x|, 1e-12) */
	BERT_MODULE_DENSE,     /* act(x W^T + b) [+ x, or + x R^T] */
	BERT_MODULE_LAYER_NORM /* eps is BERT_MODULE_EPS */
} BertModuleKind;

#define BERT_MODULE_EPS 1e-5 /* of a LayerNorm module */

typedef struct BertModule
{
	int32 kind; /* BertModuleKind */
	int32 in_size;
	int32 out_size;     /* = in_size but for Dense */
	int32 activation;   /* Dense: a BertActivation without parameters */
	int32 has_bias;     /* Dense: else it is zeros */
	int32 has_residual; /* Dense: use_residual */
} BertModule;

/* The sentence-transformers modules after the encoder (bert_embed's recipe). */
typedef struct BertRecipe
{
	int32 max_tokens;     /* with [CLS] and [SEP]; <= max_positions */
	uint32 pooling;       /* list of BertPooling, four bits each; vectors are joined */
	int32 include_prompt; /* 0: the prompt's tokens are not pooled */
	int32 truncate_dim;   /* 0, or how many elements of the vector stay */
	int32 n_modules;
	BertModule modules[BERT_MAX_MODULES];
	/*
	 * The model's prompts, UTF-8: name, NUL, text, NUL, and so on. What stands before a
	 * text is the one that is asked for by name; without a name, default_prompt.
	 */
	int32 default_prompt; /* offset of its text in prompts, or -1 */
	int32 prompts_nbytes;
	char prompts[BERT_PROMPTS_NBYTES];
} BertRecipe;

/* The text of the prompt of that name, NUL-terminated; NULL where there is none. */
extern const char *bert_recipe_prompt(const BertRecipe *recipe, const char *name);

/* Elements of the pooled vector, and of the vector that comes out at the end. */
extern int32 bert_recipe_pooled_size(const BertRecipe *recipe, int32 hidden_size);
extern int32 bert_recipe_size(const BertRecipe *recipe, int32 hidden_size);

#endif /* BERT_MODEL_H */
