/*
 * encoder.c
 *	  The forward pass as a list of launches, in reading order. See encoder.h.
 *
 * Per layer (names as in Hugging Face's BertLayer, ld = padded width):
 *
 *	x        (tokens, H)    hidden states
 *	qkv      (tokens, 3H)   linear(x)
 *	context  (tokens, H)    attention(qkv)
 *	y        (tokens, H)    LN(linear(context) + x)
 *	inner    (tokens, I)    act(linear(y))
 *	x        (tokens, H)    LN(linear(inner) + y)
 *
 * Then x is pooled, and the vectors, one a sequence, go through the recipe's modules.
 *
 * A kernel that runs cannot be interrupted, so work is enqueued in portions of about
 * PORTION_SECONDS at the rate measured so far, with a wait and a look at interrupts
 * after each. The portions have no influence on results.
 */
#include "port.h"
#include "batch.h"
#include "developer.h"
#include "encoder.h"
#include "kernels.h"
#include "reference.h"

#include <math.h>
#include <sys/mman.h>
#include <time.h>

#define PORTION_SECONDS 0.010
#define FIRST_RATE      2e10      /* operations a second, until one is measured */
#define KEEP_NBYTES     (1 << 20) /* workspace that stays between calls */
#define MAX_UNITS       32768     /* rows or blocks in a launch, tokens in a batch */

/* What a step costs beside a linear layer, whose operations are those of its products. */
#define NORM_OPERATIONS 40.0 /* an element */
#define POOL_OPERATIONS 8.0  /* an element and mode */

/* Weight and bias of one layer, on the device. */
typedef struct DeviceLinear
{
	BertBuffer *weight;
	BertBuffer *bias;
	int32 in_size;
	int32 out_size;
} DeviceLinear;

typedef struct DeviceNorm
{
	BertBuffer *weight;
	BertBuffer *bias;
} DeviceNorm;

typedef struct DeviceLayer
{
	DeviceLinear qkv;
	BertBuffer *distances;       /* relative positions only */
	const float *host_distances; /* the same, among the weights */
	DeviceLinear attention_output;
	DeviceNorm attention_norm;
	DeviceLinear intermediate;
	BertBuffer *activation;
	DeviceLinear output;
	DeviceNorm output_norm;
} DeviceLayer;

/* Of a module: what its kind has. */
typedef struct DeviceModule
{
	DeviceLinear linear;
	DeviceLinear residual;
	DeviceNorm norm;
} DeviceModule;

/* What one batch needs. On a CPU all of it lies in one mapping, given back after use. */
typedef struct Workspace
{
	int32 max_tokens; /* capacity; 0: nothing allocated */
	int32 max_sequences;
	int32 max_blocks;
	size_t nbytes;
	char *memory; /* CPU devices only */
	BertBuffer *tokens;
	BertBuffer *sequences;
	BertBuffer *blocks;
	BertBuffer *x;
	BertBuffer *y;
	BertBuffer *context;
	BertBuffer *qkv;
	BertBuffer *inner;
	BertBuffer *vectors[2];
} Workspace;

/* One vector a sequence; a step that cannot work in place writes to `spare`. */
typedef struct Vectors
{
	BertBuffer *x; /* (rows, BERT_PADDED(size)), zeros behind size */
	BertBuffer *spare;
	int32 size;
	int32 rows;
} Vectors;

struct BertEncoder
{
	BertLauncher launcher;
	BertConfig config;
	BertRecipe recipe;
	const char *weights;
	BertBuffer *word;
	BertBuffer *position; /* absolute positions only */
	BertBuffer *type;
	DeviceNorm embeddings_norm;
	DeviceLinear pooler;
	DeviceModule modules[BERT_MAX_MODULES];
	DeviceLayer *layers; /* (config.num_layers) */
	Workspace space;
	double begin;   /* seconds_now() when `pending` left 0 */
	double rate;    /* operations a second */
	double pending; /* operations enqueued since the last wait */
};

/* ---- binding weights ---- */

static BertBuffer *
bind(BertEncoder *encoder, size_t offset, size_t n_floats)
{
	return bert_buffer_create(encoder->launcher.device, n_floats * sizeof(float),
							  encoder->weights + offset, true);
}

