/*
 * model_recipe.c
 *	  From hidden states to one vector: what sentence-transformers' files say.
 *
 * The modules are read by model_modules.c. Here are the length at which a text is cut,
 * the prompts that are put before a text, and how many elements of the vector stay.
 * Source: base/model.py, base/modules/transformer.py and sentence_transformer/model.py
 * of sentence_transformers 6.2.
 *
 * A model without modules.json is a bare encoder. sentence-transformers then takes the
 * mean over the tokens, and looks at no other file of its own; so do we.
 */
#include "port.h"

#include "model_files.h"

/* A string that must have one value. */
static void
expect_string(BertJson *json, const char *expected)
{
	const char *key = json->key;
	const char *value = bert_json_string(json);

	if (strcmp(value, expected) != 0)
		bert_json_unsupported(json, "\"%s\" \"%s\"", key, bert_printable(value));
}

/* ---- sentence_bert_config.json: how the encoder is used ---- */

/* Arguments for from_pretrained() that change no vector, or are left out by itself. */
static const char *const harmless_arguments[] = {
	"add_pooling_layer", "attn_implementation", "dtype",
	"torch_dtype",       "trust_remote_code",   "use_fast",
	"use_safetensors"};

static bool
is_harmless(const char *argument)
{
	for (int i = 0; i < (int) lengthof(harmless_arguments); i++)
		if (strcmp(argument, harmless_arguments[i]) == 0)
			return true;
	return false;
}

/* The tokenizer's model_max_length goes before max_seq_length. */
static void
read_arguments(BertJson *json, double *model_max_length)
{
	const char *key = json->key;
	bool of_tokenizer =
		strcmp(key, "tokenizer_args") == 0 || strcmp(key, "processor_kwargs") == 0;

	bert_json_object(json);
	while (bert_json_member(json))
	{
		if (of_tokenizer && strcmp(json->key, "model_max_length") == 0)
			*model_max_length = bert_json_double(json, 3, 1e300);
		else if (is_harmless(json->key))
			bert_json_skip(json);
		else
			bert_json_unsupported(json, "\"%s\" in \"%s\"", bert_printable(json->key),
								  key);
	}
}

static bool
is_arguments(const char *key)
{
	static const char *const keys[] = {"model_args",     "model_kwargs",
									   "tokenizer_args", "processor_kwargs",
									   "config_args",    "config_kwargs"};

	for (int i = 0; i < (int) lengthof(keys); i++)
		if (strcmp(key, keys[i]) == 0)
			return true;
	return false;
}

/* What goes in and comes out must be what BertModel has by itself. */
static void
read_modality(BertJson *json)
{
	bert_json_object(json);
	while (bert_json_member(json))
	{
		if (strcmp(json->key, "method") == 0)
			expect_string(json, "forward");
		else if (strcmp(json->key, "method_output_name") == 0)
			expect_string(json, "last_hidden_state");
		else
			bert_json_skip(json);
	}
}

/* {"text": {...}}; a modality "message" would put texts into a chat's template. */
static void
read_modality_config(BertJson *json)
{
	bool has_text = false;

	bert_json_object(json);
	while (bert_json_member(json))
	{
		if (strcmp(json->key, "message") == 0)
			bert_json_unsupported(json, "modality \"message\"");
		if (strcmp(json->key, "text") == 0)
		{
			has_text = true;
			read_modality(json);
		}
		else
			bert_json_skip(json);
	}
	if (!has_text)
		bert_json_unsupported(json, "a \"modality_config\" without \"text\"");
}

/* An object that must be empty, or any other value, which must not be there. */
static void
expect_nothing(BertJson *json)
{
	const char *key = json->key;

	if (bert_json_peek(json) == BERT_JSON_OBJECT)
	{
		bert_json_object(json);
		if (!bert_json_member(json))
			return;
	}
	bert_json_unsupported(json, "\"%s\"", key);
}

static bool
is_unsupported(const char *key)
{
	static const char *const keys[] = {"processing_kwargs", "query_length",
									   "document_length", "query_expansion",
									   "tokenizer_name_or_path"};

	for (int i = 0; i < (int) lengthof(keys); i++)
		if (strcmp(key, keys[i]) == 0)
			return true;
	return false;
}

/*
 * do_lower_case puts a lower-casing before the tokenizer's own steps, which is the same
 * as one after them. Accents stay as the tokenizer has it. False means nothing.
 */
static void
read_sentence_bert_config(BertModelFiles *model, BertJson *json, double *max_tokens)
{
	double model_max_length = 0;

	bert_json_object(json);
	while (bert_json_member(json))
	{
		if (bert_json_null(json))
			continue;
		if (strcmp(json->key, "max_seq_length") == 0)
			*max_tokens = bert_json_int(json, 3, PG_INT32_MAX);
		else if (strcmp(json->key, "do_lower_case") == 0)
			model->tokenizer.lowercase |= bert_json_bool(json);
		else if (strcmp(json->key, "transformer_task") == 0)
			expect_string(json, "feature-extraction");
		else if (strcmp(json->key, "module_output_name") == 0)
			expect_string(json, "token_embeddings");
		else if (strcmp(json->key, "modality_config") == 0)
			read_modality_config(json);
		else if (is_arguments(json->key))
			read_arguments(json, &model_max_length);
		else if (is_unsupported(json->key))
			expect_nothing(json);
		else
			bert_json_skip(json);
	}
	bert_json_finish(json);
	if (model_max_length > 0)
		*max_tokens = model_max_length;
}

