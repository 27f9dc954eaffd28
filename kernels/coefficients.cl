/*
 * coefficients.cl
 *	  Made by scripts/fit_kernels.py: change it there.
 */

/* 2^r on |r| <= 1/2; largest relative error 6.7e-08 */
#define EXP2_C1 6.931471825e-01f
#define EXP2_C2 2.402265072e-01f
#define EXP2_C3 5.550356954e-02f
#define EXP2_C4 9.618083015e-03f
#define EXP2_C5 1.339086331e-03f
#define EXP2_C6 1.545316336e-04f

/* erf(x) / x in u = x^2 ERF_SCALE - 1; largest absolute error of erf 1.6e-07 */
#define ERF_LIMIT 3.920000076e+00f
#define ERF_SCALE 1.301541030e-01f
#define ERF_C0 3.607368171e-01f
#define ERF_C1 -1.801085919e-01f
#define ERF_C2 1.340847909e-01f
#define ERF_C3 -1.091805398e-01f
#define ERF_C4 9.059291333e-02f
#define ERF_C5 -7.400415093e-02f
#define ERF_C6 5.842158943e-02f
#define ERF_C7 -4.351752624e-02f
#define ERF_C8 2.962136827e-02f
#define ERF_C9 -1.978485845e-02f
#define ERF_C10 1.432561595e-02f
#define ERF_C11 -7.950687781e-03f
#define ERF_C12 1.833373331e-03f
#define ERF_C13 -1.192202908e-03f
#define ERF_C14 2.124123275e-03f
#define ERF_C15 -9.000014397e-04f