static DeviceLinear
bind_linear(BertEncoder *encoder, const BertLinear *linear)
{
	size_t width = BERT_PADDED(linear->out_size);

	return (DeviceLinear){
		.weight = bind(encoder, linear->weight, width * linear->in_size),
		.bias = bind(encoder, linear->bias, width),
		.in_size = linear->in_size,
		.out_size = linear->out_size,
	};
}

static DeviceNorm
bind_norm(BertEncoder *encoder, const BertNorm *norm, int32 size)
{
	return (DeviceNorm){
		.weight = bind(encoder, norm->weight, BERT_PADDED(size)),
		.bias = bind(encoder, norm->bias, BERT_PADDED(size)),
	};
}

static void
bind_layer(BertEncoder *encoder, const BertLayer *from, DeviceLayer *to)
{
	const BertConfig *config = &encoder->config;

	to->qkv = bind_linear(encoder, &from->qkv);
	if (config->position_type != BERT_POSITIONS_ABSOLUTE)
	{
		to->distances = bind(encoder, from->distances, bert_distances_size(config));
		to->host_distances = bert_weights_at(encoder->weights, from->distances);
	}
	to->attention_output = bind_linear(encoder, &from->attention_output);
	to->attention_norm = bind_norm(encoder, &from->attention_norm, config->hidden_size);
	to->intermediate = bind_linear(encoder, &from->intermediate);
	to->activation = bind(encoder, from->activation, BERT_ACT_PARAMETERS);
	to->output = bind_linear(encoder, &from->output);
	to->output_norm = bind_norm(encoder, &from->output_norm, config->hidden_size);
}

static void
bind_module(BertEncoder *encoder, const BertModule *module,
			const BertModuleWeights *from, DeviceModule *to)
{
	if (module->kind == BERT_MODULE_LAYER_NORM)
		to->norm = bind_norm(encoder, &from->norm, module->in_size);
	if (module->kind == BERT_MODULE_DENSE)
		to->linear = bind_linear(encoder, &from->linear);
	if (from->residual.out_size > 0)
		to->residual = bind_linear(encoder, &from->residual);
}

static void
bind_weights(BertEncoder *encoder)
{
	const BertConfig *config = &encoder->config;
	BertWeightsLayout *layout = bert_weights_layout(config, &encoder->recipe);
	size_t hidden = config->hidden_size;

	encoder->word = bind(encoder, layout->word_embeddings, config->vocab_size * hidden);
	if (config->position_type == BERT_POSITIONS_ABSOLUTE)
		encoder->position =
			bind(encoder, layout->position_embeddings, config->max_positions * hidden);
	encoder->type =
		bind(encoder, layout->type_embeddings, config->type_vocab_size * hidden);
	encoder->embeddings_norm = bind_norm(encoder, &layout->embeddings_norm, hidden);
	for (int i = 0; i < config->num_layers; i++)
		bind_layer(encoder, &layout->layers[i], &encoder->layers[i]);
	if (config->has_pooler)
		encoder->pooler = bind_linear(encoder, &layout->pooler);
	for (int i = 0; i < encoder->recipe.n_modules; i++)
		bind_module(encoder, &encoder->recipe.modules[i], &layout->modules[i],
					&encoder->modules[i]);
	pfree(layout);
}

/* Floats of the largest single buffer: a table, or a layer's weights. */
static uint64
largest_buffer(const BertConfig *config, const BertRecipe *recipe)
{
	uint64 hidden = config->hidden_size;
	uint64 rows = Max((uint64) config->vocab_size, 3 * hidden);
	uint64 largest;

	rows = Max(rows, (uint64) config->intermediate_size);
	rows = Max(rows, (uint64) config->max_positions);
	largest = BERT_PADDED(rows) * hidden;
	largest = Max(largest, BERT_PADDED(hidden) * config->intermediate_size);
	if (config->position_type != BERT_POSITIONS_ABSOLUTE)
		largest = Max(largest, bert_distances_size(config));
	for (int i = 0; i < recipe->n_modules; i++)
	{
		const BertModule *module = &recipe->modules[i];

		largest =
			Max(largest, BERT_PADDED((uint64) module->out_size) * module->in_size);
	}
	return largest;
}

