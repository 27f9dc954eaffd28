/*
 * tap.h
 *	  A test program's output, as prove(1) reads it: ok(condition, "claim").
 */
#ifndef BERT_TAP_H
#define BERT_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static int tap_tests;
static int tap_failures;

static inline bool __attribute__((format(printf, 2, 3)))
ok(bool passed, const char *claim, ...)
{
	va_list args;

	printf("%sok %d - ", passed ? "" : "not ", ++tap_tests);
	va_start(args, claim);
	vprintf(claim, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	tap_failures += !passed;
	return passed;
}

/* The exit status of main(). */
static inline int
done_testing(void)
{
	printf("1..%d\n", tap_tests);
	return tap_failures != 0;
}

#endif
