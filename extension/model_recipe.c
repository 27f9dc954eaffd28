/*
 * model_recipe.c
 *	  From hidden states to one vector: what sentence-transformers' files say.
 *
 * modules.json is a list of modules that a text goes through. Those that are known:
 *
 *	  Transformer	the encoder; options in sentence_bert_config.json
 *	  Pooling		options in 1_Pooling/config.json
 *	  Normalize		has none; may be missing
 *
 * in this order. Anything else (Dense, LayerNorm, ...) is refused by its name: without
 * it the vectors would look right and be wrong. A model without modules.json is a bare
 * encoder; sentence-transformers then takes the mean over the tokens, and so do we.
 *
 * config_sentence_transformers.json may name a prompt that is put before each text.
 */
#include "port.h"

#include "model_files.h"

/* Pooling modes: the old boolean key, the new name, in the order of joined vectors. */
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

static _Noreturn void
unsupported(const BertJson *json, const char *what)
{
	ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			errmsg("%s: %s is not supported", json->label, what));
	pg_unreachable();
}

/* ---- modules.json ---- */

/* The known modules, in their order, and where their files have to be. */
static const struct
{
	const char *name;
	const char *path; /* NULL: it has no files */
} modules[] = {
	{"Transformer", ""},
	{"Pooling", "1_Pooling"},
	{"Normalize", NULL},
};

/*
 * {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.
 * Pooling"}. The type's last name counts, as what stands before it has changed since.
 * Returns its number in modules[].
 */
static int
read_module(BertJson *json)
{
	const char *type = "";
	const char *path = "";
	const char *dot;
	int module = 0;

	bert_json_object(json);
	while (bert_json_member(json))
	{
		if (strcmp(json->key, "type") == 0)
			type = bert_json_string(json);
		else if (strcmp(json->key, "path") == 0)
			path = bert_json_string(json);
		else
			bert_json_skip(json);
	}
	dot = strrchr(type, '.');
	type = dot != NULL ? dot + 1 : type;
	while (module < (int) lengthof(modules) && strcmp(type, modules[module].name) != 0)
		module++;
	if (module == lengthof(modules))
		unsupported(json, psprintf("module \"%s\"", bert_printable(type)));
	if (modules[module].path != NULL && strcmp(path, modules[module].path) != 0)
		unsupported(json, psprintf("module \"%s\" in folder \"%s\"", type,
								   bert_printable(path)));
	return module;
}

/* What follows the encoder: Pooling, and then perhaps Normalize. */
static void
read_modules(BertRecipe *recipe, BertJson *json)
{
	int n = 0;

	bert_json_array(json);
	while (bert_json_element(json))
	{
		int module = read_module(json);

		if (module != n)
			unsupported(json, psprintf("module \"%s\" as number %d",
									   modules[module].name, n + 1));
		n++;
	}
	bert_json_finish(json);
	if (n < 2)
		unsupported(json, psprintf("a model without module \"%s\"", modules[n].name));
	recipe->normalize = n > 2;
}

/* ---- 1_Pooling/config.json ---- */

static BertPooling
find_pooling_mode(const BertJson *json, const char *name)
{
	for (int i = 0; i < BERT_POOL_MODES; i++)
		if (pg_strcasecmp(name, pooling_modes[i].name) == 0)
			return pooling_modes[i].mode;
	unsupported(json, psprintf("pooling mode \"%s\"", bert_printable(name)));
}

/* "mean", or ["cls", "mean"]: a set, so the order has to be that of the set. */
static int32
read_pooling_modes(BertJson *json)
{
	int32 set = 0;

	if (bert_json_peek(json) == BERT_JSON_STRING)
		return find_pooling_mode(json, bert_json_string(json));
	bert_json_array(json);
	while (bert_json_element(json))
	{
		int32 mode = find_pooling_mode(json, bert_json_string(json));

		if (mode <= set)
			unsupported(json, "this order of pooling modes");
		set |= mode;
	}
	return set;
}

/* One of the old keys; false for another key. */
static bool
read_old_pooling_mode(BertJson *json, int32 *set)
{
	for (int i = 0; i < BERT_POOL_MODES; i++)
		if (strcmp(json->key, pooling_modes[i].key) == 0)
		{
			if (bert_json_bool(json))
				*set |= pooling_modes[i].mode;
			return true;
		}
	return false;
}

static void
check_dimension(BertJson *json, int32 hidden_size)
{
	const char *key = json->key;
	int64 dimension = bert_json_int(json, 1, PG_INT32_MAX);

	if (dimension != hidden_size)
		bert_json_error(json, "\"%s\" is %d, but \"hidden_size\" in config.json is %d",
						key, (int) dimension, hidden_size);
}

static void
read_pooling(BertRecipe *recipe, BertJson *json, int32 hidden_size,
			 bool *include_prompt)
{
	int32 old_set = 0;
	int32 new_set = 0;

	bert_json_object(json);
	while (bert_json_member(json))
	{
		if (bert_json_null(json) || read_old_pooling_mode(json, &old_set))
			continue;
		if (strcmp(json->key, "pooling_mode") == 0)
			new_set = read_pooling_modes(json);
		else if (strcmp(json->key, "word_embedding_dimension") == 0 ||
				 strcmp(json->key, "embedding_dimension") == 0)
			check_dimension(json, hidden_size);
		else if (strcmp(json->key, "include_prompt") == 0)
			*include_prompt = bert_json_bool(json);
		else
			bert_json_skip(json);
	}
	bert_json_finish(json);
	recipe->pooling = new_set ? new_set : old_set;
	if (recipe->pooling == 0)
		recipe->pooling = BERT_POOL_MEAN;
}

