/*
 * sql_quantize.c
 *	  bert_binary, bert_bits, bert_int8: a vector in fewer bits.
 *
 * The numbers are those of quantize_embeddings() in sentence-transformers 6.2, precision
 * "binary" and "int8":
 *
 *		{0.3, -0.1, 0, 2, 1, 1, -1, 1, 0.5}
 *		bits		100111011				an element is greater than 0
 *		bytes		10011101 10000000		the first element in the highest bit
 *		binary		{29, 0}					less 128
 *
 *		int8		floor((x - minimum) / ((maximum - minimum) / 255)), cut to 0 .. 255,
 *					less 128; all in single precision
 *
 * A smallint[] holds the bytes, as PostgreSQL has no type of one byte; bert_bits gives
 * the bits to the operators of bit strings, pgvector's <~> among them. numpy makes
 * something of NaN; here it is an error.
 */
#include "port.h"

#include "compat.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "sql_vector.h"
#include "utils/varbit.h"

#define BUCKETS 255

static const float *read_vector(ArrayType *vector, int32 *size);
static void pack_bits(const float *values, int32 size, bits8 *bits);

/* ---- one bit ---- */

PG_FUNCTION_INFO_V1(bert_sql_bits);
PG_FUNCTION_INFO_V1(bert_sql_binary);

Datum
bert_sql_bits(PG_FUNCTION_ARGS)
{
	int32 size;
	const float *values = read_vector(PG_GETARG_ARRAYTYPE_P(0), &size);
	VarBit *result = palloc0(VARBITTOTALLEN(size));

	SET_VARSIZE(result, VARBITTOTALLEN(size));
	VARBITLEN(result) = size;
	pack_bits(values, size, VARBITS(result));
	PG_RETURN_VARBIT_P(result);
}

Datum
bert_sql_binary(PG_FUNCTION_ARGS)
{
	int32 size;
	const float *values = read_vector(PG_GETARG_ARRAYTYPE_P(0), &size);
	int32 nbytes = (size + BITS_PER_BYTE - 1) / BITS_PER_BYTE;
	bits8 *bits = palloc0(nbytes);
	ArrayType *result = bert_array_create(INT2OID, sizeof(int16), 1, nbytes);
	int16 *bytes = (int16 *) ARR_DATA_PTR(result);

	pack_bits(values, size, bits);
	for (int32 i = 0; i < nbytes; i++)
		bytes[i] = (int16) bits[i] - 128;
	PG_RETURN_ARRAYTYPE_P(result);
}

/* numpy's packbits(values > 0), into zeros. */
static void
pack_bits(const float *values, int32 size, bits8 *bits)
{
	for (int32 i = 0; i < size; i++)
		if (values[i] > 0)
			bits[i / BITS_PER_BYTE] |= HIGHBIT >> (i % BITS_PER_BYTE);
}

/* ---- one byte ---- */

/* The width of a bucket. */
static float
step_between(float minimum, float maximum)
{
	float step = (maximum - minimum) / BUCKETS;

	if (!(minimum <= maximum) || !isfinite(step))
		ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				errmsg("cannot divide the range from %g to %g into %d steps", minimum,
					   maximum, BUCKETS));
	return step == 0 ? 1 : step;
}

static int16
quantize(float value, float minimum, float step)
{
	float bucket = floorf((value - minimum) / step);

	return (int16) Min(Max(bucket, 0), BUCKETS) - 128;
}

PG_FUNCTION_INFO_V1(bert_sql_int8);

Datum
bert_sql_int8(PG_FUNCTION_ARGS)
{
	int32 size;
	int32 minimum_size;
	int32 maximum_size;
	const float *values = read_vector(PG_GETARG_ARRAYTYPE_P(0), &size);
	const float *minimum = read_vector(PG_GETARG_ARRAYTYPE_P(1), &minimum_size);
	const float *maximum = read_vector(PG_GETARG_ARRAYTYPE_P(2), &maximum_size);
	ArrayType *result = bert_array_create(INT2OID, sizeof(int16), 1, size);
	int16 *bytes = (int16 *) ARR_DATA_PTR(result);

	bert_vector_check_sizes(size, minimum_size);
	bert_vector_check_sizes(size, maximum_size);
	for (int32 i = 0; i < size; i++)
		bytes[i] =
			quantize(values[i], minimum[i], step_between(minimum[i], maximum[i]));
	PG_RETURN_ARRAYTYPE_P(result);
}

/* ---- arrays ---- */

static const float *
read_vector(ArrayType *vector, int32 *size)
{
	const float *values = bert_vector_values(vector);

	*size = bert_vector_size(vector);
	for (int32 i = 0; i < *size; i++)
		if (isnan(values[i]))
			ereport(ERROR, errcode(ERRCODE_DATA_EXCEPTION),
					errmsg("NaN not allowed in vector"));
	return values;
}
