"""Tiles of columns times tiles of filters: the partial sums that leave a systolic array."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from convpipe.ops import (
    MAIN,
    Array,
    Form,
    GeometryError,
    Made,
    Read,
    Tensor,
    TileStage,
    ValueRangeError,
    checked,
    numeric,
    of_products,
    variables,
)
from convpipe.ops.arrays.adjoints import between_dtype, between_overflow, on_the_way
from convpipe.ops.arrays.bounds import Bounded, product_error
from convpipe.ops.arrays.overflow import SHIFT, Overflow, check_rule, narrowed, scaled, settled
from convpipe.ops.arrays.sums import (
    OBJECT_BYTES,
    SLACK,
    TILE_BYTES,
    float_accumulator,
    integer_accumulator,
    largest,
    may_leave_int64,
    result_dtype,
    target_dtype,
)
from convpipe.ops.kinds.convolving import ConvSettings
from convpipe.tensors import Sizes

TILES = (5,)  # axes


class MatmulTiles(TileStage):
    """column_tiles, filter_tiles -> partial_sums."""

    reads = (MAIN, "filter_tiles")
    after = ("column_tiles",)
    result = "partial_sums"
    varies = True
    ruled_by = "quant.accumulator"

    @property
    def rule(self) -> Overflow:
        """The convolution's rule for a result that does not fit; of a quantised one its accumulator's."""
        quant = self.conv.quant
        return self.conv.operation.overflow if quant is None else quant.accumulator.at_64

    def plan(self, x: Tensor, filter_tiles: Tensor) -> Made:
        """(G, P/rows, F/f, K/k, rows, f)."""
        shape = shape_of(x.shape, filter_tiles.shape)
        between = between_dtype(self.conv.output, self.rule, x.dtype, filter_tiles.dtype)
        axes = (*x.axes[:2], filter_tiles.axes[1], x.axes[2], x.axes[3], filter_tiles.axes[4])
        macs = int(np.prod(shape, dtype=object)) * x.shape[-1]
        memory = workspace(x.shape, filter_tiles.shape, x.dtype, filter_tiles.dtype)
        return Made(shape, between, axes, macs, memory)

    def run(self, x: Array, filter_tiles: Array) -> Array:
        """`matmul_tiles`."""
        between = between_dtype(self.conv.output, self.rule, x.dtype, filter_tiles.dtype)
        try:
            return matmul_tiles(x, filter_tiles, between, between_overflow(between, self.conv.output, self.rule))
        except ValueRangeError as error:
            raise on_the_way(between, error) from error

    def error(self, made: Array, x: Bounded, filter_tiles: Bounded) -> Array:
        """That of sums of products, as many as a tile has."""

        def products(columns: Array, filters: Array, _: None) -> Array:
            return matmul_tiles(columns, filters, "float64", "inf")

        return product_error(products, made.dtype, x.values.shape[-1], x, filter_tiles)

    def form(self, x: Tensor, filter_tiles: Tensor) -> Form:
        """A row of a tile of columns times a column of a tile of filters."""
        group, above, beside, along, row, f, tap = variables(7)
        columns = Read("x", 0, (group, above, along, row, tap), x.shape)
        filters = Read("w", "filter_tiles", (group, beside, along, tap, f), filter_tiles.shape)
        return of_products(6, (columns, filters), (x.shape[-1],))


def matmul_tiles(
    column_tiles: ArrayLike, filter_tiles: ArrayLike, dtype: DTypeLike | None = None, overflow: Overflow = "error"
) -> Array:
    """Multiply each tile of columns with those tiles of filters that it meets.

    Args:
        column_tiles: (G, P/rows, K/k, rows, k), from `tile_columns`.
        filter_tiles: (G, F/f, K/k, k, f), from `tile_filters`.
        dtype: of the partial sums; by default int64, of operands without a sign uint64, of floats at least float32.
        overflow: as in `matmul`.

    Returns:
        (G, P/rows, F/f, K/k, rows, f), integers exact, floats summed in the widest dtype, at least float32.

    Raises:
        ConfigError: tiles that do not fit together.
        ValueRangeError: with ``overflow="error"``, a sum that does not fit.

    >>> matmul_tiles([[[[[1, 2]], [[3, 0]]]]], [[[[[1], [10]], [[100], [0]]]]]).tolist()
    [[[[[[21]], [[300]]]]]]
    """
    columns, filters = numeric("column_tiles", column_tiles, TILES), numeric("filter_tiles", filter_tiles, TILES)
    [overflow] = checked(ConvSettings, overflow=overflow)
    shape, operands = shape_of(columns.shape, filters.shape), (columns.dtype, filters.dtype)
    usual = between_dtype(result_dtype(*operands), "error", *operands)
    target = usual if dtype is None else target_dtype(dtype, *operands)
    check_rule(overflow, target)
    accumulator = accumulator_of(columns, filters, target)
    made, step = np.empty(shape, target), tiles_at_once(columns.shape, filters.shape, accumulator)
    with np.errstate(all="ignore"):
        for group, start in np.ndindex(shape[0], -(-shape[1] // step)):
            rows = slice(start * step, (start + 1) * step)
            made[group, rows] = products_of(columns[group, rows], filters[group], accumulator, target, overflow)
    return made


def accumulator_of(columns: Array, filters: Array, target: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype in which the sums are made."""
    if columns.dtype.kind == "f" or filters.dtype.kind == "f":
        return float_accumulator(target, columns.dtype, filters.dtype)
    return integer_accumulator(columns.shape[-1], largest(columns), largest(filters), 0)


