/*
 * raises.h
 *	  Claims about errors, for the test programs.
 */
#ifndef BERT_RAISES_H
#define BERT_RAISES_H

#include "port.h"

/* True if work(arg) returns. A comment tells the ERROR that it raised instead. */
static inline bool
returns(void (*work)(void *arg), void *arg)
{
	BertCaughtError error;

	if (bert_try(work, arg, false, &error))
		return true;
	printf("# raised: %s\n", error.message);
	return false;
}

/* True if work(arg) raises an ERROR of that SQLSTATE, with fragment in its text. */
static inline bool
raises(void (*work)(void *arg), void *arg, int sqlstate, const char *fragment)
{
	BertCaughtError error;

	if (bert_try(work, arg, false, &error))
	{
		printf("# raised nothing\n");
		return false;
	}
	if (error.sqlstate == sqlstate && (strstr(error.message, fragment) != NULL ||
									   strstr(error.hint, fragment) != NULL))
		return true;
	printf("# raised: %s (hint: %s)\n# wanted: %s%s\n", error.message, error.hint,
		   fragment, error.sqlstate == sqlstate ? "" : ", and another SQLSTATE");
	return false;
}

#endif
