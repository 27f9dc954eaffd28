/*
 * device.c
 *	  One OpenCL device. See device.h.
 *
 * No callbacks are ever registered (they would run in the driver's threads), no
 * PostgreSQL function is called but to raise an error at the very end, and memory of
 * its own comes from malloc(), so that a longjmp past us loses nothing of palloc's.
 */
#include "port.h"
#include "device.h"
#include "opencl.h"

#define MAX_PLATFORMS 16
#define MAX_DEVICES   32
#define MAX_KERNELS   16

struct BertDevice
{
	BertDeviceInfo info;
	cl_device_id id;
	cl_context context;
	cl_command_queue queue;
	BertStatus status; /* the first failure */
	uint64 launches[MAX_KERNELS];
};

struct BertProgram
{
	cl_program program;
	cl_kernel kernels[MAX_KERNELS];
	int n_kernels;
};

static void
fail(BertStatus *status, const char *call, cl_int code)
{
	if (status->code != 0)
		return;
	status->code = code;
	status->call = call;
	status->log[0] = '\0';
}

/* Run one call unless something failed before; remember its failure. */
#define TRY(status, call, ...)                                                         \
	do                                                                                 \
	{                                                                                  \
		cl_int try_code = cl.call(__VA_ARGS__);                                        \
		if (try_code != CL_SUCCESS)                                                    \
			fail(status, "cl" #call, try_code);                                        \
	} while (0)

/* ---- finding devices ---- */

static void
device_text(cl_device_id id, cl_device_info what, char *text)
{
	if (cl.GetDeviceInfo(id, what, BERT_DEVICE_TEXT - 1, text, NULL) != CL_SUCCESS)
		strcpy(text, "unknown");
}

static void
platform_text(cl_platform_id id, cl_platform_info what, char *text)
{
	if (cl.GetPlatformInfo(id, what, BERT_DEVICE_TEXT - 1, text, NULL) != CL_SUCCESS)
		strcpy(text, "unknown");
}

static void
describe(cl_platform_id platform, cl_device_id id, BertDeviceInfo *info)
{
	cl_device_type type = 0;
	cl_ulong memory = 0;
	cl_ulong max_buffer = 0;
	cl_uint units = 0;

	memset(info, 0, sizeof(*info));
	platform_text(platform, CL_PLATFORM_NAME, info->platform);
	platform_text(platform, CL_PLATFORM_VERSION, info->platform_version);
	device_text(id, CL_DEVICE_NAME, info->name);
	device_text(id, CL_DRIVER_VERSION, info->driver_version);
	cl.GetDeviceInfo(id, CL_DEVICE_TYPE, sizeof(type), &type, NULL);
	cl.GetDeviceInfo(id, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof(memory), &memory, NULL);
	cl.GetDeviceInfo(id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof(max_buffer), &max_buffer,
					 NULL);
	cl.GetDeviceInfo(id, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof(units), &units, NULL);
	info->is_cpu = (type & CL_DEVICE_TYPE_CPU) != 0;
	info->is_gpu = (type & CL_DEVICE_TYPE_GPU) != 0;
	info->compute_units = units;
	info->global_memory = memory;
	info->max_buffer = max_buffer;
}

/* All devices, platform by platform; -1 on failure. No platform at all is none. */
static int
find_devices(cl_platform_id *platform_of, cl_device_id *ids, BertStatus *status)
{
	cl_platform_id platforms[MAX_PLATFORMS];
	cl_uint n_platforms = 0;
	cl_int code;
	int n = 0;
	const char *reason;

	memset(status, 0, sizeof(*status));
	if (!bert_opencl_load(&reason))
	{
		fail(status, "dlopen", BERT_STATUS_NO_LOADER);
		strlcpy(status->log, reason, sizeof(status->log));
		return -1;
	}
	code = cl.GetPlatformIDs(MAX_PLATFORMS, platforms, &n_platforms);
	if (code == -1001) /* CL_PLATFORM_NOT_FOUND_KHR */
		return 0;
	if (code != CL_SUCCESS)
	{
		fail(status, "clGetPlatformIDs", code);
		return -1;
	}
	for (cl_uint p = 0; p < Min(n_platforms, MAX_PLATFORMS); p++)
	{
		cl_uint found = 0;

		code = cl.GetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, MAX_DEVICES - n,
							   ids + n, &found);
		if (code == CL_DEVICE_NOT_FOUND)
			continue;
		if (code != CL_SUCCESS)
		{
			fail(status, "clGetDeviceIDs", code);
			return -1;
		}
		for (cl_uint d = 0; d < found && n < MAX_DEVICES; d++)
			platform_of[n++] = platforms[p];
		if (n == MAX_DEVICES)
			break;
	}
	return n;
}

