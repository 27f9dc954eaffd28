/*
 * sql_inside.c
 *	  bert_tokens, bert_hidden, bert_attention, bert_word: what a model does inside.
 *
 * The tokens are those that the model reads: cut to its length, [CLS] and [SEP] among
 * them, without a prompt. Each has a row with its place in the text, as bert_tokenize()
 * gives it. Of a pair, a place is in the token's own text; the second text begins after
 * the first [SEP].
 *
 * Layer 0 is what the layers start from, layer n what layer n puts out: bert_tokens is
 * bert_hidden of the last. Layers that compute attention are counted from 1, heads from
 * 0, as everywhere in the field.
 */
#include "port.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "sql_call.h"
#include "sql_text.h"
#include "sql_vector.h"

static void put_states(FunctionCallInfo fcinfo, const BertCall *call, int32 layer);
static BertSpan *read_spans(const BertCall *call, const BertTokens *tokens);
static void check_number(const char *what, int32 given, int32 from, int32 to,
						 const BertModel *model);
static ArrayType *create_square(int32 n);

/* ---- hidden states ---- */

PG_FUNCTION_INFO_V1(bert_sql_tokens);
PG_FUNCTION_INFO_V1(bert_sql_hidden);

Datum
bert_sql_tokens(PG_FUNCTION_ARGS)
{
	BertCall call;

	bert_call_read(fcinfo, 0, &call);
	put_states(fcinfo, &call, call.model->config.num_layers);
	return (Datum) 0;
}

Datum
bert_sql_hidden(PG_FUNCTION_ARGS)
{
	BertCall call;

	bert_call_read(fcinfo, 1, &call);
	check_number("layer", call.numbers[0], 0, call.model->config.num_layers,
				 call.model);
	put_states(fcinfo, &call, call.numbers[0]);
	return (Datum) 0;
}

static float *
hidden_states(const BertCall *call, const BertSequence *sequence, int32 layer)
{
	size_t size = call->model->config.hidden_size;
	float *hidden =
		palloc_extended(sequence->n_tokens * size * sizeof(float), MCXT_ALLOC_HUGE);
	ErrorContextCallback context = {error_context_stack, bert_which_model, call->model};

	error_context_stack = &context;
	bert_session_hidden(call->model, sequence, layer, call->options.positions, hidden);
	bert_check_finite(hidden, sequence->n_tokens * size);
	error_context_stack = context.previous;
	return hidden;
}

static void
put_state(ReturnSetInfo *result, const BertModel *model, int32 pos, int32 id,
		  const BertSpan *span, const float *state)
{
	text *token = bert_text_token(model->tokenizer, id);
	ArrayType *vector = bert_vector_of(state, model->config.hidden_size, false);
	Datum columns[6] = {Int32GetDatum(pos),
						Int32GetDatum(id),
						PointerGetDatum(token),
						Int32GetDatum((int32) span->start),
						Int32GetDatum((int32) span->stop),
						PointerGetDatum(vector)};
	bool nulls[6] = {[2] = token == NULL};

	tuplestore_putvalues(result->setResult, result->setDesc, columns, nulls);
	if (token != NULL)
		pfree(token);
	pfree(vector);
}

static void
put_states(FunctionCallInfo fcinfo, const BertCall *call, int32 layer)
{
	BertTokens tokens;
	BertSequence sequence = bert_call_sequence(call, &tokens);
	BertSpan *spans = read_spans(call, &tokens);
	float *hidden = hidden_states(call, &sequence, layer);
	int32 size = call->model->config.hidden_size;

	InitMaterializedSRF(fcinfo, 0);
	for (int32 i = 0; i < tokens.n_tokens; i++)
	{
		CHECK_FOR_INTERRUPTS();
		put_state((ReturnSetInfo *) fcinfo->resultinfo, call->model, i, tokens.ids[i],
				  &spans[i], hidden + (size_t) i * size);
	}
}

