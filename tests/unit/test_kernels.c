/*
 * test_kernels.c
 *	  Every kernel of every tier against plain C, over odd shapes.
 *
 * What is compared, and how closely:
 *	- Where all numbers are small whole numbers, every sum is exact whatever its order, so
 *	  results must be equal to the bit. This finds a wrong index, a forgotten tail.
 *	- Elsewhere the expected value is computed in double, and each result may differ from
 *	  it by a bound that follows from float's rounding; it stands at the comparison. The
 *	  largest difference, in parts of its bound, is printed with the claim.
 *	- Memory that a kernel is not to write is filled with a mark and looked at after.
 */
#include "port.h"

#include <float.h>
#include <math.h>

#include "batch.h"
#include "encoder.h"
#include "raises.h"
#include "reference.h"
#include "tap.h"
#include "under_test.h"

#define MARK 12345.0f

/* ---- buffers ---- */

static void
put(BertBuffer *buffer, const void *from, size_t nbytes)
{
	bert_buffer_write(device, buffer, from, nbytes);
	bert_device_wait(device);
	bert_device_raise(device);
}

static void
get(BertBuffer *buffer, void *to, size_t nbytes)
{
	bert_buffer_read(device, buffer, to, nbytes);
	bert_device_wait(device);
	bert_device_raise(device);
}

static BertBuffer *
buffer_of(const void *from, size_t nbytes)
{
	BertBuffer *buffer = bert_buffer_create(device, nbytes, NULL, false);

	put(buffer, from, nbytes);
	return buffer;
}

static float *
marked(size_t n)
{
	float *values = palloc(n * sizeof(float));

	for (size_t i = 0; i < n; i++)
		values[i] = MARK;
	return values;
}

static bool
all_equal(const float *values, size_t n, float expected)
{
	for (size_t i = 0; i < n; i++)
		if (values[i] != expected)
			return false;
	return true;
}

/* The difference in parts of the allowed one; not a number is infinitely wrong. */
static double
parts(float got, double expected, double allowed)
{
	double difference = fabs(got - expected);

	if (difference == 0)
		return 0;
	return difference <= DBL_MAX ? difference / allowed : INFINITY;
}

/* ---- linear ---- */

#define MAX_ROWS 100

/* One layer, with everything in host memory beside the buffers. */
typedef struct Linear
{
	int32 in_size;
	int32 out_size;
	int32 ld_x;
	int32 ld_y;
	size_t nbytes_y;
	float *x;       /* (MAX_ROWS, ld_x) */
	float *weight;  /* (panels, in_size, BERT_PANEL) */
	float *bias;    /* (ld_y) */
	float *add;     /* (MAX_ROWS, ld_y), the residual */
	double *sum;    /* (MAX_ROWS, ld_y), x W^T + b */
	double *spread; /* the same of absolute values */
	float *y;       /* (MAX_ROWS, ld_y), the device's */
	BertBuffer *buffers[5];
} Linear;

static float
number(bool whole)
{
	return whole ? random_whole(3) : random_float();
}

static float *
numbers(int32 rows, int32 columns, int32 ld, bool whole)
{
	float *values = palloc0((size_t) rows * ld * sizeof(float));

	for (int32 r = 0; r < rows; r++)
		for (int32 c = 0; c < columns; c++)
			values[(size_t) r * ld + c] = number(whole);
	return values;
}

static void
expect_products(Linear *layer)
{
	for (int32 r = 0; r < MAX_ROWS; r++)
		for (int32 o = 0; o < layer->ld_y; o++)
		{
			const float *x = layer->x + (size_t) r * layer->ld_x;
			const float *w = layer->weight +
							 (size_t) (o / BERT_PANEL) * BERT_PANEL * layer->in_size +
							 o % BERT_PANEL;
			double sum = layer->bias[o];
			double spread = fabs(sum);

			for (int32 k = 0; k < layer->in_size; k++)
			{
				double product = (double) x[k] * w[(size_t) k * BERT_PANEL];

				sum += product;
				spread += fabs(product);
			}
			layer->sum[(size_t) r * layer->ld_y + o] = sum;
			layer->spread[(size_t) r * layer->ld_y + o] = spread;
		}
}

