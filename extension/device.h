/*
 * device.h
 *	  One OpenCL device: opened, given programs, fed with launches.
 *
 * The border to foreign code: only device.c and opencl.c see <CL/cl.h>. Nothing here
 * raises an error or looks for interrupts by itself. The first failure sticks to the
 * device and makes everything after it do nothing, so that a caller enqueues a whole
 * forward pass, waits, undoes what must be undone (handlers, half-made buffers), and
 * then asks once: bert_device_raise().
 *
 * Used alike by the backend, the helper program and the kernel tests.
 */
#ifndef BERT_DEVICE_H
#define BERT_DEVICE_H

#include "port.h"

typedef struct BertDevice BertDevice;
typedef struct BertProgram BertProgram; /* its kernels, finished */
typedef struct BertBuffer BertBuffer;   /* memory that kernels see: a cl_mem */

/* What went wrong in a driver. */
typedef struct BertStatus
{
	int code;         /* OpenCL's error code, or BERT_STATUS_...; 0 is success */
	const char *call; /* "clBuildProgram" */
	char log[4096];   /* the driver's own words, often empty */
} BertStatus;

#define BERT_STATUS_NO_LOADER 1 /* log: what dlopen() said */
#define BERT_STATUS_NO_DEVICE 2 /* the list has no device of that index */

#define BERT_DEVICE_TEXT 128

/* What a device says of itself. */
typedef struct BertDeviceInfo
{
	char platform[BERT_DEVICE_TEXT];
	char platform_version[BERT_DEVICE_TEXT];
	char name[BERT_DEVICE_TEXT];
	char driver_version[BERT_DEVICE_TEXT];
	bool is_cpu;
	bool is_gpu;
	uint32 compute_units;
	uint64 global_memory; /* bytes */
	uint64 max_buffer;    /* bytes of the largest single buffer */
} BertDeviceInfo;

/*
 * Every device of every platform that the ICD loader finds: the number found, at most
 * max are stored. -1 with *status where the loader or a platform fails. May abort(),
 * start threads and take signal handlers: the backend lets the helper call it.
 */
extern int bert_device_list(BertDeviceInfo *infos, int max, BertStatus *status);

/*
 * Open the index-th device of that list. NULL with *status on failure. malloc'd, lives
 * until bert_device_close(), which nobody should call at process exit.
 */
extern BertDevice *bert_device_open(int index, BertStatus *status);
extern void bert_device_close(BertDevice *device);
extern const BertDeviceInfo *bert_device_info(const BertDevice *device);

/*
 * Compile source text, or load what bert_program_binary() once gave. kernel_names: the
 * kernels to take out, in the order of the caller's enumeration. NULL on failure, which
 * sticks to the device. malloc'd.
 */
extern BertProgram *bert_program_build(BertDevice *device, const char *source,
									   const char *options,
									   const char *const *kernel_names, int n_kernels);
extern BertProgram *bert_program_load(BertDevice *device, const void *binary,
									  size_t nbytes, const char *const *kernel_names,
									  int n_kernels);
extern void bert_program_free(BertProgram *program);

/* The finished program, malloc'd; NULL on failure. */
extern void *bert_program_binary(BertDevice *device, const BertProgram *program,
								 size_t *nbytes);

/*
 * A buffer of nbytes. With host_memory (128-byte aligned, outliving the buffer) a CPU
 * device works in that memory; others take a copy of it. NULL on failure; release
 * ignores NULL.
 */
extern BertBuffer *bert_buffer_create(BertDevice *device, size_t nbytes,
									  const void *host_memory, bool read_only);
extern void bert_buffer_release(BertBuffer *buffer);

/* Enqueued in order; host memory must stay as it is until a wait. */
extern void bert_buffer_write(BertDevice *device, BertBuffer *buffer, const void *from,
							  size_t nbytes);
extern void bert_buffer_read(BertDevice *device, BertBuffer *buffer, void *to,
							 size_t nbytes);

/* One kernel argument. */
typedef struct BertArg
{
	size_t nbytes;
	union
	{
		BertBuffer *buffer;
		int32 integer;
		float real;
	} value;
} BertArg;

#define BERT_ARG_BUFFER(b)                                                             \
	{                                                                                  \
		sizeof(BertBuffer *),                                                          \
		{                                                                              \
			.buffer = (b)                                                              \
		}                                                                              \
	}
#define BERT_ARG_INT(i)                                                                \
	{                                                                                  \
		sizeof(int32),                                                                 \
		{                                                                              \
			.integer = (i)                                                             \
		}                                                                              \
	}
#define BERT_ARG_FLOAT(f)                                                              \
	{                                                                                  \
		sizeof(float),                                                                 \
		{                                                                              \
			.real = (f)                                                                \
		}                                                                              \
	}

#define BERT_MAX_GROUPS 65535

/*
 * Enqueue groups_x x groups_y work-groups of local_size x 1 work-items. Nothing is done
 * where either is 0. Grids are below BERT_MAX_GROUPS each way: PoCL would compile another
 * form of the kernel for a larger one, in this process.
 */
extern void bert_device_enqueue(BertDevice *device, const BertProgram *program,
								int kernel, const BertArg *args, int n_args,
								size_t groups_x, size_t groups_y, size_t local_size);

/* How often each of the n kernels was enqueued since the device was opened. */
extern void bert_device_launches(const BertDevice *device, uint64 *launches, int n);

/* Wait for all that was enqueued. False: something failed, now or before. */
extern bool bert_device_wait(BertDevice *device);

extern bool bert_device_ok(const BertDevice *device);
extern const BertStatus *bert_device_status(const BertDevice *device);

/* ereport(ERROR) in the driver's words, if anything failed. */
extern void bert_device_raise(const BertDevice *device);
extern void bert_status_raise(const BertStatus *status);

/* "CL_OUT_OF_RESOURCES" */
extern const char *bert_status_name(const BertStatus *status);

#endif /* BERT_DEVICE_H */
