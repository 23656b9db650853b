"""Real numbers to integers: q = round(x / scale) + zero_point, cut to the dtype."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convpipe.fields import choice, field, whole
from convpipe.ops import Array, Form, Made, Operation, Tensor, like, numeric
from convpipe.ops.arrays.bounds import Bounded, monotone_error
from convpipe.ops.arrays.narrowing import BITS_OF, integer_range, storage
from convpipe.ops.arrays.rescaling import whole as whole_cells
from convpipe.ops.arrays.scaled_sums import scale_of
from convpipe.ops.kinds.quantised import LEAST_ZERO, MOST_ZERO, SCALE, ZERO, positive_number
from convpipe.ops.kinds.rule_forms import stepwise_form


def quantize(x: ArrayLike, scale: ArrayLike, zero_point: int = 0, dtype: str = "int8") -> Array:
    """Real numbers as integers: a division in float32, ties to even, saturated.

    Args:
        x: (..., F), numbers, rounded to float32.
        scale: the real number that one step stands for, rounded to float32; one, or one per channel of the last axis.
        zero_point: the integer that stands for 0.
        dtype: int4 to uint32; integers of 4 bits come in a byte each.

    Returns:
        An array of the shape of `x`. NaN becomes the zero point, infinity an end of the dtype.

    Raises:
        ConfigError: a scale that is not above 0, a zero point that the dtype does not hold, or another dtype.

    Source:
        ONNX QuantizeLinear.

    >>> quantize(np.array([-1.0, 0.25, 0.75, 100]), scale=0.5, zero_point=3)
    array([  1,   3,   5, 127], dtype=int8)
    """
    cells, name = numeric("x", x), choice(BITS_OF)("dtype", dtype)
    low, high = integer_range(name)
    zero = whole(low, high)("zero_point", zero_point)
    with np.errstate(all="ignore"):
        steps = np.rint(cells.astype(np.float32) / scale_of("scale", scale, cells.shape[-1]))
    steps = np.where(np.isnan(steps), np.float32(0), steps)
    made: Array = np.clip(whole_cells(steps) + zero, low, high).astype(storage(name))
    return made


def quantize_bias(bias: ArrayLike, input_scale: float, filter_scale: ArrayLike) -> Array:
    """A real bias in the steps of the sums that it is added to: rint(b / (sx * sw)), as int32.

    Args:
        bias: (F,), numbers.
        input_scale, filter_scale: the real numbers that one step of the input and of the filters stands for, rounded
            to float32; of the filters one, or one for each.

    Returns:
        (F,), int32, saturated.

    Raises:
        ConfigError: a scale that is not above 0, or another number of them.

    Source:
        PyTorch, whose product of scales is one of float32, and ties to even.

    >>> quantize_bias(np.array([0.5, 1.5, -1.5]), 1.0, 1.0).tolist()
    [0, 2, -2]
    """
    values = numeric("bias", bias, {1})
    step = scale_of("input_scale", input_scale, 1) * scale_of("filter_scale", filter_scale, values.shape[-1])
    return quantize(values, step, dtype="int32")


class Quantize(Operation):
    """Real numbers to integers."""

    scale: Any = field(positive_number, says=SCALE)
    zero_point: int = field(whole(LEAST_ZERO, MOST_ZERO), 0, ZERO)
    dtype: str = field(choice(BITS_OF), "int8", "The integers that come out; those of 4 bits lie in a byte each.")

    function = staticmethod(quantize)

    def plan(self, x: Tensor) -> Made:
        """A tensor like `x`, in those integers."""
        low, high = integer_range(self.dtype)
        whole(low, high)("zero_point", self.zero_point)
        return like(x, dtype=storage(self.dtype))

    def error(self, made: Array, x: Bounded) -> Array:
        """Up to the integers between those of the smallest and of the largest right value: a step has any slope."""
        return monotone_error(x, lambda cells: quantize(cells, self.scale, self.zero_point, self.dtype) * 1.0, np.inf)

    def form(self, x: Tensor) -> Form:
        """The quotient in float32, rounded, moved and cut."""
        low, high = integer_range(self.dtype)
        constants = {"scale": np.float32(self.scale).item(), "zero_point": self.zero_point, "low": low, "high": high}
        steps = (
            ("cell", "f32(x)", ""),
            ("quotient", "f32(cell / scale)", "quotient"),
            ("rounded", "rint(quotient)", "rounding"),
            ("moved", "rounded + zero_point", "zero point"),
        )
        return stepwise_form(x, "min(max(moved, low), high)", steps, {}, constants)
