"""Sums: the dtype that holds them exactly, how long ones are added up, and their memory."""

from collections.abc import Callable, Iterable
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from convpipe.errors import ConfigError, GeometryError
from convpipe.ops.arrays.arguments import dtype_of
from convpipe.ops.arrays.floats import TILE_CELLS, result_float
from convpipe.ops.arrays.overflow import SUM_SHIFT, Overflow, all_finite, scaled, settled
from convpipe.tensors import Array, Sizes

# Whole numbers up to these are exact in the accumulator, and so is every partial sum on the way.
FLOAT32_EXACT, FLOAT64_EXACT, INT64_EXACT = 2**24, 2**53, 2**63 - 1

Parts = Iterable[tuple[Any, Array]]  # each an index into a result, and an array of its cells
Adding = Callable[[Sizes, np.dtype[Any], Parts], Array]

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


def total(shape: Sizes, dtype: np.dtype[Any], parts: Parts) -> Array:
    """The sum of parts that each cover some cells: the one way in which long sums of floats are made.

    Of n cells of float16 or float32, made in float64, a sum is at most 2*n*u*sum|x| off, u = 2**-53. float64's own
    carry the rounding errors of their additions along, and are at most u*|sum| + 2*(n*u)**2*sum|x| off. Products that
    BLAS sums, and their sums from stage to stage of a convolution, keep to `execution.bounds.float_bound` instead.

    Args:
        shape: of the result.
        dtype: of the parts; of integers, one that holds the sums.
        parts: each an index into the result and an array of its cells.

    Returns:
        Of floats float64, of integers, which are exact, and objects the dtype that was asked for. NaN and infinity
        are what IEEE says.

    Source:
        T. Ogita, S. Rump, S. Oishi, "Accurate sum and dot product", SIAM J. Sci. Comput. 26, 2005, algorithm 4.4,
        theorem 4.5.

    >>> total((1,), np.dtype(float), [((0,), np.float64(part)) for part in (1e16, 1.0, 1.0, -1e16)]).tolist()
    [2.0]
    """
    sums = np.zeros(shape, np.float64 if dtype.kind == "f" else dtype)
    errors = np.zeros(shape) if dtype == np.float64 else None
    with np.errstate(all="ignore"):
        for where, part in parts:
            if errors is None:
                sums[where] += part
            else:
                sums[where], error = added(sums[where], part)
                errors[where] += error
        if errors is not None:
            np.add(sums, errors, out=sums, where=np.isfinite(errors))
    return sums


def short_total(shape: Sizes, dtype: np.dtype[Any], parts: Parts) -> Array:
    """The same in the dtype of the parts: for the terms of a product's sum, which are few and rounded to it already."""
    sums = np.zeros(shape, dtype)
    with np.errstate(all="ignore"):
        for where, part in parts:
            sums[where] += part
    return sums