static Linear *
make_linear(int32 in_size, int32 out_size, bool whole)
{
	Linear *layer = palloc0(sizeof(*layer));
	size_t n_weights = (size_t) BERT_PADDED(out_size) * in_size;
	size_t n_results = (size_t) MAX_ROWS * BERT_PADDED(out_size);

	layer->in_size = in_size;
	layer->out_size = out_size;
	layer->ld_x = BERT_PADDED(in_size);
	layer->ld_y = BERT_PADDED(out_size);
	layer->nbytes_y = n_results * sizeof(float);
	layer->x = numbers(MAX_ROWS, in_size, layer->ld_x, whole);
	layer->weight = palloc0(n_weights * sizeof(float));
	for (int32 o = 0; o < out_size; o += BERT_PANEL)
		for (int32 k = 0; k < in_size; k++)
			for (int32 i = 0; i < Min(BERT_PANEL, out_size - o); i++)
				layer->weight[(size_t) o * in_size + k * BERT_PANEL + i] =
					number(whole);
	layer->bias = numbers(1, out_size, layer->ld_y, whole);
	layer->add = numbers(MAX_ROWS, out_size, layer->ld_y, whole);
	layer->sum = palloc(n_results * sizeof(double));
	layer->spread = palloc(n_results * sizeof(double));
	layer->y = palloc(layer->nbytes_y);
	expect_products(layer);
	layer->buffers[0] =
		buffer_of(layer->x, (size_t) MAX_ROWS * layer->ld_x * sizeof(float));
	layer->buffers[1] = buffer_of(layer->weight, n_weights * sizeof(float));
	layer->buffers[2] = buffer_of(layer->bias, layer->ld_y * sizeof(float));
	layer->buffers[3] = buffer_of(layer->add, layer->nbytes_y);
	layer->buffers[4] = bert_buffer_create(device, layer->nbytes_y, NULL, false);
	return layer;
}

static void
free_linear(Linear *layer)
{
	for (int i = 0; i < (int) lengthof(layer->buffers); i++)
		bert_buffer_release(layer->buffers[i]);
	pfree(layer->x);
	pfree(layer->weight);
	pfree(layer->bias);
	pfree(layer->add);
	pfree(layer->sum);
	pfree(layer->spread);
	pfree(layer->y);
	pfree(layer);
}

static void
run_linear(Linear *layer, BertEpilogue epilogue, int32 first_row, int32 end_row)
{
	BertLinearLaunch launch = {
		.epilogue = epilogue,
		.x = layer->buffers[0],
		.ld_x = layer->ld_x,
		.weight = layer->buffers[1],
		.bias = layer->buffers[2],
		.residual = epilogue == BERT_EPILOGUE_RESIDUAL ? layer->buffers[3] : NULL,
		.y = layer->buffers[4],
		.ld_y = layer->ld_y,
		.in_size = layer->in_size,
		.first_row = first_row,
		.end_row = end_row,
	};
	float *marks = marked((size_t) MAX_ROWS * layer->ld_y);

	put(layer->buffers[4], marks, layer->nbytes_y);
	bert_launch_linear(&under_test, &launch);
	get(layer->buffers[4], layer->y, layer->nbytes_y);
	pfree(marks);
}

static double
after_epilogue(const Linear *layer, BertEpilogue epilogue, size_t at)
{
	if (epilogue == BERT_EPILOGUE_ACTIVATION)
		return Max(layer->sum[at], 0); /* relu */
	if (epilogue == BERT_EPILOGUE_RESIDUAL)
		return layer->sum[at] + layer->add[at];
	return layer->sum[at];
}

/*
 * The rounding errors of a sum of n terms are a random walk: all but one in 10^8 stay
 * below 6 sqrt(n) roundings of the sum of absolute values.
 */
static double
linear_bound(const Linear *layer, size_t at)
{
	return 6 * sqrt(layer->in_size + 1) * ROUNDING * (layer->spread[at] + 1);
}

/* Rows [first_row, end_row) are right, zeros behind out_size, marks elsewhere. */
static double
linear_parts(const Linear *layer, BertEpilogue epilogue, int32 first_row, int32 end_row,
			 bool whole)
{
	size_t begin = (size_t) first_row * layer->ld_y;
	size_t end = (size_t) end_row * layer->ld_y;
	double worst = 0;

	for (size_t at = begin; at < end; at++)
		worst = Max(worst, parts(layer->y[at], after_epilogue(layer, epilogue, at),
								 whole || (int32) (at % layer->ld_y) >= layer->out_size
									 ? 0
									 : linear_bound(layer, at)));
	if (!all_equal(layer->y, begin, MARK) ||
		!all_equal(layer->y + end, (size_t) (MAX_ROWS - end_row) * layer->ld_y, MARK))
		worst = INFINITY;
	return worst;
}

static const int32 row_counts[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 63, 64, 65, MAX_ROWS};

/* All numbers of rows, from row 0 and from row 3, with every epilogue. */
static bool
linear_exact(Linear *layer, int n_counts)
{
	for (int i = 0; i < n_counts; i++)
		for (int32 first = 0; first <= Min(3, MAX_ROWS - row_counts[i]); first += 3)
			for (int epilogue = 0; epilogue <= BERT_EPILOGUE_RESIDUAL; epilogue++)
			{
				int32 end = first + row_counts[i];

				run_linear(layer, epilogue, first, end);
				if (linear_parts(layer, epilogue, first, end, true) == 0)
					continue;
				printf("# wrong: rows %d to %d, epilogue %d\n", first, end, epilogue);
				return false;
			}
	return true;
}

static void
test_linear_shape(int32 in_size, int32 out_size)
{
	Linear *layer = make_linear(in_size, out_size, true);
	int n_counts = small ? 5 : (int) lengthof(row_counts);

	ok(linear_exact(layer, n_counts),
	   "%s: linear %d -> %d is exact, in 1 to %d rows, with every epilogue",
	   under_test.tier->name, in_size, out_size, row_counts[n_counts - 1]);
	free_linear(layer);
}

