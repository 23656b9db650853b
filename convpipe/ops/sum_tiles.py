"""Partial sums added up, tile by tile along K: the product again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from convpipe.errors import ConfigError
from convpipe.ops import (
    Array,
    Form,
    GeometryError,
    Made,
    Read,
    SumStage,
    Tensor,
    bias_read,
    check_shape,
    checked,
    formula,
    numeric,
    sizes_of,
    variables,
)
from convpipe.ops.add_bias import biased
from convpipe.ops.arrays.accumulating import held
from convpipe.ops.arrays.bounds import Bounded, float_bound, sum_error
from convpipe.ops.arrays.overflow import SUM_SHIFT, Overflow, check_rule, narrowed, scaled, settled
from convpipe.ops.arrays.sums import INT64_EXACT, float_accumulator, largest, target_dtype
from convpipe.ops.arrays.tiles import joined, tiles_in
from convpipe.ops.kinds.held_sums import held_form, held_text, terms_text
from convpipe.ops.kinds.quantised import Accumulator
from convpipe.tensors import Sizes

PARTIAL_SUMS = (6,)  # axes
ALONG = 3  # the axis of the tiles along K


class SumTiles(SumStage):
    """partial_sums and perhaps bias -> product."""

    may_read = ("bias",)
    after = ("partial_sums",)
    result = "product"
    follows = ("tile",)

    def plan(self, x: Tensor, bias: Tensor | None = None) -> Made:
        """(N*out_h*out_w, F)."""
        if self.accumulator is not None:
            self.check_steps(self.accumulator)
        axes = (x.axes[1].removesuffix("/rows"), "F")
        return Made(self.conv.sizes.product_shape, self.summed_dtype(x.dtype), axes)

    def summed_dtype(self, sums: np.dtype[Any]) -> np.dtype[Any]:
        """The dtype of the product: as its operands had it, unless a stage has made floats of one of them."""
        if self.dtype is None and sums.kind == "f" and self.conv.output.kind != "f":
            return sums
        return self.conv.output if self.dtype is None else target_dtype(self.dtype, sums)

    def check_steps(self, accumulator: Accumulator) -> None:
        """Where the accumulator's rule counts on the way, that is after each tile.

        Raises:
            ConfigError: it counts at other steps, or products are added in another order.
        """
        tile = self.conv.columns.tile
        if accumulator.at_end or tile is None:
            return
        if accumulator.overflow == "pairs16":
            raise ConfigError("quant.accumulator.overflow", "pairs16", "another rule, as tiles have sums of their own")
        if accumulator.every != tile.taps:
            expected = f"end, or {tile.taps}, the K of lowering.tile, as that many products make a partial sum"
            raise ConfigError("quant.accumulator.every", accumulator.every, expected)
        if accumulator.order != self.conv.order:
            expected = f"{self.conv.order}, as lowering.order has it, by which K is cut"
            raise ConfigError("quant.accumulator.order", accumulator.order, expected)

    def run(self, x: Array, bias: Array | None = None) -> Array:
        """`sum_tiles`; of a quantised convolution in its accumulator."""
        shape, accumulator = self.conv.sizes.product_shape, self.accumulator
        if accumulator is None:
            return sum_tiles(x, shape, bias, self.summed_dtype(x.dtype), self.overflow)
        if accumulator.at_end:
            sums = held(sum_tiles(x, shape, dtype=np.int64, overflow=accumulator.at_64), accumulator)
        else:
            sums = joined(held_tiles(x, accumulator), shape)
        return sums.astype(accumulator.dtype) if bias is None else biased(sums, bias, accumulator)

    def error(self, made: Array, x: Bounded, bias: Bounded | None = None) -> Array:
        """That of sums of as many terms as there are tiles along K, and the bias."""
        wide = replace(self, dtype="float64", overflow="inf").run
        local = partial(float_bound, x.values.shape[ALONG], dtype=made.dtype)
        return sum_error(wide, made.dtype, local, *(term for term in (x, bias) if term is not None))

    def form(self, x: Tensor, bias: Tensor | None = None) -> Form:
        """The partial sums of its tiles along K, and the bias; or what an accumulator makes of these."""
        sizes = self.conv.sizes
        own, (rows, filters) = sizes.filters // sizes.groups, x.shape[-2:]
        row, f, beside, along = variables(4)
        # of the tiles beside each other only that one has the filter
        places = (f // own, row // rows, beside, along, row % rows, f % own - beside * filters)
        read, loops = Read("x", 0, places, x.shape), (x.shape[2], x.shape[ALONG])
        own_bias = () if bias is None else (bias_read(f, sizes.filters),)
        form = Form(formula("sum(x)" if bias is None else "sum(x) + bias"), 2, (read, *own_bias), loops)
        return form if self.accumulator is None else held_parts(form, self.accumulator, bias is not None)


def sum_tiles(
    partial_sums: ArrayLike,
    shape: Sequence[int],
    bias: ArrayLike | None = None,
    dtype: DTypeLike | None = None,
    overflow: Overflow = "error",
) -> Array:
    """Add up partial sums along K, and lay them out as the product of columns and filters.

    Args:
        partial_sums: (G, P/rows, F/f, K/k, rows, f), from `matmul_tiles`.
        shape: (P, F) of the product: what fills up the last tiles goes.
        bias: (F,), added before anything is rounded or checked.
        dtype: of the product; by default that of `ops.matmul.result_dtype` of the sums and the bias.
        overflow: as in `matmul`.

    Returns:
        (P, F). Integers are exact; floats are added tile by tile in the widest of all dtypes here.

    Raises:
        ConfigError: sums that do not fit the shape, or other arguments that are none.
        ValueRangeError: with ``overflow="error"``, a sum that does not fit.

    >>> sum_tiles([[[[[[21], [5]], [[300], [0]]]]]], (1, 1)).tolist()
    [[321]]
    """
    tiles, sizes = numeric("partial_sums", partial_sums, PARTIAL_SUMS), sizes_of("shape", shape)
    [overflow] = checked(SumTiles, overflow=overflow)
    check_tiles(tiles.shape, sizes)
    operands = [tiles.dtype]
    if bias is not None:
        bias = numeric("bias", bias)
        check_shape("bias", bias, sizes[1:], "one value per filter")
        operands.append(bias.dtype)
    target = target_dtype(dtype, *operands)
    check_rule(overflow, target)
    if all(each.kind in "iu" for each in operands):
        return narrowed(exact_sums(tiles, sizes, bias), target, overflow)
    return float_sums(tiles, sizes, bias, target, overflow)


def check_tiles(tiles: Sizes, shape: Sizes) -> None:
    """Partial sums are those of a product of that shape.

    Raises:
        GeometryError: they are not.
    """
    groups, above, beside, _, rows, filters = tiles
    if len(shape) != 2 or shape[1] % groups:
        raise GeometryError("shape", shape, f"(P, F), F a multiple of the {groups} groups")
    expected = (tiles_in(shape[0], rows), tiles_in(shape[1] // groups, filters))
    if (above, beside) != expected:
        words = f"{expected[0]} x {expected[1]} tiles of {rows} x {filters}, for a product {shape}"
        raise GeometryError("partial_sums", tiles, words)


def exact_sums(tiles: Array, shape: Sizes, bias: Array | None) -> Array:
    """The sums of integers, as Python's where int64 does not hold what there may be."""
    extra = 0 if bias is None else largest(bias)
    wide = np.dtype(np.int64 if tiles.shape[ALONG] * largest(tiles) + extra <= INT64_EXACT else object)
    sums = joined(np.add.reduce(tiles.astype(wide, copy=False), ALONG), shape)
    return sums if bias is None else sums + bias.astype(wide)


