"""The mean of each window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convpipe.fields import choice, field, truth
from convpipe.geometry.axes import Padding, PerAxis, input_rank, per_axis
from convpipe.geometry.pooling import PoolGeometry, solve_pool
from convpipe.ops import (
    PAD,
    Array,
    Form,
    Made,
    Operation,
    Tensor,
    checked,
    each_axis,
    images,
    like,
    padding,
    pads_as_written,
    unread_padding,
    unread_stride,
    windowed,
)
from convpipe.ops.arrays.bounds import Bounded, sum_error, total_rounding
from convpipe.ops.arrays.floats import result_float
from convpipe.ops.arrays.overflow import OVERFLOW, OVERFLOWS, Overflow, check_rule
from convpipe.ops.arrays.quotients import check_whole_means, rounding_field, whole_means, zero_point_field
from convpipe.ops.arrays.sums import INT64_EXACT, OBJECT_BYTES, SLACK, magnitude
from convpipe.ops.arrays.totals import means, summing_dtype, total
from convpipe.ops.arrays.windows import divisors, tap_windows
from convpipe.ops.kinds.mean_forms import whole_mean


def avg_pool(
    x: ArrayLike,
    kernel: PerAxis,
    stride: PerAxis | None = None,
    pad: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    dilation: PerAxis = 1,
    overflow: Overflow = "error",
    rounding: str | None = None,
    zero_point: int | None = None,
) -> Array:
    """Take the mean of every window.

    Args:
        x: (N, C, H, W), or with one or three spatial axes. Floats keep their dtype, and integers give float64.
        kernel, stride, pad, dilation, ceil_mode: as for `max_pool`.
        count_include_pad: whether a sum is divided by all the cells of its window, padding among them, or only by
            those in the input. What overhangs the padded input is never counted.
        overflow: a mean of finite values is finite; with ``inf`` a sum that leaves float64 on the way is not.
        rounding: one of the modes of `round_shift`, of integers: their mean is rounded by it and keeps their dtype.
        zero_point: beside a rounding, what padding holds where it counts.

    Returns:
        (N, C, out_h, out_w): the windows' sums, of floats as in `total` and of integers exact, divided once. NaN and
        infinity as IEEE says; NaN where no cell of a window counts.

    Raises:
        ConfigError: an `x` that is no array of numbers, settings that are none or do not go together, or sizes that
            do not fit.

    Source:
        torch.nn.AvgPool2d; ONNX AveragePool; with ``half_away`` and without padding that counts TFLite's AveragePool
        of integers: the sum, half the count added away from zero, divided towards zero.

    >>> avg_pool(np.arange(16).reshape(1, 1, 4, 4), kernel=2)
    array([[[[ 2.5,  4.5],
             [10.5, 12.5]]]])
    >>> avg_pool(np.array([[[-1, -2, 1, 2]]], np.int8), kernel=2, rounding="half_away").tolist()
    [[[-2, 2]]]
    """
    x = images("x", x)
    ceil_mode, include_pad = checked(AvgPool, ceil_mode=ceil_mode, count_include_pad=count_include_pad)
    [overflow] = checked(AvgPool, overflow=overflow)
    check_rule(overflow, result_float(x.dtype))
    sizes = solve_pool(x.shape, kernel=kernel, stride=stride, pad=pad, dilation=dilation, ceil_mode=ceil_mode)
    rounding, zero_point = checked(AvgPool, rounding=rounding, zero_point=zero_point)
    check_whole_means(x.dtype, rounding, zero_point, overflow, sizes, include_pad)
    counts = divisors(sizes, include_pad)
    if rounding is None:
        return means(x, sizes.taps, counts, partial(window_sums, sizes), overflow)
    padding = (counts - divisors(sizes, False)).astype(object) * (zero_point or 0)

    def sums(cells: Array) -> Array:
        found: Array = window_sums(sizes, cells) + padding.astype(cells.dtype)
        return found

    return whole_means(x, sizes.taps, counts, rounding, sums)


def window_sums(sizes: PoolGeometry, x: Array) -> Array:
    """The sum of every window."""
    dtype = x.dtype if x.dtype.kind == "f" else summing_dtype(x.dtype)
    parts = ((positions, x[cells]) for positions, cells in tap_windows(sizes))
    return total((len(x), *sizes.shape[1:]), dtype, parts)


class AvgPool(Operation):
    """The mean of each window."""

    kernel: Any = field(each_axis, says="The window's size: one number, or one per axis.")
    stride: Any = field(each_axis, None, "How far the window moves; null is its size.")
    pad: Any = field(padding, 0, PAD)
    ceil_mode: bool = field(truth, False, "Whether a last window may overhang the padded input.")
    count_include_pad: bool = field(truth, True, "Whether cells of the padding count in the mean, as zeros.")
    dilation: Any = field(each_axis, 1, "Distance between the window's cells: one number, or one per axis.", later=True)
    overflow: Overflow = field(choice(OVERFLOWS), "error", OVERFLOW, later=True)
    rounding: str | None = rounding_field()
    zero_point: int | None = zero_point_field()

    varies = True
    function = staticmethod(avg_pool)
    images = True

    def unread(self) -> tuple[str, ...]:
        """A stride that is the window's size, how padding counts where there is none, what it holds if it does not."""
        without = unread_padding(self.pad, "")[0] and not self.ceil_mode
        uncounted = without or not self.count_include_pad
        return unread_stride(self.kernel, self.stride) + ("count_include_pad",) * without + ("zero_point",) * uncounted

    @classmethod
    def as_written(cls, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """A padding that only pairs may have."""
        return pads_as_written(settings)

    def plan(self, x: Tensor) -> Made:
        """Smaller spatial axes, in floats."""
        sizes = self.sizes(x)
        check_whole_means(x.dtype, self.rounding, self.zero_point, self.overflow, sizes, self.count_include_pad)
        dtype = result_float(x.dtype) if self.rounding is None else x.dtype
        return like(x, shape=sizes.shape, dtype=dtype, workspace=workspace(sizes, x, self.rounding is not None))

    def sizes(self, x: Tensor) -> PoolGeometry:
        """Its windows on a tensor."""
        other = ("count_include_pad", "overflow", "rounding", "zero_point")
        return solve_pool(x.shape, **{name: value for name, value in vars(self).items() if name not in other})

    def error(self, made: Array, x: Bounded) -> Array:
        """That of means of sums as in `total`; none of whole numbers."""
        if self.rounding is not None:
            return np.zeros(made.shape)
        terms = prod(per_axis("kernel", self.kernel, input_rank(x.values.shape)))
        local = partial(total_rounding, dtype=made.dtype, terms=terms, of=x.values.dtype)
        return sum_error(replace(self, overflow="inf").run, made.dtype, local, x)

    def form(self, x: Tensor) -> Form:
        """The mean of a window, of its padding too where that counts."""
        sizes = self.sizes(x)
        if self.rounding is not None:
            return whole_mean(sizes, self.count_include_pad, self.rounding, self.zero_point)
        return windowed("sum(x) / count(x)", sizes, self.count_include_pad)


def workspace(sizes: PoolGeometry, x: Tensor, rounded: bool = False) -> int:
    """The most bytes that `avg_pool` may need beside its result."""
    copies = 7 if x.dtype == np.float64 else 2  # sums, and of float64 their errors and what those are made of
    wide = 8 * (prod(x.shape) + 7 * prod(sizes.shape)) if rounded else 0  # cells, quotients, rests, what goes up
    cells, image = prod(sizes.shape[1:]), prod(x.shape[1:])
    objects = OBJECT_BYTES * (image + 2 * cells) if exceeds_int64(x.dtype, sizes.taps) else 0
    # of means that are not finite
    again = (2 + 2 * x.dtype.itemsize) * image + 40 * cells if x.dtype.kind == "f" else 0
    return 8 * copies * prod(sizes.shape) + wide + 4 * objects * rounded + objects + again + 3 * SLACK


def exceeds_int64(dtype: np.dtype[Any], terms: int) -> bool:
    """Whether so many integers of a dtype may have a sum that int64 does not hold."""
    return dtype.kind in "iu" and magnitude(dtype) * terms > INT64_EXACT
