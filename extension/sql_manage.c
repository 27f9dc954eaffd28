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

/* In the order of BertActivation, and of the bits of BertPooling. */
static const char *const activations[] = {"gelu", "gelu_new", "gelu_fast", "quick_gelu",
										  "relu", "silu",     "tanh"};
static const char *const poolings[BERT_POOL_MODES] = {
	"cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"};

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

static void
put_pooling(ReturnSetInfo *result, int32 pooling)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < BERT_POOL_MODES; i++)
		if (pooling & (1 << i))
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", poolings[i]);
	put_string(result, "pooling", names.data);
}

/* Of the encoder and its pooler: matrices with their biases, norms of two vectors. */
static int64
n_parameters(const BertConfig *config)
{
	int64 hidden = config->hidden_size;
	int64 inner = config->intermediate_size;
	int64 tables =
		(int64) config->vocab_size + config->max_positions + config->type_vocab_size;
	int64 attention = 4 * (hidden * hidden + hidden) + 2 * hidden;
	int64 feed_forward = 2 * hidden * inner + inner + hidden + 2 * hidden;
	int64 pooler = config->has_pooler ? hidden * hidden + hidden : 0;

	return tables * hidden + 2 * hidden +
		   config->num_layers * (attention + feed_forward) + pooler;
}

/* Names as the model's files have them. */
static void
put_config(ReturnSetInfo *result, const BertConfig *config)
{
	put_number(result, "parameters", n_parameters(config));
	put_number(result, "num_hidden_layers", config->num_layers);
	put_number(result, "hidden_size", config->hidden_size);
	put_number(result, "num_attention_heads", config->num_heads);
	put_number(result, "intermediate_size", config->intermediate_size);
	put_string(result, "hidden_act", activations[config->hidden_act]);
	put_string(result, "layer_norm_eps", psprintf("%g", config->layer_norm_eps));
	put_number(result, "vocab_size", config->vocab_size);
	put_number(result, "type_vocab_size", config->type_vocab_size);
	put_number(result, "max_position_embeddings", config->max_positions);
	put_yes_no(result, "pooler", config->has_pooler);
}

PG_FUNCTION_INFO_V1(bert_sql_model_info);

Datum
bert_sql_model_info(PG_FUNCTION_ARGS)
{
	BertModel *model = bert_call_model(fcinfo, 0);
	const BertRecipe *recipe = &model->recipe;
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	put_string(result, "name", model->name);
	put_number(result, "dimensions", bert_session_size(model, BERT_OUTPUT_EMBEDDING));
	put_number(result, "max_seq_length", recipe->max_tokens);
	put_pooling(result, recipe->pooling);
	put_yes_no(result, "normalized", recipe->normalize);
	put_text(result, "prompt", bert_text_create(recipe->prompt, recipe->prompt_nbytes));
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
