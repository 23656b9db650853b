"""Numbers as machines hold them, made of exact ones: wrapped at so many bits, rounded to a float, or to a whole number.

The page has the same functions in `forms.mjs`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context
from fractions import Fraction
from functools import partial
from typing import Any

MOST_WHOLE = 2**62  # to which `rint` cuts, as `ops.arrays.rescaling.whole` does
WIDTHS = range(2, 65)  # of integers
PAIR = 2**15  # where sums of two products saturate
DIGITS = [Context(prec=count, rounding=ROUND_HALF_UP) for count in range(1, 18)]  # as JavaScript rounds them


def wrapped(value: int, bits: int, signed: bool = True) -> int:
    """A whole number modulo 2**bits.

    >>> wrapped(128, 8), wrapped(-1, 8, signed=False), wrapped(5, 4)
    (-128, 255, 5)
    """
    found: int = value % 2**bits
    return found - 2**bits if signed and found >= 2 ** (bits - 1) else found


def float32(value: Any) -> Any:
    """The nearest float32, of two the even one; beyond the largest infinity.

    >>> float32(2**24 + 1) == 2**24, float32(Fraction(1, 10)), float32(2**128)
    (True, Fraction(13421773, 134217728), inf)
    """
    if isinstance(value, float) or not value:
        return value
    size = abs(Fraction(value))
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    exponent -= size < Fraction(2) ** exponent
    step = Fraction(2) ** max(exponent - 23, -149)
    found = round(size / step) * step
    if found >= 2**128:
        return math.copysign(math.inf, value)
    return found if value > 0 else -found


def float64(value: Any) -> Any:
    """The nearest float64, likewise.

    >>> float64(2**53 + 1) == 2**53
    True
    """
    if isinstance(value, float) and not math.isfinite(value):
        return value
    try:
        return Fraction(float(value))
    except OverflowError:
        return math.copysign(math.inf, value)


def rint(value: Any) -> int:
    """The nearest whole number, of two the even one; 0 of NaN, and none beyond 2**62.

    >>> rint(Fraction(5, 2)), rint(Fraction(-7, 2)), rint(float("-inf")) == -(2**62), rint(float("nan"))
    (2, -4, True, 0)
    """
    if value != value:
        return 0
    if math.isinf(value):
        return MOST_WHOLE if value > 0 else -MOST_WHOLE
    found: int = max(-MOST_WHOLE, min(round(value), MOST_WHOLE))
    return found


MACHINE: dict[str, Callable[[Any], Any]] = {
    "f32": float32,
    "f64": float64,
    "rint": rint,
    **{f"wrap{bits}": partial(wrapped, bits=bits) for bits in WIDTHS},
    **{f"wrapu{bits}": partial(wrapped, bits=bits, signed=False) for bits in WIDTHS},
}


# Sums in accumulators


def saturating(terms: list[int], low: int, high: int, every: int) -> int:
    """A sum that is cut to a range after every so many terms.

    >>> saturating([100, 100, -100], -128, 127, 1), saturating([100, 100, -100], -128, 127, 3)
    (27, 100)
    """
    found = 0
    for start in range(0, len(terms), every):
        found = max(low, min(found + sum(terms[start : start + every]), high))
    return found


def pairs16(terms: list[int]) -> int:
    """A sum of sums of two terms that are cut to 16 bits.

    >>> pairs16([30000, 30000, -1])
    32766
    """
    pairs = (sum(terms[start : start + 2]) for start in range(0, len(terms), 2))
    return sum(max(-PAIR, min(pair, PAIR - 1)) for pair in pairs)


def precise(value: Any) -> str:
    """A number with all that tells it from its neighbours: a float32 with as few digits as that takes.

    >>> precise(Fraction(5, 2)), precise(float32(Fraction(1, 10))), precise(0.1), precise(16777217)
    ('2.5', '0.1', '0.1', '16777217')
    """
    if isinstance(value, int) or not math.isfinite(value):
        return str(value)
    found = float64(value)
    if found.denominator == 1:
        return str(found.numerator)
    near = float32 if float32(found) == found else float64
    texts = (str(rounding.create_decimal(float(found))) for rounding in DIGITS)
    return next(text.replace("E", "e") for text in texts if near(Fraction(text)) == near(found))
