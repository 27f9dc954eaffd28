/*
 * weights.c
 *	  Where each tensor lies. See weights.h.
 */
#include "port.h"
#include "weights.h"

static size_t
place(size_t *end, size_t n_floats)
{
	size_t offset = *end;

	*end += TYPEALIGN(BERT_WEIGHT_ALIGN, n_floats * sizeof(float));
	return offset;
}

static BertLinear
place_linear(size_t *end, int32 in_size, int32 out_size)
{
	BertLinear linear = {.in_size = in_size, .out_size = out_size};

	linear.weight = place(end, (size_t) BERT_PADDED(out_size) * in_size);
	linear.bias = place(end, BERT_PADDED(out_size));
	return linear;
}

static BertNorm
place_norm(size_t *end, int32 size)
{
	BertNorm norm;

	norm.weight = place(end, BERT_PADDED(size));
	norm.bias = place(end, BERT_PADDED(size));
	return norm;
}

/* A module of the recipe: only what its kind has. */
static void
place_module(size_t *end, const BertModule *module, BertModuleWeights *weights)
{
	if (module->kind == BERT_MODULE_LAYER_NORM)
		weights->norm = place_norm(end, module->in_size);
	if (module->kind != BERT_MODULE_DENSE)
		return;
	weights->linear = place_linear(end, module->in_size, module->out_size);
	if (module->has_residual && module->in_size != module->out_size)
		weights->residual = place_linear(end, module->in_size, module->out_size);
}

BertWeightsLayout *
bert_weights_layout(const BertConfig *config, const BertRecipe *recipe)
{
	bool relative = config->position_type != BERT_POSITIONS_ABSOLUTE;
	int32 hidden = config->hidden_size;
	BertWeightsLayout *layout = palloc0(offsetof(BertWeightsLayout, layers) +
										config->num_layers * sizeof(BertLayer));
	size_t end = 0;

	layout->num_layers = config->num_layers;
	layout->word_embeddings = place(&end, (size_t) config->vocab_size * hidden);
	if (!relative)
		layout->position_embeddings =
			place(&end, (size_t) config->max_positions * hidden);
	layout->type_embeddings = place(&end, (size_t) config->type_vocab_size * hidden);
	layout->embeddings_norm = place_norm(&end, hidden);
	for (int i = 0; i < config->num_layers; i++)
	{
		BertLayer *layer = &layout->layers[i];

		layer->qkv = place_linear(&end, hidden, 3 * hidden);
		if (relative)
			layer->distances = place(&end, bert_distances_size(config));
		layer->attention_output = place_linear(&end, hidden, hidden);
		layer->attention_norm = place_norm(&end, hidden);
		layer->intermediate = place_linear(&end, hidden, config->intermediate_size);
		layer->activation = place(&end, BERT_ACT_PARAMETERS);
		layer->output = place_linear(&end, config->intermediate_size, hidden);
		layer->output_norm = place_norm(&end, hidden);
	}
	if (config->has_pooler)
		layout->pooler = place_linear(&end, hidden, hidden);
	for (int i = 0; i < recipe->n_modules; i++)
		place_module(&end, &recipe->modules[i], &layout->modules[i]);
	layout->nbytes = end;
	return layout;
}
