/*
 * common.cl
 *	  What every kernel file starts from: exponentials and activations.
 *
 * Rules that make a result the same to the bit whatever the batch, the tile, the
 * number of threads or the width of the vectors:
 *	- a product is fma(a, b, c), never a * b + c (which the compiler may or may not
 *	  contract) and never mad() (which PoCL makes a multiply and an add);
 *	- every sum has one order that depends on the model and on the sequence alone;
 *	- no library function whose vector form could differ from its scalar form.
 *
 * -D parameters of a program:
 *	ACTIVATION	hidden_act, a BertActivation (extension/model.h); default 0, gelu
 */
#ifndef ACTIVATION
#define ACTIVATION 0
#endif
#if ACTIVATION < 0 || ACTIVATION > 6
#error "ACTIVATION is not a BertActivation"
#endif

#pragma OPENCL FP_CONTRACT OFF

#define LOG2_E 1.44269504089f

/*
 * DEFINE_MATH(floats, ints, suffix) makes, for float and for float16:
 *
 * bound_SUFFIX(x, limit): x in [-limit, limit]. As in all that follows, NaN stays NaN,
 *	so that a damaged model is noticed: clamp(), min() and max() may lose it.
 * exp2_SUFFIX(x): 2^x, relative error 7e-8; x = n + r with n whole and |r| <= 1/2,
 *	2^r by a polynomial, 2^n through the exponent's bits. 0 below -126.
 * erf_SUFFIX(x): absolute error 2e-7.
 * sigmoid, tanh, activate: by these two.
 */
#define DEFINE_MATH(floats, ints, suffix)                                              \
	static inline floats bound_##suffix(floats x, float limit)                         \
	{                                                                                  \
		x = x < -limit ? (floats) -limit : x;                                          \
		return x > limit ? (floats) limit : x;                                         \
	}                                                                                  \
                                                                                       \
	static inline floats exp2_##suffix(floats x)                                       \
	{                                                                                  \
		floats bounded = bound_##suffix(x, 127.0f);                                    \
		floats n = rint(bounded);                                                      \
		floats r = bounded - n;                                                        \
		floats p = EXP2_C6;                                                            \
		p = fma(p, r, (floats) EXP2_C5);                                               \
		p = fma(p, r, (floats) EXP2_C4);                                               \
		p = fma(p, r, (floats) EXP2_C3);                                               \
		p = fma(p, r, (floats) EXP2_C2);                                               \
		p = fma(p, r, (floats) EXP2_C1);                                               \
		p = fma(p, r, (floats) 1.0f);                                                  \
		return p * as_##floats((convert_##ints(n) + 127) << 23);                       \
	}                                                                                  \
                                                                                       \
	static inline floats erf_##suffix(floats x)                                        \
	{                                                                                  \
		floats bounded = bound_##suffix(x, ERF_LIMIT);                                 \
		floats u = fma(bounded * bounded, (floats) ERF_SCALE, (floats) -1.0f);         \
		floats p = ERF_C15;                                                            \
		p = fma(p, u, (floats) ERF_C14);                                               \
		p = fma(p, u, (floats) ERF_C13);                                               \
		p = fma(p, u, (floats) ERF_C12);                                               \
		p = fma(p, u, (floats) ERF_C11);                                               \
		p = fma(p, u, (floats) ERF_C10);                                               \
		p = fma(p, u, (floats) ERF_C9);                                                \
		p = fma(p, u, (floats) ERF_C8);                                                \
		p = fma(p, u, (floats) ERF_C7);                                                \
		p = fma(p, u, (floats) ERF_C6);                                                \
		p = fma(p, u, (floats) ERF_C5);                                                \
		p = fma(p, u, (floats) ERF_C4);                                                \
		p = fma(p, u, (floats) ERF_C3);                                                \
		p = fma(p, u, (floats) ERF_C2);                                                \
		p = fma(p, u, (floats) ERF_C1);                                                \
		p = fma(p, u, (floats) ERF_C0);                                                \
		return bound_##suffix(p * bounded, 1.0f);                                      \
	}                                                                                  \
                                                                                       \
	static inline floats sigmoid_##suffix(floats x)                                    \
	{                                                                                  \
		return (floats) 1.0f / ((floats) 1.0f + exp2_##suffix(-x * LOG2_E));           \
	}                                                                                  \
                                                                                       \
	static inline floats tanh_##suffix(floats x)                                       \
	{                                                                                  \
		return fma((floats) 2.0f, sigmoid_##suffix(x * 2.0f), (floats) -1.0f);         \
	}                                                                                  \
                                                                                       \
	static inline floats gelu_tanh_##suffix(floats x, float root_2_over_pi)            \
	{                                                                                  \
		floats cubic = fma(x * x * x, (floats) 0.044715f, x);                          \
		return x * sigmoid_##suffix(cubic * (2.0f * root_2_over_pi));                  \
	}                                                                                  \
                                                                                       \
	static inline floats activate_##suffix(floats x)                                   \
	{                                                                                  \
		if (ACTIVATION == 0) /* gelu */                                                \
			return x * fma((floats) 0.5f, erf_##suffix(x * 0.70710678118f),            \
						   (floats) 0.5f);                                             \
		if (ACTIVATION == 1) /* gelu_new, gelu_pytorch_tanh */                         \
			return gelu_tanh_##suffix(x, 0.79788456080287f);                           \
		if (ACTIVATION == 2) /* gelu_fast */                                           \
			return gelu_tanh_##suffix(x, 0.7978845608f);                               \
		if (ACTIVATION == 3) /* quick_gelu */                                          \
			return x * sigmoid_##suffix(x * 1.702f);                                   \
		if (ACTIVATION == 4) /* relu */                                                \
			return x < 0.0f ? (floats) 0.0f : x;                                       \
		if (ACTIVATION == 5) /* silu */                                                \
			return x * sigmoid_##suffix(x);                                            \
		return tanh_##suffix(x);                                                       \
	}

DEFINE_MATH(float, int, 1)
DEFINE_MATH(float16, int16, 16)
