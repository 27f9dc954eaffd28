/*
 * kernels.h
 *	  Which kernels there are, which implementation of them a device gets, and one C
 *	  function to launch each.
 *
 * A tier is a set of .cl files that implement every kernel, with the geometry of their
 * launches. The first tier in the table that does not decline a device serves it.
 * Argument lists are the same in all tiers and are documented in kernels/cpu/.
 */
#ifndef BERT_KERNELS_H
#define BERT_KERNELS_H

#include "device.h"
#include "model.h"

typedef enum BertKernel
{
	BERT_KERNEL_EMBED,
	BERT_KERNEL_LAYER_NORM,
	BERT_KERNEL_LINEAR,
	BERT_KERNEL_ATTENTION,
	BERT_KERNEL_POOL,
	BERT_KERNEL_ACTIVATE_ROWS,
	BERT_KERNEL_NORMALIZE_ROWS,
	BERT_N_KERNELS
} BertKernel;

extern const char *const bert_kernel_names[BERT_N_KERNELS];

#define BERT_MAX_HEAD_SIZE 1024 /* a head's row is in private memory */

/* How many results one work-group makes, and how many work-items it has. */
typedef struct BertGeometry
{
	int32 rows;    /* x of embed and layer_norm; of linear layers: see columns */
	int32 columns; /* linear layers only */
	int32 local_size;
} BertGeometry;

typedef struct BertTier
{
	const char *name;
	const char *const *files; /* below kernels/, in order, NULL at the end */
	BertGeometry norm;
	BertGeometry linear;
	bool linear_rows_first; /* x counts row blocks and y columns, or the other way */
	int32 attention_local_size;
	/* NULL, or why this tier cannot serve the device. */
	const char *(*decline)(const BertDeviceInfo *info);
} BertTier;

/* Never NULL: the portable tier declines nothing. */
extern const BertTier *bert_tier_for(const BertDeviceInfo *info);
extern const BertTier *bert_tier_by_name(const char *name);

/* The table itself: its i-th row, NULL behind the last. */
extern const BertTier *bert_tier_at(int i);

/* The program's -D options for a model; a pack and a program binary are made for them. */
extern void bert_program_options(const BertConfig *config, char *options,
								 size_t nbytes);

/* Where launches go. */
typedef struct BertLauncher
{
	BertDevice *device;
	const BertProgram *program;
	const BertTier *tier; /* the program's */
} BertLauncher;

/* What follows the product; EPILOGUE_... in the kernels. */
typedef enum BertEpilogue
{
	BERT_EPILOGUE_BIAS,       /* y = x W^T + b */
	BERT_EPILOGUE_ACTIVATION, /* y = act(x W^T + b) */
	BERT_EPILOGUE_RESIDUAL    /* y = x W^T + b + residual */
} BertEpilogue;

/* Rows [first_row, end_row) of x, residual and y. */
typedef struct BertLinearLaunch
{
	BertEpilogue epilogue;
	BertBuffer *x;
	int32 ld_x;
	BertBuffer *weight;
	BertBuffer *bias;
	BertBuffer *parameters; /* may be NULL without ACTIVATION */
	BertBuffer *residual;   /* may be NULL without RESIDUAL; may be y */
	BertBuffer *y;
	int32 ld_y; /* = padded out_size */
	int32 in_size;
	int32 first_row;
	int32 end_row;
} BertLinearLaunch;

extern void bert_launch_linear(const BertLauncher *launcher,
							   const BertLinearLaunch *launch);

/* The tables and the norm of the embeddings. */
typedef struct BertEmbedLaunch
{
	BertBuffer *tokens; /* (rows, 3) int32 */
	BertBuffer *word;
	BertBuffer *type;
	BertBuffer *position; /* NULL: positions are not added */
	BertBuffer *norm_weight;
	BertBuffer *norm_bias;
	BertBuffer *hidden; /* (rows, ld) */
	int32 ld;
	int32 hidden_size;
	float eps;
	int32 first_row;
	int32 end_row;
} BertEmbedLaunch;

extern void bert_launch_embed(const BertLauncher *launcher,
							  const BertEmbedLaunch *launch);

/* Rows [first_row, end_row) in place; columns from size to ld are 0, and stay so. */
typedef struct BertNormLaunch
{
	BertBuffer *weight;
	BertBuffer *bias;
	BertBuffer *x; /* (rows, ld) */
	int32 ld;
	int32 size;
	float eps;
	int32 first_row;
	int32 end_row;
} BertNormLaunch;

extern void bert_launch_layer_norm(const BertLauncher *launcher,
								   const BertNormLaunch *launch);

typedef struct BertAttentionLaunch
{
	BertBuffer *qkv;
	int32 ld_qkv;
	BertBuffer *context;
	int32 ld;
	BertBuffer *blocks; /* (n, 4) int32 */
	int32 first_block;
	int32 n_blocks;
	int32 num_heads;
	int32 head_size;
	BertPositions position_type; /* ABSOLUTE: the scores know no positions */
	BertBuffer *distances;       /* as in weights.h; may be NULL if ABSOLUTE */
	int32 max_positions;
} BertAttentionLaunch;

extern void bert_launch_attention(const BertLauncher *launcher,
								  const BertAttentionLaunch *launch);

/* Columns of out from (number of modes) * hidden_size on are set to 0. */
typedef struct BertPoolLaunch
{
	BertBuffer *hidden;
	int32 ld;
	BertBuffer *sequences; /* (n, 3) int32 */
	int32 first_sequence;
	int32 n_sequences;
	BertBuffer *out; /* (n, ld_out) */
	int32 ld_out;
	int32 hidden_size;
	uint32 modes;      /* list of BertPooling */
	bool skip_prompts; /* each sequence's pool_from counts */
} BertPoolLaunch;

extern void bert_launch_pool(const BertLauncher *launcher,
							 const BertPoolLaunch *launch);

/*
 * x (rows, ld) = act(x) [+ residual], in place, the activation one without parameters;
 * residual: NULL or as x. x = x / max(|x|, 1e-12), row by row. Columns from size to ld
 * are set to 0, or are 0 and stay so. rows < BERT_MAX_GROUPS.
 */
extern void bert_launch_activate(const BertLauncher *launcher, BertActivation kind,
								 BertBuffer *x, int32 ld, int32 size,
								 BertBuffer *residual, int32 rows);
extern void bert_launch_normalize(const BertLauncher *launcher, BertBuffer *x, int32 ld,
								  int32 size, int32 rows);

#endif /* BERT_KERNELS_H */
