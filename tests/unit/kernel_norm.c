/*
 * kernel_norm.c
 *	  Cases of embed and layer_norm: y = (x - mean) / sqrt(var + eps) * weight + bias.
 *
 * Shapes are named ROWSxCOLUMNS, of embed with the words that its table has. Some begin
 * at row 3, which leaves rows before that are not the kernel's.
 */
#include "port.h"
#include "kernel_case.h"
#include "weights.h"

#include <math.h>

typedef struct NormShape
{
	int32 first_row;
	int32 rows;
	int32 hidden_size;
	float eps;
	Numbers numbers;
	int32 n_words;  /* these two: embed only */
	bool positions; /* are added */
} NormShape;

/* Rows to normalize, in double and as the device gets them. */
typedef struct Norm
{
	NormShape shape;
	int32 end_row;
	int32 ld;
	size_t size;   /* of all rows: one behind end_row is not the kernel's */
	float *x;      /* (end_row + 1, ld) */
	float *weight; /* (ld) */
	float *bias;   /* (ld) */
	BertBuffer *weight_buffer;
	BertBuffer *bias_buffer;
	BertBuffer *hidden; /* (end_row + 1, ld) */
	BertEmbedLaunch embed;
	BertNormLaunch layer_norm;
} Norm;

static Norm *
make_norm(const void *from)
{
	Norm *norm = palloc0(sizeof(*norm));
	const NormShape *shape = &norm->shape;

	norm->shape = *(const NormShape *) from;
	norm->end_row = shape->first_row + shape->rows;
	norm->ld = BERT_PADDED(shape->hidden_size);
	norm->size = (size_t) (norm->end_row + 1) * norm->ld;
	norm->x = palloc0(norm->size * sizeof(float));
	norm->weight = matrix(1, shape->hidden_size, norm->ld, RANDOM);
	norm->bias = matrix(1, shape->hidden_size, norm->ld, RANDOM);
	norm->weight_buffer = buffer_of(norm->weight, norm->ld * sizeof(float));
	norm->bias_buffer = buffer_of(norm->bias, norm->ld * sizeof(float));
	return norm;
}

/*
 * One row. The mean is a sum in 16 lanes of size / 16 terms: its error, relative to the
 * largest |x|, comes out divided by the standard deviation; the rest is some roundings of
 * the result.
 */
static void
judge_row(const Norm *norm, int32 row, const float *got, Verdict *verdict)
{
	const float *x = norm->x + (size_t) row * norm->ld;
	int32 size = norm->shape.hidden_size;
	double mean = 0;
	double variance = 0;
	double largest = 0;

	for (int32 i = 0; i < size; i++)
	{
		mean += (double) x[i] / size;
		largest = Max(largest, fabsf(x[i]));
	}
	for (int32 i = 0; i < size; i++)
		variance += (x[i] - mean) * (x[i] - mean) / size;
	for (int32 i = 0; i < size; i++)
	{
		double scale = norm->weight[i] / sqrt(variance + norm->shape.eps);
		double expected = (x[i] - mean) * scale + norm->bias[i];
		double of_mean = (size / 16 + 8) * ROUNDING * largest * fabs(scale);
		double of_result = 16 * ROUNDING * (fabs(expected) + fabs(norm->bias[i]));

		judge(verdict, row, i, got[i], expected, of_mean + of_result);
	}
}

/* Also: zeros between hidden_size and ld (NaN if the row is), other rows as before. */
static void
judge_norm(void *run, Verdict *verdict)
{
	const Norm *norm = run;
	float *got = palloc(norm->size * sizeof(float));

	read_buffer(norm->hidden, got, norm->size * sizeof(float));
	for (int32 r = norm->shape.first_row; r < norm->end_row; r++)
	{
		const float *row = got + (size_t) r * norm->ld;

		judge_row(norm, r, row, verdict);
		for (int32 i = norm->shape.hidden_size; i < norm->ld; i++)
			judge(verdict, r, i, row[i], isnan(row[0]) ? row[i] : 0, 0);
	}
	judge_untouched(verdict, got, (size_t) norm->shape.first_row * norm->ld);
	judge_untouched(verdict, got + norm->size - norm->ld, norm->ld);
}

/* ---- layer_norm ---- */