static void
check_size(const BertDevice *device, const BertConfig *config, const BertRecipe *recipe)
{
	uint64 largest = largest_buffer(config, recipe) * sizeof(float);

	if (largest > bert_device_info(device)->max_buffer)
		ereport(ERROR, errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				errmsg("the model is too large for the device"),
				errdetail("A layer needs %llu bytes, the device takes at most %llu.",
						  (unsigned long long) largest,
						  (unsigned long long) bert_device_info(device)->max_buffer));
	if (config->head_size > BERT_MAX_HEAD_SIZE)
		ereport(ERROR, errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				errmsg("the model's attention heads are too large"),
				errdetail("Their size is %d, the kernels take at most %d.",
						  config->head_size, BERT_MAX_HEAD_SIZE));
}

BertEncoder *
bert_encoder_create(const BertLauncher *launcher, const BertConfig *config,
					const BertRecipe *recipe, const void *weights)
{
	BertDevice *device = launcher->device;
	BertEncoder *encoder;

	check_size(device, config, recipe);
	encoder = calloc(1, sizeof(*encoder));
	if (encoder != NULL)
		encoder->layers = calloc(config->num_layers, sizeof(DeviceLayer));
	if (encoder == NULL || encoder->layers == NULL)
	{
		free(encoder);
		ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"));
	}
	encoder->launcher = *launcher;
	encoder->config = *config;
	encoder->recipe = *recipe;
	encoder->weights = weights;
	encoder->rate = FIRST_RATE;
	bind_weights(encoder);
	if (!bert_device_ok(device))
	{
		bert_encoder_free(encoder);
		bert_device_raise(device);
	}
	return encoder;
}

static void
release_linear(DeviceLinear *linear)
{
	bert_buffer_release(linear->weight);
	bert_buffer_release(linear->bias);
}

static void
release_norm(DeviceNorm *norm)
{
	bert_buffer_release(norm->weight);
	bert_buffer_release(norm->bias);
}

static void
release_layer(DeviceLayer *layer)
{
	release_linear(&layer->qkv);
	bert_buffer_release(layer->distances);
	release_linear(&layer->attention_output);
	release_norm(&layer->attention_norm);
	release_linear(&layer->intermediate);
	bert_buffer_release(layer->activation);
	release_linear(&layer->output);
	release_norm(&layer->output_norm);
}

static void
release_module(DeviceModule *module)
{
	release_linear(&module->linear);
	release_linear(&module->residual);
	release_norm(&module->norm);
}

static void
release_workspace(Workspace *space)
{
	bert_buffer_release(space->tokens);
	bert_buffer_release(space->sequences);
	bert_buffer_release(space->blocks);
	bert_buffer_release(space->x);
	bert_buffer_release(space->y);
	bert_buffer_release(space->context);
	bert_buffer_release(space->qkv);
	bert_buffer_release(space->inner);
	bert_buffer_release(space->vectors[0]);
	bert_buffer_release(space->vectors[1]);
	if (space->memory != NULL)
		munmap(space->memory, space->nbytes);
	memset(space, 0, sizeof(*space));
}

void
bert_encoder_free(BertEncoder *encoder)
{
	if (encoder == NULL)
		return;
	release_workspace(&encoder->space);
	bert_buffer_release(encoder->word);
	bert_buffer_release(encoder->position);
	bert_buffer_release(encoder->type);
	release_norm(&encoder->embeddings_norm);
	release_linear(&encoder->pooler);
	for (int i = 0; i < BERT_MAX_MODULES; i++)
		release_module(&encoder->modules[i]);
	for (int i = 0; i < encoder->config.num_layers; i++)
		release_layer(&encoder->layers[i]);
	free(encoder->layers);
	free(encoder);
}

void
bert_encoder_trim(BertEncoder *encoder)
{
	bert_device_wait(encoder->launcher.device);
	encoder->pending = 0;
	if (encoder->space.nbytes > KEEP_NBYTES)
		release_workspace(&encoder->space);
}

/* ---- workspace ---- */

int32
bert_output_size(const BertConfig *config, const BertRecipe *recipe, BertOutput output)
{
	if (output == BERT_OUTPUT_EMBEDDING)
		return bert_recipe_size(recipe, config->hidden_size);
	return config->hidden_size;
}

int32
bert_encoder_size(const BertEncoder *encoder, BertOutput output)
{
	return bert_output_size(&encoder->config, &encoder->recipe, output);
}

