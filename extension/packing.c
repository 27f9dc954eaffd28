/*
 * packing.c
 *	  Puts a model's tensors into the kernels' layout. See packing.h.
 *
 * One layer is in memory at a time, and of the embedding tables only a slice.
 */
#include "port.h"
#include "packing.h"

#include <math.h>

#define SLICE_FLOATS (1 << 20) /* of an embedding table, read at once */

typedef struct Packer
{
	const BertModelFiles *files;
	BertWeightsWriter write;
	void *arg;
} Packer;

/* Where a layer's tensors come from: the encoder's files, or those of a module. */
#define ENCODER (-1)

/* False where there is none of that name and it is optional; then values stay. */
static bool
read_tensor(Packer *packer, int module, const char *name, int64 rows, int64 cols,
			bool optional, float *values)
{
	BertSafetensors *shard;
	const BertTensor *tensor =
		module == ENCODER
			? bert_model_files_tensor(packer->files, name, rows, cols, optional, &shard)
			: bert_model_files_module_tensor(packer->files, module, name, rows, cols,
											 optional, &shard);

	if (tensor == NULL)
		return false;
	bert_safetensors_read(shard, tensor, 0, rows * cols, values);
	return true;
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
pack_vector(Packer *packer, int module, const char *name, int32 size, size_t offset)
{
	float *values = palloc0(BERT_PADDED(size) * sizeof(float));

	read_tensor(packer, module, name, size, 1, false, values);
	packer->write(packer->arg, offset, values, BERT_PADDED(size) * sizeof(float));
	pfree(values);
}

static void
pack_norm(Packer *packer, int module, const char *prefix, int32 size,
		  const BertNorm *norm)
{
	char name[256];

	snprintf(name, sizeof(name), "%s.weight", prefix);
	pack_vector(packer, module, name, size, norm->weight);
	snprintf(name, sizeof(name), "%s.bias", prefix);
	pack_vector(packer, module, name, size, norm->bias);
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

		CHECK_FOR_INTERRUPTS();
		for (int32 i = 0; i < in_size; i++)
			to[(size_t) i * BERT_PANEL] = weight[(size_t) o * in_size + i];
	}
}

/* n tensors of equal shape, one after the other, as one layer. */
static void
pack_linear(Packer *packer, int module, const char *const *prefixes, int n,
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
		read_tensor(packer, module, name, n_out, linear->in_size, false, weight);
		into_panels(weight, n_out, linear->in_size, i * n_out, panels);
		snprintf(name, sizeof(name), "%s.bias", prefixes[i]);
		read_tensor(packer, module, name, n_out, 1, module != ENCODER,
					bias + i * n_out); /* a module may be without bias */
	}
	packer->write(packer->arg, linear->weight, panels, panels_size);
	packer->write(packer->arg, linear->bias, bias,
				  BERT_PADDED(linear->out_size) * sizeof(float));
	pfree(weight);
	pfree(panels);
	pfree(bias);
}

/* distance_embedding (distances, head_size), transposed and padded. */
static void
pack_distances(Packer *packer, const char *name, size_t offset)
{
	const BertConfig *config = &packer->files->config;
	int32 n = 2 * config->max_positions - 1;
	int32 d = config->head_size;
	size_t ld = BERT_DISTANCES_LD(config->max_positions);
	float *rows = palloc_extended((size_t) n * d * sizeof(float), MCXT_ALLOC_HUGE);
	float *columns =
		palloc_extended(d * ld * sizeof(float), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);

	read_tensor(packer, ENCODER, name, n, d, false, rows);
	for (int32 r = 0; r < n; r++)
	{
		CHECK_FOR_INTERRUPTS();
		for (int32 i = 0; i < d; i++)
			columns[i * ld + r] = rows[(size_t) r * d + i];
	}
	packer->write(packer->arg, offset, columns, d * ld * sizeof(float));
	pfree(rows);
	pfree(columns);
}

/* The nearest bfloat16, of two the even one. */
static float
rounded_to_bf16(float x)
{
	union
	{
		float value;
		uint32 bits;
	} number = {x};

	number.bits += 0x7FFF + (number.bits >> 16 & 1);
	number.bits &= 0xFFFF0000;
	return number.value;
}

/* torch.nn.functional.softplus of a bfloat16 */
static float
softplus_bf16(float x)
{
	return rounded_to_bf16(x > 20 ? x : log1p(exp(x)));
}

