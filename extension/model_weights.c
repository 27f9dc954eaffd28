/*
 * model_weights.c
 *	  The tensors of a model: where they are, and that all of them are there.
 *
 * The weights are in model.safetensors, or in several such files (shards) that
 * model.safetensors.index.json names. A file saved from a task's class has "bert."
 * before the names of the encoder's tensors. A linear layer's weight has the shape
 * [out, in]. Names as in transformers' modeling_bert.py; H = hidden_size,
 * I = intermediate_size. Tensors that the encoder has no use for are ignored.
 */
#include "port.h"

#include "model_files.h"

/* A length that config.json decides; ONE stands for "no second dimension". */
typedef enum Length
{
	ONE,
	HIDDEN,
	INTERMEDIATE,
	VOCAB,
	POSITIONS,
	TYPES,
	HEAD,
	DISTANCES /* from 1 - max_positions to max_positions - 1 */
} Length;

typedef struct TensorShape
{
	const char *name;
	Length rows;
	Length cols;
} TensorShape;

static const TensorShape embeddings[] = {
	{"embeddings.word_embeddings.weight", VOCAB, HIDDEN},
	{"embeddings.token_type_embeddings.weight", TYPES, HIDDEN},
	{"embeddings.LayerNorm.weight", HIDDEN, ONE},
	{"embeddings.LayerNorm.bias", HIDDEN, ONE},
};

/* Each after "encoder.layer.N." */
static const TensorShape layer[] = {
	{"attention.self.query.weight", HIDDEN, HIDDEN},
	{"attention.self.query.bias", HIDDEN, ONE},
	{"attention.self.key.weight", HIDDEN, HIDDEN},
	{"attention.self.key.bias", HIDDEN, ONE},
	{"attention.self.value.weight", HIDDEN, HIDDEN},
	{"attention.self.value.bias", HIDDEN, ONE},
	{"attention.output.dense.weight", HIDDEN, HIDDEN},
	{"attention.output.dense.bias", HIDDEN, ONE},
	{"attention.output.LayerNorm.weight", HIDDEN, ONE},
	{"attention.output.LayerNorm.bias", HIDDEN, ONE},
	{"intermediate.dense.weight", INTERMEDIATE, HIDDEN},
	{"intermediate.dense.bias", INTERMEDIATE, ONE},
	{"output.dense.weight", HIDDEN, INTERMEDIATE},
	{"output.dense.bias", HIDDEN, ONE},
	{"output.LayerNorm.weight", HIDDEN, ONE},
	{"output.LayerNorm.bias", HIDDEN, ONE},
};

/* Only with absolute positions. */
static const TensorShape positions[] = {
	{"embeddings.position_embeddings.weight", POSITIONS, HIDDEN},
};

/* Of each layer; only with relative ones. */
static const TensorShape distances[] = {
	{"attention.self.distance_embedding.weight", DISTANCES, HEAD},
};

/* Of each layer, only with that hidden_act. */
static const TensorShape prelu[] = {
	{"intermediate.intermediate_act_fn.weight", ONE, ONE},
};

static const TensorShape xielu[] = {
	{"intermediate.intermediate_act_fn.alpha_p", ONE, ONE},
	{"intermediate.intermediate_act_fn.alpha_n", ONE, ONE},
};

/* Constants, which a file may lack. */
static const TensorShape xielu_constants[] = {
	{"intermediate.intermediate_act_fn.beta", ONE, ONE},
	{"intermediate.intermediate_act_fn.eps", ONE, ONE},
};

static const TensorShape pooler[] = {
	{"pooler.dense.weight", HIDDEN, HIDDEN},
	{"pooler.dense.bias", HIDDEN, ONE},
};

/* ---- files ---- */

static BertSafetensors *
open_shard(BertModelFiles *model, BertModelFileId file)
{
	BertSafetensors *shard = bert_safetensors_open(model->files[file].fd,
												   bert_model_file_label(model, file));

	model->shards[model->n_shards++] = shard;
	return shard;
}

/* Without the encoder's folder. */
static const char *
base_name(const BertModelFile *file)
{
	const char *slash = strrchr(file->name, '/');

	return slash != NULL ? slash + 1 : file->name;
}

/*
 * The shard of that name; opened if it isn't yet. Only files that were found in the
 * model's directory are candidates, so a name is never used as a path.
 */
