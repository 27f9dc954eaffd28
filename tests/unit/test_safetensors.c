/*
 * test_safetensors.c
 *	  A safetensors file that lies is refused, and numbers are read to the bit.
 *
 * Each file is made here.
 */
#include "port.h"

#include <math.h>
#include <unistd.h>

#include "raises.h"
#include "safetensors.h"
#include "tap.h"

/* A member of a header, with the quotes of make_safetensors(). */
#define TENSOR(name, dtype, shape, offsets)                                            \
	"'" name "':{'dtype':'" dtype "','shape':" shape ",'data_offsets':" offsets "}"
#define ONE(tensor)        "{" tensor "}"
#define TWO(tensor, other) "{" tensor "," other "}"

static int fd = -1;
static BertSafetensors *file;

/* The file at hand becomes these bytes. */
static void
make_file(const void *bytes, size_t nbytes)
{
	static FILE *stream;

	if (stream != NULL)
		fclose(stream);
	stream = tmpfile();
	if (stream == NULL || fwrite(bytes, 1, nbytes, stream) != nbytes || fflush(stream))
	{
		perror("tmpfile");
		exit(1);
	}
	fd = fileno(stream);
}

/*
 * The file at hand becomes one with this header, where ' stands for ", and this data.
 */
static void
make_safetensors(const char *header, const void *data, size_t nbytes)
{
	uint64 header_nbytes = strlen(header);
	char *bytes = malloc(8 + header_nbytes + nbytes);

	memcpy(bytes, &header_nbytes, 8);
	for (uint64 i = 0; i < header_nbytes; i++)
		bytes[8 + i] = header[i] == '\'' ? '"' : header[i];
	if (nbytes > 0)
		memcpy(bytes + 8 + header_nbytes, data, nbytes);
	make_file(bytes, 8 + header_nbytes + nbytes);
	free(bytes);
}

static void
open_file(void *arg)
{
	(void) arg;
	file = bert_safetensors_open(fd, "a.safetensors");
}

/* ---- headers ---- */

static void
test_accepted(void)
{
	static const struct
	{
		const char *claim;
		const char *header;
		size_t nbytes;
	} cases[] = {
		{"a file without tensors", "{}", 0},
		{"padding behind the header", "{}      ", 0},
		{"metadata", "{'__metadata__':{'format':'pt','a':'b'}}", 0},
		{"a scalar", ONE(TENSOR("a", "F32", "[]", "[0,4]")), 4},
		{"a tensor without elements", ONE(TENSOR("a", "F32", "[0,7]", "[0,0]")), 0},
		{"tensors in any order",
		 TWO(TENSOR("b", "F32", "[1]", "[4,8]"), TENSOR("a", "F32", "[1]", "[0,4]")),
		 8},
		{"a type that is smaller than a byte", ONE(TENSOR("a", "F4", "[3,2]", "[0,3]")),
		 3},
		{"eight dimensions", ONE(TENSOR("a", "U8", "[1,1,1,1,1,1,1,2]", "[0,2]")), 2},
	};
	char data[16] = {0};

	for (int i = 0; i < (int) lengthof(cases); i++)
	{
		make_safetensors(cases[i].header, data, cases[i].nbytes);
		ok(returns(open_file, NULL), "is read: %s", cases[i].claim);
	}
}

