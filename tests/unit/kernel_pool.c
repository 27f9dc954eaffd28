/*
 * kernel_pool.c
 *	  Cases of pool, activate_rows and normalize_rows: from hidden states to one vector
 *	  per sequence.
 *
 * Shapes are named ROWSxCOLUMNS; of pool, the rows are sequences, of 1 to 300 tokens, and
 * the modes are those whose vectors are joined.
 */
#include "port.h"
#include "kernel_case.h"
#include "reference.h"
#include "weights.h"

#include <math.h>

/* ---- pool ---- */

/*
 * The sum of small whole numbers is exact; that of others is rounded once, whatever the
 * number of tokens, but for what is lost of the losses. Then come the division and the
 * square root.
 */
#define POOL_BOUND    (4 * ROUNDING)
#define POOL_ABSOLUTE 1e-9

static const char *const mode_names[] = {
	[BERT_POOL_CLS] = "cls",
	[BERT_POOL_MAX] = "max",
	[BERT_POOL_MEAN] = "mean",
	[BERT_POOL_MEAN_SQRT] = "mean_sqrt",
	[BERT_POOL_WEIGHTED_MEAN] = "weighted_mean",
	[BERT_POOL_LAST] = "last",
};

typedef struct PoolShape
{
	int32 n_sequences;
	int32 hidden_size;
	uint32 modes;
	bool skip_prompts;
	Numbers numbers; /* DAMAGED: whole, with NaN in a token in the middle */
	int32 tokens;    /* of each sequence; 0: as length_of() says */
} PoolShape;

typedef struct Pool
{
	PoolShape shape;
	int32 *sequences; /* (n, 3) */
	float *x;         /* (tokens, hidden_size) */
	int32 size;       /* of a result, of ld_out columns */
	BertPoolLaunch to_launch;
} Pool;

#define FIRST 2 /* sequences that are not asked for, before those that are */

static void
name_modes(uint32 modes, char *name, size_t nbytes)
{
	name[0] = '\0';
	for (; modes != 0; modes >>= BERT_POOL_BITS)
	{
		strlcat(name, name[0] ? "+" : "", nbytes);
		strlcat(name, mode_names[modes & ((1 << BERT_POOL_BITS) - 1)], nbytes);
	}
}

static void
add_pool(CaseSize size, PoolShape shape)
{
	KernelCase base = {
		.test = &pool_test,
		.size = size,
		.activation = ANY,
		.head_size = ANY,
	};
	char modes[100];

	name_modes(shape.modes, modes, sizeof(modes));
	add_case(&base, &shape, sizeof(shape), "%dx%d%s %s%s %s", shape.n_sequences,
			 shape.hidden_size, shape.tokens > 0 ? " long" : "", modes,
			 shape.skip_prompts ? " without prompts" : "",
			 numbers_names[shape.numbers]);
}

static void
list_pool(void)
{
	static const int32 hidden_sizes[] = {1, 26, 8, 16, 48, 312, 1000, 4100};
	static const uint32 lists[] = {0x21, 0x13, 0x654321, 0x46, 0x12345612};

	for (int i = 0; i < (int) lengthof(hidden_sizes); i++)
	{
		CaseSize size = i < 2 ? SMALL : USUAL;
		int32 n = i < 2 ? 3 : 6;

		for (uint32 mode = 1; mode <= BERT_POOL_MODES; mode++)
			for (int skip = 0; skip < 2; skip++)
				add_pool(size, (PoolShape){n, hidden_sizes[i], mode, skip});
		for (int l = 0; l < (int) lengthof(lists); l++)
			add_pool(size, (PoolShape){n, hidden_sizes[i], lists[l]});
	}
	for (uint32 mode = 1; mode <= BERT_POOL_MODES; mode++)
	{
		add_pool(SMALL, (PoolShape){4, 26, mode, false, RANDOM});
		add_pool(SMALL, (PoolShape){3, 26, mode, false, DAMAGED});
	}
	add_pool(USUAL, (PoolShape){BERT_MAX_GROUPS - 1, 5, BERT_POOL_MEAN});
	/* The weights' sum needs more than 32 bits. */
	add_pool(USUAL, (PoolShape){1, 5, BERT_POOL_WEIGHTED_MEAN, .tokens = 65536});
	add_pool(TIMED, (PoolShape){1000, 384, BERT_POOL_MEAN});
}

