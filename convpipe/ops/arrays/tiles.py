"""Matrices cut to tiles of one size, filled up with zeros, as an array of multipliers loads them."""

from typing import Any

import numpy as np

from convpipe.fields import whole
from convpipe.geometry.axes import check_addressable
from convpipe.tensors import Array, Sizes


def tiles_in(cells: int, size: int) -> int:
    """How many tiles of a size it takes.

    >>> tiles_in(9, 4), tiles_in(8, 4), tiles_in(0, 4)
    (3, 2, 0)
    """
    return -(-cells // size)


def cut(matrices: Array, sizes: tuple[int, int]) -> Array:
    """(G, rows, columns) as tiles (G, rows/a, columns/b, a, b) of a size (a, b), zeros where a tile goes beyond.

    Raises:
        GeometryError: tiles so large that there could be no such array.
    """
    groups, *cells = matrices.shape
    counts = [tiles_in(count, size) for count, size in zip(cells, sizes, strict=True)]
    shape = (groups, counts[0] * sizes[0], counts[1] * sizes[1])
    check_addressable("tile", list(sizes), shape, matrices.itemsize)
    filled = np.zeros(shape, matrices.dtype)
    filled[:, : cells[0], : cells[1]] = matrices
    tiles = filled.reshape(groups, counts[0], sizes[0], counts[1], sizes[1])
    return np.ascontiguousarray(tiles.swapaxes(2, 3))  # one tile after the other


def joined(tiles: Array, shape: Sizes) -> Array:
    """(G, P/a, F/b, a, b) as a matrix (P, F), without what goes beyond: the inverse of `cut`, groups side by side."""
    groups, above, beside, rows, filters = tiles.shape
    whole_tiles = tiles.swapaxes(2, 3).reshape(groups, above * rows, beside * filters)
    own = whole_tiles[:, : shape[0], : shape[1] // groups]
    return own.swapaxes(0, 1).reshape(shape)


def tile_size(key: str, value: Any) -> int:
    """The size of a tile along one axis.

    Raises:
        ConfigError: no whole number from 1.
    """
    return whole(1)(key, value)
