"""Whether a quantised convolution and its tensors suit each other, before any array exists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from convpipe.errors import ConfigError
from convpipe.ops.arrays.narrowing import BITS_OF, bits_needed, integer_range, limits_in, storage
from convpipe.ops.arrays.rescaling import LEAST_SHIFT, Rule, check_scales
from convpipe.ops.kinds.operation import Give, Weight
from convpipe.ops.kinds.quantised import (
    QUANTITIES,
    THRESHOLDS,
    UPPER,
    Affine,
    Quant,
    quantities_of,
    setting_of,
    takes_scales,
)
from convpipe.tensors import Array, Tensor, exact_range

if TYPE_CHECKING:
    from convpipe.ops.kinds.convolving import ConvSettings

AXES = {"thresholds": ("F", "T")}


def asked(give: Give, quant: Quant | None, filters: int) -> dict[str, Tensor]:
    """The tensors beside filters and bias that a quantised convolution reads, by role.

    Raises:
        ConfigError: one that is of another number of filters, or a rule that lacks what it works with.
    """
    found: dict[str, Tensor] = {}
    if quant is None:
        return found
    check_rule(quant)
    for role in quantities_of(quant):
        axes = AXES.get(role, ("F",))
        entry = setting_of(quant, "filter_scale" if takes_scales(quant) else role)
        named = entry if isinstance(entry, str) else None
        tensor = give(Weight(role, (None,) * len(axes), axes, role, named, key_of(role)))
        if tensor.shape[0] not in (1, filters):
            place = key_of("filter_scale" if takes_scales(quant) else role)
            raise ConfigError(place, tensor.shape, f"one, or {filters}, one for each filter")
        if tensor.dtype.kind == "f" and is_whole_number(quant, role):
            raise ConfigError(key_of(role), tensor.dtype, f"integers, as the rule {quant.rule} has it")
        found[role] = tensor
    return found


def is_whole_number(quant: Quant, role: str) -> bool:
    """Whether what has that role are whole numbers: all but scales, and multipliers of a float rule."""
    return role != "filter_scale" and (role != "multiplier" or (quant.kind is not None and quant.kind.integer))


def key_of(role: str) -> str:
    """The key of the setting that a tensor comes from."""
    return ".".join(("quant", *QUANTITIES[role]))


def check_quant(conv: ConvSettings, quant: Quant, tensors: Mapping[str, Tensor]) -> None:
    """What a quantised convolution says suits itself and its tensors.

    Raises:
        ConfigError: something that does not, under its key from ``quant`` on.
    """
    x, w = tensors["input"], tensors["filters"]
    for role, tensor in (("input", x), ("filters", w)):
        check_integers(role, getattr(quant, role), tensor)
    several = quant.filters.zero_point
    if isinstance(several, tuple) and len(several) not in (1, w.shape[0]):
        raise ConfigError("quant.filters.zero_point", list(several), f"one, or {w.shape[0]}, one for each filter")
    if "bias" in tensors and tensors["bias"].dtype.kind == "f":
        raise ConfigError("bias.dtype", tensors["bias"].dtype, "integers, as the convolution is quantised")
    made = quant.output.dtype or quant.input.dtype or x.dtype.name
    check_zero_point("output", quant.output, made)
    check_activation(quant, made)
    for name, idle in (("pad_value", 0), ("dtype", None), ("overflow", "error")):
        if getattr(conv, name) != idle:
            why = "as it is quantised: quant says what sums and outputs are, and padding is the input's zero point"
            raise ConfigError(name, getattr(conv, name), f"{'nothing' if idle is None else idle}, {why}")


def check_integers(role: str, affine: Affine, tensor: Tensor) -> None:
    """A tensor has the integers that are said of it, and its zero point is one of them."""
    if tensor.dtype.kind == "f":
        raise ConfigError(f"{role}.dtype", tensor.dtype, "integers, as the convolution is quantised")
    if affine.dtype is not None and storage(affine.dtype) != tensor.dtype:
        stored = storage(affine.dtype)
        expected = f"{tensor.dtype}, as the array is"
        raise ConfigError(f"quant.{role}.dtype", affine.dtype, expected, f"{role}.dtype={stored} makes it one")
    check_zero_point(role, affine, affine.dtype or tensor.dtype.name)


def check_cells(name: str, cells: Array, dtype: str, key: str) -> None:
    """The cells of an array are the integers that are said of it; where 4 bits lie in a byte, they may be others.

    Raises:
        ConfigError: one is not.
    """
    low, high = integer_range(dtype)
    if cells.dtype == dtype or not cells.size:
        return
    least, most = int(cells.min()), int(cells.max())
    if not low <= least <= most <= high:
        worst = most if low <= least else least
        raise ConfigError(name, worst, f"whole numbers from {low} to {high}, as {key} is {dtype}")


def check_activation(quant: Quant, dtype: str) -> None:
    """An activation has the scale that it needs, or ends that the output has."""
    if isinstance(quant.activation, tuple):
        try:
            limits_in(dtype, *quant.activation)
        except ConfigError as error:
            raise error.at({"low": "quant.activation[0]", "high": "quant.activation[1]"}) from error
    elif quant.activation in UPPER and quant.output.scale is None:
        raise ConfigError("quant.output.scale", None, f"the output's scale, which {quant.activation} needs")


def check_zero_point(role: str, affine: Affine, dtype: str) -> None:
    """A zero point is one of the integers."""
    low, high = integer_range(dtype) if dtype in BITS_OF else exact_range(storage(dtype))
    if role != "filters" and len(affine.zero_points) > 1:
        raise ConfigError(f"quant.{role}.zero_point", list(affine.zero_points), "one whole number")
    for zero in affine.zero_points:
        if not low <= zero <= high:
            expected = f"a whole number from {low} to {high}, as the dtype is {dtype}"
            raise ConfigError(f"quant.{role}.zero_point", zero, expected)


def check_rule(quant: Quant) -> None:
    """A rule has what it works with: multiplier and shift, or the three scales, and not both.

    Raises:
        ConfigError: it has not.
    """
    scales = {f"{role}.scale": getattr(quant, role).scale for role in ("input", "filters", "output")}
    if quant.rule is None:
        for name in ("multiplier", "shift", "thresholds"):
            if getattr(quant, name) is not None:
                raise ConfigError("quant.rule", None, f"a rule, as there is a quant.{name}")
        return
    if quant.rule == THRESHOLDS:
        if quant.thresholds is None:
            raise ConfigError("quant.thresholds", None, "a table of thresholds, as the rule takes it")
        for name in ("multiplier", "shift"):
            if getattr(quant, name) is not None:
                raise ConfigError(f"quant.{name}", getattr(quant, name), "null, as the rule thresholds takes none")
        return
    rule = quant.kind
    assert rule is not None
    if quant.multiplier is None and quant.shift is None:
        check_all_there(quant.rule, rule.takes, scales)
        check_written(quant, rule)
        return
    if all(value is not None for value in scales.values()):
        expected = "null beside the three scales, or one of these null"
        name = "shift" if quant.multiplier is None else "multiplier"
        raise ConfigError(f"quant.{name}", getattr(quant, name), expected)
    for name in ("multiplier", "shift"):
        wanted = any(name in takes and "output_scale" not in takes for takes in rule.takes)
        there = getattr(quant, name) is not None
        if wanted and not there:
            raise ConfigError(f"quant.{name}", None, f"one, as the rule {quant.rule} takes it beside the other")
        if there and not wanted:
            raise ConfigError(f"quant.{name}", getattr(quant, name), f"null, as the rule {quant.rule} takes none")
    check_numbers(quant)


def check_all_there(name: str, takes: tuple[tuple[str, ...], ...], scales: Mapping[str, Any]) -> None:
    """The three scales are there, of a rule that takes them."""
    if not any("output_scale" in each for each in takes):
        raise ConfigError("quant.shift", None, f"one, as the rule {name} takes it")
    for key, value in scales.items():
        if value is None:
            also = " and quant.shift" if any("shift" in each for each in takes) else ""
            others = "" if len(takes) == 1 else f", or quant.multiplier{also}"
            raise ConfigError(f"quant.{key}", None, f"the scale, as the rule {name} takes all three{others}")
        if key != "filters.scale" and not isinstance(value, int | float):
            raise ConfigError(f"quant.{key}", list(value) if isinstance(value, tuple) else value, "one number")


def check_written(quant: Quant, rule: Rule) -> None:
    """Three scales that are written out give the rule its factors."""
    filters = quant.filters.scale if isinstance(quant.filters.scale, tuple) else (quant.filters.scale,)
    if any(not isinstance(scale, int | float) for scale in filters):
        return
    found = [np.array(scales, np.float32) for scales in ((quant.input.scale,), filters, (quant.output.scale,))]
    try:
        check_scales(found[0], found[1], found[2], rule)
    except ConfigError as error:
        raise error.at({"filter_scale": "quant.filters.scale", "output_scale": "quant.output.scale"}) from error


def check_numbers(quant: Quant) -> None:
    """Multipliers and shifts that are written out lie in their range."""
    rule = quant.kind
    assert rule is not None
    low = LEAST_SHIFT if rule.integer else 0
    for place, value in written("quant.shift", quant.shift):
        if not low <= value <= rule.most_shift:
            expected = f"a whole number from {low} to {rule.most_shift}, as the rule {quant.rule} has it"
            raise ConfigError(place, value, expected)
    for place, value in written("quant.multiplier", quant.multiplier):
        if rule.integer and not isinstance(value, int):
            raise ConfigError(place, value, f"a whole number, as the rule {quant.rule} has it")
        if not rule.integer and not value:
            raise ConfigError(place, value, "a number above 0")


def written(key: str, value: Any) -> list[tuple[str, Any]]:
    """Numbers that are written out, each with its key."""
    if isinstance(value, tuple):
        return [(f"{key}[{place}]", entry) for place, entry in enumerate(value)]
    return [(key, value)] if isinstance(value, int | float) else []


def sums_note(quant: Quant, terms: int, x: np.dtype[Any], w: np.dtype[Any]) -> str:
    """How wide sums without the bias may be, as far as dtypes and zero points say it, beside the accumulator."""
    bound = terms * reach(quant.input, x) * reach(quant.filters, w)
    held, bits = quant.accumulator, bits_needed(-bound, bound)
    need = f"sums of up to {bound:,} need {bits} bits at most, before the bias"
    return f"{need}; the accumulator has {held.bits} ({held.overflow})"


def reach(affine: Affine, dtype: np.dtype[Any]) -> int:
    """How far from the zero point an integer may lie."""
    low, high = integer_range(affine.dtype) if affine.dtype else exact_range(dtype)
    return max(max(high - zero, zero - low) for zero in affine.zero_points)