static void
add_layer_norm(CaseSize size, int32 first_row, int32 rows, int32 hidden_size, float eps,
			   Numbers numbers)
{
	KernelCase base = {
		.test = &layer_norm_test,
		.size = size,
		.activation = ANY,
		.head_size = ANY,
	};
	NormShape shape = {first_row, rows, hidden_size, eps, numbers};

	add_case(&base, &shape, sizeof(shape), "%dx%d%s eps %g %s", rows, hidden_size,
			 first_row ? " from row 3" : "", eps, numbers_names[numbers]);
}

static void
list_layer_norm(void)
{
	static const int32 hidden_sizes[] = {1,   8,   26,  128,  15,   16,  17,
										 312, 384, 768, 1000, 1024, 4100};
	static const int32 rows[] = {1, 4, 7, 8, 9, 16, 17, 100};

	for (int i = 0; i < (int) lengthof(hidden_sizes); i++)
		add_layer_norm(i < 4 ? SMALL : USUAL, 0, 6, hidden_sizes[i], 1e-12f, RANDOM);
	for (int i = 0; i < (int) lengthof(rows); i++)
		add_layer_norm(i < 3 ? SMALL : USUAL, 3, rows[i], 26, 1e-5f, RANDOM);
	add_layer_norm(SMALL, 0, 6, 26, 1e-12f, DAMAGED);
	add_layer_norm(USUAL, 0, 66000, 5, 1e-12f, RANDOM);
	add_layer_norm(TIMED, 0, 1024, 384, 1e-12f, RANDOM);
	add_layer_norm(TIMED, 0, 32, 768, 1e-12f, RANDOM);
}

/* Row after row: mean 0, mean 1000 deviations off, all equal, all zero, tiny. */
static void
fill_rows(Norm *norm)
{
	static const float means[] = {0, -1000, 0.1f, 0, 0};
	static const float deviations[] = {3, 1, 0, 0, 1e-6f};

	for (int32 r = norm->shape.first_row; r < norm->end_row; r++)
		for (int32 i = 0; i < norm->shape.hidden_size; i++)
			norm->x[(size_t) r * norm->ld + i] =
				means[r % 5] + deviations[r % 5] * random_float();
	if (norm->shape.numbers == DAMAGED)
		norm->x[norm->ld + norm->shape.hidden_size - 1] = NAN;
}

static void *
make_layer_norm(const void *from)
{
	Norm *norm = make_norm(from);
	float *rows = marked(norm->size);
	size_t begin = (size_t) norm->shape.first_row * norm->ld;

	fill_rows(norm);
	memcpy(rows + begin, norm->x + begin,
		   (size_t) norm->shape.rows * norm->ld * sizeof(float));
	norm->hidden = buffer_of(rows, norm->size * sizeof(float));
	norm->layer_norm = (BertNormLaunch){
		.weight = norm->weight_buffer,
		.bias = norm->bias_buffer,
		.x = norm->hidden,
		.ld = norm->ld,
		.size = norm->shape.hidden_size,
		.eps = norm->shape.eps,
		.first_row = norm->shape.first_row,
		.end_row = norm->end_row,
	};
	return norm;
}

static void
launch_layer_norm(void *run)
{
	bert_launch_layer_norm(&under_test, &((Norm *) run)->layer_norm);
}

static Work
layer_norm_work(const void *shape)
{
	const NormShape *s = shape;
	double n = (double) s->rows * s->hidden_size;

	return (Work){.operations = 8 * n, .nbytes = 2 * sizeof(float) * n};
}

const KernelTest layer_norm_test = {
	.kernel = BERT_KERNEL_LAYER_NORM,
	.list = list_layer_norm,
	.make = make_layer_norm,
	.launch = launch_layer_norm,
	.judge = judge_norm,
	.work = layer_norm_work,
};

/* ---- embed ---- */

#define N_POSITIONS 5
#define N_TYPES     2

static void
add_embed(CaseSize size, NormShape shape)
{
	KernelCase base = {
		.test = &embed_test,
		.size = size,
		.activation = ANY,
		.head_size = ANY,
	};

	shape.eps = 1e-12f;
	add_case(&base, &shape, sizeof(shape), "%dx%d%s of %d words%s %s", shape.rows,
			 shape.hidden_size, shape.first_row ? " from row 3" : "", shape.n_words,
			 shape.positions ? "" : " without positions", numbers_names[shape.numbers]);
}