/* ---- sentence_bert_config.json, tokenizer_config.json: the length ---- */

/*
 * do_lower_case puts a lower-casing before the tokenizer's own steps, which is the same
 * as one after them. Accents stay as the tokenizer has it. False means nothing.
 */
static void
read_sentence_bert_config(BertModelFiles *model, BertJson *json, double *max_tokens)
{
	bert_json_object(json);
	while (bert_json_member(json))
	{
		if (bert_json_null(json))
			continue;
		if (strcmp(json->key, "max_seq_length") == 0)
			*max_tokens = bert_json_int(json, 3, PG_INT32_MAX);
		else if (strcmp(json->key, "do_lower_case") == 0)
			model->tokenizer.lowercase |= bert_json_bool(json);
		else
			bert_json_skip(json);
	}
	bert_json_finish(json);
}

/* model_max_length: 10^30 where the author of the model had no limit in mind. */
static void
read_model_max_length(BertJson *json, double *max_tokens)
{
	bert_json_object(json);
	while (bert_json_member(json))
	{
		if (bert_json_null(json))
			continue;
		if (strcmp(json->key, "model_max_length") == 0)
			*max_tokens = bert_json_double(json, 3, 1e300);
		else
			bert_json_skip(json);
	}
}

/* A position that has no embedding is out of the question, whatever the files say. */
static void
read_max_tokens(BertModelFiles *model)
{
	double max_tokens = 0;
	BertJson json;

	if (bert_model_file_json(model, BERT_FILE_SENTENCE_BERT, &json))
		read_sentence_bert_config(model, &json, &max_tokens);
	if (max_tokens == 0 &&
		bert_model_file_json(model, BERT_FILE_TOKENIZER_CONFIG, &json))
		read_model_max_length(&json, &max_tokens);
	if (max_tokens == 0 || max_tokens > model->config.max_positions)
		max_tokens = model->config.max_positions;
	model->recipe.max_tokens = (int32) max_tokens;
}

/* ---- config_sentence_transformers.json: the prompt ---- */

/* prompts: {name: text}; the text of that name, which must be there. */
static const char *
find_prompt(BertJson *json, const char *name)
{
	const char *text = NULL;

	bert_json_object(json);
	while (bert_json_member(json))
	{
		if (strcmp(json->key, name) == 0)
			text = bert_json_string(json);
		else
			bert_json_skip(json);
	}
	if (text == NULL)
		bert_json_error(json, "there is no prompt of the name \"%s\"",
						bert_printable(name));
	return text;
}

static void
set_prompt(BertRecipe *recipe, const BertJson *json, const char *prompt)
{
	size_t nbytes = strlen(prompt);

	if (nbytes >= BERT_MAX_PROMPT)
		unsupported(json, psprintf("a default prompt of more than %d bytes",
								   BERT_MAX_PROMPT - 1));
	memcpy(recipe->prompt, prompt, nbytes);
	recipe->prompt_nbytes = nbytes;
}

static void
read_sentence_transformers_config(BertRecipe *recipe, BertJson *json)
{
	const char *name = NULL;
	BertJson prompts;
	bool has_prompts = false;

	bert_json_object(json);
	while (bert_json_member(json))
	{
		if (bert_json_null(json))
			continue;
		if (strcmp(json->key, "default_prompt_name") == 0)
			name = bert_json_string(json);
		else if (strcmp(json->key, "truncate_dim") == 0)
			unsupported(json, "\"truncate_dim\"");
		else
		{
			if (strcmp(json->key, "prompts") == 0)
			{
				prompts = *json;
				has_prompts = true;
			}
			bert_json_skip(json);
		}
	}
	bert_json_finish(json);
	if (name == NULL)
		return;
	if (!has_prompts)
		bert_json_error(json, "there is a \"default_prompt_name\", but no \"prompts\"");
	set_prompt(recipe, json, find_prompt(&prompts, name));
}

/* ---- together ---- */

static void
missing_pooling_config(const BertModelFiles *model)
{
	ereport(ERROR, errcode(ERRCODE_UNDEFINED_FILE),
			errmsg("%s is missing, but modules.json has a module \"Pooling\"",
				   bert_model_file_label(model, BERT_FILE_POOLING)));
}

void
bert_model_read_recipe(BertModelFiles *model)
{
	BertRecipe *recipe = &model->recipe;
	bool include_prompt = true;
	BertJson json;

	memset(recipe, 0, sizeof(*recipe));
	recipe->pooling = BERT_POOL_MEAN;
	if (bert_model_file_json(model, BERT_FILE_MODULES, &json))
	{
		read_modules(recipe, &json);
		if (!bert_model_file_json(model, BERT_FILE_POOLING, &json))
			missing_pooling_config(model);
		read_pooling(recipe, &json, model->config.hidden_size, &include_prompt);
	}
	read_max_tokens(model);
	if (bert_model_file_json(model, BERT_FILE_SENTENCE_TRANSFORMERS, &json))
		read_sentence_transformers_config(recipe, &json);
	if (!include_prompt && recipe->prompt_nbytes > 0)
		unsupported(&json, "a default prompt that pooling does not include");
}
