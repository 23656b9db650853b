"""What a quantised convolution is: how integers stand for real numbers, and how its target makes outputs of sums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from convpipe.errors import ConfigError
from convpipe.fields import Check, choice, field, group, is_whole, judged, number, one_or_several, optional, whole
from convpipe.geometry.columns import ORDERS, Order
from convpipe.ops.arrays.narrowing import BITS_OF, NARROW_OVERFLOWS, bits_range
from convpipe.ops.arrays.overflow import Overflow
from convpipe.ops.arrays.rescaling import BITS, LEAST_SHIFT, RULES, Rule
from convpipe.ops.arrays.shifts import MOST_SHIFT, shift_mode
from convpipe.ops.arrays.thresholds import of_32_bits
from convpipe.tensors import one_for_all

THRESHOLDS = "thresholds"  # the rule that has a table
RULE_NAMES = (*RULES, THRESHOLDS)
ACTIVATIONS = ("none", "relu", "relu6", "relu_n1_to_1")
UPPER = {"relu6": 6.0, "relu_n1_to_1": 1.0}  # the largest real number that stays
NEAREST = ("half_away", "half_even")
LEAST_ZERO, MOST_ZERO = -(2**31), 2**32 - 1  # of int32 and of uint32
SCALE = "The real number that one step stands for: one, or of filters one for each."
ZERO = "The integer that stands for 0."
DTYPE = "Its integers: int4 to int32, of 4 bits in a byte each; null is as the arrays have it."
MULTIPLIER = (
    "Of an integer rule 0 to 2**31 - 1, of a float rule the scale itself: one, or a list of one for each filter, "
    "or a .npy."
)
SHIFT = "Beside an integer multiplier -31 to 30, to the left where positive; of the rule shift 0 to 63, to the right."
TABLE = "Of the rule thresholds: for each filter a list of them, or one list for all, or a .npy (F, T)."
NARROW_OVERFLOW = "What the output's dtype cannot hold: saturate, saturate_symmetric (from -max), wrap, error."
MODE = "Of the rule shift: how what falls off is rounded."
OFFSET = "Of the rule thresholds: what a sum below all of them gives."
STEP = "Of the rule thresholds: what each one that is reached adds."
ACTIVATION = "Which outputs stay: none, relu, relu6, relu_n1_to_1, or [low, high] in output integers."
QUANT = "How its sums become the integers of a target; null leaves them."
EVERY = "When the accumulator's rule counts: at the end, after each step, or after so many products."
PAIRS = "Sums that the accumulator cannot hold: error, wrap, saturate; pairs16 adds products in pairs of 16 bits."


class Numbers(Check):
    """A number, a list of such, perhaps of lists, or a text that says where they are."""

    def __init__(self, check: Check, words: str, axes: int = 1) -> None:
        super().__init__(words)
        self.check, self.axes = check, axes

    def __call__(self, key: str, value: Any) -> Any:
        """Lists as tuples; a text, a source and settings of one as they are."""
        if isinstance(value, list | tuple):
            return self.listed(key, value, self.axes)
        if isinstance(value, str) and value:
            return value
        return value if isinstance(value, Mapping) or hasattr(value, "signature") else self.check(key, value)

    def listed(self, key: str, value: Any, axes: int) -> Any:
        """The numbers of a list."""
        if not value:
            raise ConfigError(key, "an empty list", "at least one number")
        inner = isinstance(value[0], list | tuple)
        if inner and (axes < 2 or any(not isinstance(row, list | tuple) or len(row) != len(value[0]) for row in value)):
            raise ConfigError(key, value, self.words)
        entries = self.listed if inner else lambda place, entry, _: self.check(place, entry)
        return tuple(entries(f"{key}[{place}]", entry, axes - 1) for place, entry in enumerate(value))

    def canonical(self, value: Any) -> Any:
        """One number for a list of equal ones."""
        return value if isinstance(value, str) or self.axes > 1 else one_for_all(value)

    def schema(self) -> dict[str, Any]:
        """Any of these."""
        return {"anyOf": [self.check.schema(), {"type": "array", "minItems": 1}, {"type": ["string", "object"]}]}


def positive(key: str, value: Any) -> float:
    """A scale: a number that float32 holds and that is more than 0."""
    found = number()(key, value)
    with np.errstate(over="ignore"):
        if not 0 < np.float32(found) < np.inf:
            raise positive_number.refused(key, value)
    return float(found)  # an integer may be one that NumPy has no dtype for


positive_number = judged(positive, "a number above 0 that float32 holds", {"type": "number", "exclusiveMinimum": 0})
scales = Numbers(positive_number, "a number above 0, or a list of one for each filter, or the path of a .npy")
numbers = Numbers(number(0, 2**BITS - 1), "a number from 0, or a list of one for each filter, or the path of a .npy")
shifts = Numbers(whole(LEAST_SHIFT, MOST_SHIFT), "a whole number, a list of one for each filter, or the path of a .npy")
tables = Numbers(whole(), "a list of whole numbers, a list for each filter, or the path of a .npy", axes=2)


@dataclass(frozen=True)
class Affine:
    """How integers stand for real numbers: (q - zero_point) * scale."""

    scale: Any = field(optional(scales), None, SCALE)
    zero_point: Any = field(one_or_several(whole(LEAST_ZERO, MOST_ZERO)), 0, ZERO)
    dtype: str | None = field(optional(choice(BITS_OF)), None, DTYPE)

    @property
    def zero_points(self) -> tuple[int, ...]:
        """Its zero point, or those of all filters."""
        return zeros_of(self.zero_point)


def zeros_of(zero_point: Any) -> tuple[int, ...]:
    """One zero point or several, as several."""
    return zero_point if isinstance(zero_point, tuple) else (zero_point,)


def step_of(key: str, value: Any) -> str | int:
    """A word, or a number of products."""
    if value in ("end", "step"):
        return str(value)
    if not is_whole(value, 1):
        raise every.refused(key, value)
    return int(value)


every = judged(
    step_of,
    "end, step, or a whole number from 1",
    {"anyOf": [{"enum": ["end", "step"]}, {"type": "integer", "minimum": 1}]},
)


@dataclass(frozen=True)
class Accumulator:
    """What sums are made in."""

    bits: int = field(whole(2, 64), 32, "How wide it is, two's complement.")
    overflow: str = field(choice(["error", "wrap", "saturate", "pairs16"]), "error", PAIRS)
    every: str | int = field(every, "end", EVERY)
    order: Order = field(choice(ORDERS), ORDERS[0], "In which order products are added up, which saturation can tell.")

    @property
    def limits(self) -> tuple[int, int]:
        """The smallest and the largest sum that it holds."""
        return bits_range(self.bits)

    @property
    def is_plain(self) -> bool:
        """Whether it is no other than a dtype of NumPy, whose rule counts at the end."""
        return self.bits in (32, 64) and self.at_end

    @property
    def at_end(self) -> bool:
        """Whether only whole sums count: so they do where it wraps, whenever it does."""
        return self.overflow != "pairs16" and (self.every == "end" or self.overflow == "wrap")

    @property
    def at_64(self) -> Overflow:
        """What becomes of whole sums that int64 does not hold, from which its own rule makes the same as of them."""
        return "saturate" if self.overflow == "saturate" else "wrap" if self.overflow == "wrap" else "error"

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of an array of such sums."""
        return np.dtype(np.int32 if self.bits <= 32 else np.int64)