static void
test_linear_rounding(int32 in_size, int32 out_size)
{
	Linear *layer = make_linear(in_size, out_size, false);
	double worst = 0;

	for (int epilogue = 0; epilogue <= BERT_EPILOGUE_RESIDUAL; epilogue++)
	{
		run_linear(layer, epilogue, 0, 9);
		worst = Max(worst, linear_parts(layer, epilogue, 0, 9, false));
	}
	ok(worst <= 1, "%s: linear %d -> %d rounds as a sum does (%.2f of the bound)",
	   under_test.tier->name, in_size, out_size, worst);
	free_linear(layer);
}

static void
test_linear(void)
{
	static const int32 in_sizes[] = {1, 3, 26, 312, 384, 1536};
	static const int32 out_sizes[] = {1, 47, 48, 49, 26, 312, 1152};

	build_program(BERT_ACT_RELU,
				  32); /* the activation that keeps whole numbers whole */
	for (int i = 0; i < (small ? 3 : (int) lengthof(in_sizes)); i++)
		for (int o = 0; o < (small ? 4 : (int) lengthof(out_sizes)); o++)
			test_linear_shape(in_sizes[i], out_sizes[o]);
	test_linear_rounding(small ? 26 : 384, small ? 49 : 1152);
	test_linear_rounding(small ? 100 : 1536, small ? 1 : 384);
}

/* ---- activations ---- */

/*
 * Of x Phi(x) and its kin, relative to |x|; of tanh, absolute: erf and 2^x of common.cl
 * are good to 2e-7, a few roundings come on top.
 */
#define ACTIVATION_BOUND 2.5e-7

static const char *const activation_names[] = {
	"gelu", "gelu_tanh", "gelu_fast", "quick_gelu", "relu", "silu", "tanh",
};

static const float special_inputs[] = {
	0.0f,   -0.0f,   1e-45f, -1e-45f, 1e-30f, -1e-30f, 1e-8f, -1e-8f, 1.0f,  -1.0f,
	5.5f,   -5.5f,   5.6f,   -5.6f,   9.0f,   -9.0f,   40.0f, -40.0f, 87.f,  -87.0f,
	88.03f, -88.03f, 104.0f, -104.0f, 1e4f,   -1e4f,   1e10f, -1e10f, 1e12f, -1e12f,
};

/* The specials, then a dense walk over [-40, 40], three quarters of it in [-8, 8]. */
static float *
activation_inputs(int32 n)
{
	float *x = palloc(n * sizeof(float));
	int32 n_special = lengthof(special_inputs);

	memcpy(x, special_inputs, sizeof(special_inputs));
	for (int32 i = n_special; i < n; i++)
		x[i] = random_float() * (i % 4 ? 8 : 40);
	return x;
}

/*
 * y = act(1 * x + 0): a layer of one input, 1, whose weights are the numbers to try. A
 * work-item serves 48 of them, so that lanes are tried, too.
 */
static float *
activate(const float *x, int32 n)
{
	float one = 1;
	float *zeros = palloc0(n * sizeof(float));
	float *y = palloc(n * sizeof(float));
	BertLinearLaunch launch = {
		.epilogue = BERT_EPILOGUE_ACTIVATION,
		.x = buffer_of(&one, sizeof(one)),
		.ld_x = 1,
		.weight = buffer_of(x, n * sizeof(float)),
		.bias = buffer_of(zeros, n * sizeof(float)),
		.y = buffer_of(zeros, n * sizeof(float)),
		.ld_y = n,
		.in_size = 1,
		.end_row = 1,
	};

	bert_launch_linear(&under_test, &launch);
	get(launch.y, y, n * sizeof(float));
	bert_buffer_release(launch.x);
	bert_buffer_release(launch.weight);
	bert_buffer_release(launch.bias);
	bert_buffer_release(launch.y);
	pfree(zeros);
	return y;
}

static void
test_activation_accuracy(BertActivation activation)
{
	int32 n = (small ? 20 : 10000) * BERT_PANEL;
	float *x = activation_inputs(n);
	float *y = activate(x, n);
	double worst = 0;
	float at = 0;

	for (int32 i = 0; i < n; i++)
	{
		double scale = activation == BERT_ACT_TANH ? 1 : fabsf(x[i]);
		double error =
			parts(y[i], bert_reference_activation(activation, x[i]), scale + 1e-37);

		if (error > worst)
			at = x[i];
		worst = Max(worst, error);
	}
	ok(worst <= ACTIVATION_BOUND,
	   "%s: %s is finite and right (largest error %.1e%s, at %g)",
	   under_test.tier->name, activation_names[activation], worst,
	   activation == BERT_ACT_TANH ? "" : " |x|", at);
	pfree(x);
	pfree(y);
}