static void
test_refused(void)
{
	static const struct
	{
		const char *claim;
		const char *header;
		size_t nbytes;
		const char *fragment;
	} cases[] = {
		{"a header that is no object", "[]", 0, "does not begin with {"},
		{"space before the header", " {}", 0, "does not begin with {"},
		{"an empty header", "", 0, "does not begin with {"},
		{"text behind the header", "{} x", 0, "end of file expected"},
		{"bad UTF-8", "{'\xFF':1}", 0, "not valid UTF-8"},
		{"a number as metadata", "{'__metadata__':{'a':1}}", 0, "must be a string"},
		{"metadata twice", "{'__metadata__':{},'__metadata__':{}}", 0, "duplicate key"},
		{"a name twice",
		 TWO(TENSOR("a", "F32", "[1]", "[0,4]"), TENSOR("a", "F32", "[1]", "[4,8]")), 8,
		 "duplicate tensor \"a\""},
		{"a tensor that is no object", "{'a':[]}", 0, "must be an object"},
		{"a key twice", "{'a':{'dtype':'F32','dtype':'F32'}}", 0,
		 "duplicate key \"dtype\""},
		{"an unknown key", "{'a':{'dtyp':'F32'}}", 0, "unknown key \"dtyp\""},
		{"no type", "{'a':{'shape':[],'data_offsets':[0,4]}}", 4,
		 "\"dtype\" is missing"},
		{"no shape", "{'a':{'dtype':'F32','data_offsets':[0,4]}}", 4,
		 "\"shape\" is missing"},
		{"no offsets", "{'a':{'dtype':'F32','shape':[]}}", 4,
		 "\"data_offsets\" is missing"},
		{"an unknown type", ONE(TENSOR("a", "F33", "[1]", "[0,4]")), 4,
		 "unknown data type \"F33\""},
		{"a negative length", ONE(TENSOR("a", "F32", "[-1]", "[0,4]")), 4, "not -1"},
		{"a length with a fraction", ONE(TENSOR("a", "F32", "[1.0]", "[0,4]")), 4,
		 "must be an integer"},
		{"a length that is no number", ONE(TENSOR("a", "F32", "['1']", "[0,4]")), 4,
		 "must be a number"},
		{"nine dimensions", ONE(TENSOR("a", "F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]")), 4,
		 "more than 8 dimensions"},
		{"a shape whose product overflows",
		 ONE(TENSOR("a", "F32", "[4294967296,4294967296]", "[0,0]")), 0,
		 "shape is too large"},
		{"a shape whose bits overflow",
		 ONE(TENSOR("a", "F32", "[9223372036854775807]", "[0,0]")), 0,
		 "shape is too large"},
		{"a shape whose bytes wrap to the right number",
		 ONE(TENSOR("a", "F32", "[4611686018427387905]", "[0,4]")), 4,
		 "shape is too large"},
		{"half a byte", ONE(TENSOR("a", "F4", "[3]", "[0,1]")), 1, "does not fill its"},
		{"a shape that is smaller than its bytes",
		 ONE(TENSOR("a", "F32", "[1]", "[0,8]")), 8,
		 "F32 of shape [1] does not fill its 8 bytes"},
		{"a shape that is larger than its bytes",
		 ONE(TENSOR("a", "F32", "[2,2]", "[0,8]")), 8,
		 "F32 of shape [2, 2] does not fill its 8 bytes"},
		{"an end before the beginning", ONE(TENSOR("a", "F32", "[1]", "[8,4]")), 8,
		 "ends at 4, before it begins at 8"},
		{"an offset beyond 64 bits",
		 ONE(TENSOR("a", "F32", "[1]", "[0,18446744073709551616]")), 4,
		 "must be an integer"},
		{"one offset", "{'a':{'dtype':'F32','shape':[],'data_offsets':[0]}}", 0,
		 "less than two"},
		{"three offsets", "{'a':{'dtype':'F32','shape':[],'data_offsets':[0,4,8]}}", 0,
		 "more than two"},
		{"a hole before the first tensor", ONE(TENSOR("a", "F32", "[1]", "[4,8]")), 8,
		 "begins at byte 4 of the data, not at 0"},
		{"a hole between tensors",
		 TWO(TENSOR("a", "F32", "[1]", "[0,4]"), TENSOR("b", "F32", "[1]", "[8,12]")),
		 12, "begins at byte 8 of the data, not at 4"},
		{"tensors that overlap",
		 TWO(TENSOR("a", "F32", "[2]", "[0,8]"), TENSOR("b", "F32", "[1]", "[4,8]")), 8,
		 "begins at byte 4 of the data, not at 8"},
		{"two names for the same bytes",
		 TWO(TENSOR("a", "F32", "[1]", "[0,4]"), TENSOR("b", "F32", "[1]", "[0,4]")), 4,
		 "begins at byte 0 of the data, not at 4"},
		{"trailing bytes", ONE(TENSOR("a", "F32", "[1]", "[0,4]")), 5,
		 "expected 4 bytes of data, file has 5"},
		{"a file cut short", ONE(TENSOR("a", "F32", "[2]", "[0,8]")), 7,
		 "expected 8 bytes of data, file has 7"},
		{"offsets near the end of 64 bits",
		 ONE(TENSOR("a", "U8", "[1152921504606846975]", "[0,1152921504606846975]")), 8,
		 "bytes of data, file has 8"},
	};
	char data[16] = {0};

	for (int i = 0; i < (int) lengthof(cases); i++)
	{
		make_safetensors(cases[i].header, data, cases[i].nbytes);
		ok(raises(open_file, NULL, ERRCODE_DATA_CORRUPTED, cases[i].fragment),
		   "is refused: %s", cases[i].claim);
	}
}

