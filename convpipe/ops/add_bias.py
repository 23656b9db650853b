"""A bias added as a stage of its own, where matmul shall not do it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from math import prod

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from convpipe.ops import (
    MAIN,
    Array,
    Convolution,
    Form,
    GeometryError,
    Made,
    SumStage,
    Tensor,
    ValueRangeError,
    cellwise,
    check_shape,
    checked,
    like,
    numeric,
)
from convpipe.ops.arrays.accumulating import held, held_bytes
from convpipe.ops.arrays.bounds import Bounded, rounding, sum_error
from convpipe.ops.arrays.overflow import SUM_SHIFT, Overflow, check_rule, narrowed, scaled, settled
from convpipe.ops.arrays.sums import (
    INT64_EXACT,
    OBJECT_BYTES,
    float_accumulator,
    largest,
    magnitude,
    target_dtype,
)
from convpipe.ops.kinds.held_sums import held_form, held_text
from convpipe.ops.kinds.quantised import Accumulator


class AddBias(SumStage):
    """x and bias -> their sum: one value for each filter, along the last axis."""

    reads = (MAIN, "bias")

    @classmethod
    def left_out(cls, conv: Convolution) -> bool:
        """Of a quantised convolution that has none."""
        return conv.quant is not None and not getattr(conv.operation, "bias", False)

    def plan(self, x: Tensor, bias: Tensor) -> Made:
        """A tensor like `x`, in a dtype for both."""
        if x.shape[-1:] != bias.shape:
            raise GeometryError("x", x.shape, f"a last axis of {bias.shape[0]}, as the bias has")
        target, dtypes = target_dtype(self.dtype, x.dtype, bias.dtype), (x.dtype, bias.dtype)
        objects = all(dtype.kind in "iu" for dtype in dtypes) and sum(map(magnitude, dtypes)) > INT64_EXACT
        memory = 3 * OBJECT_BYTES * prod(x.shape) if objects else None
        if self.accumulator is not None:
            memory = (memory or 0) + held_bytes(prod(x.shape), (0, 0))
        return like(x, dtype=target, workspace=memory)

    def run(self, x: Array, bias: Array) -> Array:
        """`add_bias`; of a quantised convolution in its accumulator."""
        try:
            if self.accumulator is None:
                return add_bias(x, bias, self.dtype, self.overflow)
            return biased(x, bias, self.accumulator)
        except ValueRangeError as error:
            raise self.too_wide(error) from error

    def error(self, made: Array, x: Bounded, bias: Bounded) -> Array:
        """That of a sum of two."""
        sums = replace(self, dtype="float64", overflow="inf").run
        return sum_error(sums, made.dtype, partial(rounding, dtype=made.dtype, roundings=1), x, bias)

    def form(self, x: Tensor, bias: Tensor) -> Form:
        """The cell and the bias of its filter; or what an accumulator makes of these."""
        form, accumulator = cellwise("x + bias", x, ["bias"], channel=-1), self.accumulator
        return form if accumulator is None else held_form(form, held_text("x + bias", accumulator), accumulator)


def biased(sums: Array, bias: Array, accumulator: Accumulator) -> Array:
    """Sums with a bias in an accumulator, in its dtype.

    Raises:
        ValueRangeError: a sum that it does not hold.
    """
    return held(add_bias(sums, bias, np.int64, accumulator.at_64), accumulator).astype(accumulator.dtype)


def add_bias(x: ArrayLike, bias: ArrayLike, dtype: DTypeLike | None = None, overflow: Overflow = "error") -> Array:
    """Add a value for each filter along the last axis.

    Args:
        x: (..., F), any integer or float dtype.
        bias: (F,), likewise.
        dtype, overflow: as in `matmul`: integers are added exactly, floats in the widest dtype, at least float32.

    Returns:
        An array of the shape of `x`.

    Raises:
        ConfigError: arguments that are no arrays of numbers or do not fit together, named.
        ValueRangeError: with ``overflow="error"``, a sum that does not fit.

    >>> add_bias(np.array([[1, 2]]), np.array([10, 20])).tolist()
    [[11, 22]]
    """
    x, bias = numeric("x", x), numeric("bias", bias)
    [overflow] = checked(AddBias, overflow=overflow)
    check_shape("bias", bias, x.shape[-1:], "one value per filter")
    target = target_dtype(dtype, x.dtype, bias.dtype)
    check_rule(overflow, target)
    if all(values.dtype.kind in "iu" for values in (x, bias)):
        wide = np.dtype(np.int64 if largest(x) + largest(bias) <= INT64_EXACT else object)
        return narrowed(x.astype(wide) + bias.astype(wide), target, overflow)
    wide = float_accumulator(target, x.dtype, bias.dtype)
    with np.errstate(all="ignore"):
        sums = x.astype(wide) + bias.astype(wide)
    return settled(
        sums,
        target,
        overflow,
        lambda: np.isfinite(x) & np.isfinite(bias),
        lambda: scaled(scaled(x, -SUM_SHIFT) + scaled(bias, -SUM_SHIFT), SUM_SHIFT),
    )
