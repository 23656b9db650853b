"""The oracle of quantised numbers: every rule by which a target makes its integers, one sum at a time.

Integers are Python's and everything else is an exact fraction, which is rounded by hand to a binary float where the
target has one. Nothing is shared with the code that this judges, nor with NumPy's floats.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

Float = tuple[int, int, int]  # bits of the significand, the smallest power of two, the power where infinity begins

FLOAT32: Float = (24, -149, 128)
FLOAT64: Float = (53, -1074, 1024)
HALF = Fraction(1, 2)


# Rounding


def nearest(value: Fraction, ties: str) -> int:
    """A fraction as a whole number, ties as `ties` says.

    >>> [nearest(Fraction(each, 2), "half_even") for each in (-3, -1, 1, 3)]
    [-2, 0, 0, 2]
    """
    below = math.floor(value)
    rest = value - below
    if rest != HALF:
        return below + (rest > HALF)
    up = {
        "half_up": True,
        "half_down": False,
        "half_away": value > 0,
        "half_zero": value < 0,
        "half_even": below % 2 == 1,
        "half_odd": below % 2 == 0,
    }[ties]
    return below + up


def to_float(value: Any, kind: Float = FLOAT32) -> Any:
    """The binary float next to a number, ties to even: a fraction, or infinity.

    >>> to_float(2**24 + 1), to_float(2**24 + 3), to_float(Fraction(1, 10)) == Fraction(13421773, 2**27)
    (Fraction(16777216, 1), Fraction(16777220, 1), True)
    """
    digits, least, end = kind
    if value == 0 or value in (math.inf, -math.inf):
        return value
    exact = Fraction(value)
    power = exact.numerator.bit_length() - exact.denominator.bit_length()
    if abs(exact) < Fraction(2) ** power:
        power -= 1  # so that 2**power <= |value| < 2**(power + 1)
    unit = Fraction(2) ** max(power - digits + 1, least)
    found = nearest(exact / unit, "half_even") * unit
    return found if abs(found) < 2**end else math.inf if found > 0 else -math.inf


def round_shift(x: int, shift: int, mode: str) -> int:
    """x / 2**shift as a whole number.

    >>> [round_shift(-3, 1, mode) for mode in ("floor", "zero", "odd", "half_up")]
    [-2, -1, -1, -1]
    """
    value = Fraction(x, 2**shift)
    below = math.floor(value)
    if mode == "floor":
        return below
    if mode == "zero":
        return math.trunc(value)
    if mode == "odd":
        return below if value == below or below % 2 else below + 1
    return nearest(value, mode)


# Ranges


def integer_limits(dtype: str) -> tuple[int, int]:
    """The smallest and the largest integer of a dtype, int4 and uint4 among them.

    >>> integer_limits("int4"), integer_limits("uint16")
    ((-8, 7), (0, 65535))
    """
    bits = int(dtype.lstrip("uint"))
    return (0, 2**bits - 1) if dtype.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def wrap(value: int, low: int, high: int) -> int:
    """A whole number in a range, modulo its length."""
    return low + (value - low) % (high - low + 1)


def held(value: Any, low: int, high: int, overflow: str) -> int:
    """A number in a range, after the rule for those that do not fit.

    Raises:
        OverflowError: with ``error``, one that does not fit.
    """
    if overflow == "wrap":
        return wrap(int(value), low, high)
    if overflow == "saturate_symmetric":
        low = max(low, -high)
    elif overflow == "error" and not low <= value <= high:
        raise OverflowError(f"{value} does not fit {low} to {high}")
    return int(min(max(value, low), high))


# Multipliers


def quantize_multiplier(scale: Any) -> tuple[int, int]:
    """A scale as m * 2**(shift - 31): 2**30 <= m < 2**31, or (0, 0) of one that is too small.

    >>> quantize_multiplier(Fraction(1, 2)), quantize_multiplier(Fraction(3))
    ((1073741824, 0), (1610612736, 2))
    """
    exact = Fraction(scale)
    shift = 0
    while exact >= 1:
        exact, shift = exact / 2, shift + 1
    while 0 < exact < HALF and shift > -1100:
        exact, shift = exact * 2, shift - 1
    multiplier = nearest(exact * 2**31, "half_up")
    if multiplier == 2**31:
        multiplier, shift = 2**30, shift + 1
    return (0, 0) if shift < -31 or multiplier == 0 else (multiplier, shift)


def multiplier_of(sx: Any, sw: Any, sy: Any) -> tuple[int, int]:
    """The same of three scales that are rounded to float32: of f64(sx) * f64(sw) / f64(sy)."""
    x, w, y = (to_float(Fraction(each)) for each in (sx, sw, sy))
    return quantize_multiplier(to_float(to_float(x * w, FLOAT64) / y, FLOAT64))


# Rules


@dataclass(frozen=True)
class Numbers:
    """What a rule works with, of one channel; None where it takes something else."""

    multiplier: Any = None
    shift: int | None = None
    input_scale: Any = None
    filter_scale: Any = None
    output_scale: Any = None
    mode: str = "half_up"
    thresholds: Sequence[int] = ()
    offset: int = 0
    step: int = 1

    @property
    def scales(self) -> tuple[Any, Any, Any]:
        """The three, in float32."""
        x, w, y = (to_float(Fraction(each)) for each in (self.input_scale, self.filter_scale, self.output_scale))
        return x, w, y

    @property
    def pair(self) -> tuple[int, int]:
        """Multiplier and shift, given or of the scales."""
        if self.multiplier is not None:
            assert self.shift is not None
            return int(self.multiplier), self.shift
        return multiplier_of(self.input_scale, self.filter_scale, self.output_scale)

    @property
    def factor(self) -> Any:
        """f32(f32(sx * sw) / sy), or the multiplier that is given."""
        if self.multiplier is not None:
            return to_float(Fraction(self.multiplier))
        x, w, y = self.scales
        return to_float(to_float(x * w) / y)


def doubled(acc: int, numbers: Numbers, ties: str) -> int:
    """The doubling high product of the wrapped left shift, and then the shift to the right."""
    multiplier, shift = numbers.pair
    left = wrap(acc * 2 ** max(shift, 0), -(2**31), 2**31 - 1)
    high = nearest(Fraction(left * multiplier, 2**31), "half_up")
    return nearest(Fraction(high, 2 ** max(-shift, 0)), ties)


def double(acc: int, zero: int, numbers: Numbers) -> int:
    """Rounded twice, ties of the second away from zero."""
    return doubled(acc, numbers, "half_away") + zero


def double_up(acc: int, zero: int, numbers: Numbers) -> int:
    """Rounded twice, ties up."""
    return doubled(acc, numbers, "half_up") + zero


def single(acc: int, zero: int, numbers: Numbers) -> int:
    """The whole product rounded once."""
    multiplier, shift = numbers.pair
    return nearest(acc * multiplier * Fraction(2) ** (shift - 31), "half_up") + zero


def reduced16(acc: int, zero: int, numbers: Numbers) -> int:
    """The product with 16 bits of the multiplier, rounded once."""
    multiplier, shift = numbers.pair
    short = nearest(Fraction(multiplier, 2**16), "half_up") if multiplier < 0x7FFF0000 else 0x7FFF
    return nearest(acc * short * Fraction(2) ** (shift - 15), "half_up") + zero


def in_float(acc: int, zero: int, numbers: Numbers) -> Any:
    """One product in float32."""
    return rint(to_float(to_float(acc) * numbers.factor)) + zero


def in_float_reciprocal(acc: int, zero: int, numbers: Numbers) -> Any:
    """One product in float32, with a reciprocal in its factor."""
    x, w, y = numbers.scales
    return rint(to_float(to_float(acc) * to_float(to_float(x * w) * to_float(1 / y)))) + zero


def in_float_offset(acc: int, zero: int, numbers: Numbers) -> Any:
    """Three products in float32, and the zero point before the rounding."""
    x, w, y = numbers.scales
    scaled = to_float(to_float(to_float(acc) * x) * w)
    return rint(to_float(to_float(scaled * to_float(1 / y)) + to_float(zero)))


def in_float64(acc: int, zero: int, numbers: Numbers) -> Any:
    """A product in float64 with a factor in float32."""
    return rint(to_float(to_float(acc, FLOAT64) * numbers.factor, FLOAT64)) + zero


def rint(value: Any) -> Any:
    """A float as a whole number, ties to even; infinity stays."""
    return value if math.isinf(value) else nearest(Fraction(value), "half_even")


def shifted(acc: int, zero: int, numbers: Numbers) -> int:
    """A shift to the right alone."""
    assert numbers.shift is not None
    return round_shift(acc, numbers.shift, numbers.mode) + zero


def levels(acc: int, zero: int, numbers: Numbers) -> int:
    """How many thresholds there are that the sum has reached."""
    return numbers.offset + numbers.step * sum(acc >= each for each in numbers.thresholds) + zero


RULES: dict[str, Callable[[int, int, Numbers], Any]] = {
    "double": double,
    "double_up": double_up,
    "single": single,
    "reduced16": reduced16,
    "float": in_float,
    "float_reciprocal": in_float_reciprocal,
    "float_offset": in_float_offset,
    "float64_product": in_float64,
    "shift": shifted,
    "thresholds": levels,
}


def requantize(acc: int, rule: str, numbers: Numbers, zero: int = 0, dtype: str = "int8", **ends: Any) -> int:
    """One sum as an integer of its target.

    Args:
        acc: the sum, with the bias.
        rule: one of `RULES`.
        numbers: of its channel.
        zero: the zero point of the output.
        dtype: the output's, int4 to uint32.
        ends: ``low`` and ``high``, and ``overflow``: ``saturate``, ``saturate_symmetric``, ``wrap`` or ``error``.

    Raises:
        OverflowError: with ``error``, a value that the dtype does not hold.

    >>> half = Numbers(multiplier=2**30, shift=-1)
    >>> [requantize(-2, rule, half) for rule in ("double", "double_up", "single")]
    [-1, 0, 0]
    """
    low, high = integer_limits(dtype)
    found = held(RULES[rule](acc, zero, numbers), low, high, ends.get("overflow", "saturate"))
    least, most = ends.get("low"), ends.get("high")
    return min(max(found, low if least is None else least), high if most is None else most)


# Around them


def activation_range(activation: Any, scale: Any, zero: int, dtype: str, ties: str) -> tuple[int, int]:
    """The integers that an activation leaves.

    >>> activation_range("relu6", Fraction(12, 5), -10, "int8", "half_away")
    (-10, -7)
    """
    low, high = integer_limits(dtype)
    if activation == "none":
        return low, high
    if activation == "relu":
        return max(low, zero), high
    if not isinstance(activation, str):
        return tuple(activation)
    limit, least = {"relu6": (6, 0), "relu_n1_to_1": (1, -1)}[activation]
    steps = to_float(Fraction(limit) / to_float(Fraction(scale)))
    if math.isinf(steps):  # of a scale so small that no float32 is 1 / scale
        return max(low, zero if least == 0 else low), high
    reach = nearest(steps, ties)
    return max(low, zero + least * reach), min(high, zero + reach)


def quantize(x: Any, scale: Any, zero: int, dtype: str) -> int:
    """A real number in float32 as an integer."""
    if math.isnan(x):
        return zero
    steps = x if math.isinf(x) else to_float(to_float(Fraction(x)) / to_float(Fraction(scale)))
    return held(rint(steps) + zero, *integer_limits(dtype), "saturate")


def dequantize(q: int, scale: Any, zero: int) -> Any:
    """The real number that an integer stands for, in float32."""
    return to_float(to_float(q - zero) * to_float(Fraction(scale)))


def quantize_bias(bias: Any, sx: Any, sw: Any) -> int:
    """A real bias in steps of f32(sx * sw)."""
    step = to_float(to_float(Fraction(sx)) * to_float(Fraction(sw)))
    return quantize(bias, step, 0, "int32")


def pack_int4(values: Sequence[int]) -> list[int]:
    """Two integers in a byte, the first in the low nibble, an odd count filled up with 0.

    >>> [f"{byte:02X}" for byte in pack_int4([1, -2, 7, -8, 3])]
    ['E1', '87', '03']
    """
    digits = [value % 16 for value in values] + [0] * (len(values) % 2)
    return [low + 16 * high for low, high in zip(digits[::2], digits[1::2], strict=True)]
