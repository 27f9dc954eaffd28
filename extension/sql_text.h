/*
 * sql_text.h
 *	  From a text in the database to what the tokenizer reads and the encoder gets.
 */
#ifndef BERT_SQL_TEXT_H
#define BERT_SQL_TEXT_H

#include "compat.h"
#include "session.h"

/*
 * The model of a call: that which its first argument names, if it has more arguments
 * than the texts that its form without a model takes.
 */
extern BertModel *bert_call_model(FunctionCallInfo fcinfo, int n_texts);

/* bert_session_encode(), whose errors tell the model. */
extern void bert_call_encode(BertModel *model, const BertSequence *sequences, int n,
							 BertOutput output, float *results);

/* Bytes of a text, in the database's encoding, without fetching it. */
extern size_t bert_text_nbytes(Datum text);

/* All of a text in UTF-8. Not terminated; may be the datum's own memory. */
extern const char *bert_text_utf8(Datum text, size_t *nbytes);

/*
 * A text from UTF-8. A character that the database's encoding does not have is written
 * as in E'': \u20AC, \U0001F600.
 */
extern text *bert_text_create(const char *utf8, size_t nbytes);

/* What goes before the text: the model's default prompt, or nothing. */
typedef enum BertTextPrompt
{
	BERT_TEXT_BARE,
	BERT_TEXT_WITH_PROMPT
} BertTextPrompt;

/*
 * The ids of a text, or of a pair, cut to what the model reads. No more of a long text
 * is fetched than that takes. Allocates in the current memory context, about as much as
 * was fetched.
 */
extern void bert_text_tokens(const BertModel *model, BertTextPrompt prompt, Datum text,
							 BertTokens *tokens);
extern void bert_text_pair_tokens(const BertModel *model, Datum first, Datum second,
								  BertTokens *tokens);

#endif /* BERT_SQL_TEXT_H */
