/*
 * opencl.h
 *	  The ICD loader, found at run time, and the names of its error codes.
 *
 * libOpenCL.so.1 is opened by bert_opencl_load(), not linked: LOAD and CREATE EXTENSION
 * work without it, the first use then says which package to install, and nothing of
 * OpenCL is in the postmaster. Functions are called through the table `cl`, as
 * cl.Finish(queue).
 *
 * Included by device.c and opencl.c only: above them a device is opaque.
 */
#ifndef BERT_OPENCL_H
#define BERT_OPENCL_H

#include "port.h"

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

#define BERT_OPENCL_FUNCTIONS(F)                                                       \
	F(GetPlatformIDs)                                                                  \
	F(GetPlatformInfo)                                                                 \
	F(GetDeviceIDs)                                                                    \
	F(GetDeviceInfo)                                                                   \
	F(CreateContext)                                                                   \
	F(ReleaseContext)                                                                  \
	F(CreateCommandQueue)                                                              \
	F(ReleaseCommandQueue)                                                             \
	F(CreateBuffer)                                                                    \
	F(ReleaseMemObject)                                                                \
	F(CreateProgramWithSource)                                                         \
	F(CreateProgramWithBinary)                                                         \
	F(BuildProgram)                                                                    \
	F(GetProgramInfo)                                                                  \
	F(GetProgramBuildInfo)                                                             \
	F(ReleaseProgram)                                                                  \
	F(CreateKernel)                                                                    \
	F(ReleaseKernel)                                                                   \
	F(SetKernelArg)                                                                    \
	F(EnqueueNDRangeKernel)                                                            \
	F(EnqueueReadBuffer)                                                               \
	F(EnqueueWriteBuffer)                                                              \
	F(Finish)

typedef struct BertOpenCL
{
#define BERT_OPENCL_MEMBER(name) __typeof__(cl##name) *name;
	BERT_OPENCL_FUNCTIONS(BERT_OPENCL_MEMBER)
#undef BERT_OPENCL_MEMBER
} BertOpenCL;

/* Filled by bert_opencl_load(). The short name is for device.c. */
extern BertOpenCL bert_opencl;
#define cl bert_opencl

/* Idempotent. False, with dlerror()'s text in *reason, where there is no loader. */
extern bool bert_opencl_load(const char **reason);

/* "CL_OUT_OF_RESOURCES"; "unknown error" for a code that has no name. */
extern const char *bert_opencl_error_name(cl_int code);

#endif /* BERT_OPENCL_H */
