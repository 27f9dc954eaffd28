/*
 * helper.h
 *	  Runs the helper program and waits for it.
 *
 * Whatever a driver might do to a process (abort(), take signal handlers, start a
 * compiler that forks a linker) it does first, or only, in a short-lived child:
 * bert_helper, installed beside the extension's library. Its crash is an ERROR here,
 * its standard output an answer.
 */
#ifndef BERT_HELPER_H
#define BERT_HELPER_H

#include "port.h"

/* Lines that start with this are the helper's answer, all others a driver's chatter. */
#define BERT_HELPER_MARK "bert\t"

typedef struct BertHelperAnswer
{
	bool ok;       /* it exited with status 0 */
	char *answer;  /* its marked lines, without the mark; palloc'd */
	char *chatter; /* the rest, cut to some KB */
	char *fate;    /* "exited with status 1", "was terminated by signal 6: Aborted" */
} BertHelperAnswer;

/*
 * Run it with these arguments (NULL at the end) and these variables ("NAME=value", NULL
 * at the end) over the server's environment. Interruptible: a cancel kills it. It
 * inherits no descriptor but its output, and dies when this backend does. ERROR only
 * where it cannot be started; its failure is in the answer.
 */
extern BertHelperAnswer *bert_helper_run(const char *const *args,
										 const char *const *variables);

/* Where the program is; palloc'd. */
extern char *bert_helper_path(void);

#endif /* BERT_HELPER_H */
