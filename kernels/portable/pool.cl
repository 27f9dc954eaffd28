/*
 * portable/pool.cl
 *	  pool, activate_rows, normalize_rows: one work-item per sequence. Arguments, and the
 *	  order of every sum, as in cpu/pool.cl.
 */
#define POOL_CLS 1
#define POOL_MAX 2
#define POOL_MEAN 3
#define POOL_MEAN_SQRT 4
#define POOL_WEIGHTED_MEAN 5
#define POOL_LAST 6
#define POOL_BITS 4

static inline float largest_of(const __global float *x, int ld, int from, int n)
{
	float largest = -INFINITY;

	for (int i = from; i < n; i++)
	{
		float row = x[(size_t) i * ld];
		largest = row <= largest || largest != largest ? largest : row; /* NaN stays */
	}
	return largest;
}

static inline float sum_rows(const __global float *x, int ld, int from, int n,
							 int weighted)
{
	float sum = 0.0f;
	float lost = 0.0f;

	for (int t = from; t < n; t++)
	{
		float weight = weighted ? (float) (t + 1) : 1.0f;
		float row = x[(size_t) t * ld];
		float product = row * weight;
		float before = sum;
		sum += product;
		float added = sum - before;
		lost += (before - (sum - added)) + (product - added);
		lost += fma(row, weight, -product);
	}
	return sum + lost;
}

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

static inline float pool_column(const __global float *x, int ld, int from, int n,
								int mode)
{
	if (mode == POOL_CLS)
		return x[(size_t) (from < n ? from : 0) * ld];
	if (mode == POOL_LAST)
		return from < n ? x[(size_t) (n - 1) * ld] : 0.0f;
	if (mode == POOL_MAX)
		return largest_of(x, ld, from, n);
	return sum_rows(x, ld, from, n, mode == POOL_WEIGHTED_MEAN) /
		   divisor_of(from, n, mode);
}

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
		for (int i = 0; i < hidden_size; i++)
			y[size + i] = pool_column(x + i, ld, from, n, mode);
		size += hidden_size;
	}
	for (; size < ld_out; size++)
		y[size] = 0.0f;
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
activate_rows(__global float *x, int ld, int size, int kind,
			  const __global float *residual, int add)
{
	size_t at = (size_t) get_global_id(0) * ld;

	for (int i = 0; i < size; i++)
	{
		float y = activate_1(x[at + i], kind, x);
		x[at + i] = add ? y + residual[at + i] : y;
	}
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
normalize_rows(__global float *x, int ld, int size)
{
	__global float *row = x + (size_t) get_global_id(0) * ld;
	float squares[16];

	for (int i = 0; i < 16; i++)
		squares[i] = 0.0f;
	for (int i = 0; i < size; i++)
		squares[i % 16] = fma(row[i], row[i], squares[i % 16]);
	float norm = sqrt(sum_of_16(squares));
	float divisor = norm < 1e-12f ? 1e-12f : norm;
	for (int i = 0; i < size; i++)
		row[i] /= divisor;
}
