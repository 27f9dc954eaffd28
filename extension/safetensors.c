/*
 * safetensors.c
 *	  A safetensors file, checked before use.
 *
 * The file:
 *
 *	  | N: 8 bytes, little-endian | N bytes of JSON | tensors, one after the other |
 *
 *	  {"__metadata__": {"format": "pt"},
 *	   "pooler.dense.bias": {"dtype": "F32", "shape": [384], "data_offsets": [0, 1536]},
 *	   ...}
 *
 * Offsets count from the end of the header. The file may lie in every one of its
 * numbers, so nothing is allocated or read before it was compared with the size that
 * the kernel reports. The rule of the format that no byte belongs to two tensors, or to
 * none, is what makes the sizes honest: all tensors together have the size of the file.
 *
 * Weights are read, never mapped: a mapped file that is cut short by someone else is a
 * SIGBUS here, and a restart of the server.
 */
#include "port.h"

#include <sys/stat.h>

#include "beneath.h"
#include "common/int.h"
#include "json.h"
#include "safetensors.h"

#ifdef WORDS_BIGENDIAN
#error "the numbers of a safetensors file are little-endian, and are used as they are"
#endif

#define MAX_HEADER    100000000 /* of the reference */
#define MAX_TENSORS   65536
#define READ_ELEMENTS (256 * 1024) /* read between two checks for interrupts */

/* Every type of the format; an unknown one has no size, so it can't be skipped. */
static const struct
{
	const char *name;
	int bits;
	BertDtype dtype;
} dtypes[] = {
	{"F32", 32, BERT_DTYPE_F32},          {"F16", 16, BERT_DTYPE_F16},
	{"BF16", 16, BERT_DTYPE_BF16},        {"I64", 64, BERT_DTYPE_OTHER},
	{"U64", 64, BERT_DTYPE_OTHER},        {"F64", 64, BERT_DTYPE_OTHER},
	{"C64", 64, BERT_DTYPE_OTHER},        {"I32", 32, BERT_DTYPE_OTHER},
	{"U32", 32, BERT_DTYPE_OTHER},        {"I16", 16, BERT_DTYPE_OTHER},
	{"U16", 16, BERT_DTYPE_OTHER},        {"I8", 8, BERT_DTYPE_OTHER},
	{"U8", 8, BERT_DTYPE_OTHER},          {"BOOL", 8, BERT_DTYPE_OTHER},
	{"F8_E5M2", 8, BERT_DTYPE_OTHER},     {"F8_E4M3", 8, BERT_DTYPE_OTHER},
	{"F8_E8M0", 8, BERT_DTYPE_OTHER},     {"F8_E4M3FNUZ", 8, BERT_DTYPE_OTHER},
	{"F8_E5M2FNUZ", 8, BERT_DTYPE_OTHER}, {"F6_E2M3", 6, BERT_DTYPE_OTHER},
	{"F6_E3M2", 6, BERT_DTYPE_OTHER},     {"F4", 4, BERT_DTYPE_OTHER},
};

/* ERROR XX001 "label: message". */
#define corrupt(file, ...)                                                             \
	ereport(ERROR, errcode(ERRCODE_DATA_CORRUPTED),                                    \
			errmsg("%s: %s", (file)->label, psprintf(__VA_ARGS__)))

static int64
file_size(const BertSafetensors *file)
{
	struct stat status;

	if (fstat(file->fd, &status) != 0)
		ereport(ERROR, errcode_for_file_access(),
				errmsg("%s: could not stat: %m", file->label));
	return status.st_size;
}

/* ---- the header ---- */

/* The header's text, terminated. */
static char *
read_header(const BertSafetensors *file, int64 size, int64 *nbytes)
{
	uint64 claimed;
	char *text;

	if (size < 8)
		corrupt(file, "a safetensors file has at least 8 bytes, this has %lld",
				(long long) size);
	bert_read_exactly(file->fd, file->label, &claimed, 8, 0);
	if (claimed > MAX_HEADER || (int64) claimed > size - 8)
		corrupt(file, "header of %llu bytes in a file of %lld (at most %d are allowed)",
				(unsigned long long) claimed, (long long) size, MAX_HEADER);
	*nbytes = claimed;
	text = palloc(claimed + 1);
	bert_read_exactly(file->fd, file->label, text, claimed, 8);
	text[claimed] = '\0';
	if (text[0] != '{')
		corrupt(file, "the header does not begin with {");
	return text;
}

