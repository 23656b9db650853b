"""From exact sums to a target's integers: the rules by which multipliers, shifts and scales are applied.

A rule is one entry of `RULES`: what it takes, the sums it takes, and how it makes whole numbers of them. Integer rules
have a multiplier m and a shift, so that a sum becomes about acc * m * 2**(shift - 31); float rules round to float32
after every step. Each was compared with the implementation that its line names until no cell differed.
"""

from __future__ import annotations

import math
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
    """One way to bring sums to another scale."""

    takes: tuple[tuple[str, ...], ...]  # any one of these sets of parameters
    run: Callable[[Array, Scaling, int], Array]  # of int64 sums, with the zero point: int64
    ties: Callable[[Array, Scaling], Array]  # which sums lie halfway between two whole numbers, once scaled
    bits: int = 64  # of the sums that it takes, two's complement
    most_shift: int = MOST_LEFT
    integer: bool = False  # whether its multiplier is one of 31 bits, with a shift


def double(acc: Array, scaling: Scaling, zero_point: int, mode: str = "half_away") -> Array:
    """A doubling high product, which wraps at 32 bits before, and a shift that rounds once more."""
    return shifted(high_product(acc, scaling), np.maximum(-scaling.shift, 0), mode) + zero_point


def high_product(acc: Array, scaling: Scaling) -> Array:
    """(wrap32(acc * 2**left) * m + 2**30) >> 31."""
    wrapped = (acc << np.maximum(scaling.shift, 0)).astype(np.int32)
    product: Array = (wrapped * scaling.multiplier + INT64(1 << 30)) >> BITS
    return product


def double_up(acc: Array, scaling: Scaling, zero_point: int) -> Array:
    """`double` whose second rounding sends ties up, too."""
    return double(acc, scaling, zero_point, "half_up")


def single(acc: Array, scaling: Scaling, zero_point: int) -> Array:
    """The whole product, rounded once."""
    return shifted(acc * scaling.multiplier, BITS - scaling.shift, "half_up") + zero_point


def reduced16(acc: Array, scaling: Scaling, zero_point: int) -> Array:
    """The product with the multiplier's upper 16 bits, rounded once."""
    return shifted(acc * reduced(scaling.multiplier), 15 - scaling.shift, "half_up") + zero_point


def reduced(multiplier: Array) -> Array:
    """A multiplier of 31 bits as one of 15."""
    return np.where(multiplier < 0x7FFF0000, (multiplier + (1 << 15)) >> 16, 0x7FFF)


def plain_shift(acc: Array, scaling: Scaling, zero_point: int) -> Array:
    """A shift alone."""
    return shifted(acc, scaling.shift, scaling.mode) + zero_point


def in_float32(acc: Array, scaling: Scaling, zero_point: int) -> Array:
    """One multiplication in float32."""
    return whole(np.rint(product32(acc, scaling))) + zero_point


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


def reciprocal(acc: Array, scaling: Scaling, zero_point: int) -> Array:
    """One multiplication in float32, by a scale that was made with 1/sy."""
    return whole(np.rint(reciprocal_product(acc, scaling))) + zero_point


def reciprocal_product(acc: Array, scaling: Scaling) -> Array:
    """f32(acc) * f32(f32(sx * sw) * f32(1/sy))."""
    with np.errstate(over="ignore", under="ignore"):
        scale = (scaling.input_scale * scaling.filter_scale) * (np.float32(1) / scaling.output_scale)
        product: Array = acc.astype(np.float32) * scale
    return product


def offset(acc: Array, scaling: Scaling, zero_point: int) -> Array:
    """Three multiplications in float32, and the zero point before the rounding."""
    with np.errstate(over="ignore", under="ignore"):
        return whole(np.rint(three_products(acc, scaling) + np.float32(zero_point)))


def three_products(acc: Array, scaling: Scaling) -> Array:
    """f32(f32(f32(acc) * sx) * sw) * f32(1/sy)."""
    with np.errstate(over="ignore", under="ignore"):
        scaled = acc.astype(np.float32) * scaling.input_scale * scaling.filter_scale
        product: Array = scaled * (np.float32(1) / scaling.output_scale)
    return product


