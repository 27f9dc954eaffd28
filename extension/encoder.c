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
 * A kernel that runs cannot be interrupted, so work is enqueued in portions of about
 * PORTION_SECONDS at the rate measured so far, with a wait and a look at interrupts
 * after each. The portions have no influence on results.
 */
#include "port.h"
#include "batch.h"
#include "developer.h"
#include "encoder.h"
#include "kernels.h"

#include <math.h>
#include <sys/mman.h>
#include <time.h>

#define PORTION_SECONDS 0.010
#define FIRST_RATE      2e10      /* operations a second, until one is measured */
#define KEEP_NBYTES     (1 << 20) /* workspace that stays between calls */

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
	DeviceLinear attention_output;
	DeviceNorm attention_norm;
	DeviceLinear intermediate;
	DeviceLinear output;
	DeviceNorm output_norm;
} DeviceLayer;

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
	BertBuffer *pooled;
	BertBuffer *out;
} Workspace;

struct BertEncoder
{
	BertLauncher launcher;
	BertConfig config;
	BertRecipe recipe;
	const char *weights;
	BertBuffer *word;
	BertBuffer *position;
	BertBuffer *type;
	DeviceNorm embeddings_norm;
	DeviceLinear pooler;
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
bind_norm(BertEncoder *encoder, const BertNorm *norm)
{
	size_t width = BERT_PADDED(encoder->config.hidden_size);

	return (DeviceNorm){
		.weight = bind(encoder, norm->weight, width),
		.bias = bind(encoder, norm->bias, width),
	};
}

static void
bind_layer(BertEncoder *encoder, const BertLayer *from, DeviceLayer *to)
{
	to->qkv = bind_linear(encoder, &from->qkv);
	to->attention_output = bind_linear(encoder, &from->attention_output);
	to->attention_norm = bind_norm(encoder, &from->attention_norm);
	to->intermediate = bind_linear(encoder, &from->intermediate);
	to->output = bind_linear(encoder, &from->output);
	to->output_norm = bind_norm(encoder, &from->output_norm);
}

static void
bind_weights(BertEncoder *encoder)
{
	const BertConfig *config = &encoder->config;
	BertWeightsLayout *layout = bert_weights_layout(config);
	size_t hidden = config->hidden_size;

	encoder->word = bind(encoder, layout->word_embeddings, config->vocab_size * hidden);
	encoder->position =
		bind(encoder, layout->position_embeddings, config->max_positions * hidden);
	encoder->type =
		bind(encoder, layout->type_embeddings, config->type_vocab_size * hidden);
	encoder->embeddings_norm = bind_norm(encoder, &layout->embeddings_norm);
	for (int i = 0; i < config->num_layers; i++)
		bind_layer(encoder, &layout->layers[i], &encoder->layers[i]);
	if (config->has_pooler)
		encoder->pooler = bind_linear(encoder, &layout->pooler);
	pfree(layout);
}

/* The largest single buffer is a table or a layer. */
static void
check_size(const BertDevice *device, const BertConfig *config)
{
	uint64 rows = Max((uint64) config->vocab_size, 3 * (uint64) config->hidden_size);
	uint64 largest;

	rows = Max(rows, (uint64) config->intermediate_size);
	largest = BERT_PADDED(rows) * config->hidden_size * sizeof(float);
	if (largest > bert_device_info(device)->max_buffer)
		ereport(ERROR, errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				errmsg("the model is too large for the device"),
				errdetail("A layer needs %llu bytes, the device takes at most %llu.",
						  (unsigned long long) largest,
						  (unsigned long long) bert_device_info(device)->max_buffer));
}

BertEncoder *
bert_encoder_create(const BertLauncher *launcher, const BertConfig *config,
					const BertRecipe *recipe, const void *weights)
{
	BertDevice *device = launcher->device;
	BertEncoder *encoder;

	check_size(device, config);
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
	release_linear(&layer->attention_output);
	release_norm(&layer->attention_norm);
	release_linear(&layer->intermediate);
	release_linear(&layer->output);
	release_norm(&layer->output_norm);
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
	bert_buffer_release(space->pooled);
	bert_buffer_release(space->out);
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

static int
count_modes(int32 pooling)
{
	int n = 0;

	for (int mode = 0; mode < BERT_POOL_MODES; mode++)
		n += (pooling >> mode) & 1;
	return n;
}

int32
bert_output_size(const BertConfig *config, const BertRecipe *recipe, BertOutput output)
{
	if (output == BERT_OUTPUT_EMBEDDING)
		return config->hidden_size * count_modes(recipe->pooling);
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
	space->sequences = carve(encoder, &end, measure, sequences * 2);
	space->blocks = carve(encoder, &end, measure, (size_t) space->max_blocks * 4);
	space->x = carve(encoder, &end, measure, tokens * hidden);
	space->y = carve(encoder, &end, measure, tokens * hidden);
	space->context = carve(encoder, &end, measure, tokens * hidden);
	space->qkv = carve(encoder, &end, measure,
					   tokens * BERT_PADDED(3 * encoder->config.hidden_size));
	space->inner = carve(encoder, &end, measure,
						 tokens * BERT_PADDED(encoder->config.intermediate_size));
	space->pooled = carve(encoder, &end, measure, sequences * hidden);
	space->out = carve(encoder, &end, measure,
					   sequences * Max(hidden, (size_t) bert_encoder_size(
												   encoder, BERT_OUTPUT_EMBEDDING)));
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
	double units = portion(encoder) / Max(operations, 1.0);

	if (units >= total)
		return total;
	return Max((int32) units / multiple, 1) * multiple;
}

/* ---- steps of the forward pass ---- */

#define LINEAR_ROWS_MULTIPLE 64

static void
linear(BertEncoder *encoder, BertEpilogue epilogue, const DeviceLinear *layer,
	   BertBuffer *x, BertBuffer *residual, BertBuffer *y, int32 rows)
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
			.residual = residual,
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

static void
norm(BertEncoder *encoder, const DeviceNorm *layer, BertBuffer *x, int32 rows)
{
	int32 hidden = encoder->config.hidden_size;

	bert_launch_layer_norm(&encoder->launcher, x, layer->weight, layer->bias,
						   BERT_PADDED(hidden), hidden, encoder->config.layer_norm_eps,
						   rows);
}

static void
attention(BertEncoder *encoder, const BertBatch *batch)
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
		};

