"""Columns back to images, overlaps added up: the adjoint of `im2col`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convpipe.geometry.axes import Padding, PerAxis
from convpipe.geometry.columns import ORDERS, Order
from convpipe.ops import (
    Array,
    BetweenStage,
    Form,
    Made,
    Read,
    Sizes,
    Tensor,
    ValueRangeError,
    checked,
    formula,
    numeric,
    sizes_of,
    variables,
)
from convpipe.ops.arrays.adjoints import holds, on_the_way
from convpipe.ops.arrays.arguments import MATRIX
from convpipe.ops.arrays.bounds import Bounded, float_bound, sum_error
from convpipe.ops.arrays.overflow import SUM_SHIFT, Overflow, all_finite, check_rule, narrowed, scaled, settled
from convpipe.ops.arrays.sums import OBJECT_BYTES, may_leave_int64
from convpipe.ops.arrays.taps import check_columns, fold, in_usual_order, interior, read_patch, solve_patches
from convpipe.ops.arrays.totals import Adding, Parts, short_total, total
from convpipe.ops.kinds.convolving import ConvSettings
from convpipe.ops.kinds.products import patch_column, steps_back

Folding = tuple[Sizes, Sizes, Sizes, Sizes]  # padded shape, kernel, stride, dilation
FEW = 64  # terms of a sum, of a kernel of 8x8, that float32 may add up with a loss of two digits at most
UFUNC_BUFFERS = 3 * 8192 * 8  # bytes that NumPy may buffer while it adds up strided planes


class Col2im(BetweenStage):
    """tap_columns -> padded_sums."""

    after = ("tap_columns",)
    result = "padded_sums"
    follows = ("order",)

    def plan(self, x: Tensor) -> Made:
        """(N, C, H + pads, W + pads)."""
        sizes, conv = self.conv.sizes, self.conv
        kernel = prod(sizes.kernel)
        parts, padded, terms = prod(sizes.out) * kernel, prod(sizes.padded), sizes.filters // sizes.groups
        memory = fold_workspace(parts, padded, terms, kernel, *conv.operands)
        if self.adding is total and x.dtype.kind == "f":
            memory += (6 if x.dtype == np.float64 else 1) * 8 * prod(sizes.padded_shape)
        if conv.order != ORDERS[0]:
            memory += x.bytes  # in the usual order
        return Made(sizes.padded_shape, x.dtype, ("N", *conv.operation.image_letters(sizes.rank)), workspace=memory)

    @property
    def adding(self) -> Adding:
        """What adds up floats: as products are, in their own dtype and with no other memory, unless they are many."""
        return short_total if prod(self.conv.sizes.kernel) <= FEW else total

    def run(self, x: Array) -> Array:
        """`fold_exactly`."""
        sizes, overflow = self.conv.sizes, self.between_overflow
        columns = in_usual_order(x, self.conv.patch)
        try:
            return fold_exactly(
                columns, sizes.padded_shape, sizes.kernel, sizes.stride, sizes.dilation, overflow, self.adding
            )
        except ValueRangeError as error:
            raise on_the_way(x.dtype, error) from error

    def error(self, made: Array, x: Bounded) -> Array:
        """That of sums of as many terms as the kernel has taps."""
        sizes = self.conv.sizes

        def sums(columns: Array) -> Array:
            found = in_usual_order(columns, self.conv.patch)
            return fold_exactly(found, sizes.padded_shape, sizes.kernel, sizes.stride, sizes.dilation, "inf")

        return sum_error(sums, made.dtype, partial(float_bound, prod(sizes.kernel), dtype=made.dtype), x)

    def form(self, x: Tensor) -> Form:
        """The tap columns' cells that meet there, added up."""
        sizes, rank = self.conv.sizes, self.conv.sizes.rank + 2
        (n, channel, *own), taps = variables(rank), variables(sizes.rank, rank)
        column = patch_column(self.conv.patch, channel, taps)
        met = (n, *steps_back(sizes, own, taps), column)
        view = (sizes.batch, *sizes.out, x.shape[1])
        read = Read("x", 0, met, view, merged=(sizes.rank + 1, 1))
        return Form(formula("sum(x)"), rank, (read,), sizes.kernel)


def col2im(
    col: ArrayLike,
    img_shape: Sequence[int],
    kh: int,
    kw: int,
    stride: PerAxis = 1,
    pad: Padding = 0,
    dilation: PerAxis = 1,
    overflow: Overflow = "error",
    order: Order = ORDERS[0],
    groups: int = 1,
) -> Array:
    """Add the rows of a column matrix back into the cells they came from: the adjoint of `im2col`.

    Args:
        col: (N*out_h*out_w, C*kh*kw), any integer or float dtype, which the result keeps.
        img_shape: (N, C, H, W) of the image that the columns were taken from.
        overflow: as in `matmul`, for a sum that the dtype cannot hold.
        order, groups: as in `im2col`: how the cells of a row lie.

    Returns:
        (N, C, H, W): each cell the sum over all patches that held it; integers exact, floats as in `total`.

    Raises:
        ConfigError: a `col` that is no array of numbers, settings that are none, or sizes that do not fit.
        ValueRangeError: with ``overflow="error"``, a sum that does not fit.

    >>> col2im(np.ones((4, 4), int), (1, 1, 3, 3), kh=2, kw=2)
    array([[[[1, 2, 1],
             [2, 4, 2],
             [1, 2, 1]]]])
    """
    col, shape = numeric("col", col, MATRIX), sizes_of("img_shape", img_shape)
    [overflow] = checked(ConvSettings, overflow=overflow)
    check_rule(overflow, col.dtype)
    sizes = solve_patches(shape, kh, kw, stride, pad, dilation, "constant")
    check_columns(col, sizes.padded_shape, sizes.kernel, sizes.stride, sizes.dilation)
    columns = in_usual_order(col, read_patch(sizes.channels, sizes.kernel, groups, order))
    padded = fold_exactly(columns, sizes.padded_shape, sizes.kernel, sizes.stride, sizes.dilation, overflow, total)
    return padded[interior(sizes.pads, sizes.spatial)]


