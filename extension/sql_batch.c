/*
 * sql_batch.c
 *	  bert_embed_batch: an array of texts in, a row for each of them out.
 *
 * The array is worked through in portions: large enough to keep the encoder's batches
 * full, with texts of equal length side by side, and small enough that neither ids nor
 * vectors of a long array are ever in memory together.
 *
 *		elements -> tokens -> portion: ids | sequences | rows -> vectors -> tuplestore
 *
 * Rows of a portion whose ids are equal share a sequence, which is computed once.
 */
#include "port.h"

#include "common/hashfn.h"
#include "funcapi.h"
#include "sql_call.h"
#include "sql_text.h"
#include "sql_vector.h"
#include "utils/memutils.h"

/* A portion ends with the row that reaches one of these. */
#define PORTION_TOKENS 65536 /* 256 KB of ids, some dozen batches */
#define PORTION_ROWS   4096  /* 16 MB of vectors of size 1024 */
#define N_PLACES       (2 * PORTION_ROWS)

typedef struct Row
{
	int sequence; /* -1: the text is NULL */
	bool truncated;
} Row;

typedef struct Portion
{
	int32 *ids; /* (n_ids) of all sequences, one after the other */
	int32 n_ids;
	BertSequence sequences[PORTION_ROWS]; /* different ones */
	int n_sequences;
	Row rows[PORTION_ROWS];
	int n_rows;
	int places[N_PLACES]; /* a hash table: sequence + 1, or 0 */
} Portion;

typedef struct Batch
{
	BertCall call; /* texts[0] is the text that is worked on */
	ArrayIterator texts;
	int32 ord;             /* of the last text read, from 1 */
	MemoryContext scratch; /* what making tokens of a text leaves behind */
	Portion portion;
} Batch;

static Batch *start_batch(FunctionCallInfo fcinfo);
static bool read_portion(Batch *batch);
static void read_text(Batch *batch, Datum text, Row *row);
static int share_sequence(Portion *portion, const BertSequence *wanted);
static void put_rows(Batch *batch, ReturnSetInfo *result);

PG_FUNCTION_INFO_V1(bert_sql_embed_batch);

Datum
bert_sql_embed_batch(PG_FUNCTION_ARGS)
{
	Batch *batch = start_batch(fcinfo);

	InitMaterializedSRF(fcinfo, 0);
	while (read_portion(batch))
		put_rows(batch, (ReturnSetInfo *) fcinfo->resultinfo);
	return (Datum) 0;
}

static Batch *
start_batch(FunctionCallInfo fcinfo)
{
	Batch *batch = palloc(sizeof(Batch));

	bert_call_read_sentence(fcinfo, "@default", &batch->call);
	batch->texts =
		array_create_iterator(DatumGetArrayTypeP(batch->call.texts[0]), 0, NULL);
	batch->ord = 0;
	batch->scratch = AllocSetContextCreate(CurrentMemoryContext, "bert_embed_batch",
										   ALLOCSET_DEFAULT_SIZES);
	batch->portion.ids =
		palloc((PORTION_TOKENS + batch->call.model->recipe.max_tokens) * sizeof(int32));
	return batch;
}

/* ---- elements to rows ---- */

/* The next texts. False: there are no more. */
static bool
read_portion(Batch *batch)
{
	Portion *portion = &batch->portion;
	Datum text;
	bool is_null;

	portion->n_ids = portion->n_sequences = portion->n_rows = 0;
	memset(portion->places, 0, sizeof(portion->places));
	while (portion->n_rows < PORTION_ROWS && portion->n_ids < PORTION_TOKENS &&
		   array_iterate(batch->texts, &text, &is_null))
	{
		Row *row = &portion->rows[portion->n_rows++];

		CHECK_FOR_INTERRUPTS();
		batch->ord++;
		if (is_null)
			*row = (Row){.sequence = -1};
		else
			read_text(batch, text, row);
	}
	return portion->n_rows > 0;
}