/* A model's damage must come out, not be rounded to something that looks sound. */
static void
test_activation_nan(BertActivation activation)
{
	float *x = palloc0(BERT_PANEL * sizeof(float));
	float *y;

	x[1] = NAN;
	y = activate(x, BERT_PANEL);
	ok(y[0] == 0 && isnan(y[1]) && y[2] == 0, "%s: %s passes NaN on, in its lane",
	   under_test.tier->name, activation_names[activation]);
	pfree(x);
	pfree(y);
}

/* ---- layer_norm and embed ---- */

/* weight and bias of a norm, with (rows, hidden_size) of input, ld apart */
typedef struct Norm
{
	int32 rows;
	int32 hidden_size;
	int32 ld;
	float *x;
	float *weight;
	float *bias;
	BertBuffer *weight_buffer;
	BertBuffer *bias_buffer;
} Norm;

#define NORM_EPS 1e-12f

static Norm *
make_norm(int32 rows, int32 hidden_size)
{
	Norm *norm = palloc0(sizeof(*norm));

	norm->rows = rows;
	norm->hidden_size = hidden_size;
	norm->ld = BERT_PADDED(hidden_size);
	norm->x = palloc0((size_t) rows * norm->ld * sizeof(float));
	norm->weight = numbers(1, hidden_size, norm->ld, false);
	norm->bias = numbers(1, hidden_size, norm->ld, false);
	norm->weight_buffer = buffer_of(norm->weight, norm->ld * sizeof(float));
	norm->bias_buffer = buffer_of(norm->bias, norm->ld * sizeof(float));
	return norm;
}

static void
free_norm(Norm *norm)
{
	bert_buffer_release(norm->weight_buffer);
	bert_buffer_release(norm->bias_buffer);
	pfree(norm->x);
	pfree(norm->weight);
	pfree(norm->bias);
	pfree(norm);
}

/*
 * Largest error of one row, in parts of its bound. The mean is a sum in 16 lanes of
 * size / 16 terms: its error, relative to the largest |x|, comes out divided by the
 * standard deviation; the rest is some roundings of the result.
 */
static double
norm_row_parts(const Norm *norm, const float *x, const float *got)
{
	int32 size = norm->hidden_size;
	double mean = 0;
	double variance = 0;
	double largest = 0;
	double worst = 0;

	for (int32 i = 0; i < size; i++)
	{
		mean += (double) x[i] / size;
		largest = Max(largest, fabsf(x[i]));
	}
	for (int32 i = 0; i < size; i++)
		variance += (x[i] - mean) * (x[i] - mean) / size;
	for (int32 i = 0; i < size; i++)
	{
		double scale = norm->weight[i] / sqrt(variance + NORM_EPS);
		double expected = (x[i] - mean) * scale + norm->bias[i];
		double of_mean = (size / 16 + 8) * ROUNDING * largest * fabs(scale);
		double of_result = 16 * ROUNDING * (fabs(expected) + fabs(norm->bias[i]));

		worst = Max(worst, parts(got[i], expected, of_mean + of_result));
	}
	return worst;
}

static double
norm_parts(const Norm *norm, const float *got)
{
	double worst = 0;

	for (int32 r = 0; r < norm->rows; r++)
	{
		size_t at = (size_t) r * norm->ld;

		worst = Max(worst, norm_row_parts(norm, norm->x + at, got + at));
		if (!all_equal(got + at + norm->hidden_size, norm->ld - norm->hidden_size, 0))
			worst = INFINITY;
	}
	return worst;
}

/* Row after row: mean 0, mean 1000 deviations off, all equal, all zero. */
static void
fill_norm_rows(Norm *norm)
{
	for (int32 r = 0; r < norm->rows; r++)
		for (int32 i = 0; i < norm->hidden_size; i++)
		{
			static const float means[] = {0, -1000, 0.1f, 0};
			static const float deviations[] = {3, 1, 0, 0};

			norm->x[(size_t) r * norm->ld + i] =
				means[r % 4] + deviations[r % 4] * random_float();
		}
}

static void
test_layer_norm(int32 rows, int32 hidden_size)
{
	Norm *norm = make_norm(rows, hidden_size);
	size_t n = (size_t) rows * norm->ld;
	float *got = marked(n + norm->ld); /* and a row that is not the kernel's */
	BertBuffer *hidden;
	double worst;

	fill_norm_rows(norm);
	memcpy(got, norm->x, n * sizeof(float));
	hidden = buffer_of(got, (n + norm->ld) * sizeof(float));
	bert_launch_layer_norm(&under_test, hidden, norm->weight_buffer, norm->bias_buffer,
						   norm->ld, hidden_size, NORM_EPS, rows);
	get(hidden, got, (n + norm->ld) * sizeof(float));
	worst = norm_parts(norm, got);
	ok(worst <= 1 && all_equal(got + n, norm->ld, MARK),
	   "%s: layer_norm of %d x %d (%.2f of the bound)", under_test.tier->name, rows,
	   hidden_size, worst);
	bert_buffer_release(hidden);
	pfree(got);
	free_norm(norm);
}

#define EMBED_IDS       7
#define EMBED_POSITIONS 5

