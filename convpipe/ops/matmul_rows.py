"""Every row spread over the taps of the filters."""

from __future__ import annotations

from numpy.typing import ArrayLike, DTypeLike

from convpipe.ops import (
    Array,
    BetweenStage,
    Form,
    GeometryError,
    Made,
    Tensor,
    ValueRangeError,
    numeric,
    of_matrices,
    variables,
)
from convpipe.ops.arrays.adjoints import on_the_way
from convpipe.ops.arrays.arguments import MATRIX
from convpipe.ops.arrays.bounds import Bounded, product_error
from convpipe.ops.arrays.overflow import Overflow
from convpipe.ops.arrays.sums import workspace
from convpipe.ops.matmul import matmul


class MatmulRows(BetweenStage):
    """row_matrix, tap_matrix -> tap_columns."""

    reads = ("row_matrix", "tap_matrix")
    result = "tap_columns"

    def plan(self, row_matrix: Tensor, tap_matrix: Tensor) -> Made:
        """(N*out_h*out_w, C*kh*kw)."""
        sizes = self.conv.sizes
        group = (sizes.taps, sizes.filters // sizes.groups)
        memory = workspace(sizes.positions, group, self.between, row_matrix.dtype, tap_matrix.dtype)
        axes = (row_matrix.axes[0], tap_matrix.axes[0])
        return Made(sizes.columns_shape, self.between, axes, sizes.macs, memory)

    def run(self, row_matrix: Array, tap_matrix: Array) -> Array:
        """`matmul_rows`."""
        return matmul_rows(row_matrix, tap_matrix, self.conv.sizes.groups, self.between, self.between_overflow)

    def error(self, made: Array, row_matrix: Bounded, tap_matrix: Bounded) -> Array:
        """That of sums of products, as many as a group has filters."""

        def products(rows: Array, taps: Array, _: None) -> Array:
            return matmul_rows(rows, taps, self.conv.sizes.groups, "float64", "inf")

        return product_error(products, made.dtype, tap_matrix.values.shape[1], row_matrix, tap_matrix)

    def form(self, row_matrix: Tensor, tap_matrix: Tensor) -> Form:
        """A row of the row matrix times a row of the tap matrix."""
        sizes = self.conv.sizes
        row, tap, k = variables(3)
        group = tap // sizes.taps * tap_matrix.shape[1]
        factors = ("row_matrix", (row, group + k), row_matrix.shape), ("tap_matrix", (tap, k), tap_matrix.shape)
        return of_matrices(*factors, tap_matrix.shape[1])


def matmul_rows(
    row_matrix: ArrayLike, tap_matrix: ArrayLike, groups: int, dtype: DTypeLike | None, overflow: Overflow
) -> Array:
    """Spread every row over the taps of the filters: ``row_matrix @ tap_matrix.T``, group by group.

    Args:
        row_matrix: (N*out_h*out_w, F), of any integer or float dtype.
        tap_matrix: (C*kh*kw, F/G), likewise.
        groups: G, a divisor of C and F.
        dtype: of the result, from `between_dtype`.
        overflow: from `between_overflow`.

    Returns:
        (N*out_h*out_w, C*kh*kw), summed as in `matmul`.

    Raises:
        ConfigError: arguments that are no arrays of numbers or do not fit together, named.
        ValueRangeError: with ``overflow="error"``, a sum that `dtype` does not hold.

    >>> import numpy as np
    >>> matmul_rows(np.array([[1, 10]]), np.array([[1, 2], [3, 4]]), 1, "int64", "error").tolist()
    [[21, 43]]
    """
    row_matrix, tap_matrix = numeric("row_matrix", row_matrix, MATRIX), numeric("tap_matrix", tap_matrix, MATRIX)
    try:
        return matmul(row_matrix, tap_matrix, None, groups, dtype, overflow)
    except GeometryError as error:
        raise error.at({"columns": "row_matrix", "filter_matrix": "tap_matrix"}) from error
    except ValueRangeError as error:
        raise on_the_way(dtype, error) from error
