"""Each cell brought into a range."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convpipe.ops import Array, ConfigError, Form, Made, Operation, Tensor, cellwise, field, number, numeric, optional
from convpipe.ops.arrays.arguments import real
from convpipe.ops.arrays.bounds import Bounded, monotone_error
from convpipe.ops.arrays.floats import positive_zeros


def clip(x: ArrayLike, low: float | None = None, high: float | None = None) -> Array:
    """Replace cells below `low` by it, and cells above `high` by that.

    Args:
        x: any shape, any integer or float dtype, which the result keeps.
        low, high: any number; of integers one that their dtype holds, of floats rounded to theirs.

    Returns:
        An array like `x`, in C order. NaN stays NaN. Where a limit is 0, every zero is +0, since which of -0 and +0 is
        the larger differs between machines.

    Raises:
        ConfigError: an `x` that is no array of numbers, a limit that is no number or that the dtype does not hold, or
            `low` above `high`.

    Source:
        ONNX Clip.

    >>> clip(np.array([-9, 1, 0, -7]), low=-5, high=0)
    array([-5,  0,  0, -5])
    """
    x = numeric("x", x)
    least, most = checked_limits(low, high, x.dtype)
    result = np.array(x, order="C")
    if least is not None:
        np.maximum(result, least, out=result)
    if most is not None:
        np.minimum(result, most, out=result)
    return positive_zeros(result) if 0 in (least, most) else result


def checked_limits(low: float | None, high: float | None, dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """Both limits as scalars of a dtype, or None.

    Raises:
        ConfigError: as `clip`.
    """
    limits = held("low", low, dtype), held("high", high, dtype)
    if low is not None and high is not None and low > high:
        raise ConfigError("high", high, f"a number from low, {low}")
    return limits


def held(key: str, value: float | None, dtype: np.dtype[Any]) -> Any:
    """A number as a scalar of a dtype; a whole one that fits, of integers."""
    if value is None:
        return None
    value = real(key, value)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        if value != value // 1 or not info.min <= value <= info.max:
            raise ConfigError(key, value, f"a whole number from {info.min} to {info.max}, as the cells are {dtype}")
        return dtype.type(int(value))
    with np.errstate(over="ignore"):  # a limit beyond all that a float holds is infinity, which limits nothing
        return dtype.type(value)


class Clip(Operation):
    """Each cell from `low` to `high`; one that is null does not limit."""

    low: float | None = field(optional(number()), None, "The smallest value that stays; null does not limit.")
    high: float | None = field(optional(number()), None, "The largest value that stays; null does not limit.")

    function = staticmethod(clip)

    def plan(self, x: Tensor) -> Made:
        """A tensor like `x`."""
        checked_limits(self.low, self.high, x.dtype)
        return super().plan(x)

    def error(self, made: Array, x: Bounded) -> Array:
        """As it was, and none where every right run is beyond a limit."""
        low, high = checked_limits(self.low, self.high, x.values.dtype)
        limits = (-np.inf if low is None else low, np.inf if high is None else high)
        return monotone_error(x, lambda cells: np.clip(cells, *limits))

    def form(self, x: Tensor) -> Form:
        """The cell between the limits there are, which are rounded to its dtype as it is."""
        limits = zip(("low", "high"), checked_limits(self.low, self.high, x.dtype), strict=True)
        there = {name: limit.item() for name, limit in limits if limit is not None}
        raised = "max(x, low)" if "low" in there else "x"
        return cellwise(f"min({raised}, high)" if "high" in there else raised, x, **there)
