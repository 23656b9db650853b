"""Quotients of exact integers as whole numbers, by every way there is to round: the means of integer pools."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from convpipe.errors import ConfigError
from convpipe.fields import choice, field, optional, whole
from convpipe.geometry.pooling import PoolGeometry
from convpipe.ops.arrays.shifts import MODES, UPWARD
from convpipe.ops.arrays.sums import INT64_EXACT, magnitude
from convpipe.ops.arrays.windows import divisors
from convpipe.tensors import Array, exact_range

ROUNDING = "Of integers how their mean is rounded, which keeps their dtype; null gives floats. TFLite: half_away."
ZERO_POINT = "What padding that counts holds beside a rounding: the integer that stands for 0."


def rounding_field() -> Any:
    """The setting of an average pool."""
    return field(optional(choice(MODES)), None, ROUNDING, later=True)


def zero_point_field() -> Any:
    """The setting of an average pool that pads."""
    return field(optional(whole()), None, ZERO_POINT, later=True)


def divided(sums: Array, counts: Array, mode: str) -> Array:
    """Exact sums, integers or objects, divided by counts above 0 and rounded as in `round_shift`.

    >>> divided(np.array([-5, -3, 3, 5]), np.array(2), "half_away"), divided(np.array([7, 8]), np.array(3), "half_even")
    (array([-3, -2,  2,  3]), array([2, 3]))
    """
    floor, rest = sums // counts, sums % counts
    result: Array = floor + UPWARD[mode](floor, 2 * rest, counts, sums)
    return result


def whole_means(x: Array, terms: int, counts: Array, mode: str, sums: Callable[[Array], Array]) -> Array:
    """Means of integers as whole numbers, in their dtype, which holds every one.

    Args:
        x: (N, ...).
        terms: how many cells one sum has at most.
        sums: gives the exact sums of such an array, of int64 or of objects.
    """
    if magnitude(x.dtype) * terms <= INT64_EXACT:
        return divided(sums(x.astype(np.int64)), counts, mode).astype(x.dtype)
    made = [divided(sums(x[image : image + 1].astype(object)), counts, mode) for image in range(len(x))]
    return np.concatenate([sums(x[:0].astype(object)), *made]).astype(x.dtype)


def check_whole_means(
    dtype: np.dtype[Any], rounding: str | None, zero_point: int | None, overflow: str, sizes: PoolGeometry, padded: bool
) -> None:
    """What an average pool says of integers suits it.

    Args:
        padded: whether cells of the padding count.

    Raises:
        ConfigError: a rounding of floats, a zero point that nothing reads or that the dtype does not hold, padding
            that counts and holds nobody knows what, or a window in which nothing counts.
    """
    if rounding is None:
        if zero_point is not None:
            raise ConfigError("zero_point", zero_point, "null, as there is no rounding: the mean is a float")
        return
    if dtype.kind == "f":
        raise ConfigError("rounding", rounding, f"null, as what it reads is {dtype}")
    if overflow != "error":
        raise ConfigError("overflow", overflow, "error, as a mean of integers fits their dtype")
    counts = padded and (divisors(sizes, True) != divisors(sizes, False)).any()
    if counts and zero_point is None:
        hint = "count_include_pad=false counts the real cells, as TFLite does"
        raise ConfigError("zero_point", None, "the integer that padding holds, as padding counts", hint)
    low, high = exact_range(dtype)
    if zero_point is not None and not low <= zero_point <= high:
        raise ConfigError("zero_point", zero_point, f"a whole number from {low} to {high}, as the dtype is {dtype}")
    if not divisors(sizes, padded).all():
        raise ConfigError("rounding", rounding, "null, as some window has no cell that counts")
