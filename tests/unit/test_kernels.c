/*
 * test_kernels.c
 *	  The kernel driver: every kernel x tier x precision x shape against plain C.
 *
 *	test_kernels [--small] [--tier NAME] [--filter REGEX] [--time [SECONDS]] [--list]
 *	test_kernels [--tier NAME] --faults
 *
 * --small    only the small shapes, for simulators that need seconds for each
 * --tier     the cases of this tier only
 * --filter   the cases whose name matches, as --list prints them
 * --time     launch each case again and again, for so long (0.2), and tell its speed;
 *            shapes of real models are added
 * --list     print the names of the cases, run none
 * --faults   break one kernel after the other (faults.h); small cases must find each
 *
 * A case is named "cpu fp32 linear 17x26x49 gelu": tier, precision, kernel, shape. The
 * cases are in kernel_*.c; kernel_case.h says what one is, and what makes it right.
 * ACTIVATION and HEAD_SIZE are compiled in, and a compilation takes a second: so each
 * program serves all cases that can share it.
 */
#include "port.h"

#include <getopt.h>
#include <regex.h>
#include <time.h>

#include "faults.h"
#include "kernel_case.h"
#include "tap.h"
#include "under_test.h"

#define MAX_BUFFERS  16
#define MAX_PROGRAMS 64
#define MAX_LAUNCHES 10000

static const KernelTest *const tests[] = {
	&embed_test,     &layer_norm_test, &linear_test,        &activation_test,
	&attention_test, &pool_test,       &activate_rows_test, &normalize_rows_test,
};

static const char *const precision_names[N_PRECISIONS] = {[FP32] = "fp32"};

/* Options */
static bool only_list;
static bool only_faults;
static double timed_seconds; /* 0: speed is not asked for */
static regex_t *filter;      /* NULL: all cases */

static KernelCase *cases;
static int n_cases;
static int n_run;

/* What is broken on purpose, and whether a case has noticed; NULL: nothing is. */
static const BertFault *fault;
static bool fault_found;

/* Those of the case at hand. */
static BertBuffer *buffers[MAX_BUFFERS];
static int n_buffers;

static void take_options(int argc, char **argv);
static void list_cases(void);
static void print_cases(void);
static void test_coverage(void);
static void run_cases(void);
static void test_faults(void);

int
main(int argc, char **argv)
{
	take_options(argc, argv);
	list_cases();
	if (only_list)
	{
		print_cases();
		return 0;
	}
	open_device();
	test_coverage();
	for_each_tier(only_faults ? test_faults : run_cases);
	if (n_run == 0)
		ok(false, "no case was run: does --list name one?");
	return done_testing();
}

/* ---- options ---- */

static _Noreturn void
usage(void)
{
	fprintf(stderr, "usage: test_kernels [--small] [--tier NAME] [--filter REGEX] "
					"[--time [SECONDS]] [--list]\n"
					"       test_kernels [--tier NAME] --faults\n");
	exit(2);
}

