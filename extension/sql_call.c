/*
 * sql_call.c
 *	  A call's arguments: which model, which texts, which options. See sql_call.h.
 *
 * The server has filled in the defaults before a function sees its arguments, so that
 * each form has a number of them by which it is known.
 *
 * A prompt is what encode(), encode_query() and encode_document() of
 * sentence-transformers 6.2 put before a text. Every model has a prompt "query" and a
 * prompt "document" there, which are empty where its files have none. So a model whose
 * files have "query" and "passage", as E5, gets no prompt before documents, although
 * encode_document() means to look for "passage" next; '@passage' asks for it.
 */
#include "port.h"

#include "lib/stringinfo.h"
#include "sql_call.h"
#include "sql_text.h"
#include "sql_truncate.h"
#include "utils/builtins.h"

#define N_FEW_OPTIONS      2 /* of bert_call_read() */
#define N_SENTENCE_OPTIONS 6 /* of bert_call_read_sentence() */

static void check_form(bool known);
static void default_options(BertCall *call);
static void read_prompt(BertCall *call, const char *given);
static int32 check_dimensions(const BertCall *call, int32 given, int32 size);
static BertTruncate read_truncate(const char *given);
static char *utf8_string(Datum text);

/* ---- forms ---- */

void
bert_call_read(FunctionCallInfo fcinfo, int n_numbers, BertCall *call)
{
	bool named = PG_NARGS() > 1 + n_numbers;
	int at = named ? 1 : 0;

	call->n_texts = named ? PG_NARGS() - 1 - n_numbers - N_FEW_OPTIONS : 1;
	check_form(call->n_texts == 1 || call->n_texts == 2);
	call->model = bert_call_model(fcinfo, 1 + n_numbers);
	for (int i = 0; i < call->n_texts; i++)
		call->texts[i] = PG_GETARG_DATUM(at++);
	for (int i = 0; i < n_numbers; i++)
		call->numbers[i] = PG_GETARG_INT32(at++);
	default_options(call);
	if (!named)
		return;
	call->options.positions = PG_GETARG_BOOL(at++);
	call->options.split_special |= PG_GETARG_BOOL(at++);
}

void
bert_call_read_sentence(FunctionCallInfo fcinfo, const char *prompt, BertCall *call)
{
	BertOptions *options = &call->options;
	bool named = PG_NARGS() > 1;
	int32 size;

	check_form(!named || PG_NARGS() == 2 + N_SENTENCE_OPTIONS);
	call->model = bert_call_model(fcinfo, 1);
	size = bert_session_size(call->model, BERT_OUTPUT_EMBEDDING);
	call->n_texts = 1;
	call->texts[0] = PG_GETARG_DATUM(named ? 1 : 0);
	default_options(call);
	options->dimensions = Min(call->model->recipe.truncate_dim, size);
	if (named)
	{
		prompt = utf8_string(PG_GETARG_DATUM(2));
		options->normalized = PG_GETARG_BOOL(3);
		if (PG_GETARG_INT32(4) != 0)
			options->dimensions = check_dimensions(call, PG_GETARG_INT32(4), size);
		options->truncate = read_truncate(TextDatumGetCString(PG_GETARG_DATUM(5)));
		options->positions = PG_GETARG_BOOL(6);
		options->split_special |= PG_GETARG_BOOL(7);
	}
	read_prompt(call, prompt);
}

/* The library may be newer than what CREATE EXTENSION has declared. */
static void
check_form(bool known)
{
	if (!known)
		ereport(ERROR, errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
				errmsg("function is declared with other arguments than the library of "
					   "bert knows"),
				errhint("ALTER EXTENSION bert UPDATE declares what this library has."));
}

static void
default_options(BertCall *call)
{
	call->options = (BertOptions){
		.prompt = "",
		.truncate = bert_truncate_setting,
		.positions = true,
		.split_special = bert_tokenizer_split_special(call->model->tokenizer),
	};
}

/* ---- prompts ---- */

