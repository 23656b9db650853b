"""The logistic function of each cell, in floats."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from convpipe.ops import Array, Form, Operation, Tensor, cellwise, numeric
from convpipe.ops.arrays.bounds import FUNCTION_ROUNDINGS, TINY, Bounded, cell_error
from convpipe.ops.arrays.floats import by_cell, computing_float, result_float


def sigmoid(x: ArrayLike) -> Array:
    """The logistic function 1 / (1 + exp(-x)), which neither overflows nor loses digits on either side.

    Args:
        x: any shape; dtypes as at the top of this module.

    Returns:
        An array like `x`, from 0 to 1.

    Raises:
        ConfigError: an `x` that is no array of numbers.

    >>> sigmoid(np.array([-1e4, 0.0, 1e4]))
    array([0. , 0.5, 1. ])
    """
    return by_cell(numeric("x", x), logistic)


def logistic(x: Array) -> Array:
    """1 / (1 + exp(-x)) by the exponential that is at most 1."""
    power = np.exp(-np.abs(x))
    result: Array = np.where(x < 0, power, 1) / (1 + power)
    return result


class Sigmoid(Operation):
    """The logistic function of each cell, in floats."""

    varies = True
    function = staticmethod(sigmoid)
    dtype_of = staticmethod(result_float)

    def error(self, made: Array, x: Bounded) -> Array:
        """Times the slope, f(x) * f(-x), which is largest nearest 0; those of exp, of a sum and of a quotient."""
        nearest = np.maximum(np.abs(x.values.astype(np.float64)) - 2 * x.error, 0)
        spread = x.error * logistic(nearest) * logistic(-nearest)
        return cell_error(made, spread, FUNCTION_ROUNDINGS + 4, computing_float(x.values.dtype), TINY[made.dtype])

    def form(self, x: Tensor) -> Form:
        """The logistic function."""
        return cellwise("1 / (1 + exp(-x))", x)
