/*
 * guard.c
 *	  Keeps a driver's hands off the backend's signals. See guard.h.
 */
#include "port.h"
#include "guard.h"

#include "developer.h"

static BertGuard last; /* as of the last leave */
static bool left = false;

void
bert_guard_enter(BertGuard *guard)
{
	sigset_t all;

	if (BERT_WITHOUT(BERT_SIGNAL_GUARD))
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &guard->mask);
	for (int s = 1; s < NSIG; s++)
		(void) sigaction(s, NULL, &guard->actions[s]);
}

static void
restore(const BertGuard *guard)
{
	/* Fails for SIGKILL, SIGSTOP and the C library's own two: as it should. */
	for (int s = 1; s < NSIG; s++)
		(void) sigaction(s, &guard->actions[s], NULL);
}

void
bert_guard_leave(BertGuard *guard)
{
	if (BERT_WITHOUT(BERT_SIGNAL_GUARD))
		return;
	restore(guard);
	last = *guard;
	left = true;
	pthread_sigmask(SIG_SETMASK, &guard->mask, NULL);
}

void
bert_guard_check(void)
{
	struct sigaction now;

	if (!left || sigaction(SIGUSR1, NULL, &now) != 0 ||
		now.sa_handler == last.actions[SIGUSR1].sa_handler)
		return;
	restore(&last);
}
