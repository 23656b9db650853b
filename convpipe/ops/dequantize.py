"""Integers to the real numbers that they stand for: (q - zero_point) * scale."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from convpipe.errors import ConfigError
from convpipe.fields import field, whole
from convpipe.ops import Array, Form, Made, Operation, Tensor, like, numeric
from convpipe.ops.arrays.bounds import Bounded
from convpipe.ops.arrays.scaled_sums import scale_of
from convpipe.ops.kinds.quantised import LEAST_ZERO, MOST_ZERO, SCALE, ZERO, positive_number
from convpipe.ops.kinds.rule_forms import stepwise_form


def dequantize(q: ArrayLike, scale: ArrayLike, zero_point: int = 0) -> Array:
    """The real numbers that integers stand for, in float32.

    Args:
        q: (..., F), integers.
        scale: the real number that one step stands for, rounded to float32; one, or one per channel of the last axis.
        zero_point: the integer that stands for 0.

    Returns:
        float32 of the shape of `q`: the difference, which is exact, rounded, and its product rounded once more.

    Raises:
        ConfigError: a `q` of no integers, or a scale that is not above 0.

    Source:
        ONNX DequantizeLinear.

    >>> dequantize(np.array([-128, 3, 127], np.int8), 0.5, 3).tolist()
    [-65.5, 0.0, 62.0]
    """
    cells = numeric("q", q)
    if cells.dtype.kind == "f":
        raise ConfigError("q", cells.dtype, "integers")
    zero = whole(LEAST_ZERO, MOST_ZERO)("zero_point", zero_point)
    factors = scale_of("scale", scale, cells.shape[-1])
    wide = cells.astype(object) - zero if cells.dtype.itemsize == 8 else cells.astype(np.int64) - zero
    with np.errstate(all="ignore"):
        made: Array = wide.astype(np.float32) * factors
    return made


class Dequantize(Operation):
    """Integers to the real numbers that they stand for."""

    scale: float = field(positive_number, says=SCALE)
    zero_point: int = field(whole(LEAST_ZERO, MOST_ZERO), 0, ZERO)

    function = staticmethod(dequantize)

    def plan(self, x: Tensor) -> Made:
        """A tensor like `x`, in float32."""
        if x.dtype.kind == "f":
            raise ConfigError("x", x.dtype, "integers")
        return like(x, dtype=np.dtype(np.float32))

    def form(self, x: Tensor) -> Form:
        """The difference, rounded, times the scale, rounded."""
        constants = {"scale": np.float32(self.scale).item(), "zero_point": self.zero_point}
        steps = (("difference", "x - zero_point", "zero point"),)
        return stepwise_form(x, "f32(f32(difference) * scale)", steps, {}, constants)

    def error(self, made: Array, q: Bounded) -> Array:
        """None: a difference of integers, rounded to float32, and a product of two floats are the same everywhere."""
        return np.zeros(made.shape)
