"""The logarithm of softmax along one axis, by default the classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from convpipe.ops import Array, AxisOperation, Form, Tensor, along, checked, choice, field, numeric
from convpipe.ops.arrays.bounds import FUNCTION_ROUNDINGS, Bounded, cell_error, rounding
from convpipe.ops.arrays.floats import below_largest, computing_float, result_float
from convpipe.ops.arrays.overflow import OVERFLOW, OVERFLOWS, Overflow, check_rule, scaled, settled
from convpipe.ops.arrays.totals import total_along
from convpipe.ops.softmax import cells_below, power_error, softmax


def log_softmax(x: ArrayLike, axis: int = 1, overflow: Overflow = "error") -> Array:
    """The logarithm of `softmax`, x - max - log(sum(exp(x - max))), finite where softmax itself is 0.

    Args:
        x: any shape with that axis; dtypes as at the top of this module. Takes the result's bytes beside it,
            for float16 four times as many.
        axis: the axis along which the probabilities add up to 1; they are summed as in `total_along`.
        overflow: as in `matmul`: x - max may be below the least number of a dtype.

    Returns:
        An array like `x`, at most 0; NaN in the same rows as `softmax`.

    Raises:
        ConfigError: an `x` that is no array of numbers, or an axis that is not there.
        ValueRangeError: with ``overflow="error"``, a result that does not fit.

    >>> log_softmax(np.array([[1e4, -1e4]]))
    array([[     0., -20000.]])
    """
    x = numeric("x", x)
    [overflow] = checked(LogSoftmax, overflow=overflow)
    check_rule(overflow, result_float(x.dtype))
    with np.errstate(all="ignore"):
        shifted = below_largest(x, axis)
        logarithms = np.log(total_along(np.exp(shifted), axis))
        np.subtract(shifted, logarithms, out=shifted, casting="same_kind")

        def again() -> Array:
            halves = scaled(x, -1)
            return scaled(halves - halves.max(axis, keepdims=True) - scaled(logarithms, -1), 1)

        return settled(shifted, result_float(x.dtype), overflow, lambda: np.isfinite(x).all(axis, keepdims=True), again)


class LogSoftmax(AxisOperation):
    """The logarithm of softmax along one axis, by default the classes."""

    overflow: Overflow = field(choice(OVERFLOWS), "error", OVERFLOW, later=True)

    varies = True
    function = staticmethod(log_softmax)
    dtype_of = staticmethod(result_float)

    def error(self, made: Array, x: Bounded) -> Array:
        """Its own error and the mean of all, weighted by the probabilities; then what sum and logarithm are off.

        No probability is more than exp(8 * largest error) times as large in another right run, see `Softmax`.
        """
        axis, wide = self.axis, computing_float(x.values.dtype)
        likely = softmax(x.values.astype(np.float64), axis)
        apart = np.exp(8 * x.error.max(axis, keepdims=True, initial=0))
        errors = x.error + power_error(x, axis)
        means = np.minimum(
            apart * (likely * errors).sum(axis, keepdims=True), errors.max(axis, keepdims=True, initial=0)
        )
        distances = cells_below(x, axis)
        own = rounding(distances, wide, 1) + rounding(
            np.log(max(1, x.values.shape[axis])), np.float64, FUNCTION_ROUNDINGS + 2
        )
        return cell_error(made, x.error + means, 1, wide, own)

    def form(self, x: Tensor) -> Form:
        """How far the cell is below the largest, less the logarithm of the sum of the exponentials of that."""
        return along("own - largest - log(sum(exp(x - largest)))", x, self.axis, (("largest", "max(x)"),))