def in_float64(acc: Array, scaling: Scaling, zero_point: int) -> Array:
    """One multiplication in float64, by a scale in float32."""
    product = np.rint(product64(acc, scaling))
    beyond = np.where(np.abs(product) > MOST, np.fmod(product, 2.0**32), 0)  # its last bits, for results that wrap
    return whole(product) + beyond.astype(INT64) + zero_point


def product64(acc: Array, scaling: Scaling) -> Array:
    """f64(acc) * f64(scale)."""
    product: Array = acc.astype(np.float64) * scale32(scaling).astype(np.float64)
    return product


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
    try:
        pairs = [quantize_multiplier(each) for each in real.tolist()]
    except ConfigError as error:
        raise ConfigError("filter_scale", f"scales that make {error.got}", error.expected) from error
    multipliers, shifts = zip(*pairs, strict=True)
    return np.array(multipliers, INT64), np.array(shifts, INT64)


def half_of(values: Array) -> Array:
    """Which floats lie halfway between two whole numbers."""
    with np.errstate(invalid="ignore"):  # infinity less itself, which is no half
        found: Array = np.abs(values - np.trunc(values)) == values.dtype.type(0.5)
    return found


def product_is_half(acc: Array, scaling: Scaling) -> Array:
    """Which products with an integer multiplier lie halfway."""
    return is_half(acc * scaling.multiplier, BITS - scaling.shift)


INTEGERS = (("multiplier", "shift"), SCALES)
FLOATS = (SCALES, ("multiplier",))
RULES = {
    # LiteRT's reference kernels, CMSIS-NN, TFLite int16x8 with an int32 bias, TOSA DOUBLE_ROUND
    "double": Rule(INTEGERS, double, product_is_half, bits=32, integer=True),
    # LiteRT's optimised built-in kernels (ruy, x86)
    "double_up": Rule(INTEGERS, double_up, product_is_half, bits=32, integer=True),
    # CMSIS-NN and TFLite built for single rounding, TOSA SINGLE_ROUND
    "single": Rule(INTEGERS, single, product_is_half, bits=32, integer=True),
    # TFLite and CMSIS-NN int16x8 with an int64 accumulator
    "reduced16": Rule(
        INTEGERS,
        reduced16,
        lambda acc, scaling: is_half(acc * reduced(scaling.multiplier), 15 - scaling.shift),
        bits=48,
        most_shift=14,
        integer=True,
    ),
    # XNNPACK, onnxruntime QLinearConv, PyTorch fbgemm; Gemmini with a zero point of 0
    "float": Rule(FLOATS, in_float32, lambda acc, scaling: half_of(product32(acc, scaling))),
    # PyTorch qnnpack
    "float_reciprocal": Rule((SCALES,), reciprocal, lambda acc, scaling: half_of(reciprocal_product(acc, scaling))),
    # PyTorch x86 and oneDNN
    "float_offset": Rule((SCALES,), offset, lambda acc, scaling: half_of(three_products(acc, scaling))),
    # the reference evaluator of ONNX
    "float64_product": Rule(FLOATS, in_float64, lambda acc, scaling: half_of(product64(acc, scaling))),
    # fixed point, as high-level synthesis has it
    "shift": Rule((("shift",),), plain_shift, lambda acc, scaling: is_half(acc, scaling.shift), most_shift=MOST_SHIFT),
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
    found = real("scale", scale)
    if not 0 <= found < 2.0**MOST_LEFT:
        raise ConfigError("scale", scale, f"a number from 0, below 2**{MOST_LEFT}")
    fraction, shift = math.frexp(found)
    multiplier = math.floor(fraction * 2**BITS + 0.5)
    if multiplier == 2**BITS:
        multiplier, shift = multiplier // 2, shift + 1
    if shift > MOST_LEFT:  # it was rounded up to 2**30
        raise ConfigError("scale", scale, f"a number from 0, below 2**{MOST_LEFT} in 31 bits")
    return (multiplier, shift) if shift >= LEAST_SHIFT and multiplier else (0, 0)