def activated(key: str, value: Any) -> str | tuple[int, int]:
    """A word, or two whole numbers, the smaller first."""
    if isinstance(value, list | tuple):
        if len(value) != 2 or not all(map(is_whole, value)) or value[0] > value[1]:
            raise activation_limits.refused(key, value)
        return int(value[0]), int(value[1])
    if value not in ACTIVATIONS:
        raise activation_limits.refused(key, value)
    return str(value)


activation_limits = judged(
    activated,
    f"{', '.join(ACTIVATIONS)}, or [low, high], whole numbers",
    {
        "anyOf": [
            {"enum": list(ACTIVATIONS)},
            {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
        ]
    },
)


@dataclass(frozen=True)
class Quant:
    """How the sums of a convolution become its target's integers."""

    rule: str | None = field(
        optional(choice(RULE_NAMES)), None, "How sums are scaled and rounded; null leaves the sums."
    )
    input: Affine = field(group(Affine), Affine(), "The integers that go in.")
    filters: Affine = field(group(Affine), Affine(), "The integers of the filters.")
    output: Affine = field(group(Affine), Affine(), "The integers that come out.")
    multiplier: Any = field(optional(numbers), None, MULTIPLIER)
    shift: Any = field(optional(shifts), None, SHIFT)
    mode: str = field(shift_mode, "half_up", MODE)
    thresholds: Any = field(optional(tables), None, TABLE)
    offset: int = field(of_32_bits, 0, OFFSET)
    step: int = field(of_32_bits, 1, STEP)
    overflow: str = field(choice(NARROW_OVERFLOWS), "saturate", NARROW_OVERFLOW)
    activation: Any = field(activation_limits, "none", ACTIVATION)
    activation_rounding: str = field(
        choice(NEAREST), "half_away", "How the limits of relu6 and relu_n1_to_1 are rounded."
    )
    accumulator: Accumulator = field(group(Accumulator), Accumulator(), "What sums are made in.")

    def unread(self) -> tuple[str, ...]:
        """What belongs to another rule."""
        found = ("mode",) * (self.rule != "shift")
        return found + ("thresholds", "offset", "step") * (self.rule != THRESHOLDS)

    @property
    def kind(self) -> Rule | None:
        """Its rule, where that scales."""
        return RULES.get(self.rule or "")


# The tensors that a quantised convolution has beside filters and bias: their roles, and the setting of each.
QUANTITIES = {
    "multiplier": ("multiplier",),
    "shift": ("shift",),
    "filter_scale": ("filters", "scale"),
    "thresholds": ("thresholds",),
}


def setting_of(quant: Quant, role: str) -> Any:
    """What the settings have for one of `QUANTITIES`."""
    found: Any = quant
    for name in QUANTITIES[role]:
        found = getattr(found, name)
    return found


def with_setting(quant: Quant, role: str, value: Any) -> Quant:
    """Settings with another value for one of `QUANTITIES`."""
    group, *inner = QUANTITIES[role]
    return replace(quant, **{group: replace(getattr(quant, group), **{inner[0]: value}) if inner else value})


def takes_scales(quant: Quant) -> bool:
    """Whether its rule works with real scales, and not with multiplier and shift."""
    return quant.kind is not None and quant.multiplier is None and quant.shift is None


def quantities_of(quant: Quant) -> tuple[str, ...]:
    """The roles of those that its rule reads; multipliers and shifts of an integer rule may follow from scales."""
    if quant.rule == THRESHOLDS:
        return ("thresholds",)
    if quant.kind is None:
        return ()
    if takes_scales(quant):
        return ("multiplier", "shift") if quant.kind.integer else ("filter_scale",)
    return tuple(role for role in ("multiplier", "shift") if setting_of(quant, role) is not None)
