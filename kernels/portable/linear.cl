/*
 * portable/linear.cl
 *	  C = epilogue(A W^T + bias), one work-item per result. Arguments and layouts are
 *	  those of cpu/linear.cl; so is the order of the sum.
 *
 * Global size: (columns of C, rows), in work-groups of 16 columns.
 */
#ifndef PANEL
#define PANEL 48
#endif
#ifndef K_BLOCK
#define K_BLOCK 64
#endif

#define EPILOGUE_ACTIVATION 1
#define EPILOGUE_RESIDUAL 2

__kernel __attribute__((reqd_work_group_size(16, 1, 1))) void
linear(const __global float *a, int lda, const __global float *weight,
	   const __global float *bias, const __global float *parameters,
	   const __global float *residual, __global float *c, int ldc, int in_size,
	   int first_row, int end_row, int epilogue)
{
	int column = get_global_id(0);
	int row = first_row + get_global_id(1);
	const __global float *w =
		weight + (size_t) (column / PANEL) * PANEL * in_size + column % PANEL;
	size_t at = (size_t) row * ldc + column;
	float total = 0.0f;

	for (int first = 0; first < in_size; first += K_BLOCK)
	{
		float sum = first == 0 ? bias[column] : 0.0f;
		for (int k = first; k < min(first + K_BLOCK, in_size); k++)
			sum = fma(a[(size_t) row * lda + k], w[(size_t) k * PANEL], sum);
		total += sum;
	}
	if (epilogue == EPILOGUE_ACTIVATION)
		total = activate_1(total, ACTIVATION, parameters);
	else if (epilogue == EPILOGUE_RESIDUAL)
		total += residual[at];
	c[at] = total;
}
