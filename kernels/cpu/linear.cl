/*
 * cpu/linear.cl
 *	  C = epilogue(A W^T + bias): the linear layers, nine tenths of all the work.
 *
 * One work-item, alone in its work-group, computes ROW_BLOCK rows of one panel of
 * PANEL columns, tile by tile. A tile of 8 x 48 results is 24 vector registers; each
 * step along k reads three vectors of the panel and broadcasts 8 elements of A, for 24
 * fma. The panel (PANEL * in_size floats) stays in the L2 cache over the rows.
 *
 *	A        (rows, lda)                    row-major
 *	weight   (panels, in_size, PANEL)       W transposed, cut in panels, zero-padded
 *	bias     (panels * PANEL)               zero-padded
 *	C        (rows, ldc)                    ldc >= panels * PANEL: whole panels are stored
 *	residual as C; parameters of the activation, BERT_ACT_PARAMETERS floats
 *
 *	            panel 0          panel 1
 *	 k = 0   W[0..47][0]      W[48..95][0]
 *	 k = 1   W[0..47][1]      ...
 *
 * Every result is s0 + s1 + ..., each s the sum of K_BLOCK products (and s0 of the bias),
 * one fma after the other along k, so it does not depend on the tile that it fell in.
 * Rounding errors grow with the length of such a chain; blocks halve them. What was summed
 * before waits in memory while a block is. In the last tile, rows past the end read the
 * last row again and are not stored.
 *
 * -D parameters: PANEL (48, multiple of 16; the pack's layout), ROW_BLOCK (64), K_BLOCK
 * (64).
 */
#ifndef PANEL
#define PANEL 48
#endif
#ifndef ROW_BLOCK
#define ROW_BLOCK 64
#endif
#ifndef K_BLOCK
#define K_BLOCK 64
#endif
#define VECTORS (PANEL / LANES)
#if PANEL % LANES != 0
#error "PANEL must be a multiple of 16"
#endif

/* What follows the product; BertEpilogue in extension/kernels.h. */
#define EPILOGUE_BIAS 0
#define EPILOGUE_ACTIVATION 1
#define EPILOGUE_RESIDUAL 2

#define EACH_ROW(ROWS) _Pragma("unroll") for (int i = 0; i < ROWS; i++)
#define EACH_VECTOR _Pragma("unroll") for (int v = 0; v < VECTORS; v++)

/* sum[i][v] += products k = begin .. end - 1 */
#define ADD_PRODUCTS(ROWS, begin, end)                                                 \
	for (int k = begin; k < end; k++)                                                  \
	{                                                                                  \
		float16 w[VECTORS];                                                            \
		EACH_VECTOR w[v] = load16(panel + (size_t) k * PANEL + v * LANES);             \
		EACH_ROW(ROWS)                                                                 \
		EACH_VECTOR sum[i][v] = fma((float16) a_row[i][k], w[v], sum[i][v]);           \
	}

/* Rows row .. row + last of one panel; 0 <= last < ROWS. */
#define TILE(ROWS)                                                                     \
	{                                                                                  \
		const __global float *a_row[ROWS];                                             \
		float16 sum[ROWS][VECTORS];                                                    \
		EACH_ROW(ROWS)                                                                 \
		{                                                                              \
			a_row[i] = a + (size_t) (row + min(i, last)) * lda;                        \
			EACH_VECTOR sum[i][v] = load16(bias + column + v * LANES);                 \
		}                                                                              \
		ADD_PRODUCTS(ROWS, 0, min(K_BLOCK, in_size))                                   \
		for (int first = K_BLOCK; first < in_size; first += K_BLOCK)                   \
		{                                                                              \
			float16 before[ROWS][VECTORS];                                             \
			EACH_ROW(ROWS) EACH_VECTOR before[i][v] = sum[i][v];                       \
			EACH_ROW(ROWS) EACH_VECTOR sum[i][v] = 0.0f;                               \
			ADD_PRODUCTS(ROWS, first, min(first + K_BLOCK, in_size))                   \
			EACH_ROW(ROWS) EACH_VECTOR sum[i][v] += before[i][v];                      \
		}                                                                              \
		EACH_ROW(ROWS) if (i <= last)                                                  \
		{                                                                              \
			size_t at = (size_t) (row + i) * ldc + column;                             \
			EACH_VECTOR finish(sum[i][v], parameters, residual, c, at + v * LANES,     \
							   epilogue);                                              \
		}                                                                              \
	}

/* One vector of results on its way to C. */
static inline void finish(float16 x, const __global float *parameters,
						  const __global float *residual, __global float *c, size_t at,
						  int epilogue)
{
	if (epilogue == EPILOGUE_ACTIVATION)
		x = activate_16(x, ACTIVATION, parameters);
	else if (epilogue == EPILOGUE_RESIDUAL)
		x += load16(residual + at);
	store16(c + at, x);
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
linear(const __global float *a, int lda, const __global float *weight,
	   const __global float *bias, const __global float *parameters,
	   const __global float *residual, __global float *c, int ldc, int in_size,
	   int first_row, int end_row, int epilogue)
{
	int column = get_global_id(1) * PANEL;
	const __global float *panel = weight + (size_t) column * in_size;
	int row = first_row + get_global_id(0) * ROW_BLOCK;
	int block_end = min(row + ROW_BLOCK, end_row);

	for (; row < block_end; row += 8)
	{
		int last = min(block_end - row, 8) - 1;
		if (last >= 4)
			TILE(8)
		else
			TILE(4)
	}
}
