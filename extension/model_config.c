/*
 * model_config.c
 *	  config.json: the sizes of the encoder.
 *
 * Every size has a range, which keeps each product of two sizes, and of the bytes of a
 * tensor, far inside 64 bits. Whether the sizes are true is not for this file to know:
 * model_weights.c compares them with the tensors, and safetensors.c has compared those
 * with the size of their file.
 *
 * A key that is not there has the value that transformers' BertConfig gives it. What
 * would make the encoder compute something else than a BERT is refused by name, as
 * transformers 5 silently ignores some of it. All other keys are ignored.
 */
#include "port.h"

#include "model_files.h"

/* A string and the number that stands for it. */
typedef struct ConfigName
{
	const char *name;
	int32 value;
} ConfigName;

/* (key, member of BertConfig, range, the value without the key) */
static const struct
{
	const char *key;
	size_t offset;
	int32 min;
	int32 max;
	int32 preset;
} sizes[] = {
	{"vocab_size", offsetof(BertConfig, vocab_size), 1, 1 << 24, 30522},
	{"hidden_size", offsetof(BertConfig, hidden_size), 1, 1 << 16, 768},
	{"num_hidden_layers", offsetof(BertConfig, num_layers), 1, 1000, 12},
	{"num_attention_heads", offsetof(BertConfig, num_heads), 1, 1 << 12, 12},
	{"intermediate_size", offsetof(BertConfig, intermediate_size), 1, 1 << 18, 3072},
	{"max_position_embeddings", offsetof(BertConfig, max_positions), 3, 1 << 16, 512},
	{"type_vocab_size", offsetof(BertConfig, type_vocab_size), 1, 1 << 16, 2},
};

/* hidden_act, by the names of transformers' ACT2FN (activations.py). */
static const ConfigName activations[] = {
	{"gelu", BERT_ACT_GELU},
	{"gelu_10", BERT_ACT_GELU_10},
	{"gelu_accurate", BERT_ACT_GELU_TANH},
	{"gelu_fast", BERT_ACT_GELU_FAST},
	{"gelu_new", BERT_ACT_GELU_TANH},
	{"gelu_python", BERT_ACT_GELU},
	{"gelu_python_tanh", BERT_ACT_GELU_TANH},
	{"gelu_pytorch_tanh", BERT_ACT_GELU_TANH},
	{"hardswish", BERT_ACT_HARDSWISH},
	{"laplace", BERT_ACT_LAPLACE},
	{"leaky_relu", BERT_ACT_LEAKY_RELU},
	{"linear", BERT_ACT_LINEAR},
	{"mish", BERT_ACT_MISH},
	{"prelu", BERT_ACT_PRELU},
	{"quick_gelu", BERT_ACT_QUICK_GELU},
	{"relu", BERT_ACT_RELU},
	{"relu2", BERT_ACT_RELU2},
	{"relu6", BERT_ACT_RELU6},
	{"sigmoid", BERT_ACT_SIGMOID},
	{"silu", BERT_ACT_SILU},
	{"sqrtsoftplus", BERT_ACT_SQRTSOFTPLUS},
	{"swish", BERT_ACT_SILU},
	{"tanh", BERT_ACT_TANH},
	{"xielu", BERT_ACT_XIELU},
};

/* position_embedding_type, as transformers 4 reads it. */
static const ConfigName position_types[] = {
	{"absolute", BERT_POSITIONS_ABSOLUTE},
	{"relative_key", BERT_POSITIONS_RELATIVE_KEY},
	{"relative_key_query", BERT_POSITIONS_RELATIVE_KEY_QUERY},
};

static _Noreturn void
unsupported(const BertJson *json, const char *key, const char *value)
{
	ereport(
		ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
		errmsg("%s: \"%s\" is %s, which is not supported", json->label, key, value));
	pg_unreachable();
}

/* A string, quoted as a message may show it. */
static char *
quoted(const char *text)
{
	return psprintf("\"%s\"", bert_printable(text));
}

static int32
read_name(BertJson *json, const ConfigName *names, int n)
{
	const char *key = json->key;
	const char *name = bert_json_string(json);

	for (int i = 0; i < n; i++)
		if (strcmp(name, names[i].name) == 0)
			return names[i].value;
	unsupported(json, key, quoted(name));
}

/* A string that must have one value. */
static void
expect_string(BertJson *json, const char *key, const char *expected)
{
	const char *value = bert_json_string(json);

	if (strcmp(value, expected) != 0)
		unsupported(json, key, quoted(value));
}

