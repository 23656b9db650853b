"""Whole numbers in the few bits of a target: ranges of integers down to 2 bits, and what becomes of those outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from convpipe.errors import ConfigError, ValueRangeError
from convpipe.tensors import Array

# How many bits each integer dtype has; those of 4 lie in a byte each.
BITS_OF = {"int4": 4, "uint4": 4, "int8": 8, "uint8": 8, "int16": 16, "uint16": 16, "int32": 32, "uint32": 32}
NARROW_OVERFLOWS = ("saturate", "saturate_symmetric", "wrap", "error")


@dataclass(frozen=True)
class Counts:
    """What narrowing and rounding did to how many cells."""

    saturated_low: int = 0
    saturated_high: int = 0
    ties: int = 0
    bits: int = 0  # that the sums really need, two's complement

    def joined(self, other: Counts) -> Counts:
        """Those of both."""
        return Counts(
            self.saturated_low + other.saturated_low,
            self.saturated_high + other.saturated_high,
            self.ties + other.ties,
            max(self.bits, other.bits),
        )


def integer_range(dtype: str) -> tuple[int, int]:
    """The smallest and the largest integer of a dtype.

    >>> integer_range("int4"), integer_range("uint8")
    ((-8, 7), (0, 255))
    """
    bits = BITS_OF[dtype]
    return (0, (1 << bits) - 1) if dtype[0] == "u" else bits_range(bits)


def bits_range(bits: int) -> tuple[int, int]:
    """The smallest and the largest integer of so many bits, two's complement."""
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def bits_needed(low: int, high: int) -> int:
    """How many bits hold all integers of a range, two's complement.

    >>> bits_needed(-128, 127), bits_needed(0, 128), bits_needed(0, 0)
    (8, 9, 1)
    """
    return 1 + max(low if low >= 0 else ~low, high if high >= 0 else ~high).bit_length()


def storage(dtype: str) -> np.dtype[Any]:
    """What NumPy holds such integers in.

    >>> storage("int4"), storage("uint16")
    (dtype('int8'), dtype('uint16'))
    """
    return np.dtype({"int4": "int8", "uint4": "uint8"}.get(dtype, dtype))


def overflow_limits(dtype: str, overflow: str) -> tuple[int, int]:
    """From where to where results lie, after a rule for what does not fit.

    >>> overflow_limits("int8", "saturate_symmetric")
    (-127, 127)
    """
    low, high = integer_range(dtype)
    return (max(low, -high) if overflow == "saturate_symmetric" else low), high


def narrowed_to(values: Array, dtype: str, overflow: str) -> Array:
    """int64 values as such integers, after the rule for those that do not fit.

    Raises:
        ValueRangeError: with ``error``, one that does not fit.
    """
    low, high = overflow_limits(dtype, overflow)
    if overflow == "wrap":
        return wrapped_to(values, low, high).astype(storage(dtype))
    if overflow == "error":
        check_within(values, low, high, dtype, "overflow=saturate, overflow=saturate_symmetric or overflow=wrap")
    return np.clip(values, low, high).astype(storage(dtype))


def wrapped_to(values: Array, low: int, high: int) -> Array:
    """int64 values in a range of 2**bits, modulo its length; differences to `low` may wrap at 64 bits themselves."""
    if high - low >= 2**64 - 1:
        return values
    mask = np.uint64(high - low)
    steps = (values.astype(np.uint64) - np.uint64(low % 2**64)) & mask
    found: Array = (steps + np.uint64(low % 2**64)).astype(np.int64)
    return found


def check_within(values: Array, low: int, high: int, what: str, choices: str) -> None:
    """All values lie in a range.

    Raises:
        ValueRangeError: one does not; it says what may be chosen.
    """
    if not values.size:
        return
    least, most = int(values.min()), int(values.max())
    if not low <= least <= most <= high:
        worst = most if low <= least else least
        text = f"the value {worst} does not fit {what} ({low} to {high}); choose {choices}"
        raise ValueRangeError(text, value=worst)


def limits_in(dtype: str, low: int | None, high: int | None) -> tuple[int, int]:
    """A range within that of a dtype.

    Raises:
        ConfigError: an end that the dtype does not have, or the smaller one above the larger.
    """
    least, most = integer_range(dtype)
    found = []
    for key, value, usual in (("low", low, least), ("high", high, most)):
        if value is not None and not least <= value <= most:
            raise ConfigError(key, value, f"a whole number from {least} to {most}, as the dtype is {dtype}")
        found.append(usual if value is None else value)
    if found[0] > found[1]:
        raise ConfigError("high", found[1], f"a whole number from low, {found[0]}")
    return found[0], found[1]