static int32
length_of(int32 sequence)
{
	static const int32 lengths[] = {1, 2, 15, 32, 64, 300};

	return sequence < (int) lengthof(lengths) ? lengths[sequence] : 2;
}

/* How many of its tokens are a prompt's: none, some, all. */
static int32
prompt_of(int32 sequence)
{
	return sequence % 3 == 0   ? 0
		   : sequence % 3 == 1 ? length_of(sequence) / 3
							   : length_of(sequence);
}

static Work
pool_work(const void *shape)
{
	const PoolShape *s = shape;
	double tokens = 0;

	for (int32 i = 0; i < s->n_sequences; i++)
		tokens += length_of(i);
	return (Work){.operations = tokens * s->hidden_size,
				  .nbytes = sizeof(float) * tokens * s->hidden_size};
}

static int32
n_modes(uint32 modes)
{
	int32 n = 0;

	for (; modes != 0; modes >>= BERT_POOL_BITS)
		n++;
	return n;
}

/* (tokens, hidden_size) */
static float *
hidden_states(const PoolShape *shape, int32 tokens)
{
	float *x = matrix(tokens, shape->hidden_size, shape->hidden_size,
					  shape->numbers == RANDOM ? RANDOM : WHOLE);

	if (shape->numbers == DAMAGED) /* in the last sequence */
	{
		size_t row = tokens - length_of(shape->n_sequences + FIRST - 1) / 2;

		x[row * shape->hidden_size + 1] = NAN;
		x[row * shape->hidden_size + shape->hidden_size - 1] = NAN;
	}
	return x;
}

static float *
padded(const float *x, int32 rows, int32 columns)
{
	int32 ld = BERT_PADDED(columns);
	float *to = palloc0((size_t) rows * ld * sizeof(float));

	for (int32 r = 0; r < rows; r++)
		memcpy(to + (size_t) r * ld, x + (size_t) r * columns, columns * sizeof(float));
	return to;
}

static void *
make_pool(const void *from)
{
	Pool *pool = palloc0(sizeof(*pool));
	const PoolShape *shape = &pool->shape;
	int32 n;
	int32 tokens = 0;
	int32 ld;
	int32 ld_out;
	size_t size_out;

	pool->shape = *(const PoolShape *) from;
	n = FIRST + shape->n_sequences;
	pool->sequences = palloc(n * 3 * sizeof(int32));
	for (int32 s = 0; s < n; s++)
	{
		pool->sequences[3 * s] = tokens;
		pool->sequences[3 * s + 1] = shape->tokens > 0 ? shape->tokens : length_of(s);
		pool->sequences[3 * s + 2] = prompt_of(s);
		tokens += pool->sequences[3 * s + 1];
	}
	pool->x = hidden_states(shape, tokens);
	pool->size = shape->hidden_size * n_modes(shape->modes);
	ld = BERT_PADDED(shape->hidden_size);
	ld_out = BERT_PADDED(pool->size);
	size_out = (size_t) (n + 1) * ld_out;
	pool->to_launch = (BertPoolLaunch){
		.hidden = buffer_of(padded(pool->x, tokens, shape->hidden_size),
							(size_t) tokens * ld * sizeof(float)),
		.ld = ld,
		.sequences = buffer_of(pool->sequences, n * 3 * sizeof(int32)),
		.first_sequence = FIRST,
		.n_sequences = shape->n_sequences,
		.out = buffer_of(marked(size_out), size_out * sizeof(float)),
		.ld_out = ld_out,
		.hidden_size = shape->hidden_size,
		.modes = shape->modes,
		.skip_prompts = shape->skip_prompts,
	};
	return pool;
}

static void
launch_pool(void *run)
{
	bert_launch_pool(&under_test, &((Pool *) run)->to_launch);
}

/* A result, and zeros behind it. */
static void
judge_vector(const Pool *pool, int32 sequence, const float *got, Verdict *verdict)
{
	const PoolShape *shape = &pool->shape;
	const int32 *rows = pool->sequences + 3 * sequence;
	float *expected = palloc0(pool->to_launch.ld_out * sizeof(float));

	bert_reference_pool(pool->x + (size_t) rows[0] * shape->hidden_size, rows[1],
						shape->hidden_size, shape->modes,
						shape->skip_prompts ? rows[2] : 0, expected);
	for (int32 i = 0; i < pool->to_launch.ld_out; i++)
		judge(verdict, sequence, i, got[i], expected[i],
			  fabsf(expected[i]) * POOL_BOUND +
				  (shape->numbers == RANDOM ? POOL_ABSOLUTE : 0));
	pfree(expected);
}