/* ---- tokenizer_config.json: the length ---- */

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

/* sentence_bert_config.json, or the first of its other names; false: there is none. */
static bool
find_sentence_bert_config(const BertModelFiles *model, BertJson *json)
{
	for (int i = BERT_FILE_SENTENCE_BERT; i <= BERT_FILE_SENTENCE_LAST; i++)
		if (bert_model_file_json(model, i, json))
			return true;
	return false;
}

/* A position that has no embedding is out of the question, whatever the files say. */
static void
read_max_tokens(BertModelFiles *model)
{
	double max_tokens = 0;
	BertJson json;

	if (model->n_entries > 0 && find_sentence_bert_config(model, &json))
		read_sentence_bert_config(model, &json, &max_tokens);
	if (max_tokens == 0 &&
		bert_model_file_json(model, BERT_FILE_TOKENIZER_CONFIG, &json))
		read_model_max_length(&json, &max_tokens);
	if (max_tokens == 0 || max_tokens > model->config.max_positions)
		max_tokens = model->config.max_positions;
	model->recipe.max_tokens = (int32) max_tokens;
}

/* ---- config_sentence_transformers.json: prompts, and the vector's length ---- */

/* The prompts that every model has; empty if its file has no text for them. */
typedef struct UsualPrompts
{
	const char *query;
	const char *document;
} UsualPrompts;

static void
add_prompt(BertRecipe *recipe, const BertJson *json, const char *name, const char *text)
{
	size_t name_nbytes = strlen(name) + 1;
	size_t text_nbytes = strlen(text) + 1;
	char *at = recipe->prompts + recipe->prompts_nbytes;

	if (name_nbytes + text_nbytes >
		(size_t) (BERT_PROMPTS_NBYTES - recipe->prompts_nbytes))
		bert_json_unsupported(json, "a set of prompts of more than %d bytes",
							  BERT_PROMPTS_NBYTES);
	memcpy(at, name, name_nbytes);
	memcpy(at + name_nbytes, text, text_nbytes);
	recipe->prompts_nbytes += name_nbytes + text_nbytes;
}

/* {name: text}; a text that is null is empty. */
static void
read_prompts(BertRecipe *recipe, BertJson *json, UsualPrompts *usual)
{
	bert_json_object(json);
	while (bert_json_member(json))
	{
		const char *name = json->key;
		const char *text = bert_json_null(json) ? "" : bert_json_string(json);

		if (strcmp(name, "query") == 0)
			usual->query = text;
		else if (strcmp(name, "document") == 0)
			usual->document = text;
		else if (bert_recipe_prompt(recipe, name) != NULL)
			bert_json_error(json, "prompt \"%s\" is given twice", bert_printable(name));
		else
			add_prompt(recipe, json, name, text);
	}
}

/* What the file says; the default prompt's name, or NULL. */
static const char *
read_sentence_transformers_config(BertRecipe *recipe, BertJson *json,
								  UsualPrompts *usual)
{
	const char *default_name = NULL;

	bert_json_object(json);
	while (bert_json_member(json))
	{
		if (bert_json_null(json))
			continue;
		if (strcmp(json->key, "model_type") == 0)
			expect_string(json, "SentenceTransformer");
		else if (strcmp(json->key, "prompts") == 0)
			read_prompts(recipe, json, usual);
		else if (strcmp(json->key, "default_prompt_name") == 0)
			default_name = bert_json_string(json);
		else if (strcmp(json->key, "truncate_dim") == 0)
			recipe->truncate_dim = bert_json_int(json, 1, PG_INT32_MAX);
		else
			bert_json_skip(json);
	}
	bert_json_finish(json);
	return default_name;
}

static void
set_default_prompt(BertRecipe *recipe, const BertJson *json, const char *name)
{
	const char *text = bert_recipe_prompt(recipe, name);

	if (text == NULL)
		bert_json_error(json, "there is no prompt of the name \"%s\"",
						bert_printable(name));
	recipe->default_prompt = text - recipe->prompts;
}

static void
read_prompts_and_size(BertModelFiles *model)
{
	BertRecipe *recipe = &model->recipe;
	UsualPrompts usual = {"", ""};
	const char *default_name = NULL;
	BertJson json = {0};

	recipe->default_prompt = -1;
	if (model->n_entries > 0 &&
		bert_model_file_json(model, BERT_FILE_SENTENCE_TRANSFORMERS, &json))
		default_name = read_sentence_transformers_config(recipe, &json, &usual);
	add_prompt(recipe, &json, "query", usual.query);
	add_prompt(recipe, &json, "document", usual.document);
	if (default_name != NULL)
		set_default_prompt(recipe, &json, default_name);
}

/* ---- together ---- */

void
bert_model_read_recipe(BertModelFiles *model)
{
	BertRecipe *recipe = &model->recipe;

	memset(recipe, 0, sizeof(*recipe));
	recipe->pooling = BERT_POOL_MEAN;
	recipe->include_prompt = true;
	if (model->n_entries > 0)
		bert_model_read_module_configs(model);
	read_max_tokens(model);
	read_prompts_and_size(model);
}
