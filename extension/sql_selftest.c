/*
 * sql_selftest.c
 *	  bert_selftest: the device against the plain C reference, on the model itself.
 *
 * For a DBA with a new driver or another processor: is what it computes right? The rows
 * take every way through the kernels that a call may take with this model:
 *
 *	hidden      the states of all tokens, for lengths that end within a tile of rows, a
 *	            block of queries, a block of keys; without layers, and without positions
 *	embedding   what bert_embed() gives: pooling and the model's modules
 *	cls, pooled of a pair of texts
 *	batch       many texts at once give the same bits as each alone
 *	kernels     which ones the device ran for all that; none that the model uses is missing
 *
 * A wrong element of one token is seen in the hidden states, where a sentence's mean might
 * hide it. The reference is slow, seconds for a small model, so the texts are few.
 */
#include "port.h"

#include <math.h>

#include "funcapi.h"
#include "lib/stringinfo.h"
#include "sql_text.h"
#include "utils/builtins.h"

/* Relative to the reference's largest element, where that is above 1. */
#define TOLERANCE 1e-5

#define MAX_TOKENS 70 /* more than a block of keys, KEY_BLOCK in the kernels */

/* Hidden states of tokens taken at random. */
typedef struct HiddenCheck
{
	const char *input;
	int32 n_tokens;
	bool layers; /* all of them, or none */
	bool positions;
} HiddenCheck;

static const HiddenCheck hidden_checks[] = {
	{"one token", 1, true, true},
	{"tokens at random", 6, true, true},
	{"tokens at random", 19, true, true},
	{"tokens at random", MAX_TOKENS, true, true},
	{"tokens at random, no layer", MAX_TOKENS, false, true},
	{"tokens at random, no positions", 19, true, false},
};
#define N_HIDDEN_CHECKS ((int) lengthof(hidden_checks))

typedef struct TextCheck
{
	BertOutput output;
	const char *input; /* what the texts are, for the reader */
	const char *first;
	const char *second; /* NULL: no pair */
} TextCheck;

static const TextCheck text_checks[] = {
	{BERT_OUTPUT_EMBEDDING, "short text", "How do I undo a commit?", NULL},
	{BERT_OUTPUT_EMBEDDING, "many scripts",
	 "Grüße, Καλημέρα, привет, שלום, مرحبا, नमस्ते, 你好, こんにちは, 안녕하세요 😀",
	 NULL},
	{BERT_OUTPUT_CLS, "pair of texts", "How do I undo a commit?",
	 "git revert makes a commit that takes another one back."},
	{BERT_OUTPUT_POOLED, "pair of texts", "How do I undo a commit?",
	 "git revert makes a commit that takes another one back."},
};
#define N_TEXT_CHECKS ((int) lengthof(text_checks))

static const char *const output_names[] = {
	[BERT_OUTPUT_EMBEDDING] = "embedding",
	[BERT_OUTPUT_CLS] = "cls",
	[BERT_OUTPUT_POOLED] = "pooled",
};

static bool check_hidden(ReturnSetInfo *result, BertModel *model,
						 const HiddenCheck *check);
static void check_text(ReturnSetInfo *result, BertModel *model, const TextCheck *check);
static void check_batch(ReturnSetInfo *result, BertModel *model);
static void check_kernels(ReturnSetInfo *result, BertModel *model,
						  const uint64 *before);

PG_FUNCTION_INFO_V1(bert_sql_selftest);

/*
 * After hidden states that are not numbers the rest would only raise an ERROR that says
 * so, and the rows tell more.
 */
Datum
bert_sql_selftest(PG_FUNCTION_ARGS)
{
	BertModel *model = bert_call_model(fcinfo, 0);
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	uint64 before[BERT_N_KERNELS];
	bool finite = true;

	InitMaterializedSRF(fcinfo, 0);
	bert_session_launches(model, before);
	for (int i = 0; i < N_HIDDEN_CHECKS; i++)
		finite &= check_hidden(result, model, &hidden_checks[i]);
	if (!finite)
		return (Datum) 0;
	for (int i = 0; i < N_TEXT_CHECKS; i++)
		if (text_checks[i].output != BERT_OUTPUT_POOLED || model->config.has_pooler)
			check_text(result, model, &text_checks[i]);
	check_batch(result, model);
	check_kernels(result, model, before);
	return (Datum) 0;
}

/* ---- inputs ---- */

/* The second half is of type 1, where the model knows types. */
static BertSequence
random_sequence(const BertModel *model, int32 n_tokens)
{
	int32 n = Min(n_tokens, model->config.max_positions);
	int32 *ids = palloc(n * sizeof(int32));
	uint32 state = n;

	for (int32 i = 0; i < n; i++)
	{
		state = state * 1664525 + 1013904223;
		ids[i] = (state >> 8) % model->config.vocab_size;
	}
	return (BertSequence){ids, n, model->config.type_vocab_size > 1 ? (n + 1) / 2 : n};
}

/* The texts above are UTF-8, whatever the database's encoding is. */
static BertSequence
text_sequence(const BertModel *model, const TextCheck *check)
{
	int32 max_tokens = model->recipe.max_tokens;
	bool pair = check->second != NULL && model->config.type_vocab_size > 1;
	BertTokens tokens;

	if (pair)
		bert_tokens_pair(model->tokenizer, max_tokens, check->first,
						 strlen(check->first), check->second, strlen(check->second),
						 false, &tokens);
	else
		bert_tokens_single(model->tokenizer, max_tokens, check->first,
						   strlen(check->first), true, false, &tokens);
	return (BertSequence){tokens.ids, tokens.n_tokens, tokens.first_size};
}

/* ---- rows ---- */

