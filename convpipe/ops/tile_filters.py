"""The filter matrix cut to the tiles that a systolic array holds."""

from __future__ import annotations

from math import prod

from numpy.typing import ArrayLike

from convpipe.ops import Array, Form, GeometryError, Made, Read, Tensor, TileStage, numeric, variables
from convpipe.ops.arrays.arguments import MATRIX
from convpipe.ops.arrays.tiles import cut, tile_size, tiles_in


class TileFilters(TileStage):
    """filter_matrix -> filter_tiles."""

    reads = ("filter_matrix",)
    makes = result = "filter_tiles"
    moves = True

    def plan(self, filter_matrix: Tensor) -> Made:
        """(G, F/f, K/k, k, f), of the F filters and the K = C/G*kh*kw cells of a group: a filter in each column."""
        tile, sizes = self.tile, self.conv.sizes
        if filter_matrix.shape != sizes.filter_matrix_shape:
            raise GeometryError("x", filter_matrix.shape, f"a matrix of the shape {sizes.filter_matrix_shape}")
        counts = tiles_in(sizes.filters // sizes.groups, tile.filters), tiles_in(sizes.taps, tile.taps)
        axes = ("G", f"{filter_matrix.axes[0]}/f", f"{filter_matrix.axes[1]}/k", "k", "f")
        shape = (sizes.groups, *counts, tile.taps, tile.filters)
        memory = 2 * prod(shape) * filter_matrix.dtype.itemsize  # filled up, and cut but not yet turned
        return Made(shape, filter_matrix.dtype, axes, workspace=memory)

    def run(self, filter_matrix: Array) -> Array:
        """`tile_filters`."""
        return tile_filters(filter_matrix, self.tile.taps, self.tile.filters, self.conv.sizes.groups)

    def form(self, filter_matrix: Tensor) -> Form:
        """The cell of the filter matrix, or a zero that fills up."""
        tile, sizes = self.tile, self.conv.sizes
        group, beside, along, tap, f = variables(5)
        own = sizes.filters // sizes.groups
        places = (group, beside * tile.filters + f, along * tile.taps + tap)
        beyond = (tiles_in(own, tile.filters) * tile.filters, tiles_in(sizes.taps, tile.taps) * tile.taps)
        pads = ((0, 0), (0, beyond[0] - own), (0, beyond[1] - sizes.taps))
        read = Read("x", "filter_matrix", places, (sizes.groups, own, sizes.taps), pads, merged=(2, 1))
        return Form("x", 5, (read,))


def tile_filters(filter_matrix: ArrayLike, k: int, f: int, groups: int = 1) -> Array:
    """Cut a filter matrix to tiles of `k` cells of `f` filters, the last ones filled up with zeros.

    Args:
        filter_matrix: (F, K), as `fil2col` gives it, any integer or float dtype, which the result keeps.
        k, f: the size of a tile.
        groups: G, a divisor of F; each has tiles of its own.

    Returns:
        (G, F/G/f, K/k, k, f), quotients rounded up: a filter in each column, as an array holds them that columns pass
        through.

    Raises:
        ConfigError: a `filter_matrix` that is no matrix of numbers, groups that do not divide F, or other sizes.

    >>> import numpy as np
    >>> tile_filters(np.arange(1, 7).reshape(2, 3), k=2, f=2).tolist()
    [[[[[1, 4], [2, 5]], [[3, 6], [0, 0]]]]]
    """
    filter_matrix = numeric("filter_matrix", filter_matrix, MATRIX)
    k, f, groups = tile_size("k", k), tile_size("f", f), tile_size("groups", groups)
    if len(filter_matrix) % groups:
        raise GeometryError("groups", groups, f"a divisor of the {len(filter_matrix)} filters")
    filters, taps = filter_matrix.shape
    tiles = cut(filter_matrix.reshape(groups, filters // groups, taps), (f, k))
    return tiles.swapaxes(3, 4).copy()  # (G, F/f, K/k, k, f)
