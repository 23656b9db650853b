"""Numbers for judges: exact values, with what IEEE says of infinities, and how far a float result may lie from them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

SPARE = 4  # roundings beside those of sums and products: of operands, of this bound


@dataclass(frozen=True, slots=True)
class Number:
    """A result's true value, and what bounds the error of whoever computes it in floats."""

    value: Any  # an int or a Fraction; a float where it is NaN or infinite
    size: Any = 0  # the sum of the magnitudes of all its terms
    steps: int = 0  # roundings on the way, at most
    way: Any = 0  # the largest magnitude that it was made of

    @classmethod
    def of(cls, value: float) -> Number:
        """A given number."""
        if isinstance(value, float):
            if not math.isfinite(value):
                return cls(value)
            value = int(value) if value.is_integer() else Fraction(value)  # type: ignore[assignment]
        return cls(value, abs(value))

    @classmethod
    def near(cls, value: float, steps: float, size: float | None = None) -> Number:
        """What `math` made, which so many roundings of its own size may separate from what is judged."""
        if not math.isfinite(value):
            return cls(value)
        return cls(Fraction(value), Fraction(abs(value) if size is None else size), int(min(steps, 1 << 16)))

    def __add__(self, other: Number) -> Number:
        return self.combined(other, add(self.value, other.value), self.size + other.size)

    def __neg__(self) -> Number:
        return Number(-self.value, self.size, self.steps, self.way)

    def __sub__(self, other: Number) -> Number:
        return self + -other

    def __mul__(self, other: Number) -> Number:
        return self.combined(other, multiply(self.value, other.value), self.size * other.size)

    def __truediv__(self, other: Number) -> Number:
        size = Fraction(self.size) / abs(other.value) if is_finite(other.value) and other.value else Fraction(0)
        return self.combined(other, divide(self.value, other.value), size)

    def combined(self, other: Number, value: Any, size: Any) -> Number:
        """What came of two numbers."""
        way = max(self.size, other.size, self.way, other.way)
        return Number(value, size, self.steps + other.steps + 1, way)

    def __lt__(self, other: Number) -> bool:
        return bool(self.value < other.value)

    @property
    def finite(self) -> bool:
        """Whether it is neither NaN nor infinite."""
        return is_finite(self.value)


ZERO = Number(0)


def is_finite(value: Any) -> bool:
    """Whether a value is exact."""
    return not isinstance(value, float)


def as_float(value: Any) -> float:
    """A stand-in for an exact value beside infinities and NaNs: its sign is all that counts."""
    return value if isinstance(value, float) else float((value > 0) - (value < 0))


def add(left: Any, right: Any) -> Any:
    """A sum."""
    if is_finite(left) and is_finite(right):
        return left + right
    return right if is_finite(left) else left if is_finite(right) else left + right


def multiply(left: Any, right: Any) -> Any:
    """A product; infinity times 0 is NaN."""
    return left * right if is_finite(left) and is_finite(right) else as_float(left) * as_float(right)


def divide(left: Any, right: Any) -> Any:
    """A quotient; by infinity it is 0, and by 0 what IEEE says."""
    if is_finite(right) and right and is_finite(left):
        return Fraction(left) / right
    if is_finite(right) and right:
        return left * as_float(right)
    if is_finite(right):
        return math.nan if left != left or not left else math.copysign(math.inf, as_float(left))
    return 0 if is_finite(left) and math.isinf(right) else math.nan


def numbers(array: np.ndarray) -> np.ndarray:
    """An array's numbers, exact: an array of objects."""
    found = np.empty(array.size, object)
    found[:] = [Number.of(value) for value in array.ravel().tolist()]
    return found.reshape(array.shape)


def total(values: np.ndarray, axis: int | tuple[int, ...]) -> np.ndarray:
    """The sum of numbers along axes."""
    axes = (axis,) if isinstance(axis, int) else axis
    for each in sorted((each % values.ndim for each in axes), reverse=True):
        values = np.add.reduce(values, axis=each, initial=ZERO)
    return np.asarray(values, object)


# Verdicts


