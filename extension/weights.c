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

BertWeightsLayout *
bert_weights_layout(const BertConfig *config)
{
	int32 hidden = config->hidden_size;
	BertWeightsLayout *layout = palloc0(offsetof(BertWeightsLayout, layers) +
										config->num_layers * sizeof(BertLayer));
	size_t end = 0;

	layout->num_layers = config->num_layers;
	layout->word_embeddings = place(&end, (size_t) config->vocab_size * hidden);
	layout->position_embeddings = place(&end, (size_t) config->max_positions * hidden);
	layout->type_embeddings = place(&end, (size_t) config->type_vocab_size * hidden);
	layout->embeddings_norm = place_norm(&end, hidden);
	for (int i = 0; i < config->num_layers; i++)
	{
		BertLayer *layer = &layout->layers[i];

		layer->qkv = place_linear(&end, hidden, 3 * hidden);
		layer->attention_output = place_linear(&end, hidden, hidden);
		layer->attention_norm = place_norm(&end, hidden);
		layer->intermediate = place_linear(&end, hidden, config->intermediate_size);
		layer->output = place_linear(&end, config->intermediate_size, hidden);
		layer->output_norm = place_norm(&end, hidden);
	}
	if (config->has_pooler)
		layout->pooler = place_linear(&end, hidden, hidden);
	layout->nbytes = end;
	return layout;
}