int
bert_device_list(BertDeviceInfo *infos, int max, BertStatus *status)
{
	cl_platform_id platform_of[MAX_DEVICES];
	cl_device_id ids[MAX_DEVICES];
	int n = find_devices(platform_of, ids, status);

	for (int i = 0; i < Min(n, max); i++)
		describe(platform_of[i], ids[i], &infos[i]);
	return n;
}

BertDevice *
bert_device_open(int index, BertStatus *status)
{
	cl_platform_id platform_of[MAX_DEVICES];
	cl_device_id ids[MAX_DEVICES];
	cl_int code = CL_SUCCESS;
	BertDevice *device;
	int n = find_devices(platform_of, ids, status);

	if (n < 0)
		return NULL;
	if (index >= n)
	{
		fail(status, "clGetDeviceIDs", BERT_STATUS_NO_DEVICE);
		return NULL;
	}
	device = calloc(1, sizeof(*device));
	if (device == NULL)
	{
		fail(status, "calloc", CL_OUT_OF_HOST_MEMORY);
		return NULL;
	}
	device->id = ids[index];
	describe(platform_of[index], device->id, &device->info);
	device->context = cl.CreateContext(NULL, 1, &device->id, NULL, NULL, &code);
	if (code != CL_SUCCESS)
		fail(status, "clCreateContext", code);
	else
	{
		device->queue = cl.CreateCommandQueue(device->context, device->id, 0, &code);
		if (code != CL_SUCCESS)
			fail(status, "clCreateCommandQueue", code);
	}
	if (status->code == 0)
		return device;
	bert_device_close(device);
	return NULL;
}

void
bert_device_close(BertDevice *device)
{
	if (device == NULL)
		return;
	if (device->queue != NULL)
		cl.ReleaseCommandQueue(device->queue);
	if (device->context != NULL)
		cl.ReleaseContext(device->context);
	free(device);
}

const BertDeviceInfo *
bert_device_info(const BertDevice *device)
{
	return &device->info;
}

/* ---- programs ---- */

void
bert_program_free(BertProgram *program)
{
	if (program == NULL)
		return;
	for (int i = 0; i < program->n_kernels; i++)
		if (program->kernels[i] != NULL)
			cl.ReleaseKernel(program->kernels[i]);
	if (program->program != NULL)
		cl.ReleaseProgram(program->program);
	free(program);
}

static void
take_kernels(BertDevice *device, BertProgram *program, const char *const *names, int n)
{
	Assert(n <= MAX_KERNELS);
	for (int i = 0; i < n; i++)
	{
		cl_int code = CL_SUCCESS;

		program->kernels[i] = cl.CreateKernel(program->program, names[i], &code);
		program->n_kernels = i + 1;
		if (code == CL_SUCCESS)
			continue;
		fail(&device->status, "clCreateKernel", code);
		strlcpy(device->status.log, names[i], sizeof(device->status.log));
		return;
	}
}

/* The beginning of the log. A driver gives all of a log or, to a small place, nothing. */
static void
keep_build_log(BertDevice *device, cl_program program)
{
	size_t nbytes = 0;
	char *log;

	cl.GetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &nbytes);
	log = calloc(1, nbytes + 1);
	if (log != NULL && cl.GetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG,
											  nbytes, log, NULL) == CL_SUCCESS)
		strlcpy(device->status.log, log, sizeof(device->status.log));
	free(log);
}

