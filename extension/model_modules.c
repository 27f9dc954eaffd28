/*
 * model_modules.c
 *	  modules.json: what a text goes through, module by module.
 *
 *	  Transformer	the encoder; its files are in the model's directory, or in
 *					0_Transformer
 *	  Pooling		from the vectors of the tokens to one vector
 *	  Dense			a linear layer and an activation
 *	  LayerNorm
 *	  Normalize		to length 1
 *	  Dropout		for training: changes nothing here
 *
 * The first two stand first; the others follow in any order, and more than once. A
 * module has a folder with its config.json and, if it learns, its model.safetensors.
 * What they mean is read in sentence_transformers (base/model.py, base/modules/ and
 * sentence_transformer/modules/ of its release 6.2). Anything else is refused by its
 * name: without it the vectors would look right and be wrong.
 *
 * The folders' names come from the file, so they are plain names, one level deep; and
 * files in them are opened as all others are.
 */
#include "port.h"

#include "model_files.h"

#define OUR_PREFIX   "sentence_transformers."
#define EMBEDDING    "sentence_embedding"
#define MAX_FEATURES (1 << 16)

/* ---- modules.json ---- */

static bool
is_type(const BertModuleEntry *entry, const char *type)
{
	return strcmp(entry->type, type) == 0;
}

/*
 * The last name of a class, as what stands before it has changed since. A class of
 * somebody else's is a program that came with the model.
 */
static const char *
class_name(const BertJson *json, const char *type)
{
	if (strncmp(type, OUR_PREFIX, strlen(OUR_PREFIX)) != 0)
		bert_json_unsupported(json, "module \"%s\"", bert_printable(type));
	return strrchr(type, '.') + 1;
}

/* {"idx": 1, "name": "1", "path": "1_Pooling", "type": "...models.Pooling"} */
static BertModuleEntry
read_entry(BertJson *json)
{
	BertModuleEntry entry = {NULL, NULL, NULL};

	bert_json_object(json);
	while (bert_json_member(json))
	{
		if (strcmp(json->key, "type") == 0)
			entry.type = class_name(json, bert_json_string(json));
		else if (strcmp(json->key, "path") == 0)
			entry.folder = bert_json_string(json);
		else if (strcmp(json->key, "name") == 0)
			entry.name = bert_json_string(json);
		else
			bert_json_skip(json);
	}
	if (entry.type == NULL || entry.folder == NULL || entry.name == NULL)
		bert_json_error(json, "a module lacks \"type\", \"path\" or \"name\"");
	return entry;
}

/* Known, and in its place. */
static void
check_type(const BertJson *json, const BertModuleEntry *entry, int number)
{
	static const char *const first[] = {"Transformer", "Pooling"};
	static const char *const others[] = {"Dense", "LayerNorm", "Normalize", "Dropout"};
	bool first_type = is_type(entry, first[0]) || is_type(entry, first[1]);
	bool known = first_type;

	for (int i = 0; i < (int) lengthof(others); i++)
		known |= is_type(entry, others[i]);
	if (!known)
		bert_json_unsupported(json, "module \"%s\"", bert_printable(entry->type));
	if (number < (int) lengthof(first) ? !is_type(entry, first[number]) : first_type)
		bert_json_unsupported(json, "module \"%s\" as number %d", entry->type,
							  number + 1);
}

/* Normalize may do without a folder. */
static void
check_folder(const BertJson *json, const BertModuleEntry *entry)
{
	bool allowed;

	if (is_type(entry, "Transformer"))
		allowed =
			entry->folder[0] == '\0' || strcmp(entry->folder, BERT_ENCODER_FOLDER) == 0;
	else if (entry->folder[0] == '\0')
		allowed = is_type(entry, "Normalize");
	else
		allowed = bert_is_folder_name(entry->folder);
	if (!allowed)
		bert_json_unsupported(json, "module \"%s\" in folder \"%s\"", entry->type,
							  bert_printable(entry->folder));
}

/* Of two modules with one name, sentence-transformers would keep the second. */
static void
check_name(const BertModelFiles *model, const BertJson *json,
		   const BertModuleEntry *entry)
{
	for (int i = 0; i < model->n_entries; i++)
		if (strcmp(model->entries[i].name, entry->name) == 0)
			bert_json_error(json, "two modules have the name \"%s\"",
							bert_printable(entry->name));
}

