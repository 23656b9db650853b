"""All rows added up: the gradient of the bias."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from convpipe.ops import Array, Form, Made, Read, SumStage, Tensor, checked, formula, numeric, variables
from convpipe.ops.arrays.arguments import MATRIX
from convpipe.ops.arrays.bounds import Bounded, sum_error, total_rounding
from convpipe.ops.arrays.floats import TILE_CELLS
from convpipe.ops.arrays.overflow import SUM_SHIFT, Overflow, check_rule, scaled, settled
from convpipe.ops.arrays.sums import SLACK, target_dtype, workspace as product_workspace
from convpipe.ops.arrays.totals import total_along
from convpipe.ops.matmul import matmul


class SumRows(SumStage):
    """row_matrix -> grad_bias."""

    reads = ("row_matrix",)
    result = "grad_bias"
    called = "gradient of the bias"

    def plan(self, row_matrix: Tensor) -> Made:
        """(F,)."""
        sizes = self.conv.sizes
        memory = workspace(sizes.positions, sizes.filters, self.target, row_matrix.dtype)
        return Made((sizes.filters,), self.target, (row_matrix.axes[1],), workspace=memory)

    def run(self, row_matrix: Array) -> Array:
        """`sum_rows`."""
        return sum_rows(row_matrix, self.target, self.overflow)

    def error(self, made: Array, row_matrix: Bounded) -> Array:
        """That of sums as in `total_along`."""
        local = partial(total_rounding, dtype=made.dtype, terms=len(row_matrix.values), of=row_matrix.values.dtype)
        return sum_error(partial(sum_rows, dtype="float64", overflow="inf"), made.dtype, local, row_matrix)

    def form(self, row_matrix: Tensor) -> Form:
        """A column of the row matrix added up."""
        f, row = variables(2)
        return Form(formula("sum(x)"), 1, (Read("x", "row_matrix", (row, f), row_matrix.shape),), row_matrix.shape[:1])


def sum_rows(row_matrix: ArrayLike, dtype: DTypeLike | None = None, overflow: Overflow = "error") -> Array:
    """Add up all rows: the gradient of the bias.

    Args:
        row_matrix: (N*out_h*out_w, F), of any integer or float dtype.
        dtype, overflow: as in `matmul`, whose exactness this has for integers.

    Returns:
        (F,). Floats are summed as in `total_along`.

    Raises:
        ConfigError: a `row_matrix` that is no matrix of numbers, another dtype or rule.
        ValueRangeError: with ``overflow="error"``, a sum that does not fit.

    >>> sum_rows(np.array([[1, 2], [3, 4]])).tolist()
    [4, 6]
    """
    row_matrix = numeric("row_matrix", row_matrix, MATRIX)
    [overflow] = checked(SumRows, overflow=overflow)
    target = target_dtype(dtype, row_matrix.dtype)
    check_rule(overflow, target)
    if row_matrix.dtype.kind == "f":
        return settled_sums(row_matrix, target, overflow)
    ones = np.ones((1, row_matrix.shape[0]), row_matrix.dtype)
    return matmul(row_matrix.T, ones, dtype=dtype, overflow=overflow)[:, 0]


def settled_sums(rows: Array, target: np.dtype[Any], overflow: Overflow) -> Array:
    """The sums of floats in their dtype, some columns at a time."""
    sums = np.empty(rows.shape[1], target)
    size = max(1, TILE_CELLS // max(1, len(rows)))
    for start in range(0, rows.shape[1], size):
        own = rows[:, start : start + size]
        sums[start : start + size] = settled(
            total_along(own, 0)[0],
            target,
            overflow,
            partial(all_along, own),
            partial(scaled_sums, own),
        )
    return sums


def all_along(rows: Array) -> Array:
    """For each column, whether all of it is finite."""
    return np.asarray(np.isfinite(rows).all(0))


def scaled_sums(rows: Array) -> Array:
    """The sums once more, on a way on which none of them overflows."""
    return scaled(total_along(scaled(rows, -SUM_SHIFT), 0)[0], SUM_SHIFT)


def workspace(positions: int, filters: int, target: np.dtype[Any], operand: np.dtype[Any]) -> int:
    """The most bytes that `sum_rows` may need."""
    if operand.kind == "f":
        return 8 * (filters + 6 * max(TILE_CELLS, positions)) + SLACK
    return positions * operand.itemsize + product_workspace(filters, (1, positions), target, operand, operand)
