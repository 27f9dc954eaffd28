/*
 * numbers.h
 *	  Numbers to feed kernels and models with: pseudo-random, the same in every run.
 *
 * The generator's state is in under_test.h; who sets it begins a sequence anew.
 */
#ifndef BERT_NUMBERS_H
#define BERT_NUMBERS_H

#include "port.h"

#define ROUNDING 5.9604645e-08 /* unit roundoff of float, 2^-24 */

extern uint32 random_state;

static inline uint32
random_bits(void)
{
	random_state = random_state * 1664525 + 1013904223;
	return random_state >> 8;
}

/* In [-1, 1). */
static inline float
random_float(void)
{
	return random_bits() / 8388608.0f - 1;
}

/* In -limit .. limit. Sums of products of such numbers are exact, in any order. */
static inline float
random_whole(int limit)
{
	return (float) (random_bits() % (2 * limit + 1)) - limit;
}

#endif /* BERT_NUMBERS_H */
