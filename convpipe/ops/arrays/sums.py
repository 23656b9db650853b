"""Sums: the dtype that holds them exactly, how long ones are added up, and their memory."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from convpipe.errors import ConfigError, GeometryError
from convpipe.ops.arrays.arguments import dtype_of
from convpipe.ops.arrays.floats import TILE_CELLS
from convpipe.tensors import Array

# Whole numbers up to these are exact in the accumulator, and so is every partial sum on the way.
FLOAT32_EXACT, FLOAT64_EXACT, INT64_EXACT = 2**24, 2**53, 2**63 - 1

SLACK = 1 << 16  # bytes: values per channel, and what NumPy buffers
TILE_BYTES = 4 << 20  # a 2-4 MiB tile beat both the whole matrix and an L2-sized one
OBJECT_BYTES = 64  # a Python integer and the reference to it, rounded up


def result_dtype(*dtypes: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of a result where none is asked for.

    Integers give an integer wide enough for each operand's own values (int64 where uint64 meets a signed
    one, which NumPy would make a float); anything with a float gives NumPy's float.

    >>> result_dtype(np.dtype("uint8"), np.dtype("int16")), result_dtype(np.dtype("uint64"), np.dtype("int8"))
    (dtype('int16'), dtype('int64'))
    """
    common = np.result_type(*dtypes)
    return np.dtype(np.int64) if common.kind == "f" and all(dtype.kind in "iu" for dtype in dtypes) else common


def target_dtype(asked: DTypeLike | None, *operands: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of a sum of products: the one asked for, by default `result_dtype` of the operands.

    Raises:
        ConfigError: no dtype of this package, or an integer, asked of floats.
    """
    if asked is None:
        return result_dtype(*operands)
    target = dtype_of("dtype", asked)
    if target.kind != "f" and any(dtype.kind == "f" for dtype in operands):
        raise GeometryError("dtype", target, "a float dtype, as the input or the filters are floats")
    return target


def float_accumulator(target: np.dtype[Any], *operands: np.dtype[Any]) -> np.dtype[Any]:
    """The float that sums are made in: the widest of the operands' and the result's, at least float32."""
    if target.kind != "f":
        raise ConfigError("dtype", target, "a float, as the input or the filters are floats")
    return np.result_type(target, *operands, np.float32)


def exact_accumulator(columns: Array, filter_matrix: Array, bias: Array | None) -> np.dtype[Any]:
    """The fastest dtype in which no partial sum of these integers can go wrong."""
    return integer_accumulator(
        filter_matrix.shape[1], largest(columns), largest(filter_matrix), 0 if bias is None else largest(bias)
    )


def integer_accumulator(taps: int, columns: int, weights: int, bias: int) -> np.dtype[Any]:
    """The fastest exact dtype for sums of `taps` products, given the largest magnitudes that occur.

    >>> integer_accumulator(27, 255, 4, 0), integer_accumulator(2, 2**62, 1, 0)
    (dtype('float32'), dtype('O'))
    """
    bound = max(taps * columns * weights + bias, columns, weights)
    if bound <= FLOAT32_EXACT:
        return np.dtype(np.float32)
    if bound <= FLOAT64_EXACT:
        return np.dtype(np.float64)
    return np.dtype(np.int64) if bound <= INT64_EXACT else np.dtype(object)


def largest(values: Array) -> int:
    """max|a| as a Python integer: |int64 minimum| does not fit int64."""
    return max(-int(values.min()), int(values.max())) if values.size else 0


def magnitude(dtype: np.dtype[Any]) -> int:
    """The largest |value| of an integer dtype."""
    return max(-int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))


def tile_rows(weights_shape: tuple[int, ...], accumulator: np.dtype[Any]) -> int:
    """How many rows of columns a tile has, so that the widened rows and their sums stay near TILE_BYTES."""
    itemsize = OBJECT_BYTES if accumulator.kind == "O" else accumulator.itemsize
    return max(1, TILE_BYTES // max(1, itemsize * sum(weights_shape)))


def workspace(positions: int, weights_shape: tuple[int, ...], target: np.dtype[Any], *operands: np.dtype[Any]) -> int:
    """The most bytes that `matmul` of operands of these dtypes may need beside them and its result."""
    _, taps = weights_shape
    if all(dtype.kind in "iu" for dtype in operands):
        magnitudes = [magnitude(dtype) for dtype in operands]
        accumulator = integer_accumulator(taps, magnitudes[0], magnitudes[1], sum(magnitudes[2:]))
    else:
        accumulator = float_accumulator(target, *operands)
        if all(dtype == accumulator for dtype in (target, *operands)):
            return 0
    return max(tiled_bytes(positions, weights_shape, smaller) for smaller in accumulators_up_to(accumulator))


def settling_rows(filters: int) -> int:
    """How many rows of columns are settled at a time where sums are not finite: within 2 MiB, which no plan counts."""
    return max(1, TILE_CELLS // max(1, filters))


def accumulators_up_to(largest: np.dtype[Any]) -> list[np.dtype[Any]]:
    """The accumulators that values smaller than their dtype allows may lead to."""
    order = [np.dtype(kind) for kind in (np.float32, np.float64, np.int64, object)]
    return order[: order.index(largest) + 1]


def tiled_bytes(positions: int, weights_shape: tuple[int, ...], accumulator: np.dtype[Any]) -> int:
    """The bytes of widened weights, two tiles (the last one lives while the next is made), and copies of sums."""
    filters, taps = weights_shape
    itemsize = OBJECT_BYTES if accumulator.kind == "O" else accumulator.itemsize
    rows = min(positions, tile_rows(weights_shape, accumulator))
    copies = 3 * 8 + (OBJECT_BYTES if accumulator.kind == "O" else 0)  # of a sum, on the way to the result
    return itemsize * filters * (taps + 1) + rows * (2 * itemsize * (taps + filters) + copies * filters)


def may_leave_int64(terms: int, *operands: np.dtype[Any]) -> bool:
    """Whether so many products of integers of these dtypes may need Python's integers."""
    if any(dtype.kind == "f" for dtype in operands):
        return False
    magnitudes = [magnitude(dtype) for dtype in operands]
    return integer_accumulator(terms, magnitudes[0], magnitudes[1], sum(magnitudes[2:])).kind == "O"
