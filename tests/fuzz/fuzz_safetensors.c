/*
 * fuzz_safetensors.c
 *	  libFuzzer target: any bytes are a safetensors file, or an ERROR.
 *
 * Every tensor of a file that is accepted lies inside it, and can be read.
 */
#include "port.h"

#include <unistd.h>

#include "safetensors.h"

#define READ_AT_MOST 1000

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes);

typedef struct Input
{
	int fd;
	size_t nbytes;
	const BertSafetensors *file;
	const BertTensor *tensor;
} Input;

static void
read_tensor(void *arg)
{
	const Input *input = arg;
	int64 count = Min(input->tensor->n_elements, READ_AT_MOST);
	float values[READ_AT_MOST];

	bert_safetensors_read(input->file, input->tensor, input->tensor->n_elements - count,
						  count, values);
}

static void
read_file(void *arg)
{
	Input *input = arg;

	input->file = bert_safetensors_open(input->fd, "fuzz");
	for (int i = 0; i < input->file->n_tensors; i++)
	{
		input->tensor = &input->file->tensors[i];
		if (input->tensor->offset < 8 ||
			input->tensor->nbytes > (int64) input->nbytes - input->tensor->offset ||
			bert_safetensors_find(input->file, input->tensor->name) != input->tensor)
			abort();
		bert_try(read_tensor, input, false, NULL);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t nbytes)
{
	static FILE *stream;
	Input input = {.nbytes = nbytes};

	if (stream == NULL)
		stream = tmpfile();
	if (stream == NULL)
		abort();
	input.fd = fileno(stream);
	if (ftruncate(input.fd, 0) != 0 ||
		pwrite(input.fd, data, nbytes, 0) != (ssize_t) nbytes)
		abort();
	bert_try(read_file, &input, false, NULL);
	return 0;
}