/* Number of dtypes[] of that name. */
static int
find_dtype(const BertJson *json, const char *name)
{
	for (int i = 0; i < (int) lengthof(dtypes); i++)
		if (strcmp(dtypes[i].name, name) == 0)
			return i;
	bert_json_error(json, "unknown data type \"%s\"", bert_printable(name));
}

static void
read_shape(BertJson *json, BertTensor *tensor)
{
	tensor->ndims = 0;
	bert_json_array(json);
	while (bert_json_element(json))
	{
		if (tensor->ndims == BERT_MAX_DIMS)
			bert_json_error(json, "more than %d dimensions", BERT_MAX_DIMS);
		tensor->shape[tensor->ndims++] = bert_json_int(json, 0, PG_INT64_MAX);
	}
}

/* "data_offsets": [begin, end], as offset and nbytes; both still within the data. */
static void
read_data_offsets(BertJson *json, BertTensor *tensor)
{
	int64 offsets[2] = {0, 0};
	int n = 0;

	bert_json_array(json);
	while (bert_json_element(json))
	{
		if (n == 2)
			bert_json_error(json, "more than two data offsets");
		offsets[n++] = bert_json_int(json, 0, PG_INT64_MAX);
	}
	if (n != 2)
		bert_json_error(json, "less than two data offsets");
	if (offsets[1] < offsets[0])
		bert_json_error(json, "ends at %lld, before it begins at %lld",
						(long long) offsets[1], (long long) offsets[0]);
	tensor->offset = offsets[0];
	tensor->nbytes = offsets[1] - offsets[0];
}

/* The shape and the type must give the number of bytes that the offsets give. */
static void
check_size(const BertJson *json, BertTensor *tensor, int bits)
{
	int64 n_elements = 1;
	int64 n_bits;

	for (int i = 0; i < tensor->ndims; i++)
		if (pg_mul_s64_overflow(n_elements, tensor->shape[i], &n_elements))
			bert_json_error(json, "shape is too large");
	if (pg_mul_s64_overflow(n_elements, bits, &n_bits))
		bert_json_error(json, "shape is too large");
	if (n_bits % 8 != 0 || n_bits / 8 != tensor->nbytes)
		bert_json_error(json, "%s of shape %s does not fill its %lld bytes",
						tensor->dtype_name, bert_tensor_shape(tensor),
						(long long) tensor->nbytes);
	tensor->n_elements = n_elements;
}

/* What the header says of a tensor: each of these keys, once. */
enum
{
	DTYPE,
	SHAPE,
	DATA_OFFSETS,
	N_KEYS
};

static const char *const keys[N_KEYS] = {"dtype", "shape", "data_offsets"};

/* The number of the key at hand, which must be a new one. */
static int
find_key(const BertJson *json, const bool *seen)
{
	for (int key = 0; key < N_KEYS; key++)
	{
		if (strcmp(json->key, keys[key]) != 0)
			continue;
		if (seen[key])
			bert_json_error(json, "duplicate key \"%s\"", keys[key]);
		return key;
	}
	bert_json_error(json, "unknown key \"%s\"", bert_printable(json->key));
}

static void
read_tensor(BertJson *json, BertTensor *tensor)
{
	bool seen[N_KEYS] = {false};
	int dtype = 0;

	bert_json_object(json);
	while (bert_json_member(json))
	{
		int key = find_key(json, seen);

		seen[key] = true;
		if (key == DTYPE)
			dtype = find_dtype(json, bert_json_string(json));
		else if (key == SHAPE)
			read_shape(json, tensor);
		else
			read_data_offsets(json, tensor);
	}
	for (int key = 0; key < N_KEYS; key++)
		if (!seen[key])
			bert_json_error(json, "key \"%s\" is missing", keys[key]);

	tensor->dtype = dtypes[dtype].dtype;
	tensor->dtype_name = dtypes[dtype].name;
	check_size(json, tensor, dtypes[dtype].bits);
}

/* "__metadata__" may hold strings only; none of them means anything here. */
static void
check_metadata(BertJson *json)
{
	bert_json_object(json);
	while (bert_json_member(json))
		bert_json_string(json);
}