static BertSafetensors *
find_shard(BertModelFiles *model, const BertJson *json, const char *name)
{
	for (int i = BERT_FILE_SHARD; i < BERT_FILE_MODULE; i++)
	{
		if (model->files[i].fd < 0 || strcmp(base_name(&model->files[i]), name) != 0)
			continue;
		for (int s = 0; s < model->n_shards; s++)
			if (model->shards[s]->fd == model->files[i].fd)
				return model->shards[s];
		return open_shard(model, i);
	}
	bert_json_error(json, "the model has no file \"%s\"", bert_printable(name));
}

/* weight_map: {tensor: file}. The tensor must be where the map says. */
static void
read_weight_map(BertModelFiles *model, BertJson *json)
{
	bert_json_object(json);
	while (bert_json_member(json))
	{
		const char *tensor = json->key;
		BertSafetensors *shard = find_shard(model, json, bert_json_string(json));

		if (bert_safetensors_find(shard, tensor) == NULL)
			ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
					errmsg("%s has no tensor \"%s\"", shard->label,
						   bert_printable(tensor)));
	}
}

static void
open_all_shards(BertModelFiles *model)
{
	BertJson json;

	if (bert_model_file_exists(model, BERT_FILE_WEIGHTS))
	{
		open_shard(model, BERT_FILE_WEIGHTS);
		return;
	}
	bert_model_file_json(model, BERT_FILE_INDEX, &json);
	bert_json_object(&json);
	while (bert_json_member(&json))
	{
		if (strcmp(json.key, "weight_map") == 0)
			read_weight_map(model, &json);
		else
			bert_json_skip(&json);
	}
	bert_json_finish(&json);
	if (model->n_shards == 0)
		bert_json_error(&json, "names no file of weights");
}

/* ---- tensors ---- */

static const BertTensor *
find_tensor(const BertModelFiles *model, const char *full_name, BertSafetensors **shard)
{
	for (int s = 0; s < model->n_shards; s++)
	{
		const BertTensor *tensor = bert_safetensors_find(model->shards[s], full_name);

		if (tensor != NULL)
		{
			*shard = model->shards[s];
			return tensor;
		}
	}
	return NULL;
}

/*
 * TensorFlow called the weight and the bias of a LayerNorm gamma and beta, and files
 * converted early still do. NULL for a name that is neither's.
 */
static char *
old_name(const char *name)
{
	static const char *const names[][2] = {{"LayerNorm.weight", "LayerNorm.gamma"},
										   {"LayerNorm.bias", "LayerNorm.beta"}};
	size_t nbytes = strlen(name);

	for (int i = 0; i < (int) lengthof(names); i++)
	{
		size_t suffix = strlen(names[i][0]);

		if (nbytes >= suffix && strcmp(name + nbytes - suffix, names[i][0]) == 0)
			return psprintf("%.*s%s", (int) (nbytes - suffix), name, names[i][1]);
	}
	return NULL;
}

static const BertTensor *
find_by_any_name(const BertModelFiles *model, const char *name, BertSafetensors **shard)
{
	char *full_name = psprintf("%s%s", model->prefix, name);
	const BertTensor *tensor = find_tensor(model, full_name, shard);
	char *old = old_name(full_name);

	if (tensor == NULL && old != NULL)
		tensor = find_tensor(model, old, shard);
	if (old != NULL)
		pfree(old);
	pfree(full_name);
	return tensor;
}

/* "[rows, cols]", "[rows]" where cols is 1. */
static char *
expected_shape(int64 rows, int64 cols)
{
	if (cols == 1)
		return psprintf("[" INT64_FORMAT "]", rows);
	return psprintf("[" INT64_FORMAT ", " INT64_FORMAT "]", rows, cols);
}

static bool
has_shape(const BertTensor *tensor, int64 rows, int64 cols)
{
	switch (tensor->ndims)
	{
		case 0:
			return rows == 1 && cols == 1;
		case 1:
			return tensor->shape[0] == rows && cols == 1;
		case 2:
			return tensor->shape[0] == rows && tensor->shape[1] == cols;
		default:
			return false;
	}
}

