/*
 * kernel_linear.c
 *	  Cases of linear: y = epilogue(x W^T + b), and of the activations in its epilogue.
 *
 * Shapes are named ROWSxINxOUT. Some begin at row 3, which leaves rows before and behind
 * that the kernel may read but not write.
 */
#include "port.h"
#include "kernel_case.h"
#include "weights.h"

#include <math.h>

typedef struct LinearShape
{
	int32 first_row;
	int32 rows;
	int32 in_size;
	int32 out_size;
	BertEpilogue epilogue;
	Numbers numbers;
} LinearShape;

/* A layer, in host memory and on the device. */
typedef struct Linear
{
	LinearShape shape;
	int32 all_rows; /* of x and y, the untouched ones included */
	int32 ld_y;
	float *x;        /* (all_rows, padded in_size) */
	float *weight;   /* (panels, in_size, BERT_PANEL) */
	float *bias;     /* (ld_y) */
	float *residual; /* (all_rows, ld_y) */
	size_t size_y;   /* all_rows * ld_y */
	BertLinearLaunch to_launch;
} Linear;

/* ---- shapes ---- */

static const char *const epilogue_names[] = {
	[BERT_EPILOGUE_BIAS] = "bias",
	[BERT_EPILOGUE_ACTIVATION] = "relu", /* which keeps whole numbers whole */
	[BERT_EPILOGUE_RESIDUAL] = "residual",
};

static void
add_shape(CaseSize size, LinearShape shape)
{
	KernelCase base = {
		.test = &linear_test,
		.size = size,
		.activation = shape.epilogue == BERT_EPILOGUE_ACTIVATION ? BERT_ACT_RELU : ANY,
		.head_size = ANY,
	};

	add_case(&base, &shape, sizeof(shape), "%dx%dx%d%s %s %s", shape.rows,
			 shape.in_size, shape.out_size, shape.first_row ? " from row 3" : "",
			 epilogue_names[shape.epilogue], numbers_names[shape.numbers]);
}

/* With every epilogue. */
static void
add_shapes(CaseSize size, int32 first_row, int32 rows, int32 in_size, int32 out_size,
		   Numbers numbers)
{
	for (int epilogue = 0; epilogue <= BERT_EPILOGUE_RESIDUAL; epilogue++)
		add_shape(size,
				  (LinearShape){first_row, rows, in_size, out_size, epilogue, numbers});
}

static void
list_linear(void)
{
	static const int32 row_counts[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 63, 64, 65, 100};
	static const int32 in_sizes[] = {1, 3, 26, 312, 384, 1536};
	static const int32 out_sizes[] = {1, 47, 48, 49, 26, 312, 1152};

	for (int i = 0; i < (int) lengthof(row_counts); i++)
		for (int32 first = 0; first <= 3; first += 3)
			add_shapes(i < 5 ? SMALL : USUAL, first, row_counts[i], 26, 49, WHOLE);
	for (int i = 0; i < (int) lengthof(in_sizes); i++)
		for (int o = 0; o < (int) lengthof(out_sizes); o++)
			add_shapes(i < 3 && o < 4 ? SMALL : USUAL, 3, 5, in_sizes[i], out_sizes[o],
					   WHOLE);
	add_shapes(SMALL, 0, 5, 100, 49, WHOLE);
	add_shapes(SMALL, 0, 5, 26, 49, RANDOM);
	add_shapes(SMALL, 0, 5, 100, 1, RANDOM);
	add_shapes(SMALL, 0, 5, 26, 49, DAMAGED);
	add_shapes(USUAL, 0, 9, 384, 1152, RANDOM);
	add_shapes(USUAL, 0, 9, 1536, 384, RANDOM);
	add_shapes(USUAL, 0, 70, 384, 1152, DAMAGED);
	add_shapes(USUAL, 0, 9, 4100, 5, RANDOM);
	add_shapes(USUAL, 0, 9, 5, 4100, RANDOM);
	add_shapes(USUAL, 0, 5, 1, 30001, WHOLE);
	add_shapes(USUAL, 0, BERT_MAX_GROUPS - 1, 3, 1, WHOLE);
	/* A batch of 1024 tokens in MiniLM, a text of 32 in BERT base. */
	add_shape(TIMED, (LinearShape){0, 1024, 384, 1152, BERT_EPILOGUE_BIAS, RANDOM});
	add_shape(TIMED,
			  (LinearShape){0, 1024, 384, 1536, BERT_EPILOGUE_ACTIVATION, RANDOM});
	add_shape(TIMED, (LinearShape){0, 1024, 1536, 384, BERT_EPILOGUE_RESIDUAL, RANDOM});
	add_shape(TIMED, (LinearShape){0, 32, 768, 3072, BERT_EPILOGUE_ACTIVATION, RANDOM});
	add_shape(TIMED, (LinearShape){0, 32, 3072, 768, BERT_EPILOGUE_RESIDUAL, RANDOM});
}