void
bert_model_read_modules(BertModelFiles *model)
{
	BertJson json;

	if (!bert_model_file_json(model, BERT_FILE_MODULES, &json))
		return;
	bert_json_array(&json);
	while (bert_json_element(&json))
	{
		BertModuleEntry entry = read_entry(&json);

		check_type(&json, &entry, model->n_entries);
		check_folder(&json, &entry);
		check_name(model, &json, &entry);
		if (model->n_entries == BERT_MAX_ENTRIES)
			bert_json_unsupported(&json, "a model of more than %d modules",
								  BERT_MAX_ENTRIES);
		model->entries[model->n_entries++] = entry;
	}
	bert_json_finish(&json);
	if (model->n_entries < 2)
		bert_json_unsupported(&json, "a model without module \"%s\"",
							  model->n_entries == 0 ? "Transformer" : "Pooling");
}

/* ---- Pooling ---- */

/* The old boolean key, the new name; in the order in which old ones are joined. */
static const struct
{
	const char *key;
	const char *name;
	BertPooling mode;
} pooling_modes[BERT_POOL_MODES] = {
	{"pooling_mode_cls_token", "cls", BERT_POOL_CLS},
	{"pooling_mode_max_tokens", "max", BERT_POOL_MAX},
	{"pooling_mode_mean_tokens", "mean", BERT_POOL_MEAN},
	{"pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens", BERT_POOL_MEAN_SQRT},
	{"pooling_mode_weightedmean_tokens", "weightedmean", BERT_POOL_WEIGHTED_MEAN},
	{"pooling_mode_lasttoken", "lasttoken", BERT_POOL_LAST},
};

static uint32
read_pooling_mode(BertJson *json)
{
	const char *name = bert_json_string(json);

	for (int i = 0; i < BERT_POOL_MODES; i++)
		if (pg_strcasecmp(name, pooling_modes[i].name) == 0)
			return pooling_modes[i].mode;
	bert_json_unsupported(json, "pooling mode \"%s\"", bert_printable(name));
}

/* "mean", or ["cls", "mean"], which are joined in this order. */
static uint32
read_pooling_list(BertJson *json)
{
	uint32 list = 0;
	int n = 0;

	if (bert_json_peek(json) == BERT_JSON_STRING)
		return read_pooling_mode(json);
	bert_json_array(json);
	while (bert_json_element(json))
	{
		if (n == BERT_MAX_POOLINGS)
			bert_json_unsupported(json, "a list of more than %d pooling modes",
								  BERT_MAX_POOLINGS);
		list |= read_pooling_mode(json) << (BERT_POOL_BITS * n++);
	}
	if (n == 0)
		bert_json_error(json, "\"pooling_mode\" names no mode");
	return list;
}

/* One of the old keys, whose mode joins a set of bits; false for another key. */
static bool
read_old_pooling_mode(BertJson *json, uint32 *set)
{
	for (int i = 0; i < BERT_POOL_MODES; i++)
		if (strcmp(json->key, pooling_modes[i].key) == 0)
		{
			if (bert_json_bool(json))
				*set |= 1u << i;
			return true;
		}
	return false;
}

/* The list that a set of old keys stands for; without any it is the mean. */
static uint32
old_pooling_list(uint32 set)
{
	uint32 list = 0;
	int n = 0;

	for (int i = 0; i < BERT_POOL_MODES; i++)
		if (set & 1u << i)
			list |= (uint32) pooling_modes[i].mode << (BERT_POOL_BITS * n++);
	return list != 0 ? list : BERT_POOL_MEAN;
}

/* A size that has to be that of the vector which comes in. */
static void
expect_size(BertJson *json, int32 size)
{
	const char *key = json->key;
	int64 given = bert_json_int(json, 1, PG_INT32_MAX);

	if (given != size)
		bert_json_error(json, "\"%s\" is %d, but vectors of %d elements come in", key,
						(int) given, (int) size);
}

