/*
 * sql_call.h
 *	  A call's arguments: which model, which texts, which options.
 *
 * The functions that run a model have forms. The short one takes the model that
 * bert.model names, and no options: with a default on both, f('a', 'b') would be
 * ambiguous.
 *
 *		(text, numbers)
 *		(model, text, numbers, options)
 *		(model, a, b, numbers, options)		a pair
 *
 * The numbers are a layer, or a layer and a head, where the function has them.
 */
#ifndef BERT_SQL_CALL_H
#define BERT_SQL_CALL_H

#include "compat.h"
#include "session.h"
#include "settings.h"

/* Options by name; see sql/bert--0.1.sql for what they mean. */
typedef struct BertOptions
{
	const char *prompt;    /* UTF-8, before the text; "": none */
	int32 pool_from;       /* see BertSequence: the prompt's tokens, if not pooled */
	int32 dimensions;      /* elements of the vector that stay; 0: all */
	bool normalized;       /* what stays gets length one */
	BertTruncate truncate; /* of a text that is too long */
	bool positions;
	bool split_special;
} BertOptions;

typedef struct BertCall
{
	BertModel *model;
	int n_texts;
	Datum texts[2];
	int32 numbers[2];
	BertOptions options;
} BertCall;

/*
 * Of a function with that many numbers, whose options are (positions,
 * split_special_tokens).
 */
extern void bert_call_read(FunctionCallInfo fcinfo, int n_numbers, BertCall *call);

/*
 * Of a function that gives sentence vectors: texts[0] is its text, or array of texts,
 * and its options are (prompt, normalized, dimensions, truncate, positions,
 * split_special_tokens). prompt: that of the form without options. ERROR 22023 for an
 * option that cannot be.
 */
extern void bert_call_read_sentence(FunctionCallInfo fcinfo, const char *prompt,
									BertCall *call);

/*
 * The ids of the call's text or pair, with the prompt, cut to what the model reads; a
 * cut is answered as the options ask. The sequence points into tokens.
 */
extern BertSequence bert_call_sequence(const BertCall *call, BertTokens *tokens);

#endif /* BERT_SQL_CALL_H */
