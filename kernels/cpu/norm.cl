/*
 * cpu/norm.cl
 *	  embed:      hidden = LN((word[id] + type[t]) [+ position[p]])
 *	  layer_norm: hidden = LN(hidden)
 *	  LN(x) = (x - mean) / sqrt(var + eps) * weight + bias
 *
 * Rows [first_row, end_row); one work-item per block of ROW_GROUP of them. Sums run along
 * a row in 16 lanes, then over the lanes in one fixed order. A row has hidden_size columns
 * of use out of ld; ld is a multiple of 16 and the columns between are 0, so that whole
 * vectors can be read; the mask keeps them out of the variance.
 *
 * -D parameters: ROW_GROUP (8).
 */
#ifndef ROW_GROUP
#define ROW_GROUP 8
#endif

/* Normalize one row in place; bias and weight have ld elements, zero-padded. */
static inline void normalize_row(__global float *row, int hidden_size,
								 const __global float *weight,
								 const __global float *bias, float eps)
{
	const int16 lane = (int16) (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
	float16 sum = 0.0f;
	float16 squares = 0.0f;

	for (int i = 0; i < hidden_size; i += LANES)
		sum += load16(row + i);
	float mean = sum16(sum) / hidden_size;
	for (int i = 0; i < hidden_size; i += LANES)
	{
		float16 x = load16(row + i) - mean;
		x = select((float16) 0.0f, x, lane + i < hidden_size);
		squares = fma(x, x, squares);
	}
	float scale = 1.0f / sqrt(sum16(squares) / hidden_size + eps);
	for (int i = 0; i < hidden_size; i += LANES)
	{
		float16 x = (load16(row + i) - mean) * scale;
		store16(row + i, fma(x, load16(weight + i), load16(bias + i)));
	}
}

/*
 * tokens: (rows, 3) of id, type, position, all checked by the host against the
 * tables' sizes. Tables have rows of hidden_size floats.
 */
__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
embed(const __global int *tokens, const __global float *word,
	  const __global float *type, const __global float *position, int add_positions,
	  const __global float *weight, const __global float *bias, __global float *hidden,
	  int ld, int hidden_size, float eps, int first_row, int end_row)
{
	int begin = first_row + get_global_id(0) * ROW_GROUP;

	for (int r = begin; r < min(begin + ROW_GROUP, end_row); r++)
	{
		const __global float *w = word + (size_t) tokens[3 * r] * hidden_size;
		const __global float *t = type + (size_t) tokens[3 * r + 1] * hidden_size;
		const __global float *p = position + (size_t) tokens[3 * r + 2] * hidden_size;
		__global float *row = hidden + (size_t) r * ld;

		int i = 0;
		for (; i + LANES <= hidden_size; i += LANES)
		{
			float16 x = load16(w + i) + load16(t + i);
			if (add_positions)
				x += load16(p + i);
			store16(row + i, x);
		}
		for (; i < hidden_size; i++)
			row[i] = add_positions ? (w[i] + t[i]) + p[i] : w[i] + t[i];
		for (; i < ld; i++)
			row[i] = 0.0f;
		normalize_row(row, hidden_size, weight, bias, eps);
	}
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
layer_norm(__global float *hidden, const __global float *weight,
		   const __global float *bias, int ld, int hidden_size, float eps,
		   int first_row, int end_row)
{
	int begin = first_row + get_global_id(0) * ROW_GROUP;

	for (int r = begin; r < min(begin + ROW_GROUP, end_row); r++)
		normalize_row(hidden + (size_t) r * ld, hidden_size, weight, bias, eps);
}
