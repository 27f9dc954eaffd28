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
	int32 pool_from; /* tokens before it, a prompt's, are not pooled; usually 0 */
} BertSequence;

typedef enum BertOutput
{
	BERT_OUTPUT_EMBEDDING, /* the recipe's pooling and modules */
	BERT_OUTPUT_CLS,       /* last hidden state at [CLS] */
	BERT_OUTPUT_POOLED     /* tanh(pooler(CLS)); needs config.has_pooler */
} BertOutput;

/*
 * Bind. weights must stay mapped, 128-byte aligned, until bert_encoder_free(), which
 * also works half-way. Everything else is copied. ERROR where the device fails, or the
 * model is too large for it or has heads over BERT_MAX_HEAD_SIZE.
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
 *
 * positions = false leaves out what tells the model the order of the tokens: the table
 * of absolute positions, or the distances in attention.
 */
extern void bert_encode(BertEncoder *encoder, const BertSequence *sequences, int n,
						BertOutput output, bool positions, int batch_tokens,
						float *results);

/* Run every kernel of the program once, with next to nothing to do. ERRORs as above. */
extern void bert_encoder_run_once(BertEncoder *encoder);

/*
 * Looking inside, at one sequence. Hidden states after a layer, 0 being the embeddings
 * (hidden_states[layer] of transformers): hidden (n_tokens, hidden_size), finite or not.
 */
extern void bert_encode_hidden(BertEncoder *encoder, const BertSequence *sequence,
							   int32 layer, bool positions, float *hidden);

/*
 * Attention weights of a layer (from 1) and head (from 0), as attentions[layer - 1][0,
 * head] of transformers: weights (n_tokens, n_tokens), a row for each query, which sums
 * to 1. From the device's queries and keys, by the host in double precision. ERROR 22003
 * where these are not finite.
 */
extern void bert_encode_attention(BertEncoder *encoder, const BertSequence *sequence,
								  int32 layer, int32 head, bool positions,
								  float *weights);

/* ERROR 22003 where one of n values is not finite. */
extern void bert_check_finite(const float *values, size_t n);

#endif /* BERT_ENCODER_H */
