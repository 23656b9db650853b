"""The rules that bring sums to a target's integers, step by step as formulas: how `explain` and the page tell them.

Each formula has one operation of the target's at a time, with the number that comes out of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from convpipe.ops.arrays.narrowing import BITS_OF, overflow_limits
from convpipe.ops.kinds.forms import Form, Read
from convpipe.ops.kinds.formulas import formula
from convpipe.ops.kinds.places import Place, variables
from convpipe.tensors import Tensor

Step = tuple[str, str, str]  # a name, its formula, and the words in which it is told; "" where it is not

# A shift of `{x}` to the right by `places`, at least 1, for each way to round what falls off; `below` is one less.
SHIFTS = {
    "floor": "{x} >> places",
    "zero": "-(-{x} >> places) if {x} < 0 else {x} >> places",
    "half_up": "({x} + (1 << below)) >> places",
    "half_down": "({x} + (1 << below) - 1) >> places",
    "half_away": "({x} + (1 << below) - 1) >> places if {x} < 0 else ({x} + (1 << below)) >> places",
    "half_zero": "({x} + (1 << below)) >> places if {x} < 0 else ({x} + (1 << below) - 1) >> places",
    "half_even": "({x} + (1 << below) - 1 + (({x} >> places) & 1)) >> places",
    "half_odd": "({x} + (1 << below) - (({x} >> places) & 1)) >> places",
    "odd": "({x} >> places) | 1 if 0 - ({x} & ((1 << places) - 1)) < 0 else {x} >> places",
}


BITS = "bits", "31 - shift", ""


def shifted(x: str, places: str, mode: str, words: str) -> tuple[Step, ...]:
    """A shift of what a name stands for, rounded; by 0 places it is the number itself."""
    text = f"{x} if below < 0 else ({SHIFTS[mode].format(x=x)})"
    return ("places", places, ""), ("below", "places - 1", ""), ("rounded", text, words)


def doubled(mode: str) -> tuple[Step, ...]:
    """A doubling high product, and a second shift."""
    return (
        BITS,
        ("exact", "x * multiplier / (1 << bits)", "exact"),
        ("left", "max(0, shift)", ""),
        ("wrapped", "wrap32(x << left) if 0 - left < 0 else x", "left shift"),
        ("doubled", "(wrapped * multiplier + (1 << 30)) >> 31", "doubling high product"),
        *shifted("doubled", "max(0, -shift)", mode, "second rounding"),
    )


def once(multiplier: str, bits: int) -> tuple[Step, ...]:
    """The whole product, rounded once."""
    exact = "exact", "x * multiplier / (1 << bits)", "exact"
    product = "product", f"x * {multiplier}", "product"
    return BITS, exact, product, *shifted("product", f"{bits} - shift", "half_up", "rounding")


REDUCED = "reduced", "(multiplier + (1 << 15)) >> 16 if multiplier - 0x7FFF0000 < 0 else 0x7FFF", "upper 16 bits"
SUM32 = "sum32", "f32(x)", "sum in float32"
SCALE = "scale", "f32(scales / output_scale)", "scale"
SCALES = "scales", "f32(input_scale * filter_scale)", "product of scales"
RINT = "rounded", "rint(product)", "rounding"
PRODUCT = "product", "f32(sum32 * scale)", "product"

# What each rule does; `rounded` is what comes out of it.
RULE_STEPS: Mapping[str, tuple[Step, ...]] = {
    "double": doubled("half_away"),
    "double_up": doubled("half_up"),
    "single": once("multiplier", 31),
    "reduced16": (REDUCED, *once("reduced", 15)),
    "float": (SUM32, SCALES, SCALE, PRODUCT, RINT),
    "float_reciprocal": (
        SUM32,
        SCALES,
        ("inverse", "f32(1 / output_scale)", "inverse"),
        ("scale", "f32(scales * inverse)", "scale"),
        PRODUCT,
        RINT,
    ),
    "float_offset": (
        SUM32,
        ("once", "f32(sum32 * input_scale)", "times the input's scale"),
        ("twice", "f32(once * filter_scale)", "times the filter's scale"),
        ("inverse", "f32(1 / output_scale)", "inverse"),
        ("scaled", "f32(twice * inverse)", "product"),
        ("product", "f32(scaled + f32(zero_point))", "zero point"),
        RINT,
    ),
    "float64_product": (
        ("sum64", "f64(x)", "sum in float64"),
        SCALES,
        SCALE,
        ("product", "f64(sum64 * scale)", "product"),
        RINT,
    ),
    "thresholds": (
        ("reached", "sum(x >= thresholds)", "thresholds reached"),
        ("rounded", "offset + step * reached", "level"),
    ),
}


def steps_of(rule: str, mode: str, given: Mapping[str, Any]) -> Iterator[Step]:
    """What a rule does with the numbers that it is given: a multiplier of a float rule is the scale as a whole."""
    if rule == "shift":
        yield from shifted("x", "shift", mode, "rounding")
        return
    whole = "multiplier" in given and "shift" not in given
    for name in ("filter_scale", "multiplier"):
        if name in given and "shift" not in given:
            yield name, f"f32({name})", ""
    for name, text, words in RULE_STEPS[rule]:
        if not (whole and name in ("scales", "scale")):
            yield name, text.replace(" * scale)", " * multiplier)") if whole else text, words


def requantizing(
    x: Tensor,
    rule: str,
    mode: str,
    given: Mapping[str, Any],
    zero_point: int,
    dtype: str,
    overflow: str,
    axis: int = -1,
) -> Form:
    """The form of a cell that a rule brings to a target's integers.

    Args:
        x: the sums.
        given: what the rule works with by name: a tensor, a number, or a tuple of one for each channel.
        zero_point, dtype, overflow: as in `requantize`.
        axis: that of the channels.
    """
    low, high = overflow_limits(dtype, overflow)
    constants = {"zero_point": zero_point, "low": low, "high": high}
    steps = [*steps_of(rule, mode, given)]
    if rule != "float_offset":
        steps.append(("moved", "rounded + zero_point", "zero point"))
    final = narrowing("rounded" if rule == "float_offset" else "moved", dtype, overflow)
    return stepwise_form(x, final, steps, given, constants, axis)


def narrowing(name: str, dtype: str, overflow: str) -> str:
    """What becomes of a number that a dtype may not hold, as a formula."""
    if overflow == "error":
        return name
    sign = "u" if dtype[0] == "u" else ""
    return f"wrap{sign}{BITS_OF[dtype]}({name})" if overflow == "wrap" else f"min(max({name}, low), high)"


def stepwise_form(
    x: Tensor,
    final: str,
    steps: Sequence[Step],
    given: Mapping[str, Any],
    constants: Mapping[str, Any],
    axis: int = -1,
) -> Form:
    """A form of one cell, `x`, and of the numbers of its channel, whose steps are told."""
    rank = len(x.shape)
    own, [loop] = variables(rank), variables(1, rank)
    reads, loops = [Read("x", 0, tuple(own), x.shape)], tuple[int, ...]()
    for role, tensor in given.items():
        if isinstance(tensor, Tensor):
            channel = own[axis] if tensor.shape[0] > 1 else Place()
            reads.append(Read(role, role, (channel, loop)[: len(tensor.shape)], tensor.shape))
            loops = tensor.shape[1:] or loops
    lists = tuple((name, axis % rank, value) for name, value in given.items() if isinstance(value, tuple))
    numbers = {name: value for name, value in given.items() if not isinstance(value, tuple | Tensor)}
    return Form(
        formula(final),
        rank,
        tuple(reads),
        loops,
        tuple({**constants, **numbers}.items()),
        tuple((name, formula(text)) for name, text, _ in steps),
        lists=lists,
        steps=tuple((name, words) for name, _, words in steps if words),
    )
