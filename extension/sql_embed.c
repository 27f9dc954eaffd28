/*
 * sql_embed.c
 *	  bert_embed, bert_cls, bert_pooled: one text, or a pair, in; one vector out.
 *
 * They differ in which output of the encoder they ask for, and in their options: a prompt
 * and what is done to the vector are for sentence vectors only. bert_embed_query and
 * bert_embed_document are bert_embed with another prompt.
 */
#include "port.h"

#include "sql_call.h"
#include "sql_text.h"
#include "sql_vector.h"

static Datum sentence_vector(FunctionCallInfo fcinfo, const char *prompt);
static Datum token_vector(FunctionCallInfo fcinfo, BertOutput output);
static Datum vector_of(const BertCall *call, BertOutput output);

PG_FUNCTION_INFO_V1(bert_sql_embed);
PG_FUNCTION_INFO_V1(bert_sql_embed_query);
PG_FUNCTION_INFO_V1(bert_sql_embed_document);
PG_FUNCTION_INFO_V1(bert_sql_cls);
PG_FUNCTION_INFO_V1(bert_sql_pooled);

Datum
bert_sql_embed(PG_FUNCTION_ARGS)
{
	return sentence_vector(fcinfo, "@default");
}

Datum
bert_sql_embed_query(PG_FUNCTION_ARGS)
{
	return sentence_vector(fcinfo, "@query");
}

Datum
bert_sql_embed_document(PG_FUNCTION_ARGS)
{
	return sentence_vector(fcinfo, "@document");
}

Datum
bert_sql_cls(PG_FUNCTION_ARGS)
{
	return token_vector(fcinfo, BERT_OUTPUT_CLS);
}

Datum
bert_sql_pooled(PG_FUNCTION_ARGS)
{
	return token_vector(fcinfo, BERT_OUTPUT_POOLED);
}

static Datum
sentence_vector(FunctionCallInfo fcinfo, const char *prompt)
{
	BertCall call;

	bert_call_read_sentence(fcinfo, prompt, &call);
	return vector_of(&call, BERT_OUTPUT_EMBEDDING);
}

static Datum
token_vector(FunctionCallInfo fcinfo, BertOutput output)
{
	BertCall call;

	bert_call_read(fcinfo, 0, &call);
	return vector_of(&call, output);
}

static Datum
vector_of(const BertCall *call, BertOutput output)
{
	const BertOptions *options = &call->options;
	int32 size = bert_session_size(call->model, output);
	float *values = palloc(size * sizeof(float));
	BertTokens tokens;
	BertSequence sequence = bert_call_sequence(call, &tokens);

	bert_call_encode(call->model, &sequence, 1, output, options->positions, values);
	if (options->dimensions > 0)
		size = options->dimensions;
	PG_RETURN_ARRAYTYPE_P(bert_vector_of(values, size, options->normalized));
}
