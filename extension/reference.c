/*
 * reference.c
 *	  The forward pass in plain C. See reference.h.
 *
 * Names and order of steps follow transformers' modeling_bert.py.
 */
#include "port.h"
#include "reference.h"

#include <math.h>

/* activations.py */
double
bert_reference_activation(BertActivation activation, double x)
{
	switch (activation)
	{
		case BERT_ACT_GELU:
			return 0.5 * x * (1 + erf(x / sqrt(2)));
		case BERT_ACT_GELU_TANH:
			return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
		case BERT_ACT_GELU_FAST:
			return 0.5 * x * (1 + tanh(0.7978845608 * (x + 0.044715 * x * x * x)));
		case BERT_ACT_QUICK_GELU:
			return x / (1 + exp(-1.702 * x));
		case BERT_ACT_RELU:
			return Max(x, 0);
		case BERT_ACT_SILU:
			return x / (1 + exp(-x));
		case BERT_ACT_TANH:
			return tanh(x);
	}
	return x;
}

/* One row: y (out) = x (in) W^T + b, panel by panel as the weights lie. */
static void
linear_row(const void *weights, const BertLinear *layer, const float *x, float *y)
{
	const float *w = bert_weights_at(weights, layer->weight);
	const float *bias = bert_weights_at(weights, layer->bias);

	for (int32 first = 0; first < layer->out_size; first += BERT_PANEL)
	{
		int32 n = Min(BERT_PANEL, layer->out_size - first);
		double sum[BERT_PANEL];

		for (int32 o = 0; o < BERT_PANEL; o++)
			sum[o] = bias[first + o];
		for (int32 i = 0; i < layer->in_size; i++, w += BERT_PANEL)
			for (int32 o = 0; o < BERT_PANEL; o++)
				sum[o] += (double) x[i] * w[o];
		for (int32 o = 0; o < n; o++)
			y[first + o] = sum[o];
	}
}

/* y (n, out) = x (n, in) W^T + b */
static void
linear(const void *weights, const BertLinear *layer, const float *x, int32 n, float *y)
{
	for (int32 t = 0; t < n; t++)
	{
		CHECK_FOR_INTERRUPTS();
		linear_row(weights, layer, x + (size_t) t * layer->in_size,
				   y + (size_t) t * layer->out_size);
	}
}

/* x (n, size) = (x - mean) / sqrt(var + eps) * weight + bias, row by row */
static void
layer_norm(const void *weights, const BertNorm *norm, double eps, float *x, int32 n,
		   int32 size)
{
	const float *weight = bert_weights_at(weights, norm->weight);
	const float *bias = bert_weights_at(weights, norm->bias);

	for (float *row = x; row < x + (size_t) n * size; row += size)
	{
		double mean = 0;
		double variance = 0;

		for (int32 i = 0; i < size; i++)
			mean += row[i] / (double) size;
		for (int32 i = 0; i < size; i++)
			variance += (row[i] - mean) * (row[i] - mean) / size;
		for (int32 i = 0; i < size; i++)
			row[i] = (row[i] - mean) / sqrt(variance + eps) * weight[i] + bias[i];
	}
}

/* BertEmbeddings */
static void
embeddings(const BertConfig *config, const BertWeightsLayout *layout,
		   const void *weights, const BertSequence *sequence, float *hidden)
{
	int32 size = config->hidden_size;
	const float *word = bert_weights_at(weights, layout->word_embeddings);
	const float *position = bert_weights_at(weights, layout->position_embeddings);
	const float *type = bert_weights_at(weights, layout->type_embeddings);

	for (int32 p = 0; p < sequence->n_tokens; p++)
		for (int32 i = 0; i < size; i++)
			hidden[(size_t) p * size + i] =
				word[(size_t) sequence->ids[p] * size + i] +
				type[(size_t) (p >= sequence->first_size) * size + i] +
				position[(size_t) p * size + i];
	layer_norm(weights, &layout->embeddings_norm, config->layer_norm_eps, hidden,
			   sequence->n_tokens, size);
}

/* BertSelfAttention of one head and one query; qkv (n, 3 hidden), context (hidden) */
static void
attend(const BertConfig *config, const float *qkv, int32 n, int32 head, int32 query,
	   double *weight, float *context)
{
	int32 hidden = config->hidden_size;
	int32 d = config->head_size;
	const float *q = qkv + (size_t) query * 3 * hidden + head * d;
	double largest = -INFINITY;
	double sum = 0;

	for (int32 j = 0; j < n; j++)
	{
		const float *k = qkv + (size_t) j * 3 * hidden + hidden + head * d;

		weight[j] = 0;
		for (int32 i = 0; i < d; i++)
			weight[j] += (double) q[i] * k[i];
		weight[j] /= sqrt(d);
		largest = Max(largest, weight[j]);
	}
	for (int32 j = 0; j < n; j++)
		sum += weight[j] = exp(weight[j] - largest);
	for (int32 i = 0; i < d; i++)
	{
		double value = 0;

		for (int32 j = 0; j < n; j++)
			value += weight[j] / sum *
					 qkv[(size_t) j * 3 * hidden + 2 * hidden + head * d + i];
		context[head * d + i] = value;
	}
}