def total_along(x: Array, axis: int) -> Array:
    """The sum along an axis, which stays with one cell.

    Returns:
        Of floats float64, of integers int64, of objects objects; the same to the bit however `x` lies in memory. The
        bound is that of `total`.

    >>> total_along(np.array([[1e16, 1.0, 1.0, -1e16]]), axis=1).tolist()
    [[2.0]]
    """
    rows = np.moveaxis(x, axis, -1)
    if rows.ndim == 1:
        return row_sums(rows[None])
    totals = np.empty(rows.shape[:-1], summing_dtype(x.dtype))
    size = max(1, TILE_CELLS // max(1, prod(rows.shape[1:])))
    for start in range(0, len(totals), size):  # so that no copy of all is made
        totals[start : start + size] = row_sums(rows[start : start + size])
    return np.expand_dims(totals, axis)


def row_sums(x: Array) -> Array:
    """The sums along the last axis: of float64 by halves, each half's cells added to the other's."""
    rows = np.ascontiguousarray(x, summing_dtype(x.dtype))
    with np.errstate(all="ignore"):
        if x.dtype != np.float64:
            return np.asarray(rows.sum(-1))
        errors = np.zeros(rows.shape[:-1])
        while (count := rows.shape[-1]) > 1:
            half = count // 2
            sums, error = added(rows[..., :half], rows[..., half : 2 * half])
            errors += error.sum(-1)
            rows = np.concatenate([sums, rows[..., 2 * half :]], axis=-1) if count % 2 else sums
        found = rows.sum(-1)  # of one cell or none
        return np.asarray(found + np.where(np.isfinite(errors), errors, 0))


def added(first: Array, second: Array) -> tuple[Array, Array]:
    """Sums of float64 and the rounding error of each, which is exact (D. E. Knuth, TAOCP 2, 4.2.2, theorem B)."""
    sums = first + second
    change = sums - first
    return sums, (first - (sums - change)) + (second - change)


def summing_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype in which long sums are made: float64, of integers int64, of objects objects."""
    return np.dtype({"f": np.float64, "O": object}.get(dtype.kind, np.int64))


def means(x: Array, terms: int, counts: Array, sums: Callable[[Array], Array], overflow: Overflow) -> Array:
    """Sums divided by how many of their terms count: finite where those are, unless ``inf`` is asked for.

    Args:
        x: (N, ...), integers, whose sums are exact and divided with one rounding, or floats.
        terms: how many cells one sum has at most.
        sums: gives the sums of such an array, as `total` or `total_along`.

    Returns:
        In the float that `result_float` says; NaN where nothing counts.
    """
    if x.dtype.kind in "iu":
        if terms * largest(x) <= INT64_EXACT:
            return quotients(sums(x.astype(np.int64) if x.dtype == np.uint64 else x), counts)
        return np.concatenate([quotients(sums(x[image : image + 1].astype(object)), counts) for image in range(len(x))])
    found, target = sums(x), result_float(x.dtype)
    with np.errstate(all="ignore"):
        found /= counts
        result = found.astype(target, copy=False)
        finite = overflow == "inf" or all_finite(result)
    for image in range(0 if finite else len(x)):
        own = slice(image, image + 1)
        result[own] = settled_means(found[own], x[own], counts, sums)
    return result


def settled_means(found: Array, x: Array, counts: Array, sums: Callable[[Array], Array]) -> Array:
    """Means of floats, finite where their terms are; the largest, where it is rounded up, does not become infinite."""
    return settled(
        found,
        result_float(x.dtype),
        "saturate",
        lambda: (sums((~np.isfinite(x)).astype(np.int8)) == 0) & (counts > 0),
        lambda: scaled(sums(scaled(x, -SUM_SHIFT)) / counts, SUM_SHIFT),
    )


def quotients(sums: Array, counts: Array) -> Array:
    """Exact sums divided, rounded once: by Python's division where float64 does not hold them."""
    if sums.dtype == object or largest(sums) > FLOAT64_EXACT:
        found = np.divide(sums.astype(object), np.maximum(counts, 1).astype(object)).astype(np.float64)
        return np.where(counts == 0, np.nan, found)
    with np.errstate(all="ignore"):
        return np.asarray(sums / counts)


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
        settling = settling_bytes(positions, weights_shape)
        if all(dtype == accumulator for dtype in (target, *operands)):
            return settling
        return settling + max(tiled_bytes(positions, weights_shape, each) for each in accumulators_up_to(accumulator))
    return max(tiled_bytes(positions, weights_shape, smaller) for smaller in accumulators_up_to(accumulator))


def settling_rows(filters: int) -> int:
    """How many rows of columns are settled at a time where sums are not finite."""
    return max(1, TILE_CELLS // max(1, filters))


def settling_bytes(positions: int, weights_shape: tuple[int, ...]) -> int:
    """The bytes of that: of one tile's sums, and of some taps of what they are made of, in float64 and scaled."""
    filters, taps = weights_shape
    rows = min(positions, settling_rows(filters))
    return 8 * (5 * filters * rows + 2 * min(taps * (filters + rows), max(TILE_CELLS, filters + rows)))


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
