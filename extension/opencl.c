/*
 * opencl.c
 *	  Loads the OpenCL ICD loader; knows the names of its error codes.
 */
#include "port.h"
#include "opencl.h"

#include <dlfcn.h>

#define LOADER "libOpenCL.so.1"

BertOpenCL bert_opencl;

bool
bert_opencl_load(const char **reason)
{
	static bool loaded = false;
	void *library;

	if (loaded)
		return true;
	library = dlopen(LOADER, RTLD_NOW | RTLD_LOCAL);
	if (library == NULL)
	{
		*reason = dlerror();
		return false;
	}
#define LOOK_UP(name)                                                                  \
	cl.name = (__typeof__(cl.name)) dlsym(library, "cl" #name);                        \
	if (cl.name == NULL)                                                               \
	{                                                                                  \
		*reason = LOADER " lacks cl" #name;                                            \
		return false;                                                                  \
	}
	BERT_OPENCL_FUNCTIONS(LOOK_UP)
#undef LOOK_UP
	loaded = true;
	return true;
}

const char *
bert_opencl_error_name(cl_int code)
{
	static const struct
	{
		cl_int code;
		const char *name;
	} names[] = {
#define NAME(code) {code, #code}
		NAME(CL_DEVICE_NOT_FOUND),
		NAME(CL_DEVICE_NOT_AVAILABLE),
		NAME(CL_COMPILER_NOT_AVAILABLE),
		NAME(CL_MEM_OBJECT_ALLOCATION_FAILURE),
		NAME(CL_OUT_OF_RESOURCES),
		NAME(CL_OUT_OF_HOST_MEMORY),
		NAME(CL_PROFILING_INFO_NOT_AVAILABLE),
		NAME(CL_MEM_COPY_OVERLAP),
		NAME(CL_IMAGE_FORMAT_MISMATCH),
		NAME(CL_IMAGE_FORMAT_NOT_SUPPORTED),
		NAME(CL_BUILD_PROGRAM_FAILURE),
		NAME(CL_MAP_FAILURE),
		NAME(CL_MISALIGNED_SUB_BUFFER_OFFSET),
		NAME(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST),
		NAME(CL_COMPILE_PROGRAM_FAILURE),
		NAME(CL_LINKER_NOT_AVAILABLE),
		NAME(CL_LINK_PROGRAM_FAILURE),
		NAME(CL_DEVICE_PARTITION_FAILED),
		NAME(CL_KERNEL_ARG_INFO_NOT_AVAILABLE),
		NAME(CL_INVALID_VALUE),
		NAME(CL_INVALID_DEVICE_TYPE),
		NAME(CL_INVALID_PLATFORM),
		NAME(CL_INVALID_DEVICE),
		NAME(CL_INVALID_CONTEXT),
		NAME(CL_INVALID_QUEUE_PROPERTIES),
		NAME(CL_INVALID_COMMAND_QUEUE),
		NAME(CL_INVALID_HOST_PTR),
		NAME(CL_INVALID_MEM_OBJECT),
		NAME(CL_INVALID_BINARY),
		NAME(CL_INVALID_BUILD_OPTIONS),
		NAME(CL_INVALID_PROGRAM),
		NAME(CL_INVALID_PROGRAM_EXECUTABLE),
		NAME(CL_INVALID_KERNEL_NAME),
		NAME(CL_INVALID_KERNEL_DEFINITION),
		NAME(CL_INVALID_KERNEL),
		NAME(CL_INVALID_ARG_INDEX),
		NAME(CL_INVALID_ARG_VALUE),
		NAME(CL_INVALID_ARG_SIZE),
		NAME(CL_INVALID_KERNEL_ARGS),
		NAME(CL_INVALID_WORK_DIMENSION),
		NAME(CL_INVALID_WORK_GROUP_SIZE),
		NAME(CL_INVALID_WORK_ITEM_SIZE),
		NAME(CL_INVALID_GLOBAL_OFFSET),
		NAME(CL_INVALID_EVENT_WAIT_LIST),
		NAME(CL_INVALID_EVENT),
		NAME(CL_INVALID_OPERATION),
		NAME(CL_INVALID_BUFFER_SIZE),
		NAME(CL_INVALID_GLOBAL_WORK_SIZE),
		NAME(CL_INVALID_PROPERTY),
		{-1001, "CL_PLATFORM_NOT_FOUND_KHR"},
#undef NAME
	};

	for (int i = 0; i < (int) lengthof(names); i++)
		if (names[i].code == code)
			return names[i].name;
	return "unknown error";
}