static void
read_pooling(BertJson *json, BertRecipe *recipe, int32 hidden_size)
{
	uint32 old_set = 0;
	uint32 list = 0;

	bert_json_object(json);
	while (bert_json_member(json))
	{
		if (bert_json_null(json) || read_old_pooling_mode(json, &old_set))
			continue;
		if (strcmp(json->key, "pooling_mode") == 0)
			list = read_pooling_list(json);
		else if (strcmp(json->key, "word_embedding_dimension") == 0 ||
				 strcmp(json->key, "embedding_dimension") == 0)
			expect_size(json, hidden_size);
		else if (strcmp(json->key, "include_prompt") == 0)
			recipe->include_prompt = bert_json_bool(json);
		else
			bert_json_skip(json);
	}
	bert_json_finish(json);
	recipe->pooling = list != 0 ? list : old_pooling_list(old_set);
}

/* ---- the modules after it ---- */

/* Activations that are classes of torch.nn and have no parameter. */
static const struct
{
	const char *name;
	BertActivation activation;
} activations[] = {
	{"GELU", BERT_ACT_GELU},       {"Hardswish", BERT_ACT_HARDSWISH},
	{"Identity", BERT_ACT_LINEAR}, {"LeakyReLU", BERT_ACT_LEAKY_RELU},
	{"Mish", BERT_ACT_MISH},       {"ReLU", BERT_ACT_RELU},
	{"ReLU6", BERT_ACT_RELU6},     {"SiLU", BERT_ACT_SILU},
	{"Sigmoid", BERT_ACT_SIGMOID}, {"Tanh", BERT_ACT_TANH},
};

/* "torch.nn.modules.activation.Tanh" */
static BertActivation
read_activation(BertJson *json)
{
	const char *class = bert_json_string(json);
	const char *dot = strrchr(class, '.');

	if (strncmp(class, "torch.nn.", strlen("torch.nn.")) == 0)
		for (int i = 0; i < (int) lengthof(activations); i++)
			if (strcmp(dot + 1, activations[i].name) == 0)
				return activations[i].activation;
	bert_json_unsupported(json, "activation function \"%s\"", bert_printable(class));
}

/* What a module reads, or writes: nothing but the sentence's vector. */
static bool
read_feature_name(BertJson *json)
{
	const char *key = json->key;
	const char *name;

	if (strcmp(key, "module_input_name") != 0 && strcmp(key, "module_output_name") != 0)
		return false;
	if (bert_json_null(json))
		return true;
	name = bert_json_string(json);
	if (strcmp(name, EMBEDDING) != 0)
		bert_json_unsupported(json, "\"%s\" \"%s\"", key, bert_printable(name));
	return true;
}

static void
read_dense(BertJson *json, BertModule *module)
{
	bool has_input = false;

	module->kind = BERT_MODULE_DENSE;
	module->out_size = 0;
	module->activation = BERT_ACT_TANH;
	module->has_bias = true;
	bert_json_object(json);
	while (bert_json_member(json))
	{
		if (read_feature_name(json))
			continue;
		if (strcmp(json->key, "in_features") == 0)
		{
			expect_size(json, module->in_size);
			has_input = true;
		}
		else if (strcmp(json->key, "out_features") == 0)
			module->out_size = bert_json_int(json, 1, MAX_FEATURES);
		else if (strcmp(json->key, "bias") == 0)
			module->has_bias = bert_json_bool(json);
		else if (strcmp(json->key, "activation_function") == 0)
			module->activation = read_activation(json);
		else if (strcmp(json->key, "use_residual") == 0)
			module->has_residual = bert_json_bool(json);
		else
			bert_json_skip(json);
	}
	bert_json_finish(json);
	if (!has_input || module->out_size == 0)
		bert_json_error(json, "\"in_features\" or \"out_features\" is missing");
}

static void
read_layer_norm(BertJson *json, BertModule *module)
{
	bool has_dimension = false;

	module->kind = BERT_MODULE_LAYER_NORM;
	bert_json_object(json);
	while (bert_json_member(json))
	{
		if (strcmp(json->key, "dimension") == 0)
		{
			expect_size(json, module->in_size);
			has_dimension = true;
		}
		else
			bert_json_skip(json);
	}
	bert_json_finish(json);
	if (!has_dimension)
		bert_json_error(json, "\"dimension\" is missing");
}

