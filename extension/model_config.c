/*
 * model_config.c
 *	  config.json: the sizes of the encoder.
 *
 * Every size has a range, which keeps each product of two sizes, and of the bytes of a
 * tensor, far inside 64 bits. Whether the sizes are true is not for this file to know:
 * model_weights.c compares them with the tensors, and safetensors.c has compared those
 * with the size of their file.
 *
 * What would make the encoder compute something else than the plain BERT is refused by
 * name, as transformers 5 silently ignores some of it. All other keys are ignored.
 */
#include "port.h"

#include "model_files.h"

/* What config.json must give: (key, member of BertConfig, range). */
static const struct
{
	const char *key;
	size_t offset;
	int32 min;
	int32 max;
} sizes[] = {
	{"vocab_size", offsetof(BertConfig, vocab_size), 1, 1 << 24},
	{"hidden_size", offsetof(BertConfig, hidden_size), 1, 1 << 16},
	{"num_hidden_layers", offsetof(BertConfig, num_layers), 1, 1000},
	{"num_attention_heads", offsetof(BertConfig, num_heads), 1, 1 << 12},
	{"intermediate_size", offsetof(BertConfig, intermediate_size), 1, 1 << 18},
	{"max_position_embeddings", offsetof(BertConfig, max_positions), 3, 1 << 16},
	{"type_vocab_size", offsetof(BertConfig, type_vocab_size), 1, 1 << 16},
};

/* hidden_act, by the names of transformers' ACT2FN. */
static const struct
{
	const char *name;
	BertActivation activation;
} activations[] = {
	{"gelu", BERT_ACT_GELU},           {"gelu_python", BERT_ACT_GELU},
	{"gelu_new", BERT_ACT_GELU_TANH},  {"gelu_pytorch_tanh", BERT_ACT_GELU_TANH},
	{"gelu_fast", BERT_ACT_GELU_FAST}, {"quick_gelu", BERT_ACT_QUICK_GELU},
	{"relu", BERT_ACT_RELU},           {"silu", BERT_ACT_SILU},
	{"swish", BERT_ACT_SILU},          {"tanh", BERT_ACT_TANH},
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

static BertActivation
read_activation(BertJson *json)
{
	const char *name = bert_json_string(json);

	for (int i = 0; i < (int) lengthof(activations); i++)
		if (strcmp(name, activations[i].name) == 0)
			return activations[i].activation;
	unsupported(json, "hidden_act", quoted(name));
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

static void
read_member(BertJson *json, BertConfig *config, bool *has_type)
{
	const char *key = json->key;

	if (read_size(json, config))
		return;
	if (bert_json_null(json))
		return; /* as if the key were not there */
	if (strcmp(key, "model_type") == 0)
	{
		expect_string(json, key, "bert");
		*has_type = true;
	}
	else if (strcmp(key, "hidden_act") == 0)
		config->hidden_act = read_activation(json);
	else if (strcmp(key, "layer_norm_eps") == 0)
		config->layer_norm_eps = bert_json_double(json, 1e-30, 1.0);
	else if (strcmp(key, "position_embedding_type") == 0)
		expect_string(json, key, "absolute");
	else if (strcmp(key, "pruned_heads") == 0)
		expect_no_pruned_heads(json);
	else if (strcmp(key, "is_decoder") == 0 || strcmp(key, "add_cross_attention") == 0)
	{
		if (bert_json_bool(json))
			unsupported(json, key, "true");
	}
	else
		bert_json_skip(json);
}

/* All sizes are there, and the heads divide the hidden size. */
static void
check_sizes(const BertJson *json, BertConfig *config)
{
	for (int i = 0; i < (int) lengthof(sizes); i++)
		if (*(int32 *) ((char *) config + sizes[i].offset) == 0)
			bert_json_error(json, "\"%s\" is missing", sizes[i].key);
	if (config->hidden_size % config->num_heads != 0)
		bert_json_error(json,
						"\"hidden_size\" %d is not a multiple of "
						"\"num_attention_heads\" %d",
						config->hidden_size, config->num_heads);
	config->head_size = config->hidden_size / config->num_heads;
}

void
bert_model_read_config(BertModelFiles *model)
{
	BertConfig *config = &model->config;
	BertJson json;
	bool has_type = false;

	bert_model_file_json(model, BERT_FILE_CONFIG, &json);
	memset(config, 0, sizeof(*config));
	config->hidden_act = BERT_ACT_GELU;
	config->layer_norm_eps = 1e-12f;
	bert_json_object(&json);
	while (bert_json_member(&json))
		read_member(&json, config, &has_type);
	bert_json_finish(&json);
	if (!has_type)
		bert_json_error(&json, "\"model_type\" is missing");
	check_sizes(&json, config);
}
