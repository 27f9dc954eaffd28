/*
 * cpu/pool.cl
 *	  The end of the way: from hidden states to one vector per sequence.
 *
 * pool: sentence-transformers' pooling modes, joined, then L2-normalized if asked.
 * (POOL_CLS alone, not normalized, is the hidden state at [CLS].)
 * tanh_rows: the activation of BERT's pooler.
 *
 *	hidden     (tokens, ld)
 *	sequences  (n, 2)          first row, number of rows
 *	out        (n, ld_out)
 *
 * Sums run over tokens in their order.
 */
#define POOL_CLS 1
#define POOL_MAX 2
#define POOL_MEAN 4
#define POOL_MEAN_SQRT 8
#define POOL_WEIGHTED_MEAN 16
#define POOL_LAST 32

/* One mode of one column block of 16, n rows from x. */
static inline float16 pool16(const __global float *x, int ld, int n, int mode)
{
	float16 sum = load16(x);

	if (mode == POOL_CLS)
		return sum;
	if (mode == POOL_LAST)
		return load16(x + (size_t) (n - 1) * ld);
	for (int i = 1; i < n; i++)
	{
		float16 row = load16(x + (size_t) i * ld);
		if (mode == POOL_MAX)
			sum = (row <= sum || sum != sum) ? sum : row; /* NaN stays */
		else if (mode == POOL_WEIGHTED_MEAN)
			sum = fma(row, (float16) (float) (i + 1), sum);
		else
			sum += row;
	}
	if (mode == POOL_MEAN)
		return sum / (float) n;
	if (mode == POOL_MEAN_SQRT)
		return sum / sqrt((float) n);
	if (mode == POOL_WEIGHTED_MEAN)
		return sum / (0.5f * (float) n * (float) (n + 1));
	return sum;
}

/* modes: set of POOL_...; ld_out >= (number of modes) * hidden_size */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
pool(const __global float *hidden, int ld, const __global int *sequences,
	 __global float *out, int ld_out, int hidden_size, int modes, int normalize)
{
	int s = get_global_id(0);
	const __global float *x = hidden + (size_t) sequences[2 * s] * ld;
	int n = sequences[2 * s + 1];
	__global float *y = out + (size_t) s * ld_out;
	int size = 0;

	for (int mode = POOL_CLS; mode <= POOL_LAST; mode <<= 1)
	{
		if ((modes & mode) == 0)
			continue;
		int i = 0;
		for (; i + LANES <= hidden_size; i += LANES)
			store16(y + size + i, pool16(x + i, ld, n, mode));
		if (i < hidden_size)
		{
			float tail[LANES];
			vstore16(pool16(x + i, ld, n, mode), 0, tail);
			for (int j = 0; i + j < hidden_size; j++)
				y[size + i + j] = tail[j];
		}
		size += hidden_size;
	}
	if (!normalize)
		return;
	float16 squares = 0.0f;
	int i = 0;
	for (; i + LANES <= size; i += LANES)
		squares = fma(load16(y + i), load16(y + i), squares);
	float sum = sum16(squares);
	for (; i < size; i++)
		sum = fma(y[i], y[i], sum);
	float norm = max(sqrt(sum), 1e-12f);
	for (i = 0; i < size; i++)
		y[i] /= norm;
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
tanh_rows(__global float *x, int ld)
{
	__global float *row = x + (size_t) get_global_id(0) * ld;

	for (int i = 0; i + LANES <= ld; i += LANES)
		store16(row + i, tanh_16(load16(row + i)));
}
