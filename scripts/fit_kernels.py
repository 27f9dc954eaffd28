#!/usr/bin/env python3
"""Fit the polynomials of kernels/common.cl and print kernels/coefficients.cl.

    scripts/fit_kernels.py > kernels/coefficients.cl

Minimax fits by Remez' exchange in double precision, coefficients rounded to float32, then
the largest error of the float32 evaluation with fma. Standard library only; needed by
nobody but who changes a degree or a range.
"""
import math
import struct

EXP2_DEGREE = 6
NORMAL_DEGREE = 8
NORMAL_LIMIT = 5.8  # at -5.8 the distribution is 3e-9; the fit goes on falling from there
LOG1P_DEGREE = 4
POINTS = 4000  # where errors are looked at


def float32(x):
    return struct.unpack("f", struct.pack("f", x))[0]


def chebyshev(u, degree):
    """T0(u) .. Tdegree(u)."""
    values = [1.0, u]
    while len(values) <= degree:
        values.append(2 * u * values[-1] - values[-2])
    return values[:degree + 1]


def solve(rows, right):
    """Gauss elimination."""
    n = len(right)
    rows = [row + [value] for row, value in zip(rows, right)]
    for i in range(n):
        pivot = max(range(i, n), key=lambda r: abs(rows[r][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for r in range(i + 1, n):
            factor = rows[r][i] / rows[i][i]
            rows[r] = [a - factor * b for a, b in zip(rows[r], rows[i])]
    x = [0.0] * n
    for i in reversed(range(n)):
        rest = sum(rows[i][c] * x[c] for c in range(i + 1, n))
        x[i] = (rows[i][n] - rest) / rows[i][i]
    return x


def alternating_extrema(errors, n):
    """Indexes of n extrema of alternating sign, the smallest ends left out."""
    found = []
    for i, error in enumerate(errors):
        if found and (error > 0) == (errors[found[-1]] > 0):
            if abs(error) > abs(errors[found[-1]]):
                found[-1] = i
        else:
            found.append(i)
    while len(found) > n:
        found.pop(0 if abs(errors[found[0]]) < abs(errors[found[-1]]) else -1)
    return found


def to_monomials(series, low, high):
    """Chebyshev series over [low, high] -> coefficients of powers of x, lowest first."""
    scale, shift = 2 / (high - low), -(low + high) / (high - low)

    def times_u(polynomial):
        result = [shift * c for c in polynomial] + [0.0]
        for i, c in enumerate(polynomial):
            result[i + 1] += scale * c
        return result

    result = [0.0] * len(series)
    previous, current = [1.0], [shift, scale]
    for j, weight in enumerate(series):
        t = previous if j == 0 else current
        for i, c in enumerate(t):
            result[i] += weight * c
        if j > 0:
            following = [2 * c for c in times_u(current)]
            for i, c in enumerate(previous):
                following[i] -= c
            previous, current = current, following
    return result


def fit(f, weight, low, high, degree):
    """Coefficients, lowest first, that make the largest weight(x) |p(x) - f(x)| small."""
    n = degree + 2
    nodes = [-math.cos(math.pi * k / POINTS) for k in range(POINTS + 1)]
    xs = [low + (high - low) * (u + 1) / 2 for u in nodes]
    wanted, weights = [f(x) for x in xs], [weight(x) for x in xs]
    basis = [chebyshev(u, degree) for u in nodes]
    chosen = [round(k * POINTS / (n - 1)) for k in range(n)]
    for _ in range(30):
        rows = [basis[i] + [(-1) ** k / weights[i]] for k, i in enumerate(chosen)]
        series = solve(rows, [wanted[i] for i in chosen])[:-1]
        errors = [(sum(c * t for c, t in zip(series, basis[i])) - wanted[i]) * weights[i]
                  for i in range(POINTS + 1)]
        better = alternating_extrema(errors, n)
        if len(better) < n or better == chosen:
            break
        chosen = better
    return [float32(c) for c in to_monomials(series, low, high)]


def horner32(coefficients, x):
    """Evaluate as the kernel does: every step one fma in float32."""
    y = coefficients[-1]
    for c in coefficients[-2::-1]:
        y = float32(y * x + c)
    return y


def walk(low, high):
    return (float32(low + (high - low) * i / 40000) for i in range(40001))


def fit_exp2():
    """2^r - 1 = r poly(r) on |r| <= 1/2."""
    coefficients = fit(lambda r: math.expm1(r * math.log(2)) / r if r else math.log(2),
                       lambda r: 1.0, -0.5, 0.5, EXP2_DEGREE - 1)
    error = max(abs(horner32([1.0] + coefficients, r) / 2 ** r - 1) for r in walk(-0.5, 0.5))
    return coefficients, error


def fit_normal():
    """The normal distribution below 0, at -z: 2^(-1 - z poly(z))."""
    def distribution(z):
        return 0.5 * math.erfc(z / math.sqrt(2))

    coefficients = fit(lambda z: -(math.log2(distribution(z)) + 1) / z,
                       lambda z: distribution(z) * z * math.log(2),
                       1e-6, NORMAL_LIMIT, NORMAL_DEGREE - 1)
    error = max(abs(2.0 ** float32(-z * horner32(coefficients, z) - 1) - distribution(z))
                for z in walk(0, NORMAL_LIMIT))
    return coefficients, error


def fit_log1p():
    """log(1 + t) = 2 z + 2 z w poly(w) with z = t / (2 + t), w = z^2; for 0 <= t <= 1."""
    coefficients = fit(lambda w: (math.atanh(math.sqrt(w)) / math.sqrt(w) - 1) / w,
                       lambda w: w, 1e-4, 1 / 9, LOG1P_DEGREE - 1)

    def kernel_log1p(t):
        z = float32(t / float32(2 + t))
        w = float32(z * z)
        p = float32(w * horner32(coefficients, w))
        return float32(float32(2 * z) * p + float32(2 * z))

    error = max(abs(kernel_log1p(t) / math.log1p(t) - 1) for t in walk(0, 1) if t > 0)
    return coefficients, error


def define(name, value):
    print(f"#define {name} {float32(value):.9e}f")


def define_polynomial(title, name, first, coefficients, error):
    print(f"\n/* {title} {error:.1e} */")
    for i, c in enumerate(coefficients, first):
        define(f"{name}_C{i}", c)


def main():
    print("/*\n * coefficients.cl\n *\t  Made by scripts/fit_kernels.py: change it there.\n */")
    define_polynomial("2^r on |r| <= 1/2; largest relative error", "EXP2", 1, *fit_exp2())
    define_polynomial("normal distribution at -z is 2^(-1 - z poly(z)); largest error",
                      "NORMAL", 0, *fit_normal())
    define_polynomial("atanh(z) / z - 1 = w poly(w), w = z^2 <= 1/9; log(1 + t) to a relative",
                      "ATANH", 0, *fit_log1p())


if __name__ == "__main__":
    main()