def fold_exactly(
    columns: Array,
    padded_shape: Sizes,
    kernel: Sizes,
    stride: Sizes,
    dilation: Sizes,
    overflow: Overflow = "error",
    adding: Adding = short_total,
) -> Array:
    """`fold` after the rule for sums that do not fit: the adjoint of `unfold`.

    Args:
        columns: (N*out_h*out_w, C*kh*kw); integers of any width, or floats.
        overflow: for a sum that the dtype of `columns` cannot hold.
        adding: what adds up floats.

    Returns:
        (N, C, H + pads, W + pads), of the dtype of `columns`.

    Raises:
        ValueRangeError: with ``overflow="error"``, a sum that does not fit.
        GeometryError: columns of another shape.

    >>> fold_exactly(np.ones((2, 2), int), (1, 1, 3), (2,), (1,), (1,)).tolist()
    [[[1, 2, 1]]]
    """
    sizes = (padded_shape, kernel, stride, dilation)
    if columns.dtype.kind == "f":
        return settled_fold(columns, sizes, overflow, adding)
    if overflow == "wrap" or holds(columns, prod(kernel)):
        return fold(columns, *sizes)
    return folded_objects(columns, *sizes, overflow)


def settled_fold(columns: Array, sizes: Folding, overflow: Overflow, adding: Adding) -> Array:
    """`fold` of floats after the rule for overflow: where some sums are not finite, one image and channel at a time."""
    padded = fold(columns, *sizes, adding)
    with np.errstate(all="ignore"):
        result: Array = padded.astype(columns.dtype, copy=False)
        finite = overflow == "inf" or all_finite(result)
    (batch, channels, *size), kernel = sizes[:2]
    parts = columns if finite else columns.reshape(batch, -1, channels, prod(kernel))
    for image, channel in () if finite else np.ndindex(batch, channels):
        again = partial(fold, parts[image, :, channel], (1, 1, *size), kernel, *sizes[2:])
        result[image : image + 1, channel : channel + 1] = settled(
            padded[image : image + 1, channel : channel + 1],
            columns.dtype,
            overflow,
            partial(again, all_finite_terms),
            partial(again, scaled_total),
        )
    return result


def all_finite_terms(shape: Sizes, dtype: np.dtype[Any], parts: Parts) -> Array:
    """For each sum, in place of it, whether all its terms are finite."""
    finite = np.ones(shape, bool)
    for where, part in parts:
        finite[where] &= np.isfinite(part)
    return finite


def scaled_total(shape: Sizes, dtype: np.dtype[Any], parts: Parts) -> Array:
    """The sums on a way on which none of them overflows, a part at a time."""
    sums = np.zeros(shape)
    for where, part in parts:
        sums[where] += scaled(part, -SUM_SHIFT)
    return scaled(sums, SUM_SHIFT)


def folded_objects(
    columns: Array, padded_shape: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes, overflow: Overflow
) -> Array:
    """`fold` by way of Python's integers: one image and channel at a time, as they are large."""
    cells = prod(check_columns(columns, padded_shape, kernel, stride, dilation))
    batch, channels, *size = padded_shape
    padded = np.empty(padded_shape, columns.dtype)
    parts = columns.reshape(batch, cells, channels, prod(kernel))
    for image, channel in np.ndindex(batch, channels):
        sums = fold(parts[image, :, channel].astype(object), (1, 1, *size), kernel, stride, dilation)
        padded[image, channel] = narrowed(sums[0, 0], columns.dtype, overflow)
    return padded


def fold_workspace(parts: int, padded: int, terms: int, taps: int, *operands: np.dtype[Any]) -> int:
    """The most bytes that `fold_exactly` may need, but for floats whose sums are not finite.

    Those take up to eight planes of one channel more, in float64, which no plan counts: it would promise half as much
    again to every large image.

    Args:
        parts: cells of the columns of one image and channel.
        padded: cells of one padded image and channel.
        terms: products in one cell of the columns.
        taps: cells of the columns that meet in one padded cell.
        operands: the dtypes of those products' factors.
    """
    objects = OBJECT_BYTES * (parts + 2 * padded) if may_leave_int64(terms * taps, *operands) else 0
    return UFUNC_BUFFERS + objects