		step = units_in_portion(encoder, operations, batch->n_blocks - block, 1);
		launch.n_blocks = Min(step, batch->n_blocks - block);
		bert_launch_attention(&encoder->launcher, &launch);
		account(encoder, operations * launch.n_blocks);
	}
}

static void
upload(BertEncoder *encoder, const BertBatch *batch)
{
	Workspace *space = &encoder->space;

	bert_buffer_write(encoder->launcher.device, space->tokens, batch->tokens,
					  (size_t) batch->n_tokens * 3 * sizeof(int32));
	bert_buffer_write(encoder->launcher.device, space->sequences, batch->sequences,
					  (size_t) batch->n_sequences * 2 * sizeof(int32));
	bert_buffer_write(encoder->launcher.device, space->blocks, batch->blocks,
					  (size_t) batch->n_blocks * 4 * sizeof(int32));
}

static void
embed(BertEncoder *encoder, const BertBatch *batch)
{
	BertEmbedLaunch launch = {
		.tokens = encoder->space.tokens,
		.word = encoder->word,
		.type = encoder->type,
		.position = encoder->position,
		.norm_weight = encoder->embeddings_norm.weight,
		.norm_bias = encoder->embeddings_norm.bias,
		.hidden = encoder->space.x,
		.ld = BERT_PADDED(encoder->config.hidden_size),
		.hidden_size = encoder->config.hidden_size,
		.eps = encoder->config.layer_norm_eps,
		.rows = batch->n_tokens,
	};

	bert_launch_embed(&encoder->launcher, &launch);
}

static void
run_layer(BertEncoder *encoder, const DeviceLayer *layer, const BertBatch *batch)
{
	Workspace *space = &encoder->space;
	int32 rows = batch->n_tokens;

	linear(encoder, BERT_EPILOGUE_BIAS, &layer->qkv, space->x, NULL, space->qkv, rows);
	attention(encoder, batch);
	linear(encoder, BERT_EPILOGUE_RESIDUAL, &layer->attention_output, space->context,
		   space->x, space->y, rows);
	norm(encoder, &layer->attention_norm, space->y, rows);
	linear(encoder, BERT_EPILOGUE_ACTIVATION, &layer->intermediate, space->y, NULL,
		   space->inner, rows);
	linear(encoder, BERT_EPILOGUE_RESIDUAL, &layer->output, space->inner, space->y,
		   space->x, rows);
	norm(encoder, &layer->output_norm, space->x, rows);
}

static void
pool(BertEncoder *encoder, const BertBatch *batch, BertBuffer *out, int32 modes,
	 bool normalize, int32 ld_out)
{
	bert_launch_pool(&encoder->launcher, encoder->space.x,
					 BERT_PADDED(encoder->config.hidden_size), encoder->space.sequences,
					 batch->n_sequences, out, ld_out, encoder->config.hidden_size,
					 modes, normalize);
}

/* The distance of rows in space.out: the pooler is a layer, which stores whole panels. */
static int32
out_ld(const BertEncoder *encoder, BertOutput output)
{
	if (output == BERT_OUTPUT_POOLED)
		return BERT_PADDED(encoder->config.hidden_size);
	return bert_encoder_size(encoder, output);
}