static void
test_embed(int32 rows, int32 hidden_size)
{
	Norm *norm = make_norm(rows, hidden_size);
	float *word = numbers(EMBED_IDS, hidden_size, hidden_size, true);
	float *type = numbers(2, hidden_size, hidden_size, true);
	float *position = numbers(EMBED_POSITIONS, hidden_size, hidden_size, true);
	int32 *tokens = palloc(rows * 3 * sizeof(int32));
	size_t row_nbytes = hidden_size * sizeof(float);
	size_t n = (size_t) rows * norm->ld;
	float *got = marked(n + norm->ld);
	BertEmbedLaunch launch = {
		.word = buffer_of(word, EMBED_IDS * row_nbytes),
		.type = buffer_of(type, 2 * row_nbytes),
		.position = buffer_of(position, EMBED_POSITIONS * row_nbytes),
		.norm_weight = norm->weight_buffer,
		.norm_bias = norm->bias_buffer,
		.hidden = buffer_of(got, (n + norm->ld) * sizeof(float)),
		.ld = norm->ld,
		.hidden_size = hidden_size,
		.eps = NORM_EPS,
		.rows = rows,
	};
	double worst;

	for (int32 r = 0; r < rows; r++)
	{
		int32 *token = tokens + 3 * r;

		token[0] = r * 3 % EMBED_IDS;
		token[1] = r / 2 % 2;
		token[2] = r % EMBED_POSITIONS;
		for (int32 i = 0; i < hidden_size; i++)
			norm->x[(size_t) r * norm->ld + i] = word[token[0] * hidden_size + i] +
												 type[token[1] * hidden_size + i] +
												 position[token[2] * hidden_size + i];
	}
	launch.tokens = buffer_of(tokens, rows * 3 * sizeof(int32));
	bert_launch_embed(&under_test, &launch);
	get(launch.hidden, got, (n + norm->ld) * sizeof(float));
	worst = norm_parts(norm, got);
	ok(worst <= 1 && all_equal(got + n, norm->ld, MARK),
	   "%s: embed of %d x %d (%.2f of the bound)", under_test.tier->name, rows,
	   hidden_size, worst);
	bert_buffer_release(launch.tokens);
	bert_buffer_release(launch.word);
	bert_buffer_release(launch.type);
	bert_buffer_release(launch.position);
	bert_buffer_release(launch.hidden);
	pfree(word);
	pfree(type);
	pfree(position);
	pfree(tokens);
	pfree(got);
	free_norm(norm);
}

static void
test_norms(void)
{
	static const int32 hidden_sizes[] = {1, 8, 26, 128, 312, 384, 1000};
	static const int32 rows[] = {1, 4, 7, 8, 9, 16, 17, 100};

	for (int i = 0; i < (small ? 4 : (int) lengthof(hidden_sizes)); i++)
	{
		test_layer_norm(4, hidden_sizes[i]);
		test_embed(5, hidden_sizes[i]);
	}
	for (int i = 0; i < (small ? 3 : (int) lengthof(rows)); i++)
	{
		test_layer_norm(rows[i], 26);
		test_embed(rows[i], 26);
	}
}

/* ---- attention ---- */

/* How scores come: of both signs; up to 80, where exp() overflows unless the maximum is
 * subtracted; all the same; ever larger, so that each block of keys has a new maximum;
 * ever smaller. */
typedef enum Scores
{
	SCORES_RANDOM,
	SCORES_LARGE,
	SCORES_EQUAL,
	SCORES_RISING,
	SCORES_FALLING,
	N_SCORES
} Scores;

static const char *const score_names[] = {
	"random", "+-80", "equal", "rising", "falling",
};

#define N_HEADS 3

typedef struct Attention
{
	int32 head_size;
	int32 hidden_size;
	int32 ld_qkv;
	int32 ld;
	BertBatch batch;
	float *qkv; /* (tokens, ld_qkv) */
	float *got; /* (tokens + 1, ld); the last row is not the kernel's */
} Attention;

/* What one key of one sequence is multiplied with, to get such scores. */
static float
key_scale(Scores scores, int32 key, int32 n_keys)
{
	switch (scores)
	{
		case SCORES_EQUAL:
			return 0;
		case SCORES_RISING:
			return (key + 1.0f) / n_keys;
		case SCORES_FALLING:
			return 1 - (float) key / n_keys;
		default:
			return 1;
	}
}

/*
 * Rising and falling scores are sums of positive terms, so that they follow key_scale().
 * A score of random terms has a deviation of 1/3: three of them, times 80, make 80.
 */
static void
fill_attention(Attention *a, Scores scores)
{
	bool aligned = scores == SCORES_RISING || scores == SCORES_FALLING;
	float factor = scores == SCORES_LARGE ? 80 : aligned ? 30 : 1;

	for (int32 s = 0; s < a->batch.n_sequences; s++)
		for (int32 t = 0; t < a->batch.sequences[2 * s + 1]; t++)
		{
			float *row = a->qkv + (size_t) (a->batch.sequences[2 * s] + t) * a->ld_qkv;
			float scale = key_scale(scores, t, a->batch.sequences[2 * s + 1]);

			for (int32 i = 0; i < a->hidden_size; i++)
			{
				float q = random_float() * factor;
				float k = random_float() * scale;

				row[i] = aligned ? fabsf(q) : q;
				row[a->hidden_size + i] = aligned ? fabsf(k) : k;
				row[2 * a->hidden_size + i] = random_whole(100);
			}
		}
}

