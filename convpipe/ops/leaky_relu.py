"""x where it is positive, slope * x elsewhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from convpipe.ops import Array, Form, Operation, Tensor, cellwise, checked, choice, field, number, numeric
from convpipe.ops.arrays.bounds import Bounded, rounding
from convpipe.ops.arrays.floats import by_cell, result_float
from convpipe.ops.arrays.overflow import OVERFLOW, OVERFLOWS, Overflow, check_rule, settled


def leaky_relu(x: ArrayLike, slope: float = 0.01, overflow: Overflow = "error") -> Array:
    """The cell where it is positive, else `slope` times the cell.

    Args:
        x: any shape; dtypes as at the top of this module.
        slope: any number.
        overflow: as in `matmul`, for a product that the dtype cannot hold.

    Returns:
        An array like `x`.

    Raises:
        ConfigError: an `x` that is no array of numbers, or a slope that is none.
        ValueRangeError: with ``overflow="error"``, a product that does not fit.

    Source:
        A. Maas, A. Hannun, A. Ng, "Rectifier nonlinearities improve neural network acoustic models", 2013.

    >>> leaky_relu(np.array([-2.0, 3.0]), slope=0.5)
    array([-1.,  3.])
    """
    x = numeric("x", x)
    slope, overflow = checked(LeakyRelu, slope=slope, overflow=overflow)
    check_rule(overflow, result_float(x.dtype))

    def sloped(cells: Array) -> Array:
        return np.where(cells < 0, cells * slope, cells)

    made = by_cell(x, sloped)
    return settled(made, made.dtype, overflow, lambda: np.isfinite(x), lambda: sloped(x.astype(np.float64)))


class LeakyRelu(Operation):
    """x where it is positive, slope * x elsewhere."""

    slope: float = field(number(), 0.01, "What a cell that is not positive is multiplied by.")
    overflow: Overflow = field(choice(OVERFLOWS), "error", OVERFLOW, later=True)

    function = staticmethod(leaky_relu)
    dtype_of = staticmethod(result_float)

    def error(self, made: Array, x: Bounded) -> Array:
        """Times the slope, or 1; two roundings where that counts, of the slope and of the product."""
        slope = abs(float(self.slope))  # NumPy takes no whole number of more than 64 bits
        slopes = np.where(x.low >= 0, 1.0, np.where(x.high < 0, slope, max(1.0, slope)))
        with np.errstate(invalid="ignore"):
            sloped = np.where(x.low >= 0, 0, rounding(slope * x.size, made.dtype, 2))
            return np.where(np.isinf(x.error), np.inf, slopes * x.error + sloped)

    def form(self, x: Tensor) -> Form:
        """Below 0 so many times the cell, else the cell."""
        return cellwise("slope * x if x < 0 else x", x, slope=self.slope)
