"""Rows times patches, summed over all positions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from convpipe.geometry.axes import kernel_letters
from convpipe.ops import (
    MAIN,
    Array,
    ConvSettings,
    Form,
    GeometryError,
    Made,
    SumStage,
    Tensor,
    checked,
    numeric,
    of_matrices,
    variables,
)
from convpipe.ops.arrays.arguments import MATRIX
from convpipe.ops.arrays.bounds import Bounded, product_error
from convpipe.ops.arrays.overflow import Overflow
from convpipe.ops.arrays.sums import target_dtype, workspace as product_workspace
from convpipe.ops.matmul import matmul


class MatmulColumns(SumStage):
    """row_matrix, columns -> grad_filter_matrix."""

    reads = ("row_matrix", MAIN)
    after = ("columns",)
    result = "grad_filter_matrix"

    def plan(self, x: Tensor, row_matrix: Tensor) -> Made:
        """(F, C/G*kh*kw)."""
        sizes = self.conv.sizes
        axes = ("F", self.conv.patch.of_group.letters(sizes.depth_letter, kernel_letters(sizes.rank)))
        group, operands = sizes.filters // sizes.groups, (row_matrix.dtype, x.dtype)
        memory = workspace(sizes.positions, group, sizes.taps, self.target, *operands)
        return Made(sizes.filter_matrix_shape, self.target, axes, sizes.macs, memory)

    def run(self, x: Array, row_matrix: Array) -> Array:
        """`matmul_columns`."""
        return matmul_columns(row_matrix, x, self.conv.sizes.groups, self.target, self.overflow)

    def error(self, made: Array, x: Bounded, row_matrix: Bounded) -> Array:
        """That of sums of products, as many as there are positions."""

        def products(rows: Array, columns: Array, _: None) -> Array:
            return matmul_columns(rows, columns, self.conv.sizes.groups, "float64", "inf")

        return product_error(products, made.dtype, len(row_matrix.values), row_matrix, x)

    def form(self, x: Tensor, row_matrix: Tensor) -> Form:
        """A column of the row matrix times one of the columns."""
        sizes = self.conv.sizes
        f, tap, row = variables(3)
        group = f // (sizes.filters // sizes.groups) * sizes.taps
        factors = ("row_matrix", (row, f), row_matrix.shape), (0, (row, group + tap), x.shape)
        return of_matrices(*factors, sizes.positions)


def matmul_columns(
    row_matrix: ArrayLike,
    columns: ArrayLike,
    groups: int = 1,
    dtype: DTypeLike | None = None,
    overflow: Overflow = "error",
) -> Array:
    """Sum rows times patches over all positions: ``row_matrix.T @ columns``, group by group.

    Args:
        row_matrix: (N*out_h*out_w, F), the gradient of the product; of any integer or float dtype.
        columns: (N*out_h*out_w, C*kh*kw), likewise.
        groups: G, a divisor of C and F.
        dtype, overflow: as in `matmul`, whose exactness this has.

    Returns:
        (F, C/G*kh*kw), the gradient of the filter matrix.

    Raises:
        ConfigError: arguments that are no arrays of numbers or do not fit together, named.
        ValueRangeError: with ``overflow="error"``, a sum that does not fit.

    >>> matmul_columns(np.array([[1], [10]]), np.array([[1, 2], [3, 4]])).tolist()
    [[31, 42]]
    """
    row_matrix, columns = numeric("row_matrix", row_matrix, MATRIX), numeric("columns", columns, MATRIX)
    groups, overflow = checked(ConvSettings, groups=groups, overflow=overflow)
    check_operands(row_matrix, columns, groups)
    target = target_dtype(dtype, row_matrix.dtype, columns.dtype)
    filters, taps = row_matrix.shape[1] // groups, columns.shape[1] // groups
    result = np.empty((groups * filters, taps), target)
    for group in range(groups):
        own = slice(group * filters, (group + 1) * filters)
        patches = columns[:, group * taps : (group + 1) * taps]
        result[own] = matmul(patches.T, row_matrix[:, own].T, dtype=target, overflow=overflow).T
    return result


def check_operands(row_matrix: Array, columns: Array, groups: int) -> None:
    """Rows and patches of the same positions, in groups that divide both.

    Raises:
        GeometryError: they are not.
    """
    if columns.shape[0] != row_matrix.shape[0]:
        raise GeometryError("columns", columns.shape, f"{row_matrix.shape[0]} rows, as row_matrix has")
    if row_matrix.shape[1] % groups or columns.shape[1] % groups:
        expected = f"a divisor of both the {row_matrix.shape[1]} filters and the {columns.shape[1]} taps"
        raise GeometryError("groups", groups, expected)


def workspace(positions: int, filters: int, taps: int, target: np.dtype[Any], *operands: np.dtype[Any]) -> int:
    """The most bytes that `matmul_columns` may need, given the filters and taps of one group."""
    return filters * taps * target.itemsize + product_workspace(taps, (filters, positions), target, *operands)
