/*
 * guard.h
 *	  Keeps a driver's hands off the backend's signals.
 *
 * Opening a driver or loading a program may start threads, which inherit the signal
 * mask, and may install signal handlers: PoCL's compiler library replaces those of
 * SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2 and more. A backend that lost its
 * SIGUSR1 handler makes other sessions hang. So such calls stand between enter and
 * leave: all signals blocked, every disposition saved and put back.
 *
 * Nothing may raise an ERROR in between (PG_TRY does not restore the mask).
 */
#ifndef BERT_GUARD_H
#define BERT_GUARD_H

#include "port.h"

#include <signal.h>

typedef struct BertGuard
{
	sigset_t mask;
	struct sigaction actions[NSIG];
} BertGuard;

extern void bert_guard_enter(BertGuard *guard);
extern void bert_guard_leave(BertGuard *guard);

/*
 * After calls that were not guarded: put the handlers of the last leave back if the
 * driver took them meanwhile. Costs one system call.
 */
extern void bert_guard_check(void);

#endif /* BERT_GUARD_H */