static void
judge_pool(void *run, Verdict *verdict)
{
	const Pool *pool = run;
	size_t ld = pool->to_launch.ld_out;
	int32 n = FIRST + pool->shape.n_sequences;
	float *got = palloc((n + 1) * ld * sizeof(float));

	read_buffer(pool->to_launch.out, got, (n + 1) * ld * sizeof(float));
	for (int32 s = FIRST; s < n; s++)
		judge_vector(pool, s, got + s * ld, verdict);
	judge_untouched(verdict, got, FIRST * ld);
	judge_untouched(verdict, got + n * ld, ld);
}

const KernelTest pool_test = {
	.kernel = BERT_KERNEL_POOL,
	.list = list_pool,
	.make = make_pool,
	.launch = launch_pool,
	.judge = judge_pool,
	.work = pool_work,
};

/* ---- rows in place ---- */

typedef struct RowsShape
{
	int32 rows;
	int32 columns;
	BertActivation kind; /* activate_rows only, as add_residual */
	bool add_residual;
} RowsShape;

typedef struct Rows
{
	RowsShape shape;
	int32 ld;
	size_t size;     /* of all rows: the last one is not the kernel's */
	float *x;        /* (rows + 1, ld) */
	float *residual; /* as x */
	BertBuffer *x_buffer;
	BertBuffer *residual_buffer;
} Rows;

static const int32 row_shapes[][2] = {
	{1, 1}, {4, 26}, {5, 15}, {5, 16}, {5, 17}, {5, 384}, {66, 1056}, {5, 4100},
};
#define N_SMALL_ROW_SHAPES 2

static Rows *
make_rows(const void *from)
{
	Rows *rows = palloc0(sizeof(*rows));

	rows->shape = *(const RowsShape *) from;
	rows->ld = BERT_PADDED(rows->shape.columns);
	rows->size = (size_t) (rows->shape.rows + 1) * rows->ld;
	rows->x = marked(rows->size);
	memset(rows->x, 0, (rows->size - rows->ld) * sizeof(float));
	return rows;
}

static Work
rows_work(const void *shape)
{
	const RowsShape *s = shape;

	return (Work){.nbytes = 2 * sizeof(float) * s->rows * s->columns};
}

/* ---- activate_rows ---- */

static void
add_activate(CaseSize size, RowsShape shape)
{
	KernelCase base = {
		.test = &activate_rows_test,
		.size = size,
		.activation = ANY,
		.head_size = ANY,
	};

	add_case(&base, &shape, sizeof(shape), "%dx%d %s%s", shape.rows, shape.columns,
			 activation_names[shape.kind], shape.add_residual ? " + residual" : "");
}

static void
list_activate(void)
{
	for (int i = 0; i < (int) lengthof(row_shapes); i++)
		for (int add = 0; add < 2; add++)
			add_activate(
				i < N_SMALL_ROW_SHAPES ? SMALL : USUAL,
				(RowsShape){row_shapes[i][0], row_shapes[i][1], BERT_ACT_TANH, add});
	for (BertActivation kind = 0; kind < BERT_ACT_PRELU; kind++) /* no parameters */
		add_activate(SMALL, (RowsShape){3, 100, kind});
	add_activate(USUAL, (RowsShape){BERT_MAX_GROUPS - 1, 5, BERT_ACT_RELU});
	add_activate(TIMED, (RowsShape){1000, 768, BERT_ACT_TANH});
}

static void *
make_activate(const void *from)
{
	Rows *rows = make_rows(from);
	const RowsShape *shape = &rows->shape;
	float *inputs = activation_inputs(shape->rows * shape->columns);

	for (int32 r = 0; r < shape->rows; r++)
		memcpy(rows->x + (size_t) r * rows->ld, inputs + (size_t) r * shape->columns,
			   shape->columns * sizeof(float));
	rows->x_buffer = buffer_of(rows->x, rows->size * sizeof(float));
	if (shape->add_residual)
	{
		rows->residual = matrix(shape->rows + 1, shape->columns, rows->ld, RANDOM);
		rows->residual_buffer = buffer_of(rows->residual, rows->size * sizeof(float));
	}
	return rows;
}

