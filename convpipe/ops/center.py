"""Integers less their zero point, so that 0 stands for 0."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convpipe.errors import ConfigError, ValueRangeError
from convpipe.fields import field, whole
from convpipe.ops import Array, Convolution, Form, Made, Operation, Tensor, cellwise, like, numeric
from convpipe.ops.arrays.arguments import as_numeric
from convpipe.ops.arrays.narrowing import bits_needed, bits_range
from convpipe.ops.arrays.shifts import fitting
from convpipe.ops.arrays.sums import largest
from convpipe.tensors import exact_range

CENTERED = (np.int16, np.int32, np.int64)


def center(x: ArrayLike, zero_point: ArrayLike = 0) -> Array:
    """Subtract a zero point.

    Args:
        x: any shape, integers.
        zero_point: a whole number, or one for each channel along the last axis.

    Returns:
        An array of the shape of `x`: of the smallest of int16, int32 and int64 that holds whatever dtype of `x` and
        zero point may give; int64 where that is more.

    Raises:
        ConfigError: an `x` of no integers, or a zero point that is none.
        ValueRangeError: a difference that int64 does not hold.

    >>> center(np.array([-128, 127], np.int8), -128)
    array([  0, 255], dtype=int16)
    """
    cells, zero = numeric("x", x), as_numeric("zero_point", zero_point)
    if zero.dtype.kind not in "iu":
        raise ConfigError("zero_point", zero_point, "whole numbers")
    if zero.size == 0:
        raise ConfigError("zero_point", zero_point, "one number, or one for each channel")
    fitting("zero_point", zero, cells)
    target = centered_dtype(cells.dtype, zero.reshape(-1).tolist())
    if cells.dtype.itemsize == 8:  # 64 bits may not hold a difference
        return exact_difference(cells, zero)
    made: Array = np.subtract(cells, zero.astype(target), dtype=target)
    return made


def exact_difference(cells: Array, zero: Array) -> Array:
    """Integers of 64 bits less a zero point, as int64.

    Raises:
        ValueRangeError: a difference that int64 does not hold.
    """
    low, high = bits_range(64)
    wide = np.int64 if largest(cells) + largest(zero) <= high else object
    exact: Array = cells.astype(wide) - zero.astype(wide)
    wrong = exact[(exact < low) | (exact > high)]
    if wrong.size:
        raise ValueRangeError(f"the difference {wrong[0]} does not fit int64 ({low} to {high})")
    return exact.astype(np.int64)


def centered_dtype(dtype: np.dtype[Any], zeros: list[int]) -> np.dtype[Any]:
    """The dtype that holds all integers of another less any of these zero points; int64 where none does.

    Raises:
        ConfigError: no integers, or a zero point that int64 does not hold.
    """
    if dtype.kind == "f":
        raise ConfigError("x", dtype, "integers, which a zero point belongs to")
    low, high = exact_range(dtype)
    bits = bits_needed(low - max(zeros), high - min(zeros))
    for wide in map(np.dtype, CENTERED):
        if bits <= 8 * wide.itemsize:
            return wide
    if max(zeros) > bits_range(64)[1]:
        raise ConfigError("zero_point", max(zeros), "whole numbers that int64 holds")
    return np.dtype(np.int64)


class Center(Operation):
    """Integers less their zero point; of a quantised convolution its columns."""

    zero_point: int = field(whole(), 0, "What is subtracted: the integer that stands for 0.")

    function = staticmethod(center)
    integers = True

    @classmethod
    def of(cls, conv: Convolution) -> dict[str, Any]:
        """The zero point of what goes in."""
        return {} if conv.quant is None else {"zero_point": conv.quant.input.zero_point}

    @classmethod
    def left_out(cls, conv: Convolution) -> bool:
        """Where that is 0."""
        return conv.quant is not None and conv.quant.input.zero_point == 0

    def plan(self, x: Tensor) -> Made:
        """A tensor like `x`, in a dtype that holds the differences."""
        return like(x, dtype=centered_dtype(x.dtype, [self.zero_point]))

    def form(self, x: Tensor) -> Form:
        """The cell less the zero point."""
        return cellwise("x - zero_point", x, zero_point=self.zero_point)
