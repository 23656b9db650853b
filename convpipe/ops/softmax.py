"""Probabilities in proportion to exp(x) along one axis, by default the classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from convpipe.ops import Array, AxisOperation, numeric
from convpipe.ops.arrays.floats import below_largest, result_float
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

    adds_up = True
    function = staticmethod(softmax)
    dtype_of = staticmethod(result_float)
