"""Convolution backwards: what a transposed convolution and the three gradients are made of.

Each function here is the adjoint (the transpose, as a matrix) of one stage of a convolution: `rows` of the
reshape, `fil2row` of the filter matrix's side of the product, `fold_exactly` of im2col, `unpad` of the padding.
Source: V. Dumoulin and F. Visin, A guide to convolution arithmetic for deep learning, arXiv:1603.07285, chapter 4.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from math import prod
from typing import Any

import numpy as np

from convpipe.errors import ValueRangeError
from convpipe.geometry import Pads
from convpipe.ops.columns import fold
from convpipe.ops.matmul import (
    OBJECT_BYTES,
    Overflow,
    integer_accumulator,
    largest,
    matmul,
    narrowed,
    result_dtype,
    workspace as matmul_workspace,
)
from convpipe.tensors import Array, Sizes

UFUNC_BUFFERS = 3 * 8192 * 8  # bytes that NumPy may buffer while it adds up strided planes


def between_dtype(target: np.dtype[Any], *operands: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of sums on their way from one stage to the next.

    Integers travel as int64, or as uint64 where no operand has a sign; floats in the widest of the operands' and
    the result's dtypes, at least float32, as in `matmul`.

    >>> between_dtype(np.dtype("int8"), np.dtype("uint8"), np.dtype("int8"))
    dtype('int64')
    """
    if any(dtype.kind == "f" for dtype in operands):
        return np.result_type(target, *operands, np.float32)
    return np.dtype(np.uint64 if all(dtype.kind == "u" for dtype in operands) else np.int64)


def between_overflow(target: np.dtype[Any], overflow: Overflow) -> Overflow:
    """What happens to a sum between stages that its dtype cannot hold.

    Only a result modulo 2**bits is still right when sums on the way are modulo 2**64.

    >>> between_overflow(np.dtype("int8"), "wrap"), between_overflow(np.dtype("int8"), "saturate")
    ('wrap', 'error')
    """
    return "wrap" if overflow == "wrap" and target.kind in "iu" else "error"


def rows(maps: Array) -> Array:
    """Lay out what lies at each position of (N, F, out_h, out_w) as one row: the adjoint of `reshape`.

    Args:
        maps: (N, F, out_h, out_w), or with one or three spatial axes; any dtype, which the result keeps.

    Returns:
        (N*out_h*out_w, F), a transposed (F, N*out_h*out_w); a view of a contiguous `maps` where N is 1.

    >>> rows(np.arange(8).reshape(1, 2, 2, 2)).tolist()
    [[0, 4], [1, 5], [2, 6], [3, 7]]
    """
    batch, filters, *out = maps.shape
    return maps.swapaxes(0, 1).reshape(filters, batch * prod(out)).T


def fil2row(filters: Array, groups: int = 1) -> Array:
    """Lay out every tap of the filters as one row: the filter matrix transposed, group by group.

    Args:
        filters: (F, C/G, kh, kw), or with one or three spatial axes; any dtype, which the result keeps.

    Returns:
        (C*kh*kw, F/G), rows in C, kh, kw order: a view of contiguous `filters` where G is 1.

    >>> fil2row(np.arange(8).reshape(2, 1, 2, 2)).tolist()
    [[0, 4], [1, 5], [2, 6], [3, 7]]
    """
    count, taps = filters.shape[0] // groups, prod(filters.shape[1:])
    return filters.reshape(groups, count, taps).swapaxes(1, 2).reshape(groups * taps, count)


def matmul_rows(row_matrix: Array, tap_matrix: Array, groups: int, dtype: Any, overflow: Overflow) -> Array:
    """Spread every row over the taps of the filters: ``row_matrix @ tap_matrix.T``, group by group.

    Args:
        row_matrix: (N*out_h*out_w, F), of any integer or float dtype.
        tap_matrix: (C*kh*kw, F/G), likewise.
        dtype: of the result, from `between_dtype`.
        overflow: from `between_overflow`.

    Returns:
        (N*out_h*out_w, C*kh*kw), summed as in `matmul`.

    Raises:
        ValueRangeError: with ``overflow="error"``, a sum that `dtype` does not hold.
    """
    try:
        return matmul(row_matrix, tap_matrix, None, groups, dtype, overflow)
    except ValueRangeError as error:
        raise on_the_way(dtype, error) from error


def on_the_way(dtype: Any, error: ValueRangeError) -> ValueRangeError:
    """The error of a sum that no dtype asked for could have saved, as it arose before the last stage."""
    sum_, _, _ = str(error).partition(" does not fit")
    return ValueRangeError(f"{sum_}, on its way from stage to stage, does not fit {dtype}; use floats or overflow=wrap")