/* The next piece of the mapping as a buffer; only its size is added while measuring. */
static BertBuffer *
carve(BertEncoder *encoder, size_t *end, bool measure, size_t count)
{
	size_t nbytes = TYPEALIGN(BERT_WEIGHT_ALIGN, Max(count, 1) * 4);
	char *at = encoder->space.memory;
	size_t offset = *end;

	*end += nbytes;
	if (measure)
		return NULL;
	return bert_buffer_create(encoder->launcher.device, nbytes, at ? at + offset : NULL,
							  false);
}

/* Elements of the longest vector that a sequence has on its way. */
static size_t
longest_vector(const BertEncoder *encoder)
{
	int32 hidden = encoder->config.hidden_size;
	int32 longest = Max(hidden, bert_recipe_pooled_size(&encoder->recipe, hidden));

	for (int i = 0; i < encoder->recipe.n_modules; i++)
		longest = Max(longest, encoder->recipe.modules[i].out_size);
	return BERT_PADDED(longest);
}

/* All buffers, or (measure) the sum of their sizes. */
static size_t
carve_all(BertEncoder *encoder, bool measure)
{
	Workspace *space = &encoder->space;
	size_t tokens = space->max_tokens;
	size_t sequences = space->max_sequences;
	size_t hidden = BERT_PADDED(encoder->config.hidden_size);
	size_t end = 0;

	space->tokens = carve(encoder, &end, measure, tokens * 3);
	space->sequences = carve(encoder, &end, measure, sequences * 3);
	space->blocks = carve(encoder, &end, measure, (size_t) space->max_blocks * 4);
	space->x = carve(encoder, &end, measure, tokens * hidden);
	space->y = carve(encoder, &end, measure, tokens * hidden);
	space->context = carve(encoder, &end, measure, tokens * hidden);
	space->qkv = carve(encoder, &end, measure,
					   tokens * BERT_PADDED(3 * encoder->config.hidden_size));
	space->inner = carve(encoder, &end, measure,
						 tokens * BERT_PADDED(encoder->config.intermediate_size));
	for (int i = 0; i < 2; i++)
		space->vectors[i] =
			carve(encoder, &end, measure, sequences * longest_vector(encoder));
	return end;
}