static Work
linear_work(const void *shape)
{
	const LinearShape *s = shape;
	double rows = s->rows;

	return (Work){
		.operations = 2 * rows * s->in_size * s->out_size,
		.nbytes = sizeof(float) * (rows * s->in_size + rows * s->out_size +
								   (double) s->in_size * s->out_size),
	};
}

/* ---- a layer ---- */

/* W transposed, in panels, as a pack has it. */
static float *
random_panels(int32 in_size, int32 out_size, Numbers numbers)
{
	float *panels = palloc0((size_t) BERT_PADDED(out_size) * in_size * sizeof(float));

	for (int32 o = 0; o < out_size; o += BERT_PANEL)
	{
		int32 n = Min(BERT_PANEL, out_size - o);
		float *panel = matrix(in_size, n, BERT_PANEL, numbers);

		memcpy(panels + (size_t) o * in_size, panel,
			   (size_t) BERT_PANEL * in_size * sizeof(float));
		pfree(panel);
	}
	return panels;
}

/* NaN in one row of x, in one column of W, in one bias: rows and columns of NaN. */
static void
damage(Linear *layer)
{
	const LinearShape *shape = &layer->shape;
	int32 column = shape->out_size / 2;
	size_t panel = column / BERT_PANEL * BERT_PANEL;

	layer->x[BERT_PADDED(shape->in_size) + shape->in_size - 1] = NAN;
	layer->weight[panel * shape->in_size + column % BERT_PANEL] = NAN;
	layer->bias[shape->out_size - 1] = NAN;
}

static void *
make_linear(const void *from)
{
	Linear *layer = palloc0(sizeof(*layer));
	const LinearShape *shape = &layer->shape;
	int32 ld_x;
	float *y;

	layer->shape = *(const LinearShape *) from;
	layer->all_rows = shape->first_row + shape->rows + 3;
	ld_x = BERT_PADDED(shape->in_size);
	layer->ld_y = BERT_PADDED(shape->out_size);
	layer->size_y = (size_t) layer->all_rows * layer->ld_y;
	layer->x = matrix(layer->all_rows, shape->in_size, ld_x, shape->numbers);
	layer->weight = random_panels(shape->in_size, shape->out_size, shape->numbers);
	layer->bias = matrix(1, shape->out_size, layer->ld_y, shape->numbers);
	layer->residual =
		matrix(layer->all_rows, shape->out_size, layer->ld_y, shape->numbers);
	if (shape->numbers == DAMAGED)
		damage(layer);
	y = marked(layer->size_y);
	layer->to_launch = (BertLinearLaunch){
		.epilogue = shape->epilogue,
		.x = buffer_of(layer->x, (size_t) layer->all_rows * ld_x * sizeof(float)),
		.ld_x = ld_x,
		.weight = buffer_of(layer->weight,
							(size_t) layer->ld_y * shape->in_size * sizeof(float)),
		.bias = buffer_of(layer->bias, layer->ld_y * sizeof(float)),
		.y = buffer_of(y, layer->size_y * sizeof(float)),
		.ld_y = layer->ld_y,
		.in_size = shape->in_size,
		.first_row = shape->first_row,
		.end_row = shape->first_row + shape->rows,
	};
	if (shape->epilogue == BERT_EPILOGUE_RESIDUAL)
		layer->to_launch.residual =
			buffer_of(layer->residual, layer->size_y * sizeof(float));
	pfree(y);
	return layer;
}

static void
launch_linear(void *run)
{
	bert_launch_linear(&under_test, &((Linear *) run)->to_launch);
}

/* ---- its reference ---- */

static double
after_epilogue(const Linear *layer, double sum, size_t at)
{
	if (layer->shape.epilogue == BERT_EPILOGUE_ACTIVATION)
		return sum < 0 ? 0 : sum; /* NaN stays */
	if (layer->shape.epilogue == BERT_EPILOGUE_RESIDUAL)
		return sum + layer->residual[at];
	return sum;
}

/*
 * The rounding errors of a sum of n terms are a random walk: all but one in 10^8 stay
 * below 6 sqrt(n) roundings of the sum of absolute values. Sums are joined of blocks of
 * SUM_BLOCK terms (K_BLOCK in the kernels), so n is what such a block has, and the number
 * of the blocks.
 */
#define SUM_BLOCK 64

static double
sum_bound(int32 n, double spread)
{
	return 6 * sqrt(Min(n, SUM_BLOCK) + n / SUM_BLOCK + 1) * ROUNDING * (spread + 1);
}

