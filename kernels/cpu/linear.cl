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
 *	residual as C
 *
 *	            panel 0          panel 1
 *	 k = 0   W[0..47][0]      W[48..95][0]
 *	 k = 1   W[0..47][1]      ...
 *
 * Every result is bias + a0 w0 + a1 w1 + ..., one fma after the other along k, so it
 * does not depend on the tile that it fell in. In the last tile, rows past the end read
 * the last row again and are not stored.
 *
 * -D parameters: PANEL (48, multiple of 16; the pack's layout), ROW_BLOCK (64).
 */
#ifndef PANEL
#define PANEL 48
#endif
#ifndef ROW_BLOCK
#define ROW_BLOCK 64
#endif
#define VECTORS (PANEL / LANES)
#if PANEL % LANES != 0
#error "PANEL must be a multiple of 16"
#endif

/* What follows the product; BertEpilogue in extension/kernels.h. */
#define EPILOGUE_BIAS 0
#define EPILOGUE_ACTIVATION 1
#define EPILOGUE_RESIDUAL 2

/* Rows row .. row + last of one panel; 0 <= last < ROWS. */
#define TILE(ROWS)                                                                     \
	{                                                                                  \
		const __global float *a_row[ROWS];                                             \
		float16 sum[ROWS][VECTORS];                                                    \
		_Pragma("unroll") for (int i = 0; i < ROWS; i++)                               \
		{                                                                              \
			a_row[i] = a + (size_t) (row + min(i, last)) * lda;                        \
			_Pragma("unroll") for (int v = 0; v < VECTORS; v++) sum[i][v] =            \
				load16(bias + column + v * LANES);                                     \
		}                                                                              \
		for (int k = 0; k < in_size; k++)                                              \
		{                                                                              \
			float16 w[VECTORS];                                                        \
			_Pragma("unroll") for (int v = 0; v < VECTORS; v++) w[v] =                 \
				load16(panel + (size_t) k * PANEL + v * LANES);                        \
			_Pragma("unroll") for (int i = 0; i < ROWS; i++)                           \
				_Pragma("unroll") for (int v = 0; v < VECTORS; v++) sum[i][v] =        \
					fma((float16) a_row[i][k], w[v], sum[i][v]);                       \
		}                                                                              \
		_Pragma("unroll") for (int i = 0; i < ROWS; i++) if (i <= last)                \
		{                                                                              \
			size_t at = (size_t) (row + i) * ldc + column;                             \
			_Pragma("unroll") for (int v = 0; v < VECTORS; v++)                        \
				finish(sum[i][v], residual, c, at + v * LANES, epilogue);              \
		}                                                                              \
	}

/* One vector of results on its way to C. */
static inline void finish(float16 x, const __global float *residual, __global float *c,
						  size_t at, int epilogue)
{
	if (epilogue == EPILOGUE_ACTIVATION)
		x = activate_16(x);
	else if (epilogue == EPILOGUE_RESIDUAL)
		x += load16(residual + at);
	store16(c + at, x);
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
linear(const __global float *a, int lda, const __global float *weight,
	   const __global float *bias, const __global float *residual, __global float *c,
	   int ldc, int in_size, int first_row, int end_row, int epilogue)
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
