"""The mean of each channel."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from math import prod

import numpy as np
from numpy.typing import ArrayLike

from convpipe.fields import choice, field
from convpipe.geometry.pooling import solve_pool
from convpipe.ops import Array, Form, Made, Operation, Tensor, checked, images, like, windowed
from convpipe.ops.arrays.bounds import Bounded, sum_error, total_rounding
from convpipe.ops.arrays.floats import result_float
from convpipe.ops.arrays.overflow import OVERFLOW, OVERFLOWS, Overflow, check_rule
from convpipe.ops.arrays.quotients import check_whole_means, rounding_field, whole_means
from convpipe.ops.arrays.totals import means, total_along
from convpipe.ops.arrays.windows import spatial_axes
from convpipe.ops.kinds.mean_forms import whole_mean


def global_avg_pool(x: ArrayLike, overflow: Overflow = "error", rounding: str | None = None) -> Array:
    """Take the mean of every channel.

    Args:
        x: (N, C, H, W), or with one or three spatial axes. dtypes as for `avg_pool`.
        overflow, rounding: as for `avg_pool`.

    Returns:
        (N, C, 1, 1), of floats summed as in `total_along`, of integers exactly, then divided once.

    Raises:
        ConfigError: an `x` that is no array of numbers, or has an axis without cells or another number of axes.

    Source:
        M. Lin, Q. Chen, S. Yan, "Network in network", 2013; ONNX GlobalAveragePool.

    >>> global_avg_pool(np.arange(8).reshape(1, 2, 2, 2)).tolist()
    [[[[1.5]], [[5.5]]]]
    >>> global_avg_pool(np.arange(8).reshape(1, 2, 2, 2), rounding="half_even").tolist()
    [[[[2]], [[6]]]]
    """
    x = images("x", x)
    [overflow] = checked(GlobalAvgPool, overflow=overflow)
    check_rule(overflow, result_float(x.dtype))
    [rounding] = checked(GlobalAvgPool, rounding=rounding)
    cells = prod(x.shape[axis] for axis in spatial_axes(x))
    check_whole_means(x.dtype, rounding, None, overflow, solve_pool(x.shape, kernel=x.shape[2:]), False)
    rows = x.reshape(*x.shape[:2], cells)  # in C order, in whatever order x lies
    if rounding is None:
        averages = means(rows, cells, np.array(cells), lambda rows: total_along(rows, 2), overflow)
    else:
        averages = whole_means(rows, cells, np.array(cells), rounding, lambda rows: total_along(rows, 2))
    return averages.reshape(*x.shape[:2], *(1 for _ in x.shape[2:]))


class GlobalAvgPool(Operation):
    """The mean of each channel."""

    overflow: Overflow = field(choice(OVERFLOWS), "error", OVERFLOW, later=True)
    rounding: str | None = rounding_field()

    varies = True
    function = staticmethod(global_avg_pool)
    images = True

    def plan(self, x: Tensor) -> Made:
        """(N, C, 1, 1)."""
        sizes = solve_pool(x.shape, kernel=x.shape[2:])
        check_whole_means(x.dtype, self.rounding, None, self.overflow, sizes, False)
        return like(x, shape=sizes.shape, dtype=result_float(x.dtype) if self.rounding is None else x.dtype)

    def error(self, made: Array, x: Bounded) -> Array:
        """That of means of sums as in `total_along`; none of whole numbers."""
        if self.rounding is not None:
            return np.zeros(made.shape)
        local = partial(total_rounding, dtype=made.dtype, terms=prod(x.values.shape[2:]), of=x.values.dtype)
        return sum_error(replace(self, overflow="inf").run, made.dtype, local, x)

    def form(self, x: Tensor) -> Form:
        """The mean of the channel."""
        if self.rounding is not None:
            return whole_mean(solve_pool(x.shape, kernel=x.shape[2:]), False, self.rounding)
        return windowed("sum(x) / count(x)", solve_pool(x.shape, kernel=x.shape[2:]))
