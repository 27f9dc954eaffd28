/*
 * sql_text.c
 *	  From a text in the database to what the tokenizer reads and the encoder gets.
 *
 * A model reads some hundred tokens, and a text may have a gigabyte. So a long text is
 * fetched by its beginning: a slice of 64 KB, and should that not fill the model
 * (white space, say, gives no tokens), one four times as long, up to all of it.
 *
 *		datum -> slice, whole characters -> UTF-8 -> [prompt before it] -> tokenizer
 *
 * The tokenizer wants valid UTF-8. A database of another encoding is converted by the
 * server. One of SQL_ASCII has never looked at its bytes: they are taken for UTF-8, and
 * checked here.
 */
#include "port.h"

#include "access/detoast.h"
#include "catalog/namespace.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "offsets.h"
#include "sql_text.h"
#include "utils/builtins.h"

#define FIRST_SLICE  (64 * 1024) /* bytes: 10,000 tokens of English, say */
#define SLICE_GROWTH 4           /* ends at 1 GB, the largest text there is */

/* A text in UTF-8, or its beginning. */
typedef struct Slice
{
	const char *bytes;
	size_t nbytes;
	bool complete;
	const char *stored; /* the same in the database's encoding */
	size_t stored_nbytes;
} Slice;

static void read_slice(Datum text, size_t limit, Slice *slice);
static void put_before(const char *prompt, Slice *slice);
static void convert(Slice *slice);
static void check_utf8(Slice *slice);

/* ---- calls ---- */

BertModel *
bert_call_model(FunctionCallInfo fcinfo, int n_without)
{
	bool named = PG_NARGS() > n_without;

	return bert_session_model(named ? TextDatumGetCString(PG_GETARG_DATUM(0)) : NULL);
}

void
bert_which_model(void *model)
{
	errcontext("bert model \"%s\"", ((const BertModel *) model)->name);
}

void
bert_call_encode(BertModel *model, const BertSequence *sequences, int n,
				 BertOutput output, bool positions, float *results)
{
	ErrorContextCallback context = {error_context_stack, bert_which_model, model};

	error_context_stack = &context;
	bert_session_encode(model, sequences, n, output, positions, results);
	error_context_stack = context.previous;
}

/* ---- whole texts ---- */

size_t
bert_text_nbytes(Datum text)
{
	return toast_raw_datum_size(text) - VARHDRSZ;
}

const char *
bert_text_utf8(Datum text, size_t *nbytes)
{
	Slice slice;

	read_slice(text, SIZE_MAX, &slice);
	*nbytes = slice.nbytes;
	return slice.bytes;
}

/* As much as the encoding has of it; returns how much that was. */
static size_t
convert_some(StringInfo to, Oid conversion, const char *utf8, size_t nbytes)
{
	size_t room = nbytes * MAX_CONVERSION_GROWTH + MAX_CONVERSION_GROWTH + 1;
	size_t done;

	enlargeStringInfo(to, room);
	done = pg_do_encoding_conversion_buf(
		conversion, PG_UTF8, GetDatabaseEncoding(), (unsigned char *) utf8, nbytes,
		(unsigned char *) to->data + to->len, room, true);
	to->len += strlen(to->data + to->len);
	return done;
}

text *
bert_text_create(const char *utf8, size_t nbytes)
{
	const char *end = utf8 + nbytes;
	StringInfoData bytes;
	Oid conversion;
	text *result;

	if (GetDatabaseEncoding() == PG_UTF8 || GetDatabaseEncoding() == PG_SQL_ASCII)
		return cstring_to_text_with_len(utf8, nbytes);

	conversion = FindDefaultConversionProc(PG_UTF8, GetDatabaseEncoding());
	initStringInfo(&bytes);
	while (utf8 += convert_some(&bytes, conversion, utf8, end - utf8), utf8 < end)
	{
		uint32 ch = utf8_to_unicode((const unsigned char *) utf8);

		appendStringInfo(&bytes, ch > 0xFFFF ? "\\U%08X" : "\\u%04X", ch);
		utf8 += pg_utf_mblen((const unsigned char *) utf8);
	}
	result = cstring_to_text_with_len(bytes.data, bytes.len);
	pfree(bytes.data);
	return result;
}

text *
bert_text_token(const BertTokenizer *tokenizer, int32 id)
{
	int32 nbytes;
	const char *bytes = bert_token_text(tokenizer, id, &nbytes);

	return bytes == NULL ? NULL : bert_text_create(bytes, nbytes);
}

/* ---- texts as the model reads them ---- */

void
bert_text_tokens(const BertModel *model, const char *prompt, bool split_special,
				 Datum text, BertTokens *tokens)
{
	size_t limit = FIRST_SLICE;
	Slice slice;

	do
	{
		read_slice(text, limit, &slice);
		if (prompt[0] != '\0')
			put_before(prompt, &slice);
		limit *= SLICE_GROWTH;
	} while (!bert_tokens_single(model->tokenizer, model->recipe.max_tokens,
								 slice.bytes, slice.nbytes, slice.complete,
								 split_special, tokens));
}

/*
 * As much of one side as its pair can depend on. For that the tokenizer goes on after
 * each side up to the word that brings it to max_tokens; a slice that gives more than
 * max_tokens for certain holds that word.
 */
