/*
 * sql_vector.h
 *	  Vectors as SQL sees them: real[], one dimension, no NULL.
 */
#ifndef BERT_SQL_VECTOR_H
#define BERT_SQL_VECTOR_H

#include "port.h"

#include "utils/array.h"

/* A real[] of that size, to be filled by the caller. */
extern ArrayType *bert_vector_create(int32 size);

static inline float *
bert_vector_values(ArrayType *vector)
{
	return (float *) ARR_DATA_PTR(vector);
}

#endif /* BERT_SQL_VECTOR_H */