/* Sequences of these lengths, one after the other, as the encoder would have them. */
static Attention *
make_attention(int32 head_size, const int32 *lengths, int n)
{
	Attention *a = palloc0(sizeof(*a));
	BertSequence sequences[16];
	int order[16];
	static const int32 ids[512];

	for (int i = 0; i < n; i++)
	{
		sequences[i] = (BertSequence){ids, lengths[i], lengths[i]};
		order[i] = i;
	}
	a->head_size = head_size;
	a->hidden_size = N_HEADS * head_size;
	a->ld_qkv = BERT_PADDED(3 * a->hidden_size);
	a->ld = BERT_PADDED(a->hidden_size);
	bert_batch_next(&a->batch, sequences, order, n, INT_MAX);
	a->qkv = palloc0((size_t) a->batch.n_tokens * a->ld_qkv * sizeof(float));
	a->got = marked((size_t) (a->batch.n_tokens + 1) * a->ld);
	return a;
}

static void
free_attention(Attention *a)
{
	bert_batch_free(&a->batch);
	pfree(a->qkv);
	pfree(a->got);
	pfree(a);
}

/* In two launches, as the encoder does with a large batch. */
static void
run_attention(Attention *a)
{
	size_t nbytes = (size_t) (a->batch.n_tokens + 1) * a->ld * sizeof(float);
	BertAttentionLaunch launch = {
		.qkv =
			buffer_of(a->qkv, (size_t) a->batch.n_tokens * a->ld_qkv * sizeof(float)),
		.ld_qkv = a->ld_qkv,
		.context = buffer_of(a->got, nbytes),
		.ld = a->ld,
		.blocks = buffer_of(a->batch.blocks, a->batch.n_blocks * 4 * sizeof(int32)),
		.n_blocks = a->batch.n_blocks / 2,
		.num_heads = N_HEADS,
		.head_size = a->head_size,
	};

	bert_launch_attention(&under_test, &launch);
	launch.first_block = launch.n_blocks;
	launch.n_blocks = a->batch.n_blocks - launch.first_block;
	bert_launch_attention(&under_test, &launch);
	get(launch.context, a->got, nbytes);
	bert_buffer_release(launch.qkv);
	bert_buffer_release(launch.context);
	bert_buffer_release(launch.blocks);
}

/*
 * One query of one head. A score is a chain of head_size roundings of its terms; an
 * error there is a relative error of a weight, and the context is a mean of V by weight.
 * The sums over keys add a random walk of n_keys roundings. Weights below 2^-126 are 0.
 */
static double
query_parts(const Attention *a, int32 first, int32 n_keys, int32 query, int32 head)
{
	int32 d = a->head_size;
	const float *keys = a->qkv + (size_t) first * a->ld_qkv + head * d;
	const float *q = keys + (size_t) query * a->ld_qkv;
	const float *got = a->got + (size_t) (first + query) * a->ld + head * d;
	double *weight = palloc(n_keys * sizeof(double));
	double largest = -INFINITY;
	double spread = 0;
	double sum = 0;
	double worst = 0;

	for (int32 j = 0; j < n_keys; j++)
	{
		const float *k = keys + (size_t) j * a->ld_qkv + a->hidden_size;
		double terms = 0;

		weight[j] = 0;
		for (int32 i = 0; i < d; i++)
		{
			weight[j] += (double) q[i] * k[i] / sqrt(d);
			terms += fabs((double) q[i] * k[i] / sqrt(d));
		}
		largest = Max(largest, weight[j]);
		spread = Max(spread, terms);
	}
	for (int32 j = 0; j < n_keys; j++)
		sum += weight[j] = exp(weight[j] - largest);
	for (int32 i = 0; i < d; i++)
	{
		double expected = 0;
		double size = 0;
		double allowed;

		for (int32 j = 0; j < n_keys; j++)
		{
			double v = keys[(size_t) j * a->ld_qkv + 2 * a->hidden_size + i];

			expected += weight[j] / sum * v;
			size += weight[j] / sum * fabs(v);
		}
		allowed = 8 + 2 * sqrt(n_keys) + 2 * sqrt(d) * spread;
		worst = Max(worst, parts(got[i], expected,
								 allowed * ROUNDING * size + n_keys * 100 * FLT_MIN));
	}
	pfree(weight);
	return worst;
}

static double
attention_parts(const Attention *a)
{
	double worst = 0;

	for (int32 s = 0; s < a->batch.n_sequences; s++)
	{
		int32 first = a->batch.sequences[2 * s];
		int32 n = a->batch.sequences[2 * s + 1];

		for (int32 query = 0; query < n; query++)
			for (int32 head = 0; head < N_HEADS; head++)
				worst = Max(worst, query_parts(a, first, n, query, head));
	}
	for (int32 row = 0; row <= a->batch.n_tokens; row++)
	{
		int32 written = row < a->batch.n_tokens ? a->hidden_size : 0;

		if (!all_equal(a->got + (size_t) row * a->ld + written, a->ld - written, MARK))
			worst = INFINITY;
	}
	return worst;
}

