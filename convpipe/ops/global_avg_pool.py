"""The mean of each channel."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from convpipe.geometry.pooling import solve_pool
from convpipe.ops import Array, Made, Operation, Tensor, images, like
from convpipe.ops.arrays.floats import computing_float, result_float
from convpipe.ops.arrays.windows import spatial_axes


def global_avg_pool(x: ArrayLike) -> Array:
    """Take the mean of every channel.

    Args:
        x: (N, C, H, W), or with one or three spatial axes. dtypes as for `avg_pool`; an input of another dtype
            than it is summed in, or not in C order, is copied.

    Returns:
        (N, C, 1, 1), summed pairwise.

    Raises:
        ConfigError: an `x` that is no array of numbers, or has an axis without cells or another number of axes.

    Source:
        M. Lin, Q. Chen, S. Yan, "Network in network", 2013; ONNX GlobalAveragePool.

    >>> global_avg_pool(np.arange(8).reshape(1, 2, 2, 2)).tolist()
    [[[[1.5]], [[5.5]]]]
    """
    x = images("x", x)
    ordered = np.ascontiguousarray(x, computing_float(x.dtype))  # one order of summing, whatever order x lies in
    with np.errstate(all="ignore"):
        means: Array = ordered.mean(axis=spatial_axes(x), keepdims=True)
        return means.astype(result_float(x.dtype), copy=False)


class GlobalAvgPool(Operation):
    """The mean of each channel."""

    function = staticmethod(global_avg_pool)
    images = True

    def plan(self, x: Tensor) -> Made:
        """(N, C, 1, 1)."""
        return like(x, shape=solve_pool(x.shape, kernel=x.shape[2:]).shape, dtype=result_float(x.dtype))
