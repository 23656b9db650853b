"""Pooling: the largest or the mean cell of every window.

As in `columns`, the loop is over kernel taps and moves whole planes; no column tensor is made, and nothing is
padded: a tap is combined only with the output cells for which it lies inside the input.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from convpipe import geometry
from convpipe.geometry import PoolGeometry
from convpipe.ops.floating import computing_float, positive_zeros, result_float
from convpipe.tensors import Array

Window = tuple[Any, ...]  # an index: whole planes, one slice per spatial axis


def max_pool(
    x: Array, kernel: Any, stride: Any = None, pad: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Array:
    """Take the largest cell of every window.

    Args:
        x: (N, C, H, W), or with one or three spatial axes; any integer or float dtype, which the result keeps.
        kernel, stride, dilation: one number, or one per axis; the stride is the kernel where none is given.
        pad: as for `geometry.solve_pool`. Padding never wins: it counts as -inf, or the least integer there is,
            which is also what a dilated window gives whose every tap falls into the padding (as in PyTorch).
        ceil_mode: whether a last window may overhang the padded input.

    Returns:
        (N, C, out_h, out_w). A window with a NaN gives NaN. A zero is +0, since which of -0 and +0 is the larger
        differs between machines.

    Raises:
        GeometryError: sizes that do not fit.

    Source:
        torch.nn.MaxPool2d; ONNX MaxPool.

    >>> max_pool(np.arange(16).reshape(1, 1, 4, 4), kernel=2)
    array([[[[ 5,  7],
             [13, 15]]]])
    """
    sizes = geometry.solve_pool(x.shape, kernel=kernel, stride=stride, pad=pad, dilation=dilation, ceil_mode=ceil_mode)
    result = np.full(sizes.shape, least(x.dtype), x.dtype)
    for positions, cells in tap_windows(sizes):
        planes = result[positions]  # (N, C, the windows in which this tap is no padding)
        np.maximum(planes, x[cells], out=planes)
    return positive_zeros(result)


def avg_pool(
    x: Array,
    kernel: Any,
    stride: Any = None,
    pad: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """Take the mean of every window.

    Args:
        x: (N, C, H, W), or with one or three spatial axes. Floats keep their dtype (float16 is summed in
            float32, which takes twice the result's bytes beside it); integers are summed in float64, exactly
            while the sums stay within 2**53, and give float64.
        kernel, stride, pad, ceil_mode: as for `max_pool`.
        count_include_pad: whether a sum is divided by all the cells of its window, padding among them, or only by
            those in the input. What overhangs the padded input is never counted.

    Returns:
        (N, C, out_h, out_w): the taps summed in C order, then divided once. NaN and infinity as IEEE says.

    Raises:
        GeometryError: sizes that do not fit.

    Source:
        torch.nn.AvgPool2d; ONNX AveragePool.

    >>> avg_pool(np.arange(16).reshape(1, 1, 4, 4), kernel=2)
    array([[[[ 2.5,  4.5],
             [10.5, 12.5]]]])
    """
    sizes = geometry.solve_pool(x.shape, kernel=kernel, stride=stride, pad=pad, ceil_mode=ceil_mode)
    sums = np.zeros(sizes.shape, computing_float(x.dtype))
    with np.errstate(all="ignore"):
        for positions, cells in tap_windows(sizes):
            sums[positions] += x[cells]
        sums /= divisors(sizes, count_include_pad, sums.dtype)
        return sums.astype(result_float(x.dtype), copy=False)


def global_max_pool(x: Array) -> Array:
    """Take the largest cell of every channel.

    Args:
        x: (N, C, H, W), or with one or three spatial axes; any integer or float dtype, which the result keeps.

    Returns:
        (N, C, 1, 1). A channel with a NaN gives NaN; a zero is +0.

    Raises:
        GeometryError: an axis without cells.

    Source:
        ONNX GlobalMaxPool.

    >>> global_max_pool(np.arange(8).reshape(1, 2, 2, 2)).tolist()
    [[[[3]], [[7]]]]
    """
    return positive_zeros(x.max(axis=spatial_axes(x), keepdims=True))


def global_avg_pool(x: Array) -> Array:
    """Take the mean of every channel.

    Args:
        x: (N, C, H, W), or with one or three spatial axes. dtypes as for `avg_pool`; an input of another dtype
            than it is summed in, or not in C order, is copied.

    Returns:
        (N, C, 1, 1), summed pairwise.

    Raises:
        GeometryError: an axis without cells.

    Source:
        M. Lin, Q. Chen, S. Yan, "Network in network", 2013; ONNX GlobalAveragePool.

    >>> global_avg_pool(np.arange(8).reshape(1, 2, 2, 2)).tolist()
    [[[[1.5]], [[5.5]]]]
    """
    ordered = np.ascontiguousarray(x, computing_float(x.dtype))  # one order of summing, whatever order x lies in
    with np.errstate(all="ignore"):
        means: Array = ordered.mean(axis=spatial_axes(x), keepdims=True)
        return means.astype(result_float(x.dtype), copy=False)


def tap_windows(sizes: PoolGeometry) -> Iterator[tuple[Window, Window]]:
    """For each kernel tap, the output cells for which it lies inside the input, and the cells it meets there."""
    for tap in product(*map(range, sizes.kernel)):
        axes = zip(sizes.spatial, sizes.pads, tap, sizes.dilation, sizes.stride, sizes.out, strict=True)
        reads = [
            geometry.tap_reads(size, before, at * step, stride, out)
            for size, (before, _), at, step, stride, out in axes
        ]
        yield (..., *(positions for positions, _ in reads)), (..., *(cells for _, cells in reads))


def divisors(sizes: PoolGeometry, include_pad: bool, dtype: np.dtype[Any]) -> Array:
    """How many cells count in each window: (out_h, out_w)."""
    axes = zip(sizes.spatial, sizes.pads, sizes.kernel, sizes.stride, sizes.out, strict=True)
    counts = [np.array(geometry.window_cells(*axis, include_pad=include_pad), dtype) for axis in axes]
    result: Array = np.ones((), dtype)
    for count in counts:
        result = result[..., None] * count
    return result


def least(dtype: np.dtype[Any]) -> Any:
    """What every value of a dtype is at least."""
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


def spatial_axes(x: Array) -> tuple[int, ...]:
    """The axes of H and W in (N, C, H, W), each known to have a cell."""
    geometry.input_rank(x.shape)
    geometry.check_filled(x.shape[2:])
    return tuple(range(2, x.ndim))
