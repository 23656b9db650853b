"""The logarithm of softmax along one axis, by default the classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from convpipe.ops import Array, AxisOperation, numeric
from convpipe.ops.arrays.floats import below_largest, result_float


def log_softmax(x: ArrayLike, axis: int = 1) -> Array:
    """The logarithm of `softmax`, x - max - log(sum(exp(x - max))), finite where softmax itself is 0.

    Args:
        x: any shape with that axis; dtypes as at the top of this module. Takes the result's bytes beside it,
            for float16 four times as many.
        axis: the axis along which the probabilities add up to 1.

    Returns:
        An array like `x`, at most 0; NaN in the same rows as `softmax`.

    Raises:
        ConfigError: an `x` that is no array of numbers, or an axis that is not there.

    >>> log_softmax(np.array([[1e4, -1e4]]))
    array([[     0., -20000.]])
    """
    x = numeric("x", x)
    with np.errstate(all="ignore"):
        shifted = below_largest(x, axis)
        shifted -= np.log(np.exp(shifted).sum(axis, keepdims=True))
        return shifted.astype(result_float(x.dtype), copy=False)


class LogSoftmax(AxisOperation):
    """The logarithm of softmax along one axis, by default the classes."""

    function = staticmethod(log_softmax)
    dtype_of = staticmethod(result_float)
