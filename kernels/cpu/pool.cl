/*
 * cpu/pool.cl
 *	  The end of the way: from hidden states to one vector per sequence.
 *
 * pool: sentence-transformers' pooling modes, joined. (POOL_CLS alone is the hidden state
 * at [CLS].) What follows works on rows in place, one work-item each:
 * activate_rows:  x = act(x) [+ residual], for BERT's pooler and for Dense
 * normalize_rows: x = x / max(|x|, 1e-12)
 *
 *	hidden     (tokens, ld)
 *	sequences  (n, 3)          first row, number of rows, rows at the start to leave out
 *	out, x     (n, ld)         columns from the vector's size on are 0, and stay so
 *
 * Sums over tokens run in their order. A text can have thousands of tokens, whose own
 * errors even out; so what the sum loses by rounding with each is found (Knuth's two-sum)
 * and added in the end. Where all tokens are left out, the result is what
 * sentence-transformers makes of an empty mask.
 */
#define POOL_CLS 1
#define POOL_MAX 2
#define POOL_MEAN 3
#define POOL_MEAN_SQRT 4
#define POOL_WEIGHTED_MEAN 5
#define POOL_LAST 6
#define POOL_BITS 4

/* The largest of rows [from, n). */
static inline float16 largest16(const __global float *x, int ld, int from, int n)
{
	float16 largest = -INFINITY;

	for (int i = from; i < n; i++)
	{
		float16 row = load16(x + (size_t) i * ld);
		largest = (row <= largest || largest != largest) ? largest : row; /* NaN stays */
	}
	return largest;
}

/* The sum of rows [from, n), or of each times its number, counted from 1. */
static inline float16 sum_rows16(const __global float *x, int ld, int from, int n,
								 int weighted)
{
	float16 sum = 0.0f;
	float16 lost = 0.0f;

	for (int t = from; t < n; t++)
	{
		float weight = weighted ? (float) (t + 1) : 1.0f;
		float16 row = load16(x + (size_t) t * ld);
		float16 product = row * weight;
		float16 before = sum;
		sum += product;
		float16 added = sum - before;
		lost += (before - (sum - added)) + (product - added);
		lost += fma(row, (float16) weight, -product);
	}
	return sum + lost;
}

/* What the sum is divided by; 1e-9 is sentence-transformers' for no token at all. */
static inline float divisor_of(int from, int n, int mode)
{
	float count = n > from ? (float) (n - from) : 1e-9f;

	if (mode == POOL_MEAN)
		return count;
	if (mode == POOL_MEAN_SQRT)
		return sqrt(count);
	long weights = (long) n * (n + 1) / 2 - (long) from * (from + 1) / 2;
	return n > from ? (float) weights : 1e-9f;
}

/* One mode of one column block of 16, rows [from, n) of x. */
static inline float16 pool16(const __global float *x, int ld, int from, int n, int mode)
{
	if (mode == POOL_CLS)
		return load16(x + (size_t) (from < n ? from : 0) * ld);
	if (mode == POOL_LAST)
		return from < n ? load16(x + (size_t) (n - 1) * ld) : (float16) 0.0f;
	if (mode == POOL_MAX)
		return largest16(x, ld, from, n);
	return sum_rows16(x, ld, from, n, mode == POOL_WEIGHTED_MEAN) /
		   divisor_of(from, n, mode);
}

/*
 * Sequences from first_sequence on. modes: list of POOL_..., four bits each; ld_out >=
 * (number of modes) * hidden_size. skip: do leave out the rows at the start.
 */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
pool(const __global float *hidden, int ld, const __global int *sequences,
	 int first_sequence, __global float *out, int ld_out, int hidden_size, int modes,
	 int skip)
{
	int s = first_sequence + get_global_id(0);
	const __global float *x = hidden + (size_t) sequences[3 * s] * ld;
	int n = sequences[3 * s + 1];
	int from = skip ? sequences[3 * s + 2] : 0;
	__global float *y = out + (size_t) s * ld_out;
	int size = 0;

	for (uint left = modes; left != 0; left >>= POOL_BITS)
	{
		int mode = left & ((1 << POOL_BITS) - 1);
		int i = 0;
		for (; i + LANES <= hidden_size; i += LANES)
			store16(y + size + i, pool16(x + i, ld, from, n, mode));
		if (i < hidden_size)
		{
			float tail[LANES];
			vstore16(pool16(x + i, ld, from, n, mode), 0, tail);
			for (int j = 0; i + j < hidden_size; j++)
				y[size + i + j] = tail[j];
		}
		size += hidden_size;
	}
	for (; size < ld_out; size++)
		y[size] = 0.0f;
}

/* kind: a BertActivation without parameters; residual as x, looked at where add is set */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
activate_rows(__global float *x, int ld, int size, int kind,
			  const __global float *residual, int add)
{
	const int16 lane = (int16) (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
	size_t at = (size_t) get_global_id(0) * ld;

	for (int i = 0; i < size; i += LANES)
	{
		float16 y = activate_16(load16(x + at + i), kind, x);
		if (add)
			y += load16(residual + at + i);
		store16(x + at + i, select((float16) 0.0f, y, lane + i < size));
	}
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
normalize_rows(__global float *x, int ld, int size)
{
	__global float *row = x + (size_t) get_global_id(0) * ld;
	float16 squares = 0.0f;

	for (int i = 0; i < size; i += LANES)
		squares = fma(load16(row + i), load16(row + i), squares);
	float norm = sqrt(sum16(squares));
	float divisor = norm < 1e-12f ? 1e-12f : norm;
	for (int i = 0; i < size; i += LANES)
		store16(row + i, load16(row + i) / divisor);
}
