"""Sums that are scaled by a rule: its numbers, checked, and its work, tile by tile, with what that did."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convpipe.errors import ConfigError, ValueRangeError
from convpipe.ops.arrays.arguments import as_numeric
from convpipe.ops.arrays.narrowing import Counts, bits_needed, bits_range, narrowed_to, overflow_limits, storage
from convpipe.ops.arrays.rescaling import (
    ABSENT,
    BITS,
    LEAST_SHIFT,
    RULES,
    SCALES,
    Rule,
    Scaling,
    check_scales,
    multiplied,
)
from convpipe.ops.arrays.shifts import shifts_of
from convpipe.tensors import Array

TILE = 1 << 14  # cells at a time: what a rule makes on the way stays in the cache


def scaling_of(rule: Rule, mode: str, given: dict[str, Any], channels: int) -> Scaling:
    """What a rule works with, checked: multipliers of three scales where those are given.

    Raises:
        ConfigError: too little, too much, or numbers out of their range.
    """
    there = [name for name, value in given.items() if value is not None]
    check_taken(rule, there, given)
    if "output_scale" in there:
        sx, sw, sy = (scale_of(name, given[name], 1 if name != "filter_scale" else channels) for name in SCALES)
        check_scales(sx, sw, sy, rule)
        return Scaling(*multiplied(sx, sw, sy)) if rule.integer else Scaling(ABSENT, ABSENT, sx, sw, sy)
    shift = ABSENT if given["shift"] is None else shift_of(rule, given["shift"], channels)
    if given["multiplier"] is None:
        return Scaling(shift=shift, mode=mode)
    if rule.integer:
        return Scaling(
            shifts_of("multiplier", one_each("multiplier", given["multiplier"], channels), 0, 2**BITS - 1), shift
        )
    return Scaling(scale_of("multiplier", given["multiplier"], channels))


def check_taken(rule: Rule, there: list[str], given: dict[str, Any]) -> None:
    """The numbers that are given are one of the sets that a rule takes.

    Raises:
        ConfigError: one too many, or one too few.
    """
    if set(there) in map(set, rule.takes):
        return
    ways = " or ".join(" and ".join(names) for names in rule.takes)
    nearest = max(rule.takes, key=lambda names: len({*names} & {*there}))
    odd = next((name for name in there if name not in nearest), None)
    if odd is not None:
        raise ConfigError(odd, given[odd], f"nothing, as the rule takes {ways}")
    missing = next(name for name in nearest if name not in there)
    raise ConfigError(missing, None, f"a number, as the rule takes {ways}")


def shift_of(rule: Rule, shift: ArrayLike, channels: int) -> Array:
    """The shift of a rule, in its range."""
    return shifts_of("shift", one_each("shift", shift, channels), LEAST_SHIFT if rule.integer else 0, rule.most_shift)


def scale_of(name: str, value: ArrayLike, channels: int) -> Array:
    """Scales as float32, each above 0.

    Raises:
        ConfigError: others.
    """
    with np.errstate(over="ignore"):
        found = one_each(name, value, channels).astype(np.float32)
    wrong = found[~((found > 0) & (found < np.inf))]
    if wrong.size:
        raise ConfigError(name, wrong[0].item(), "numbers above 0 that float32 holds")
    return found


def one_each(name: str, values: ArrayLike, channels: int) -> Array:
    """One number for all channels, or one for each: of the shape (1,) or (F,).

    Raises:
        ConfigError: another number of them.
    """
    found = np.atleast_1d(as_numeric(name, values))
    if found.shape not in ((1,), (channels,)):
        raise ConfigError(
            name, found.shape, "one number" if channels == 1 else f"one number, or {channels}, one per channel"
        )
    return found


def rescaled(
    acc: Array, rule: Rule, scaling: Scaling, zero_point: int, dtype: str, overflow: str
) -> tuple[Array, Counts]:
    """Scaled, moved and narrowed sums, tile by tile, and what that did.

    Raises:
        ValueRangeError: a sum that the rule is not for, or with ``error`` a value that does not fit.
    """
    low, high = ends(acc)
    check_sums(low, high, rule)
    planes = np.moveaxis(acc, -1, 0)
    made = np.empty(planes.shape, storage(dtype))
    least, most = overflow_limits(dtype, overflow)
    counts = Counts(bits=bits_needed(low, high))
    shape = (len(planes), prod(planes.shape[1:]))
    rows, results = planes.reshape(shape), made.reshape(shape)
    for channels, cells in tiles(*rows.shape):
        own = of_channels(scaling, channels)
        tile = rows[channels, cells].astype(np.int64)
        product = rule.product(tile, own)
        values = rule.result(product, own, zero_point)
        below, above, ties = map(count, (values < least, values > most, rule.ties(product, own)))
        counts = counts.joined(Counts(below, above, ties))
        results[channels, cells] = narrowed_to(values, dtype, overflow) if below or above else values
    return np.moveaxis(made, 0, -1), counts


def check_sums(low: int, high: int, rule: Rule) -> None:
    """All sums are so narrow as a rule takes them.

    Raises:
        ValueRangeError: the smallest or the largest is not.
    """
    least, most = bits_range(rule.bits)
    if least <= low and high <= most:
        return
    name = next(name for name, each in RULES.items() if each is rule)
    what = f"the sum {low if low < least else high} does not fit the {rule.bits} bits that the rule {name} takes"
    advice = "an accumulator of so many bits, which wraps or saturates, makes others of them"
    raise ValueRangeError(f"{what} ({least} to {most}); {advice}", "rule", name)


def tiles(channels: int, cells: int) -> Iterator[tuple[slice, slice]]:
    """Parts of planes of about as many cells as `TILE`."""
    width = min(max(cells, 1), TILE)
    height = max(1, TILE // width)
    for first in range(0, channels, height):
        for start in range(0, cells, width):
            yield slice(first, first + height), slice(start, start + width)


def of_channels(scaling: Scaling, channels: slice) -> Scaling:
    """The same of some channels, as columns."""

    def cut(values: Array) -> Array:
        return values if len(values) <= 1 else values[channels, None]

    return Scaling(
        cut(scaling.multiplier),
        cut(scaling.shift),
        scaling.input_scale,
        cut(scaling.filter_scale),
        scaling.output_scale,
        scaling.mode,
    )


def count(cells: Array) -> int:
    """How many are true."""
    return int(np.count_nonzero(cells))


def ends(values: Array) -> tuple[int, int]:
    """The smallest and the largest of some integers; 0 of none."""
    return (int(values.min()), int(values.max())) if values.size else (0, 0)