static void
map_workspace(BertEncoder *encoder)
{
	Workspace *space = &encoder->space;

	space->nbytes = carve_all(encoder, true);
	if (bert_device_info(encoder->launcher.device)->is_cpu)
	{
		void *memory = mmap(NULL, space->nbytes, PROT_READ | PROT_WRITE,
							MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (memory == MAP_FAILED)
		{
			size_t nbytes = space->nbytes;

			memset(space, 0, sizeof(*space));
			ereport(
				ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"),
				errdetail("Failed on a request of %zu bytes for activations.", nbytes),
				errhint("Lower \"bert.batch_tokens\"."));
		}
		madvise(memory, space->nbytes, MADV_HUGEPAGE); /* fewer faults; may fail */
		space->memory = memory;
	}
	carve_all(encoder, false);
	if (!bert_device_ok(encoder->launcher.device))
		release_workspace(space);
}

static int32
with_room(int32 needed)
{
	return TYPEALIGN(64, needed);
}

/* Room for a batch; raises nothing for the device, whose failure sticks. */
static void
ensure_workspace(BertEncoder *encoder, const BertBatch *batch)
{
	Workspace *space = &encoder->space;

	if (batch->n_tokens <= space->max_tokens &&
		batch->n_sequences <= space->max_sequences &&
		batch->n_blocks <= space->max_blocks)
		return;
	release_workspace(space);
	space->max_tokens = with_room(batch->n_tokens);
	space->max_sequences = with_room(batch->n_sequences);
	space->max_blocks = with_room(batch->n_blocks);
	map_workspace(encoder);
}

/* ---- portions ---- */

static double
seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

/* Wait, learn the rate, let an interrupt in; an ERROR leaves nothing in flight. */
static void
wait_for_device(BertEncoder *encoder)
{
	double elapsed;

	if (BERT_WITHOUT(BERT_DRAIN))
		CHECK_FOR_INTERRUPTS(); /* may leave with work in flight */
	if (!bert_device_wait(encoder->launcher.device))
		bert_device_raise(encoder->launcher.device);
	elapsed = seconds_now() - encoder->begin;
	if (encoder->pending > 0 && elapsed > 1e-4)
		encoder->rate = 0.5 * (encoder->rate + encoder->pending / elapsed);
	encoder->pending = 0;
	if (!BERT_WITHOUT(BERT_INTERRUPTS))
		CHECK_FOR_INTERRUPTS();
}

static double
portion(const BertEncoder *encoder)
{
	return BERT_WITHOUT(BERT_INTERRUPTS) ? INFINITY : encoder->rate * PORTION_SECONDS;
}

static void
account(BertEncoder *encoder, double operations)
{
	if (encoder->pending == 0)
		encoder->begin = seconds_now();
	encoder->pending += operations;
	if (encoder->pending >= portion(encoder))
		wait_for_device(encoder);
}

/* How many of `total` units, each of so many operations, make one enqueue. */
static int32
units_in_portion(const BertEncoder *encoder, double operations, int32 total,
				 int32 multiple)
{
	double units = Min(portion(encoder) / Max(operations, 1.0), MAX_UNITS);

	if (units >= total)
		return total;
	return Max((int32) units / multiple, 1) * multiple;
}

/* ---- steps of the forward pass ---- */

#define LINEAR_ROWS_MULTIPLE 64

/* extra: the residual, or the activation's parameters, as the epilogue wants. */
static void
linear(BertEncoder *encoder, BertEpilogue epilogue, const DeviceLinear *layer,
	   BertBuffer *x, BertBuffer *extra, BertBuffer *y, int32 rows)
{
	double operations = 2.0 * layer->in_size * layer->out_size;
	int32 step;

	for (int32 row = 0; row < rows; row += step)
	{
		BertLinearLaunch launch = {
			.epilogue = epilogue,
			.x = x,
			.ld_x = BERT_PADDED(layer->in_size),
			.weight = layer->weight,
			.bias = layer->bias,
			.parameters = extra,
			.residual = extra,
			.y = y,
			.ld_y = BERT_PADDED(layer->out_size),
			.in_size = layer->in_size,
			.first_row = row,
		};

		step = units_in_portion(encoder, operations, rows - row, LINEAR_ROWS_MULTIPLE);
		launch.end_row = Min(rows, row + step);
		bert_launch_linear(&encoder->launcher, &launch);
		account(encoder, operations * (launch.end_row - row));
	}
}

/* x (rows, size) in place */
static void
norm(BertEncoder *encoder, const DeviceNorm *layer, float eps, BertBuffer *x,
	 int32 size, int32 rows)
{
	double operations = NORM_OPERATIONS * size;
	int32 step;

	for (int32 row = 0; row < rows; row += step)
	{
		BertNormLaunch launch = {
			.weight = layer->weight,
			.bias = layer->bias,
			.x = x,
			.ld = BERT_PADDED(size),
			.size = size,
			.eps = eps,
			.first_row = row,
		};

		step = units_in_portion(encoder, operations, rows - row, 1);
		launch.end_row = row + step;
		bert_launch_layer_norm(&encoder->launcher, &launch);
		account(encoder, operations * step);
	}
}

static void
attention(BertEncoder *encoder, const DeviceLayer *layer, const BertBatch *batch,
		  bool positions)
{
	const BertConfig *config = &encoder->config;
	double operations =
		4.0 * config->hidden_size * batch->attention_pairs / batch->n_blocks;
	int32 step;

	for (int32 block = 0; block < batch->n_blocks; block += step)
	{
		BertAttentionLaunch launch = {
			.qkv = encoder->space.qkv,
			.ld_qkv = BERT_PADDED(3 * config->hidden_size),
			.context = encoder->space.context,
			.ld = BERT_PADDED(config->hidden_size),
			.blocks = encoder->space.blocks,
			.first_block = block,
			.num_heads = config->num_heads,
			.head_size = config->head_size,
			.position_type =
				positions ? config->position_type : BERT_POSITIONS_ABSOLUTE,
			.distances = layer->distances,
			.max_positions = config->max_positions,
		};

		step = units_in_portion(encoder, operations, batch->n_blocks - block, 1);
		launch.n_blocks = step;
		bert_launch_attention(&encoder->launcher, &launch);
		account(encoder, operations * step);
	}
}

static void
upload(BertEncoder *encoder, const BertBatch *batch)
{
	Workspace *space = &encoder->space;

	bert_buffer_write(encoder->launcher.device, space->tokens, batch->tokens,
					  (size_t) batch->n_tokens * 3 * sizeof(int32));
	bert_buffer_write(encoder->launcher.device, space->sequences, batch->sequences,
					  (size_t) batch->n_sequences * 3 * sizeof(int32));
	bert_buffer_write(encoder->launcher.device, space->blocks, batch->blocks,
					  (size_t) batch->n_blocks * 4 * sizeof(int32));
}

static void
embed(BertEncoder *encoder, const BertBatch *batch, bool positions)
{
	const BertConfig *config = &encoder->config;
	double operations = NORM_OPERATIONS * config->hidden_size;
	int32 step;

	for (int32 row = 0; row < batch->n_tokens; row += step)
	{
		BertEmbedLaunch launch = {
			.tokens = encoder->space.tokens,
			.word = encoder->word,
			.type = encoder->type,
			.position = positions ? encoder->position : NULL,
			.norm_weight = encoder->embeddings_norm.weight,
			.norm_bias = encoder->embeddings_norm.bias,
			.hidden = encoder->space.x,
			.ld = BERT_PADDED(config->hidden_size),
			.hidden_size = config->hidden_size,
			.eps = config->layer_norm_eps,
			.first_row = row,
		};

		step = units_in_portion(encoder, operations, batch->n_tokens - row, 1);
		launch.end_row = row + step;
		bert_launch_embed(&encoder->launcher, &launch);
		account(encoder, operations * step);
	}
}

static void
run_layer(BertEncoder *encoder, const DeviceLayer *layer, const BertBatch *batch,
		  bool positions)
{
	Workspace *space = &encoder->space;
	int32 hidden = encoder->config.hidden_size;
	float eps = encoder->config.layer_norm_eps;
	int32 rows = batch->n_tokens;

	linear(encoder, BERT_EPILOGUE_BIAS, &layer->qkv, space->x, NULL, space->qkv, rows);
	attention(encoder, layer, batch, positions);
	linear(encoder, BERT_EPILOGUE_RESIDUAL, &layer->attention_output, space->context,
		   space->x, space->y, rows);
	norm(encoder, &layer->attention_norm, eps, space->y, hidden, rows);
	linear(encoder, BERT_EPILOGUE_ACTIVATION, &layer->intermediate, space->y,
		   layer->activation, space->inner, rows);
	linear(encoder, BERT_EPILOGUE_RESIDUAL, &layer->output, space->inner, space->y,
		   space->x, rows);
	norm(encoder, &layer->output_norm, eps, space->x, hidden, rows);
}

/* The first `layers` layers of a batch; its rows are then in space.x. */
static void
run_layers(BertEncoder *encoder, const BertBatch *batch, int32 layers, bool positions)
{
	ensure_workspace(encoder, batch);
	upload(encoder, batch);
	embed(encoder, batch, positions);
	for (int32 i = 0; i < layers; i++)
		run_layer(encoder, &encoder->layers[i], batch, positions);
}

/* ---- vectors ---- */

static Vectors
pool(BertEncoder *encoder, const BertBatch *batch, uint32 modes, int32 size,
	 bool skip_prompts)
{
	Workspace *space = &encoder->space;
	double operations = POOL_OPERATIONS * size * batch->n_tokens / batch->n_sequences;
	int32 step;

	for (int32 first = 0; first < batch->n_sequences; first += step)
	{
		BertPoolLaunch launch = {
			.hidden = space->x,
			.ld = BERT_PADDED(encoder->config.hidden_size),
			.sequences = space->sequences,
			.first_sequence = first,
			.out = space->vectors[0],
			.ld_out = BERT_PADDED(size),
			.hidden_size = encoder->config.hidden_size,
			.modes = modes,
			.skip_prompts = skip_prompts,
		};

		step = units_in_portion(encoder, operations, batch->n_sequences - first, 1);
		launch.n_sequences = step;
		bert_launch_pool(&encoder->launcher, &launch);
		account(encoder, operations * step);
	}
	return (Vectors){space->vectors[0], space->vectors[1], size, batch->n_sequences};
}

/* v = act(v W^T + b) [+ v, or + v R^T] */
static void
dense(BertEncoder *encoder, const DeviceLinear *layer, BertActivation activation,
	  bool has_residual, const DeviceLinear *residual, Vectors *v)
{
	bool projected = has_residual && residual->weight != NULL;
	BertBuffer *y = v->spare;

	linear(encoder, BERT_EPILOGUE_BIAS, layer, v->x, NULL, y, v->rows);
	bert_launch_activate(&encoder->launcher, activation, y,
						 BERT_PADDED(layer->out_size), layer->out_size,
						 has_residual && !projected ? v->x : NULL, v->rows);
	account(encoder, NORM_OPERATIONS * layer->out_size * v->rows);
	if (projected)
		linear(encoder, BERT_EPILOGUE_RESIDUAL, residual, v->x, y, y, v->rows);
	v->spare = v->x;
	v->x = y;
	v->size = layer->out_size;
}

static void
run_module(BertEncoder *encoder, const BertModule *module, const DeviceModule *weights,
		   Vectors *v)
{
	switch ((BertModuleKind) module->kind)
	{
		case BERT_MODULE_NORMALIZE:
			bert_launch_normalize(&encoder->launcher, v->x, BERT_PADDED(v->size),
								  v->size, v->rows);
			account(encoder, NORM_OPERATIONS * v->size * v->rows);
			break;
		case BERT_MODULE_DENSE:
			dense(encoder, &weights->linear, module->activation, module->has_residual,
				  &weights->residual, v);
			break;
		case BERT_MODULE_LAYER_NORM:
			norm(encoder, &weights->norm, BERT_MODULE_EPS, v->x, v->size, v->rows);
			break;
	}
}

/* From hidden states to results. */
static Vectors
finish(BertEncoder *encoder, const BertBatch *batch, BertOutput output)
{
	const BertRecipe *recipe = &encoder->recipe;
	int32 hidden = encoder->config.hidden_size;
	Vectors v;

	if (output != BERT_OUTPUT_EMBEDDING)
	{
		v = pool(encoder, batch, BERT_POOL_CLS, hidden, false);
		if (output == BERT_OUTPUT_POOLED)
			dense(encoder, &encoder->pooler, BERT_ACT_TANH, false, NULL, &v);
		return v;
	}
	v = pool(encoder, batch, recipe->pooling, bert_recipe_pooled_size(recipe, hidden),
			 true);
	for (int i = 0; i < recipe->n_modules; i++)
		run_module(encoder, &recipe->modules[i], &encoder->modules[i], &v);
	return v;
}

/* ---- results ---- */

void
bert_check_finite(const float *values, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!isfinite(values[i]))
			ereport(ERROR, errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					errmsg("the model gave a value that is not finite"),
					errhint("Its weights may be damaged; bert_selftest() tells more."));
}