/* The common end of build and load; owns the cl_program from here on. */
static BertProgram *
finish_program(BertDevice *device, cl_program source, const char *options,
			   const char *const *kernel_names, int n_kernels)
{
	BertProgram *program = calloc(1, sizeof(*program));
	cl_int code;

	if (program == NULL)
	{
		cl.ReleaseProgram(source);
		fail(&device->status, "calloc", CL_OUT_OF_HOST_MEMORY);
		return NULL;
	}
	program->program = source;
	code = cl.BuildProgram(source, 1, &device->id, options, NULL, NULL);
	if (code != CL_SUCCESS)
	{
		fail(&device->status, "clBuildProgram", code);
		keep_build_log(device, source);
	}
	else
		take_kernels(device, program, kernel_names, n_kernels);
	if (device->status.code == 0)
		return program;
	bert_program_free(program);
	return NULL;
}

BertProgram *
bert_program_build(BertDevice *device, const char *source, const char *options,
				   const char *const *kernel_names, int n_kernels)
{
	cl_int code = CL_SUCCESS;
	cl_program program;

	if (device->status.code != 0)
		return NULL;
	program = cl.CreateProgramWithSource(device->context, 1, &source, NULL, &code);
	if (code == CL_SUCCESS)
		return finish_program(device, program, options, kernel_names, n_kernels);
	fail(&device->status, "clCreateProgramWithSource", code);
	return NULL;
}

BertProgram *
bert_program_load(BertDevice *device, const void *binary, size_t nbytes,
				  const char *const *kernel_names, int n_kernels)
{
	const unsigned char *bytes = binary;
	cl_int code = CL_SUCCESS;
	cl_int binary_code = CL_SUCCESS;
	cl_program program;

	if (device->status.code != 0)
		return NULL;
	program = cl.CreateProgramWithBinary(device->context, 1, &device->id, &nbytes,
										 &bytes, &binary_code, &code);
	if (code == CL_SUCCESS)
		return finish_program(device, program, NULL, kernel_names, n_kernels);
	fail(&device->status, "clCreateProgramWithBinary", code);
	return NULL;
}

void *
bert_program_binary(BertDevice *device, const BertProgram *program, size_t *nbytes)
{
	unsigned char *binary = NULL;

	*nbytes = 0;
	if (device->status.code != 0)
		return NULL;
	TRY(&device->status, GetProgramInfo, program->program, CL_PROGRAM_BINARY_SIZES,
		sizeof(*nbytes), nbytes, NULL);
	if (device->status.code == 0 && (binary = malloc(*nbytes)) == NULL)
		fail(&device->status, "malloc", CL_OUT_OF_HOST_MEMORY);
	if (device->status.code == 0)
		TRY(&device->status, GetProgramInfo, program->program, CL_PROGRAM_BINARIES,
			sizeof(binary), &binary, NULL);
	if (device->status.code == 0)
		return binary;
	free(binary);
	return NULL;
}

/* ---- memory ---- */

BertBuffer *
bert_buffer_create(BertDevice *device, size_t nbytes, const void *host_memory,
				   bool read_only)
{
	cl_mem_flags flags = read_only ? CL_MEM_READ_ONLY : CL_MEM_READ_WRITE;
	cl_int code = CL_SUCCESS;
	cl_mem memory;

	if (device->status.code != 0)
		return NULL;
	if (host_memory != NULL)
		flags |= device->info.is_cpu ? CL_MEM_USE_HOST_PTR : CL_MEM_COPY_HOST_PTR;
	memory = cl.CreateBuffer(device->context, flags, nbytes,
							 unconstify(void *, host_memory), &code);
	if (code == CL_SUCCESS)
		return (BertBuffer *) memory;
	fail(&device->status, "clCreateBuffer", code);
	return NULL;
}

void
bert_buffer_release(BertBuffer *buffer)
{
	if (buffer != NULL)
		cl.ReleaseMemObject((cl_mem) buffer);
}

