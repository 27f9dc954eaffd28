/*
 * kernels.c
 *	  The table of kernel tiers, and one launch function per kernel.
 *
 * To add a tier: its .cl files under kernels/, a row in `tiers` above those that it
 * should win over, and nothing else; tests/unit/test_kernels.c runs every tier that a
 * device takes against the plain C reference.
 */
#include "port.h"
#include "kernels.h"
#include "weights.h"

#include <math.h>

const char *const bert_kernel_names[BERT_N_KERNELS] = {
	"embed", "layer_norm",    "linear",         "attention",
	"pool",  "activate_rows", "normalize_rows",
};

#define CPU_ROW_BLOCK 64 /* ROW_BLOCK of cpu/linear.cl */
#define CPU_ROW_GROUP 8  /* ROW_GROUP of cpu/norm.cl */
#define LOG2_E        1.44269504088896340736

static const char *
decline_unless_cpu(const BertDeviceInfo *info)
{
	return info->is_cpu ? NULL : "not a CPU";
}

static const char *
decline_never(const BertDeviceInfo *info)
{
	(void) info;
	return NULL;
}

static const char *const cpu_files[] = {
	"coefficients.cl", "common.cl",        "cpu/vector.cl", "cpu/norm.cl",
	"cpu/linear.cl",   "cpu/attention.cl", "cpu/pool.cl",   NULL,
};

static const char *const portable_files[] = {
	"coefficients.cl",
	"common.cl",
	"portable/norm.cl",
	"portable/linear.cl",
	"portable/attention.cl",
	"portable/pool.cl",
	NULL,
};

static const BertTier tiers[] = {
	{
		.name = "cpu",
		.files = cpu_files,
		.norm = {.rows = CPU_ROW_GROUP, .local_size = 1},
		.linear = {.rows = CPU_ROW_BLOCK, .columns = BERT_PANEL, .local_size = 1},
		.linear_rows_first = true,
		.attention_local_size = 1,
		.decline = decline_unless_cpu,
	},
	{
		.name = "portable",
		.files = portable_files,
		.norm = {.rows = 16, .local_size = 16},
		.linear = {.rows = 1, .columns = 16, .local_size = 16},
		.linear_rows_first = false,
		.attention_local_size = 16,
		.decline = decline_never,
	},
};

const BertTier *
bert_tier_for(const BertDeviceInfo *info)
{
	int i = 0;

	while (tiers[i].decline(info) != NULL)
		i++;
	return &tiers[i];
}

const BertTier *
bert_tier_at(int i)
{
	return i < (int) lengthof(tiers) ? &tiers[i] : NULL;
}

const BertTier *
bert_tier_by_name(const char *name)
{
	for (int i = 0; i < (int) lengthof(tiers); i++)
		if (strcmp(tiers[i].name, name) == 0)
			return &tiers[i];
	return NULL;
}

void
bert_program_options(const BertConfig *config, char *options, size_t nbytes)
{
	snprintf(options, nbytes, "-D PANEL=%d -D ACTIVATION=%d -D HEAD_SIZE=%d",
			 BERT_PANEL, config->hidden_act, config->head_size);
}

static size_t
groups(int32 total, int32 per_group)
{
	return (total + per_group - 1) / per_group;
}

void
bert_launch_linear(const BertLauncher *launcher, const BertLinearLaunch *launch)
{
	BertBuffer *residual = launch->residual ? launch->residual : launch->bias;
	BertBuffer *parameters = launch->parameters ? launch->parameters : launch->bias;
	BertArg args[] = {
		BERT_ARG_BUFFER(launch->x),      BERT_ARG_INT(launch->ld_x),
		BERT_ARG_BUFFER(launch->weight), BERT_ARG_BUFFER(launch->bias),
		BERT_ARG_BUFFER(parameters),     BERT_ARG_BUFFER(residual),
		BERT_ARG_BUFFER(launch->y),      BERT_ARG_INT(launch->ld_y),
		BERT_ARG_INT(launch->in_size),   BERT_ARG_INT(launch->first_row),
		BERT_ARG_INT(launch->end_row),   BERT_ARG_INT(launch->epilogue),
	};
	size_t rows =
		groups(launch->end_row - launch->first_row, launcher->tier->linear.rows);
	size_t columns = groups(launch->ld_y, launcher->tier->linear.columns);

	bert_device_enqueue(launcher->device, launcher->program, BERT_KERNEL_LINEAR, args,
						lengthof(args),
						launcher->tier->linear_rows_first ? rows : columns,
						launcher->tier->linear_rows_first ? columns : rows,
						launcher->tier->linear.local_size);
}

/* embed and layer_norm: a work-group serves a few rows. */
static void
enqueue_norm(const BertLauncher *launcher, BertKernel kernel, const BertArg *args,
			 int n_args, int32 rows)
{
	bert_device_enqueue(launcher->device, launcher->program, kernel, args, n_args,
						groups(rows, launcher->tier->norm.rows), 1,
						launcher->tier->norm.local_size);
}