/* Rows of the device, distance ld, to where the caller's order wants them. */
static void
hand_out(const float *rows, int32 ld, const BertBatch *batch, int32 size,
		 float *results)
{
	for (int i = 0; i < batch->n_sequences; i++)
	{
		const float *row = rows + (size_t) i * ld;

		bert_check_finite(row, size);
		memcpy(results + (size_t) batch->order[i] * size, row, size * sizeof(float));
	}
}

static void
encode_batch(BertEncoder *encoder, const BertBatch *batch, BertOutput output,
			 bool positions, float *results)
{
	/* Now: later, an ERROR would leave work in flight. */
	float *rows = palloc_extended((size_t) batch->n_sequences *
									  longest_vector(encoder) * sizeof(float),
								  MCXT_ALLOC_HUGE);
	Vectors v;
	int32 ld;

	run_layers(encoder, batch, encoder->config.num_layers, positions);
	v = finish(encoder, batch, output);
	ld = BERT_PADDED(v.size);
	bert_buffer_read(encoder->launcher.device, v.x, rows,
					 (size_t) batch->n_sequences * ld * sizeof(float));
	wait_for_device(encoder);
	hand_out(rows, ld, batch, bert_encoder_size(encoder, output), results);
	pfree(rows);
}

void
bert_encode(BertEncoder *encoder, const BertSequence *sequences, int n,
			BertOutput output, bool positions, int batch_tokens, float *results)
{
	int *order = bert_batch_order(sequences, n);
	BertBatch batch;

	Assert(output != BERT_OUTPUT_POOLED || encoder->config.has_pooler);
	for (int done = 0; done < n; done += batch.n_sequences)
	{
		bert_batch_next(&batch, sequences, order + done, n - done,
						Min(batch_tokens, MAX_UNITS));
		encode_batch(encoder, &batch, output, positions, results);
		bert_batch_free(&batch);
	}
	pfree(order);
}

