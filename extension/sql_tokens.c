/*
 * sql_tokens.c
 *	  bert_tokenize, bert_token_count: what a model reads of a text, to look at.
 *
 * The whole text, however long, with [CLS] and [SEP] around it, and without the model's
 * prompt. Offsets are in characters, so that substr() finds a token again, and those of
 * the special tokens are 0, 0, as in Hugging Face's tokenizers. (Characters of Unicode,
 * to be precise. The database counts others in SQL_ASCII, where it counts bytes, and for
 * 25 letters of EUC_JIS_2004.)
 */
#include "port.h"

#include "funcapi.h"
#include "sql_text.h"

static void tokenize(FunctionCallInfo fcinfo, const BertModel *model,
					 BertTokenSink sink, void *arg);

/* ---- bert_tokenize ---- */

typedef struct Listing
{
	ReturnSetInfo *result;
	const BertTokenizer *tokenizer;
	int32 pos;
} Listing;

/* A BertTokenSink: one row. */
static bool
put_token(void *arg, int32 id, int64 start, int64 stop)
{
	Listing *listing = arg;
	int32 nbytes;
	const char *bytes = bert_token_text(listing->tokenizer, id, &nbytes);
	text *token = bytes == NULL ? NULL : bert_text_create(bytes, nbytes);
	Datum columns[5] = {Int32GetDatum(listing->pos++), Int32GetDatum(id),
						PointerGetDatum(token), Int32GetDatum((int32) start),
						Int32GetDatum((int32) stop)};
	bool nulls[5] = {false, false, token == NULL, false, false};

	tuplestore_putvalues(listing->result->setResult, listing->result->setDesc, columns,
						 nulls);
	if (token != NULL)
		pfree(token);
	return true;
}

PG_FUNCTION_INFO_V1(bert_sql_tokenize);

Datum
bert_sql_tokenize(PG_FUNCTION_ARGS)
{
	const BertModel *model = bert_call_model(fcinfo, 1);
	Listing listing = {(ReturnSetInfo *) fcinfo->resultinfo, model->tokenizer, 0};

	InitMaterializedSRF(fcinfo, 0);
	put_token(&listing, bert_tokenizer_cls(model->tokenizer), 0, 0);
	tokenize(fcinfo, model, put_token, &listing);
	put_token(&listing, bert_tokenizer_sep(model->tokenizer), 0, 0);
	return (Datum) 0;
}

/* ---- bert_token_count ---- */

static bool
count_token(void *arg, int32 id pg_attribute_unused(),
			int64 start pg_attribute_unused(), int64 stop pg_attribute_unused())
{
	++*(int32 *) arg;
	return true;
}

PG_FUNCTION_INFO_V1(bert_sql_token_count);

Datum
bert_sql_token_count(PG_FUNCTION_ARGS)
{
	int32 n = 2; /* [CLS], [SEP] */

	tokenize(fcinfo, bert_call_model(fcinfo, 1), count_token, &n);
	PG_RETURN_INT32(n);
}

/* ---- both ---- */

static void
tokenize(FunctionCallInfo fcinfo, const BertModel *model, BertTokenSink sink, void *arg)
{
	size_t nbytes;
	const char *bytes = bert_text_utf8(PG_GETARG_DATUM(PG_NARGS() - 1), &nbytes);

	bert_tokenize(model->tokenizer, bytes, nbytes, true, sink, arg);
}
