/*
 * common.cl
 *	  What every kernel file starts from: exponentials and activations.
 *
 * Rules that make a result the same to the bit whatever the batch, the tile, the
 * number of threads or the width of the vectors:
 *	- a product is fma(a, b, c), never a * b + c (which the compiler may or may not
 *	  contract) and never mad() (which PoCL makes a multiply and an add);
 *	- every sum has one order that depends on the model and on the sequence alone;
 *	- no library function whose vector form could differ from its scalar form: of those
 *	  that round, sqrt() alone, which processors do exactly.
 *
 * -D parameters of a program:
 *	ACTIVATION	hidden_act, a BertActivation (extension/model.h); default 0, gelu
 */
#ifndef ACTIVATION
#define ACTIVATION 0
#endif

/* BertActivation */
#define ACT_GELU 0
#define ACT_GELU_TANH 1
#define ACT_GELU_FAST 2
#define ACT_QUICK_GELU 3
#define ACT_RELU 4
#define ACT_SILU 5
#define ACT_TANH 6
#define ACT_GELU_10 7
#define ACT_RELU2 8
#define ACT_RELU6 9
#define ACT_MISH 10
#define ACT_SIGMOID 11
#define ACT_LINEAR 12
#define ACT_LAPLACE 13
#define ACT_LEAKY_RELU 14
#define ACT_HARDSWISH 15
#define ACT_SQRTSOFTPLUS 16
#define ACT_PRELU 17
#define ACT_XIELU 18

#if ACTIVATION < ACT_GELU || ACTIVATION > ACT_XIELU
#error "ACTIVATION is not a BertActivation"
#endif

#pragma OPENCL FP_CONTRACT OFF

#define LOG2_E 1.44269504089f
#define LOG2_E_LOW 1.92596303e-8f /* what float leaves of log2(e) */

/*
 * x + SHIFT has no bits behind the point: x is rounded to a whole number n, which is also
 * the difference of the sum's and SHIFT's bits. rint() does the same in ten instructions.
 */
#define SHIFT 12582912.0f

/*
 * DEFINE_MATH(floats, ints, suffix) makes, for float and for float16, the functions
 * below. In all of them NaN stays NaN, so that a damaged model is noticed: clamp(), min()
 * and max() may lose it.
 *
 * bound(x, low, high): x in [low, high].
 * power(n + SHIFT): 2^n for a whole n through the exponent's bits; -127 gives 0, 128
 *	infinity.
 * power_m1(r): 2^r - 1 for |r| <= 1/2.
 * exp2(x): 2^x, relative error 7e-8; x = n + r with n whole and |r| <= 1/2. 0 below -126,
 *	infinity from 127.5.
 * exp(x), expm1(x): e^x and e^x - 1, relative error 2e-7, whatever the size of x, for its
 *	product with log2(e) is taken in two parts. expm1 takes x above 88 for 88.
 * log1p(t): log(1 + t) for 0 <= t <= 1, relative error 2e-7.
 * normal(x): (1 + erf(x / sqrt(2))) / 2, absolute error 6e-8, relative below 0.
 * softplus(x): log(1 + e^x), by what e^-|x| adds to the larger of x and 0.
 * sigmoid, tanh, gelu_tanh, mish, xielu, activate: by these.
 */
