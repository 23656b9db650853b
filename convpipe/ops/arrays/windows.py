"""Windows of a pooling: the loop is over kernel taps and moves whole planes.

No column tensor is made, and nothing is padded: a tap is combined only with the output cells for which it lies
inside the input.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from convpipe.geometry.axes import check_filled, input_rank
from convpipe.geometry.pooling import PoolGeometry, tap_reads, window_cells
from convpipe.tensors import Array

Window = tuple[Any, ...]  # an index: whole planes, one slice per spatial axis


def tap_windows(sizes: PoolGeometry) -> Iterator[tuple[Window, Window]]:
    """For each kernel tap, the output cells for which it lies inside the input, and the cells it meets there."""
    for tap in product(*map(range, sizes.kernel)):
        axes = zip(sizes.spatial, sizes.pads, tap, sizes.dilation, sizes.stride, sizes.out, strict=True)
        reads = [tap_reads(size, before, at * step, stride, out) for size, (before, _), at, step, stride, out in axes]
        yield (..., *(positions for positions, _ in reads)), (..., *(cells for _, cells in reads))


def divisors(sizes: PoolGeometry, include_pad: bool) -> Array:
    """How many cells count in each window: (out_h, out_w)."""
    axes = zip(sizes.spatial, sizes.pads, sizes.kernel, sizes.stride, sizes.out, sizes.dilation, strict=True)
    counts = [
        np.array(window_cells(*axis, dilation=dilation, include_pad=include_pad), np.int64) for *axis, dilation in axes
    ]
    result: Array = np.ones((), np.int64)
    for count in counts:
        result = result[..., None] * count
    return result


def least(dtype: np.dtype[Any]) -> Any:
    """What every value of a dtype is at least."""
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


def spatial_axes(x: Array) -> tuple[int, ...]:
    """The axes of H and W in (N, C, H, W), each known to have a cell."""
    input_rank(x.shape)
    check_filled(x.shape[2:])
    return tuple(range(2, x.ndim))
