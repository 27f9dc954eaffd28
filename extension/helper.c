/*
 * helper.c
 *	  Runs the helper program and waits for it. See helper.h.
 *
 * The child is tied to a memory context before it exists: however this function is left,
 * a child that still runs is killed with its process group and reaped.
 */
#include "port.h"
#include "helper.h"

#include "lib/stringinfo.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define HELPER_PROGRAM    "bert_helper"
#define HELPER_TIMEOUT_MS (5 * 60 * 1000)
#define MAX_ANSWER        (256 * 1024)
#define MAX_CHATTER       (8 * 1024)

extern char **environ;

typedef struct Child
{
	pid_t pid; /* 0: none, or reaped */
	int output;
} Child;

/* ---- starting ---- */

/* Beside our own library: works with dynamic_library_path and staged installs alike. */
char *
bert_helper_path(void)
{
	Dl_info info;
	char path[MAXPGPATH];

	if (dladdr((void *) bert_helper_run, &info) == 0)
		elog(ERROR, "could not find the library of bert");
	strlcpy(path, info.dli_fname, sizeof(path));
	get_parent_directory(path);
	return psprintf("%s/%s", path, HELPER_PROGRAM);
}

static bool
same_name(const char *a, const char *b)
{
	size_t n = strcspn(a, "=");

	return strncmp(a, b, n) == 0 && b[n] == '=';
}

/* The server's environment with the variables over it. Made before the fork: after it
 * only async-signal-safe calls are allowed, since drivers may have started threads. */
static char **
make_environment(const char *const *variables)
{
	char **result;
	int n = 0;
	int n_old = 0;
	int n_new = 0;

	while (environ[n_old] != NULL)
		n_old++;
	while (variables[n_new] != NULL)
		n_new++;
	result = palloc((n_old + n_new + 1) * sizeof(char *));
	for (int i = 0; i < n_new; i++)
		result[n++] = unconstify(char *, variables[i]);
	for (int i = 0; i < n_old; i++)
	{
		bool hidden = false;

		for (int j = 0; j < n_new && !hidden; j++)
			hidden = same_name(variables[j], environ[i]);
		if (!hidden)
			result[n++] = environ[i];
	}
	result[n] = NULL;
	return result;
}

static char **
make_arguments(const char *const *args)
{
	char **result;
	int n = 0;

	while (args[n] != NULL)
		n++;
	result = palloc((n + 2) * sizeof(char *));
	result[0] = HELPER_PROGRAM;
	memcpy(result + 1, args, (n + 1) * sizeof(char *));
	return result;
}

