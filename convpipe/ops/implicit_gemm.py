"""Convolution by implicit GEMM: the column matrix is made and used a tile at a time, and never stands whole."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from convpipe.geometry.axes import PerAxis, reach
from convpipe.geometry.convolution import ConvGeometry, solve
from convpipe.ops import (
    MAIN,
    Array,
    Form,
    Made,
    SumStage,
    Tensor,
    check_padded,
    check_shape,
    checked,
    images,
    numeric,
    variables,
)
from convpipe.ops.arrays.bounds import Bounded, product_error
from convpipe.ops.arrays.overflow import Overflow
from convpipe.ops.arrays.sums import TILE_BYTES, target_dtype, workspace as product_workspace
from convpipe.ops.arrays.taps import unfold
from convpipe.ops.fil2col import fil2col
from convpipe.ops.kinds.products import of_convolution
from convpipe.ops.matmul import matmul


class ImplicitGemm(SumStage):
    """padded, filters and perhaps bias -> feature_map, the columns made and used tile by tile."""

    reads = (MAIN, "filters")
    may_read = ("bias",)
    after = ("padded",)
    result = "feature_map"

    def plan(self, x: Tensor, filters: Tensor, bias: Tensor | None = None) -> Made:
        """(N, out_h, out_w, F)."""
        check_padded(self.conv, x)
        sizes = self.conv.sizes
        operands = [tensor.dtype for tensor in (x, filters, bias) if tensor is not None]
        target = target_dtype(self.dtype, *operands)
        memory = workspace(sizes, target, *operands)
        return Made(sizes.feature_map_shape, target, sizes.feature_map_axes, sizes.macs, memory)

    def run(self, x: Array, filters: Array, bias: Array | None = None) -> Array:
        """`implicit_gemm`."""
        sizes = self.conv.sizes
        return implicit_gemm(
            x,
            filters,
            bias,
            stride=sizes.stride,
            dilation=sizes.dilation,
            groups=sizes.groups,
            dtype=self.dtype,
            overflow=self.overflow,
        )

    def error(self, made: Array, x: Bounded, filters: Bounded, bias: Bounded | None = None) -> Array:
        """That of sums of products."""
        wide = replace(self, dtype="float64", overflow="inf")
        return product_error(wide.run, made.dtype, self.conv.sizes.taps, x, filters, bias)

    def form(self, x: Tensor, filters: Tensor, bias: Tensor | None = None) -> Form:
        """Pixels times weights, and the bias."""
        n, *out, f = variables(self.conv.sizes.rank + 2)
        return of_convolution(self.conv.sizes, n, f, out, image=0, bias=bias is not None)


def implicit_gemm(
    padded: ArrayLike,
    filters: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: PerAxis,
    dilation: PerAxis,
    groups: int = 1,
    dtype: DTypeLike | None = None,
    overflow: Overflow = "error",
) -> Array:
    """Convolve padded images with filters, a few output rows of one image at a time.

    Args:
        padded: (N, C, H, W), or with one or three spatial axes.
        filters: (F, C/G, kh, kw).
        stride, dilation: one number, or one per axis.
        bias, groups, dtype, overflow: as in `matmul`, whose values these are, to the bit for integers.

    Returns:
        (N, out_h, out_w, F), a view of an (N, F, out_h, out_w) array.

    Raises:
        ConfigError: arguments that are no arrays of numbers or do not fit together, named.
        ValueRangeError: with ``overflow="error"``, a sum that does not fit.

    >>> implicit_gemm([[[1, 2, 3]]], [[[10, 1]]], stride=1, dilation=1).tolist()
    [[[12], [23]]]
    """
    padded, filters = images("padded", padded), images("filters", filters)
    bias = None if bias is None else numeric("bias", bias)
    [overflow] = checked(ImplicitGemm, overflow=overflow)
    sizes = solve(padded.shape, filters.shape, stride=stride, dilation=dilation, groups=groups)
    if bias is not None:
        check_shape("bias", bias, filters.shape[:1], "one value per filter")
    operands = [padded.dtype, filters.dtype] + ([] if bias is None else [bias.dtype])
    result = np.empty((sizes.batch, sizes.filters, *sizes.out), target_dtype(dtype, *operands))
    fill_maps(result, padded, filters, bias, sizes, overflow)
    return np.moveaxis(result, 1, -1)  # (N, out_h, out_w, F)


def fill_maps(
    result: Array, padded: Array, filters: Array, bias: Array | None, sizes: ConvGeometry, overflow: Overflow
) -> None:
    """Fill (N, F, out_h, out_w), tile by tile."""
    kernel, stride, dilation, out = sizes.kernel, sizes.stride, sizes.dilation, sizes.out
    filter_matrix = fil2col(filters)
    row = sizes.channels * prod(kernel) * prod(out[1:])  # columns' values for one row of the output
    rows = min(tile_rows(row * padded.dtype.itemsize), out[0])
    memory = np.empty(rows * row, padded.dtype)  # one for all tiles: fresh memory costs a third of the time
    for image, maps in zip(padded, result, strict=True):
        for start in range(0, out[0], rows):
            stop = min(start + rows, out[0])
            cells = slice(start * stride[0], (stop - 1) * stride[0] + reach(kernel[0], dilation[0]))
            columns = unfold(image[None, :, cells], kernel, stride, dilation, memory)
            tile = maps[:, start:stop].reshape(len(maps), len(columns))  # a view: the rows of a map lie together
            matmul(columns, filter_matrix, bias, sizes.groups, result.dtype, overflow, out=tile)


def tile_rows(row_bytes: int) -> int:
    """How many output rows make a tile of about TILE_BYTES of columns; at least one."""
    return max(1, TILE_BYTES // max(1, row_bytes))


def workspace(sizes: ConvGeometry, target: np.dtype[Any], *operands: np.dtype[Any]) -> int:
    """The most bytes that `implicit_gemm` may need beside its operands and its result."""
    row = sizes.channels * prod(sizes.kernel) * prod(sizes.out[1:]) * operands[0].itemsize
    rows = min(tile_rows(row), sizes.out[0])
    positions = rows * prod(sizes.out[1:])
    weights = (sizes.filters // sizes.groups, sizes.taps)
    filter_copy = prod(sizes.filters_shape) * operands[1].itemsize
    return rows * row + filter_copy + product_workspace(positions, weights, target, *operands)
