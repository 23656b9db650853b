"""What the adjoints of a convolution's stages share: sums on their way, and padding taken back.

Source: V. Dumoulin and F. Visin, A guide to convolution arithmetic for deep learning, arXiv:1603.07285, chapter 4.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from convpipe.errors import ValueRangeError
from convpipe.geometry.axes import Pads
from convpipe.ops.arrays.floats import TILE_CELLS
from convpipe.ops.arrays.overflow import Overflow
from convpipe.ops.arrays.sums import OBJECT_BYTES, largest, may_leave_int64
from convpipe.tensors import Array


def between_dtype(target: np.dtype[Any], overflow: Overflow, *operands: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of sums on their way from one stage to the next.

    Integers travel as int64, or as uint64 where no operand has a sign; floats in the widest of the operands' and
    the result's dtypes, at least float32, as in `matmul`, and in float64 where the result shall saturate.

    >>> between_dtype(np.dtype("int8"), "error", np.dtype("uint8"), np.dtype("int8"))
    dtype('int64')
    """
    if any(dtype.kind == "f" for dtype in operands):
        return np.result_type(target, *operands, np.float64 if overflow == "saturate" else np.float32)
    return np.dtype(np.uint64 if all(dtype.kind == "u" for dtype in operands) else np.int64)


def between_overflow(between: np.dtype[Any], target: np.dtype[Any], overflow: Overflow) -> Overflow:
    """What happens to a sum between stages that its dtype cannot hold.

    A result modulo 2**bits is still right when sums on the way are modulo 2**64; one that saturates is not.

    >>> between_overflow(np.dtype("int64"), np.dtype("int8"), "wrap")
    'wrap'
    >>> between_overflow(np.dtype("int64"), np.dtype("int8"), "saturate")
    'error'
    """
    kinds = {"wrap": "iu", "inf": "f"}.get(overflow, "")
    return overflow if between.kind in kinds and target.kind in kinds else "error"


def on_the_way(dtype: Any, error: ValueRangeError) -> ValueRangeError:
    """The error of a sum that no rule for the result could have saved, as it arose before the last stage."""
    sum_, _, _ = str(error).partition(" does not fit")
    advice = {"f": "dtype=float64 or overflow=inf", "": "floats or overflow=wrap"}
    if dtype is None:  # that of the operands, which the error names
        return error
    kind = np.dtype(dtype)
    use = "overflow=inf" if kind == np.float64 else advice["f" if kind.kind == "f" else ""]
    return ValueRangeError(f"{sum_}, on its way from stage to stage, does not fit {dtype}; use {use}")


def holds(values: Array, terms: int, extra: int = 0) -> bool:
    """Whether sums of so many of these integers, and `extra`, cannot leave their dtype."""
    return terms * largest(values) + extra <= np.iinfo(values.dtype).max


def copies(size: int, pair: tuple[int, int], mode: str) -> int:
    """How many padded cells at most hold one cell of an axis.

    >>> copies(3, (2, 1), "edge"), copies(3, (2, 1), "constant")
    (3, 1)
    """
    if mode == "constant" or not any(pair):
        return 1
    return int(np.bincount(sources(size, pair, mode)).max())


def sources(size: int, pair: tuple[int, int], mode: str) -> Array:
    """The cell of an axis that each padded cell was copied from."""
    return np.pad(np.arange(size), pair, mode=mode)  # type: ignore[call-overload,no-any-return]


def unpad_image(image: Array, pads: Pads, mode: str) -> Array:
    """`unpad` of one image (C, H + pads, W + pads), axis by axis."""
    for axis, pair in enumerate(pads, start=1):
        if any(pair):
            image = cropped(image, axis, pair) if mode == "constant" else folded_back(image, axis, pair, mode)
    return image


def cropped(image: Array, axis: int, pair: tuple[int, int]) -> Array:
    """One axis without its padding; zeros where it goes beyond the end."""
    length = image.shape[axis]
    size = length - sum(pair)
    kept = image[along(axis, slice(pair[0], min(pair[0] + size, length)))]
    if kept.shape[axis] == size:
        return kept
    grown = np.zeros((*image.shape[:axis], size, *image.shape[axis + 1 :]), image.dtype)
    grown[along(axis, slice(kept.shape[axis]))] = kept
    return grown


def folded_back(image: Array, axis: int, pair: tuple[int, int], mode: str) -> Array:
    """One axis without its padding, whose planes are added to those that they were copied from."""
    before, size = pair[0], image.shape[axis] - sum(pair)
    sums = image[along(axis, slice(before, before + size))].copy()
    cells = sources(size, pair, mode)
    padding: Iterable[int] = (*range(before), *range(before + size, len(cells)))
    with np.errstate(over="ignore", invalid="ignore"):
        for position in padding:
            sums[along(axis, int(cells[position]))] += image[along(axis, position)]
    return sums


def along(axis: int, where: slice | int) -> tuple[slice | int, ...]:
    """An index for one axis that leaves those before it whole."""
    return (slice(None),) * axis + (where,)


def unpad_workspace(image: int, channels: int, terms: int, between: np.dtype[Any], *operands: np.dtype[Any]) -> int:
    """The most bytes that `unpad` may need.

    Args:
        image: cells of one padded image, all channels together.
        channels: how many those are.
        terms: products that meet in one cell of the result.
        between: the dtype of the padded sums.
        operands: the dtypes of those products' factors, and of the bias.
    """
    # an axis folded, the next one, and the bias added or a clipped copy; in float64 some channels, and those again
    plane = -(-image // max(channels, 1))
    floats = 7 * 8 * max(plane, min(image, TILE_CELLS)) if between.kind == "f" else 0
    plain = max(3 * between.itemsize * image, floats)
    return plain + 3 * OBJECT_BYTES * plane if may_leave_int64(terms, *operands) else plain
