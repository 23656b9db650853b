"""Columns cut to the tiles that a systolic array is fed with."""

from __future__ import annotations

from math import prod

from numpy.typing import ArrayLike

from convpipe.geometry.axes import kernel_letters
from convpipe.ops import Array, Form, GeometryError, Made, Read, Tensor, TileStage, numeric, variables
from convpipe.ops.arrays.arguments import MATRIX
from convpipe.ops.arrays.tiles import cut, tile_size, tiles_in


class TileColumns(TileStage):
    """columns -> column_tiles."""

    after = ("columns",)
    result = "column_tiles"
    moves = True

    def plan(self, x: Tensor) -> Made:
        """(G, P/rows, K/k, rows, k), of P = N*out_h*out_w rows and K = C/G*kh*kw cells of a group."""
        tile, sizes = self.tile, self.conv.sizes
        if x.shape != sizes.columns_shape:
            raise GeometryError("x", x.shape, f"columns of the shape {sizes.columns_shape}")
        counts = tiles_in(sizes.positions, tile.rows), tiles_in(sizes.taps, tile.taps)
        own = self.conv.patch.of_group.letters(sizes.depth_letter, kernel_letters(sizes.rank))
        axes = ("G", f"{x.axes[0]}/rows", f"{own}/k", "rows", "k")
        shape = (sizes.groups, *counts, tile.rows, tile.taps)
        return Made(shape, x.dtype, axes, workspace=prod(shape) * x.dtype.itemsize)  # filled up, before it is cut

    def run(self, x: Array) -> Array:
        """`tile_columns`."""
        return tile_columns(x, self.tile.rows, self.tile.taps, self.conv.sizes.groups)

    def form(self, x: Tensor) -> Form:
        """The cell of the columns, or a zero that fills up."""
        tile, sizes = self.tile, self.conv.sizes
        group, above, along, row, tap = variables(5)
        beyond = (tiles_in(sizes.positions, tile.rows) * tile.rows, tiles_in(sizes.taps, tile.taps) * tile.taps)
        places = (above * tile.rows + row, group, along * tile.taps + tap)
        view = (sizes.positions, sizes.groups, sizes.taps)
        pads = ((0, beyond[0] - sizes.positions), (0, 0), (0, beyond[1] - sizes.taps))
        return Form("x", 5, (Read("x", 0, places, view, pads, merged=(1, 2)),))


def tile_columns(columns: ArrayLike, rows: int, k: int, groups: int = 1) -> Array:
    """Cut columns to tiles of `rows` rows and `k` cells of a row, the last ones filled up with zeros.

    Args:
        columns: (P, G*K), as `im2col` gives them, any integer or float dtype, which the result keeps.
        rows, k: the size of a tile.
        groups: G; each has tiles of its own.

    Returns:
        (G, P/rows, K/k, rows, k), quotients rounded up: the tiles of some rows one after the other along K, each whole
        in memory.

    Raises:
        ConfigError: `columns` that are no matrix of numbers, groups that do not divide its width, or other sizes.

    >>> import numpy as np
    >>> tile_columns(np.arange(1, 7).reshape(2, 3), rows=2, k=2).tolist()
    [[[[[1, 2], [4, 5]], [[3, 0], [6, 0]]]]]
    """
    columns = numeric("columns", columns, MATRIX)
    rows, k, groups = tile_size("rows", rows), tile_size("k", k), tile_size("groups", groups)
    if columns.shape[1] % groups:
        raise GeometryError("groups", groups, f"a divisor of the {columns.shape[1]} columns")
    parts = columns.reshape(len(columns), groups, columns.shape[1] // groups).swapaxes(0, 1)  # (G, P, K)
    return cut(parts, (rows, k))
