/*
 * session.h
 *	  All that a backend keeps: the opened device, the loaded models, the memo.
 *
 * Made at first use, kept to the end of the process, checked once per statement against
 * what may have changed: the model's files, settings.
 */
#ifndef BERT_SESSION_H
#define BERT_SESSION_H

#include "encoder.h"
#include "model.h"
#include "tokenizer.h"

/* A model that is loaded in this backend. Valid until the end of the statement. */
typedef struct BertModel
{
	char name[BERT_MODEL_NAME_LEN];
	BertConfig config;
	BertRecipe recipe;
	BertTokenizer *tokenizer;
	uint64 id; /* another one for other contents of the same name */
} BertModel;

/*
 * The model of that name ("minilm", "minilm@fp32"), or with NULL the one that bert.model
 * names, or the only one there is. Needs no device. ERROR 42704, 22023, F0000, XX001 …
 */
extern BertModel *bert_session_model(const char *name);

/*
 * Floats in a result of this kind: of a sentence vector all, whatever recipe.truncate_dim
 * says. ERROR 0A000 for BERT_OUTPUT_POOLED without a pooler.
 */
extern int32 bert_session_size(BertModel *model, BertOutput output);

/*
 * As bert_encode(); opens the device at first use. A single sequence that is among the
 * last ones of this backend is answered from a memo: a STABLE call like bert_embed('...')
 * in an ORDER BY is evaluated for every row, and costs the encoder once.
 */
extern void bert_session_encode(BertModel *model, const BertSequence *sequences, int n,
								BertOutput output, bool positions, float *results);

/* As bert_encode_hidden() and bert_encode_attention(). */
extern void bert_session_hidden(BertModel *model, const BertSequence *sequence,
								int32 layer, bool positions, float *hidden);
extern void bert_session_attention(BertModel *model, const BertSequence *sequence,
								   int32 layer, int32 head, bool positions,
								   float *weights);

/* The row of an id in the word embeddings: (hidden_size), valid as long as the model. */
extern const float *bert_session_word_embedding(const BertModel *model, int32 id);

/* Names in the model directory, sorted; palloc'd. */
extern char **bert_session_model_names(int *n);

/* For bert_selftest(): what the reference makes of a sequence. */
extern void bert_session_reference(BertModel *model, const BertSequence *sequence,
								   BertOutput output, float *result);
extern void bert_session_reference_hidden(BertModel *model,
										  const BertSequence *sequence, int32 layer,
										  bool positions, float *hidden);

/* And how often the device has run each kernel: launches (BERT_N_KERNELS). */
extern void bert_session_launches(BertModel *model, uint64 *launches);

/* For bert_devices(). */
typedef struct BertDeviceRow
{
	BertDeviceInfo info;
	const char *tier; /* NULL where the device cannot be used */
	bool chosen;
	const char *reason; /* why, or why not */
} BertDeviceRow;

/* palloc'd; asks each driver through the helper, opens nothing here. */
extern BertDeviceRow *bert_session_devices(int *n);

#endif /* BERT_SESSION_H */
