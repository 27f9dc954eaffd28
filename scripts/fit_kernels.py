#!/usr/bin/env python3
"""Fit the polynomials of kernels/common.cl and print kernels/coefficients.cl.

    scripts/fit_kernels.py > kernels/coefficients.cl

Chebyshev interpolation in double precision (near-minimax), coefficients rounded to
float32, then the largest error of the float32 evaluation with fma. Standard library
only; needed by nobody but who changes a degree or a range.
"""
import math
import struct

EXP2_DEGREE = 6
ERF_DEGREE = 15
ERF_LIMIT = 3.92  # erf() is 1 in float32 from here on


def float32(x):
    return struct.unpack("f", struct.pack("f", x))[0]


def chebyshev_fit(f, degree):
    """Coefficients, lowest first, of the polynomial through f's Chebyshev nodes on [-1, 1]."""
    n = degree + 1
    nodes = [math.cos(math.pi * (k + 0.5) / n) for k in range(n)]
    series = [2 / n * sum(f(x) * math.cos(j * math.pi * (k + 0.5) / n) for k, x in enumerate(nodes))
              for j in range(n)]
    series[0] /= 2
    result = [0.0] * n
    previous, current = [1.0], [0.0, 1.0]  # T0, T1
    for j, weight in enumerate(series):
        t = previous if j == 0 else current
        for i, c in enumerate(t):
            result[i] += weight * c
        if j > 0:
            following = [0.0] + [2 * c for c in current]
            for i, c in enumerate(previous):
                following[i] -= c
            previous, current = current, following
    return result


def horner32(coefficients, x):
    """Evaluate as the kernel does: every step one fma in float32."""
    y = coefficients[-1]
    for c in coefficients[-2::-1]:
        y = float32(y * x + c)
    return y


def fit_exp2():
    """2^r - 1 = r * poly(r) on |r| <= 1/2."""
    in_t = chebyshev_fit(lambda t: math.expm1(t / 2 * math.log(2)) / (t / 2) if t else math.log(2),
                         EXP2_DEGREE - 1)
    coefficients = [float32(c * 2 ** i) for i, c in enumerate(in_t)]
    error = max(abs(horner32([1.0] + coefficients, float32(r)) / 2 ** float32(r) - 1)
                for r in (i / 40000 - 0.5 for i in range(40001)))
    return coefficients, error


def fit_erf():
    """erf(x) = x * poly(u), u = 2 x^2 / limit^2 - 1."""
    scale = 2 / ERF_LIMIT ** 2

    def over_x(u):
        x = math.sqrt(max(0.0, (u + 1) / scale))
        return math.erf(x) / x if x > 1e-9 else 2 / math.sqrt(math.pi)

    coefficients = [float32(c) for c in chebyshev_fit(over_x, ERF_DEGREE)]

    def kernel_erf(x):
        u = float32(float32(x * x) * float32(scale) - 1)
        return float32(horner32(coefficients, u) * x)

    error = max(abs(kernel_erf(float32(x)) - math.erf(float32(x)))
                for x in (i * ERF_LIMIT / 40000 for i in range(-40000, 40001)))
    return coefficients, error, scale


def define(name, value):
    print(f"#define {name} {float32(value):.9e}f")


def main():
    exp2, exp2_error = fit_exp2()
    erf, erf_error, scale = fit_erf()
    print("/*\n * coefficients.cl\n *\t  Made by scripts/fit_kernels.py: change it there.\n */")
    print(f"\n/* 2^r on |r| <= 1/2; largest relative error {exp2_error:.1e} */")
    for i, c in enumerate(exp2, 1):
        define(f"EXP2_C{i}", c)
    print(f"\n/* erf(x) / x in u = x^2 ERF_SCALE - 1; largest absolute error of erf {erf_error:.1e} */")
    define("ERF_LIMIT", ERF_LIMIT)
    define("ERF_SCALE", scale)
    for i, c in enumerate(erf):
        define(f"ERF_C{i}", c)


if __name__ == "__main__":
    main()