/* Of each token; those of the special tokens are 0, 0. */
static BertSpan *
read_spans(const BertCall *call, const BertTokens *tokens)
{
	bool split = call->options.split_special;
	BertSpan *spans = palloc0(tokens->n_tokens * sizeof(BertSpan));

	bert_text_spans(call->model, split, call->texts[0], tokens->first_size - 2,
					spans + 1);
	if (call->n_texts == 2)
		bert_text_spans(call->model, split, call->texts[1],
						tokens->n_tokens - tokens->first_size - 1,
						spans + tokens->first_size);
	return spans;
}

/* ---- attention ---- */

PG_FUNCTION_INFO_V1(bert_sql_attention);

Datum
bert_sql_attention(PG_FUNCTION_ARGS)
{
	BertCall call;
	BertTokens tokens;
	BertSequence sequence;
	ArrayType *weights;
	ErrorContextCallback context = {error_context_stack, bert_which_model};

	bert_call_read(fcinfo, 2, &call);
	check_number("layer", call.numbers[0], 1, call.model->config.num_layers,
				 call.model);
	check_number("head", call.numbers[1], 0, call.model->config.num_heads - 1,
				 call.model);
	sequence = bert_call_sequence(&call, &tokens);
	weights = create_square(sequence.n_tokens);

	context.arg = call.model;
	error_context_stack = &context;
	bert_session_attention(call.model, &sequence, call.numbers[0], call.numbers[1],
						   call.options.positions, bert_vector_values(weights));
	error_context_stack = context.previous;
	PG_RETURN_ARRAYTYPE_P(weights);
}

static void
check_number(const char *what, int32 given, int32 from, int32 to,
			 const BertModel *model)
{
	if (given >= from && given <= to)
		return;
	ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			errmsg("model \"%s\" has no %s %d", model->name, what, given),
			errhint("It has %ss %d to %d.", what, from, to));
}

/* real[n][n], to be filled by the caller. */
static ArrayType *
create_square(int32 n)
{
	size_t n_items = (size_t) n * n;

	if (n_items > MaxArraySize ||
		!AllocSizeIsValid(ARR_OVERHEAD_NONULLS(2) + n_items * sizeof(float)))
		ereport(ERROR, errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				errmsg("attention between %d tokens is too large for an array", n),
				errhint("Shorten or split the text."));
	return bert_array_create(FLOAT4OID, sizeof(float), 2, n);
}

/* ---- words ---- */

typedef struct Pieces
{
	ReturnSetInfo *result;
	const BertModel *model;
	int32 pos;
} Pieces;

/* A BertTokenSink: one row. */
static bool
put_piece(void *arg, int32 id, int64 start pg_attribute_unused(),
		  int64 stop pg_attribute_unused())
{
	Pieces *pieces = arg;
	const BertModel *model = pieces->model;
	text *token = bert_text_token(model->tokenizer, id);
	ArrayType *vector = bert_vector_of(bert_session_word_embedding(model, id),
									   model->config.hidden_size, false);
	Datum columns[4] = {Int32GetDatum(pieces->pos++), Int32GetDatum(id),
						PointerGetDatum(token), PointerGetDatum(vector)};
	bool nulls[4] = {[2] = token == NULL};

	tuplestore_putvalues(pieces->result->setResult, pieces->result->setDesc, columns,
						 nulls);
	if (token != NULL)
		pfree(token);
	pfree(vector);
	return true;
}

PG_FUNCTION_INFO_V1(bert_sql_word);

Datum
bert_sql_word(PG_FUNCTION_ARGS)
{
	const BertModel *model = bert_call_model(fcinfo, 1);
	Pieces pieces = {(ReturnSetInfo *) fcinfo->resultinfo, model, 0};
	size_t nbytes;
	const char *bytes = bert_text_utf8(PG_GETARG_DATUM(PG_NARGS() - 1), &nbytes);

	InitMaterializedSRF(fcinfo, 0);
	bert_tokenize(model->tokenizer, bytes, nbytes, true,
				  bert_tokenizer_split_special(model->tokenizer), put_piece, &pieces);
	return (Datum) 0;
}
