"""Probabilities in proportion to exp(x) along one axis, by default the classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from convpipe.ops import Array, AxisOperation, Form, Tensor, along, numeric
from convpipe.ops.arrays.bounds import FUNCTION_ROUNDINGS, TINY, Bounded, rounding
from convpipe.ops.arrays.floats import below_largest, computing_float, result_float
from convpipe.ops.arrays.totals import total_along


def softmax(x: ArrayLike, axis: int = 1) -> Array:
    """Probabilities in proportion to exp(x) along an axis, exp(x - max) / sum(exp(x - max)).

    Args:
        x: any shape with that axis; dtypes as at the top of this module. float16 takes twice the result's bytes
            beside it.
        axis: the axis whose cells add up to 1; they are summed as in `total_along`.

    Returns:
        An array like `x`. 1e4 and -1e4 are harmless, -inf gives 0; a row with +inf or of nothing but -inf is
        NaN, as inf - inf is and in PyTorch too.

    Raises:
        ConfigError: an `x` that is no array of numbers, or an axis that is not there.

    >>> softmax(np.array([[1e4, 1e4, -1e4]]))
    array([[0.5, 0.5, 0. ]])
    """
    x = numeric("x", x)
    with np.errstate(all="ignore"):
        powers = below_largest(x, axis)
        np.exp(powers, out=powers)
        np.divide(powers, total_along(powers, axis), out=powers, casting="same_kind")
        return powers.astype(result_float(x.dtype), copy=False)


class Softmax(AxisOperation):
    """Probabilities in proportion to exp(x) along one axis, by default the classes."""

    varies = True
    function = staticmethod(softmax)
    dtype_of = staticmethod(result_float)

    def error(self, made: Array, x: Bounded) -> Array:
        """Of each probability times its own error and the mean of all, weighted by the probabilities.

        dy_i is y_i * (dx_i - sum(y_j * dx_j)), in which y_i and 1 - y_i are at most exp(2 * largest) times as large
        where no x is changed by more than that; 2E is what two right runs may be apart, and two of them are compared.
        """
        axis, largest = self.axis, x.error.max(self.axis, keepdims=True, initial=0)
        likely = softmax(x.values.astype(np.float64), axis)
        apart = np.exp(8 * largest)
        others = (likely * x.error).sum(axis, keepdims=True) - likely * x.error
        spread = apart * likely * ((1 - likely) * x.error + others)
        own = power_error(x, axis)
        sizes = apart * likely
        relative = own + (likely * own).sum(axis, keepdims=True) * apart
        local = relative * sizes + rounding(sizes, made.dtype, 2) + TINY[made.dtype]
        return np.asarray(np.minimum(spread + local, 1))

    def form(self, x: Tensor) -> Form:
        """The exponential of how far the cell is below the largest, over the sum of all of those."""
        return along("exp(own - largest) / sum(exp(x - largest))", x, self.axis, (("largest", "max(x)"),))


def cells_below(x: Bounded, axis: int) -> Array:
    """How far each cell may be below the largest of its row, in any right run."""
    cells = x.values.astype(np.float64)
    largest = cells.max(axis, keepdims=True, initial=-np.inf)
    return np.asarray(largest - cells + 4 * x.error.max(axis, keepdims=True, initial=0))


def power_error(x: Bounded, axis: int) -> Array:
    """How far exp(x - max) may be off, relative to itself: by the rounding of the difference, and by that of exp."""
    unit = float(np.finfo(computing_float(x.values.dtype)).eps) / 2
    distances = cells_below(x, axis)
    return np.where(distances < np.inf, unit * (distances + FUNCTION_ROUNDINGS + 1), 0)
