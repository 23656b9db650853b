"""x / divisor, in floats: 255 brings the values of a picture to [0, 1]."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from convpipe.fields import choice, field, number
from convpipe.ops import (
    FLOAT_DTYPES,
    Array,
    ConfigError,
    Made,
    Operation,
    Tensor,
    checked,
    dtype_of,
    like,
    numeric,
)


def scale(x: ArrayLike, divisor: float = 255, dtype: DTypeLike = "float32") -> Array:
    """Divide by a number in float64, then round to `dtype`.

    Args:
        x: any shape, any integer or float dtype.
        divisor: any number but 0.
        dtype: of the result, a float.

    Returns:
        An array of the shape of `x`. NaN and infinity as IEEE says.

    Raises:
        ConfigError: an `x` that is no array of numbers, another divisor, or a dtype that is no float.

    >>> scale(np.array([0, 51, 255], np.uint8))
    array([0. , 0.2, 1. ], dtype=float32)
    """
    x, target = numeric("x", x), dtype_of("dtype", dtype, FLOAT_DTYPES)
    [divisor] = checked(Scale, divisor=divisor)
    check_divisor(divisor)
    with np.errstate(all="ignore"):
        quotients: Array = np.divide(x, divisor, dtype=np.float64, order="C")
        return quotients.astype(target, copy=False)


def check_divisor(divisor: float) -> None:
    """A number that divides."""
    if not divisor:
        raise ConfigError("divisor", divisor, "a number other than 0")


class Scale(Operation):
    """x / divisor, in floats: 255 brings the values of a picture to [0, 1]."""

    divisor: float = field(number(), 255, "What each cell is divided by.")
    dtype: str = field(choice(FLOAT_DTYPES), "float32", "The result's dtype, a float.")

    function = staticmethod(scale)

    def plan(self, x: Tensor) -> Made:
        """A tensor like `x`, in that dtype."""
        check_divisor(self.divisor)
        return like(x, dtype=np.dtype(self.dtype))