void
bert_launch_embed(const BertLauncher *launcher, const BertEmbedLaunch *launch)
{
	bool add_positions = launch->position != NULL;
	BertBuffer *position = add_positions ? launch->position : launch->word;
	BertArg args[] = {
		BERT_ARG_BUFFER(launch->tokens),    BERT_ARG_BUFFER(launch->word),
		BERT_ARG_BUFFER(launch->type),      BERT_ARG_BUFFER(position),
		BERT_ARG_INT(add_positions),        BERT_ARG_BUFFER(launch->norm_weight),
		BERT_ARG_BUFFER(launch->norm_bias), BERT_ARG_BUFFER(launch->hidden),
		BERT_ARG_INT(launch->ld),           BERT_ARG_INT(launch->hidden_size),
		BERT_ARG_FLOAT(launch->eps),        BERT_ARG_INT(launch->first_row),
		BERT_ARG_INT(launch->end_row),
	};

	enqueue_norm(launcher, BERT_KERNEL_EMBED, args, lengthof(args),
				 launch->end_row - launch->first_row);
}

void
bert_launch_layer_norm(const BertLauncher *launcher, const BertNormLaunch *launch)
{
	BertArg args[] = {
		BERT_ARG_BUFFER(launch->x),      BERT_ARG_BUFFER(launch->weight),
		BERT_ARG_BUFFER(launch->bias),   BERT_ARG_INT(launch->ld),
		BERT_ARG_INT(launch->size),      BERT_ARG_FLOAT(launch->eps),
		BERT_ARG_INT(launch->first_row), BERT_ARG_INT(launch->end_row),
	};

	enqueue_norm(launcher, BERT_KERNEL_LAYER_NORM, args, lengthof(args),
				 launch->end_row - launch->first_row);
}

void
bert_launch_attention(const BertLauncher *launcher, const BertAttentionLaunch *launch)
{
	/* Scores are taken times log2(e), so that softmax needs 2^x only. */
	float scale = LOG2_E / sqrt(launch->head_size);
	bool relative = launch->position_type != BERT_POSITIONS_ABSOLUTE;
	BertArg args[] = {
		BERT_ARG_BUFFER(launch->qkv),
		BERT_ARG_INT(launch->ld_qkv),
		BERT_ARG_BUFFER(launch->context),
		BERT_ARG_INT(launch->ld),
		BERT_ARG_BUFFER(launch->blocks),
		BERT_ARG_INT(launch->first_block),
		BERT_ARG_INT(launch->num_heads * launch->head_size),
		BERT_ARG_FLOAT(scale),
		BERT_ARG_BUFFER(relative ? launch->distances : launch->qkv),
		BERT_ARG_INT(BERT_DISTANCES_LD(launch->max_positions)),
		BERT_ARG_INT(launch->max_positions - 1),
		BERT_ARG_INT(launch->position_type),
	};

	bert_device_enqueue(launcher->device, launcher->program, BERT_KERNEL_ATTENTION,
						args, lengthof(args), launch->n_blocks, launch->num_heads,
						launcher->tier->attention_local_size);
}

void
bert_launch_pool(const BertLauncher *launcher, const BertPoolLaunch *launch)
{
	BertArg args[] = {
		BERT_ARG_BUFFER(launch->hidden),    BERT_ARG_INT(launch->ld),
		BERT_ARG_BUFFER(launch->sequences), BERT_ARG_INT(launch->first_sequence),
		BERT_ARG_BUFFER(launch->out),       BERT_ARG_INT(launch->ld_out),
		BERT_ARG_INT(launch->hidden_size),  BERT_ARG_INT(launch->modes),
		BERT_ARG_INT(launch->skip_prompts),
	};

	bert_device_enqueue(launcher->device, launcher->program, BERT_KERNEL_POOL, args,
						lengthof(args), launch->n_sequences, 1, 1);
}

void
bert_launch_activate(const BertLauncher *launcher, BertActivation kind, BertBuffer *x,
					 int32 ld, int32 size, BertBuffer *residual, int32 rows)
{
	BertArg args[] = {
		BERT_ARG_BUFFER(x),
		BERT_ARG_INT(ld),
		BERT_ARG_INT(size),
		BERT_ARG_INT(kind),
		BERT_ARG_BUFFER(residual ? residual : x),
		BERT_ARG_INT(residual != NULL),
	};

	bert_device_enqueue(launcher->device, launcher->program, BERT_KERNEL_ACTIVATE_ROWS,
						args, lengthof(args), rows, 1, 1);
}

void
bert_launch_normalize(const BertLauncher *launcher, BertBuffer *x, int32 ld, int32 size,
					  int32 rows)
{
	BertArg args[] = {BERT_ARG_BUFFER(x), BERT_ARG_INT(ld), BERT_ARG_INT(size)};

	bert_device_enqueue(launcher->device, launcher->program, BERT_KERNEL_NORMALIZE_ROWS,
						args, lengthof(args), rows, 1, 1);
}
