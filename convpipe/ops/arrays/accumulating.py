"""Sums of products in an accumulator of so many bits: what it cannot hold, when that counts, and in which order."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np

from convpipe.geometry.columns import ORDERS
from convpipe.ops.arrays.narrowing import bits_range, check_within, wrapped_to
from convpipe.ops.kinds.quantised import Accumulator
from convpipe.tensors import Array, Sizes

TILE = 1 << 15  # sums at a time
PAIR = bits_range(16)


def held(sums: Array, accumulator: Accumulator) -> Array:
    """Exact int64 sums in an accumulator, whose rule counts at the end.

    Raises:
        ValueRangeError: with ``error``, a sum that it does not hold.
    """
    low, high = accumulator.limits
    if accumulator.overflow == "wrap":
        return wrapped_to(sums, low, high)
    if accumulator.overflow == "saturate":
        return np.clip(sums, low, high)
    check_within(sums, low, high, f"the accumulator's {accumulator.bits} bits")
    return sums


def stepwise(columns: Array, weights: Array, accumulator: Accumulator, steps: Array, zero_point: int) -> Array:
    """Sums of one group's products, made a few at a time.

    Args:
        columns: (positions, K), centred.
        weights: (F, K), centred.
        steps: in which order the K products are added.
        zero_point: what the columns were less: pairs of products saturate before that is taken from them.

    Returns:
        (F, positions), int64.

    Raises:
        ValueRangeError: with ``error``, a sum on the way that the accumulator does not hold.
    """
    sums = np.empty((len(weights), len(columns)), np.int64)
    width = max(1, TILE // max(1, len(weights)))
    factors = weights[:, steps].astype(np.int64)
    for start in range(0, len(columns), width):
        cells = slice(start, start + width)
        terms = columns[cells][:, steps].astype(np.int64)
        if accumulator.overflow == "pairs16":
            sums[:, cells] = held_pairs(terms, factors, accumulator, zero_point)
        else:
            sums[:, cells] = held_steps(terms, factors, accumulator)
    return sums


def held_steps(terms: Array, factors: Array, accumulator: Accumulator) -> Array:
    """The sums of a tile, of which each that the accumulator has on its way is held."""
    sums = np.zeros((len(factors), len(terms)), np.int64)
    for part in parts(factors.shape[1], 1 if accumulator.every == "step" else int(accumulator.every)):
        sums = held(sums + factors[:, part] @ terms[:, part].T, accumulator)
    return sums


def held_pairs(terms: Array, factors: Array, accumulator: Accumulator, zero_point: int) -> Array:
    """The sums of a tile, whose products are added in pairs that saturate at 16 bits, as x86 does without VNNI."""
    raw, sums = terms + zero_point, np.zeros((len(factors), len(terms)), np.int64)
    for part in parts(factors.shape[1], 2):
        sums += np.clip(factors[:, part] @ raw[:, part].T, *PAIR)
    sums -= zero_point * factors.sum(1)[:, None]
    check_within(sums, *accumulator.limits, f"the accumulator's {accumulator.bits} bits")
    return sums


def parts(count: int, size: int) -> Iterator[slice]:
    """So many things, a few at a time."""
    return (slice(start, start + size) for start in range(0, count, size))


def step_order(channels: int, kernel: Sizes, lying: str, wanted: str) -> Array:
    """Where the products lie that are added one after the other, given the order of a matrix's columns.

    >>> step_order(2, (1, 3), lying="C,kh,kw", wanted="kh,kw,C").tolist()
    [0, 3, 1, 4, 2, 5]
    """
    taps = prod(kernel)
    places = np.arange(channels * taps)
    if lying == wanted:
        return places
    shape = (channels, taps) if lying == ORDERS[0] else (taps, channels)
    return places.reshape(shape).T.reshape(-1)
