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

/* Floats in a result of this kind. ERROR 0A000 for BERT_OUTPUT_POOLED without a pooler. */
extern int32 bert_session_size(BertModel *model, BertOutput output);

/*
 * As bert_encode(); opens the device at first use. A single sequence that is among the
 * last ones of this backend is answered from a memo: a STABLE call like bert_embed('...')
 * in an ORDER BY is evaluated for every row, and costs the encoder once.
 */
extern void bert_session_encode(BertModel *model, const BertSequence *sequences, int n,
								BertOutput output, float *results);

/* Names in the model directory, sorted; palloc'd. */
extern char **bert_session_model_names(int *n);

/* For bert_selftest(): the device's result and the reference's, of one sequence. */
extern void bert_session_reference(BertModel *model, const BertSequence *sequence,
								   BertOutput output, float *result);

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
