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

#define EPILOGUE_ACTIVATION 1
#define EPILOGUE_RESIDUAL 2

__kernel __attribute__((reqd_work_group_size(16, 1, 1))) void
linear(const __global float *a, int lda, const __global float *weight,
	   const __global float *bias, const __global float *residual, __global float *c,
	   int ldc, int in_size, int first_row, int end_row, int epilogue)
{
	int column = get_global_id(0);
	int row = first_row + get_global_id(1);
	const __global float *w =
		weight + (size_t) (column / PANEL) * PANEL * in_size + column % PANEL;
	size_t at = (size_t) row * ldc + column;
	float sum = bias[column];

	for (int k = 0; k < in_size; k++)
		sum = fma(a[(size_t) row * lda + k], w[(size_t) k * PANEL], sum);
	if (epilogue == EPILOGUE_ACTIVATION)
		sum = activate_1(sum);
	else if (epilogue == EPILOGUE_RESIDUAL)
		sum += residual[at];
	c[at] = sum;
}
