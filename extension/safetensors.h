/*
 * safetensors.h
 *	  Reads a safetensors file that nobody vouches for.
 *
 * The header is parsed with every check of the Rust reference (huggingface/safetensors,
 * safetensors/src/tensor.rs) and some more; tensors are then read by offset, never
 * mapped, and converted to float32 on the way.
 */
#ifndef BERT_SAFETENSORS_H
#define BERT_SAFETENSORS_H

#include "port.h"

#define BERT_MAX_DIMS 8

typedef enum BertDtype
{
	BERT_DTYPE_F32,
	BERT_DTYPE_F16,
	BERT_DTYPE_BF16,
	BERT_DTYPE_OTHER /* legal, but nothing that weights may have */
} BertDtype;

typedef struct BertTensor
{
	const char *name; /* UTF-8, terminated */
	BertDtype dtype;
	const char *dtype_name; /* as in the file */
	int32 ndims;
	int64 shape[BERT_MAX_DIMS];
	int64 n_elements;
	int64 offset; /* of its first byte, from the start of the file */
	int64 nbytes;
} BertTensor;

typedef struct BertSafetensors
{
	int fd;              /* not owned */
	const char *label;   /* what every message begins with */
	BertTensor *tensors; /* (n_tensors), sorted by name */
	int32 n_tensors;
} BertSafetensors;

/*
 * Parse and check the header of an open file. Allocates in the current memory context;
 * the label must live as long. ERROR XX001 says which check failed.
 */
extern BertSafetensors *bert_safetensors_open(int fd, const char *label);

/* NULL where there is none of that name. */
extern const BertTensor *bert_safetensors_find(const BertSafetensors *file,
											   const char *name);

/*
 * Read elements [first, first + count) as float32. ERROR 0A000 for a dtype that weights
 * may not have, XX001 for a NaN or an infinity (naming tensor and position), 58030 for
 * a failed or short read. Interruptible.
 */
extern void bert_safetensors_read(const BertSafetensors *file, const BertTensor *tensor,
								  int64 first, int64 count, float *values);

/* "[30522, 384]", for messages. */
extern char *bert_tensor_shape(const BertTensor *tensor);

#endif /* BERT_SAFETENSORS_H */
