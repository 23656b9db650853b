"""Integers less their zero point, so that 0 stands for 0."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convpipe.errors import ConfigError
from convpipe.fields import field, whole
from convpipe.ops import Array, Convolution, Form, Made, Operation, Tensor, cellwise, like, numeric
from convpipe.ops.arrays.narrowing import bits_needed
from convpipe.tensors import exact_range

CENTERED = (np.int16, np.int32, np.int64)


def center(x: ArrayLike, zero_point: ArrayLike = 0) -> Array:
    """Subtract a zero point.

    Args:
        x: any shape, integers.
        zero_point: a whole number, or one for each channel along the last axis.

    Returns:
        An array of the shape of `x`: of the smallest of int16, int32 and int64 that holds whatever dtype of `x` and
        zero point may give.

    Raises:
        ConfigError: an `x` of no integers, or a zero point that is none.

    >>> center(np.array([-128, 127], np.int8), -128)
    array([  0, 255], dtype=int16)
    """
    cells, zero = numeric("x", x), np.asarray(zero_point)
    if zero.dtype.kind not in "iu" or zero.dtype == bool:
        raise ConfigError("zero_point", zero_point, "whole numbers")
    target = centered_dtype(cells.dtype, zero.reshape(-1).tolist())
    made: Array = np.subtract(cells, zero.astype(target), dtype=target)
    return made


def centered_dtype(dtype: np.dtype[Any], zeros: list[int]) -> np.dtype[Any]:
    """The dtype that holds all integers of another less any of these zero points.

    Raises:
        ConfigError: no integers, or none holds them.
    """
    if dtype.kind == "f":
        raise ConfigError("x", dtype, "integers, which a zero point belongs to")
    low, high = exact_range(dtype)
    bits = bits_needed(low - max(zeros), high - min(zeros))
    for wide in map(np.dtype, CENTERED):
        if bits <= 8 * wide.itemsize:
            return wide
    raise ConfigError("zero_point", max(zeros, key=abs), f"one near 0, as the cells are {dtype}")


class Center(Operation):
    """Integers less their zero point; of a quantised convolution its columns."""

    zero_point: int = field(whole(), 0, "What is subtracted: the integer that stands for 0.")

    function = staticmethod(center)

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