def float_sums(tiles: Array, shape: Sizes, bias: Array | None, target: np.dtype[Any], overflow: Overflow) -> Array:
    """The sums of floats, and the rule for those that do not fit."""
    wide = float_accumulator(target, tiles.dtype, *(() if bias is None else (bias.dtype,)))
    with np.errstate(all="ignore"):
        sums = joined(one_by_one(tiles, wide), shape)
        sums = sums if bias is None else sums + bias.astype(wide)

    def finite() -> Array:
        there = joined(np.asarray(np.isfinite(tiles).all(ALONG)), shape)
        return there if bias is None else there & np.isfinite(bias)

    def again() -> Array:
        small = joined(one_by_one(scaled(tiles, -SUM_SHIFT), np.dtype(np.float64)), shape)
        return scaled(small if bias is None else small + scaled(bias, -SUM_SHIFT), SUM_SHIFT)

    return settled(sums, target, overflow, finite, again)


def one_by_one(tiles: Array, dtype: np.dtype[Any]) -> Array:
    """The tiles along K added one after the other, as an accumulator behind the array does."""
    sums = np.zeros((*tiles.shape[:ALONG], *tiles.shape[ALONG + 1 :]), dtype)
    for tile in np.moveaxis(tiles, ALONG, 0):
        sums += tile.astype(dtype, copy=False)
    return sums


def held_tiles(tiles: Array, accumulator: Accumulator) -> Array:
    """The same in an accumulator whose rule counts after each tile.

    Raises:
        ValueRangeError: with ``error``, a sum on the way that it does not hold.
    """
    most = max(map(abs, accumulator.limits)) + largest(tiles)
    sums = np.zeros((*tiles.shape[:ALONG], *tiles.shape[ALONG + 1 :]), np.int64 if most <= INT64_EXACT else object)
    for tile in np.moveaxis(tiles, ALONG, 0):
        sums = held(sums + tile, accumulator)
    return sums


def held_parts(form: Form, accumulator: Accumulator, biased: bool) -> Form:
    """The same in an accumulator, whose rule counts after each partial sum, or at the end."""
    text = terms_text(accumulator, "x")
    text = held_text(f"{text} + bias", accumulator) if biased else text
    return held_form(form, text, replace(accumulator, every="step"))
