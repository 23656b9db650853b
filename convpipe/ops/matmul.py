"""Columns times filters, exact for integers: through BLAS where that is proven exact, wider otherwise."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from convpipe.ops import (
    MAIN,
    Array,
    ConfigError,
    Convolution,
    ConvSettings,
    Form,
    GeometryError,
    Made,
    Read,
    SumStage,
    Tensor,
    ValueRangeError,
    bias_read,
    check_shape,
    checked,
    numeric,
    of_products,
    variables,
)
from convpipe.ops.add_bias import biased
from convpipe.ops.arrays.accumulating import Operands, held, held_bytes, step_order, stepwise
from convpipe.ops.arrays.arguments import MATRIX
from convpipe.ops.arrays.bounds import Bounded, product_error
from convpipe.ops.arrays.floats import TILE_CELLS
from convpipe.ops.arrays.overflow import SHIFT, Overflow, all_finite, check_rule, narrowed, scaled, settled
from convpipe.ops.arrays.sums import (
    exact_accumulator,
    float_accumulator,
    settling_rows,
    target_dtype,
    tile_rows,
    workspace,
)
from convpipe.ops.kinds.held_sums import held_form, held_text, stepped, terms_text
from convpipe.ops.kinds.quantised import Accumulator

TILED = ("tile_columns", "tile_filters", "matmul_tiles", "sum_tiles")  # where tiles are multiplied


class Matmul(SumStage):
    """columns, filter_matrix and perhaps bias -> product."""

    reads = (MAIN, "filter_matrix")
    may_read = ("bias",)
    after = ("columns",)
    result = "product"

    @classmethod
    def instead(cls, conv: Convolution) -> tuple[str, ...]:
        """Tile by tile, where columns are cut."""
        return () if conv.columns.tile is None else TILED

    def plan(self, x: Tensor, filter_matrix: Tensor, bias: Tensor | None = None) -> Made:
        """(N*out_h*out_w, F)."""
        sizes = self.conv.sizes
        if x.shape != sizes.columns_shape:
            raise GeometryError("x", x.shape, f"columns of the shape {sizes.columns_shape}")
        operands = [tensor.dtype for tensor in (x, filter_matrix, bias) if tensor is not None]
        target = target_dtype(self.dtype, *operands)
        group = (sizes.filters // sizes.groups, sizes.taps)
        memory = workspace(sizes.positions, group, target, *operands)
        if self.accumulator is not None:
            memory += held_bytes(prod(sizes.product_shape), group, *operands)
        return Made(sizes.product_shape, target, (x.axes[0], filter_matrix.axes[0]), sizes.macs, memory)

    def run(self, x: Array, filter_matrix: Array, bias: Array | None = None) -> Array:
        """`matmul`; of a quantised convolution in its accumulator."""
        groups = self.conv.sizes.groups
        try:
            if self.accumulator is None:
                return matmul(x, filter_matrix, bias, groups, self.dtype, self.overflow)
            sums = self.accumulated(x, filter_matrix, groups, self.accumulator)
            return sums if bias is None else biased(sums, bias, self.accumulator)
        except ValueRangeError as error:
            raise self.too_wide(error) from error

    def accumulated(self, x: Array, filter_matrix: Array, groups: int, accumulator: Accumulator) -> Array:
        """The sums in an accumulator that is no dtype of NumPy's, or whose rule counts on the way."""
        if accumulator.at_end:
            sums = matmul(x, filter_matrix, None, groups, np.int64, accumulator.at_64)
            return held(sums, accumulator).astype(accumulator.dtype)
        sizes, taps, quant = self.conv.sizes, filter_matrix.shape[1], self.conv.quant
        steps = step_order(sizes.channels // groups, sizes.kernel, self.conv.order, accumulator.order)
        assert quant is not None
        zeros = np.broadcast_to(np.array(quant.filters.zero_points), len(filter_matrix))
        count = len(filter_matrix) // groups
        made = np.empty((len(filter_matrix), len(x)), accumulator.dtype)
        for group in range(groups):
            rows, columns = (slice(group * each, (group + 1) * each) for each in (count, taps))
            operands = Operands(x[:, columns], filter_matrix[rows], quant.input.zero_point, zeros[rows])
            made[rows] = stepwise(operands, accumulator, steps)
        return made.T

    def error(self, made: Array, x: Bounded, filter_matrix: Bounded, bias: Bounded | None = None) -> Array:
        """That of sums of products."""
        wide = replace(self, dtype="float64", overflow="inf")
        return product_error(wide.run, made.dtype, filter_matrix.values.shape[1], x, filter_matrix, bias)

    def form(self, x: Tensor, filter_matrix: Tensor, bias: Tensor | None = None) -> Form:
        """A row of the columns times a row of the filters, and the bias; or what an accumulator makes of these."""
        sizes, accumulator = self.conv.sizes, self.accumulator
        (row, f), order = variables(2), self.conv.order
        own = None if bias is None else bias_read(f, sizes.filters)
        adding = order if accumulator is None else accumulator.order
        k, loops = stepped(2, sizes.channels // sizes.groups, sizes.kernel, order, adding)
        group = f // (sizes.filters // sizes.groups) * sizes.taps
        reads = Read("x", 0, (row, group + k), x.shape), Read("w", "filter_matrix", (f, k), filter_matrix.shape)
        form = of_products(2, reads, loops, own)
        if accumulator is None:
            return form
        text = terms_text(accumulator)
        text = text if bias is None else held_text(f"{text} + bias", accumulator)
        return held_form(form, text, accumulator, sizes.taps, self.conv.quant)


def matmul(
    columns: ArrayLike,
    filter_matrix: ArrayLike,
    bias: ArrayLike | None = None,
    groups: int = 1,
    dtype: DTypeLike | None = None,
    overflow: Overflow = "error",
    out: Array | None = None,
) -> Array:
    """Multiply patches with filters: ``columns @ filter_matrix.T + bias``, group by group.

    Args:
        columns: (N*out_h*out_w, C*kh*kw), of any integer or float dtype.
        filter_matrix: (F, C/G*kh*kw), likewise.
        bias: (F,), added in the accumulator before anything is rounded or checked.
        groups: filters of group g read only the g-th part of the columns.
        dtype: of the result; by default `result_dtype` of the operands.
        overflow: what becomes of a sum that `dtype` cannot hold though all it is made of is finite: ``error``,
            ``saturate`` (the nearest value it can hold), of integers ``wrap`` (modulo 2**bits), of floats ``inf``
            (what IEEE arithmetic says).
        out: an (F, N*out_h*out_w) array of that dtype to write the product to, transposed.

    Returns:
        (N*out_h*out_w, F), a transposed view of an (F, N*out_h*out_w) buffer, so that the planes of one
        filter lie together. Integer operands are summed exactly, whatever their size: K products of at most
        max|a|*max|b| go through float32 or float64 BLAS where K*max|a|*max|b| + max|bias| is at most 2**24
        or 2**53, through int64 up to 2**63 - 1, and as Python integers beyond (from where a float result is
        rounded by way of float64). Floats are summed in the widest of all dtypes here, at least float32.

    Raises:
        ConfigError: arguments that are no arrays of numbers or do not fit together, named.
        ValueRangeError: with ``overflow="error"``, a sum that does not fit.

    >>> matmul(np.array([[1, 2]], np.int8), np.array([[3, 4], [100, 100]], np.int8), dtype="int16")
    array([[ 11, 300]], dtype=int16)
    """
    columns, filter_matrix = numeric("columns", columns, MATRIX), numeric("filter_matrix", filter_matrix, MATRIX)
    bias = None if bias is None else numeric("bias", bias)
    groups, overflow = checked(ConvSettings, groups=groups, overflow=overflow)
    check_operands(columns, filter_matrix, bias, groups)
    operands = [columns, filter_matrix] + ([] if bias is None else [bias])
    target = target_dtype(dtype, *(operand.dtype for operand in operands))
    check_rule(overflow, target)
    shape = (filter_matrix.shape[0], columns.shape[0])
    product = np.empty(shape, target) if out is None else checked_out(out, shape, target)
    if all(operand.dtype.kind in "iu" for operand in operands):
        accumulator = exact_accumulator(columns, filter_matrix, bias)
    else:
        accumulator = float_accumulator(target, *(operand.dtype for operand in operands))
    filters, taps = filter_matrix.shape[0] // groups, filter_matrix.shape[1]
    with np.errstate(all="ignore"):  # infinity and nan pass through
        for group in range(groups):
            rows = slice(group * filters, (group + 1) * filters)
            parts = Parts(
                columns[:, group * taps : (group + 1) * taps],
                filter_matrix[rows],
                None if bias is None else bias[rows],
            )
            fill_product(product[rows], parts, accumulator, overflow)
    return product.T  # (N*out_h*out_w, F)


def check_operands(columns: Array, filter_matrix: Array, bias: Array | None, groups: int) -> None:
    """Operands that can be multiplied, group by group.

    Raises:
        GeometryError: they cannot.
    """
    filters, taps = filter_matrix.shape
    if filters % groups:
        raise GeometryError("groups", groups, f"a divisor of the {filters} filters")
    if columns.shape[1] != groups * taps:
        expected = f"{groups * taps} columns, {taps} for each of {groups} groups"
        raise GeometryError("columns", columns.shape, expected)
    if bias is not None:
        check_shape("bias", bias, (filters,), "one value per filter")


def checked_out(out: Array, shape: tuple[int, int], dtype: np.dtype[Any]) -> Array:
    """The array that a product is written to.

    Raises:
        ConfigError: no array of this shape and dtype.
    """
    if not isinstance(out, np.ndarray) or out.dtype != dtype:
        raise ConfigError("out", getattr(out, "dtype", out), f"an array of {dtype}")
    check_shape("out", out, shape, "filters and positions")
    return out


class Parts(NamedTuple):
    """What one group's product, or a tile of it, is made of."""

    columns: Array  # (positions, K)
    weights: Array  # (F, K)
    bias: Array | None  # (F,)

    def tile(self, cells: slice) -> Parts:
        """The same of some positions."""
        return self._replace(columns=self.columns[cells])

    def finite(self) -> Array:
        """For each cell of the (F, positions) product, whether all it is made of is finite."""
        filters = np.ones(len(self.weights), bool) if self.bias is None else np.isfinite(self.bias)
        positions = np.ones(len(self.columns), bool)
        for taps in self.taps():
            filters = filters & np.isfinite(self.weights[:, taps]).all(1)
            positions &= np.isfinite(self.columns[:, taps]).all(1)
        return np.logical_and.outer(filters, positions)

    def again(self, accumulator: np.dtype[Any]) -> Array:
        """The product in float64, whose infinities are beyond that dtype; sums on the way do not overflow."""
        down = -SHIFT if accumulator == np.float64 else 0
        sums = np.zeros((len(self.weights), len(self.columns)))
        for taps in self.taps():
            sums += scaled(self.weights[:, taps], down) @ scaled(self.columns[:, taps], down).T
        if self.bias is not None:
            sums += scaled(self.bias, 2 * down)[:, None]
        return scaled(sums, -2 * down)

    def taps(self) -> list[slice]:
        """Its taps, as many at a time as `settling` promises."""
        return tiles_of(self.weights.shape[1], max(1, TILE_CELLS // max(1, len(self.weights) + len(self.columns))))


def fill_product(product: Array, parts: Parts, accumulator: np.dtype[Any], overflow: Overflow) -> None:
    """Fill one group's (F, N*out_h*out_w) product, tile by tile unless it can go to BLAS as it is."""
    columns, weights, bias = parts
    floats = columns.dtype.kind == "f" or weights.dtype.kind == "f" or (bias is not None and bias.dtype.kind == "f")
    if columns.dtype == weights.dtype == product.dtype == accumulator:
        np.matmul(weights, columns.T, out=product)
        if bias is not None:
            product += bias[:, None].astype(accumulator)
        if floats and overflow != "inf" and not all_finite(product):
            settle(product, product.dtype, parts, overflow)
        return
    wide_weights = weights.astype(accumulator)  # (F, K)
    wide_bias = None if bias is None else bias.astype(accumulator)[:, None]
    for cells in tiles_of(columns.shape[0], tile_rows(weights.shape, accumulator)):
        part = columns[cells].astype(accumulator)  # (tile, K), its memory order kept
        sums = wide_weights @ part.T  # (F, tile)
        if wide_bias is not None:
            sums += wide_bias
        if floats:
            product[:, cells] = settle(sums, product.dtype, parts.tile(cells), overflow)
        else:
            product[:, cells] = narrowed(sums, product.dtype, overflow)


def tiles_of(positions: int, size: int) -> list[slice]:
    """Positions in slices of a size."""
    return [slice(start, start + size) for start in range(0, positions, size)]


def settle(sums: Array, dtype: np.dtype[Any], parts: Parts, overflow: Overflow) -> Array:
    """The rule for overflow, for sums of floats in their accumulator; those of that dtype may be changed in place."""
    with np.errstate(all="ignore"):
        found = sums.astype(dtype, copy=False)
    if overflow == "inf" or all_finite(found):
        return found
    for cells in tiles_of(sums.shape[1], settling_rows(len(sums))):
        tile = parts.tile(cells)
        found[:, cells] = settled(sums[:, cells], dtype, overflow, tile.finite, partial(tile.again, sums.dtype))
    return found