/*
 * XIELU learns what softplus() makes alpha of; the kernels get alpha itself. Whatever
 * the type of the model and of the file, transformers has the parameters as bfloat16,
 * and computes alpha so.
 */
static void
pack_activation(Packer *packer, const char *prefix, size_t offset)
{
	static const char *const xielu[] = {"alpha_p", "alpha_n", "beta", "eps"};
	float parameters[BERT_ACT_PARAMETERS] = {0, 0, 0.5f, -1e-6f};
	int32 act = packer->files->config.hidden_act;
	char name[256];

	snprintf(name, sizeof(name), "%s.weight", prefix);
	if (act == BERT_ACT_PRELU)
		read_tensor(packer, ENCODER, name, 1, 1, false, parameters);
	for (int i = 0; act == BERT_ACT_XIELU && i < (int) lengthof(xielu); i++)
	{
		snprintf(name, sizeof(name), "%s.%s", prefix, xielu[i]);
		read_tensor(packer, ENCODER, name, 1, 1, i >= 2, &parameters[i]);
		parameters[i] = rounded_to_bf16(parameters[i]);
	}
	if (act == BERT_ACT_XIELU)
	{
		parameters[0] = softplus_bf16(parameters[0]);
		parameters[1] = rounded_to_bf16(parameters[2] + softplus_bf16(parameters[1]));
	}
	packer->write(packer->arg, offset, parameters, sizeof(parameters));
}

static void
pack_layer(Packer *packer, int number, const BertLayer *layer)
{
	const BertConfig *config = &packer->files->config;
	char names[10][128];
	static const char *const parts[] = {
		"attention.self.query",   "attention.self.key",
		"attention.self.value",   "attention.self.distance_embedding.weight",
		"attention.output.dense", "attention.output.LayerNorm",
		"intermediate.dense",     "intermediate.intermediate_act_fn",
		"output.dense",           "output.LayerNorm",
	};

	for (int i = 0; i < (int) lengthof(parts); i++)
		snprintf(names[i], sizeof(names[i]), "encoder.layer.%d.%s", number, parts[i]);
	pack_linear(packer, ENCODER, (const char *const[]){names[0], names[1], names[2]}, 3,
				&layer->qkv);
	if (config->position_type != BERT_POSITIONS_ABSOLUTE)
		pack_distances(packer, names[3], layer->distances);
	pack_linear(packer, ENCODER, (const char *const[]){names[4]}, 1,
				&layer->attention_output);
	pack_norm(packer, ENCODER, names[5], config->hidden_size, &layer->attention_norm);
	pack_linear(packer, ENCODER, (const char *const[]){names[6]}, 1,
				&layer->intermediate);
	pack_activation(packer, names[7], layer->activation);
	pack_linear(packer, ENCODER, (const char *const[]){names[8]}, 1, &layer->output);
	pack_norm(packer, ENCODER, names[9], config->hidden_size, &layer->output_norm);
}

static void
pack_module(Packer *packer, int number, const BertModuleWeights *weights)
{
	const BertModule *module = &packer->files->recipe.modules[number];

	if (module->kind == BERT_MODULE_LAYER_NORM)
		pack_norm(packer, number, "norm", module->in_size, &weights->norm);
	if (module->kind == BERT_MODULE_DENSE)
		pack_linear(packer, number, (const char *const[]){"linear"}, 1,
					&weights->linear);
	if (weights->residual.out_size > 0)
		pack_linear(packer, number, (const char *const[]){"residual"}, 1,
					&weights->residual);
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
	if (config->position_type == BERT_POSITIONS_ABSOLUTE)
		pack_table(&packer, "embeddings.position_embeddings.weight",
				   config->max_positions, hidden, layout->position_embeddings);
	pack_table(&packer, "embeddings.token_type_embeddings.weight",
			   config->type_vocab_size, hidden, layout->type_embeddings);
	pack_norm(&packer, ENCODER, "embeddings.LayerNorm", hidden,
			  &layout->embeddings_norm);
	for (int i = 0; i < config->num_layers; i++)
		pack_layer(&packer, i, &layout->layers[i]);
	if (config->has_pooler)
		pack_linear(&packer, ENCODER, (const char *const[]){"pooler.dense"}, 1,
					&layout->pooler);
	for (int i = 0; i < files->recipe.n_modules; i++)
		pack_module(&packer, i, &layout->modules[i]);
}