/* One row of one panel. */
static void
judge_panel(const Linear *layer, int32 row, int32 first, const float *got,
			Verdict *verdict)
{
	const LinearShape *shape = &layer->shape;
	const float *x = layer->x + (size_t) row * BERT_PADDED(shape->in_size);
	const float *w = layer->weight + (size_t) first * shape->in_size;
	double sum[BERT_PANEL];
	double spread[BERT_PANEL];

	for (int o = 0; o < BERT_PANEL; o++)
	{
		sum[o] = layer->bias[first + o];
		spread[o] = fabs(sum[o]);
	}
	for (int32 k = 0; k < shape->in_size; k++, w += BERT_PANEL)
		for (int o = 0; o < BERT_PANEL; o++)
		{
			double product = (double) x[k] * w[o];

			sum[o] += product;
			spread[o] += fabs(product);
		}
	for (int o = 0; o < BERT_PANEL; o++)
	{
		size_t at = (size_t) row * layer->ld_y + first + o;
		bool exact = shape->numbers == WHOLE || first + o >= shape->out_size;

		judge(verdict, row, first + o, got[at], after_epilogue(layer, sum[o], at),
			  exact ? 0 : sum_bound(shape->in_size, spread[o]));
	}
}

/* The rows asked for are right, zeros behind out_size; the other rows are as before. */
static void
judge_linear(void *run, Verdict *verdict)
{
	const Linear *layer = run;
	int32 end_row = layer->shape.first_row + layer->shape.rows;
	float *y = palloc(layer->size_y * sizeof(float));

	read_buffer(layer->to_launch.y, y, layer->size_y * sizeof(float));
	for (int32 row = layer->shape.first_row; row < end_row; row++)
		for (int32 first = 0; first < layer->ld_y; first += BERT_PANEL)
			judge_panel(layer, row, first, y, verdict);
	judge_untouched(verdict, y, (size_t) layer->shape.first_row * layer->ld_y);
	judge_untouched(verdict, y + (size_t) end_row * layer->ld_y,
					(size_t) (layer->all_rows - end_row) * layer->ld_y);
}

const KernelTest linear_test = {
	.kernel = BERT_KERNEL_LINEAR,
	.list = list_linear,
	.make = make_linear,
	.launch = launch_linear,
	.judge = judge_linear,
	.work = linear_work,
};

/* ---- activations ---- */

typedef struct ActivationShape
{
	BertActivation activation;
	int32 n;
} ActivationShape;

typedef struct Activation
{
	ActivationShape shape;
	float *x; /* (n) */
	BertLinearLaunch to_launch;
} Activation;

static void
add_activation(CaseSize size, BertActivation activation, int32 n_panels)
{
	KernelCase base = {
		.test = &activation_test,
		.size = size,
		.activation = activation,
		.head_size = ANY,
	};
	ActivationShape shape = {activation, n_panels * BERT_PANEL};

	add_case(&base, &shape, sizeof(shape), "1x1x%d %s of numbers in [-40, 40]", shape.n,
			 activation_names[activation]);
}

/*
 * Each of them is another program, which simulators take seconds to compile: they try
 * those that have parameters, and the others in activate_rows.
 */
static void
list_activations(void)
{
	add_activation(SMALL, BERT_ACT_GELU, 20);
	add_activation(SMALL, BERT_ACT_PRELU, 20);
	add_activation(SMALL, BERT_ACT_XIELU, 20);
	for (int activation = 0; activation < N_ACTIVATIONS; activation++)
		add_activation(USUAL, activation, 10000);
}

/*
 * y = act(1 * x + 0): a layer of one input, 1, whose weights are the numbers to try. A
 * work-item serves 48 of them, so that lanes are tried, too.
 */
static void *
make_activation(const void *from)
{
	Activation *run = palloc0(sizeof(*run));
	size_t nbytes;
	float *zeros;
	float one = 1;

	run->shape = *(const ActivationShape *) from;
	nbytes = run->shape.n * sizeof(float);
	run->x = activation_inputs(run->shape.n);
	zeros = palloc0(nbytes);
	run->to_launch = (BertLinearLaunch){
		.epilogue = BERT_EPILOGUE_ACTIVATION,
		.x = buffer_of(&one, sizeof(one)),
		.ld_x = 1,
		.weight = buffer_of(run->x, nbytes),
		.bias = buffer_of(zeros, nbytes),
		.parameters =
			buffer_of(activation_parameters, BERT_ACT_PARAMETERS * sizeof(float)),
		.y = buffer_of(zeros, nbytes),
		.ld_y = run->shape.n,
		.in_size = 1,
		.end_row = 1,
	};
	return run;
}

static void
launch_activation(void *run)
{
	bert_launch_linear(&under_test, &((Activation *) run)->to_launch);
}

static void
judge_activations(void *run, Verdict *verdict)
{
	const Activation *a = run;
	float *y = palloc(a->shape.n * sizeof(float));

	read_buffer(a->to_launch.y, y, a->shape.n * sizeof(float));
	for (int32 i = 0; i < a->shape.n; i++)
		judge_activation(verdict, 0, i, y[i], a->shape.activation, a->x[i], 0);
}

static Work
activation_work(const void *shape)
{
	double n = ((const ActivationShape *) shape)->n;

	return (Work){.operations = 2 * n, .nbytes = 3 * sizeof(float) * n};
}

const KernelTest activation_test = {
	.kernel = BERT_KERNEL_LINEAR,
	.list = list_activations,
	.make = make_activation,
	.launch = launch_activation,
	.judge = judge_activations,
	.work = activation_work,
};
