"""From exact sums to a target's integers: the rules by which multipliers, shifts and scales are applied.

A rule is one entry of `RULES`: what it takes, the sums it takes, and how it makes whole numbers of them. Integer rules
have a multiplier m and a shift, so that a sum becomes about acc * m * 2**(shift - 31); float rules round to float32
after every step. Each was compared with the implementation that its line names until no cell differed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from convpipe.errors import ConfigError
from convpipe.ops.arrays.arguments import real
from convpipe.ops.arrays.shifts import MOST_SHIFT, is_half, shifted
from convpipe.tensors import Array

BITS = 31  # of a multiplier
LEAST_SHIFT, MOST_LEFT = -31, 30  # of an integer rule
SCALES = ("input_scale", "filter_scale", "output_scale")
INT64 = np.int64
SCALE = f"a number from 0, below 2**{MOST_LEFT} in {BITS} bits"
MOST = 2.0**62  # to which floats are cut before they become integers: beyond every dtype they may be for
ABSENT: Array = np.zeros(0, np.float32)  # what a rule does not take


class Scaling(NamedTuple):
    """What a rule works with, as arrays of one number, or of one for each channel."""

    multiplier: Array = ABSENT  # int64 of integer rules, float32 of float rules: the scale as a whole
    shift: Array = ABSENT  # int64
    input_scale: Array = ABSENT  # float32, as the other scales
    filter_scale: Array = ABSENT
    output_scale: Array = ABSENT
    mode: str = "half_up"  # of the rule `shift`


@dataclass(frozen=True)
class Rule:
    """One way to bring sums to another scale: int64 sums to a product, and that, rounded, to int64 results."""

    takes: tuple[tuple[str, ...], ...]  # any one of these sets of parameters
    product: Callable[[Array, Scaling], Array]
    result: Callable[[Array, Scaling, int], Array]  # of products, with the zero point
    ties: Callable[[Array, Scaling], Array]  # which products lie halfway between two whole numbers, once rounded
    bits: int = 64  # of the sums that it takes, two's complement
    most_shift: int = MOST_LEFT
    integer: bool = False  # whether its multiplier is one of 31 bits, with a shift


def doubled(acc: Array, scaling: Scaling) -> Array:
    """wrap32(acc * 2**left) * m, of which a doubling high product has the upper half."""
    return (acc << np.maximum(scaling.shift, 0)).astype(np.int32) * scaling.multiplier


def double(product: Array, scaling: Scaling, zero_point: int, mode: str = "half_away") -> Array:
    """The doubling high product, (product + 2**30) >> 31, and a shift that rounds once more."""
    high = (product + INT64(1 << 30)) >> BITS
    return shifted(high, right_of(scaling), mode) + zero_point


def right_of(scaling: Scaling) -> Array:
    """How far the second shift of `double` goes to the right."""
    return np.maximum(-scaling.shift, 0)


def double_up(product: Array, scaling: Scaling, zero_point: int) -> Array:
    """`double` whose second rounding sends ties up, too."""
    return double(product, scaling, zero_point, "half_up")


def doubled_is_half(product: Array, scaling: Scaling) -> Array:
    """Which of these lie halfway, before anything is rounded."""
    return is_half(product, BITS + right_of(scaling))


def multiplied_whole(acc: Array, scaling: Scaling) -> Array:
    """acc * m."""
    return acc * scaling.multiplier


def single(product: Array, scaling: Scaling, zero_point: int) -> Array:
    """The whole product, rounded once."""
    return shifted(product, BITS - scaling.shift, "half_up") + zero_point


def single_is_half(product: Array, scaling: Scaling) -> Array:
    """Which of these lie halfway."""
    return is_half(product, BITS - scaling.shift)


def multiplied_reduced(acc: Array, scaling: Scaling) -> Array:
    """acc times the multiplier's upper 16 bits, as one of 15."""
    multiplier = scaling.multiplier
    return acc * np.where(multiplier < 0x7FFF0000, (multiplier + (1 << 15)) >> 16, 0x7FFF)


def reduced16(product: Array, scaling: Scaling, zero_point: int) -> Array:
    """The reduced product, rounded once."""
    return shifted(product, 15 - scaling.shift, "half_up") + zero_point