void
bert_buffer_write(BertDevice *device, BertBuffer *buffer, const void *from,
				  size_t nbytes)
{
	if (device->status.code == 0 && nbytes > 0)
		TRY(&device->status, EnqueueWriteBuffer, device->queue, (cl_mem) buffer,
			CL_FALSE, 0, nbytes, from, 0, NULL, NULL);
}

void
bert_buffer_read(BertDevice *device, BertBuffer *buffer, void *to, size_t nbytes)
{
	if (device->status.code == 0 && nbytes > 0)
		TRY(&device->status, EnqueueReadBuffer, device->queue, (cl_mem) buffer,
			CL_FALSE, 0, nbytes, to, 0, NULL, NULL);
}

/* ---- launches ---- */

void
bert_device_enqueue(BertDevice *device, const BertProgram *program, int kernel,
					const BertArg *args, int n_args, size_t groups_x, size_t groups_y,
					size_t local_size)
{
	size_t global[2] = {groups_x * local_size, groups_y};
	size_t local[2] = {local_size, 1};

	if (groups_x == 0 || groups_y == 0)
		return;
	if (groups_x >= BERT_MAX_GROUPS || groups_y >= BERT_MAX_GROUPS)
		fail(&device->status, "clEnqueueNDRangeKernel", CL_INVALID_GLOBAL_WORK_SIZE);
	for (int i = 0; i < n_args && device->status.code == 0; i++)
		TRY(&device->status, SetKernelArg, program->kernels[kernel], i, args[i].nbytes,
			&args[i].value);
	if (device->status.code == 0)
		TRY(&device->status, EnqueueNDRangeKernel, device->queue,
			program->kernels[kernel], 2, NULL, global, local, 0, NULL, NULL);
	device->launches[kernel]++;
}

void
bert_device_launches(const BertDevice *device, uint64 *launches, int n)
{
	Assert(n <= MAX_KERNELS);
	memcpy(launches, device->launches, n * sizeof(*launches));
}

bool
bert_device_wait(BertDevice *device)
{
	/* After a failure too: what was enqueued before it still uses our memory. */
	TRY(&device->status, Finish, device->queue);
	return device->status.code == 0;
}

/* ---- failures ---- */

bool
bert_device_ok(const BertDevice *device)
{
	return device->status.code == 0;
}

const BertStatus *
bert_device_status(const BertDevice *device)
{
	return &device->status;
}

void
bert_device_raise(const BertDevice *device)
{
	bert_status_raise(&device->status);
}

const char *
bert_status_name(const BertStatus *status)
{
	return bert_opencl_error_name(status->code);
}

static int
sqlstate_of(int code)
{
	switch (code)
	{
		case CL_OUT_OF_HOST_MEMORY:
		case CL_MEM_OBJECT_ALLOCATION_FAILURE:
			return ERRCODE_OUT_OF_MEMORY;
		case CL_OUT_OF_RESOURCES:
			return ERRCODE_INSUFFICIENT_RESOURCES;
		default:
			return ERRCODE_SYSTEM_ERROR;
	}
}

void
bert_status_raise(const BertStatus *status)
{
	if (status->code == 0)
		return;
	if (status->code == BERT_STATUS_NO_LOADER)
		ereport(ERROR, errcode(ERRCODE_SYSTEM_ERROR),
				errmsg("the OpenCL loader could not be opened"),
				errdetail_log("%s", status->log),
				errhint("Install the package \"ocl-icd-libopencl1\", or what provides "
						"libOpenCL.so.1 on your system."));
	if (status->code == BERT_STATUS_NO_DEVICE)
		ereport(ERROR, errcode(ERRCODE_SYSTEM_ERROR),
				errmsg("the OpenCL device is no longer there"));
	ereport(ERROR, errcode(sqlstate_of(status->code)),
			errmsg("OpenCL call %s failed: %s (%d)", status->call,
				   bert_opencl_error_name(status->code), status->code),
			status->log[0] ? errdetail_log("%s", status->log) : 0);
}
