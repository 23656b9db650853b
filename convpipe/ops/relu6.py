"""min(max(x, 0), 6); integers stay integers."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from convpipe.ops import Array, Form, Operation, Tensor, cellwise
from convpipe.ops.arrays.bounds import Bounded, monotone_error
from convpipe.ops.clip import clip


def relu6(x: ArrayLike) -> Array:
    """The cell where it lies between 0 and 6, else the nearer of these.

    Args:
        x: any shape, any integer or float dtype, which the result keeps.

    Returns:
        An array like `x`; -0 becomes +0, NaN stays NaN.

    Raises:
        ConfigError: an `x` that is no array of numbers.

    Source:
        A. Krizhevsky, "Convolutional deep belief networks on CIFAR-10", 2010.

    >>> relu6(np.array([-2, 3, 9], np.int8))
    array([0, 3, 6], dtype=int8)
    """
    return clip(x, 0, 6)


class Relu6(Operation):
    """min(max(x, 0), 6); integers stay integers."""

    function = staticmethod(relu6)

    def error(self, made: Array, x: Bounded) -> Array:
        """As it was, and none where every right run is beyond a limit."""
        return monotone_error(x, lambda cells: np.clip(cells, 0, 6))

    def form(self, x: Tensor) -> Form:
        """The cell between 0 and 6."""
        return cellwise("min(max(x, 0), 6)", x)