def products_of(
    columns: Array, filters: Array, accumulator: np.dtype[Any], target: np.dtype[Any], overflow: Overflow
) -> Array:
    """The partial sums (R, F/f, K/k, rows, f) of some tiles of one group: of columns (R, K/k, rows, k)."""
    tiles = columns[:, None]  # (R, 1, K/k, rows, k)
    sums = tiles.astype(accumulator) @ filters.astype(accumulator)
    if columns.dtype.kind != "f" and filters.dtype.kind != "f":
        return narrowed(sums, target, overflow)
    return settled(sums, target, overflow, partial(all_finite_products, tiles, filters), partial(again, tiles, filters))


def all_finite_products(tiles: Array, filters: Array) -> Array:
    """For each partial sum, whether all that it is made of is finite."""
    rows, columns = np.asarray(np.isfinite(tiles).all(-1)), np.asarray(np.isfinite(filters).all(-2))
    return np.asarray(rows[..., None] & columns[..., None, :])


def again(tiles: Array, filters: Array) -> Array:
    """The partial sums in float64, on a way on which none of them overflows."""
    return scaled(scaled(tiles, -SHIFT) @ scaled(filters, -SHIFT), 2 * SHIFT)


def shape_of(columns: Sizes, filters: Sizes) -> Sizes:
    """The shape of the partial sums of tiles that fit together.

    Raises:
        GeometryError: they do not.
    """
    groups, above, along, rows, taps = columns
    if (filters[0], filters[2], filters[3]) != (groups, along, taps):
        expected = f"{groups} groups of {along} tiles of {taps} along K, as column_tiles has"
        raise GeometryError("filter_tiles", filters, expected)
    return (groups, above, filters[1], along, rows, filters[4])


def tiles_at_once(columns: Sizes, filters: Sizes, accumulator: np.dtype[Any]) -> int:
    """How many tiles of columns are multiplied at a time, one above the other, so that sums stay near TILE_BYTES."""
    _, _, along, rows, taps = columns
    cells = along * rows * (taps + filters[1] * filters[4])
    return max(1, TILE_BYTES // max(1, cells * (OBJECT_BYTES if accumulator.kind == "O" else accumulator.itemsize)))


def workspace(columns: Sizes, filters: Sizes, *operands: np.dtype[Any]) -> int:
    """The most bytes that `matmul_tiles` may need beside its operands and its result."""
    _, above, along, rows, taps = columns
    itemsize = OBJECT_BYTES if may_leave_int64(taps, *operands) else 8
    own = filters[1] * along * taps * filters[4]
    some = min(above, tiles_at_once(columns, filters, np.dtype(np.float32)))  # the most there are
    return SLACK + itemsize * (own + some * along * rows * (taps + 4 * filters[1] * filters[4]))