def fold_exactly(
    columns: Array, padded_shape: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes, overflow: Overflow = "error"
) -> Array:
    """`fold` whose integer sums are exact: the adjoint of `unfold`.

    Args:
        columns: (N*out_h*out_w, C*kh*kw); integers of any width, or floats, which are summed in their own dtype.
        overflow: ``error`` or ``wrap``, for a sum that the dtype of `columns` cannot hold.

    Returns:
        (N, C, H + pads, W + pads), of the dtype of `columns`.

    Raises:
        ValueRangeError: with ``overflow="error"``, a sum that does not fit.
        GeometryError: columns of another shape.

    >>> fold_exactly(np.ones((2, 2), int), (1, 1, 3), (2,), (1,), (1,)).tolist()
    [[[1, 2, 1]]]
    """
    sizes = (kernel, stride, dilation)
    if overflow == "wrap" or holds(columns, prod(kernel)):
        with np.errstate(over="ignore", invalid="ignore"):  # inf - inf is NaN, as IEEE says
            return fold(columns, padded_shape, *sizes)
    batch, channels, *size = padded_shape
    padded = np.empty(padded_shape, columns.dtype)
    parts = columns.reshape(batch, -1, channels, prod(kernel))  # one image and channel at a time, as they are large
    try:
        for image, channel in np.ndindex(batch, channels):
            sums = fold(parts[image, :, channel].astype(object), (1, 1, *size), *sizes)
            padded[image, channel] = narrowed(sums[0, 0], columns.dtype, overflow)
    except ValueRangeError as error:
        raise on_the_way(columns.dtype, error) from error
    return padded


def holds(values: Array, terms: int, extra: int = 0) -> bool:
    """Whether sums of so many of these values, and `extra`, cannot leave their dtype; floats never do."""
    return values.dtype.kind == "f" or terms * largest(values) + extra <= np.iinfo(values.dtype).max


def unpad(
    padded: Array,
    bias: Array | None = None,
    *,
    pads: Pads,
    mode: str = "constant",
    dtype: Any = None,
    overflow: Overflow = "error",
) -> Array:
    """Take the padding of a batch back: the adjoint of `pad`.

    Args:
        padded: (N, C, H + pads, W + pads), or with one or three spatial axes; integers or floats.
        bias: (C,), added to every cell before anything is rounded or checked.
        pads: (before, after) for each spatial axis; a negative one adds cells that are zero.
        mode: ``constant`` crops; for ``reflect``, ``edge`` and ``wrap`` every padded cell is added to the cell
            that it was copied from.
        dtype: of the result; by default that of `padded`.
        overflow: for an exact sum that `dtype` cannot hold: ``error``, ``wrap`` or ``saturate``.

    Returns:
        (N, C, H, W). Integers are summed exactly; floats in the dtype of `padded`, and rounded at the end.

    Raises:
        ValueRangeError: with ``overflow="error"``, a sum that does not fit.

    >>> unpad(np.array([[[10, 1, 2, 3]]]), pads=((1, 0),), mode="edge").tolist()
    [[[11, 2, 3]]]
    """
    target = padded.dtype if dtype is None else np.dtype(dtype)
    spatial = tuple(size - sum(pair) for size, pair in zip(padded.shape[2:], pads, strict=True))
    terms = prod(copies(size, pair, mode) for size, pair in zip(spatial, pads, strict=True))
    extra = 0 if bias is None or bias.dtype.kind == "f" else largest(bias)
    exact = between_overflow(target, overflow) == "wrap" or holds(padded, terms, extra)
    wide = padded.dtype if exact else np.dtype(object)
    offsets = None if bias is None else bias.astype(wide).reshape(-1, *(1 for _ in spatial))
    result = np.empty((*padded.shape[:2], *spatial), target)
    # Python's integers are large: of those, one channel at a time
    parts = [slice(None)] if exact else [slice(channel, channel + 1) for channel in range(padded.shape[1])]
    for (image, planes), part in product(zip(padded, result, strict=True), parts):
        sums = unpad_image(image[part].astype(wide, copy=False), pads, mode)
        if offsets is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                sums = sums + offsets[part]
        planes[part] = fitted(sums, target, overflow)
    return result


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


def fitted(sums: Array, dtype: np.dtype[Any], overflow: Overflow) -> Array:
    """`narrowed`, also for uint64 sums that saturate."""
    if sums.dtype == np.uint64 and overflow == "saturate" and dtype.kind in "iu":
        sums = np.minimum(sums, np.uint64(np.iinfo(dtype).max))
    return narrowed(sums, dtype, overflow)


def crop(
    padded: Array,
    bias: Array | None = None,
    *,
    pads: Pads,
    dtype: Any = None,
    overflow: Overflow = "error",
) -> Array:
    """The feature map in a padded sum: the last stage of a transposed convolution.

    Args:
        padded, bias, pads, dtype, overflow: as in `unpad`.

    Returns:
        (N, out_h, out_w, F), a view of an (N, F, out_h, out_w) array.

    >>> crop(np.array([[[1, 2, 3]]]), np.array([10]), pads=((1, -1),)).tolist()
    [[[12], [13], [10]]]
    """
    return np.moveaxis(unpad(padded, bias, pads=pads, dtype=dtype, overflow=overflow), 1, -1)