/* Room for one more, zeroed. */
static BertTensor *
add_tensor(BertSafetensors *file, BertJson *json, int *room)
{
	if (file->n_tensors == MAX_TENSORS)
		bert_json_error(json, "more than %d tensors", MAX_TENSORS);
	if (file->n_tensors == *room)
	{
		*room *= 2;
		file->tensors = repalloc(file->tensors, *room * sizeof(BertTensor));
	}
	memset(&file->tensors[file->n_tensors], 0, sizeof(BertTensor));
	return &file->tensors[file->n_tensors++];
}

static void
parse_header(BertSafetensors *file, char *text, int64 nbytes)
{
	BertJson json;
	int room = 256;
	bool metadata = false;

	file->tensors = palloc(room * sizeof(BertTensor));
	bert_json_init(&json, file->label, ERRCODE_DATA_CORRUPTED, text, nbytes);
	bert_json_object(&json);
	while (bert_json_member(&json))
	{
		const char *name = json.key;
		char *quoted;
		char *label;

		if (strcmp(name, "__metadata__") == 0)
		{
			if (metadata)
				corrupt(file, "duplicate key \"__metadata__\"");
			metadata = true;
			check_metadata(&json);
			continue;
		}
		quoted = bert_printable(name);
		label = psprintf("%s: tensor \"%s\"", file->label, quoted);
		json.label = label;
		add_tensor(file, &json, &room)->name = name;
		read_tensor(&json, &file->tensors[file->n_tensors - 1]);
		json.label = file->label;
		pfree(label);
		pfree(quoted);
	}
	bert_json_finish(&json);
}

static int
compare_offsets(const void *left, const void *right)
{
	const BertTensor *a = left;
	const BertTensor *b = right;

	if (a->offset != b->offset)
		return a->offset < b->offset ? -1 : 1;
	return (a->nbytes > b->nbytes) - (a->nbytes < b->nbytes);
}

static int
compare_names(const void *left, const void *right)
{
	return strcmp(((const BertTensor *) left)->name,
				  ((const BertTensor *) right)->name);
}

/*
 * Each tensor begins where the one before ends, and the last ends with the file. No sum
 * can overflow: each is an offset that was read from the file.
 */
static void
check_layout(BertSafetensors *file, int64 data_nbytes)
{
	int64 next = 0;

	qsort(file->tensors, file->n_tensors, sizeof(BertTensor), compare_offsets);
	for (int i = 0; i < file->n_tensors; i++)
	{
		const BertTensor *tensor = &file->tensors[i];

		if (tensor->offset != next)
			corrupt(file, "tensor \"%s\" begins at byte %lld of the data, not at %lld",
					bert_printable(tensor->name), (long long) tensor->offset,
					(long long) next);
		next += tensor->nbytes;
	}
	if (next != data_nbytes)
		corrupt(file, "expected %lld bytes of data, file has %lld", (long long) next,
				(long long) data_nbytes);
}

static void
sort_by_name(BertSafetensors *file)
{
	qsort(file->tensors, file->n_tensors, sizeof(BertTensor), compare_names);
	for (int i = 1; i < file->n_tensors; i++)
		if (compare_names(&file->tensors[i - 1], &file->tensors[i]) == 0)
			corrupt(file, "duplicate tensor \"%s\"",
					bert_printable(file->tensors[i].name));
}

BertSafetensors *
bert_safetensors_open(int fd, const char *label)
{
	BertSafetensors *file = palloc0(sizeof(BertSafetensors));
	int64 header_nbytes;
	int64 data_start;
	int64 size;
	char *header;

	file->fd = fd;
	file->label = label;
	size = file_size(file);
	header = read_header(file, size, &header_nbytes);
	parse_header(file, header, header_nbytes);
	data_start = 8 + header_nbytes;
	check_layout(file, size - data_start);
	for (int i = 0; i < file->n_tensors; i++)
		file->tensors[i].offset += data_start;
	sort_by_name(file);
	return file;
}

const BertTensor *
bert_safetensors_find(const BertSafetensors *file, const char *name)
{
	BertTensor key = {.name = name};

	return bsearch(&key, file->tensors, file->n_tensors, sizeof(BertTensor),
				   compare_names);
}

