/*
 * sql_chunk.c
 *	  bert_chunk: a text in parts that a model reads whole.
 *
 * token_chunk.c says where a text is cut. A chunk is the part of the text, byte for
 * byte; start and stop are in characters of the database, from 0, stop exclusive.
 */
#include "port.h"

#include "funcapi.h"
#include "offsets.h"
#include "sql_text.h"
#include "utils/builtins.h"

typedef struct Listing
{
	ReturnSetInfo *result;
	int32 ord;
	BertOffsets start;
	BertOffsets stop;
} Listing;

/* A BertChunkSink: one row. */
static void
put_chunk(void *arg, const BertChunk *chunk)
{
	Listing *listing = arg;
	Datum columns[5];
	bool nulls[5] = {false};
	text *part;

	bert_offsets_seek(&listing->start, chunk->start);
	bert_offsets_seek(&listing->stop, chunk->stop);
	part = cstring_to_text_with_len(listing->start.at,
									listing->stop.at - listing->start.at);
	columns[0] = Int32GetDatum(++listing->ord);
	columns[1] = PointerGetDatum(part);
	columns[2] = Int32GetDatum((int32) listing->start.places);
	columns[3] = Int32GetDatum((int32) listing->stop.places);
	columns[4] = Int32GetDatum(chunk->n_tokens);
	tuplestore_putvalues(listing->result->setResult, listing->result->setDesc, columns,
						 nulls);
	pfree(part);
}

PG_FUNCTION_INFO_V1(bert_sql_chunk);

/* (text, max_tokens, overlap) or (model, text, max_tokens, overlap, split_special_tokens) */
Datum
bert_sql_chunk(PG_FUNCTION_ARGS)
{
	const int first = PG_NARGS() > 3 ? 1 : 0;
	const BertModel *model = bert_call_model(fcinfo, 3);
	const BertTokenizer *tokenizer = model->tokenizer;
	struct varlena *text = PG_GETARG_VARLENA_PP(first);
	bool split_special =
		bert_tokenizer_split_special(tokenizer) || (first > 0 && PG_GETARG_BOOL(4));
	Listing listing = {.result = (ReturnSetInfo *) fcinfo->resultinfo};
	size_t nbytes;
	const char *bytes = bert_text_utf8(PointerGetDatum(text), &nbytes);

	InitMaterializedSRF(fcinfo, 0);
	bert_offsets_begin(&listing.start, VARDATA_ANY(text), VARSIZE_ANY_EXHDR(text));
	listing.stop = listing.start;
	bert_chunk(tokenizer, bytes, nbytes, PG_GETARG_INT32(first + 1),
			   PG_GETARG_INT32(first + 2), split_special, put_chunk, &listing);
	return (Datum) 0;
}
