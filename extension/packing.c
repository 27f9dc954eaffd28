/*
 * packing.c
 *	  Puts a model's tensors into the kernels' layout. See packing.h.
 *
 * One layer is in memory at a time, and of the embedding tables only a slice.
 */
#include "port.h"
#include "packing.h"

#define SLICE_FLOATS (1 << 20) /* of an embedding table, read at once */

typedef struct Packer
{
	const BertModelFiles *files;
	BertWeightsWriter write;
	void *arg;
} Packer;

static void
read_tensor(Packer *packer, const char *name, int64 rows, int64 cols, float *values)
{
	BertSafetensors *shard;
	const BertTensor *tensor =
		bert_model_files_tensor(packer->files, name, rows, cols, false, &shard);

	bert_safetensors_read(shard, tensor, 0, rows * cols, values);
}

static void
pack_table(Packer *packer, const char *name, int64 rows, int64 cols, size_t offset)
{
	BertSafetensors *shard;
	const BertTensor *tensor =
		bert_model_files_tensor(packer->files, name, rows, cols, false, &shard);
	int64 total = rows * cols;
	float *slice = palloc(Min(total, SLICE_FLOATS) * sizeof(float));

	for (int64 first = 0; first < total; first += SLICE_FLOATS)
	{
		int64 count = Min(total - first, SLICE_FLOATS);

		CHECK_FOR_INTERRUPTS();
		bert_safetensors_read(shard, tensor, first, count, slice);
		packer->write(packer->arg, offset + first * sizeof(float), slice,
					  count * sizeof(float));
	}
	pfree(slice);
}

static void
pack_vector(Packer *packer, const char *name, int32 size, size_t offset)
{
	float *values = palloc0(BERT_PADDED(size) * sizeof(float));

	read_tensor(packer, name, size, 1, values);
	packer->write(packer->arg, offset, values, BERT_PADDED(size) * sizeof(float));
	pfree(values);
}

static void
pack_norm(Packer *packer, const char *prefix, int32 size, const BertNorm *norm)
{
	char name[256];

	snprintf(name, sizeof(name), "%s.weight", prefix);
	pack_vector(packer, name, size, norm->weight);
	snprintf(name, sizeof(name), "%s.bias", prefix);
	pack_vector(packer, name, size, norm->bias);
}

/*
 * Rows of W (out, in) become columns of panels (panel, in, BERT_PANEL); out is counted
 * from first_out, so that Q, K and V can follow each other in one layer.
 */
static void
into_panels(const float *weight, int32 n_out, int32 in_size, int32 first_out,
			float *panels)
{
	for (int32 o = 0; o < n_out; o++)
	{
		int32 out = first_out + o;
		float *to = panels + (size_t) (out / BERT_PANEL) * BERT_PANEL * in_size +
					out % BERT_PANEL;

		for (int32 i = 0; i < in_size; i++)
			to[(size_t) i * BERT_PANEL] = weight[(size_t) o * in_size + i];
	}
}

/* n tensors of equal shape, one after the other, as one layer. */
static void
pack_linear(Packer *packer, const char *const *prefixes, int n,
			const BertLinear *linear)
{
	int32 n_out = linear->out_size / n;
	size_t panels_size =
		(size_t) BERT_PADDED(linear->out_size) * linear->in_size * sizeof(float);
	float *weight = palloc_extended((size_t) n_out * linear->in_size * sizeof(float),
									MCXT_ALLOC_HUGE);
	float *panels = palloc_extended(panels_size, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	float *bias = palloc0(BERT_PADDED(linear->out_size) * sizeof(float));

	for (int i = 0; i < n; i++)
	{
		char name[256];

		CHECK_FOR_INTERRUPTS();
		snprintf(name, sizeof(name), "%s.weight", prefixes[i]);
		read_tensor(packer, name, n_out, linear->in_size, weight);
		into_panels(weight, n_out, linear->in_size, i * n_out, panels);
		snprintf(name, sizeof(name), "%s.bias", prefixes[i]);
		read_tensor(packer, name, n_out, 1, bias + i * n_out);
	}
	packer->write(packer->arg, linear->weight, panels, panels_size);
	packer->write(packer->arg, linear->bias, bias,
				  BERT_PADDED(linear->out_size) * sizeof(float));
	pfree(weight);
	pfree(panels);
	pfree(bias);
}

static void
pack_layer(Packer *packer, int number, int32 hidden_size, const BertLayer *layer)
{
	char names[8][128];
	static const char *const parts[] = {
		"attention.self.query",   "attention.self.key",         "attention.self.value",
		"attention.output.dense", "attention.output.LayerNorm", "intermediate.dense",
		"output.dense",           "output.LayerNorm",
	};

	for (int i = 0; i < 8; i++)
		snprintf(names[i], sizeof(names[i]), "encoder.layer.%d.%s", number, parts[i]);
	pack_linear(packer, (const char *const[]){names[0], names[1], names[2]}, 3,
				&layer->qkv);
	pack_linear(packer, (const char *const[]){names[3]}, 1, &layer->attention_output);
	pack_norm(packer, names[4], hidden_size, &layer->attention_norm);
	pack_linear(packer, (const char *const[]){names[5]}, 1, &layer->intermediate);
	pack_linear(packer, (const char *const[]){names[6]}, 1, &layer->output);
	pack_norm(packer, names[7], hidden_size, &layer->output_norm);
}

void
bert_weights_pack(const BertModelFiles *files, const BertWeightsLayout *layout,
				  BertWeightsWriter write, void *arg)
{
	const BertConfig *config = &files->config;
	int32 hidden = config->hidden_size;
	Packer packer = {files, write, arg};

	pack_table(&packer, "embeddings.word_embeddings.weight", config->vocab_size, hidden,
			   layout->word_embeddings);
	pack_table(&packer, "embeddings.position_embeddings.weight", config->max_positions,
			   hidden, layout->position_embeddings);
	pack_table(&packer, "embeddings.token_type_embeddings.weight",
			   config->type_vocab_size, hidden, layout->type_embeddings);
	pack_norm(&packer, "embeddings.LayerNorm", hidden, &layout->embeddings_norm);
	for (int i = 0; i < config->num_layers; i++)
		pack_layer(&packer, i, hidden, &layout->layers[i]);
	if (config->has_pooler)
		pack_linear(&packer, (const char *const[]){"pooler.dense"}, 1, &layout->pooler);
}