static void
which_text(void *arg)
{
	errcontext("text %d of the array", ((Batch *) arg)->ord);
}

static void
read_text(Batch *batch, Datum text, Row *row)
{
	MemoryContext caller = MemoryContextSwitchTo(batch->scratch);
	ErrorContextCallback context = {error_context_stack, which_text, batch};
	BertSequence sequence;
	BertTokens tokens;

	error_context_stack = &context;
	batch->call.texts[0] = text;
	sequence = bert_call_sequence(&batch->call, &tokens);
	row->sequence = share_sequence(&batch->portion, &sequence);
	row->truncated = tokens.truncated;
	error_context_stack = context.previous;
	MemoryContextSwitchTo(caller);
	MemoryContextReset(batch->scratch);
}

static bool
same_ids(const BertSequence *a, const BertSequence *b)
{
	return a->n_tokens == b->n_tokens &&
		   memcmp(a->ids, b->ids, a->n_tokens * sizeof(int32)) == 0;
}

/* The number of the sequence with the wanted ids, which may be a new one. */
static int
share_sequence(Portion *portion, const BertSequence *wanted)
{
	size_t nbytes = wanted->n_tokens * sizeof(int32);
	uint32 place = hash_bytes((const unsigned char *) wanted->ids, nbytes) % N_PLACES;
	int32 *ids = portion->ids + portion->n_ids;
	int sequence;

	while ((sequence = portion->places[place] - 1) >= 0)
	{
		if (same_ids(&portion->sequences[sequence], wanted))
			return sequence;
		place = (place + 1) % N_PLACES;
	}
	sequence = portion->n_sequences++;
	portion->places[place] = sequence + 1;
	portion->sequences[sequence] = *wanted;
	portion->sequences[sequence].ids = memcpy(ids, wanted->ids, nbytes);
	portion->n_ids += wanted->n_tokens;
	return sequence;
}

/* ---- rows to tuples ---- */

static void
put_row(ReturnSetInfo *result, int32 ord, const Row *row, const BertSequence *sequence,
		ArrayType *vector)
{
	Datum columns[4] = {Int32GetDatum(ord), PointerGetDatum(vector),
						Int32GetDatum(sequence->n_tokens),
						BoolGetDatum(row->truncated)};
	bool nulls[4] = {false, false, false, false};

	tuplestore_putvalues(result->setResult, result->setDesc, columns, nulls);
	pfree(vector);
}

static void
put_null_row(ReturnSetInfo *result, int32 ord)
{
	Datum columns[4] = {Int32GetDatum(ord)};
	bool nulls[4] = {false, true, true, true};

	tuplestore_putvalues(result->setResult, result->setDesc, columns, nulls);
}

/* Compute what the portion asks for, and give a row for each text. */
static void
put_rows(Batch *batch, ReturnSetInfo *result)
{
	const Portion *portion = &batch->portion;
	const BertOptions *options = &batch->call.options;
	int32 size = bert_session_size(batch->call.model, BERT_OUTPUT_EMBEDDING);
	int32 kept = options->dimensions > 0 ? options->dimensions : size;
	int32 before = batch->ord - portion->n_rows;
	float *vectors = palloc_extended(
		(size_t) portion->n_sequences * size * sizeof(float), MCXT_ALLOC_HUGE);

	if (portion->n_sequences > 0)
		bert_call_encode(batch->call.model, portion->sequences, portion->n_sequences,
						 BERT_OUTPUT_EMBEDDING, options->positions, vectors);
	for (int i = 0; i < portion->n_rows; i++)
	{
		const Row *row = &portion->rows[i];
		int sequence = row->sequence;

		if (sequence < 0)
			put_null_row(result, before + i + 1);
		else
			put_row(result, before + i + 1, row, &portion->sequences[sequence],
					bert_vector_of(vectors + (size_t) sequence * size, kept,
								   options->normalized));
	}
	pfree(vectors);
}
