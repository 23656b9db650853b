"""x / divisor, in floats: 255 brings the values of a picture to [0, 1]."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from convpipe.fields import choice, field, number
from convpipe.ops import (
    FLOAT_DTYPES,
    Array,
    ConfigError,
    Form,
    Made,
    Operation,
    Tensor,
    cellwise,
    checked,
    dtype_of,
    like,
    numeric,
)
from convpipe.ops.arrays.bounds import Bounded, rounding
from convpipe.ops.arrays.overflow import OVERFLOW, OVERFLOWS, Overflow, check_rule, settled


def scale(x: ArrayLike, divisor: float = 255, dtype: DTypeLike = "float32", overflow: Overflow = "error") -> Array:
    """Divide by a number in float64, then round to `dtype`.

    Args:
        x: any shape, any integer or float dtype.
        divisor: any number but 0.
        dtype: of the result, a float.
        overflow: as in `matmul`, for a quotient that the dtype cannot hold.

    Returns:
        An array of the shape of `x`. NaN and infinity as IEEE says.

    Raises:
        ConfigError: an `x` that is no array of numbers, another divisor, or a dtype that is no float.
        ValueRangeError: with ``overflow="error"``, a quotient that does not fit.

    >>> scale(np.array([0, 51, 255], np.uint8))
    array([0. , 0.2, 1. ], dtype=float32)
    """
    x, target = numeric("x", x), dtype_of("dtype", dtype, FLOAT_DTYPES)
    divisor, overflow = checked(Scale, divisor=divisor, overflow=overflow)
    check_divisor(divisor)
    check_rule(overflow, target)
    with np.errstate(all="ignore"):
        quotients: Array = np.divide(x, divisor, dtype=np.float64, order="C")
    return settled(quotients, target, overflow, lambda: np.isfinite(x), lambda: quotients)


def check_divisor(divisor: float) -> None:
    """A number that divides."""
    if not divisor:
        raise ConfigError("divisor", divisor, "a number other than 0")


class Scale(Operation):
    """x / divisor, in floats: 255 brings the values of a picture to [0, 1]."""

    divisor: float = field(number(), 255, "What each cell is divided by.")
    dtype: str = field(choice(FLOAT_DTYPES), "float32", "The result's dtype, a float.")
    overflow: Overflow = field(choice(OVERFLOWS), "error", OVERFLOW, later=True)

    function = staticmethod(scale)

    def plan(self, x: Tensor) -> Made:
        """A tensor like `x`, in that dtype."""
        check_divisor(self.divisor)
        return like(x, dtype=np.dtype(self.dtype))

    def error(self, made: Array, x: Bounded) -> Array:
        """Divided, and rounded in float64 and to the dtype."""
        divisor = abs(self.divisor)
        return x.error / divisor + rounding(x.size / divisor, made.dtype, 2, np.float64)

    def form(self, x: Tensor) -> Form:
        """The cell divided by the divisor."""
        return cellwise("x / divisor", x, divisor=self.divisor)
