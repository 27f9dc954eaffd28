/*
 * sql_manage.c
 *	  bert_models, bert_model_info, bert_devices: what there is to work with.
 */
#include "port.h"

#include "funcapi.h"
#include "json.h"
#include "lib/stringinfo.h"
#include "settings.h"
#include "sql_text.h"
#include "utils/builtins.h"

static void
put(ReturnSetInfo *result, Datum *columns, bool *nulls)
{
	tuplestore_putvalues(result->setResult, result->setDesc, columns, nulls);
}

/* ---- bert_models ---- */

/* Whether the forms without a model's name take this one, out of n. */
static bool
is_default(const char *name, int n)
{
	size_t length = strcspn(bert_model_setting, "@");

	if (length == 0)
		return n == 1;
	return strlen(name) == length && strncmp(name, bert_model_setting, length) == 0;
}

PG_FUNCTION_INFO_V1(bert_sql_models);

Datum
bert_sql_models(PG_FUNCTION_ARGS)
{
	int n;
	char **names = bert_session_model_names(&n);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < n; i++)
	{
		Datum columns[2] = {CStringGetTextDatum(names[i]),
							BoolGetDatum(is_default(names[i], n))};
		bool nulls[2] = {false, false};

		put((ReturnSetInfo *) fcinfo->resultinfo, columns, nulls);
	}
	return (Datum) 0;
}

/* ---- bert_model_info ---- */

/* In the order of BertActivation, BertPositions and BertPooling. */
static const char *const activations[] = {
	[BERT_ACT_GELU] = "gelu",
	[BERT_ACT_GELU_TANH] = "gelu_new",
	[BERT_ACT_GELU_FAST] = "gelu_fast",
	[BERT_ACT_QUICK_GELU] = "quick_gelu",
	[BERT_ACT_RELU] = "relu",
	[BERT_ACT_SILU] = "silu",
	[BERT_ACT_TANH] = "tanh",
	[BERT_ACT_GELU_10] = "gelu_10",
	[BERT_ACT_RELU2] = "relu2",
	[BERT_ACT_RELU6] = "relu6",
	[BERT_ACT_MISH] = "mish",
	[BERT_ACT_SIGMOID] = "sigmoid",
	[BERT_ACT_LINEAR] = "linear",
	[BERT_ACT_LAPLACE] = "laplace",
	[BERT_ACT_LEAKY_RELU] = "leaky_relu",
	[BERT_ACT_HARDSWISH] = "hardswish",
	[BERT_ACT_SQRTSOFTPLUS] = "sqrtsoftplus",
	[BERT_ACT_PRELU] = "prelu",
	[BERT_ACT_XIELU] = "xielu",
};
static const char *const position_types[] = {
	[BERT_POSITIONS_ABSOLUTE] = "absolute",
	[BERT_POSITIONS_RELATIVE_KEY] = "relative_key",
	[BERT_POSITIONS_RELATIVE_KEY_QUERY] = "relative_key_query",
};
static const char *const poolings[] = {
	[BERT_POOL_CLS] = "cls",
	[BERT_POOL_MAX] = "max",
	[BERT_POOL_MEAN] = "mean",
	[BERT_POOL_MEAN_SQRT] = "mean_sqrt_len_tokens",
	[BERT_POOL_WEIGHTED_MEAN] = "weightedmean",
	[BERT_POOL_LAST] = "lasttoken",
};

static void
put_text(ReturnSetInfo *result, const char *property, text *value)
{
	Datum columns[2] = {CStringGetTextDatum(property), PointerGetDatum(value)};
	bool nulls[2] = {false, false};

	put(result, columns, nulls);
}

static void
put_string(ReturnSetInfo *result, const char *property, const char *value)
{
	put_text(result, property, cstring_to_text(value));
}

static void
put_number(ReturnSetInfo *result, const char *property, int64 value)
{
	put_string(result, property, psprintf(INT64_FORMAT, value));
}

static void
put_yes_no(ReturnSetInfo *result, const char *property, bool value)
{
	put_string(result, property, value ? "yes" : "no");
}