def matmul_columns(
    row_matrix: Array, columns: Array, groups: int = 1, dtype: Any = None, overflow: Overflow = "error"
) -> Array:
    """Sum rows times patches over all positions: ``row_matrix.T @ columns``, group by group.

    Args:
        row_matrix: (N*out_h*out_w, F), the gradient of the product; of any integer or float dtype.
        columns: (N*out_h*out_w, C*kh*kw), likewise.
        dtype, overflow: as in `matmul`, whose exactness this has.

    Returns:
        (F, C/G*kh*kw), the gradient of the filter matrix.

    Raises:
        ValueRangeError: with ``overflow="error"``, a sum that does not fit.

    >>> matmul_columns(np.array([[1], [10]]), np.array([[1, 2], [3, 4]])).tolist()
    [[31, 42]]
    """
    target = np.dtype(dtype) if dtype is not None else result_dtype(row_matrix.dtype, columns.dtype)
    filters, taps = row_matrix.shape[1] // groups, columns.shape[1] // groups
    result = np.empty((groups * filters, taps), target)
    for group in range(groups):
        own = slice(group * filters, (group + 1) * filters)
        patches = columns[:, group * taps : (group + 1) * taps]
        result[own] = matmul(patches.T, row_matrix[:, own].T, dtype=target, overflow=overflow).T
    return result


def col2fil(filter_matrix: Array, shape: Sizes) -> Array:
    """Give every row of a filter matrix the shape of a filter again: the inverse of `fil2col`.

    Args:
        filter_matrix: (F, C/G*kh*kw), any dtype, which the result keeps.
        shape: (F, C/G, kh, kw).

    Returns:
        (F, C/G, kh, kw): a view where `filter_matrix` is contiguous.

    >>> col2fil(np.zeros((6, 75)), (6, 3, 5, 5)).shape
    (6, 3, 5, 5)
    """
    return filter_matrix.reshape(shape)


def sum_rows(row_matrix: Array, dtype: Any = None, overflow: Overflow = "error") -> Array:
    """Add up all rows: the gradient of the bias.

    Args:
        row_matrix: (N*out_h*out_w, F), of any integer or float dtype.
        dtype, overflow: as in `matmul`, whose exactness this has.

    Returns:
        (F,).

    Raises:
        ValueRangeError: with ``overflow="error"``, a sum that does not fit.

    >>> sum_rows(np.array([[1, 2], [3, 4]])).tolist()
    [4, 6]
    """
    ones = np.ones((1, row_matrix.shape[0]), row_matrix.dtype)
    return matmul(row_matrix.T, ones, dtype=dtype, overflow=overflow)[:, 0]


# How much memory they may need beside their operands and results


def fold_workspace(parts: int, padded: int, terms: int, taps: int, *operands: np.dtype[Any]) -> int:
    """The most bytes that `fold_exactly` may need.

    Args:
        parts: cells of the columns of one image and channel.
        padded: cells of one padded image and channel.
        terms: products in one cell of the columns.
        taps: cells of the columns that meet in one padded cell.
        operands: the dtypes of those products' factors.
    """
    objects = OBJECT_BYTES * (parts + 2 * padded) if may_leave_int64(terms * taps, *operands) else 0
    return UFUNC_BUFFERS + objects


def unpad_workspace(image: int, channels: int, terms: int, between: np.dtype[Any], *operands: np.dtype[Any]) -> int:
    """The most bytes that `unpad` may need.

    Args:
        image: cells of one padded image, all channels together.
        channels: how many those are.
        terms: products that meet in one cell of the result.
        between: the dtype of the padded sums.
        operands: the dtypes of those products' factors, and of the bias.
    """
    plain = 3 * between.itemsize * image  # an axis folded, the next one, and the bias added or a clipped copy
    return plain + 3 * OBJECT_BYTES * -(-image // max(channels, 1)) if may_leave_int64(terms, *operands) else plain


def may_leave_int64(terms: int, *operands: np.dtype[Any]) -> bool:
    """Whether so many products of integers of these dtypes may need Python's integers."""
    if any(dtype.kind == "f" for dtype in operands):
        return False
    magnitudes = [max(-int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)) for dtype in operands]
    return integer_accumulator(terms, magnitudes[0], magnitudes[1], sum(magnitudes[2:])).kind == "O"


def columns_workspace(positions: int, filters: int, taps: int, target: np.dtype[Any], *operands: np.dtype[Any]) -> int:
    """The most bytes that `matmul_columns` may need, given the filters and taps of one group."""
    return filters * taps * target.itemsize + matmul_workspace(taps, (filters, positions), target, *operands)


def sum_workspace(positions: int, filters: int, target: np.dtype[Any], operand: np.dtype[Any]) -> int:
    """The most bytes that `sum_rows` may need."""
    return positions * operand.itemsize + matmul_workspace(filters, (1, positions), target, operand, operand)
