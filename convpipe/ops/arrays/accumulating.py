"""Sums of products in an accumulator of so many bits: what it cannot hold, when that counts, and in which order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from convpipe.errors import ValueRangeError
from convpipe.geometry.columns import ORDERS
from convpipe.ops.arrays.narrowing import bits_needed, bits_range, check_within, wrapped_to
from convpipe.ops.arrays.sums import INT64_EXACT, OBJECT_BYTES, SLACK, largest
from convpipe.ops.kinds.quantised import Accumulator
from convpipe.tensors import Array, Sizes

TILE = 1 << 18  # factors and sums at a time, of so many positions
PAIR = bits_range(16)


def held(sums: Array, accumulator: Accumulator) -> Array:
    """Exact sums, int64 or Python integers, in an accumulator whose rule counts now: int64.

    Raises:
        ValueRangeError: with ``error`` or ``pairs16``, a sum that it does not hold.
    """
    low, high = accumulator.limits
    if accumulator.overflow == "wrap":
        bits = sums & (2**64 - 1) if sums.dtype == object else sums
        return wrapped_to(bits.astype(np.uint64).astype(np.int64), low, high)
    if accumulator.overflow == "saturate":
        return np.clip(sums, low, high).astype(np.int64)
    check_within(sums, low, high, f"the accumulator's {accumulator.bits} bits", "overflow=wrap or overflow=saturate")
    return sums.astype(np.int64)


def held_bytes(sums: int, weights: tuple[int, int], *operands: np.dtype[Any]) -> int:
    """The most bytes that sums in an accumulator need beside these and what they are made of.

    Args:
        sums: how many there are.
        weights: (F, K) of one group.
        operands: the dtypes of the factors.
    """
    size = OBJECT_BYTES if any(dtype.itemsize >= 4 for dtype in operands) else 8
    return size * (6 * sums + 4 * prod(weights) + 6 * max(TILE, sum(weights))) + SLACK


def in_accumulator(error: ValueRangeError, accumulator: Accumulator, most: int) -> ValueRangeError:
    """The error of a sum that an accumulator does not hold, with what helps there.

    Args:
        most: the bits of the widest sums that the rule takes to which they go.
    """
    value = error.value
    ways = [f"bits={most}"] if accumulator.bits < bits_needed(value, value) <= most else []
    if accumulator.overflow == "error":
        ways += ["overflow=wrap", "overflow=saturate"]
    low, high = accumulator.limits
    advice = f"; choose {', '.join(ways[:-1])}{' or ' if ways[1:] else ''}{ways[-1]}" if ways else ""
    text = f"the exact sum {value} does not fit the accumulator's {accumulator.bits} bits ({low} to {high}){advice}"
    return ValueRangeError(text, "overflow", accumulator.overflow)


@dataclass(frozen=True)
class Operands:
    """What sums of one group's products are made of, and the zero points that these have been taken from."""

    columns: Array  # (positions, K), centred
    weights: Array  # (F, K), centred
    zero: int
    zeros: Array  # (1,), or (F,) of each filter

    def exact(self, terms: int, held: int) -> np.dtype[Any]:
        """The dtype that holds so many products, pixels and weights as they were among them, beside what is held."""
        columns, weights = largest(self.columns) + abs(self.zero), largest(self.weights) + largest(self.zeros)
        bound = 4 * terms * columns * weights + held  # with what is taken off pairs
        return np.dtype(np.int64 if bound <= INT64_EXACT else object)


def stepwise(operands: Operands, accumulator: Accumulator, steps: Array) -> Array:
    """Sums of one group's products, made a few at a time.

    Args:
        operands: the products' factors.
        accumulator: what they are made in.
        steps: in which order the K products are added.

    Returns:
        (F, positions), int64.

    Raises:
        ValueRangeError: with ``error``, a sum on the way that the accumulator does not hold.
    """
    columns, weights = operands.columns, operands.weights
    sums = np.empty((len(weights), len(columns)), np.int64)
    width = max(1, TILE // sum(weights.shape))
    paired = accumulator.overflow == "pairs16"
    wide = operands.exact(len(steps), accumulator.limits[1] + 1)
    factors = weights[:, steps].astype(wide)
    for start in range(0, len(columns), width):
        cells = slice(start, start + width)
        terms = columns[cells][:, steps].astype(wide)
        made = held_pairs(terms, factors, operands) if paired else held_steps(terms, factors, accumulator)
        sums[:, cells] = held(made, accumulator)
    return sums


def held_steps(terms: Array, factors: Array, accumulator: Accumulator) -> Array:
    """The sums of a tile, of which each that the accumulator has on its way is held."""
    sums = np.zeros((len(factors), len(terms)), np.int64)
    for part in parts(factors.shape[1], 1 if accumulator.every == "step" else int(accumulator.every)):
        sums = held(sums + factors[:, part] @ terms[:, part].T, accumulator)
    return sums


def held_pairs(terms: Array, factors: Array, operands: Operands) -> Array:
    """The sums of a tile, whose products are added in pairs that saturate at 16 bits, as x86 does without VNNI.

    Pixels and weights meet there as they are, and what their zero points add is taken off the sum.
    """
    zero, zeros = operands.zero, operands.zeros.astype(factors.dtype)[:, None]
    pixels, weights = terms + zero, factors + zeros
    sums = np.zeros((len(factors), len(terms)), factors.dtype)
    for part in parts(factors.shape[1], 2):
        sums += np.clip(weights[:, part] @ pixels[:, part].T, *PAIR)
    made: Array = sums - zero * factors.sum(1)[:, None] - zeros * pixels.sum(1)
    return made


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