/* pruned_heads: {layer: [head, ...]}, which makes matrices of some layers smaller. */
static void
expect_no_pruned_heads(BertJson *json)
{
	bert_json_object(json);
	if (bert_json_member(json))
		unsupported(json, "pruned_heads", "not empty");
}

/* One of sizes[]; false for another key. */
static bool
read_size(BertJson *json, BertConfig *config)
{
	for (int i = 0; i < (int) lengthof(sizes); i++)
		if (strcmp(json->key, sizes[i].key) == 0)
		{
			int32 *size = (int32 *) ((char *) config + sizes[i].offset);

			*size = bert_json_int(json, sizes[i].min, sizes[i].max);
			return true;
		}
	return false;
}

/* What read_config() must know, and BertConfig has no place for. */
typedef struct Rest
{
	bool has_type;
	int64 embedding_size; /* 0: not given */
} Rest;

/* A key whose only good value is false. */
static void
expect_false(BertJson *json)
{
	const char *key = json->key;

	if (bert_json_bool(json))
		unsupported(json, key, "true");
}

static void
read_member(BertJson *json, BertConfig *config, Rest *rest)
{
	const char *key = json->key;

	if (read_size(json, config))
		return;
	if (bert_json_null(json))
		return; /* as if the key were not there */
	if (strcmp(key, "model_type") == 0)
	{
		expect_string(json, key, "bert");
		rest->has_type = true;
	}
	else if (strcmp(key, "hidden_act") == 0)
		config->hidden_act = read_name(json, activations, lengthof(activations));
	else if (strcmp(key, "layer_norm_eps") == 0)
		config->layer_norm_eps = bert_json_double(json, 1e-30, 1.0);
	else if (strcmp(key, "position_embedding_type") == 0)
		config->position_type =
			read_name(json, position_types, lengthof(position_types));
	else if (strcmp(key, "embedding_size") == 0)
		rest->embedding_size = bert_json_int(json, 1, PG_INT32_MAX);
	else if (strcmp(key, "pruned_heads") == 0)
		expect_no_pruned_heads(json);
	else if (strcmp(key, "quantization_config") == 0)
		unsupported(json, key, "given");
	else if (strcmp(key, "is_decoder") == 0 || strcmp(key, "add_cross_attention") == 0)
		expect_false(json);
	else
		bert_json_skip(json);
}

/* The embeddings are as wide as the layers, and the heads divide them. */
static void
check_sizes(const BertJson *json, BertConfig *config, const Rest *rest)
{
	if (rest->embedding_size != 0 && rest->embedding_size != config->hidden_size)
		unsupported(json, "embedding_size",
					psprintf("not \"hidden_size\" %d", config->hidden_size));
	if (config->hidden_size % config->num_heads != 0)
		bert_json_error(json,
						"\"hidden_size\" %d is not a multiple of "
						"\"num_attention_heads\" %d",
						config->hidden_size, config->num_heads);
	config->head_size = config->hidden_size / config->num_heads;
}

/* What transformers' BertConfig is without a config.json. */
static void
set_presets(BertConfig *config)
{
	memset(config, 0, sizeof(*config));
	for (int i = 0; i < (int) lengthof(sizes); i++)
		*(int32 *) ((char *) config + sizes[i].offset) = sizes[i].preset;
	config->hidden_act = BERT_ACT_GELU;
	config->position_type = BERT_POSITIONS_ABSOLUTE;
	config->layer_norm_eps = 1e-12f;
}

/* An adapter (LoRA and such) would change the weights while they are loaded. */
static void
expect_no_adapter(const BertModelFiles *model)
{
	if (bert_model_file_exists(model, BERT_FILE_ADAPTER))
		ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("%s is not supported",
					   bert_model_file_label(model, BERT_FILE_ADAPTER)),
				errhint("Merge the adapter into the weights, in Python with "
						"merge_and_unload(), and save the model anew."));
}

void
bert_model_read_config(BertModelFiles *model)
{
	BertConfig *config = &model->config;
	BertJson json;
	Rest rest = {false, 0};

	expect_no_adapter(model);
	bert_model_file_json(model, BERT_FILE_CONFIG, &json);
	set_presets(config);
	bert_json_object(&json);
	while (bert_json_member(&json))
		read_member(&json, config, &rest);
	bert_json_finish(&json);
	if (!rest.has_type)
		bert_json_error(&json, "\"model_type\" is missing");
	check_sizes(&json, config, &rest);
}
