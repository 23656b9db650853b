"""Every row spread over the taps of the filters."""

from typing import Any

from convpipe.ops import Array, BetweenStage, Made, Tensor, ValueRangeError
from convpipe.ops.arrays.adjoints import on_the_way
from convpipe.ops.arrays.sums import Overflow, workspace
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
