/*
 * coefficients.cl
 *	  Made by scripts/fit_kernels.py: change it there.
 */

/* 2^r on |r| <= 1/2; largest relative error 6.7e-08 */
#define EXP2_C1 6.931471825e-01f
#define EXP2_C2 2.402265072e-01f
#define EXP2_C3 5.550356954e-02f
#define EXP2_C4 9.618030861e-03f
#define EXP2_C5 1.339086681e-03f
#define EXP2_C6 1.546973508e-04f

/* normal distribution at -z is 2^(-1 - z poly(z)); largest error 3.5e-08 */
#define NORMAL_C0 1.151105165e+00f
#define NORMAL_C1 4.592081904e-01f
#define NORMAL_C2 5.249617994e-02f
#define NORMAL_C3 -7.063420024e-03f
#define NORMAL_C4 1.369364327e-04f
#define NORMAL_C5 1.861801866e-04f
#define NORMAL_C6 -3.937767178e-05f
#define NORMAL_C7 2.834910674e-06f

/* atanh(z) / z - 1 = w poly(w), w = z^2 <= 1/9; log(1 + t) to a relative 1.5e-07 */
#define ATANH_C0 3.333320618e-01f
#define ATANH_C1 2.001084983e-01f
#define ATANH_C2 1.399957091e-01f
#define ATANH_C3 1.401222944e-01f
