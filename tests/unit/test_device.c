/*
 * test_device.c
 *	  The border to OpenCL: devices are found, programs are built and come back as
 *	  binaries; what fails is told once, in the driver's words, and nothing is done after.
 */
#include "port.h"

#include "raises.h"
#include "tap.h"
#include "under_test.h"

static const char *const names[] = {"twice"};

#define SOURCE "__kernel void twice(__global int *x) { x[get_global_id(0)] *= 2; }\n"

/* ---- the list ---- */

static void
test_list(void)
{
	BertDeviceInfo infos[32];
	BertStatus status;
	int n = bert_device_list(infos, lengthof(infos), &status);
	bool found = false;

	for (int i = 0; i < n; i++)
		found |= strcmp(infos[i].name, bert_device_info(device)->name) == 0;
	ok(found && bert_device_list(NULL, 0, &status) == n,
	   "the device is in the list of devices");
	ok(bert_device_info(device)->max_buffer > 0 &&
		   bert_device_info(device)->global_memory > 0 &&
		   bert_device_info(device)->compute_units > 0,
	   "it has memory and compute units");
}

static void
test_tiers(void)
{
	BertDeviceInfo cpu = {.is_cpu = true};
	BertDeviceInfo other = {.is_cpu = false};

	ok(strcmp(bert_tier_for(&cpu)->name, "cpu") == 0, "a CPU gets the tier cpu");
	ok(strcmp(bert_tier_for(&other)->name, "portable") == 0,
	   "any other device gets the portable tier");
	ok(bert_tier_by_name("portable") == bert_tier_for(&other) &&
		   bert_tier_by_name("none") == NULL,
	   "tiers are found by name");
}

/* ---- programs ---- */

/* The kernel doubles what we write? */
static bool
doubles(const BertProgram *program)
{
	int32 numbers[4] = {1, -2, 3, 1 << 20};
	int32 got[4];
	BertBuffer *buffer = bert_buffer_create(device, sizeof(numbers), NULL, false);
	BertArg args[] = {BERT_ARG_BUFFER(buffer)};

	bert_buffer_write(device, buffer, numbers, sizeof(numbers));
	bert_device_enqueue(device, program, 0, args, 1, 3, 1, 1);
	bert_device_enqueue(device, program, 0, args, 1, 0, 1, 1); /* nothing to do */
	bert_buffer_read(device, buffer, got, sizeof(got));
	bert_device_wait(device);
	bert_buffer_release(buffer);
	return bert_device_ok(device) && got[0] == 2 && got[1] == -4 && got[2] == 6 &&
		   got[3] == 1 << 20;
}

static void
test_program(void)
{
	BertProgram *program = bert_program_build(device, SOURCE, "", names, 1);
	size_t nbytes;
	void *binary;

	ok(program != NULL && doubles(program), "a program is built and runs");
	binary = bert_program_binary(device, program, &nbytes);
	bert_program_free(program);
	ok(binary != NULL && nbytes > 0, "the finished program is taken out");
	program = bert_program_load(device, binary, nbytes, names, 1);
	ok(program != NULL && doubles(program), "it is loaded again and runs");
	bert_program_free(program);
	free(binary);
}

/* A CPU works in the memory that it is given; what others have copied is the same. */
static void
test_host_memory(void)
{
	int32 got[32];
	int32 *memory = aligned_alloc(BERT_WEIGHT_ALIGN, sizeof(got));
	BertBuffer *buffer;

	for (int i = 0; i < (int) lengthof(got); i++)
		memory[i] = i * i;
	buffer = bert_buffer_create(device, sizeof(got), memory, true);
	bert_buffer_read(device, buffer, got, sizeof(got));
	bert_device_wait(device);
	ok(bert_device_ok(device) && memcmp(got, memory, sizeof(got)) == 0,
	   "a buffer made of host memory has what is in it");
	bert_buffer_release(buffer);
	free(memory);
}

/* ---- failures ---- */

static void
raise_device(void *arg)
{
	(void) arg;
	bert_device_raise(device);
}

static void
raise_status(void *status)
{
	bert_status_raise(status);
}