static void
take_filter(const char *pattern)
{
	static regex_t compiled;

	if (regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		usage();
	filter = &compiled;
}

/* getopt wants an optional argument in the same word; it may be the next one, too. */
static double
optional_seconds(int argc, char **argv)
{
	if (optarg == NULL && optind < argc && argv[optind][0] != '-')
		optarg = argv[optind++];
	return optarg != NULL ? atof(optarg) : 0.2;
}

static void
take_options(int argc, char **argv)
{
	static const struct option options[] = {
		{"small", no_argument, NULL, 's'},
		{"tier", required_argument, NULL, 't'},
		{"filter", required_argument, NULL, 'f'},
		{"time", optional_argument, NULL, 'T'},
		{"list", no_argument, NULL, 'l'},
		{"faults", no_argument, NULL, 'b'},
		{0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (option)
		{
			case 's':
				small = true;
				break;
			case 't':
				only_tier = optarg;
				break;
			case 'f':
				take_filter(optarg);
				break;
			case 'T':
				timed_seconds = optional_seconds(argc, argv);
				break;
			case 'l':
				only_list = true;
				break;
			case 'b':
				only_faults = small = true;
				break;
			default:
				usage();
		}
	if (optind < argc)
		usage();
}

/* ---- cases ---- */

void
add_case(const KernelCase *base, const void *shape, size_t nbytes, const char *name,
		 ...)
{
	static int allocated;
	KernelCase *added;
	void *copy = malloc(nbytes);
	va_list args;

	if (n_cases == allocated)
	{
		allocated = 2 * allocated + 256;
		cases = realloc(cases, allocated * sizeof(KernelCase));
	}
	added = &cases[n_cases++];
	*added = *base;
	added->shape = memcpy(copy, shape, nbytes);
	va_start(args, name);
	vsnprintf(added->name, sizeof(added->name), name, args);
	va_end(args);
}

static void
list_cases(void)
{
	for (int i = 0; i < (int) lengthof(tests); i++)
		tests[i]->list();
}

static char *
full_name(const BertTier *tier, const KernelCase *the_case)
{
	return psprintf("%s %s %s %s", tier->name, precision_names[the_case->precision],
					bert_kernel_names[the_case->test->kernel], the_case->name);
}

static bool
is_wanted(const BertTier *tier, const KernelCase *the_case)
{
	CaseSize largest = timed_seconds > 0 ? TIMED : small ? SMALL : USUAL;

	if (fault != NULL && fault->kernel != the_case->test->kernel)
		return false;
	return the_case->size <= largest &&
		   (filter == NULL ||
			regexec(filter, full_name(tier, the_case), 0, NULL, 0) == 0);
}

static void
print_cases(void)
{
	const BertTier *tier;

	for (int i = 0; (tier = bert_tier_at(i)) != NULL; i++)
		for (int c = 0; c < n_cases; c++)
			if (is_wanted(tier, &cases[c]) &&
				(only_tier == NULL || strcmp(only_tier, tier->name) == 0))
				printf("%s\n", full_name(tier, &cases[c]));
}

/* A kernel that somebody adds must be added here, too. */
static void
test_coverage(void)
{
	for (int kernel = 0; kernel < BERT_N_KERNELS; kernel++)
	{
		int n = 0;

		for (int c = 0; c < n_cases; c++)
			n += cases[c].test->kernel == kernel && cases[c].size == SMALL;
		ok(n > 0, "%s has cases, small ones too", bert_kernel_names[kernel]);
	}
}

/* ---- programs ---- */

/* Can a case that needs `needed` run where `have` is compiled in? Narrows *have. */
static bool
agree(int32 *have, int32 needed)
{
	if (*have != ANY && needed != ANY && *have != needed)
		return false;
	if (*have == ANY)
		*have = needed;
	return true;
}

/*
 * Sets what is compiled in of each program that the tier's cases need, and the program
 * of each case, -1 where it is not wanted. Returns the number of programs.
 */
static int
assign_programs(BertConfig *programs, int *program_of)
{
	int n = 0;

	for (int c = 0; c < n_cases; c++)
	{
		int p = 0;

		program_of[c] = -1;
		if (!is_wanted(under_test.tier, &cases[c]))
			continue;
		for (; p < n; p++)
		{
			BertConfig narrowed = programs[p];

			if (!agree(&narrowed.hidden_act, cases[c].activation) ||
				!agree(&narrowed.head_size, cases[c].head_size))
				continue;
			programs[p] = narrowed;
			break;
		}
		if (p == n)
		{
			if (n == MAX_PROGRAMS)
				elog(ERROR, "the cases need more than %d programs", MAX_PROGRAMS);
			programs[n++] = (BertConfig){.hidden_act = cases[c].activation,
										 .head_size = cases[c].head_size};
		}
		program_of[c] = p;
	}
	return n;
}

/* ---- buffers ---- */

BertBuffer *
buffer_of(const void *from, size_t nbytes)
{
	BertBuffer *buffer = bert_buffer_create(device, nbytes, NULL, false);

	if (n_buffers == MAX_BUFFERS)
		elog(ERROR, "a case needs more than %d buffers", MAX_BUFFERS);
	buffers[n_buffers++] = buffer;
	bert_buffer_write(device, buffer, from, nbytes);
	bert_device_wait(device);
	bert_device_raise(device);
	return buffer;
}

void
read_buffer(BertBuffer *buffer, void *to, size_t nbytes)
{
	bert_buffer_read(device, buffer, to, nbytes);
	bert_device_wait(device);
	bert_device_raise(device);
}

static void
release_buffers(void)
{
	while (n_buffers > 0)
		bert_buffer_release(buffers[--n_buffers]);
}

/* ---- one case ---- */

static double
seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static int
compare_doubles(const void *a, const void *b)
{
	double x = *(const double *) a;
	double y = *(const double *) b;

	return (x > y) - (x < y);
}

/* Launches until the time is over; kernels that work in place go on with their results. */
static void
tell_speed(const char *name, const KernelCase *the_case, void *run)
{
	double *seconds = palloc(MAX_LAUNCHES * sizeof(double));
	Work work = the_case->test->work(the_case->shape);
	double end = seconds_now() + timed_seconds;
	int n = 0;

	do
	{
		double begin = seconds_now();

		the_case->test->launch(run);
		bert_device_wait(device);
		seconds[n++] = seconds_now() - begin;
	} while (n < MAX_LAUNCHES && seconds_now() < end);
	bert_device_raise(device);
	qsort(seconds, n, sizeof(double), compare_doubles);
	printf("# %s: best %.3f ms, median %.3f ms of %d; %.1f GFLOP/s, %.1f GB/s\n", name,
		   1e3 * seconds[0], 1e3 * seconds[n / 2], n,
		   1e-9 * work.operations / seconds[0], 1e-9 * work.nbytes / seconds[0]);
}

static void
report(const char *name, const Verdict *verdict)
{
	if (ok(verdict->parts <= 1, "%s (%.2f of the bound)", name, verdict->parts))
		return;
	if (verdict->touched)
		printf("# wrote to memory that is not the kernel's\n");
	printf("# worst at row %d, column %d: %.9g, expected %.9g\n", verdict->row,
		   verdict->column, verdict->got, verdict->expected);
}

static void
run_case(void *arg)
{
	const KernelCase *the_case = arg;
	const char *name = full_name(under_test.tier, the_case);
	Verdict verdict = {0};
	void *run;

	random_state = 1; /* the same numbers whatever else is run */
	run = the_case->test->make(the_case->shape);
	the_case->test->launch(run);
	the_case->test->judge(run, &verdict);
	if (fault == NULL)
		report(name, &verdict);
	else if (verdict.parts > 1)
		fault_found = true;
	if (timed_seconds > 0)
		tell_speed(name, the_case, run);
}

/* After an ERROR the device is of no use: it would be the first one's consequence. */
static void
must_return(void (*work)(void *arg), void *arg)
{
	BertCaughtError error;

	if (bert_try(work, arg, false, &error))
		return;
	printf("Bail out! %s %s\n", error.message, error.detail);
	exit(1);
}

static void
build(void *arg)
{
	BertConfig config = *(const BertConfig *) arg;

	if (config.hidden_act == ANY)
		config.hidden_act = BERT_ACT_RELU;
	if (config.head_size == ANY)
		config.head_size = 32;
	if (fault == NULL)
		build_program(&config);
	else
		build_program_of(bert_faulty_source(under_test.tier, fault), &config);
}

/* All that are wanted; with a fault, until one has found it. */
static void
run_cases(void)
{
	BertConfig programs[MAX_PROGRAMS];
	int *program_of = malloc(n_cases * sizeof(int));
	int n = assign_programs(programs, program_of);

	for (int p = 0; p < n && !fault_found; p++)
	{
		must_return(build, &programs[p]);
		for (int c = 0; c < n_cases; c++)
			if (program_of[c] == p && !fault_found)
			{
				must_return(run_case, &cases[c]);
				release_buffers();
				n_run++;
			}
	}
	free(program_of);
}

static void
test_faults(void)
{
	for (int i = 0; (fault = bert_fault_at(i)) != NULL; i++)
	{
		if (strcmp(fault->tier, under_test.tier->name) != 0)
			continue;
		fault_found = false;
		run_cases();
		ok(fault_found, "%s: the cases of %s find the fault %s", fault->tier,
		   bert_kernel_names[fault->kernel], fault->name);
	}
	fault_found = false;
}