static void
test_attention_accuracy(int32 head_size)
{
	static const int32 lengths[] = {1, 16, 2, 65, 15, 17, 63, 64, 128, 300};
	int n = small ? 4 : (int) lengthof(lengths);

	for (Scores scores = 0; scores < (small ? 2 : N_SCORES); scores++)
	{
		Attention *a = make_attention(head_size, lengths, n);
		double worst;

		fill_attention(a, scores);
		run_attention(a);
		worst = attention_parts(a);
		ok(worst <= 1,
		   "%s: attention, head size %d, %d sequences of 1 to %d, %s scores "
		   "(%.2f of the bound)",
		   under_test.tier->name, head_size, n, lengths[n - 1], score_names[scores],
		   worst);
		free_attention(a);
	}
}

/* Damage in a key reaches every query of its sequence and head, and no other. */
static void
test_attention_nan(int32 head_size, float damage, const char *name)
{
	static const int32 lengths[] = {20, 70, 20};
	Attention *a = make_attention(head_size, lengths, 3);
	bool right = true;

	fill_attention(a, SCORES_RANDOM);
	for (int32 i = 0; i < head_size;
		 i++) /* of the second head of a key in the middle */
	{
		a->qkv[(size_t) 50 * a->ld_qkv + head_size + i] = fabsf(random_float());
		a->qkv[(size_t) 50 * a->ld_qkv + a->hidden_size + head_size + i] = damage;
	}
	run_attention(a);
	for (int32 row = 0; row < a->batch.n_tokens; row++)
		for (int32 i = 0; i < a->hidden_size; i++)
		{
			bool lost = row >= 20 && row < 90 && i / head_size == 1;
			float got = a->got[(size_t) row * a->ld + i];

			/* A key of infinite score with the other sign has no weight at all. */
			right &= lost ? isnan(got) || (isinf(damage) && row != 50) : isfinite(got);
		}
	ok(right, "%s: attention, head size %d, passes %s in a key on, and only there",
	   under_test.tier->name, head_size, name);
	free_attention(a);
}

/*
 * ACTIVATION and HEAD_SIZE are compiled in, and a compilation takes a second or two: so
 * every program has one of each.
 */
static void
test_compiled_in(void)
{
	static const int32 head_sizes[] = {26, 8, 1, 32, 64, 80, 128};
	int n = small ? 2 : (int) lengthof(head_sizes);

	for (int i = 0; i < n; i++)
	{
		build_program(i, head_sizes[i]);
		test_activation_accuracy(i);
		test_activation_nan(i);
		test_attention_accuracy(head_sizes[i]);
	}
	test_attention_nan(head_sizes[n - 1], NAN, "NaN");
	test_attention_nan(head_sizes[n - 1], INFINITY, "infinity");
}

/* ---- pool and tanh_rows ---- */

/*
 * Hidden states are small whole numbers, so every sum is exact. What remains: the
 * division, and, normalized, a sum of up to 6 * 312 squares of which each counts once.
 */
#define POOL_BOUND       (4 * ROUNDING)
#define NORMALIZED_BOUND (100 * ROUNDING)

static double
pool_parts(BertBuffer *hidden, const float *x, BertBuffer *sequences,
		   const int32 *bounds, int n, int32 hidden_size, int32 modes, bool normalize)
{
	int32 ld_out = hidden_size * __builtin_popcount(modes);
	size_t nbytes = (size_t) (n + 1) * ld_out * sizeof(float);
	float *got = marked((size_t) (n + 1) * ld_out);
	float *expected = palloc(ld_out * sizeof(float));
	BertBuffer *out = buffer_of(got, nbytes);
	double worst = 0;

	bert_launch_pool(&under_test, hidden, BERT_PADDED(hidden_size), sequences, n, out,
					 ld_out, hidden_size, modes, normalize);
	get(out, got, nbytes);
	bert_buffer_release(out);
	for (int s = 0; s < n; s++)
	{
		bert_reference_pool(x + (size_t) bounds[2 * s] * hidden_size, bounds[2 * s + 1],
							hidden_size, modes, normalize, expected);
		for (int32 i = 0; i < ld_out; i++)
			worst = Max(worst, parts(got[s * ld_out + i], expected[i],
									 fabsf(expected[i]) *
										 (normalize ? NORMALIZED_BOUND : POOL_BOUND)));
	}
	if (!all_equal(got + n * ld_out, ld_out, MARK))
		worst = INFINITY;
	pfree(got);
	pfree(expected);
	return worst;
}