static _Noreturn void
become_helper(const char *path, char **args, char **variables, int output, pid_t parent)
{
	sigset_t none;
	int null = open("/dev/null", O_RDONLY);

	/* Its own group, so that a compiler it started can be killed with it. */
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (null < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
		_exit(127);
	for (int fd = 3; fd < 64; fd++) /* the helper itself closes the rest */
		close(fd);
	execve(path, args, variables);
	_exit(127);
}

static void
start(Child *child, const char *const *args, const char *const *variables)
{
	char *path = bert_helper_path();
	char **argv = make_arguments(args);
	char **envp = make_environment(variables);
	pid_t parent = getpid();
	sigset_t all;
	sigset_t mask;
	int pipe_fds[2];

	if (access(path, X_OK) != 0)
		ereport(ERROR, errcode(ERRCODE_SYSTEM_ERROR),
				errmsg("the helper program of bert cannot be run: %m"),
				errdetail_log("The program is \"%s\".", path),
				errhint("It is installed beside the extension's library; install the "
						"extension again."));
	if (pipe2(pipe_fds, O_CLOEXEC) != 0 || fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK) != 0)
		ereport(ERROR, errcode(ERRCODE_SYSTEM_ERROR),
				errmsg("could not create a pipe: %m"));
	child->output = pipe_fds[0];
	/* No handler of the server's may run in the child: it is still our image. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &mask);
	child->pid = fork();
	if (child->pid == 0)
		become_helper(path, argv, envp, pipe_fds[1], parent);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	close(pipe_fds[1]);
	if (child->pid < 0)
	{
		child->pid = 0;
		ereport(ERROR, errcode(ERRCODE_SYSTEM_ERROR),
				errmsg("could not start the helper program of bert: %m"));
	}
}

/* ---- waiting ---- */

/* Kill if it runs, reap, close. Idempotent; also the context's callback. */
static void
put_away(void *arg)
{
	Child *child = arg;

	if (child->pid != 0)
	{
		kill(-child->pid, SIGKILL);
		kill(child->pid, SIGKILL); /* if it had no time to make its group */
		while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
			;
		child->pid = 0;
	}
	if (child->output >= 0)
		close(child->output);
	child->output = -1;
}

/* One read; false at the end of its output. */
static bool
read_some(Child *child, StringInfo output)
{
	char buffer[8192];
	ssize_t n = read(child->output, buffer, sizeof(buffer));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (output->len < MAX_ANSWER)
		appendBinaryStringInfo(output, buffer, n);
	return n > 0;
}

static void
collect_output(Child *child, StringInfo output)
{
	TimestampTz start = GetCurrentTimestamp();

	do
	{
		(void) WaitLatchOrSocket(MyLatch,
								 WL_LATCH_SET | WL_SOCKET_READABLE | WL_TIMEOUT |
									 WL_EXIT_ON_PM_DEATH,
								 child->output, 1000, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (TimestampDifferenceExceeds(start, GetCurrentTimestamp(), HELPER_TIMEOUT_MS))
			ereport(ERROR, errcode(ERRCODE_SYSTEM_ERROR),
					errmsg("the helper program of bert did not answer"),
					errdetail("It was stopped after %d seconds; an OpenCL driver may "
							  "hang.",
							  HELPER_TIMEOUT_MS / 1000));
	} while (read_some(child, output));
}

static int
reap(Child *child)
{
	int status = 0;

	while (waitpid(child->pid, &status, 0) < 0)
		if (errno != EINTR)
		{
			status = -1;
			break;
		}
	child->pid = 0;
	return status;
}

/* Lines with the mark are the answer. */
static void
sort_lines(char *output, StringInfo answer, StringInfo chatter)
{
	char *rest = output;
	char *line;

	while ((line = strsep(&rest, "\n")) != NULL)
		if (strncmp(line, BERT_HELPER_MARK, strlen(BERT_HELPER_MARK)) == 0)
			appendStringInfo(answer, "%s\n", line + strlen(BERT_HELPER_MARK));
		else if (line[0] != '\0' && chatter->len < MAX_CHATTER)
			appendStringInfo(chatter, "%s\n", line);
}

static char *
fate_of(int status)
{
	if (WIFSIGNALED(status))
		return psprintf("was terminated by signal %d: %s", WTERMSIG(status),
						strsignal(WTERMSIG(status)));
	return psprintf("exited with status %d", WEXITSTATUS(status));
}

BertHelperAnswer *
bert_helper_run(const char *const *args, const char *const *variables)
{
	BertHelperAnswer *result = palloc0(sizeof(*result));
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context =
		AllocSetContextCreate(caller, "bert helper program", ALLOCSET_SMALL_SIZES);
	Child *child = MemoryContextAllocZero(context, sizeof(Child));
	MemoryContextCallback *callback = MemoryContextAlloc(context, sizeof(*callback));
	StringInfoData output;
	StringInfoData answer;
	StringInfoData chatter;
	volatile int status = 0;

	child->output = -1;
	callback->func = put_away;
	callback->arg = child;
	MemoryContextRegisterResetCallback(context, callback);

	initStringInfo(&output);
	initStringInfo(&answer);
	initStringInfo(&chatter);
	PG_TRY();
	{
		start(child, args, variables);
		collect_output(child, &output);
		status = reap(child);
	}
	PG_CATCH();
	{
		put_away(child); /* before a lock that we hold can go */
		PG_RE_THROW();
	}
	PG_END_TRY();
	sort_lines(output.data, &answer, &chatter);
	result->ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	result->answer = answer.data;
	result->chatter = chatter.data;
	result->fate = fate_of(status);
	pfree(output.data);
	MemoryContextDelete(context);
	return result;
}