@dataclass(frozen=True)
class Expected:
    """What a function has to give: true values, in a dtype."""

    cells: np.ndarray  # of Number
    dtype: np.dtype[Any]
    wide: np.dtype[Any] = np.dtype(np.float64)  # the float that sums are made in
    rounded: bool = False  # whether floats are the true values, rounded once


def error_of(number: Number, dtype: np.dtype[Any], wide: np.dtype[Any]) -> Any:
    """How far a float result of a dtype may lie from the true value.

    With K roundings in the unit u it is gamma_K * sum|terms|, gamma_K = K*u / (1 - K*u) (N. J. Higham, Accuracy and
    Stability of Numerical Algorithms, 2nd edition, section 3.1), then rounding to the dtype, and what subnormals lose.
    Nothing at all where whole numbers are small enough.
    """
    result, sums = np.finfo(dtype), np.finfo(wide)
    held = 2 ** (min(result.nmant, sums.nmant) + 1)
    if isinstance(number.value, int) and isinstance(number.size, int) and number.size <= held:
        return 0
    unit = (number.steps + SPARE) * Fraction(float(sums.eps)) / 2
    lost = unit / (1 - unit) * number.size + (number.steps + SPARE) * Fraction(float(sums.smallest_subnormal))
    rounding = Fraction(float(result.eps)) / 2 * (abs(number.value) + lost)
    return lost + rounding + Fraction(float(result.smallest_subnormal))


def beyond(number: Number, expected: Expected) -> tuple[bool, bool]:
    """Whether a true value must, and whether it may, be found outside of the dtype; infinities and NaN are not."""
    if not number.finite:
        return False, False
    if expected.dtype.kind != "f":
        info = np.iinfo(expected.dtype)
        outside = not info.min <= number.value <= info.max
        return outside, outside
    largest = Fraction(float(np.finfo(expected.dtype).max))
    half = (largest - Fraction(float(np.nextafter(np.finfo(expected.dtype).max, expected.dtype.type(0))))) / 2
    error = error_of(number, expected.dtype, expected.wide)
    return abs(number.value) - error >= largest + half, abs(number.value) + error >= largest


def is_right(found: Any, number: Number, expected: Expected, overflow: str) -> bool:
    """Whether one cell is what it has to be."""
    must, may = beyond(number, expected)
    if expected.dtype.kind != "f":
        return bool(found == fitted(number.value, expected.dtype, overflow)) and (overflow != "error" or not must)
    if not number.finite:
        return bool(found == number.value) or (found != found and number.value != number.value)
    largest, error = float(np.finfo(expected.dtype).max), error_of(number, expected.dtype, expected.wide)
    if overflow == "inf" and number.way >= Fraction(float(np.finfo(expected.wide).max)):
        return True  # whatever IEEE arithmetic makes of it
    if overflow == "inf" and not math.isfinite(found):  # also where only the sum on the way was too large
        return bool(may or number.size >= Fraction(largest))
    if overflow == "saturate" and may and abs(found) == largest:
        return bool((number.value if found > 0 else -number.value) + error >= Fraction(largest))
    if must or not math.isfinite(found):
        return False
    if expected.rounded:
        return bool(np.dtype(expected.dtype).type(float(number.value)) == found)
    return bool(abs(Fraction(found) - number.value) <= error)


def fitted(value: int, dtype: np.dtype[Any], overflow: str) -> int:
    """A whole number in an integer dtype."""
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    if overflow == "wrap":
        return low + (value - low) % (high - low + 1)
    return min(max(value, low), high) if overflow == "saturate" else value


def wrong_cell(found: np.ndarray, expected: Expected, overflow: str) -> str:
    """What is wrong with a result; nothing where nothing is."""
    if (found.shape, found.dtype) != (expected.cells.shape, expected.dtype):
        return f"got {found.dtype} {found.shape}, expected {expected.dtype} {expected.cells.shape}"
    for index in np.ndindex(found.shape):
        value, number = found[index].item(), expected.cells[index]
        if not is_right(value, number, expected, overflow):
            return f"got {value!r} at {index}, expected {number}"
    return ""
