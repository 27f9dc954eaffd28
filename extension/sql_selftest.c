/*
 * sql_selftest.c
 *	  bert_selftest: the device against the plain C reference, on the model itself.
 *
 * For a DBA with a new driver or another processor: is what it computes right? A few
 * texts that take different ways through the kernels, each kind of output, and one
 * batch of them all, which must give the same bits as each text alone. The reference is
 * slow, seconds for a small model, so the texts are few.
 */
#include "port.h"

#include <math.h>

#include "funcapi.h"
#include "sql_text.h"
#include "utils/builtins.h"

/*
 * What a vector of length one may be off by, as in the tests against goldens. Hidden
 * states are longer: their differences count relative to the largest element.
 */
#define TOLERANCE 1e-5

typedef struct Check
{
	BertOutput output;
	const char *input; /* what the texts are, for the reader */
	const char *first;
	const char *second; /* NULL: no pair */
} Check;

static const char long_text[] =
	"A database that stores what things mean, and not only how they are spelled, "
	"can be asked in one's own words: which package plays chess, which letter "
	"complained about the delivery, which of ten thousand reports resembles this "
	"one? Each piece of the text becomes a vector, every vector looks at all the "
	"others, layer after layer, and in the end one is left that stands for them all.";

static const Check checks[] = {
	{BERT_OUTPUT_EMBEDDING, "empty text", "", NULL},
	{BERT_OUTPUT_EMBEDDING, "short text", "How do I undo a commit?", NULL},
	{BERT_OUTPUT_EMBEDDING, "long text", long_text, NULL},
	{BERT_OUTPUT_EMBEDDING, "many scripts",
	 "Grüße, Καλημέρα, привет, שלום, مرحبا, नमस्ते, 你好, こんにちは, 안녕하세요 😀",
	 NULL},
	{BERT_OUTPUT_CLS, "pair of texts", "How do I undo a commit?",
	 "git revert makes a commit that takes another one back."},
	{BERT_OUTPUT_POOLED, "pair of texts", "How do I undo a commit?",
	 "git revert makes a commit that takes another one back."},
};
#define N_CHECKS ((int) lengthof(checks))

static const char *const output_names[] = {
	[BERT_OUTPUT_EMBEDDING] = "embedding",
	[BERT_OUTPUT_CLS] = "cls",
	[BERT_OUTPUT_POOLED] = "pooled",
};

static BertSequence read_check(const BertModel *model, const Check *check);
static float *check_alone(ReturnSetInfo *result, BertModel *model, const Check *check);
static void check_batch(ReturnSetInfo *result, BertModel *model, float *const *alone);

PG_FUNCTION_INFO_V1(bert_sql_selftest);

Datum
bert_sql_selftest(PG_FUNCTION_ARGS)
{
	BertModel *model = bert_call_model(fcinfo, 0);
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	float *alone[N_CHECKS];

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < N_CHECKS; i++)
		if (checks[i].output != BERT_OUTPUT_POOLED || model->config.has_pooler)
			alone[i] = check_alone(result, model, &checks[i]);
	check_batch(result, model, alone);
	return (Datum) 0;
}

/* The texts above are UTF-8, whatever the database's encoding is. */
static BertSequence
read_check(const BertModel *model, const Check *check)
{
	int32 max_tokens = model->recipe.max_tokens;
	bool pair = check->second != NULL && model->config.type_vocab_size > 1;
	BertTokens tokens;

	if (pair)
		bert_tokens_pair(model->tokenizer, max_tokens, check->first,
						 strlen(check->first), check->second, strlen(check->second),
						 &tokens);
	else
		bert_tokens_single(model->tokenizer, max_tokens, check->first,
						   strlen(check->first), true, &tokens);
	return (BertSequence){tokens.ids, tokens.n_tokens, tokens.first_size};
}

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

/* NaN where an element of either is NaN. */
static double
max_difference(const float *a, const float *b, int32 size)
{
	double max = 0;

	for (int32 i = 0; i < size; i++)
	{
		double difference = fabs((double) a[i] - b[i]);

		if (isnan(difference))
			return difference;
		max = Max(max, difference);
	}
	return max;
}

/* The device's result, and the row that says how far it is from the reference's. */
static float *
check_alone(ReturnSetInfo *result, BertModel *model, const Check *check)
{
	int32 size = bert_session_size(model, check->output);
	float *computed = palloc(size * sizeof(float));
	float *expected = palloc(size * sizeof(float));
	float *zero = palloc0(size * sizeof(float));
	BertSequence sequence = read_check(model, check);
	bool half = check->second != NULL && sequence.first_size == sequence.n_tokens;

	bert_call_encode(model, &sequence, 1, check->output, computed);
	bert_session_reference(model, &sequence, check->output, expected);
	put_row(result, output_names[check->output],
			half ? "first of a pair" : check->input, sequence.n_tokens,
			max_difference(computed, expected, size),
			TOLERANCE * Max(1, max_difference(expected, zero, size)));
	return computed;
}

/* All embeddings again, in one call. */
static void
check_batch(ReturnSetInfo *result, BertModel *model, float *const *alone)
{
	BertSequence sequences[N_CHECKS];
	int n = 0;
	int32 n_tokens = 0;
	int32 size = bert_session_size(model, BERT_OUTPUT_EMBEDDING);
	float *apart = palloc(N_CHECKS * size * sizeof(float));
	float *together = palloc(N_CHECKS * size * sizeof(float));

	for (int i = 0; i < N_CHECKS; i++)
		if (checks[i].output == BERT_OUTPUT_EMBEDDING)
		{
			sequences[n] = read_check(model, &checks[i]);
			n_tokens += sequences[n].n_tokens;
			memcpy(apart + n++ * size, alone[i], size * sizeof(float));
		}
	bert_call_encode(model, sequences, n, BERT_OUTPUT_EMBEDDING, together);
	put_row(result, output_names[BERT_OUTPUT_EMBEDDING], "batch of these", n_tokens,
			max_difference(together, apart, n * size), 0);
}
