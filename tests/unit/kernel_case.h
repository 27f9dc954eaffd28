/*
 * kernel_case.h
 *	  A case of the kernel driver: one kernel, one shape, one kind of numbers.
 *
 * test_kernels.c runs the cases; kernel_*.c have them, a KernelTest each. In the order of
 * the calls for one case:
 *
 *	list      names all cases, with add_case()
 *	make      the host's numbers and the device's buffers for a shape
 *	launch    the kernel, once; its results stay on the device
 *	judge     reads the results, and compares each with the plain C reference
 *	work      what a launch costs, to tell its speed
 *
 * What is compared, and how closely:
 *	- Where all numbers are small whole numbers, every sum is exact whatever its order, so
 *	  results must be equal to the bit. This finds a wrong index, a forgotten tail.
 *	- Elsewhere the expected value is computed in double, and each result may differ from
 *	  it by a bound that follows from float's rounding; it stands at the comparison.
 *	- Where the reference gives NaN, damage of a model, the device must, and only there.
 *	- Memory that a kernel is not to write is filled with a mark and looked at after.
 *
 * Memory of a case, host's and device's, is given back by the driver.
 */
#ifndef BERT_KERNEL_CASE_H
#define BERT_KERNEL_CASE_H

#include "port.h"

#include "kernels.h"
#include "numbers.h"

#define ANY (-1) /* of what is compiled in: it does not matter to the case */

/* Of the numbers that a kernel computes with. */
typedef enum Precision
{
	FP32,
	N_PRECISIONS
} Precision;

/* When a case is run. */
typedef enum CaseSize
{
	SMALL, /* always, on simulators, too */
	USUAL, /* unless --small */
	TIMED  /* with --time only: what real models launch */
} CaseSize;

/* The largest difference in parts of its bound, and where it is. */
typedef struct Verdict
{
	double parts; /* above 1: wrong */
	double expected;
	float got;
	int32 row;
	int32 column;
	bool touched; /* memory that is not the kernel's */
} Verdict;

/* Of one launch. */
typedef struct Work
{
	double operations; /* floating point, a multiply-add counting two */
	double nbytes;     /* that are read and written at least */
} Work;

typedef struct KernelTest
{
	BertKernel kernel;
	void (*list)(void);
	void *(*make)(const void *shape);
	void (*launch)(void *run);
	void (*judge)(void *run, Verdict *verdict);
	Work (*work)(const void *shape);
} KernelTest;

typedef struct KernelCase
{
	const KernelTest *test;
	Precision precision;
	CaseSize size;
	int32 activation; /* compiled in, or ANY */
	int32 head_size;
	const void *shape; /* the test's own */
	char name[80];     /* of the shape: "17x26x49 gelu" */
} KernelCase;

extern const KernelTest linear_test;
extern const KernelTest activation_test;
extern const KernelTest embed_test;
extern const KernelTest layer_norm_test;
extern const KernelTest attention_test;
extern const KernelTest pool_test;
extern const KernelTest activate_rows_test;
extern const KernelTest normalize_rows_test;

/* The device, the tier and the program of the case at hand. */
extern BertLauncher under_test;

/*
 * y = act(x) + residual. The bound is relative to |x|, or to what act does with it: the
 * functions of common.cl are good to 2e-7, a few roundings come on top.
 */
extern void judge_activation(Verdict *verdict, int32 row, int32 column, float got,
							 BertActivation kind, double x, double residual);

/* What prelu and xielu get: (BERT_ACT_PARAMETERS). */
extern const float activation_parameters[];

/* (n): special values, then a dense walk over [-40, 40], most of it in [-8, 8]. */
extern float *activation_inputs(int32 n);

/* "gelu", for each BertActivation. */
extern const char *const activation_names[];
#define N_ACTIVATIONS (BERT_ACT_XIELU + 1)

/* Takes a copy of all, the shape's nbytes included. */
extern void add_case(const KernelCase *base, const void *shape, size_t nbytes,
					 const char *name, ...) pg_attribute_printf(4, 5);

/* ---- buffers ---- */

/* On the device, until the end of the case. */
extern BertBuffer *buffer_of(const void *from, size_t nbytes);
extern void read_buffer(BertBuffer *buffer, void *to, size_t nbytes);

/* (n) marks, which no kernel writes of its own accord. */
extern float *marked(size_t n);

/* ---- numbers ---- */

/* What inputs are made of. */
typedef enum Numbers
{
	WHOLE,  /* -3 .. 3 */
	RANDOM, /* [-1, 1) */
	DAMAGED /* the same, with NaN in a few places */
} Numbers;

extern const char *const numbers_names[];

/* (rows, ld), zeros behind the columns of each row; DAMAGED as RANDOM. */
extern float *matrix(int32 rows, int32 columns, int32 ld, Numbers numbers);

/* ---- judging ---- */

/* One result; allowed: the bound of its difference. */
extern void judge(Verdict *verdict, int32 row, int32 column, float got, double expected,
				  double allowed);

/* n floats that must still be marks. */
extern void judge_untouched(Verdict *verdict, const float *values, size_t n);

#endif /* BERT_KERNEL_CASE_H */
