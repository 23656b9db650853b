"""The hyperbolic tangent of each cell, in floats."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from convpipe.ops import Array, Form, Operation, Tensor, cellwise, numeric
from convpipe.ops.arrays.bounds import FUNCTION_ROUNDINGS, TINY, Bounded, cell_error
from convpipe.ops.arrays.floats import by_cell, computing_float, result_float


def tanh(x: ArrayLike) -> Array:
    """The hyperbolic tangent.

    Args:
        x: any shape; dtypes as at the top of this module.

    Returns:
        An array like `x`, from -1 to 1.

    Raises:
        ConfigError: an `x` that is no array of numbers.

    >>> tanh(np.array([-1e4, 0.0, 1e4]))
    array([-1.,  0.,  1.])
    """
    return by_cell(numeric("x", x), np.tanh)


class Tanh(Operation):
    """The hyperbolic tangent of each cell, in floats."""

    varies = True
    function = staticmethod(tanh)
    dtype_of = staticmethod(result_float)

    def error(self, made: Array, x: Bounded) -> Array:
        """Times the slope, 1 - tanh(x)**2 = 4q / (1 + q)**2 with q = exp(-2|x|), which is largest nearest 0."""
        powers = np.exp(-2 * np.maximum(np.abs(x.values.astype(np.float64)) - 2 * x.error, 0))
        spread = x.error * 4 * powers / (1 + powers) ** 2
        return cell_error(made, spread, FUNCTION_ROUNDINGS, computing_float(x.values.dtype), TINY[made.dtype])

    def form(self, x: Tensor) -> Form:
        """The hyperbolic tangent."""
        return cellwise("tanh(x)", x)