/* What is wrong before there is a header. */
static void
test_sizes(void)
{
	static const struct
	{
		uint64 claimed;
		const char *claim;
	} cases[] = {
		{3, "a header one byte longer than the file"},
		{100000001, "a header of more than 100 MB"},
		{PG_UINT64_MAX, "a header of 2^64 - 1 bytes"},
		{(uint64) 1 << 63, "a header of 2^63 bytes"},
		{PG_UINT64_MAX - 7, "a header whose end wraps to 0"},
	};

	make_file("", 0);
	ok(raises(open_file, NULL, ERRCODE_DATA_CORRUPTED, "at least 8 bytes, this has 0"),
	   "is refused: an empty file");
	make_file("\0\0\0\0\0\0\0", 7);
	ok(raises(open_file, NULL, ERRCODE_DATA_CORRUPTED, "at least 8 bytes, this has 7"),
	   "is refused: seven bytes");
	for (int i = 0; i < (int) lengthof(cases); i++)
	{
		char bytes[10];

		memcpy(bytes, &cases[i].claimed, 8);
		memcpy(bytes + 8, "{}", 2);
		make_file(bytes, sizeof(bytes));
		ok(raises(open_file, NULL, ERRCODE_DATA_CORRUPTED, "in a file of 10"),
		   "is refused: %s", cases[i].claim);
	}
}

static void
test_many_tensors(void)
{
	char *header = malloc(64 * 65537);
	char *to = header;

	for (int i = 0; i <= 65536; i++)
		to += sprintf(to, "%c" TENSOR("%d", "F32", "[0]", "[0,0]"), i ? ',' : '{', i);
	strcpy(to, "}");
	make_safetensors(header, NULL, 0);
	ok(raises(open_file, NULL, ERRCODE_DATA_CORRUPTED, "more than 65536 tensors"),
	   "is refused: 65537 tensors");
	free(header);
}

/* ---- values ---- */

static float values[70000];
static int64 first;
static int64 count;

static void
read_tensor(void *name)
{
	open_file(NULL);
	bert_safetensors_read(file, bert_safetensors_find(file, name), first, count,
						  values);
}

static void
find_nothing(void *arg)
{
	(void) arg;
	open_file(NULL);
	if (bert_safetensors_find(file, "b") != NULL)
		elog(ERROR, "found");
}

/* The value of a half by its definition. */
static double
half_value(int half)
{
	int exponent = half >> 10 & 0x1F;
	int fraction = half & 0x3FF;
	double value =
		exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);

	return half & 0x8000 ? -value : value;
}

static void
test_halves(void)
{
	static uint16 halves[65536];
	int n = 0;
	bool equal = true;

	for (int half = 0; half < 65536; half++)
		if ((half >> 10 & 0x1F) != 0x1F)
			halves[n++] = half;
	make_safetensors(ONE(TENSOR("a", "F16", "[63488]", "[0,126976]")), halves,
					 n * sizeof(uint16));
	first = 0;
	count = n;
	ok(n == 63488 && returns(read_tensor, "a"), "all finite halves are read");
	for (int i = 0; i < n; i++)
		equal &= values[i] == half_value(halves[i]) &&
				 !signbit(values[i]) == !(halves[i] & 0x8000);
	ok(equal, "each half has its value, subnormal ones and -0 included");
}

