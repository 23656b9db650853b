"""Maps made small for a page that cannot hold them: some of them, in fewer cells, in eight bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np

from convpipe.report.page.packed import Packed, packed
from convpipe.tensors import Array, Sizes

MOST_MAPS = 64  # of a layer
MOST_SIDE = 96
LEVELS = 255


def thumbnail_shape(shape: Sizes, axes: Sequence[str], most: int = MOST_MAPS, side: int = MOST_SIDE) -> Sizes:
    """The shape of an array's thumbnails: one image of a batch, so many maps, no side longer than that.

    >>> thumbnail_shape((8, 100, 224, 112), ("N", "C", "H", "W"))
    (1, 64, 75, 38)
    >>> thumbnail_shape((8, 20, 30, 100), ("N", "out_h", "out_w", "F")), thumbnail_shape((4, 5000), ("N", "units"))
    ((1, 20, 30, 64), (1, 5000))
    """
    if len(shape) < 2 or (len(shape) == 2 and axes[0] == "N"):
        return tuple(min(size, 1 if letter == "N" else side * side) for size, letter in zip(shape, axes, strict=True))
    kept, left = list(shape), most
    for axis in map_axes(axes):
        kept[axis] = 1 if axes[axis] == "N" else min(kept[axis], left)
        left = max(1, left // max(kept[axis], 1))
    step = reduction(shape, axes, side)
    for axis in plane_axes(axes):
        kept[axis] = -(-shape[axis] // step)
    return tuple(kept)


def plane_axes(axes: Sequence[str]) -> tuple[int, ...]:
    """Which axes are those of a picture: the last two, of one-dimensional maps the last; channels may come after."""
    last = len(axes) - 1 if len(axes) > 2 and axes[0] == "N" and axes[-1] == "F" else len(axes)
    return tuple(range(max(last - 2, 0 if len(axes) == 2 else 1), last))[-1 if len(axes) == 3 else -2 :]


def map_axes(axes: Sequence[str]) -> tuple[int, ...]:
    """The other axes, which number the maps."""
    return tuple(axis for axis in range(len(axes)) if axis not in plane_axes(axes))


def reduction(shape: Sizes, axes: Sequence[str], side: int) -> int:
    """How many cells become one along each side."""
    return max(1, *(-(-shape[axis] // side) for axis in plane_axes(axes)))


def thumbnails(array: Array, axes: Sequence[str], image: int, most: int, side: int) -> Packed:
    """An array's thumbnails: the mean of each square of cells, from the least value of all as 0 to the largest as 255.

    Args:
        image: which one of a batch.
    """
    low, high = ends_of(array)
    first = image if axes[:1] == ("N",) or axes[0] == "N" else 0
    shape = thumbnail_shape(array.shape, axes, most, side)
    is_plane = set(plane_axes(axes)) if len(axes) > 2 or axes[0] != "N" else set[int]()
    spans = tuple(
        slice(None) if axis in is_plane else slice(first if axis == 0 else 0, (first if axis == 0 else 0) + size)
        for axis, size in enumerate(shape)
    )
    values = array[spans].astype(np.float64)
    step = reduction(array.shape, axes, side) if is_plane else 1
    for axis in sorted(is_plane):
        values = reduced(values, axis, step)
    span = high - low
    with np.errstate(all="ignore"):
        levels = np.nan_to_num((values - low) / span if span else values * 0, nan=0, posinf=1, neginf=0)
    small = packed(np.rint(np.clip(levels, 0, 1) * LEVELS).astype(np.uint8), (first, *(0,) * (array.ndim - 1)))
    maps = map_axes(axes) if is_plane else ()
    counted = [axis for axis in maps if axes[axis] != "N"]
    facts = {
        "low": low,
        "high": high,
        "step": step,
        "count": prod(shape[axis] for axis in counted),
        "of": prod(array.shape[axis] for axis in counted),
    }
    return replace(small, more={"thumb": facts})


def ends_of(array: Array) -> tuple[float, float]:
    """The least and the largest finite value."""
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def reduced(values: Array, axis: int, step: int) -> Array:
    """The means of so many cells along an axis; the last may be of fewer.

    >>> reduced(np.array([1.0, 3, 5, 7, 9]), 0, 2).tolist()
    [2.0, 6.0, 9.0]
    """
    if step == 1 or not values.shape[axis]:
        return values
    starts = np.arange(0, values.shape[axis], step)
    counts = np.minimum(step, values.shape[axis] - starts).astype(np.float64)
    sums: Array = np.add.reduceat(values, starts, axis)
    means: Array = sums / counts.reshape([-1 if at == axis else 1 for at in range(values.ndim)])
    return means