static void
launch_activate(void *run)
{
	const Rows *rows = run;

	bert_launch_activate(&under_test, rows->shape.kind, rows->x_buffer, rows->ld,
						 rows->shape.columns, rows->residual_buffer, rows->shape.rows);
}

static void
judge_activate(void *run, Verdict *verdict)
{
	const Rows *rows = run;
	float *y = palloc(rows->size * sizeof(float));
	size_t n = rows->size - rows->ld;

	read_buffer(rows->x_buffer, y, rows->size * sizeof(float));
	for (size_t at = 0; at < n; at++)
	{
		int32 row = at / rows->ld;
		int32 column = at % rows->ld;

		if (column >= rows->shape.columns)
			judge(verdict, row, column, y[at], 0, 0);
		else
			judge_activation(verdict, row, column, y[at], rows->shape.kind, rows->x[at],
							 rows->residual != NULL ? rows->residual[at] : 0);
	}
	judge_untouched(verdict, y + n, rows->ld);
}

const KernelTest activate_rows_test = {
	.kernel = BERT_KERNEL_ACTIVATE_ROWS,
	.list = list_activate,
	.make = make_activate,
	.launch = launch_activate,
	.judge = judge_activate,
	.work = rows_work,
};

/* ---- normalize_rows ---- */

static void
list_normalize(void)
{
	for (int i = 0; i < (int) lengthof(row_shapes); i++)
	{
		RowsShape shape = {row_shapes[i][0], row_shapes[i][1]};
		KernelCase base = {
			.test = &normalize_rows_test,
			.size = i < N_SMALL_ROW_SHAPES ? SMALL : USUAL,
			.activation = ANY,
			.head_size = ANY,
		};

		add_case(&base, &shape, sizeof(shape), "%dx%d", shape.rows, shape.columns);
	}
}

/* Row after row: ordinary; zero, which has no direction; too short for one; NaN in it. */
static void *
make_normalize(const void *from)
{
	Rows *rows = make_rows(from);
	const RowsShape *shape = &rows->shape;

	for (int32 r = 0; r < shape->rows; r++)
	{
		static const float scales[] = {3, 0, 1e-20f, 1};
		float *row = rows->x + (size_t) r * rows->ld;

		for (int32 i = 0; i < shape->columns; i++)
			row[i] = scales[r % 4] * random_float();
		if (r % 4 == 3)
			row[shape->columns - 1] = NAN;
	}
	rows->x_buffer = buffer_of(rows->x, rows->size * sizeof(float));
	return rows;
}

static void
launch_normalize(void *run)
{
	const Rows *rows = run;

	bert_launch_normalize(&under_test, rows->x_buffer, rows->ld, rows->shape.columns,
						  rows->shape.rows);
}

/* The sum of squares, all of them positive, is a chain of size / 16 terms in each lane. */
static void
judge_direction(const Rows *rows, int32 row, const float *got, Verdict *verdict)
{
	const float *x = rows->x + (size_t) row * rows->ld;
	double bound = (rows->shape.columns / 16 + 8) * ROUNDING;
	double squares = 0;
	double length;

	for (int32 i = 0; i < rows->shape.columns; i++)
		squares += (double) x[i] * x[i];
	length = sqrt(squares) < 1e-12 ? 1e-12 : sqrt(squares); /* NaN stays */
	for (int32 i = 0; i < rows->shape.columns; i++)
		judge(verdict, row, i, got[i], x[i] / length, bound * fabs(x[i] / length));
	for (int32 i = rows->shape.columns; i < rows->ld; i++)
		judge(verdict, row, i, got[i], isnan(length) ? got[i] : 0, 0);
}

static void
judge_normalize(void *run, Verdict *verdict)
{
	const Rows *rows = run;
	float *y = palloc(rows->size * sizeof(float));

	read_buffer(rows->x_buffer, y, rows->size * sizeof(float));
	for (int32 r = 0; r < rows->shape.rows; r++)
		judge_direction(rows, r, y + (size_t) r * rows->ld, verdict);
	judge_untouched(verdict, y + rows->size - rows->ld, rows->ld);
}

const KernelTest normalize_rows_test = {
	.kernel = BERT_KERNEL_NORMALIZE_ROWS,
	.list = list_normalize,
	.make = make_normalize,
	.launch = launch_normalize,
	.judge = judge_normalize,
	.work = rows_work,
};