/*
 * A driver may open a kernel's code when it is first run: what a model's own way does not
 * need is run here beside it.
 */
void
bert_encoder_run_once(BertEncoder *encoder)
{
	int32 ids[] = {0, 0};
	BertSequence sequence = {ids, lengthof(ids), lengthof(ids)};
	int32 size = encoder->config.hidden_size;
	int32 ld = BERT_PADDED(size);
	float *result = palloc(size * sizeof(float));

	bert_encode(encoder, &sequence, 1, BERT_OUTPUT_CLS, true, 64, result);
	bert_launch_activate(&encoder->launcher, BERT_ACT_TANH, encoder->space.vectors[0],
						 ld, size, NULL, 1);
	bert_launch_normalize(&encoder->launcher, encoder->space.vectors[0], ld, size, 1);
	wait_for_device(encoder);
	pfree(result);
}

/* ---- looking inside ---- */

/* (rows, columns) of a buffer whose rows are ld apart. */
static void
read_rows(BertEncoder *encoder, BertBuffer *buffer, int32 rows, int32 columns, int32 ld,
		  float *to)
{
	float *padded =
		palloc_extended((size_t) rows * ld * sizeof(float), MCXT_ALLOC_HUGE);

	bert_buffer_read(encoder->launcher.device, buffer, padded,
					 (size_t) rows * ld * sizeof(float));
	wait_for_device(encoder);
	for (int32 r = 0; r < rows; r++)
		memcpy(to + (size_t) r * columns, padded + (size_t) r * ld,
			   columns * sizeof(float));
	pfree(padded);
}

