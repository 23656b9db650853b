"""Shifts to the right of exact integers, by every way there is to round what falls off."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convpipe.errors import ConfigError
from convpipe.fields import choice
from convpipe.ops.arrays.arguments import as_numeric, numeric
from convpipe.tensors import Array

MOST_SHIFT = 63
# For each way: of the floor of x / 2**s, what falls off, half of 2**s, and x, which cells go one up.
UPWARD: Mapping[str, Callable[[Array, Array, Array, Array], Any]] = {
    "floor": lambda floor, rest, half, x: False,
    "zero": lambda floor, rest, half, x: (x < 0) & (rest > 0),
    "half_up": lambda floor, rest, half, x: rest >= half,
    "half_down": lambda floor, rest, half, x: rest > half,
    "half_away": lambda floor, rest, half, x: rest > half - (x >= 0),
    "half_zero": lambda floor, rest, half, x: rest > half - (x < 0),
    "half_even": lambda floor, rest, half, x: rest > half - (floor & 1),
    "half_odd": lambda floor, rest, half, x: rest > half - (~floor & 1),
    "odd": lambda floor, rest, half, x: (rest > 0) & (floor & 1 == 0),
}
MODES = tuple(UPWARD)
shift_mode = choice(MODES)


def round_shift(x: ArrayLike, shift: ArrayLike, mode: str = "half_up") -> Array:
    """x / 2**shift, rounded to whole numbers.

    Args:
        x: any shape, any integer dtype that int64 holds.
        shift: whole numbers from 0 to 63, one for all, or an array that broadcasts against `x`, such as one per
            channel along the last axis.
        mode: where what falls off is rounded to: ``floor``, ``zero`` (towards it), ``odd`` (floor, and one up from an
            even number if anything fell off), or to the nearest, ties ``half_up``, ``half_down``, ``half_away`` from
            zero, ``half_zero`` towards it, ``half_even`` or ``half_odd``.

    Returns:
        int64 of the shape of `x`. A shift of 0 gives `x` itself.

    Raises:
        ConfigError: arguments that are no integers, a shift out of range, or another mode.

    Source:
        AP_TRN, AP_TRN_ZERO, AP_RND, AP_RND_MIN_INF, AP_RND_INF, AP_RND_ZERO and AP_RND_CONV of the HLS types.

    >>> [round_shift([-3, -1, 1, 3, 5], 1, mode).tolist() for mode in ("floor", "half_up", "half_away", "half_even")]
    [[-2, -1, 0, 1, 2], [-1, 0, 1, 2, 3], [-2, -1, 1, 2, 3], [-2, 0, 0, 2, 2]]
    """
    cells, found = whole_cells("x", x), shift_mode("mode", mode)
    return shifted(cells, fitting("shift", shifts_of("shift", shift, 0, MOST_SHIFT), cells), found)


def fitting(name: str, values: Array, cells: Array) -> Array:
    """Numbers that broadcast against cells, whose shape the result has.

    Raises:
        ConfigError: others.
    """
    try:
        fits = np.broadcast_shapes(values.shape, cells.shape) == cells.shape
    except ValueError:
        fits = False
    if not fits:
        raise ConfigError(name, values.shape, f"one number, or a shape that broadcasts to {cells.shape}")
    return values


def shifted(x: Array, shift: Array, mode: str) -> Array:
    """The same of int64 and legal shifts."""
    floor = x >> shift
    rest, half = fallen(x, shift)
    result: Array = floor + UPWARD[mode](floor, rest, half, x)
    return result


def fallen(x: Array, shift: Array) -> tuple[Array, Array]:
    """What falls off, and half of 2**shift; where nothing is shifted 0 and 1, so that nothing is a tie."""
    return x & ~(np.int64(-1) << shift), np.int64(1) << np.maximum(shift - 1, 0)


def is_half(x: Array, shift: Array) -> Array:
    """For each x whether x / 2**shift lies halfway between two whole numbers."""
    rest, half = fallen(x, shift)
    found: Array = rest == half
    return found


def whole_cells(name: str, values: ArrayLike) -> Array:
    """An argument as int64.

    Raises:
        ConfigError: no integers, or some that int64 does not hold.
    """
    array = numeric(name, values)
    if array.dtype.kind == "f":
        raise ConfigError(name, array.dtype, "integers")
    if array.dtype == np.uint64 and array.size and array.max() > np.iinfo(np.int64).max:
        raise ConfigError(name, int(array.max()), "integers that int64 holds")
    return array.astype(np.int64, copy=False)


def shifts_of(name: str, values: ArrayLike, low: int, high: int) -> Array:
    """Whole numbers of a range, one or several, as int64.

    Raises:
        ConfigError: others.
    """
    found = as_numeric(name, values)
    if found.dtype.kind not in "iu":
        raise ConfigError(name, values, f"whole numbers from {low} to {high}")
    wrong = found[(found < low) | (found > high)]
    if wrong.size:
        raise ConfigError(name, int(wrong.reshape(-1)[0]), f"whole numbers from {low} to {high}")
    return found.astype(np.int64)
