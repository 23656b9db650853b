"""The sum of several tensors of one shape: where branches of a network meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convpipe.fields import choice, field
from convpipe.geometry.layers import same_shape
from convpipe.ops import Array, Form, Made, Operation, Read, Tensor, checked, formula, like, tensors_of, variables
from convpipe.ops.arrays.bounds import Bounded, rounding, sum_error, total_rounding
from convpipe.ops.arrays.floats import TILE_CELLS, tiles
from convpipe.ops.arrays.overflow import (
    OVERFLOW,
    OVERFLOWS,
    SUM_SHIFT,
    Overflow,
    all_finite,
    check_rule,
    narrowed,
    scaled,
    settled,
)
from convpipe.ops.arrays.sums import INT64_EXACT, OBJECT_BYTES, SLACK, largest, result_dtype
from convpipe.ops.arrays.totals import total


def add(*tensors: ArrayLike, overflow: Overflow = "error") -> Array:
    """Add tensors cell by cell, as a residual network does with a layer's input and output.

    Args:
        tensors: at least one, all of the same shape; any integer or float dtypes.
        overflow: as in `matmul`, for a sum that the result's dtype cannot hold.

    Returns:
        An array of that shape in `result_dtype` of theirs. Integers are summed exactly; where their magnitudes
        do not rule out that a sum leaves that dtype, a tile is widened at a time. The sum of two floats is
        rounded once; more are summed as in `total`, a tile at a time.

    Raises:
        ConfigError: no tensors, one that is no array of numbers, or shapes that differ.
        ValueRangeError: with ``overflow="error"``, a sum that does not fit.

    Source:
        K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", 2015.

    >>> add(np.array([[1, 2]], np.int8), np.array([[100, 100]], np.uint8))
    array([[101, 102]], dtype=int16)
    """
    arrays = tensors_of(tensors)
    [overflow] = checked(Add, overflow=overflow)
    shape = same_shape(*(array.shape for array in arrays))
    target = result_dtype(*(array.dtype for array in arrays))
    check_rule(overflow, target)
    floats = target.kind == "f"
    if len(arrays) <= 2 if floats else sum(map(largest, arrays)) <= np.iinfo(target).max:
        result = summed(arrays, target)
        return resettled(result, arrays, overflow) if floats and overflow != "inf" else result
    result = np.empty(shape, target)
    for tile in tiles(shape):
        result[tile] = added([array[tile] for array in arrays], target, overflow)
    return result


def resettled(sums: Array, tensors: Sequence[Array], overflow: Overflow) -> Array:
    """The rule for overflow, for sums of floats in the result's dtype, which are changed where they lie."""
    with np.errstate(all="ignore"):
        finite = all_finite(sums)
    for tile in () if finite else tiles(sums.shape):
        settle(sums[tile], [tensor[tile] for tensor in tensors], sums.dtype, overflow)
    return sums


def added(tensors: Sequence[Array], target: np.dtype[Any], overflow: Overflow) -> Array:
    """The sum of tensors: floats in float64, integers where none can go wrong."""
    if target.kind == "f":
        terms = np.result_type(*tensors, np.float32)
        sums = total(tensors[0].shape, terms, ((..., tensor) for tensor in tensors))
        return settle(sums, tensors, target, overflow)
    exact = np.dtype(np.int64 if sum(map(largest, tensors)) <= INT64_EXACT else object)
    return narrowed(summed(tensors, exact), target, overflow)


def settle(sums: Array, tensors: Sequence[Array], target: np.dtype[Any], overflow: Overflow) -> Array:
    """The rule for overflow, for sums of floats."""

    def again() -> Array:
        parts = ((..., scaled(tensor, -SUM_SHIFT)) for tensor in tensors)
        return scaled(total(sums.shape, np.dtype(np.float64), parts), SUM_SHIFT)

    return settled(sums, target, overflow, lambda: np.all([np.isfinite(tensor) for tensor in tensors], axis=0), again)


def summed(tensors: Sequence[Array], dtype: np.dtype[Any]) -> Array:
    """The sum, from left to right, in a dtype that is known to hold it; a new array in C order."""
    result = np.array(tensors[0], dtype, order="C")
    with np.errstate(all="ignore"):
        for tensor in tensors[1:]:
            np.add(result, tensor, out=result, dtype=dtype, casting="unsafe")
    return result


def workspace(cells: int) -> int:
    """The bytes of a tile's sums in a wider dtype, perhaps of objects, and of what is made of them."""
    return (4 * OBJECT_BYTES + 8) * min(cells, TILE_CELLS) + SLACK


class Add(Operation):
    """The sum of several tensors of one shape."""

    overflow: Overflow = field(choice(OVERFLOWS), "error", OVERFLOW, later=True)

    function = staticmethod(add)
    several = True

    def plan(self, *inputs: Tensor) -> Made:
        """A tensor like the first, in a dtype for all."""
        shape = same_shape(*(tensor.shape for tensor in inputs))
        target = result_dtype(*(tensor.dtype for tensor in inputs))
        return like(inputs[0], dtype=target, workspace=workspace(prod(shape)))

    def error(self, made: Array, *inputs: Bounded) -> Array:
        """That of a sum of two, or of a `total`."""
        local = partial(rounding, dtype=made.dtype, roundings=1)
        if len(inputs) > 2:
            of = np.result_type(*(each.values.dtype for each in inputs), np.float32)
            local = partial(total_rounding, dtype=made.dtype, terms=len(inputs), of=of)
        return sum_error(replace(self, overflow="inf").run, made.dtype, local, *inputs)

    def form(self, *inputs: Tensor) -> Form:
        """The sum of the same cell of each."""
        own = tuple(variables(len(inputs[0].shape)))
        reads = (Read("x", number, own, x.shape) for number, x in enumerate(inputs))
        return Form(formula("sum(x)"), len(own), tuple(reads))
