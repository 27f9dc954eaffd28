/*
 * reference.c
 *	  The forward pass in plain C. See reference.h.
 *
 * Names and order of steps follow transformers' modeling_bert.py (of transformers 4 where
 * positions are relative) and sentence-transformers' modules.
 */
#include "port.h"
#include "reference.h"

#include <math.h>

/* ---- activations.py, and torch.nn where it takes its functions from there ---- */

static double
sigmoid(double x)
{
	return 1 / (1 + exp(-x));
}

/* torch.nn.functional.softplus */
static double
softplus(double x)
{
	return x > 20 ? x : log1p(exp(x));
}

static double
gelu(double x)
{
	return 0.5 * x * erfc(-x / sqrt(2));
}

static double
gelu_tanh(double x, double root_2_over_pi)
{
	return 0.5 * x * (1 + tanh(root_2_over_pi * (x + 0.044715 * x * x * x)));
}

static double
xielu(double x, const float *parameters)
{
	double alpha_p = parameters[0];
	double alpha_n = parameters[1];
	double beta = parameters[2];
	double eps = parameters[3];

	if (x > 0)
		return alpha_p * x * x + beta * x;
	return (expm1(Min(x, eps)) - x) * alpha_n + beta * x;
}

double
bert_reference_activation(BertActivation activation, const float *parameters, double x)
{
	if (isnan(x))
		return x;
	switch (activation)
	{
		case BERT_ACT_GELU:
			return gelu(x);
		case BERT_ACT_GELU_TANH:
			return gelu_tanh(x, sqrt(2 / M_PI));
		case BERT_ACT_GELU_FAST:
			return gelu_tanh(x, 0.7978845608);
		case BERT_ACT_QUICK_GELU:
			return x * sigmoid(1.702 * x);
		case BERT_ACT_RELU:
			return Max(x, 0);
		case BERT_ACT_SILU:
			return x * sigmoid(x);
		case BERT_ACT_TANH:
			return tanh(x);
		case BERT_ACT_GELU_10:
			return Min(Max(gelu(x), -10), 10);
		case BERT_ACT_RELU2:
			return Max(x, 0) * Max(x, 0);
		case BERT_ACT_RELU6:
			return Min(Max(x, 0), 6);
		case BERT_ACT_MISH:
			return x * tanh(softplus(x));
		case BERT_ACT_SIGMOID:
			return sigmoid(x);
		case BERT_ACT_LINEAR:
			return x;
		case BERT_ACT_LAPLACE:
			return 0.5 * erfc(-(x - 0.707107) / (0.282095 * sqrt(2)));
		case BERT_ACT_LEAKY_RELU:
			return x < 0 ? 0.01 * x : x;
		case BERT_ACT_HARDSWISH:
			return x * Min(Max(x + 3, 0), 6) / 6;
		case BERT_ACT_SQRTSOFTPLUS:
			return sqrt(softplus(x));
		case BERT_ACT_PRELU:
			return x < 0 ? parameters[0] * x : x;
		case BERT_ACT_XIELU:
			return xielu(x, parameters);
	}
	pg_unreachable();
}

/* ---- layers ---- */

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
		   const void *weights, const BertSequence *sequence, bool positions,
		   float *hidden)
{
	bool absolute = positions && config->position_type == BERT_POSITIONS_ABSOLUTE;
	int32 size = config->hidden_size;
	const float *word = bert_weights_at(weights, layout->word_embeddings);
	const float *position = bert_weights_at(weights, layout->position_embeddings);
	const float *type = bert_weights_at(weights, layout->type_embeddings);

	for (int32 p = 0; p < sequence->n_tokens; p++)
		for (int32 i = 0; i < size; i++)
			hidden[(size_t) p * size + i] =
				word[(size_t) sequence->ids[p] * size + i] +
				type[(size_t) (p >= sequence->first_size) * size + i] +
				(absolute ? position[(size_t) p * size + i] : 0);
	layer_norm(weights, &layout->embeddings_norm, config->layer_norm_eps, hidden,
			   sequence->n_tokens, size);
}

/* What relative positions add to the score of a query and a key, before the scaling. */
static double
distance_score(const BertConfig *config, const float *distances, const float *q,
			   const float *k, int32 distance)
{
	size_t ld = BERT_DISTANCES_LD(config->max_positions);
	const float *e = distances + distance + config->max_positions - 1;
	double score = 0;

	for (int32 i = 0; i < config->head_size; i++)
	{
		score += (double) q[i] * e[i * ld];
		if (config->position_type == BERT_POSITIONS_RELATIVE_KEY_QUERY)
			score += (double) k[i] * e[i * ld];
	}
	return score;
}

