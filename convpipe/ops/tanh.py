"""The hyperbolic tangent of each cell, in floats."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from convpipe.ops import Array, Operation, numeric
from convpipe.ops.arrays.floats import by_cell, result_float


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

    function = staticmethod(tanh)
    dtype_of = staticmethod(result_float)
