"""Integers brought into the range of an activation, as quantised networks have it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from convpipe.errors import ConfigError
from convpipe.fields import choice, field, optional, whole
from convpipe.ops import Array, Convolution, Form, Made, Operation, Tensor, cellwise, like, numeric
from convpipe.ops.arrays.narrowing import BITS_OF, integer_range, limits_in
from convpipe.ops.clip import checked_limits, clip
from convpipe.ops.kinds.quantised import NEAREST, UPPER, activation_limits, positive_number

BEYOND = np.float32(2.0**40)  # more steps than the widest dtype has: a scale may be so small that there is no number


def activation_range(
    activation: str | tuple[int, int],
    scale: float | None = None,
    zero_point: int = 0,
    dtype: str = "int8",
    rounding: str = "half_away",
) -> tuple[int, int]:
    """The integers that an activation leaves, given how they stand for real numbers.

    Args:
        activation: ``none``, ``relu``, ``relu6``, ``relu_n1_to_1``, or [low, high] in integers.
        scale: the real number that one step stands for, rounded to float32; relu6 and relu_n1_to_1 need it.
        zero_point: the integer that stands for 0.
        dtype: of the integers.
        rounding: of 6 / scale and of 1 / scale: ``half_away`` from zero as in TFLite's own kernels, or ``half_even``
            as in XNNPACK.

    Returns:
        The smallest and the largest.

    Raises:
        ConfigError: another activation, dtype or rounding, a scale that is none, or a range that is empty.

    Source:
        CalculateActivationRangeQuantized of TFLite.

    >>> activation_range("relu6", 2.4, -10), activation_range("relu6", 2.4, -10, rounding="half_even")
    ((-10, -7), (-10, -8))
    """
    word = activation_limits("activation", activation)
    low, high = integer_range(choice(BITS_OF)("dtype", dtype))
    zero = whole(low, high)("zero_point", zero_point)
    nearest = choice(NEAREST)("rounding", rounding)
    if isinstance(word, tuple):
        return limits_in(dtype, *word)
    if word == "none":
        return low, high
    if word == "relu":
        return max(low, zero), high
    if scale is None:
        raise ConfigError("scale", None, f"the output's scale, which {word} needs")
    with np.errstate(over="ignore"):
        steps = np.float32(UPPER[word]) / np.float32(positive_number("scale", scale))
    limit = rounded32(min(steps, BEYOND), nearest)
    least = zero if word == "relu6" else zero - limit
    return max(low, least), min(high, zero + limit)


def rounded32(value: np.float32, rounding: str) -> int:
    """A float32 above 0 as a whole number, ties away from zero or to even.

    >>> rounded32(np.float32(2.5), "half_away"), rounded32(np.float32(2.5), "half_even")
    (3, 2)
    """
    found = float(value)  # twice it is exact, where half of it may be a tie
    return int(np.floor(found + 0.5)) if rounding == "half_away" else int(np.rint(found))


def clamp(x: ArrayLike, low: int | None = None, high: int | None = None) -> Array:
    """Replace cells below `low` by it, and cells above `high` by that.

    Args:
        x: any shape, any integer dtype, which the result keeps.
        low, high: whole numbers; null is the dtype's own end.

    Returns:
        An array like `x`.

    Raises:
        ConfigError: an `x` of no integers, or limits that its dtype does not hold.

    >>> clamp(np.array([-9, 1, 90], np.int8), low=0, high=6)
    array([0, 1, 6], dtype=int8)
    """
    cells = numeric("x", x)
    if cells.dtype.kind == "f":
        raise ConfigError("x", cells.dtype, "integers")
    return clip(cells, low, high)


class Clamp(Operation):
    """Integers in the range of an activation; of a quantised convolution in that of its output."""

    low: int | None = field(optional(whole()), None, "The smallest value that stays; null does not limit.")
    high: int | None = field(optional(whole()), None, "The largest value that stays; null does not limit.")

    function = staticmethod(clamp)
    integers = True

    @classmethod
    def of(cls, conv: Convolution) -> dict[str, int]:
        """The range of the output."""
        quant = conv.quant
        if quant is None or quant.rule is None:
            return {}
        out = quant.output
        scale = None if out.scale is None else out.scale
        limits = activation_range(quant.activation, scale, out.zero_point, conv.output_dtype, quant.activation_rounding)
        return dict(zip(("low", "high"), limits, strict=True))

    @classmethod
    def left_out(cls, conv: Convolution) -> bool:
        """Of a convolution that gives its sums."""
        return conv.quant is not None and conv.quant.rule is None

    def plan(self, x: Tensor) -> Made:
        """A tensor like `x`."""
        if x.dtype.kind == "f":
            raise ConfigError("x", x.dtype, "integers")
        checked_limits(self.low, self.high, x.dtype)
        return like(x)

    def form(self, x: Tensor) -> Form:
        """The cell between the limits there are."""
        there = {name: value for name, value in (("low", self.low), ("high", self.high)) if value is not None}
        raised = "max(x, low)" if "low" in there else "x"
        return cellwise(f"min({raised}, high)" if "high" in there else raised, x, (), 1, **there)
