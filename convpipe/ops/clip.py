"""Each cell brought into a range."""

from typing import Any

import numpy as np

from convpipe.ops import Array, ConfigError, Made, Operation, Tensor, field, number, optional


def clip(x: Array, low: float | None = None, high: float | None = None) -> Array:
    """Replace cells below `low` by it, and cells above `high` by that.

    Args:
        x: any shape, any integer or float dtype, which the result keeps.
        low, high: any number; of integers one that their dtype holds, of floats rounded to theirs.

    Returns:
        An array like `x`, in C order. NaN stays NaN.

    Raises:
        ConfigError: a limit that the dtype does not hold, or `low` above `high`.

    Source:
        ONNX Clip.

    >>> clip(np.array([-9, 1, 0, -7]), low=-5, high=0)
    array([-5,  0,  0, -5])
    """
    least, most = checked_limits(low, high, x.dtype)
    result = np.array(x, order="C")
    if least is not None:
        np.maximum(result, least, out=result)
    if most is not None:
        np.minimum(result, most, out=result)
    return result


def checked_limits(low: float | None, high: float | None, dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """Both limits as scalars of a dtype, or None.

    Raises:
        ConfigError: as `clip`.
    """
    if low is not None and high is not None and low > high:
        raise ConfigError("high", high, f"a number from low, {low}")
    return held("low", low, dtype), held("high", high, dtype)


def held(key: str, value: float | None, dtype: np.dtype[Any]) -> Any:
    """A number as a scalar of a dtype; a whole one that fits, of integers."""
    if value is None:
        return None
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        if value != int(value) or not info.min <= value <= info.max:
            raise ConfigError(key, value, f"a whole number from {info.min} to {info.max}, as the cells are {dtype}")
        return dtype.type(int(value))
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