/* "cls, mean" */
static void
put_pooling(ReturnSetInfo *result, uint32 pooling)
{
	StringInfoData names;

	initStringInfo(&names);
	for (; pooling != 0; pooling >>= BERT_POOL_BITS)
		appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "",
						 poolings[pooling & ((1 << BERT_POOL_BITS) - 1)]);
	put_string(result, "pooling", names.data);
}

static void
append_module(StringInfo names, const BertModule *module)
{
	switch ((BertModuleKind) module->kind)
	{
		case BERT_MODULE_NORMALIZE:
			appendStringInfoString(names, "Normalize");
			return;
		case BERT_MODULE_LAYER_NORM:
			appendStringInfo(names, "LayerNorm(%d)", module->in_size);
			return;
		case BERT_MODULE_DENSE:
			appendStringInfo(names, "Dense(%d, %d, %s%s)", module->in_size,
							 module->out_size, activations[module->activation],
							 module->has_residual ? ", residual" : "");
			return;
	}
}

/* "Dense(384, 128, tanh), Normalize" */
static void
put_modules(ReturnSetInfo *result, const BertRecipe *recipe)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < recipe->n_modules; i++)
	{
		if (i > 0)
			appendStringInfoString(&names, ", ");
		append_module(&names, &recipe->modules[i]);
	}
	put_string(result, "modules", names.data);
}

/* One row for each, "prompts.query", and one that names the default. */
static void
put_prompts(ReturnSetInfo *result, const BertRecipe *recipe)
{
	const char *at = recipe->prompts;
	const char *end = at + recipe->prompts_nbytes;
	const char *default_name = "";

	while (at < end)
	{
		const char *name = at;
		const char *prompt = name + strlen(name) + 1;
		char *property = psprintf("prompts.%s", name);

		if (prompt - recipe->prompts == recipe->default_prompt)
			default_name = name;
		put_text(result, text_to_cstring(bert_text_create(property, strlen(property))),
				 bert_text_create(prompt, strlen(prompt)));
		at = prompt + strlen(prompt) + 1;
	}
	put_text(result, "default_prompt_name",
			 bert_text_create(default_name, strlen(default_name)));
}

/* What sentence-transformers' files say. */
static void
put_recipe(ReturnSetInfo *result, const BertRecipe *recipe)
{
	put_number(result, "max_seq_length", recipe->max_tokens);
	put_pooling(result, recipe->pooling);
	put_yes_no(result, "include_prompt", recipe->include_prompt);
	put_modules(result, recipe);
	put_yes_no(result, "normalized",
			   recipe->n_modules > 0 && recipe->modules[recipe->n_modules - 1].kind ==
											BERT_MODULE_NORMALIZE);
	put_string(result, "truncate_dim",
			   recipe->truncate_dim > 0 ? psprintf("%d", recipe->truncate_dim) : "");
	put_prompts(result, recipe);
}

static int64
linear_parameters(int64 in_size, int64 out_size)
{
	return in_size * out_size + out_size;
}

/* Of one layer: matrices with their biases, norms of two vectors. */
static int64
layer_parameters(const BertConfig *config)
{
	int64 hidden = config->hidden_size;
	int64 inner = config->intermediate_size;
	int64 n = 4 * linear_parameters(hidden, hidden) + linear_parameters(hidden, inner) +
			  linear_parameters(inner, hidden) + 2 * 2 * hidden;

	if (config->position_type != BERT_POSITIONS_ABSOLUTE)
		n += (2 * (int64) config->max_positions - 1) * config->head_size;
	if (config->hidden_act == BERT_ACT_PRELU)
		n += 1;
	if (config->hidden_act == BERT_ACT_XIELU)
		n += 2;
	return n;
}

