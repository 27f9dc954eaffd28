/*
 * pack.h
 *	  A model in one file: config, recipe, tokenizer and weights in the kernels' layout.
 *
 * The first backend that needs a model validates its files and writes its pack into the
 * cache; every backend maps it read-only, so that a hundred connections hold the
 * weights once. The user's own files are never mapped: a file that is cut short while
 * mapped is SIGBUS, and that restarts the server. A pack is never changed in place.
 *
 *	packs/CONTENT-fp32-vN-pN-CPU.pack    CONTENT: a hash of the model's files; version and
 *	                                     panel of the layout
 *	models/NAME@fp32-DIRECTORY     which pack the model directory has now: the state of its
 *	                               files (times, sizes) when they were read, and that the
 *	                               pack was found whole since the server started
 */
#ifndef BERT_PACK_H
#define BERT_PACK_H

#include "model.h"
#include "tokenizer.h"

/* Of the pack's layout, of model.h and of the tokenizer's block. */
#define BERT_PACK_VERSION 2

/* Where models are: bert.model_directory, or "bert" below PostgreSQL's share directory. */
extern const char *bert_model_directory_path(void);

typedef struct BertPack
{
	BertConfig config;
	BertRecipe recipe;
	const void *tokenizer; /* a compiled block */
	size_t tokenizer_nbytes;
	const void *weights; /* laid out by bert_weights_layout() */
	void *map;
	size_t map_nbytes;
} BertPack;

/*
 * The state of a model's files, to be compared with an earlier one; palloc'd.
 * NULL: there is no such model.
 */
extern char *bert_pack_state(const char *model);

/*
 * Map the pack of a model whose files are in this state. Made first if need be, which
 * takes a second for 90 MB: interruptible, and only one backend does it. ERRORs of
 * model_files.h; a damaged pack is made again.
 */
extern void bert_pack_open(BertPack *pack, const char *model, const char *state);
extern void bert_pack_close(BertPack *pack);

/* Names in the model directory, sorted; palloc'd. */
extern char **bert_pack_models(int *n);

#endif /* BERT_PACK_H */
