"""The oracle's numbers: exact fractions, and what a dtype makes of them."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Index = tuple[int, ...]


@dataclass(frozen=True)
class Exact:
    """Numbers kept exactly: Python integers, each a number of 1/unit."""

    parts: Array
    unit: int


def exact(values: Array) -> Exact:
    """Integers or finite floats as whole numbers of the largest unit that suits them all.

    >>> exact(np.array([0.5, 3.0])).parts.tolist(), exact(np.array([0.5, 3.0])).unit
    ([1, 6], 2)
    """
    ratios = [value.as_integer_ratio() for value in values.ravel().tolist()]
    unit = max((denominator for _, denominator in ratios), default=1)  # each a power of two
    parts = np.empty(len(ratios), object)
    parts[:] = [numerator * (unit // denominator) for numerator, denominator in ratios]
    return Exact(parts.reshape(values.shape), unit)


def rounded(values: Exact, floats: bool) -> Array:
    """Exact numbers as float64, each rounded once, or left as Python integers."""
    if not floats:
        return values.parts
    flat = [quotient(part, values.unit) for part in values.parts.ravel()]
    return np.array(flat, np.float64).reshape(values.parts.shape)


def quotient(part: int, unit: int) -> float:
    """part / unit, which Python rounds correctly, and infinity where that is too large for a float."""
    try:
        return part / unit
    except OverflowError:
        return math.inf if part > 0 else -math.inf


def narrow(values: Array, dtype: Any, overflow: str) -> Array:
    """Python integers in an integer dtype, after the rule for those that do not fit.

    Args:
        values: any shape, dtype object.
        dtype: an integer dtype.
        overflow: ``error``, ``wrap`` (modulo 2**bits) or ``saturate`` (the nearest value that fits).

    Returns:
        An array like `values`, of `dtype`.

    Raises:
        OverflowError: with ``error``, a value that does not fit.

    >>> narrow(np.array([300, -1], object), "uint8", "wrap").tolist()
    [44, 255]
    """
    rule = {"error": fits, "wrap": wrap, "saturate": saturate}[overflow]
    flat = [rule(int(value), *limits(np.dtype(dtype))) for value in values.ravel()]
    return np.array(flat, dtype).reshape(values.shape)


def limits(dtype: np.dtype[Any]) -> tuple[int, int]:
    """The smallest and the largest value of an integer dtype.

    >>> limits(np.dtype("int8")), limits(np.dtype("uint8"))
    ((-128, 127), (0, 255))
    """
    bits = 8 * dtype.itemsize
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dtype.kind == "i" else (0, 2**bits - 1)


def fits(value: int, low: int, high: int) -> int:
    """The value, if it lies in the range."""
    if not low <= value <= high:
        raise OverflowError(f"{value} is not in {low} to {high}")
    return value


def wrap(value: int, low: int, high: int) -> int:
    """The value in the range that differs by a multiple of the range's length."""
    return low + (value - low) % (high - low + 1)


def saturate(value: int, low: int, high: int) -> int:
    """The nearest value in the range."""
    return min(max(value, low), high)
