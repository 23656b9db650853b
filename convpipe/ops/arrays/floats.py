"""Which float an operation gives and which one it computes in; functions of single cells, tile by tile.

Unless a function says otherwise, floats keep their dtype (float16 is computed in float32), integers are computed
in float64 and give float64, NaN gives NaN, and infinity what IEEE arithmetic says. Results lie in C order and do
not depend, to the bit, on how the input lies in memory or which other images are in the batch.
"""

from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import numpy as np

from convpipe.geometry.axes import axis_of
from convpipe.tensors import Array, Sizes

TILE_CELLS = 1 << 15  # so that a function's temporaries stay in the cache, and out of the plan's memory


def result_float(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The float a layer gives: a float's own dtype, float64 for integers.

    >>> result_float(np.dtype("float16")), result_float(np.dtype("int8"))
    (dtype('float16'), dtype('float64'))
    """
    return dtype if dtype.kind == "f" else np.dtype(np.float64)


def computing_float(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The float a layer computes in: the one it gives, but float32 for float16.

    >>> computing_float(np.dtype("float16")), computing_float(np.dtype("float64"))
    (dtype('float32'), dtype('float64'))
    """
    return np.result_type(result_float(dtype), np.float32)


def tiles(shape: Sizes) -> Iterator[tuple[Any, ...]]:
    """Indices of parts that cover an array, of at most TILE_CELLS cells each.

    >>> list(tiles((2, 1 << 15)))
    [(slice(0, 1, None),), (slice(1, 2, None),)]
    """
    axis = next((axis for axis in range(len(shape)) if prod(shape[axis + 1 :]) <= TILE_CELLS), 0)
    size = max(1, TILE_CELLS // max(1, prod(shape[axis + 1 :])))
    for before in np.ndindex(*shape[:axis]):
        for start in range(0, shape[axis], size):
            yield (*before, slice(start, start + size))


def positive_zeros(result: Array) -> Array:
    """The same array with each -0 made +0: np.maximum of two zeros gives one or the other, by dtype and machine.

    >>> positive_zeros(np.array([-0.0, -1.0]))
    array([ 0., -1.])
    """
    if result.dtype.kind == "f":
        result += 0
    return result


def by_cell(x: Array, function: Callable[[Array], Array]) -> Array:
    """A function of every cell, computed in `computing_float`, a tile at a time."""
    result = np.array(x, result_float(x.dtype), order="C")
    cells, wide = result.reshape(-1), computing_float(x.dtype)
    with np.errstate(all="ignore"):
        for start in range(0, cells.size, TILE_CELLS):
            tile = cells[start : start + TILE_CELLS]
            tile[...] = function(tile.astype(wide, copy=False))
    return result


def below_largest(x: Array, axis: Any) -> Array:
    """Every cell less the largest of its row, a new array of `computing_float` in C order; of integers exact."""
    along = axis_of(axis, x.ndim)
    if x.dtype.kind in "iu" and x.itemsize == 8:
        return below_largest_integer(x, along)
    shifted = np.array(x, computing_float(x.dtype), order="C")
    shifted -= shifted.max(along, keepdims=True, initial=-np.inf)
    return shifted


def below_largest_integer(x: Array, along: int) -> Array:
    """The same of integers that float64 may not hold: each difference is rounded, but nothing before it."""
    shifted = np.empty(x.shape)
    cells = shifted.reshape(-1)
    distances = cells.view(np.uint64)  # in the same memory
    largest = x.max(along, keepdims=True, initial=np.iinfo(x.dtype).min)
    np.subtract(largest, x, out=distances.reshape(x.shape), dtype=np.uint64, casting="unsafe")  # from 0 to 2**64 - 1
    for start in range(0, cells.size, TILE_CELLS):
        tile = slice(start, start + TILE_CELLS)
        cells[tile] = 0.0 - distances[tile].astype(np.float64)
    return shifted
