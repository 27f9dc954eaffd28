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
bert_array_create(Oid type, size_t element_nbytes, int ndim, int32 n)
{
	size_t n_items = ndim == 1 ? n : (size_t) n * n;
	size_t nbytes = ARR_OVERHEAD_NONULLS(ndim) + n_items * element_nbytes;
	ArrayType *array;

	if (n == 0)
		return construct_empty_array(type);
	array = palloc0(nbytes);
	SET_VARSIZE(array, nbytes);
	array->ndim = ndim;
	array->elemtype = type;
	for (int i = 0; i < ndim; i++)
	{
		ARR_DIMS(array)[i] = n;
		ARR_LBOUND(array)[i] = 1;
	}
	return array;
}

ArrayType *
bert_vector_of(const float *values, int32 size, bool normalized)
{
	ArrayType *vector = bert_array_create(FLOAT4OID, sizeof(float), 1, size);
	float *elements = bert_vector_values(vector);
	double length = 0;

	if (!normalized)
	{
		memcpy(elements, values, size * sizeof(float));
		return vector;
	}
	for (int32 i = 0; i < size; i++)
		length += (double) values[i] * values[i];
	length = Max(sqrt(length), 1e-12);
	for (int32 i = 0; i < size; i++)
		elements[i] = (float) (values[i] / length);
	return vector;
}

int32
bert_vector_size(ArrayType *vector)
{
	if (ARR_NDIM(vector) > 1)
		ereport(ERROR, errcode(ERRCODE_DATA_EXCEPTION),
				errmsg("vector must be a one-dimensional array"));
	if (array_contains_nulls(vector))
		ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				errmsg("vector must not contain nulls"));
	return ArrayGetNItems(ARR_NDIM(vector), ARR_DIMS(vector));
}

void
bert_vector_check_sizes(int32 a, int32 b)
{
	if (a != b)
		ereport(ERROR, errcode(ERRCODE_DATA_EXCEPTION),
				errmsg("different vector dimensions %d and %d", a, b));
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
	int32 size = bert_vector_size(a);
	double result;

	bert_vector_check_sizes(size, bert_vector_size(b));
	result = cosine(bert_vector_values(a), bert_vector_values(b), size);

	/* An index on this function would keep them until its build ends. */
	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	PG_RETURN_FLOAT8(result);
}
