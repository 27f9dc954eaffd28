/*
 * standalone.c
 *	  The part of the server's run-time that plain programs need (see port.h):
 *	  palloc() out of one arena, ereport() with a catch point.
 *
 * Not compiled into the extension. Single-threaded, like a backend.
 */
#ifndef FRONTEND
#error "standalone.c belongs to plain programs: compile with -DFRONTEND"
#endif

#include "port.h"

#include <errno.h>

/* ---- memory: every block is on a list, so that an ERROR can free them ---- */

typedef struct Block
{
	struct Block *prev;
	struct Block *next;
	size_t nbytes;
} Block;

static Block blocks = {&blocks, &blocks, 0};

static Block *
block_of(void *pointer)
{
	return (Block *) pointer - 1;
}

static void *
link_block(Block *block, size_t nbytes)
{
	if (block == NULL)
		ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"));
	block->nbytes = nbytes;
	block->prev = &blocks;
	block->next = blocks.next;
	block->next->prev = block;
	blocks.next = block;
	return block + 1;
}

static void
unlink_block(Block *block)
{
	block->prev->next = block->next;
	block->next->prev = block->prev;
}

void *
palloc(Size nbytes)
{
	return link_block(malloc(sizeof(Block) + nbytes), nbytes);
}

void *
palloc0(Size nbytes)
{
	return memset(palloc(nbytes), 0, nbytes);
}

void *
palloc_extended(Size nbytes, int flags)
{
	return (flags & MCXT_ALLOC_ZERO) ? palloc0(nbytes) : palloc(nbytes);
}

void *
repalloc(void *pointer, Size nbytes)
{
	Block *block = block_of(pointer);

	unlink_block(block);
	return link_block(realloc(block, sizeof(Block) + nbytes), nbytes);
}

void
pfree(void *pointer)
{
	unlink_block(block_of(pointer));
	free(block_of(pointer));
}

char *
pnstrdup(const char *text, Size nbytes)
{
	char *copy = palloc(nbytes + 1);

	memcpy(copy, text, nbytes);
	copy[nbytes] = '\0';
	return copy;
}

char *
pstrdup(const char *text)
{
	return pnstrdup(text, strlen(text));
}

/* Free what was allocated after the mark was the newest block. */
static void
free_down_to(Block *mark)
{
	while (blocks.next != mark)
		pfree(blocks.next + 1);
}

/* ---- errors ---- */

static sigjmp_buf *catch_point;
static BertCaughtError current;
static int current_level;

void
bert_standalone_errstart(int level)
{
	int saved_errno = errno;

	memset(&current, 0, sizeof(current));
	current.sqlstate = ERRCODE_INTERNAL_ERROR;
	current_level = level;
	errno = saved_errno; /* for %m */
}

static void
print_current(void)
{
	fprintf(stderr, "%s: %s\n",
			current_level >= ERROR ? "ERROR"
								   : (current_level >= WARNING ? "WARNING" : "LOG"),
			current.message);
	if (current.detail[0])
		fprintf(stderr, "DETAIL: %s\n", current.detail);
	if (current.hint[0])
		fprintf(stderr, "HINT: %s\n", current.hint);
}

void
bert_standalone_errfinish(void)
{
	if (current_level >= ERROR && catch_point != NULL)
		siglongjmp(*catch_point, 1);
	if (current_level >= WARNING)
		print_current();
	if (current_level >= ERROR)
		exit(1);
}

int
errcode(int sqlstate)
{
	current.sqlstate = sqlstate;
	return 0;
}

int
errcode_for_file_access(void)
{
	switch (errno)
	{
		case ENOENT:
			return errcode(ERRCODE_UNDEFINED_FILE);
		case EACCES:
		case EPERM:
			return errcode(ERRCODE_INSUFFICIENT_PRIVILEGE);
		case ENOSPC:
			return errcode(ERRCODE_DISK_FULL);
		case EIO:
			return errcode(ERRCODE_IO_ERROR);
		default:
			return errcode(ERRCODE_INTERNAL_ERROR);
	}
}

#define FORMAT_INTO(field)                                                             \
	do                                                                                 \
	{                                                                                  \
		va_list args;                                                                  \
		va_start(args, fmt);                                                           \
		vsnprintf(field, sizeof(field), fmt, args);                                    \
		va_end(args);                                                                  \
		return 0;                                                                      \
	} while (0)

int
errmsg(const char *fmt, ...)
{
	FORMAT_INTO(current.message);
}

int
errmsg_internal(const char *fmt, ...)
{
	FORMAT_INTO(current.message);
}

int
errdetail(const char *fmt, ...)
{
	FORMAT_INTO(current.detail);
}

int
errdetail_log(const char *fmt, ...)
{
	FORMAT_INTO(current.detail);
}

int
errhint(const char *fmt, ...)
{
	FORMAT_INTO(current.hint);
}

bool
bert_try(void (*work)(void *arg), void *arg, bool keep_memory, BertCaughtError *error)
{
	sigjmp_buf here;
	sigjmp_buf *volatile outer = catch_point;
	Block *volatile mark = blocks.next;
	volatile bool finished = false;

	if (sigsetjmp(here, 0) == 0)
	{
		catch_point = &here;
		work(arg);
		finished = true;
	}
	else if (error != NULL)
		*error = current;
	catch_point = outer;
	if (!keep_memory)
		free_down_to(mark);
	return finished;
}
