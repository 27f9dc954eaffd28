/*
 * sql_vector.c
 *	  Vectors as SQL sees them, real[], and bert_cosine.
 *
 * Edges are as in pgvector's cosine_distance: vectors of different sizes are an error,
 * and a vector of length zero, which has no direction, gives NaN.
 */
#include "port.h"

#include "compat.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "sql_vector.h"

ArrayType *
bert_vector_create(int32 size)
{
	size_t nbytes = ARR_OVERHEAD_NONULLS(1) + (size_t) size * sizeof(float);
	ArrayType *vector = palloc0(nbytes);

	SET_VARSIZE(vector, nbytes);
	vector->ndim = 1;
	vector->elemtype = FLOAT4OID;
	ARR_DIMS(vector)[0] = size;
	ARR_LBOUND(vector)[0] = 1;
	return vector;
}

/* Its size; ERROR for what is no vector. An empty array is the vector of size 0. */
static int32
vector_size(ArrayType *vector)
{
	if (ARR_NDIM(vector) > 1)
		ereport(ERROR, errcode(ERRCODE_DATA_EXCEPTION),
				errmsg("vector must be a one-dimensional array"));
	if (array_contains_nulls(vector))
		ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("vector must not contain nulls"));
	return ArrayGetNItems(ARR_NDIM(vector), ARR_DIMS(vector));
}

/* a.b / (|a| |b|) */
static double
cosine(const float *a, const float *b, int32 size)
{
	double ab = 0;
	double aa = 0;
	double bb = 0;
	double cosine;

	for (int32 i = 0; i < size; i++)
	{
		ab += (double) a[i] * b[i];
		aa += (double) a[i] * a[i];
		bb += (double) b[i] * b[i];
	}
	cosine = ab / sqrt(aa * bb);

	/* Rounding may lead just out of the range; NaN stays as it is. */
	if (cosine > 1)
		return 1;
	if (cosine < -1)
		return -1;
	return cosine;
}

PG_FUNCTION_INFO_V1(bert_sql_cosine);

Datum
bert_sql_cosine(PG_FUNCTION_ARGS)
{
	ArrayType *a = PG_GETARG_ARRAYTYPE_P(0);
	ArrayType *b = PG_GETARG_ARRAYTYPE_P(1);
	int32 size = vector_size(a);
	double result;

	if (vector_size(b) != size)
		ereport(ERROR, errcode(ERRCODE_DATA_EXCEPTION),
				errmsg("different vector dimensions %d and %d", size, vector_size(b)));
	result = cosine(bert_vector_values(a), bert_vector_values(b), size);

	/* An index on this function would keep them until its build ends. */
	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	PG_RETURN_FLOAT8(result);
}