/* As text and SQLSTATE, for whoever has to act on it. */
static void
test_status(void)
{
	BertStatus memory = {.code = -4, .call = "clCreateBuffer"};
	BertStatus resources = {.code = -5, .call = "clFinish"};
	BertStatus unknown = {.code = -12345, .call = "clFinish"};
	BertStatus no_loader = {.code = BERT_STATUS_NO_LOADER, .call = "dlopen"};

	ok(raises(raise_status, &memory, ERRCODE_OUT_OF_MEMORY,
			  "clCreateBuffer failed: CL_MEM_OBJECT_ALLOCATION_FAILURE (-4)"),
	   "no memory on the device is \"out of memory\"");
	ok(raises(raise_status, &resources, ERRCODE_INSUFFICIENT_RESOURCES,
			  "CL_OUT_OF_RESOURCES"),
	   "no resources on the device is \"insufficient resources\"");
	ok(raises(raise_status, &unknown, ERRCODE_SYSTEM_ERROR, "unknown error (-12345)"),
	   "a code without a name is told as a number");
	ok(raises(raise_status, &no_loader, ERRCODE_SYSTEM_ERROR, "ocl-icd-libopencl1"),
	   "where there is no loader, the hint names a package");
}

static void
test_no_such_device(void)
{
	BertStatus status;

	ok(bert_device_open(1000, &status) == NULL &&
		   raises(raise_status, &status, ERRCODE_SYSTEM_ERROR, "no longer there"),
	   "a device that is not in the list is an ERROR");
}

static void
test_broken_source(void)
{
	BertProgram *program = bert_program_build(
		device, "__kernel void twice(int x) { surely not }", "", names, 1);
	BertCaughtError error;

	ok(program == NULL && !bert_device_ok(device) &&
		   bert_device_status(device)->code == -11,
	   "a program with a mistake is none");
	ok(raises(raise_device, NULL, ERRCODE_SYSTEM_ERROR,
			  "clBuildProgram failed: CL_BUILD_PROGRAM_FAILURE (-11)"),
	   "the ERROR names call and code");
	bert_try(raise_device, NULL, false, &error);
	ok(strstr(error.detail, "surely") != NULL, "the compiler's words are its detail");
}

/* Longer than the place for it: its beginning is kept. */
static void
test_long_log(void)
{
	enum
	{
		LENGTH = 3 * sizeof(((BertStatus *) NULL)->log)
	};
	char *source = palloc0(LENGTH + 100);
	BertCaughtError error = {0};

	strcpy(source, "__kernel void twice(int x) { surely_");
	memset(source + strlen(source), 'x', LENGTH);
	strcat(source, "; }");
	bert_device_close(device);
	open_device();
	bert_program_build(device, source, "", names, 1);
	bert_try(raise_device, NULL, false, &error);
	ok(strstr(error.detail, "surely") != NULL, "of a long log, the beginning");
	pfree(source);
}

/* The device has failed before. */
static void
test_after_failure(void)
{
	BertProgram *program = bert_program_build(device, SOURCE, "", names, 1);
	BertBuffer *buffer = bert_buffer_create(device, 4, NULL, false);
	size_t nbytes;

	ok(program == NULL && buffer == NULL && !bert_device_wait(device) &&
		   bert_program_binary(device, NULL, &nbytes) == NULL &&
		   bert_program_load(device, "", 0, names, 1) == NULL,
	   "after a failure nothing works");
	bert_buffer_write(device, NULL, NULL, 4);
	bert_buffer_read(device, NULL, NULL, 4);
	bert_device_enqueue(device, NULL, 0, NULL, 0, 1, 1, 1);
	ok(raises(raise_device, NULL, ERRCODE_SYSTEM_ERROR, "clBuildProgram"),
	   "the first failure is the one that is told");
	bert_program_free(NULL);
	bert_buffer_release(NULL);
}

static void
test_missing_kernel(void)
{
	static const char *const missing[] = {"thrice"};

	bert_device_close(device);
	open_device();
	ok(bert_program_build(device, SOURCE, "", missing, 1) == NULL &&
		   raises(raise_device, NULL, ERRCODE_SYSTEM_ERROR, "CL_INVALID_KERNEL_NAME"),
	   "a kernel that the program lacks is an ERROR");
}

int
main(void)
{
	open_device();
	test_list();
	test_tiers();
	test_program();
	test_host_memory();
	test_status();
	test_no_such_device();
	test_broken_source();
	test_after_failure();
	test_long_log();
	test_missing_kernel();
	bert_device_close(device);
	return done_testing();
}