static void
read_side(const BertModel *model, bool split_special, Datum text, Slice *slice)
{
	const int32 enough = model->recipe.max_tokens + 2;
	size_t limit = FIRST_SLICE;
	BertTokens tokens;

	for (;;)
	{
		read_slice(text, limit, slice);
		if (slice->complete ||
			bert_tokens_single(model->tokenizer, enough, slice->bytes, slice->nbytes,
							   false, split_special, &tokens))
			return;
		limit *= SLICE_GROWTH;
	}
}

void
bert_text_pair_tokens(const BertModel *model, bool split_special, Datum first,
					  Datum second, BertTokens *tokens)
{
	Slice a;
	Slice b;

	if (model->config.type_vocab_size < 2)
		ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("model \"%s\" does not read pairs of texts", model->name),
				errdetail("It has no embedding for the second text's tokens."));
	read_side(model, split_special, first, &a);
	read_side(model, split_special, second, &b);
	bert_tokens_pair(model->tokenizer, model->recipe.max_tokens, a.bytes, a.nbytes,
					 b.bytes, b.nbytes, split_special, tokens);
}

/* ---- where tokens are ---- */

typedef struct Spans
{
	BertSpan *spans;
	int32 room;
	int32 n;
} Spans;

/* A BertTokenSink: the first ones. */
static bool
collect_span(void *arg, int32 id pg_attribute_unused(), int64 start, int64 stop)
{
	Spans *spans = arg;

	if (spans->n == spans->room)
		return false;
	spans->spans[spans->n++] = (BertSpan){start, stop};
	return true;
}

/* From characters of UTF-8 to those of the database. */
static void
map_spans(const Slice *slice, BertSpan *spans, int32 n)
{
	BertOffsets starts;
	BertOffsets stops;

	bert_offsets_begin(&starts, slice->stored, slice->stored_nbytes);
	stops = starts;
	for (int32 i = 0; i < n; i++)
	{
		spans[i].start = bert_offsets_start(&starts, spans[i].start);
		spans[i].stop = bert_offsets_stop(&stops, spans[i].stop);
	}
}

/*
 * The tokenizer runs a second time, for those who ask: microseconds, and who embeds
 * need not keep offsets.
 */
void
bert_text_spans(const BertModel *model, bool split_special, Datum text, int32 n,
				BertSpan *spans)
{
	size_t limit = FIRST_SLICE;
	Spans collected;
	Slice slice;

	do
	{
		read_slice(text, limit, &slice);
		collected = (Spans){spans, n, 0};
		bert_tokenize(model->tokenizer, slice.bytes, slice.nbytes, slice.complete,
					  split_special, collect_span, &collected);
		limit *= SLICE_GROWTH;
	} while (collected.n < n && !slice.complete);
	if (collected.n < n)
		elog(ERROR, "text has %d tokens, not %d", collected.n, n);
	map_spans(&slice, spans, n);
}

/* ---- slices ---- */

/* The first limit bytes of a text, or all of it. */
static void
read_slice(Datum text, size_t limit, Slice *slice)
{
	struct varlena *value;

	slice->complete = bert_text_nbytes(text) <= limit;
	value = slice->complete ? PG_DETOAST_DATUM_PACKED(text)
							: PG_DETOAST_DATUM_SLICE(text, 0, limit);
	slice->bytes = VARDATA_ANY(value);
	slice->nbytes = VARSIZE_ANY_EXHDR(value);
	slice->stored = slice->bytes;
	slice->stored_nbytes = slice->nbytes;
	convert(slice);
}

/* Both are UTF-8, so that joining them needs no encoding to know the prompt. */
static void
put_before(const char *prompt, Slice *slice)
{
	size_t nbytes = strlen(prompt);
	char *joined = palloc_extended(nbytes + slice->nbytes, MCXT_ALLOC_HUGE);

	memcpy(joined, prompt, nbytes);
	memcpy(joined + nbytes, slice->bytes, slice->nbytes);
	slice->bytes = joined;
	slice->nbytes += nbytes;
}

/* From the database's encoding, without a character that the end has cut in two. */
static void
convert(Slice *slice)
{
	const char *bytes = slice->bytes;

	if (GetDatabaseEncoding() == PG_SQL_ASCII)
	{
		check_utf8(slice);
		return;
	}
	if (!slice->complete)
		slice->nbytes = pg_mbcliplen(bytes, slice->nbytes, slice->nbytes);
	slice->bytes = pg_server_to_any(bytes, slice->nbytes, PG_UTF8);
	if (slice->bytes != bytes)
		slice->nbytes = strlen(slice->bytes);
}

static void
check_utf8(Slice *slice)
{
	size_t valid = pg_encoding_verifymbstr(PG_UTF8, slice->bytes, slice->nbytes);

	if (valid == slice->nbytes)
		return;
	if (slice->complete || slice->nbytes - valid >= 4)
		ereport(
			ERROR, errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
			errmsg("text is not valid UTF-8 at byte %zu, 0x%02x", valid + 1,
				   (unsigned char) slice->bytes[valid]),
			errdetail("A database with encoding SQL_ASCII does not check its texts; "
					  "models read them as UTF-8."));
	slice->nbytes = valid;
}
