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
 * than its form without a model.
 */
extern BertModel *bert_call_model(FunctionCallInfo fcinfo, int n_without);

/* For an ErrorContextCallback with a BertModel: errors tell the model. */
extern void bert_which_model(void *model);

/* bert_session_encode(), whose errors tell the model. */
extern void bert_call_encode(BertModel *model, const BertSequence *sequences, int n,
							 BertOutput output, bool positions, float *results);

/* Bytes of a text, in the database's encoding, without fetching it. */
extern size_t bert_text_nbytes(Datum text);

/* All of a text in UTF-8. Not terminated; may be the datum's own memory. */
extern const char *bert_text_utf8(Datum text, size_t *nbytes);

/*
 * A text from UTF-8. A character that the database's encoding does not have is written
 * as in E'': \u20AC, \U0001F600.
 */
extern text *bert_text_create(const char *utf8, size_t nbytes);

/* A token as the vocabulary has it; NULL for an id that it leaves out. */
extern text *bert_text_token(const BertTokenizer *tokenizer, int32 id);

/*
 * The ids of a text, or of a pair, cut to what the model reads; the prompt, UTF-8, stands
 * before the text. No more of a long text is fetched than that takes. Allocates in the
 * current memory context, about as much as was fetched.
 */
extern void bert_text_tokens(const BertModel *model, const char *prompt,
							 bool split_special, Datum text, BertTokens *tokens);
extern void bert_text_pair_tokens(const BertModel *model, bool split_special,
								  Datum first, Datum second, BertTokens *tokens);

/* A token's place in its text, in characters of the database; stop exclusive. */
typedef struct BertSpan
{
	int64 start;
	int64 stop;
} BertSpan;

/* The places of the first n tokens of a text, which has so many: spans (n). */
extern void bert_text_spans(const BertModel *model, bool split_special, Datum text,
							int32 n, BertSpan *spans);

#endif /* BERT_SQL_TEXT_H */
