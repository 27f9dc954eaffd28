/*
 * sql_vector.h
 *	  Vectors as SQL sees them: real[], one dimension, no NULL.
 */
#ifndef BERT_SQL_VECTOR_H
#define BERT_SQL_VECTOR_H

#include "port.h"

#include "utils/array.h"

/*
 * An array of zeros, to be filled by the caller: (n), or (n, n) for ndim 2. Its elements
 * have a fixed size. An array without elements has no dimension.
 */
extern ArrayType *bert_array_create(Oid type, size_t element_nbytes, int ndim, int32 n);

/*
 * The first elements of a vector, divided by their length if normalized: computed in
 * double precision and rounded once (torch.nn.functional.normalize, eps 1e-12).
 */
extern ArrayType *bert_vector_of(const float *values, int32 size, bool normalized);

/* Its size; ERROR for what is no vector. An empty array is the vector of size 0. */
extern int32 bert_vector_size(ArrayType *vector);

/* ERROR where they differ. */
extern void bert_vector_check_sizes(int32 a, int32 b);

static inline float *
bert_vector_values(ArrayType *vector)
{
	return (float *) ARR_DATA_PTR(vector);
}

#endif /* BERT_SQL_VECTOR_H */
