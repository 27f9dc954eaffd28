/*
 * port.h
 *	  One source, two homes: the server, and plain programs.
 *
 * Every C file starts with this header. In the server it is postgres.h. With
 * -DFRONTEND (the helper program, unit tests, fuzzers, kernel tests) the same
 * ereport(), palloc() and CHECK_FOR_INTERRUPTS() are served by standalone.c:
 * memory comes from one arena, an ERROR jumps to the catch point of the
 * innermost bert_try(). So parsers and encoders are written once, as backend
 * code, and can be tested and fuzzed without a server.
 */
#ifndef BERT_PORT_H
#define BERT_PORT_H

#ifndef FRONTEND

#include "postgres.h"
#include "miscadmin.h"

#else

/* From 16 on, libpgcommon has its encoding functions under names of its own only. */
#define USE_PRIVATE_ENCODING_FUNCS
#include "postgres_fe.h"
#include <setjmp.h>

/* Levels and SQLSTATEs, as utils/elog.h has them. */
#define DEBUG1  14
#define LOG     15
#define NOTICE  18
#define WARNING 19
#define ERROR   21

#define PGSIXBIT(ch) (((ch) - '0') & 0x3F)
#define MAKE_SQLSTATE(ch1, ch2, ch3, ch4, ch5)                                         \
	(PGSIXBIT(ch1) + (PGSIXBIT(ch2) << 6) + (PGSIXBIT(ch3) << 12) +                    \
	 (PGSIXBIT(ch4) << 18) + (PGSIXBIT(ch5) << 24))
#include "utils/errcodes.h"

#define ereport(level, ...)                                                            \
	do                                                                                 \
	{                                                                                  \
		bert_standalone_errstart(level);                                               \
		(void) (__VA_ARGS__);                                                          \
		bert_standalone_errfinish();                                                   \
		if ((level) >= ERROR)                                                          \
			pg_unreachable();                                                          \
	} while (0)
#define elog(level, ...) ereport(level, errmsg_internal(__VA_ARGS__))

extern int errcode(int sqlstate);
extern int errcode_for_file_access(void);
extern int errmsg(const char *fmt, ...) pg_attribute_printf(1, 2);
extern int errmsg_internal(const char *fmt, ...) pg_attribute_printf(1, 2);
extern int errdetail(const char *fmt, ...) pg_attribute_printf(1, 2);
extern int errdetail_log(const char *fmt, ...) pg_attribute_printf(1, 2);
extern int errhint(const char *fmt, ...) pg_attribute_printf(1, 2);
extern void bert_standalone_errstart(int level);
extern void bert_standalone_errfinish(void);

#define CHECK_FOR_INTERRUPTS() ((void) 0)

/* What the last caught ERROR said. */
typedef struct BertCaughtError
{
	int sqlstate;
	char message[1024];
	char detail[4096];
	char hint[1024];
} BertCaughtError;

/*
 * Run work(arg). True when it returned; false when it raised an ERROR, which is
 * then in *error. Everything that it allocated is freed in both cases, unless
 * keep_memory. Calls nest.
 */
extern bool bert_try(void (*work)(void *arg), void *arg, bool keep_memory,
					 BertCaughtError *error);

#endif /* FRONTEND */

#include <limits.h>
#include <stdint.h>

#endif /* BERT_PORT_H */