#define DEFINE_MATH(floats, ints, suffix)                                              \
	static inline floats bound_##suffix(floats x, float low, float high)               \
	{                                                                                  \
		x = x < low ? (floats) low : x;                                                \
		return x > high ? (floats) high : x;                                           \
	}                                                                                  \
                                                                                       \
	static inline floats power_##suffix(floats shifted)                                \
	{                                                                                  \
		return as_##floats((as_##ints(shifted) + 127) << 23);                          \
	}                                                                                  \
                                                                                       \
	static inline floats power_m1_over_r_##suffix(floats r)                            \
	{                                                                                  \
		floats p = EXP2_C6;                                                            \
		p = fma(p, r, (floats) EXP2_C5);                                               \
		p = fma(p, r, (floats) EXP2_C4);                                               \
		p = fma(p, r, (floats) EXP2_C3);                                               \
		p = fma(p, r, (floats) EXP2_C2);                                               \
		return fma(p, r, (floats) EXP2_C1);                                            \
	}                                                                                  \
                                                                                       \
	static inline floats exp2_##suffix(floats x)                                       \
	{                                                                                  \
		floats bounded = bound_##suffix(x, -127.0f, 128.0f);                           \
		floats shifted = bounded + SHIFT;                                              \
		floats r = bounded - (shifted - SHIFT);                                        \
		floats p = fma(power_m1_over_r_##suffix(r), r, (floats) 1.0f);                 \
		return p * power_##suffix(shifted);                                            \
	}                                                                                  \
                                                                                       \
	static inline floats exp_##suffix(floats x)                                        \
	{                                                                                  \
		floats bounded = bound_##suffix(x, -88.03f, 88.73f);                           \
		floats shifted = fma(bounded, (floats) LOG2_E, (floats) SHIFT);                \
		floats r = fma(bounded, (floats) LOG2_E, SHIFT - shifted);                     \
		r = fma(bounded, (floats) LOG2_E_LOW, r);                                      \
		floats p = fma(power_m1_over_r_##suffix(r), r, (floats) 1.0f);                 \
		return p * power_##suffix(shifted);                                            \
	}                                                                                  \
                                                                                       \
	static inline floats expm1_##suffix(floats x)                                      \
	{                                                                                  \
		floats bounded = bound_##suffix(x, -88.03f, 88.0f);                            \
		floats shifted = fma(bounded, (floats) LOG2_E, (floats) SHIFT);                \
		floats r = fma(bounded, (floats) LOG2_E, SHIFT - shifted);                     \
		r = fma(bounded, (floats) LOG2_E_LOW, r);                                      \
		floats scale = power_##suffix(shifted);                                        \
		return fma(power_m1_over_r_##suffix(r) * r, scale, scale - 1.0f);              \
	}                                                                                  \
                                                                                       \
	static inline floats log1p_##suffix(floats t)                                      \
	{                                                                                  \
		floats z = t / (t + 2.0f);                                                     \
		floats w = z * z;                                                              \
		floats p = ATANH_C3;                                                           \
		p = fma(p, w, (floats) ATANH_C2);                                              \
		p = fma(p, w, (floats) ATANH_C1);                                              \
		p = fma(p, w, (floats) ATANH_C0);                                              \
		return fma(z * 2.0f, p * w, z * 2.0f);                                         \
	}                                                                                  \
                                                                                       \
	static inline floats normal_##suffix(floats x)                                     \
	{                                                                                  \
		floats z = fabs(x);                                                            \
		floats p = NORMAL_C7;                                                          \
		p = fma(p, z, (floats) NORMAL_C6);                                             \
		p = fma(p, z, (floats) NORMAL_C5);                                             \
		p = fma(p, z, (floats) NORMAL_C4);                                             \
		p = fma(p, z, (floats) NORMAL_C3);                                             \
		p = fma(p, z, (floats) NORMAL_C2);                                             \
		p = fma(p, z, (floats) NORMAL_C1);                                             \
		p = fma(p, z, (floats) NORMAL_C0);                                             \
		floats below = exp2_##suffix(fma(p, -z, (floats) -1.0f));                      \
		return x > 0.0f ? 1.0f - below : below;                                        \
	}                                                                                  \
                                                                                       \
	static inline floats softplus_##suffix(floats x)                                   \
	{                                                                                  \
		floats larger = x > 0.0f ? x : (floats) 0.0f;                                  \
		return larger + log1p_##suffix(exp_##suffix(-fabs(x)));                        \
	}                                                                                  \
                                                                                       \
	static inline floats sigmoid_##suffix(floats x)                                    \
	{                                                                                  \
		return (floats) 1.0f / (exp_##suffix(-x) + 1.0f);                              \
	}                                                                                  \
                                                                                       \
	static inline floats tanh_##suffix(floats x)                                       \
	{                                                                                  \
		floats e = expm1_##suffix(x * 2.0f);                                           \
		return e / (e + 2.0f);                                                         \
	}                                                                                  \
                                                                                       \
	/* x / 2 (1 + tanh(...)), for which tanh(u) is 2 sigmoid(2 u) - 1. */              \
	static inline floats gelu_tanh_##suffix(floats x, float root_2_over_pi)            \
	{                                                                                  \
		floats cubic = fma(x * x * x, (floats) 0.044715f, x);                          \
		return x * sigmoid_##suffix(cubic * (2.0f * root_2_over_pi));                  \
	}                                                                                  \
                                                                                       \
	/*                                                                                 \
	 * x tanh(log(1 + e^x)) = x ((1 + e^x)^2 - 1) / ((1 + e^x)^2 + 1), by t = e^-|x|,  \
	 * which never overflows: above 0 both sides are divided by e^2x.                  \
	 */                                                                                \
	static inline floats mish_##suffix(floats x)                                       \
	{                                                                                  \
		floats t = exp_##suffix(-fabs(x));                                             \
		floats above = fma(t, (floats) 2.0f, (floats) 1.0f);                           \
		floats below = t * (t + 2.0f);                                                 \
		return x > 0.0f ? x * (above / fma(t * 2.0f, t, above))                        \
						: x * (below / (below + 2.0f));                                \
	}                                                                                  \
                                                                                       \
	static inline floats xielu_##suffix(floats x, const __global float *parameters)    \
	{                                                                                  \
		float alpha_p = parameters[0];                                                 \
		float alpha_n = parameters[1];                                                 \
		floats linear = x * parameters[2];                                             \
		floats least = x > parameters[3] ? (floats) parameters[3] : x;                 \
		floats above = fma(x * alpha_p, x, linear);                                    \
		floats below = fma(expm1_##suffix(least) - x, (floats) alpha_n, linear);       \
		return x > 0.0f ? above : below;                                               \
	}                                                                                  \
                                                                                       \
	/* parameters: (BERT_ACT_PARAMETERS); looked at by the last two only. */           \
	static inline floats activate_##suffix(floats x, int kind,                         \
										   const __global float *parameters)           \
	{                                                                                  \
		switch (kind)                                                                  \
		{                                                                              \
			case ACT_GELU:                                                             \
				return x * normal_##suffix(x);                                         \
			case ACT_GELU_TANH:                                                        \
				return gelu_tanh_##suffix(x, 0.79788456080287f);                       \
			case ACT_GELU_FAST:                                                        \
				return gelu_tanh_##suffix(x, 0.7978845608f);                           \
			case ACT_QUICK_GELU:                                                       \
				return x * sigmoid_##suffix(x * 1.702f);                               \
			case ACT_RELU:                                                             \
				return x < 0.0f ? (floats) 0.0f : x;                                   \
			case ACT_SILU:                                                             \
				return x * sigmoid_##suffix(x);                                        \
			case ACT_TANH:                                                             \
				return tanh_##suffix(x);                                               \
			case ACT_GELU_10:                                                          \
				return bound_##suffix(x * normal_##suffix(x), -10.0f, 10.0f);          \
			case ACT_RELU2:                                                            \
				x = x < 0.0f ? (floats) 0.0f : x;                                      \
				return x * x;                                                          \
			case ACT_RELU6:                                                            \
				return bound_##suffix(x, 0.0f, 6.0f);                                  \
			case ACT_MISH:                                                             \
				return mish_##suffix(x);                                               \
			case ACT_SIGMOID:                                                          \
				return sigmoid_##suffix(x);                                            \
			case ACT_LAPLACE:                                                          \
				return normal_##suffix((x - 0.707107f) / 0.282095f);                   \
			case ACT_LEAKY_RELU:                                                       \
				return x < 0.0f ? x * 0.01f : x;                                       \
			case ACT_HARDSWISH:                                                        \
				return x * (bound_##suffix(x + 3.0f, 0.0f, 6.0f) / 6.0f);              \
			case ACT_SQRTSOFTPLUS:                                                     \
				return sqrt(softplus_##suffix(x));                                     \
			case ACT_PRELU:                                                            \
				return x < 0.0f ? x * parameters[0] : x;                               \
			case ACT_XIELU:                                                            \
				return xielu_##suffix(x, parameters);                                  \
			default: /* ACT_LINEAR */                                                  \
				return x;                                                              \
		}                                                                              \
	}

DEFINE_MATH(float, int, 1)
DEFINE_MATH(float16, int16, 16)