/* One sequence's first layers; its rows are then in space.x. */
static void
run_sequence(BertEncoder *encoder, const BertSequence *sequence, int32 layers,
			 bool positions)
{
	int order = 0;
	BertBatch batch;

	bert_batch_next(&batch, sequence, &order, 1, sequence->n_tokens);
	run_layers(encoder, &batch, layers, positions);
	wait_for_device(encoder); /* which still reads the batch */
	bert_batch_free(&batch);
}

void
bert_encode_hidden(BertEncoder *encoder, const BertSequence *sequence, int32 layer,
				   bool positions, float *hidden)
{
	int32 size = encoder->config.hidden_size;

	run_sequence(encoder, sequence, layer, positions);
	read_rows(encoder, encoder->space.x, sequence->n_tokens, size, BERT_PADDED(size),
			  hidden);
}

void
bert_encode_attention(BertEncoder *encoder, const BertSequence *sequence, int32 layer,
					  int32 head, bool positions, float *weights)
{
	const DeviceLayer *from = &encoder->layers[layer - 1];
	int32 n = sequence->n_tokens;
	int32 size = from->qkv.out_size;
	float *qkv = palloc_extended((size_t) n * size * sizeof(float), MCXT_ALLOC_HUGE);
	double *row = palloc(n * sizeof(double));

	run_sequence(encoder, sequence, layer - 1, positions);
	linear(encoder, BERT_EPILOGUE_BIAS, &from->qkv, encoder->space.x, NULL,
		   encoder->space.qkv, n);
	wait_for_device(encoder); /* before anything that may raise an ERROR */
	read_rows(encoder, encoder->space.qkv, n, size, BERT_PADDED(size), qkv);
	bert_check_finite(qkv, (size_t) n * size);
	for (int32 query = 0; query < n; query++)
	{
		CHECK_FOR_INTERRUPTS();
		bert_reference_attention_row(&encoder->config,
									 positions ? from->host_distances : NULL, qkv, n,
									 head, query, row);
		for (int32 key = 0; key < n; key++)
			weights[(size_t) query * n + key] = row[key];
	}
	pfree(qkv);
	pfree(row);
}