void
bert_reference_attention_row(const BertConfig *config, const float *distances,
							 const float *qkv, int32 n, int32 head, int32 query,
							 double *weight)
{
	int32 d = config->head_size;
	size_t ld = 3 * (size_t) config->hidden_size;
	const float *q = qkv + query * ld + head * d;
	double largest = -INFINITY;
	double sum = 0;

	for (int32 j = 0; j < n; j++)
	{
		const float *k = qkv + j * ld + config->hidden_size + head * d;

		weight[j] = 0;
		for (int32 i = 0; i < d; i++)
			weight[j] += (double) q[i] * k[i];
		if (distances != NULL)
			weight[j] += distance_score(config, distances, q, k, query - j);
		weight[j] /= sqrt(d);
		largest = Max(largest, weight[j]);
	}
	for (int32 j = 0; j < n; j++)
		sum += weight[j] = exp(weight[j] - largest);
	for (int32 j = 0; j < n; j++)
		weight[j] /= sum;
}

/* Distances of a layer, where its scores know positions by them. */
static const float *
distances_of(const BertConfig *config, const BertLayer *layer, const void *weights,
			 bool positions)
{
	if (!positions || config->position_type == BERT_POSITIONS_ABSOLUTE)
		return NULL;
	return bert_weights_at(weights, layer->distances);
}

/* BertSelfAttention; qkv (n, 3 hidden), context (n, hidden) */
static void
self_attention(const BertConfig *config, const float *distances, const float *qkv,
			   int32 n, float *context)
{
	int32 hidden = config->hidden_size;
	int32 d = config->head_size;
	double *weight = palloc(n * sizeof(double));

	for (int32 head = 0; head < config->num_heads; head++)
		for (int32 query = 0; query < n; query++)
		{
			CHECK_FOR_INTERRUPTS();
			bert_reference_attention_row(config, distances, qkv, n, head, query,
										 weight);
			for (int32 i = head * d; i < (head + 1) * d; i++)
			{
				double value = 0;

				for (int32 j = 0; j < n; j++)
					value += weight[j] * qkv[((size_t) j * 3 + 2) * hidden + i];
				context[(size_t) query * hidden + i] = value;
			}
		}
	pfree(weight);
}

/* BertLayer; hidden (n, H) in and out */
static void
run_layer(const BertConfig *config, const BertLayer *layer, const void *weights,
		  int32 n, bool positions, float *hidden)
{
	int32 size = config->hidden_size;
	const float *parameters = bert_weights_at(weights, layer->activation);
	float *qkv = palloc((size_t) n * 3 * size * sizeof(float));
	float *context = palloc((size_t) n * size * sizeof(float));
	float *y = palloc((size_t) n * size * sizeof(float));
	float *inner = palloc((size_t) n * config->intermediate_size * sizeof(float));

	linear(weights, &layer->qkv, hidden, n, qkv);
	self_attention(config, distances_of(config, layer, weights, positions), qkv, n,
				   context);
	linear(weights, &layer->attention_output, context, n, y);
	for (size_t i = 0; i < (size_t) n * size; i++)
		y[i] += hidden[i];
	layer_norm(weights, &layer->attention_norm, config->layer_norm_eps, y, n, size);
	linear(weights, &layer->intermediate, y, n, inner);
	for (size_t i = 0; i < (size_t) n * config->intermediate_size; i++)
		inner[i] = bert_reference_activation(config->hidden_act, parameters, inner[i]);
	linear(weights, &layer->output, inner, n, hidden);
	for (size_t i = 0; i < (size_t) n * size; i++)
		hidden[i] += y[i];
	layer_norm(weights, &layer->output_norm, config->layer_norm_eps, hidden, n, size);
	pfree(qkv);
	pfree(context);
	pfree(y);
	pfree(inner);
}

void
bert_reference_hidden(const BertConfig *config, const void *weights,
					  const BertSequence *sequence, int32 layers, bool positions,
					  float *hidden)
{
	static const BertRecipe none;
	BertWeightsLayout *layout = bert_weights_layout(config, &none);

	embeddings(config, layout, weights, sequence, positions, hidden);
	for (int32 i = 0; i < layers; i++)
		run_layer(config, &layout->layers[i], weights, sequence->n_tokens, positions,
				  hidden);
	pfree(layout);
}

void
bert_reference_attention(const BertConfig *config, const void *weights,
						 const BertSequence *sequence, int32 layer, int32 head,
						 bool positions, float *attention)
{
	static const BertRecipe none;
	BertWeightsLayout *layout = bert_weights_layout(config, &none);
	const BertLayer *from = &layout->layers[layer - 1];
	int32 n = sequence->n_tokens;
	float *hidden = palloc((size_t) n * config->hidden_size * sizeof(float));
	float *qkv = palloc((size_t) n * 3 * config->hidden_size * sizeof(float));
	double *weight = palloc(n * sizeof(double));

	bert_reference_hidden(config, weights, sequence, layer - 1, positions, hidden);
	linear(weights, &from->qkv, hidden, n, qkv);
	for (int32 query = 0; query < n; query++)
	{
		bert_reference_attention_row(config,
									 distances_of(config, from, weights, positions),
									 qkv, n, head, query, weight);
		for (int32 key = 0; key < n; key++)
			attention[(size_t) query * n + key] = weight[key];
	}
	pfree(layout);
	pfree(hidden);
	pfree(qkv);
	pfree(weight);
}