/* From hidden states to results in space.out. */
static void
finish(BertEncoder *encoder, const BertBatch *batch, BertOutput output)
{
	Workspace *space = &encoder->space;
	int32 ld = out_ld(encoder, output);

	if (output == BERT_OUTPUT_EMBEDDING)
		pool(encoder, batch, space->out, encoder->recipe.pooling,
			 encoder->recipe.normalize, ld);
	else if (output == BERT_OUTPUT_CLS)
		pool(encoder, batch, space->out, BERT_POOL_CLS, false, ld);
	else
	{
		pool(encoder, batch, space->pooled, BERT_POOL_CLS, false, ld);
		linear(encoder, BERT_EPILOGUE_BIAS, &encoder->pooler, space->pooled, NULL,
			   space->out, batch->n_sequences);
		bert_launch_tanh(&encoder->launcher, space->out, ld, batch->n_sequences);
	}
}

/* ---- results ---- */

static void
check_finite(const float *values, int32 size)
{
	for (int32 i = 0; i < size; i++)
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

		check_finite(row, size);
		memcpy(results + (size_t) batch->order[i] * size, row, size * sizeof(float));
	}
}

static void
encode_batch(BertEncoder *encoder, const BertBatch *batch, BertOutput output,
			 float *results)
{
	int32 ld = out_ld(encoder, output);
	size_t nbytes = (size_t) batch->n_sequences * ld * sizeof(float);
	float *rows = palloc(nbytes); /* now: later, an ERROR would leave work in flight */

	ensure_workspace(encoder, batch);
	upload(encoder, batch);
	embed(encoder, batch);
	for (int i = 0; i < encoder->config.num_layers; i++)
		run_layer(encoder, &encoder->layers[i], batch);
	finish(encoder, batch, output);
	bert_buffer_read(encoder->launcher.device, encoder->space.out, rows, nbytes);
	wait_for_device(encoder);
	hand_out(rows, ld, batch, bert_encoder_size(encoder, output), results);
	pfree(rows);
}

void
bert_encode(BertEncoder *encoder, const BertSequence *sequences, int n,
			BertOutput output, int batch_tokens, float *results)
{
	int *order = bert_batch_order(sequences, n);
	BertBatch batch;

	Assert(output != BERT_OUTPUT_POOLED || encoder->config.has_pooler);
	for (int done = 0; done < n; done += batch.n_sequences)
	{
		bert_batch_next(&batch, sequences, order + done, n - done, batch_tokens);
		encode_batch(encoder, &batch, output, results);
		bert_batch_free(&batch);
	}
	pfree(order);
}

/* ---- looking inside ---- */

/* Hidden states after a layer, handed to the tap; false: it wants no more. */
static bool
tap_layer(BertEncoder *encoder, const BertBatch *batch, const BertTap *tap, int layer,
		  float *hidden, const int32 *first_row)
{
	int32 ld = BERT_PADDED(encoder->config.hidden_size);

	bert_buffer_read(encoder->launcher.device, encoder->space.x, hidden,
					 (size_t) batch->n_tokens * ld * sizeof(float));
	wait_for_device(encoder);
	return tap->layer(tap->arg, layer, hidden, ld, batch->order, first_row,
					  batch->n_sequences);
}

static void
tap_batch(BertEncoder *encoder, const BertBatch *batch, const BertTap *tap)
{
	size_t nbytes = (size_t) batch->n_tokens *
					BERT_PADDED(encoder->config.hidden_size) * sizeof(float);
	float *hidden = palloc(nbytes);
	int32 *first_row = palloc(batch->n_sequences * sizeof(int32));
	bool more;

	for (int i = 0; i < batch->n_sequences; i++)
		first_row[i] = batch->sequences[2 * i];
	ensure_workspace(encoder, batch);
	upload(encoder, batch);
	embed(encoder, batch);
	more = tap_layer(encoder, batch, tap, 0, hidden, first_row);
	for (int i = 0; more && i < encoder->config.num_layers; i++)
	{
		run_layer(encoder, &encoder->layers[i], batch);
		more = tap_layer(encoder, batch, tap, i + 1, hidden, first_row);
	}
	pfree(hidden);
	pfree(first_row);
}

void
bert_encode_tapped(BertEncoder *encoder, const BertSequence *sequences, int n,
				   int batch_tokens, const BertTap *tap)
{
	int *order = bert_batch_order(sequences, n);
	BertBatch batch;

	for (int done = 0; done < n; done += batch.n_sequences)
	{
		bert_batch_next(&batch, sequences, order + done, n - done, batch_tokens);
		tap_batch(encoder, &batch, tap);
		bert_batch_free(&batch);
	}
	pfree(order);
}
