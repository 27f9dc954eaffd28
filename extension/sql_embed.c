/*
 * sql_embed.c
 *	  bert_embed, bert_cls, bert_pooled: one text, or a pair, in; one vector out.
 *
 * The three differ in which output of the encoder they ask for, and their forms in the
 * number of arguments: (text), (model, text), and (model, text, text) for a pair.
 */
#include "port.h"

#include "sql_text.h"
#include "sql_truncate.h"
#include "sql_vector.h"

static Datum vector_of(FunctionCallInfo fcinfo, BertOutput output);
static void read_tokens(FunctionCallInfo fcinfo, const BertModel *model,
						BertOutput output, BertTokens *tokens);

PG_FUNCTION_INFO_V1(bert_sql_embed);
PG_FUNCTION_INFO_V1(bert_sql_cls);
PG_FUNCTION_INFO_V1(bert_sql_pooled);

Datum
bert_sql_embed(PG_FUNCTION_ARGS)
{
	return vector_of(fcinfo, BERT_OUTPUT_EMBEDDING);
}

Datum
bert_sql_cls(PG_FUNCTION_ARGS)
{
	return vector_of(fcinfo, BERT_OUTPUT_CLS);
}

Datum
bert_sql_pooled(PG_FUNCTION_ARGS)
{
	return vector_of(fcinfo, BERT_OUTPUT_POOLED);
}

static Datum
vector_of(FunctionCallInfo fcinfo, BertOutput output)
{
	BertModel *model = bert_call_model(fcinfo, 1);
	ArrayType *vector = bert_vector_create(bert_session_size(model, output));
	BertSequence sequence;
	BertTokens tokens;

	read_tokens(fcinfo, model, output, &tokens);
	if (tokens.truncated)
		bert_truncated(model);
	sequence = (BertSequence){tokens.ids, tokens.n_tokens, tokens.first_size};
	bert_call_encode(model, &sequence, 1, output, bert_vector_values(vector));
	PG_RETURN_ARRAYTYPE_P(vector);
}

/* The prompt of a model's recipe is for sentence vectors. */
static void
read_tokens(FunctionCallInfo fcinfo, const BertModel *model, BertOutput output,
			BertTokens *tokens)
{
	int first_text = PG_NARGS() > 1 ? 1 : 0;
	Datum text = PG_GETARG_DATUM(first_text);

	if (PG_NARGS() == 3)
		bert_text_pair_tokens(model, text, PG_GETARG_DATUM(2), tokens);
	else if (output == BERT_OUTPUT_EMBEDDING)
		bert_text_tokens(model, BERT_TEXT_WITH_PROMPT, text, tokens);
	else
		bert_text_tokens(model, BERT_TEXT_BARE, text, tokens);
}