static void
read_normalize(BertJson *json)
{
	bert_json_object(json);
	while (bert_json_member(json))
		if (!read_feature_name(json))
			bert_json_skip(json);
	bert_json_finish(json);
}

/* ---- their weights ---- */

static void
missing_file(const BertModelFiles *model, BertModelFileId file, const char *type)
{
	ereport(ERROR, errcode(ERRCODE_UNDEFINED_FILE),
			errmsg("%s is missing, but modules.json has a module \"%s\"",
				   bert_model_file_label(model, file), type));
}

/* Like torch, which refuses a file that has a tensor more, or less. */
static void
check_n_tensors(const BertSafetensors *weights, int n)
{
	if (weights->n_tensors != n)
		ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),
				errmsg("%s has %d tensors, but its module has %d", weights->label,
					   weights->n_tensors, n));
}

static void
check_tensor(const BertModelFiles *model, int number, const char *name, int32 rows,
			 int32 cols)
{
	BertSafetensors *weights;

	bert_model_files_module_tensor(model, number, name, rows, cols, false, &weights);
}

static void
check_dense_weights(const BertModelFiles *model, int number)
{
	const BertModule *module = &model->recipe.modules[number];
	bool has_residual = module->has_residual && module->in_size != module->out_size;

	check_tensor(model, number, "linear.weight", module->out_size, module->in_size);
	if (module->has_bias)
		check_tensor(model, number, "linear.bias", module->out_size, 1);
	if (has_residual)
		check_tensor(model, number, "residual.weight", module->out_size,
					 module->in_size);
	check_n_tensors(model->module_weights[number], 1 + module->has_bias + has_residual);
}

static void
check_norm_weights(const BertModelFiles *model, int number)
{
	int32 size = model->recipe.modules[number].in_size;

	check_tensor(model, number, "norm.weight", size, 1);
	check_tensor(model, number, "norm.bias", size, 1);
	check_n_tensors(model->module_weights[number], 2);
}

/* ---- together ---- */

/* Begin to read the config.json of an entry, which must be there. */
static void
open_config(const BertModelFiles *model, int entry, BertJson *json)
{
	BertModelFileId file = BERT_FILE_MODULE_CONFIG(entry);

	if (!bert_model_file_json(model, file, json))
		missing_file(model, file, model->entries[entry].type);
}

static BertSafetensors *
open_weights(const BertModelFiles *model, int entry)
{
	BertModelFileId file = BERT_FILE_MODULE_WEIGHTS(entry);

	if (!bert_model_file_exists(model, file))
		missing_file(model, file, model->entries[entry].type);
	return bert_safetensors_open(model->files[file].fd,
								 bert_model_file_label(model, file));
}

/* The recipe's next module is that entry, which is no Dropout. */
static void
add_module(BertModelFiles *model, int entry)
{
	const char *type = model->entries[entry].type;
	int number = model->recipe.n_modules;
	int32 size = bert_recipe_size(&model->recipe, model->config.hidden_size);
	BertModule *module = &model->recipe.modules[number];
	BertJson json;

	*module = (BertModule){.kind = BERT_MODULE_NORMALIZE,
						   .in_size = size,
						   .out_size = size,
						   .activation = BERT_ACT_LINEAR};
	if (strcmp(type, "Normalize") == 0)
	{
		if (bert_model_file_json(model, BERT_FILE_MODULE_CONFIG(entry), &json))
			read_normalize(&json);
	}
	else
	{
		open_config(model, entry, &json);
		model->module_weights[number] = open_weights(model, entry);
		if (strcmp(type, "Dense") == 0)
		{
			read_dense(&json, module);
			check_dense_weights(model, number);
		}
		else
		{
			read_layer_norm(&json, module);
			check_norm_weights(model, number);
		}
	}
	model->recipe.n_modules++;
}

void
bert_model_read_module_configs(BertModelFiles *model)
{
	BertJson json;

	open_config(model, 1, &json);
	read_pooling(&json, &model->recipe, model->config.hidden_size);
	for (int i = 2; i < model->n_entries; i++)
		if (!is_type(&model->entries[i], "Dropout"))
			add_module(model, i);
}