static void
test_types(void)
{
	static const float floats[] = {1.5f, -0.0f, 1e-40f, 3.4e38f};
	static const uint16 bfloats[] = {0x3FC0, 0x8000, 0x0001, 0x7F7F};
	static const uint16 nan_half[] = {0x3C00, 0x7E00};
	static const uint16 infinite_half[] = {0xFC00, 0x3C00};
	static const uint16 nan_bfloat[] = {0x3F80, 0xFFC0};
	const float nan_float[] = {1, 2, NAN};
	const float infinite_float[] = {1, -INFINITY, 2};

	first = 0;
	count = 4;
	make_safetensors(ONE(TENSOR("a", "F32", "[4]", "[0,16]")), floats, 16);
	ok(returns(read_tensor, "a") && memcmp(values, floats, 16) == 0,
	   "floats are read to the bit");
	make_safetensors("{" TENSOR("a", "F32", "[2,2]", "[0,16]") "} ", floats, 16);
	ok(returns(read_tensor, "a") && memcmp(values, floats, 16) == 0,
	   "so they are where the data is not aligned");
	make_safetensors(ONE(TENSOR("a", "BF16", "[4]", "[0,8]")), bfloats, 8);
	ok(returns(read_tensor, "a") && values[0] == 1.5f && signbit(values[1]) &&
		   values[2] == ldexpf(1, -133) && values[3] == ldexpf(255, 120),
	   "bfloat16s are the upper halves of floats");

	first = 1;
	count = 2;
	make_safetensors(ONE(TENSOR("a", "F32", "[4]", "[0,16]")), floats, 16);
	ok(returns(read_tensor, "a") && memcmp(values, floats + 1, 8) == 0,
	   "a part of a tensor is read");

	first = 0;
	make_safetensors(ONE(TENSOR("a", "F16", "[2]", "[0,4]")), nan_half, 4);
	ok(raises(read_tensor, "a", ERRCODE_DATA_CORRUPTED,
			  "tensor \"a\" has a NaN at position 1"),
	   "is refused: a NaN among halves");
	make_safetensors(ONE(TENSOR("a", "F16", "[2]", "[0,4]")), infinite_half, 4);
	ok(raises(read_tensor, "a", ERRCODE_DATA_CORRUPTED, "an infinity at position 0"),
	   "is refused: an infinity among halves");
	make_safetensors(ONE(TENSOR("a", "BF16", "[2]", "[0,4]")), nan_bfloat, 4);
	ok(raises(read_tensor, "a", ERRCODE_DATA_CORRUPTED, "a NaN at position 1"),
	   "is refused: a NaN among bfloat16s");
	first = 1;
	make_safetensors(ONE(TENSOR("a", "F32", "[3]", "[0,12]")), nan_float, 12);
	ok(raises(read_tensor, "a", ERRCODE_DATA_CORRUPTED, "a NaN at position 2"),
	   "is refused: a NaN among floats, with its position in the tensor");
	make_safetensors(ONE(TENSOR("a", "F32", "[3]", "[0,12]")), infinite_float, 12);
	ok(raises(read_tensor, "a", ERRCODE_DATA_CORRUPTED, "an infinity at position 1"),
	   "is refused: an infinity among floats");
	make_safetensors(ONE(TENSOR("a", "I64", "[1]", "[0,8]")), floats, 8);
	first = 0;
	count = 1;
	ok(raises(read_tensor, "a", ERRCODE_FEATURE_NOT_SUPPORTED, "has data type I64"),
	   "is refused: weights that are integers");
}

static void
read_after_truncation(void *arg)
{
	(void) arg;
	open_file(NULL);
	if (ftruncate(fd, 70) != 0)
		elog(ERROR, "ftruncate failed");
	bert_safetensors_read(file, bert_safetensors_find(file, "a"), 0, 4, values);
}

int
main(void)
{
	test_accepted();
	test_refused();
	test_sizes();
	test_many_tensors();
	test_halves();
	test_types();
	make_safetensors(ONE(TENSOR("a", "F32", "[0]", "[0,0]")), NULL, 0);
	ok(returns(find_nothing, NULL), "a name that isn't there is not found");
	make_safetensors(ONE(TENSOR("a", "F32", "[4]", "[0,16]")), "0123456789ABCDEF", 16);
	ok(raises(read_after_truncation, NULL, ERRCODE_IO_ERROR, "cut short"),
	   "is refused: a file cut short after it was opened");
	return done_testing();
}
