/*
 * trial.c
 *	  What a device is tried with. See trial.h.
 */
#include "port.h"
#include "trial.h"

#include "kernel_sources.h"

#include <math.h>

/* ---- the program ---- */

static const char *
text_of(const char *file)
{
	const BertKernelSource *source = bert_kernel_sources;

	while (strcmp(source->file, file) != 0)
		source++;
	return source->text;
}

char *
bert_trial_source(const BertTier *tier)
{
	size_t nbytes = 1;
	char *source;

	for (int i = 0; tier->files[i] != NULL; i++)
		nbytes += strlen(text_of(tier->files[i]));
	source = palloc0(nbytes);
	for (int i = 0; tier->files[i] != NULL; i++)
		strcat(source, text_of(tier->files[i]));
	return source;
}

/* ---- the model ---- */

/* A (rows, columns) part of (rows, ld); the rest stays zero. */
static void
fill(float *values, int32 rows, int32 columns, int32 ld, float scale, uint32 *state)
{
	for (int32 r = 0; r < rows; r++)
		for (int32 c = 0; c < columns; c++)
		{
			*state = *state * 1664525 + 1013904223;
			values[(size_t) r * ld + c] = scale * ((*state >> 8) / 8388608.0f - 1);
		}
}

static void
fill_table(char *weights, size_t offset, int32 rows, int32 hidden_size, uint32 *state)
{
	fill((float *) (weights + offset), rows, hidden_size, hidden_size, 1, state);
}

/* Scaled so that results are about as large as what goes in. */
static void
fill_linear(char *weights, const BertLinear *linear, uint32 *state)
{
	float *panels = (float *) (weights + linear->weight);

	for (int32 first = 0; first < linear->out_size; first += BERT_PANEL)
		fill(panels + (size_t) first * linear->in_size, linear->in_size,
			 Min(BERT_PANEL, linear->out_size - first), BERT_PANEL,
			 1 / sqrtf(linear->in_size), state);
	fill((float *) (weights + linear->bias), 1, linear->out_size, 0, 0.1f, state);
}

static void
fill_norm(char *weights, const BertNorm *norm, int32 size, uint32 *state)
{
	fill((float *) (weights + norm->weight), 1, size, 0, 1, state);
	fill((float *) (weights + norm->bias), 1, size, 0, 0.1f, state);
}

/* As of a trained model: XIELU has a use for all four, PRELU for the first. */
static void
fill_activation(char *weights, size_t offset)
{
	static const float parameters[BERT_ACT_PARAMETERS] = {0.25f, 0.75f, 0.5f, -1e-6f};

	memcpy(weights + offset, parameters, sizeof(parameters));
}

static void
fill_layer(char *weights, const BertConfig *config, const BertLayer *layer,
		   uint32 *state)
{
	int32 hidden_size = config->hidden_size;
	int32 n_distances = 2 * config->max_positions - 1;

	fill_linear(weights, &layer->qkv, state);
	if (config->position_type != BERT_POSITIONS_ABSOLUTE)
		fill((float *) (weights + layer->distances), config->head_size, n_distances,
			 BERT_DISTANCES_LD(config->max_positions), 1, state);
	fill_linear(weights, &layer->attention_output, state);
	fill_norm(weights, &layer->attention_norm, hidden_size, state);
	fill_linear(weights, &layer->intermediate, state);
	fill_activation(weights, layer->activation);
	fill_linear(weights, &layer->output, state);
	fill_norm(weights, &layer->output_norm, hidden_size, state);
}

static void
fill_module(char *weights, const BertModule *module, const BertModuleWeights *layer,
			uint32 *state)
{
	if (module->kind == BERT_MODULE_LAYER_NORM)
		fill_norm(weights, &layer->norm, module->in_size, state);
	if (module->kind == BERT_MODULE_DENSE)
		fill_linear(weights, &layer->linear, state);
	if (layer->residual.out_size > 0)
	{
		fill_linear(weights, &layer->residual, state);
		memset(weights + layer->residual.bias, 0, module->out_size * sizeof(float));
	}
}

char *
bert_trial_weights(const BertConfig *config, const BertRecipe *recipe)
{
	BertWeightsLayout *layout = bert_weights_layout(config, recipe);
	char *weights = aligned_alloc(BERT_WEIGHT_ALIGN, layout->nbytes);
	int32 hidden = config->hidden_size;
	uint32 state = 1;

	if (weights == NULL)
		ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"));
	memset(weights, 0, layout->nbytes);
	fill_table(weights, layout->word_embeddings, config->vocab_size, hidden, &state);
	if (config->position_type == BERT_POSITIONS_ABSOLUTE)
		fill_table(weights, layout->position_embeddings, config->max_positions, hidden,
				   &state);
	fill_table(weights, layout->type_embeddings, config->type_vocab_size, hidden,
			   &state);
	fill_norm(weights, &layout->embeddings_norm, hidden, &state);
	for (int32 i = 0; i < config->num_layers; i++)
		fill_layer(weights, config, &layout->layers[i], &state);
	if (config->has_pooler)
		fill_linear(weights, &layout->pooler, &state);
	for (int32 i = 0; i < recipe->n_modules; i++)
		fill_module(weights, &recipe->modules[i], &layout->modules[i], &state);
	pfree(layout);
	return weights;
}
