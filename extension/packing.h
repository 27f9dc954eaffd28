/*
 * packing.h
 *	  From a model's files to packed weights.
 */
#ifndef BERT_PACKING_H
#define BERT_PACKING_H

#include "model_files.h"
#include "weights.h"

/*
 * Read every tensor, check it (shape, NaN), and hand the packed weights out piece by
 * piece, in the order of the layout: write(arg, offset, data, nbytes). Gaps between
 * pieces are zeros. Interruptible.
 */
typedef void (*BertWeightsWriter)(void *arg, size_t offset, const void *data,
								  size_t nbytes);
extern void bert_weights_pack(const BertModelFiles *files,
							  const BertWeightsLayout *layout, BertWeightsWriter write,
							  void *arg);

#endif /* BERT_PACKING_H */
