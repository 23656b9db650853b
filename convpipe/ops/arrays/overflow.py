"""What becomes of a result that its dtype cannot hold: one rule, `overflow`, for integers and floats.

A result overflows where everything it is made of is finite and its true value lies outside of its dtype:
``error`` raises ValueRangeError, ``saturate`` gives the nearest value that the dtype holds, ``wrap`` gives an integer
modulo 2**bits, and ``inf`` leaves a float to IEEE arithmetic, which says infinity, or NaN for infinity less infinity.
Infinity and NaN in the operands, division by zero and the logarithm of 0 give what IEEE says under every rule.
"""

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from convpipe.errors import ConfigError, ValueRangeError
from convpipe.tensors import Array

Overflow = Literal["error", "wrap", "saturate", "inf"]
OVERFLOWS: tuple[Overflow, ...] = ("error", "wrap", "saturate", "inf")
OVERFLOW = "What becomes of a result that the dtype cannot hold: error, saturate, of integers wrap, of floats inf."

# Factors are scaled by 2**-SHIFT before float64 products that left their range are made again: K products of any two
# are finite then, and those so small that they are lost are nothing beside the sum that had overflowed.
SHIFT = 540
SUM_SHIFT = 64  # likewise for terms of a sum
LARGE = 1 << 12  # cells, from where the faster of two ways to sum costs less to start


def check_rule(overflow: Overflow, dtype: np.dtype[Any]) -> None:
    """Integers have no infinity, and floats do not wrap.

    Raises:
        ConfigError: a rule that is not for such a dtype.
    """
    whole = dtype.kind in "iu"
    if overflow == ("inf" if whole else "wrap"):
        there = "error, wrap or saturate" if whole else "error, saturate or inf"
        raise ConfigError("overflow", overflow, f"{there}, as the result is {dtype}")


# Integers


def narrowed(sums: Array, dtype: np.dtype[Any], overflow: Overflow) -> Array:
    """Sums in the dtype of the result, after the rule for those that do not fit.

    Args:
        sums: exact integers in any dtype that holds them, or floats in a dtype as wide as the result's; those that
            are not finite stay so.

    Raises:
        ValueRangeError: with ``overflow="error"``, a sum that does not fit.
    """
    if dtype.kind == "f":
        return rounded(sums, dtype, overflow)
    info = np.iinfo(dtype)
    if overflow == "wrap":
        return wrapped(sums, dtype)
    low, high = (int(sums.min()), int(sums.max())) if sums.size else (0, 0)
    if info.min <= low and high <= info.max:
        return sums.astype(dtype)
    if overflow == "error":
        worst = low if low < info.min else high
        raise too_large(f"exact sum {worst}", dtype, ("wrap", "saturate"), worst)
    return saturated(sums, dtype)


def wrapped(sums: Array, dtype: np.dtype[Any]) -> Array:
    """Exact sums modulo 2**bits."""
    if sums.dtype == object:
        sums = (sums & (2**64 - 1)).astype(np.uint64)
    return sums.astype(np.int64 if sums.dtype.kind == "f" else sums.dtype).astype(dtype)


def saturated(sums: Array, dtype: np.dtype[Any]) -> Array:
    """Exact sums, those out of range replaced by the nearest value in range."""
    info = np.iinfo(dtype)
    if sums.dtype.kind == "f":
        sums = sums.astype(np.int64)  # exact: at most 2**53
    low, high = int(info.min), int(info.max)
    if sums.dtype != object:  # bounds that the sums' dtype holds; the rest of a wider range cannot occur here
        held = np.iinfo(sums.dtype)
        low, high = max(low, int(held.min)), min(high, int(held.max))
    return np.clip(sums, low, high).astype(dtype)


# Floats


def all_finite(values: Array) -> bool:
    """Whether there is neither NaN nor infinity; NumPy's warnings are off.

    No array is made beside it, and there is one pass where the sum of all is finite, as it nearly always is.
    """
    if values.size > LARGE and values.flags.c_contiguous and values.dtype != np.float16:
        found = np.einsum("i->", values.reshape(-1))  # half the time of add.reduce
    else:
        found = np.add.reduce(values, axis=None, dtype=np.float32 if values.dtype == np.float16 else None)
    return math.isfinite(found) or (math.isfinite(values.min()) and math.isfinite(values.max()))


def rounded(sums: Array, dtype: np.dtype[Any], overflow: Overflow) -> Array:
    """Sums in a float dtype, after the rule for finite ones that it does not hold; a new array."""
    with np.errstate(all="ignore"):
        result = sums.astype(dtype)
        if overflow == "inf" or sums.dtype == dtype or all_finite(result):
            return result
        lost = np.isinf(result) if sums.dtype.kind in "iuO" else np.isinf(result) & np.isfinite(sums)
    if lost.any():
        result[lost] = held(sums[lost].astype(np.float64), dtype, overflow)
    return result


def held(values: Array, dtype: np.dtype[Any], overflow: Overflow) -> Array:
    """True values in a float dtype, where infinity says that float64 does not hold them."""
    with np.errstate(over="ignore"):
        result = values.astype(dtype)
    beyond = np.isinf(result)
    if not beyond.any():
        return result
    if overflow == "error":
        worst = values[np.abs(values).argmax()]
        rules = ("saturate", "inf")
        raise too_large(f"result {worst:.6g}" if np.isfinite(worst) else "result", dtype, rules)
    result[beyond] = np.copysign(np.finfo(dtype).max, values[beyond])
    return result


def settled(
    results: Array,
    dtype: np.dtype[Any],
    overflow: Overflow,
    operands: Callable[[], Any],
    again: Callable[[], Array],
) -> Array:
    """Results of float arithmetic in a float dtype, after the rule for overflow.

    Args:
        results: as IEEE arithmetic made them, in a dtype as wide as the one wanted, or that one; then they may be
            changed where they lie.
        operands: gives, for each result, whether all it is made of is finite.
        again: gives the results once more, in float64 and by a way on which none of those overflows; infinity where
            float64 does not hold the result itself.

    Raises:
        ValueRangeError: with ``overflow="error"``, a result that does not fit.
    """
    with np.errstate(all="ignore"):
        found = results.astype(dtype, copy=False)
        if overflow == "inf" or all_finite(found):
            return found
        lost = ~np.isfinite(found) & operands()
        values = results[lost].astype(np.float64)
        odd = ~np.isfinite(values)
        if odd.any():
            values[odd] = again()[lost][odd]
    found[lost] = held(values, dtype, overflow)
    return found


def scaled(values: Array, power: int) -> Array:
    """Values times 2**power, in float64."""
    result: Array = np.ldexp(values.astype(np.float64), power)
    return result


def too_large(what: str, dtype: np.dtype[Any], rules: tuple[str, str], value: int = 0) -> ValueRangeError:
    """The error of a result that does not fit, with what helps."""
    info: Any = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(dtype)
    span = f"{info.min} to {info.max}" if dtype.kind in "iu" else f"{info.min:g} to {info.max:g}"
    wider = "" if dtype.itemsize == 8 else "a wider dtype, "
    advice = f"choose {wider}overflow={rules[0]} or overflow={rules[1]}"
    return ValueRangeError(f"the {what} does not fit {dtype} ({span}); {advice}", value=value)
