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
    planes, step, found = plane_axes(axes), reduction(shape, axes, side), list(shape)
    left = most if planes else side * side  # of a vector, cells
    for axis, size in enumerate(shape):
        if axis in planes:
            found[axis] = -(-size // step)
        elif axis == 0 and axes[0] == "N":
            found[axis] = min(size, 1)
        else:
            found[axis] = min(size, left)
            left //= max(found[axis], 1)
    return tuple(found)


def plane_axes(axes: Sequence[str]) -> tuple[int, ...]:
    """Which axes are those of a picture: the last two, of one-dimensional maps the last; of a vector there are none.

    >>> plane_axes(("N", "C", "H", "W")), plane_axes(("N", "out_h", "out_w", "F")), plane_axes(("N", "C", "W"))
    ((2, 3), (1, 2), (2,))
    """
    rank = len(axes)
    if rank < 2 or (rank == 2 and axes[0] == "N"):
        return ()
    end = rank - 1 if rank > 2 and (axes[0], axes[-1]) == ("N", "F") else rank  # channels may come last
    return tuple(range(end - (1 if rank == 3 else 2), end))


def reduction(shape: Sizes, axes: Sequence[str], side: int) -> int:
    """How many cells become one along each side of a picture."""
    return max([1, *(-(-shape[axis] // side) for axis in plane_axes(axes))])


def thumbnails(array: Array, axes: Sequence[str], image: int, most: int, side: int) -> Packed:
    """An array's thumbnails: the mean of each square of cells, from the least value of all as 0 to the largest as 255.

    Args:
        image: which one of a batch.
    """
    shape, planes, step = (
        thumbnail_shape(array.shape, axes, most, side),
        plane_axes(axes),
        reduction(array.shape, axes, side),
    )
    origin = tuple(image if axis == 0 and axes[0] == "N" else 0 for axis in range(array.ndim))
    kept = [slice(start, start + size) for start, size in zip(origin, shape, strict=True)]
    values = array[tuple(slice(None) if axis in planes else each for axis, each in enumerate(kept))].astype(np.float64)
    with np.errstate(all="ignore"):
        for axis in planes:
            values = reduced(values, axis, step)
        low, high = ends_of(array)
        shares = np.nan_to_num((values - low) / ((high - low) or 1), nan=0, posinf=1, neginf=0)
    maps = [axis for axis in range(array.ndim) if axis not in planes and not (axis == 0 and axes[0] == "N")]
    counts = {"count": prod(shape[axis] for axis in maps), "of": prod(array.shape[axis] for axis in maps)}
    small = packed(np.rint(np.clip(shares, 0, 1) * LEVELS).astype(np.uint8), origin)
    return replace(small, more={"thumb": {"low": low, "high": high, "step": step, **counts}})


def ends_of(array: Array) -> tuple[float, float]:
    """The least and the largest finite value."""
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def reduced(values: Array, axis: int, step: int) -> Array:
    """The means of so many cells along an axis; the last may be of fewer.

    >>> reduced(np.array([1.0, 3, 5, 7, 9]), 0, 2).tolist()
    [2.0, 6.0, 9.0]
    """
    if step == 1:
        return values
    starts = np.arange(0, values.shape[axis], step)
    counts = np.minimum(step, values.shape[axis] - starts).astype(np.float64)
    sums: Array = np.add.reduceat(values, starts, axis)
    means: Array = sums / counts.reshape([-1 if at == axis else 1 for at in range(values.ndim)])
    return means