static void
list_embed(void)
{
	static const int32 hidden_sizes[] = {1,  8,   26,  128,  15,  16,
										 17, 312, 384, 1000, 4100};
	static const int32 rows[] = {1, 4, 7, 8, 9, 16, 17, 100};
	static const struct
	{
		CaseSize size;
		NormShape shape;
	} others[] = {
		{SMALL, {0, 9, 26, 0, DAMAGED, 7, true}},
		{USUAL, {0, 66000, 5, 0, WHOLE, 7, true}},
		{USUAL, {0, 9, 26, 0, WHOLE, 250000, true}},
		{TIMED, {0, 1024, 384, 0, RANDOM, 30522, true}},
		{TIMED, {0, 32, 768, 0, RANDOM, 30522, true}},
	};

	for (int i = 0; i < (int) lengthof(hidden_sizes); i++)
		for (int positions = 0; positions < 2; positions++)
			add_embed(i < 4 ? SMALL : USUAL, (NormShape){.rows = 5,
														 .hidden_size = hidden_sizes[i],
														 .numbers = WHOLE,
														 .n_words = 7,
														 .positions = positions});
	for (int i = 0; i < (int) lengthof(rows); i++)
		add_embed(i < 3 ? SMALL : USUAL, (NormShape){.first_row = 3,
													 .rows = rows[i],
													 .hidden_size = 26,
													 .numbers = RANDOM,
													 .n_words = 7,
													 .positions = true});
	for (int i = 0; i < (int) lengthof(others); i++)
		add_embed(others[i].size, others[i].shape);
}

/* Id, type and position of a row: the last of each table among them. */
static void
choose_token(const NormShape *shape, int32 row, int32 token[3])
{
	token[0] = shape->n_words - 1 - (int32) (row * INT64CONST(3) % shape->n_words);
	token[1] = row / 2 % N_TYPES;
	token[2] = row % N_POSITIONS;
}

/* (rows, 3) for the device; sets norm->x to what the rows are before they are normed. */
static int32 *
choose_tokens(Norm *norm, const float *word, const float *type, const float *position)
{
	const NormShape *shape = &norm->shape;
	int32 size = shape->hidden_size;
	int32 *tokens = palloc0((size_t) norm->end_row * 3 * sizeof(int32));

	for (int32 r = shape->first_row; r < norm->end_row; r++)
	{
		int32 *token = tokens + 3 * (size_t) r;
		float *x = norm->x + (size_t) r * norm->ld;

		choose_token(shape, r, token);
		for (int32 i = 0; i < size; i++)
		{
			x[i] = word[(size_t) token[0] * size + i] + type[token[1] * size + i];
			if (shape->positions)
				x[i] += position[token[2] * size + i];
		}
	}
	return tokens;
}

static void *
make_embed(const void *from)
{
	Norm *norm = make_norm(from);
	const NormShape *shape = &norm->shape;
	int32 size = shape->hidden_size;
	float *word = matrix(shape->n_words, size, size, shape->numbers);
	float *type = matrix(N_TYPES, size, size, shape->numbers);
	float *position = matrix(N_POSITIONS, size, size, shape->numbers);
	int32 *tokens;

	if (shape->numbers == DAMAGED)
		word[(size_t) shape->n_words / 2 * size] = NAN;
	tokens = choose_tokens(norm, word, type, position);
	norm->hidden = buffer_of(marked(norm->size), norm->size * sizeof(float));
	norm->embed = (BertEmbedLaunch){
		.tokens = buffer_of(tokens, (size_t) norm->end_row * 3 * sizeof(int32)),
		.word = buffer_of(word, (size_t) shape->n_words * size * sizeof(float)),
		.type = buffer_of(type, N_TYPES * size * sizeof(float)),
		.position = shape->positions
						? buffer_of(position, N_POSITIONS * size * sizeof(float))
						: NULL,
		.norm_weight = norm->weight_buffer,
		.norm_bias = norm->bias_buffer,
		.hidden = norm->hidden,
		.ld = norm->ld,
		.hidden_size = size,
		.eps = shape->eps,
		.first_row = shape->first_row,
		.end_row = norm->end_row,
	};
	return norm;
}

static void
launch_embed(void *run)
{
	bert_launch_embed(&under_test, &((Norm *) run)->embed);
}

static Work
embed_work(const void *shape)
{
	const NormShape *s = shape;
	double n = (double) s->rows * s->hidden_size;

	return (Work){.operations = 10 * n, .nbytes = 4 * sizeof(float) * n};
}

const KernelTest embed_test = {
	.kernel = BERT_KERNEL_EMBED,
	.list = list_embed,
	.make = make_embed,
	.launch = launch_embed,
	.judge = judge_norm,
	.work = embed_work,
};
