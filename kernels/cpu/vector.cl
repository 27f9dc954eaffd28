/*
 * cpu/vector.cl
 *	  16 floats at any float's address.
 *
 * vload16() and vstore16() do the same, but PoCL makes several instructions of a
 * vstore16(); through this type each is one.
 */
#define LANES 16
typedef float16 unaligned_float16 __attribute__((aligned(4)));

static inline float16 load16(const __global float *from)
{
	return *(const __global unaligned_float16 *) from;
}

static inline void store16(__global float *to, float16 x)
{
	*(__global unaligned_float16 *) to = x;
}

/* The 16 lanes in one fixed order: halves added, four times. */
static inline float sum16(float16 x)
{
	float8 a = x.lo + x.hi;
	float4 b = a.lo + a.hi;
	float2 c = b.lo + b.hi;
	return c.lo + c.hi;
}