static void
put_row(ReturnSetInfo *result, const char *output, const char *input, int32 n_tokens,
		double difference, double tolerance)
{
	Datum columns[5] = {CStringGetTextDatum(output), CStringGetTextDatum(input),
						Int32GetDatum(n_tokens), Float4GetDatum((float) difference),
						BoolGetDatum(difference <= tolerance)};
	bool nulls[5] = {false};

	tuplestore_putvalues(result->setResult, result->setDesc, columns, nulls);
}

/* NaN where an element of either is NaN. b: NULL for zeros. */
static double
max_difference(const float *a, const float *b, size_t size)
{
	double max = 0;

	for (size_t i = 0; i < size; i++)
	{
		double difference = fabs((double) a[i] - (b != NULL ? b[i] : 0));

		if (isnan(difference))
			return difference;
		max = Max(max, difference);
	}
	return max;
}

static void
put_comparison(ReturnSetInfo *result, const char *output, const char *input,
			   int32 n_tokens, const float *computed, const float *expected,
			   size_t size)
{
	put_row(result, output, input, n_tokens, max_difference(computed, expected, size),
			TOLERANCE * Max(1, max_difference(expected, NULL, size)));
}

/* False where the device's states are not all numbers. */
static bool
check_hidden(ReturnSetInfo *result, BertModel *model, const HiddenCheck *check)
{
	BertSequence sequence = random_sequence(model, check->n_tokens);
	int32 layers = check->layers ? model->config.num_layers : 0;
	size_t size = (size_t) sequence.n_tokens * model->config.hidden_size;
	float *computed = palloc(size * sizeof(float));
	float *expected = palloc(size * sizeof(float));

	bert_session_hidden(model, &sequence, layers, check->positions, computed);
	bert_session_reference_hidden(model, &sequence, layers, check->positions, expected);
	put_comparison(result, "hidden", check->input, sequence.n_tokens, computed,
				   expected, size);
	return isfinite(max_difference(computed, NULL, size));
}

/*
 * Twice in one call: of a single text the result might be remembered, and not computed.
 */
static void
check_text(ReturnSetInfo *result, BertModel *model, const TextCheck *check)
{
	int32 size = bert_session_size(model, check->output);
	float *computed = palloc(2 * size * sizeof(float));
	float *expected = palloc(2 * size * sizeof(float));
	BertSequence sequence = text_sequence(model, check);
	BertSequence twice[] = {sequence, sequence};
	bool half = check->second != NULL && sequence.first_size == sequence.n_tokens;

	bert_call_encode(model, twice, 2, check->output, true, computed);
	bert_session_reference(model, &sequence, check->output, expected);
	memcpy(expected + size, expected, size * sizeof(float));
	put_comparison(result, output_names[check->output],
				   half ? "first of a pair" : check->input, sequence.n_tokens, computed,
				   expected, 2 * size);
}

/* Embeddings in one call, of all lengths, and each with a twin only. */
static void
check_batch(ReturnSetInfo *result, BertModel *model)
{
	BertSequence sequences[N_HIDDEN_CHECKS];
	int32 n_tokens = 0;
	int32 size = bert_session_size(model, BERT_OUTPUT_EMBEDDING);
	float *apart = palloc((N_HIDDEN_CHECKS + 1) * size * sizeof(float));
	float *together = palloc(N_HIDDEN_CHECKS * size * sizeof(float));

	for (int i = 0; i < N_HIDDEN_CHECKS; i++)
	{
		BertSequence sequence = random_sequence(model, hidden_checks[i].n_tokens);
		BertSequence twice[] = {sequence, sequence};

		bert_call_encode(model, twice, 2, BERT_OUTPUT_EMBEDDING, true,
						 apart + i * size);
		sequences[i] = sequence;
		n_tokens += sequence.n_tokens;
	}
	bert_call_encode(model, sequences, N_HIDDEN_CHECKS, BERT_OUTPUT_EMBEDDING, true,
					 together);
	put_row(result, "embedding", "batch of tokens at random", n_tokens,
			max_difference(together, apart, N_HIDDEN_CHECKS * size), 0);
}

/* ---- kernels ---- */

static bool
has_module(const BertRecipe *recipe, BertModuleKind kind)
{
	for (int i = 0; i < recipe->n_modules; i++)
		if (recipe->modules[i].kind == kind)
			return true;
	return false;
}

static bool
model_uses(const BertModel *model, BertKernel kernel)
{
	switch (kernel)
	{
		case BERT_KERNEL_ACTIVATE_ROWS:
			return model->config.has_pooler ||
				   has_module(&model->recipe, BERT_MODULE_DENSE);
		case BERT_KERNEL_NORMALIZE_ROWS:
			return has_module(&model->recipe, BERT_MODULE_NORMALIZE);
		default:
			return true;
	}
}

/* Which were launched since `before`; wrong where the model uses one that was not. */
static void
check_kernels(ReturnSetInfo *result, BertModel *model, const uint64 *before)
{
	uint64 after[BERT_N_KERNELS];
	StringInfoData names;
	Datum columns[5] = {CStringGetTextDatum("kernels")};
	bool nulls[5] = {false, false, true, true, false};
	bool covered = true;

	initStringInfo(&names);
	bert_session_launches(model, after);
	for (int i = 0; i < BERT_N_KERNELS; i++)
	{
		bool launched = after[i] > before[i];

		if (launched)
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "",
							 bert_kernel_names[i]);
		covered &= launched || !model_uses(model, i);
	}
	columns[1] = CStringGetTextDatum(names.data);
	columns[4] = BoolGetDatum(covered);
	tuplestore_putvalues(result->setResult, result->setDesc, columns, nulls);
}
