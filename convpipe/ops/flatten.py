"""Images laid out as rows, channel by channel."""

from __future__ import annotations

from numpy.typing import ArrayLike

from convpipe.geometry.layers import flatten_shape
from convpipe.ops import Array, Form, Made, Operation, Tensor, copied, like, numeric, unravelled, variables


def flatten(x: ArrayLike) -> Array:
    """Lay out every image as one row, in C order: channel by channel, row by row.

    Args:
        x: (N, C, H, W), or any shape from (N, C); any integer or float dtype, which the result keeps.

    Returns:
        (N, C*H*W): a view where `x` lies in memory so that one is possible.

    Raises:
        ConfigError: an `x` that is no array of numbers, or of fewer than two axes.

    >>> import numpy as np
    >>> flatten(np.arange(8).reshape(2, 1, 2, 2))
    array([[0, 1, 2, 3],
           [4, 5, 6, 7]])
    """
    x = numeric("x", x)
    return x.reshape(flatten_shape(x.shape))


class Flatten(Operation):
    """(N, C, H, W) -> (N, C*H*W)."""

    function = staticmethod(flatten)
    linear = True
    moves = True

    def plan(self, x: Tensor) -> Made:
        """(N, C*H*W)."""
        return like(x, shape=flatten_shape(x.shape), axes=("N", "*".join(x.axes[1:])), workspace=0)

    def form(self, x: Tensor) -> Form:
        """The cell of that image."""
        image, number = variables(2)
        return copied(2, (image, *unravelled(number, x.shape[1:])), x.shape)
