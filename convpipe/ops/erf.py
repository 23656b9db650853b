"""The error function and its complement, which NumPy lacks and whose `math` version takes one number at a time.

W. J. Cody, "Rational Chebyshev approximations for the error function", Mathematics of Computation 23 (1969),
631-637, with the coefficients of his program CALERF: one quotient of polynomials for each of three ranges of |x|.
"""

from __future__ import annotations

import math

import numpy as np

from convpipe.tensors import Array

# Highest power first. |x| <= SMALL: erf(x) = x * quotient(x**2).
SMALL = 0.46875
SMALL_NUMERATOR = (
    1.85777706184603153e-1,
    3.16112374387056560e0,
    1.13864154151050156e2,
    3.77485237685302021e2,
    3.20937758913846947e3,
)
SMALL_DENOMINATOR = (
    1.0,
    2.36012909523441209e1,
    2.44024637934444173e2,
    1.28261652607737228e3,
    2.84423683343917062e3,
)

# SMALL < |x| <= MIDDLE: erfc(x) = exp(-x**2) * quotient(x).
MIDDLE = 4.0
MIDDLE_NUMERATOR = (
    2.15311535474403846e-8,
    5.64188496988670089e-1,
    8.88314979438837594e0,
    6.61191906371416295e1,
    2.98635138197400131e2,
    8.81952221241769090e2,
    1.71204761263407058e3,
    2.05107837782607147e3,
    1.23033935479799725e3,
)
MIDDLE_DENOMINATOR = (
    1.0,
    1.57449261107098347e1,
    1.17693950891312499e2,
    5.37181101862009858e2,
    1.62138957456669019e3,
    3.29079923573345963e3,
    4.36261909014324716e3,
    3.43936767414372164e3,
    1.23033935480374942e3,
)

# MIDDLE < |x|: erfc(x) = exp(-x**2) / x * (1/sqrt(pi) - quotient(1/x**2) / x**2), and 0 from LARGE on.
LARGE = 27.3  # from where erfc is below half the least float64, 2.5e-324
LARGE_NUMERATOR = (
    1.63153871373020978e-2,
    3.05326634961232344e-1,
    3.60344899949804439e-1,
    1.25781726111229246e-1,
    1.60837851487422766e-2,
    6.58749161529837803e-4,
)
LARGE_DENOMINATOR = (
    1.0,
    2.56852019228982242e0,
    1.87295284992346725e0,
    5.27905102951428412e-1,
    6.05183413124413191e-2,
    2.33520497626869185e-3,
)


def erf(x: Array) -> Array:
    """The error function, 2/sqrt(pi) times the integral of exp(-t**2) from 0 to x.

    Args:
        x: any shape, float32 or float64, which the result keeps; computed in that dtype.

    Returns:
        An array like `x`, within a few units in the last place; NaN of NaN.

    >>> erf(np.array([-np.inf, 0.0, 0.5])).tolist() == [-1, 0, math.erf(0.5)]
    True
    """
    with np.errstate(all="ignore"):
        result: Array = np.copysign(1 - positive_erfc(np.abs(x)), x)
        small = np.abs(x) <= SMALL
        result[small] = small_erf(x[small])
        return result


def erfc(x: Array) -> Array:
    """The complement 1 - erf(x), accurate also where it is tiny.

    Args:
        x: any shape, float32 or float64, which the result keeps; computed in that dtype.

    Returns:
        An array like `x`, within a few units in the last place; NaN of NaN.

    >>> abs(float(erfc(np.array([10.0]))[0]) / math.erfc(10) - 1) < 1e-14
    True
    """
    with np.errstate(all="ignore"):
        result = positive_erfc(np.abs(x))
        result = np.where(x < 0, 2 - result, result)
        small = np.abs(x) <= SMALL
        result[small] = 1 - small_erf(x[small])
        return result


def small_erf(x: Array) -> Array:
    """erf for |x| <= SMALL."""
    return x * quotient(SMALL_NUMERATOR, SMALL_DENOMINATOR, x * x)


def positive_erfc(x: Array) -> Array:
    """erfc for SMALL < x; what lies below is left for `small_erf`."""
    result = np.where(np.isnan(x), x, 0)  # 0: from LARGE on
    middle = (x > SMALL) & (x <= MIDDLE)
    part = x[middle]
    result[middle] = falling(part) * quotient(MIDDLE_NUMERATOR, MIDDLE_DENOMINATOR, part)
    large = (x > MIDDLE) & (x < LARGE)
    part = x[large]
    square = 1 / (part * part)
    rest = 1 / math.sqrt(math.pi) - square * quotient(LARGE_NUMERATOR, LARGE_DENOMINATOR, square)
    result[large] = falling(part) * rest / part
    return result


def falling(x: Array) -> Array:
    """exp(-x**2) without the error that rounding x**2 would bring: x is split into sixteenths and a rest."""
    coarse = np.trunc(x * 16) / 16  # its square is exact
    power: Array = np.exp(-coarse * coarse) * np.exp(-(x - coarse) * (x + coarse))
    return power


def quotient(numerator: tuple[float, ...], denominator: tuple[float, ...], x: Array) -> Array:
    """One polynomial divided by another, each by Horner's rule."""
    value = horner(numerator, x)
    value /= horner(denominator, x)
    return value


def horner(coefficients: tuple[float, ...], x: Array) -> Array:
    """A polynomial, its coefficients from the highest power down.

    >>> horner((2.0, 0.0, 1.0), np.array([3.0]))
    array([19.])
    """
    value = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value *= x
        value += coefficient
    return value