/* ---- sentence-transformers ---- */

/*
 * One mode of Pooling over tokens [from, n). Where there is none, sums are 0 and their
 * divisors 1e-9, the largest is -infinity, and the first token is token 0.
 */
static float
pool_one(const float *x, int32 from, int32 n, int32 stride, BertPooling mode)
{
	double count = n > from ? n - from : 1e-9;
	double largest = -INFINITY;
	double sum = 0;
	double weighted = 0;
	double weights = 0;

	for (int32 t = from; t < n; t++)
	{
		double value = x[(size_t) t * stride];

		if (value > largest || isnan(value))
			largest = value; /* NaN stays */
		sum += value;
		weighted += (t + 1.0) * value;
		weights += t + 1.0;
	}
	switch (mode)
	{
		case BERT_POOL_CLS:
			return x[n > from ? (size_t) from * stride : 0];
		case BERT_POOL_MAX:
			return largest;
		case BERT_POOL_MEAN:
			return sum / count;
		case BERT_POOL_MEAN_SQRT:
			return sum / sqrt(count);
		case BERT_POOL_WEIGHTED_MEAN:
			return weighted / Max(weights, 1e-9);
		case BERT_POOL_LAST:
			return n > from ? x[(size_t) (n - 1) * stride] : 0;
	}
	return 0;
}

void
bert_reference_pool(const float *hidden, int32 n_tokens, int32 hidden_size,
					uint32 modes, int32 pool_from, float *result)
{
	for (; modes != 0; modes >>= BERT_POOL_BITS)
		for (int32 i = 0; i < hidden_size; i++)
			*result++ = pool_one(hidden + i, pool_from, n_tokens, hidden_size,
								 modes & ((1 << BERT_POOL_BITS) - 1));
}

static void
normalize(float *x, int32 size)
{
	double squares = 0;

	for (int32 i = 0; i < size; i++)
		squares += (double) x[i] * x[i];
	for (int32 i = 0; i < size; i++)
		x[i] /= Max(sqrt(squares), 1e-12);
}

static void
dense(const void *weights, const BertModule *module, const BertModuleWeights *layer,
	  const float *x, float *y)
{
	float *residual = palloc(module->out_size * sizeof(float));

	linear(weights, &layer->linear, x, 1, y);
	if (layer->residual.out_size > 0)
		linear(weights, &layer->residual, x, 1, residual);
	for (int32 i = 0; i < module->out_size; i++)
	{
		y[i] = bert_reference_activation(module->activation, NULL, y[i]);
		if (module->has_residual)
			y[i] += layer->residual.out_size > 0 ? residual[i] : x[i];
	}
	pfree(residual);
}

/* The recipe's modules, one after the other: x (in) -> a palloc'd vector. */
static float *
run_modules(const BertRecipe *recipe, const BertWeightsLayout *layout,
			const void *weights, float *x)
{
	for (int i = 0; i < recipe->n_modules; i++)
	{
		const BertModule *module = &recipe->modules[i];
		const BertModuleWeights *layer = &layout->modules[i];
		float *before = x;

		switch ((BertModuleKind) module->kind)
		{
			case BERT_MODULE_NORMALIZE:
				normalize(x, module->in_size);
				break;
			case BERT_MODULE_DENSE:
				x = palloc(module->out_size * sizeof(float));
				dense(weights, module, layer, before, x);
				pfree(before);
				break;
			case BERT_MODULE_LAYER_NORM:
				layer_norm(weights, &layer->norm, BERT_MODULE_EPS, x, 1,
						   module->in_size);
				break;
		}
	}
	return x;
}

void
bert_reference_encode(const BertConfig *config, const BertRecipe *recipe,
					  const void *weights, const BertSequence *sequence,
					  BertOutput output, bool positions, float *result)
{
	BertWeightsLayout *layout = bert_weights_layout(config, recipe);
	int32 size = config->hidden_size;
	float *hidden = palloc((size_t) sequence->n_tokens * size * sizeof(float));
	float *vector =
		palloc(Max(bert_recipe_pooled_size(recipe, size), size) * sizeof(float));

	bert_reference_hidden(config, weights, sequence, config->num_layers, positions,
						  hidden);
	memcpy(vector, hidden, size * sizeof(float));
	if (output == BERT_OUTPUT_EMBEDDING)
	{
		bert_reference_pool(hidden, sequence->n_tokens, size, recipe->pooling,
							sequence->pool_from, vector);
		vector = run_modules(recipe, layout, weights, vector);
	}
	else if (output == BERT_OUTPUT_POOLED)
	{
		linear(weights, &layout->pooler, hidden, 1, vector);
		for (int32 i = 0; i < size; i++)
			vector[i] = tanh(vector[i]);
	}
	memcpy(result, vector, bert_output_size(config, recipe, output) * sizeof(float));
	pfree(layout);
	pfree(hidden);
	pfree(vector);
}
