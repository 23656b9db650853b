"""Long sums: how floats are added up that are no products, cell by cell or along an axis, and their means."""

from collections.abc import Callable, Iterable
from math import prod
from typing import Any

import numpy as np

from convpipe.ops.arrays.floats import TILE_CELLS, result_float
from convpipe.ops.arrays.overflow import SUM_SHIFT, Overflow, all_finite, scaled, settled
from convpipe.ops.arrays.sums import FLOAT64_EXACT, INT64_EXACT, largest
from convpipe.tensors import Array, Sizes

Parts = Iterable[tuple[Any, Array]]  # each an index into a result, and an array of its cells
Adding = Callable[[Sizes, np.dtype[Any], Parts], Array]


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