/* Every set of modes, with and without normalization. */
static void
test_pool(int32 hidden_size)
{
	static const int32 bounds[] = {0, 1, 1, 2, 3, 15, 18, 64, 82, 300};
	int n = small ? 3 : 5;
	int32 rows = bounds[2 * n - 2] + bounds[2 * n - 1];
	int32 ld = BERT_PADDED(hidden_size);
	float *x = numbers(rows, hidden_size, hidden_size, true);
	float *padded = palloc0((size_t) rows * ld * sizeof(float));
	BertBuffer *sequences = buffer_of(bounds, sizeof(bounds));
	BertBuffer *hidden;
	double worst = 0;

	for (int32 r = 0; r < rows; r++)
		memcpy(padded + (size_t) r * ld, x + (size_t) r * hidden_size,
			   hidden_size * sizeof(float));
	hidden = buffer_of(padded, (size_t) rows * ld * sizeof(float));
	for (int32 modes = 1; modes < 1 << BERT_POOL_MODES; modes++)
		for (int normalize = 0; normalize < 2; normalize++)
			worst = Max(worst, pool_parts(hidden, x, sequences, bounds, n, hidden_size,
										  modes, normalize));
	ok(worst <= 1, "%s: pool of %d columns, every set of modes (%.2f of the bound)",
	   under_test.tier->name, hidden_size, worst);
	bert_buffer_release(sequences);
	bert_buffer_release(hidden);
	pfree(x);
	pfree(padded);
}

/* A zero vector has no direction: it stays zero, and is not divided by its length. */
static void
test_pool_zero(void)
{
	static const int32 bounds[] = {0, 2};
	float *zeros = palloc0(2 * BERT_PANEL * sizeof(float));
	float got[26];
	BertBuffer *hidden = buffer_of(zeros, 2 * BERT_PANEL * sizeof(float));
	BertBuffer *sequences = buffer_of(bounds, sizeof(bounds));
	BertBuffer *out = buffer_of(zeros, sizeof(got));

	bert_launch_pool(&under_test, hidden, BERT_PANEL, sequences, 1, out, 26, 26,
					 BERT_POOL_MEAN, true);
	get(out, got, sizeof(got));
	ok(all_equal(got, 26, 0), "%s: pool leaves a zero vector zero",
	   under_test.tier->name);
	bert_buffer_release(hidden);
	bert_buffer_release(sequences);
	bert_buffer_release(out);
	pfree(zeros);
}

static bool
pooled_nan(int32 mode)
{
	static const int32 bounds[] = {0, 5};
	float *x = palloc0(5 * BERT_PANEL * sizeof(float));
	float got[26];
	BertBuffer *sequences = buffer_of(bounds, sizeof(bounds));
	BertBuffer *out = buffer_of(x, sizeof(got));
	BertBuffer *hidden;

	x[2 * BERT_PANEL + 1] = x[2 * BERT_PANEL + 25] = NAN;
	hidden = buffer_of(x, 5 * BERT_PANEL * sizeof(float));
	bert_launch_pool(&under_test, hidden, BERT_PANEL, sequences, 1, out, 26, 26, mode,
					 false);
	get(out, got, sizeof(got));
	bert_buffer_release(hidden);
	bert_buffer_release(sequences);
	bert_buffer_release(out);
	pfree(x);
	return got[0] == 0 && isnan(got[1]) && isnan(got[25]);
}

static void
test_pool_nan(void)
{
	ok(pooled_nan(BERT_POOL_MAX) && pooled_nan(BERT_POOL_MEAN) &&
		   pooled_nan(BERT_POOL_MEAN_SQRT) && pooled_nan(BERT_POOL_WEIGHTED_MEAN),
	   "%s: pool passes NaN of a token in the middle on", under_test.tier->name);
}

static void
test_tanh_rows(void)
{
	int32 rows = 5;
	int32 n = rows * BERT_PANEL;
	float *x = activation_inputs(n);
	float *y = palloc(n * sizeof(float));
	BertBuffer *buffer = buffer_of(x, n * sizeof(float));
	double worst = 0;

	bert_launch_tanh(&under_test, buffer, BERT_PANEL, rows - 1);
	get(buffer, y, n * sizeof(float));
	for (int32 i = 0; i < n - BERT_PANEL; i++)
		worst = Max(worst, parts(y[i], tanh(x[i]), ACTIVATION_BOUND));
	ok(worst <= 1 && memcmp(x + n - BERT_PANEL, y + n - BERT_PANEL,
							BERT_PANEL * sizeof(float)) == 0,
	   "%s: tanh_rows (%.2f of the bound)", under_test.tier->name, worst);
	bert_buffer_release(buffer);
	pfree(x);
	pfree(y);
}

static void
test_ends(void)
{
	static const int32 hidden_sizes[] = {1, 26, 8, 16, 48, 312};

	for (int i = 0; i < (small ? 2 : (int) lengthof(hidden_sizes)); i++)
		test_pool(hidden_sizes[i]);
	test_pool_zero();
	test_pool_nan();
	test_tanh_rows();
}

static void
test_tier(void)
{
	test_linear();
	test_norms();
	test_ends();
	test_compiled_in();
}

int
main(int argc, char **argv)
{
	open_device(argc, argv);
	for_each_tier(test_tier);
	return done_testing();
}