/* BertLayer; hidden (n, H) in and out */
static void
run_layer(const BertConfig *config, const BertLayer *layer, const void *weights,
		  int32 n, float *hidden)
{
	int32 size = config->hidden_size;
	float *qkv = palloc((size_t) n * 3 * size * sizeof(float));
	float *context = palloc((size_t) n * size * sizeof(float));
	float *y = palloc((size_t) n * size * sizeof(float));
	float *inner = palloc((size_t) n * config->intermediate_size * sizeof(float));
	double *weight = palloc(n * sizeof(double));

	linear(weights, &layer->qkv, hidden, n, qkv);
	for (int32 head = 0; head < config->num_heads; head++)
		for (int32 query = 0; query < n; query++)
			attend(config, qkv, n, head, query, weight,
				   context + (size_t) query * size);
	linear(weights, &layer->attention_output, context, n, y);
	for (size_t i = 0; i < (size_t) n * size; i++)
		y[i] += hidden[i];
	layer_norm(weights, &layer->attention_norm, config->layer_norm_eps, y, n, size);
	linear(weights, &layer->intermediate, y, n, inner);
	for (size_t i = 0; i < (size_t) n * config->intermediate_size; i++)
		inner[i] = bert_reference_activation(config->hidden_act, inner[i]);
	linear(weights, &layer->output, inner, n, hidden);
	for (size_t i = 0; i < (size_t) n * size; i++)
		hidden[i] += y[i];
	layer_norm(weights, &layer->output_norm, config->layer_norm_eps, hidden, n, size);
	pfree(qkv);
	pfree(context);
	pfree(y);
	pfree(inner);
	pfree(weight);
}

void
bert_reference_hidden(const BertConfig *config, const void *weights,
					  const BertSequence *sequence, int32 layers, float *hidden)
{
	BertWeightsLayout *layout = bert_weights_layout(config);

	embeddings(config, layout, weights, sequence, hidden);
	for (int32 i = 0; i < layers; i++)
		run_layer(config, &layout->layers[i], weights, sequence->n_tokens, hidden);
	pfree(layout);
}

/* One mode of sentence-transformers' Pooling. */
static float
pool_one(const float *x, int32 n, int32 stride, BertPooling mode)
{
	double largest = -INFINITY;
	double sum = 0;
	double weighted = 0;

	for (int32 t = 0; t < n; t++)
	{
		largest = Max(largest, x[(size_t) t * stride]);
		sum += x[(size_t) t * stride];
		weighted += (t + 1.0) * x[(size_t) t * stride];
	}
	switch (mode)
	{
		case BERT_POOL_CLS:
			return x[0];
		case BERT_POOL_MAX:
			return largest;
		case BERT_POOL_MEAN:
			return sum / n;
		case BERT_POOL_MEAN_SQRT:
			return sum / sqrt(n);
		case BERT_POOL_WEIGHTED_MEAN:
			return weighted / (0.5 * n * (n + 1));
		case BERT_POOL_LAST:
			return x[(size_t) (n - 1) * stride];
	}
	return 0;
}

void
bert_reference_pool(const float *hidden, int32 n_tokens, int32 hidden_size, int32 modes,
					bool normalize, float *result)
{
	double squares = 0;
	int32 size = 0;

	for (int mode = 0; mode < BERT_POOL_MODES; mode++)
		if (modes & (1 << mode))
			for (int32 i = 0; i < hidden_size; i++)
				result[size++] = pool_one(hidden + i, n_tokens, hidden_size, 1 << mode);
	if (!normalize)
		return;
	for (int32 i = 0; i < size; i++)
		squares += (double) result[i] * result[i];
	for (int32 i = 0; i < size; i++)
		result[i] /= Max(sqrt(squares), 1e-12);
}

void
bert_reference_encode(const BertConfig *config, const BertRecipe *recipe,
					  const void *weights, const BertSequence *sequence,
					  BertOutput output, float *result)
{
	float *hidden =
		palloc((size_t) sequence->n_tokens * config->hidden_size * sizeof(float));

	bert_reference_hidden(config, weights, sequence, config->num_layers, hidden);
	if (output == BERT_OUTPUT_EMBEDDING)
		bert_reference_pool(hidden, sequence->n_tokens, config->hidden_size,
							recipe->pooling, recipe->normalize, result);
	else if (output == BERT_OUTPUT_CLS)
		memcpy(result, hidden, config->hidden_size * sizeof(float));
	else
	{
		BertWeightsLayout *layout = bert_weights_layout(config);

		linear(weights, &layout->pooler, hidden, 1, result);
		for (int32 i = 0; i < config->hidden_size; i++)
			result[i] = tanh(result[i]);
		pfree(layout);
	}
	pfree(hidden);
}
