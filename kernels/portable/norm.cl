/*
 * portable/norm.cl
 *	  embed, layer_norm: one work-item per row. Arguments as in cpu/norm.cl.
 *
 * Sums run in 16 partial sums and are joined as cpu/vector.cl's sum16() does, so that
 * both tiers give the same bits.
 */
static inline float sum_of_16(float *x)
{
	for (int n = 8; n > 0; n /= 2)
		for (int i = 0; i < n; i++)
			x[i] += x[i + n];
	return x[0];
}

static inline void normalize_row(__global float *row, int hidden_size,
								 const __global float *weight,
								 const __global float *bias, float eps)
{
	float sum[16];
	float squares[16];

	for (int i = 0; i < 16; i++)
		sum[i] = squares[i] = 0.0f;
	for (int i = 0; i < hidden_size; i++)
		sum[i % 16] += row[i];
	float mean = sum_of_16(sum) / hidden_size;
	for (int i = 0; i < hidden_size; i++)
		squares[i % 16] = fma(row[i] - mean, row[i] - mean, squares[i % 16]);
	float scale = 1.0f / sqrt(sum_of_16(squares) / hidden_size + eps);
	for (int i = 0; i < hidden_size; i++)
		row[i] = fma((row[i] - mean) * scale, weight[i], bias[i]);
}

__kernel __attribute__((reqd_work_group_size(16, 1, 1))) void
embed(const __global int *tokens, const __global float *word,
	  const __global float *type, const __global float *position, int add_positions,
	  const __global float *weight, const __global float *bias, __global float *hidden,
	  int ld, int hidden_size, float eps, int first_row, int end_row)
{
	int r = first_row + get_global_id(0);

	if (r >= end_row)
		return;
	const __global float *w = word + (size_t) tokens[3 * r] * hidden_size;
	const __global float *t = type + (size_t) tokens[3 * r + 1] * hidden_size;
	const __global float *p = position + (size_t) tokens[3 * r + 2] * hidden_size;
	__global float *row = hidden + (size_t) r * ld;

	for (int i = 0; i < hidden_size; i++)
		row[i] = add_positions ? (w[i] + t[i]) + p[i] : w[i] + t[i];
	for (int i = hidden_size; i < ld; i++)
		row[i] = 0.0f;
	normalize_row(row, hidden_size, weight, bias, eps);
}

__kernel __attribute__((reqd_work_group_size(16, 1, 1))) void
layer_norm(__global float *hidden, const __global float *weight,
		   const __global float *bias, int ld, int hidden_size, float eps,
		   int first_row, int end_row)
{
	int r = first_row + get_global_id(0);

	if (r < end_row)
		normalize_row(hidden + (size_t) r * ld, hidden_size, weight, bias, eps);
}
