/*
 * kernel_case.c
 *	  What the kernels' tests have in common: numbers, buffers, a judgement.
 */
#include "port.h"
#include "kernel_case.h"
#include "reference.h"

#include <float.h>
#include <math.h>

#define MARK 12345.0f

const char *const activation_names[] = {
	[BERT_ACT_GELU] = "gelu",
	[BERT_ACT_GELU_TANH] = "gelu_tanh",
	[BERT_ACT_GELU_FAST] = "gelu_fast",
	[BERT_ACT_QUICK_GELU] = "quick_gelu",
	[BERT_ACT_RELU] = "relu",
	[BERT_ACT_SILU] = "silu",
	[BERT_ACT_TANH] = "tanh",
	[BERT_ACT_GELU_10] = "gelu_10",
	[BERT_ACT_RELU2] = "relu2",
	[BERT_ACT_RELU6] = "relu6",
	[BERT_ACT_MISH] = "mish",
	[BERT_ACT_SIGMOID] = "sigmoid",
	[BERT_ACT_LINEAR] = "linear",
	[BERT_ACT_LAPLACE] = "laplace",
	[BERT_ACT_LEAKY_RELU] = "leaky_relu",
	[BERT_ACT_HARDSWISH] = "hardswish",
	[BERT_ACT_SQRTSOFTPLUS] = "sqrtsoftplus",
	[BERT_ACT_PRELU] = "prelu",
	[BERT_ACT_XIELU] = "xielu",
};

const char *const numbers_names[] = {
	[WHOLE] = "whole",
	[RANDOM] = "random",
	[DAMAGED] = "damaged",
};

/* ---- numbers ---- */

float *
matrix(int32 rows, int32 columns, int32 ld, Numbers numbers)
{
	float *values = palloc0((size_t) rows * ld * sizeof(float));

	for (int32 r = 0; r < rows; r++)
		for (int32 c = 0; c < columns; c++)
			values[(size_t) r * ld + c] =
				numbers == WHOLE ? random_whole(3) : random_float();
	return values;
}

float *
marked(size_t n)
{
	float *values = palloc(n * sizeof(float));

	for (size_t i = 0; i < n; i++)
		values[i] = MARK;
	return values;
}

/* ---- activations ---- */

const float activation_parameters[BERT_ACT_PARAMETERS] = {0.8f, 0.7f, 0.5f, -1e-6f};

static const float special_inputs[] = {
	0.0f,  -0.0f,  1e-45f, -1e-45f, 1e-30f, -1e-30f, 1e-8f,  -1e-8f,
	1.0f,  -1.0f,  5.5f,   -5.5f,   5.6f,   -5.6f,   9.0f,   -9.0f,
	40.0f, -40.0f, 87.f,   -87.0f,  88.03f, -88.03f, 104.0f, -104.0f,
	1e4f,  -1e4f,  1e10f,  -1e10f,  1e12f,  -1e12f,  NAN, /* a model's damage must come out, not look sound, and in its lane only */
};

float *
activation_inputs(int32 n)
{
	float *x = palloc(n * sizeof(float));
	int32 n_special = Min(n, (int32) lengthof(special_inputs));

	memcpy(x, special_inputs, n_special * sizeof(float));
	for (int32 i = n_special; i < n; i++)
		x[i] = random_float() * (i % 4 ? 8 : 40);
	return x;
}

#define ACTIVATION_BOUND 2.5e-7

static double
activation_scale(BertActivation kind, double x)
{
	switch (kind)
	{
		case BERT_ACT_TANH:
		case BERT_ACT_SIGMOID:
		case BERT_ACT_LAPLACE:
			return 1;
		case BERT_ACT_SQRTSOFTPLUS:
			return 1 + sqrt(fabs(x));
		case BERT_ACT_RELU2:
			return x * x;
		case BERT_ACT_XIELU:
			return x * x + fabs(x) + fabsf(activation_parameters[3]);
		default:
			return fabs(x);
	}
}

/* A device may take numbers below FLT_MIN for 0, where xielu has a step. */
static double
expected_activation(BertActivation kind, double x, double got)
{
	double y = bert_reference_activation(kind, activation_parameters, x);
	double of_zero = bert_reference_activation(kind, activation_parameters, 0);

	return fabs(x) < FLT_MIN && fabs(got - of_zero) < fabs(got - y) ? of_zero : y;
}

void
judge_activation(Verdict *verdict, int32 row, int32 column, float got,
				 BertActivation kind, double x, double residual)
{
	double y = expected_activation(kind, x, got - residual);
	double of_sum = residual == 0 ? 0 : ROUNDING * fabs(y + residual);

	judge(verdict, row, column, got, y + residual,
		  ACTIVATION_BOUND * (activation_scale(kind, x) + 1e-37) + of_sum);
}

/* ---- judging ---- */

/* The difference in parts of the allowed one. */
static double
parts_of(float got, double expected, double allowed)
{
	double difference = fabs(got - expected);

	if (isnan(expected))
		return isnan(got) ? 0 : INFINITY;
	if (got == expected)
		return 0;
	return difference <= DBL_MAX ? difference / allowed : INFINITY;
}

void
judge(Verdict *verdict, int32 row, int32 column, float got, double expected,
	  double allowed)
{
	double parts = parts_of(got, expected, allowed);

	if (parts <= verdict->parts)
		return;
	verdict->parts = parts;
	verdict->expected = expected;
	verdict->got = got;
	verdict->row = row;
	verdict->column = column;
}

void
judge_untouched(Verdict *verdict, const float *values, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (values[i] != MARK)
		{
			verdict->touched = true;
			verdict->parts = INFINITY;
		}
}
