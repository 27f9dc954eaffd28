/*
 * portable/pool.cl
 *	  pool, tanh_rows: one work-item per sequence. Arguments as in cpu/pool.cl.
 */
#define POOL_CLS 1
#define POOL_MAX 2
#define POOL_MEAN 4
#define POOL_MEAN_SQRT 8
#define POOL_WEIGHTED_MEAN 16
#define POOL_LAST 32

static inline float pool_column(const __global float *x, int ld, int n, int mode)
{
	float sum = x[0];

	if (mode == POOL_CLS)
		return sum;
	if (mode == POOL_LAST)
		return x[(size_t) (n - 1) * ld];
	for (int i = 1; i < n; i++)
	{
		float row = x[(size_t) i * ld];
		if (mode == POOL_MAX)
			sum = row <= sum || sum != sum ? sum : row; /* NaN stays */
		else if (mode == POOL_WEIGHTED_MEAN)
			sum = fma(row, (float) (i + 1), sum);
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

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
pool(const __global float *hidden, int ld, const __global int *sequences,
	 __global float *out, int ld_out, int hidden_size, int modes, int normalize)
{
	int s = get_global_id(0);
	const __global float *x = hidden + (size_t) sequences[2 * s] * ld;
	int n = sequences[2 * s + 1];
	__global float *y = out + (size_t) s * ld_out;
	float squares = 0.0f;
	int size = 0;

	for (int mode = POOL_CLS; mode <= POOL_LAST; mode <<= 1)
	{
		if ((modes & mode) == 0)
			continue;
		for (int i = 0; i < hidden_size; i++)
			y[size + i] = pool_column(x + i, ld, n, mode);
		size += hidden_size;
	}
	if (!normalize)
		return;
	for (int i = 0; i < size; i++)
		squares = fma(y[i], y[i], squares);
	float norm = max(sqrt(squares), 1e-12f);
	for (int i = 0; i < size; i++)
		y[i] /= norm;
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
tanh_rows(__global float *x, int ld)
{
	__global float *row = x + (size_t) get_global_id(0) * ld;

	for (int i = 0; i < ld; i++)
		row[i] = tanh_1(row[i]);
}
