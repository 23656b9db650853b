"""x where it is positive, slope * x elsewhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from convpipe.ops import Array, Operation, checked, field, number, numeric
from convpipe.ops.arrays.floats import by_cell, result_float


def leaky_relu(x: ArrayLike, slope: float = 0.01) -> Array:
    """The cell where it is positive, else `slope` times the cell.

    Args:
        x: any shape; dtypes as at the top of this module.
        slope: any number.

    Returns:
        An array like `x`.

    Raises:
        ConfigError: an `x` that is no array of numbers, or a slope that is none.

    Source:
        A. Maas, A. Hannun, A. Ng, "Rectifier nonlinearities improve neural network acoustic models", 2013.

    >>> leaky_relu(np.array([-2.0, 3.0]), slope=0.5)
    array([-1.,  3.])
    """
    x = numeric("x", x)
    [slope] = checked(LeakyRelu, slope=slope)
    return by_cell(x, lambda cells: np.where(cells < 0, cells * slope, cells))


class LeakyRelu(Operation):
    """x where it is positive, slope * x elsewhere."""

    slope: float = field(number(), 0.01, "What a cell that is not positive is multiplied by.")

    function = staticmethod(leaky_relu)
    dtype_of = staticmethod(result_float)
