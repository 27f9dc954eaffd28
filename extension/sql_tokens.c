/*
 * sql_tokens.c
 *	  bert_tokenize, bert_token_count: what a model reads of a text, to look at; and
 *	  bert_decode, back to a text.
 *
 * The whole text, however long, with [CLS] and [SEP] around it, and without the model's
 * prompt. Offsets are in characters of the database, so that substr() finds a token
 * again, and those of the special tokens are 0, 0, as in Hugging Face's tokenizers.
 */
#include "port.h"

#include "funcapi.h"
#include "offsets.h"
#include "sql_text.h"
#include "utils/array.h"

static struct varlena *call_text(FunctionCallInfo fcinfo);
static void tokenize(FunctionCallInfo fcinfo, const BertModel *model,
					 struct varlena *text, BertTokenSink sink, void *arg);

/* ---- bert_tokenize ---- */

typedef struct Listing
{
	ReturnSetInfo *result;
	const BertTokenizer *tokenizer;
	int32 pos;
	BertOffsets starts;
	BertOffsets stops;
} Listing;

static void
put_row(Listing *listing, int32 id, int64 start, int64 stop)
{
	text *token = bert_text_token(listing->tokenizer, id);
	Datum columns[5] = {Int32GetDatum(listing->pos++), Int32GetDatum(id),
						PointerGetDatum(token), Int32GetDatum((int32) start),
						Int32GetDatum((int32) stop)};
	bool nulls[5] = {false, false, token == NULL, false, false};

	tuplestore_putvalues(listing->result->setResult, listing->result->setDesc, columns,
						 nulls);
	if (token != NULL)
		pfree(token);
}

/* A BertTokenSink. */
static bool
put_token(void *arg, int32 id, int64 start, int64 stop)
{
	Listing *listing = arg;

	put_row(listing, id, bert_offsets_start(&listing->starts, start),
			bert_offsets_stop(&listing->stops, stop));
	return true;
}

PG_FUNCTION_INFO_V1(bert_sql_tokenize);

Datum
bert_sql_tokenize(PG_FUNCTION_ARGS)
{
	const BertModel *model = bert_call_model(fcinfo, 1);
	Listing listing = {(ReturnSetInfo *) fcinfo->resultinfo, model->tokenizer};
	struct varlena *text = call_text(fcinfo);

	InitMaterializedSRF(fcinfo, 0);
	bert_offsets_begin(&listing.starts, VARDATA_ANY(text), VARSIZE_ANY_EXHDR(text));
	listing.stops = listing.starts;
	put_row(&listing, bert_tokenizer_cls(model->tokenizer), 0, 0);
	tokenize(fcinfo, model, text, put_token, &listing);
	put_row(&listing, bert_tokenizer_sep(model->tokenizer), 0, 0);
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

	tokenize(fcinfo, bert_call_model(fcinfo, 1), call_text(fcinfo), count_token, &n);
	PG_RETURN_INT32(n);
}

/* ---- of both ---- */

/* (text) or (model, text, split_special_tokens) */
static struct varlena *
call_text(FunctionCallInfo fcinfo)
{
	return PG_DETOAST_DATUM_PACKED(PG_GETARG_DATUM(PG_NARGS() > 1 ? 1 : 0));
}

/* Special tokens in the text are text if the call says so, or the model's files. */
static void
tokenize(FunctionCallInfo fcinfo, const BertModel *model, struct varlena *text,
		 BertTokenSink sink, void *arg)
{
	bool split_special = bert_tokenizer_split_special(model->tokenizer) ||
						 (PG_NARGS() > 2 && PG_GETARG_BOOL(2));
	size_t nbytes;
	const char *bytes = bert_text_utf8(PointerGetDatum(text), &nbytes);

	bert_tokenize(model->tokenizer, bytes, nbytes, true, split_special, sink, arg);
}

/* ---- bert_decode ---- */

static const int32 *
array_ids(ArrayType *array, int *n)
{
	const int32 *ids = (const int32 *) ARR_DATA_PTR(array);

	if (ARR_NDIM(array) > 1)
		ereport(ERROR, errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				errmsg("array of ids must have one dimension"));
	if (array_contains_nulls(array))
		ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("array of ids must not contain nulls"));
	*n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	for (int i = 0; i < *n; i++)
		if (ids[i] < 0)
			ereport(ERROR, errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					errmsg("id %d of a token is negative", ids[i]));
	return ids;
}

PG_FUNCTION_INFO_V1(bert_sql_decode);

/* (ids) or (model, ids, skip_special_tokens, clean_up_tokenization_spaces) */
Datum
bert_sql_decode(PG_FUNCTION_ARGS)
{
	const bool named = PG_NARGS() > 1;
	const BertTokenizer *tokenizer;
	const int32 *ids;
	int n;
	bool clean_up_spaces;
	char *bytes;
	size_t nbytes;

	if (named && (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2)))
		PG_RETURN_NULL();
	tokenizer = bert_call_model(fcinfo, 1)->tokenizer;
	ids = array_ids(PG_GETARG_ARRAYTYPE_P(named ? 1 : 0), &n);
	clean_up_spaces = named && !PG_ARGISNULL(3)
						  ? PG_GETARG_BOOL(3)
						  : bert_tokenizer_clean_up_spaces(tokenizer);
	bytes = bert_decode(tokenizer, ids, n, named && PG_GETARG_BOOL(2), clean_up_spaces,
						&nbytes);
	PG_RETURN_TEXT_P(bert_text_create(bytes, nbytes));
}