/* "query", "passage", as far as the database's encoding has them. */
static char *
list_prompts(const BertRecipe *recipe)
{
	const char *at = recipe->prompts;
	const char *end = at + recipe->prompts_nbytes;
	StringInfoData list;

	initStringInfo(&list);
	while (at < end)
	{
		appendStringInfo(&list, "%s\"%s\"", list.len > 0 ? ", " : "",
						 text_to_cstring(bert_text_create(at, strlen(at))));
		at += strlen(at) + 1;
		at += strlen(at) + 1; /* its text */
	}
	return list.data;
}

static _Noreturn void
unknown_prompt(const BertModel *model, const char *name)
{
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("model \"%s\" has no prompt \"%s\"", model->name,
				   text_to_cstring(bert_text_create(name, strlen(name)))),
			errhint("It has %s. Write @@ before a text that begins with @ and is no "
					"name.",
					list_prompts(&model->recipe)));
	pg_unreachable();
}

/* The text that is meant by a text, by a name after @, or by a text after @@. */
static const char *
find_prompt(const BertModel *model, const char *given)
{
	const BertRecipe *recipe = &model->recipe;
	const char *name = given + 1;
	const char *prompt;

	if (given[0] != '@')
		return given;
	if (name[0] == '@')
		return name;
	if (strcmp(name, "default") == 0)
		return recipe->default_prompt < 0 ? ""
										  : recipe->prompts + recipe->default_prompt;
	prompt = bert_recipe_prompt(recipe, name);
	if (prompt == NULL)
		unknown_prompt(model, name);
	return prompt;
}

/* As _get_prompt_length() of sentence-transformers: all tokens but the last [SEP]. */
static int32
prompt_length(const BertCall *call)
{
	const BertOptions *options = &call->options;
	BertTokens tokens;

	bert_tokens_single(call->model->tokenizer, call->model->recipe.max_tokens,
					   options->prompt, strlen(options->prompt), true,
					   options->split_special, &tokens);
	pfree(tokens.ids);
	return tokens.n_tokens - 1;
}

/* To be called when split_special is known. */
static void
read_prompt(BertCall *call, const char *given)
{
	call->options.prompt = find_prompt(call->model, given);
	if (call->options.prompt[0] != '\0' && !call->model->recipe.include_prompt)
		call->options.pool_from = prompt_length(call);
}

/* ---- other options ---- */

static int32
check_dimensions(const BertCall *call, int32 given, int32 size)
{
	if (given < 0 || given > size)
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("option \"dimensions\" is out of range: %d", given),
				errdetail("Vectors of model \"%s\" have %d dimensions.",
						  call->model->name, size),
				errhint("0 leaves a vector as the model gives it."));
	return given;
}

static BertTruncate
read_truncate(const char *given)
{
	static const struct
	{
		const char *name;
		BertTruncate value;
	} answers[] = {{"error", BERT_TRUNCATE_ERROR},
				   {"warn", BERT_TRUNCATE_WARN},
				   {"silent", BERT_TRUNCATE_SILENT}};

	if (pg_strcasecmp(given, "setting") == 0)
		return bert_truncate_setting;
	for (int i = 0; i < (int) lengthof(answers); i++)
		if (pg_strcasecmp(given, answers[i].name) == 0)
			return answers[i].value;
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("invalid value for option \"truncate\": \"%s\"", given),
			errhint("Available values: error, warn, silent, and setting for what "
					"bert.truncate says."));
	pg_unreachable();
}

static char *
utf8_string(Datum text)
{
	size_t nbytes;
	const char *bytes = bert_text_utf8(text, &nbytes);

	return pnstrdup(bytes, nbytes);
}

/* ---- what the encoder gets ---- */

BertSequence
bert_call_sequence(const BertCall *call, BertTokens *tokens)
{
	const BertOptions *options = &call->options;

	if (call->n_texts == 2)
		bert_text_pair_tokens(call->model, options->split_special, call->texts[0],
							  call->texts[1], tokens);
	else
		bert_text_tokens(call->model, options->prompt, options->split_special,
						 call->texts[0], tokens);
	if (tokens->truncated)
		bert_truncated(call->model, options->truncate);
	return (BertSequence){tokens->ids, tokens->n_tokens, tokens->first_size,
						  Min(options->pool_from, tokens->n_tokens)};
}