static void
check_tensor(const BertSafetensors *shard, const BertTensor *tensor, int64 rows,
			 int64 cols)
{
	if (tensor->dtype == BERT_DTYPE_OTHER)
		ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("%s: tensor \"%s\" has data type %s", shard->label,
					   bert_printable(tensor->name), tensor->dtype_name),
				errdetail("Weights can be F32, F16 or BF16."));
	if (!has_shape(tensor, rows, cols))
		ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
				errmsg("%s: tensor \"%s\" has shape %s, not %s", shard->label,
					   bert_printable(tensor->name), bert_tensor_shape(tensor),
					   expected_shape(rows, cols)));
}

static void
missing_tensor(const BertSafetensors *shard, const char *prefix, const char *name)
{
	ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
			errmsg("%s has no tensor \"%s%s\"", shard->label, prefix, name));
}

const BertTensor *
bert_model_files_tensor(const BertModelFiles *model, const char *name, int64 rows,
						int64 cols, bool optional, BertSafetensors **shard)
{
	const BertTensor *tensor = find_by_any_name(model, name, shard);

	if (tensor != NULL)
		check_tensor(*shard, tensor, rows, cols);
	else if (!optional)
		missing_tensor(model->shards[0], model->prefix, name);
	return tensor;
}

const BertTensor *
bert_model_files_module_tensor(const BertModelFiles *model, int module,
							   const char *name, int64 rows, int64 cols, bool optional,
							   BertSafetensors **shard)
{
	const BertTensor *tensor;

	*shard = model->module_weights[module];
	tensor = bert_safetensors_find(*shard, name);
	if (tensor != NULL)
		check_tensor(*shard, tensor, rows, cols);
	else if (!optional)
		missing_tensor(*shard, "", name);
	return tensor;
}

static int64
length_of(const BertConfig *config, Length length)
{
	switch (length)
	{
		case ONE:
			return 1;
		case HIDDEN:
			return config->hidden_size;
		case INTERMEDIATE:
			return config->intermediate_size;
		case VOCAB:
			return config->vocab_size;
		case POSITIONS:
			return config->max_positions;
		case TYPES:
			return config->type_vocab_size;
		case HEAD:
			return config->head_size;
		case DISTANCES:
			return 2 * (int64) config->max_positions - 1;
	}
	pg_unreachable();
}

/* A table's tensors have these shapes, and are there if they must be. */
static void
check_tensors(const BertModelFiles *model, const char *before,
			  const TensorShape *shapes, int n, bool optional)
{
	for (int i = 0; i < n; i++)
	{
		char *name = psprintf("%s%s", before, shapes[i].name);
		BertSafetensors *shard;

		bert_model_files_tensor(model, name, length_of(&model->config, shapes[i].rows),
								length_of(&model->config, shapes[i].cols), optional,
								&shard);
		pfree(name);
	}
}

static void
check_layer(const BertModelFiles *model, const char *before)
{
	const BertConfig *config = &model->config;

	check_tensors(model, before, layer, lengthof(layer), false);
	if (config->position_type != BERT_POSITIONS_ABSOLUTE)
		check_tensors(model, before, distances, lengthof(distances), false);
	if (config->hidden_act == BERT_ACT_PRELU)
		check_tensors(model, before, prelu, lengthof(prelu), false);
	if (config->hidden_act == BERT_ACT_XIELU)
	{
		check_tensors(model, before, xielu, lengthof(xielu), false);
		check_tensors(model, before, xielu_constants, lengthof(xielu_constants), true);
	}
}

void
bert_model_read_weights(BertModelFiles *model)
{
	BertConfig *config = &model->config;
	BertSafetensors *shard;

	open_all_shards(model);
	model->prefix = "bert.";
	if (find_by_any_name(model, embeddings[0].name, &shard) == NULL)
		model->prefix = "";

	check_tensors(model, "", embeddings, lengthof(embeddings), false);
	if (config->position_type == BERT_POSITIONS_ABSOLUTE)
		check_tensors(model, "", positions, lengthof(positions), false);
	for (int i = 0; i < config->num_layers; i++)
	{
		char *before = psprintf("encoder.layer.%d.", i);

		CHECK_FOR_INTERRUPTS();
		check_layer(model, before);
		pfree(before);
	}
	config->has_pooler = find_by_any_name(model, pooler[0].name, &shard) != NULL;
	if (config->has_pooler)
		check_tensors(model, "", pooler, lengthof(pooler), false);
}