char *
bert_tensor_shape(const BertTensor *tensor)
{
	char *text = palloc(BERT_MAX_DIMS * 22 + 3);
	char *to = text;

	*to++ = '[';
	for (int i = 0; i < tensor->ndims; i++)
		to += sprintf(to, "%s%lld", i > 0 ? ", " : "", (long long) tensor->shape[i]);
	strcpy(to, "]");
	return text;
}

/* ---- the values ---- */

/*
 * IEEE binary16 to binary32. A subnormal is fraction * 2^-24, which float32 holds
 * exactly; everything else moves its exponent from bias 15 to 127.
 */
static float
half_to_float(uint16 half)
{
	uint32 sign = (uint32) (half & 0x8000) << 16;
	uint32 exponent = (half >> 10) & 0x1F;
	uint32 fraction = half & 0x3FF;
	uint32 bits;
	float value;

	if (exponent == 0)
	{
		value = fraction * 0x1p-24f;
		return sign ? -value : value;
	}
	exponent = exponent == 0x1F ? 0xFF : exponent + (127 - 15);
	bits = sign | exponent << 23 | fraction << 13;
	memcpy(&value, &bits, sizeof(value));
	return value;
}

/* A bfloat16 is the upper half of a float32. */
static float
bfloat16_to_float(uint16 upper)
{
	uint32 bits = (uint32) upper << 16;
	float value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

/*
 * Widen count 16-bit numbers that stand in the second half of values, over all of
 * values. Going up, element i is written at byte 4i and the next is read at byte
 * 2 count + 2 (i + 1), which is never below 4 (i + 1) while i + 1 < count.
 */
static void
widen(BertDtype dtype, float *values, int64 count)
{
	const char *narrow = (const char *) values + count * sizeof(uint16);

	for (int64 i = 0; i < count; i++)
	{
		uint16 bits;

		memcpy(&bits, narrow + i * sizeof(bits), sizeof(bits));
		values[i] =
			dtype == BERT_DTYPE_F16 ? half_to_float(bits) : bfloat16_to_float(bits);
	}
}

/* Without its sign, a float32 from here on is an infinity or a NaN. */
#define FIRST_NOT_FINITE 0x7F800000

static uint32
magnitude(float value)
{
	uint32 bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits & 0x7FFFFFFF;
}

/* The largest magnitude tells; where it stands matters only to the message. */
static void
check_finite(const BertSafetensors *file, const BertTensor *tensor, int64 first,
			 int64 count, const float *values)
{
	uint32 largest = 0;
	int64 i = 0;

	for (int64 j = 0; j < count; j++)
		largest = Max(largest, magnitude(values[j]));
	if (largest < FIRST_NOT_FINITE)
		return;
	while (magnitude(values[i]) < FIRST_NOT_FINITE)
		i++;
	corrupt(file, "tensor \"%s\" has %s at position %lld", bert_printable(tensor->name),
			magnitude(values[i]) == FIRST_NOT_FINITE ? "an infinity" : "a NaN",
			(long long) (first + i));
}

/* Elements [first, first + count), few enough to go without a check for interrupts. */
static void
read_some(const BertSafetensors *file, const BertTensor *tensor, int64 first,
		  int64 count, float *values)
{
	if (tensor->dtype == BERT_DTYPE_F32)
		bert_read_exactly(file->fd, file->label, values, count * 4,
						  tensor->offset + first * 4);
	else
	{
		bert_read_exactly(file->fd, file->label, (char *) values + count * 2, count * 2,
						  tensor->offset + first * 2);
		widen(tensor->dtype, values, count);
	}
	check_finite(file, tensor, first, count, values);
}

void
bert_safetensors_read(const BertSafetensors *file, const BertTensor *tensor,
					  int64 first, int64 count, float *values)
{
	Assert(first >= 0 && count >= 0 && count <= tensor->n_elements - first);
	if (tensor->dtype == BERT_DTYPE_OTHER)
		ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				errmsg("%s: tensor \"%s\" has data type %s", file->label,
					   bert_printable(tensor->name), tensor->dtype_name),
				errdetail("Weights can be F32, F16 or BF16."));
	while (count > 0)
	{
		int64 n = Min(count, READ_ELEMENTS);

		CHECK_FOR_INTERRUPTS();
		read_some(file, tensor, first, n, values);
		first += n;
		values += n;
		count -= n;
	}
}