def reduced_is_half(product: Array, scaling: Scaling) -> Array:
    """Which of these lie halfway."""
    return is_half(product, 15 - scaling.shift)


def as_they_are(acc: Array, scaling: Scaling) -> Array:
    """The sums."""
    return acc


def plain_shift(acc: Array, scaling: Scaling, zero_point: int) -> Array:
    """A shift alone."""
    return shifted(acc, scaling.shift, scaling.mode) + zero_point


def shift_is_half(acc: Array, scaling: Scaling) -> Array:
    """Which sums lie halfway."""
    return is_half(acc, scaling.shift)


def product32(acc: Array, scaling: Scaling) -> Array:
    """f32(acc) times the scale as a whole."""
    with np.errstate(over="ignore", under="ignore"):
        product: Array = acc.astype(np.float32) * scale32(scaling)
    return product


def scale32(scaling: Scaling) -> Array:
    """f32(f32(sx * sw) / sy), or the multiplier that is given."""
    if scaling.multiplier.size:
        return scaling.multiplier
    with np.errstate(over="ignore", under="ignore"):
        scale: Array = (scaling.input_scale * scaling.filter_scale) / scaling.output_scale
    return scale


def reciprocal_product(acc: Array, scaling: Scaling) -> Array:
    """f32(acc) * f32(f32(sx * sw) * f32(1/sy))."""
    with np.errstate(over="ignore", under="ignore"):
        scale = (scaling.input_scale * scaling.filter_scale) * (np.float32(1) / scaling.output_scale)
        product: Array = acc.astype(np.float32) * scale
    return product


def nearest(product: Array, scaling: Scaling, zero_point: int) -> Array:
    """A float product, ties to even, and the zero point."""
    return whole(np.rint(product)) + zero_point


def three_products(acc: Array, scaling: Scaling) -> Array:
    """f32(f32(f32(acc) * sx) * sw) * f32(1/sy)."""
    with np.errstate(over="ignore", under="ignore"):
        scaled = acc.astype(np.float32) * scaling.input_scale * scaling.filter_scale
        product: Array = scaled * (np.float32(1) / scaling.output_scale)
    return product


def offset(product: Array, scaling: Scaling, zero_point: int) -> Array:
    """A float32 product and the zero point, ties of the sum to even."""
    with np.errstate(over="ignore"):
        return whole(np.rint(product + np.float32(zero_point)))


def product64(acc: Array, scaling: Scaling) -> Array:
    """f64(acc) * f64(scale)."""
    product: Array = acc.astype(np.float64) * scale32(scaling).astype(np.float64)
    return product


def nearest64(product: Array, scaling: Scaling, zero_point: int) -> Array:
    """A float64 product, ties to even, with its last bits where it is large, for results that wrap."""
    found = np.rint(product)
    beyond = np.where(np.abs(found) > MOST, np.fmod(found, 2.0**32), 0)
    return whole(found) + beyond.astype(INT64) + zero_point


def whole(values: Array) -> Array:
    """Whole floats as int64, cut far beyond what a result may be; infinity is cut, too."""
    return np.clip(values.astype(np.float64), -MOST, MOST).astype(INT64)


def check_scales(input_scale: Array, filter_scale: Array, output_scale: Array, rule: Rule) -> None:
    """Three float32 scales give a rule the factors that it works with.

    Raises:
        ConfigError: a product, a quotient or a reciprocal that float32 does not hold, or a shift out of range.
    """
    if rule.integer:
        _, shift = multiplied(input_scale, filter_scale, output_scale)
        if (shift > rule.most_shift).any():
            expected = f"scales whose shift is at most {rule.most_shift}, as the rule has it"
            raise ConfigError("filter_scale", f"a shift of {shift.max()}", expected)
        return
    with np.errstate(all="ignore"):
        product, inverse = input_scale * filter_scale, np.float32(1) / output_scale
        factors = np.concatenate([product / output_scale, product * inverse, inverse])
    if not np.isfinite(factors).all():
        raise ConfigError("output_scale", float(output_scale[0]), "scales whose factors float32 holds")


