"""The largest value of each channel."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from convpipe.geometry.pooling import solve_pool
from convpipe.ops import Array, Form, Made, Operation, Tensor, images, like, windowed
from convpipe.ops.arrays.bounds import Bounded
from convpipe.ops.arrays.floats import positive_zeros
from convpipe.ops.arrays.windows import spatial_axes


def global_max_pool(x: ArrayLike) -> Array:
    """Take the largest cell of every channel.

    Args:
        x: (N, C, H, W), or with one or three spatial axes; any integer or float dtype, which the result keeps.

    Returns:
        (N, C, 1, 1). A channel with a NaN gives NaN; a zero is +0.

    Raises:
        ConfigError: an `x` that is no array of numbers, or has an axis without cells or another number of axes.

    Source:
        ONNX GlobalMaxPool.

    >>> import numpy as np
    >>> global_max_pool(np.arange(8).reshape(1, 2, 2, 2)).tolist()
    [[[[3]], [[7]]]]
    """
    x = images("x", x)
    return positive_zeros(x.max(axis=spatial_axes(x), keepdims=True))


class GlobalMaxPool(Operation):
    """The largest value of each channel."""

    function = staticmethod(global_max_pool)
    images = True

    def plan(self, x: Tensor) -> Made:
        """(N, C, 1, 1)."""
        return like(x, shape=solve_pool(x.shape, kernel=x.shape[2:]).shape)

    def error(self, made: Array, x: Bounded) -> Array:
        """The largest of a window; none where there is nothing but padding."""
        return np.maximum(self.run(x.error), 0)

    def form(self, x: Tensor) -> Form:
        """The largest of the channel."""
        return windowed("max(x)", solve_pool(x.shape, kernel=x.shape[2:]))
