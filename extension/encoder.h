/*
 * encoder.h
 *	  The forward pass: token ids in, vectors out. Knows nothing of SQL or of text.
 *
 * A BertEncoder is a model whose weights lie in memory (a mapped pack) bound to a
 * device and a program. Sequences of any number and length are packed into
 * batches of at most batch_tokens tokens, longest first, without padding. A sequence's
 * result does not depend on what it shares a batch with: to the bit.
 */
#ifndef BERT_ENCODER_H
#define BERT_ENCODER_H

#include "device.h"
#include "kernels.h"
#include "model.h"
#include "weights.h"

typedef struct BertEncoder BertEncoder;

/* One input. Tokens [first_size, n_tokens) have type 1. Not owned. */
typedef struct BertSequence
{
	const int32 *ids; /* (n_tokens); every id < config.vocab_size */
	int32 n_tokens;   /* 1 .. config.max_positions */
	int32 first_size;
} BertSequence;

typedef enum BertOutput
{
	BERT_OUTPUT_EMBEDDING, /* the recipe's pooling and normalization */
	BERT_OUTPUT_CLS,       /* last hidden state at [CLS] */
	BERT_OUTPUT_POOLED     /* tanh(pooler(CLS)); needs config.has_pooler */
} BertOutput;

/*
 * Bind. weights must stay mapped, 128-byte aligned, until bert_encoder_free(), which
 * also works half-way. Everything else is copied. ERROR where the device fails or the
 * model is too large for it.
 */
extern BertEncoder *bert_encoder_create(const BertLauncher *launcher,
										const BertConfig *config,
										const BertRecipe *recipe, const void *weights);
extern void bert_encoder_free(BertEncoder *encoder);

/*
 * Give back what the last call needed; to be called after each, an ERROR included (it
 * also waits for the device). A little is kept for the next short text.
 */
extern void bert_encoder_trim(BertEncoder *encoder);

/* Floats in one result. */
extern int32 bert_output_size(const BertConfig *config, const BertRecipe *recipe,
							  BertOutput output);
extern int32 bert_encoder_size(const BertEncoder *encoder, BertOutput output);

/*
 * results: (n, bert_encoder_size()). Interruptible: no single wait for the device is
 * long, and nothing is in flight when an ERROR leaves this function. ERROR 22003 where
 * the model gives a value that is not finite.
 */
extern void bert_encode(BertEncoder *encoder, const BertSequence *sequences, int n,
						BertOutput output, int batch_tokens, float *results);

/*
 * Called after the embeddings (layer 0) and after each layer with the hidden states of
 * one batch, in the caller's memory. Sequence i of the batch is sequence[i] of the
 * call, its rows begin at first_row[i]. Returns false to stop after this layer.
 */
typedef struct BertTap
{
	bool (*layer)(void *arg, int layer, const float *hidden, int32 ld,
				  const int *sequence, const int32 *first_row, int n);
	void *arg;
} BertTap;

extern void bert_encode_tapped(BertEncoder *encoder, const BertSequence *sequences,
							   int n, int batch_tokens, const BertTap *tap);

#endif /* BERT_ENCODER_H */