def multiplied(input_scale: Array, filter_scale: Array, output_scale: Array) -> tuple[Array, Array]:
    """Multipliers and shifts of float32 scales: of f64(sx) * f64(sw) / f64(sy).

    Raises:
        ConfigError: a scale that is too large for them.
    """
    real = input_scale.astype(np.float64) * filter_scale.astype(np.float64) / output_scale.astype(np.float64)
    multipliers, shifts, wrong = multipliers_of(real)
    if wrong.any():
        raise ConfigError("filter_scale", f"scales that make {real[wrong][0].item()}", SCALE)
    return multipliers, shifts


def multipliers_of(scales: Array) -> tuple[Array, Array, Array]:
    """Multipliers and shifts of float64 scales, see `quantize_multiplier`; and of which there are none."""
    fractions, shifts = np.frexp(scales)
    multipliers = np.floor(fractions * 2.0**BITS + 0.5).astype(INT64)
    full = multipliers == 1 << BITS
    multipliers, shifts = np.where(full, multipliers >> 1, multipliers), shifts.astype(INT64) + full
    wrong = ~((scales >= 0) & (scales < 2.0**MOST_LEFT)) | (shifts > MOST_LEFT)  # one may be rounded up to that
    there = (shifts >= LEAST_SHIFT) & (multipliers > 0)
    return np.where(there, multipliers, 0), np.where(there, shifts, 0), wrong


def float_is_half(product: Array, scaling: Scaling) -> Array:
    """Which floats lie halfway between two whole numbers."""
    with np.errstate(invalid="ignore"):  # infinity less itself, which is no half
        found: Array = np.abs(product - np.trunc(product)) == product.dtype.type(0.5)
    return found


INTEGERS = (("multiplier", "shift"), SCALES)
FLOATS = (SCALES, ("multiplier",))
RULES = {
    # LiteRT's reference kernels, CMSIS-NN, TFLite int16x8 with an int32 bias, TOSA DOUBLE_ROUND
    "double": Rule(INTEGERS, doubled, double, doubled_is_half, bits=32, integer=True),
    # LiteRT's optimised built-in kernels (ruy, x86)
    "double_up": Rule(INTEGERS, doubled, double_up, doubled_is_half, bits=32, integer=True),
    # CMSIS-NN and TFLite built for single rounding, TOSA SINGLE_ROUND
    "single": Rule(INTEGERS, multiplied_whole, single, single_is_half, bits=32, integer=True),
    # TFLite and CMSIS-NN int16x8 with an int64 accumulator
    "reduced16": Rule(INTEGERS, multiplied_reduced, reduced16, reduced_is_half, bits=48, most_shift=14, integer=True),
    # XNNPACK, onnxruntime QLinearConv, PyTorch fbgemm; Gemmini with a zero point of 0
    "float": Rule(FLOATS, product32, nearest, float_is_half),
    # PyTorch qnnpack
    "float_reciprocal": Rule((SCALES,), reciprocal_product, nearest, float_is_half),
    # PyTorch x86 and oneDNN
    "float_offset": Rule((SCALES,), three_products, offset, float_is_half),
    # the reference evaluator of ONNX
    "float64_product": Rule(FLOATS, product64, nearest64, float_is_half),
    # fixed point, as high-level synthesis has it
    "shift": Rule((("shift",),), as_they_are, plain_shift, shift_is_half, most_shift=MOST_SHIFT),
}


def quantize_multiplier(scale: float) -> tuple[int, int]:
    """A real scale as a multiplier m of 31 bits and a shift: about m * 2**(shift - 31).

    Args:
        scale: a number from 0 on, below 2**30, in float64.

    Returns:
        m, from 2**30 to 2**31 - 1, and the shift, from -31 to 30; (0, 0) of a scale too small for that.

    Raises:
        ConfigError: another scale.

    Source:
        QuantizeMultiplier of TFLite, whose m is rounded half away from zero.

    >>> quantize_multiplier(0.5), quantize_multiplier(0.3), quantize_multiplier(1.0)
    ((1073741824, 0), (1288490189, -1), (1073741824, 1))
    """
    found = np.array([real("scale", scale)], np.float64)
    with np.errstate(invalid="ignore"):  # of infinity and NaN, which are refused
        multipliers, shifts, wrong = multipliers_of(found)
    if wrong.any():
        raise ConfigError("scale", scale, SCALE)
    return int(multipliers[0]), int(shifts[0])
