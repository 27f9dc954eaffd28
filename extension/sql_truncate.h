/*
 * sql_truncate.h
 *	  What happens when a text is longer than its model reads: bert.truncate, or the
 *	  option "truncate" of a call.
 */
#ifndef BERT_SQL_TRUNCATE_H
#define BERT_SQL_TRUNCATE_H

#include "session.h"
#include "settings.h"

/* To be called when the library is loaded. */
extern void bert_truncate_init(void);

/* To be called for every text that was cut: an ERROR, a WARNING, or nothing. */
extern void bert_truncated(const BertModel *model, BertTruncate answer);

#endif /* BERT_SQL_TRUNCATE_H */