/* Of the encoder and its pooler. */
static int64
encoder_parameters(const BertConfig *config)
{
	int64 hidden = config->hidden_size;
	int64 rows = (int64) config->vocab_size + config->type_vocab_size;

	if (config->position_type == BERT_POSITIONS_ABSOLUTE)
		rows += config->max_positions;
	return rows * hidden + 2 * hidden + config->num_layers * layer_parameters(config) +
		   (config->has_pooler ? linear_parameters(hidden, hidden) : 0);
}

static int64
module_parameters(const BertModule *module)
{
	int64 in_size = module->in_size;
	int64 out_size = module->out_size;
	int64 n;

	if (module->kind == BERT_MODULE_LAYER_NORM)
		return 2 * in_size;
	if (module->kind != BERT_MODULE_DENSE)
		return 0;
	n = in_size * out_size;
	if (module->has_residual && in_size != out_size)
		n *= 2;
	return n + (module->has_bias ? out_size : 0);
}

static int64
n_parameters(const BertModel *model)
{
	int64 n = encoder_parameters(&model->config);

	for (int i = 0; i < model->recipe.n_modules; i++)
		n += module_parameters(&model->recipe.modules[i]);
	return n;
}

/* Names as the model's files have them. */
static void
put_config(ReturnSetInfo *result, const BertConfig *config)
{
	put_number(result, "num_hidden_layers", config->num_layers);
	put_number(result, "hidden_size", config->hidden_size);
	put_number(result, "num_attention_heads", config->num_heads);
	put_number(result, "intermediate_size", config->intermediate_size);
	put_string(result, "hidden_act", activations[config->hidden_act]);
	put_string(result, "layer_norm_eps", psprintf("%g", config->layer_norm_eps));
	put_number(result, "vocab_size", config->vocab_size);
	put_number(result, "type_vocab_size", config->type_vocab_size);
	put_number(result, "max_position_embeddings", config->max_positions);
	put_string(result, "position_embedding_type",
			   position_types[config->position_type]);
	put_yes_no(result, "pooler", config->has_pooler);
}

PG_FUNCTION_INFO_V1(bert_sql_model_info);

Datum
bert_sql_model_info(PG_FUNCTION_ARGS)
{
	BertModel *model = bert_call_model(fcinfo, 0);
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	put_string(result, "name", model->name);
	put_number(result, "dimensions",
			   bert_recipe_size(&model->recipe, model->config.hidden_size));
	put_recipe(result, &model->recipe);
	put_yes_no(result, "split_special_tokens",
			   bert_tokenizer_split_special(model->tokenizer));
	put_number(result, "parameters", n_parameters(model));
	put_config(result, &model->config);
	return (Datum) 0;
}

/* ---- bert_devices ---- */

/* What a driver says of itself may be in any encoding. */
static Datum
driver_text(const char *said)
{
	return CStringGetTextDatum(bert_printable(said));
}

static void
put_device(ReturnSetInfo *result, const BertDeviceRow *device)
{
	const BertDeviceInfo *info = &device->info;
	const char *type = info->is_cpu ? "cpu" : info->is_gpu ? "gpu" : "other";
	Datum columns[9] = {driver_text(info->platform),
						driver_text(info->name),
						CStringGetTextDatum(type),
						driver_text(info->driver_version),
						Int32GetDatum((int32) Min(info->compute_units, INT_MAX)),
						Int64GetDatum((int64) Min(info->global_memory, INT64_MAX)),
						BoolGetDatum(device->chosen)};
	bool nulls[9] = {false};

	nulls[7] = device->tier == NULL;
	nulls[8] = device->reason == NULL;
	if (device->tier != NULL)
		columns[7] = CStringGetTextDatum(device->tier);
	if (device->reason != NULL)
		columns[8] = CStringGetTextDatum(device->reason);
	put(result, columns, nulls);
}

PG_FUNCTION_INFO_V1(bert_sql_devices);

Datum
bert_sql_devices(PG_FUNCTION_ARGS)
{
	int n;
	BertDeviceRow *devices = bert_session_devices(&n);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < n; i++)
		put_device((ReturnSetInfo *) fcinfo->resultinfo, &devices[i]);
	return (Datum) 0;
}
