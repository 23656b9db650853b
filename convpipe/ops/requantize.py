"""Exact sums to a target's integers: scaled by a rule of `ops.arrays.rescaling`, moved to a zero point, narrowed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convpipe.errors import ConfigError, GeometryError, ValueRangeError
from convpipe.geometry.axes import axis_of
from convpipe.ops import (
    Array,
    Convolution,
    Form,
    Made,
    Operation,
    Tensor,
    choice,
    field,
    like,
    optional,
    whole,
)
from convpipe.ops.arrays.arguments import as_numeric
from convpipe.ops.arrays.narrowing import (
    BITS_OF,
    NARROW_OVERFLOWS,
    Counts,
    bits_needed,
    bits_range,
    limits_in,
    narrowed_to,
    overflow_limits,
    storage,
)
from convpipe.ops.arrays.rescaling import (
    ABSENT,
    BITS,
    LEAST_SHIFT,
    RULES,
    SCALES,
    Rule,
    Scaling,
    check_scales,
    multiplied,
)
from convpipe.ops.arrays.shifts import shift_mode, shifts_of, whole_cells
from convpipe.ops.arrays.sums import SLACK
from convpipe.ops.arrays.thresholds import of_32_bits, thresholds
from convpipe.ops.kinds.quantised import (
    LEAST_ZERO,
    MODE,
    MOST_ZERO,
    MULTIPLIER,
    NARROW_OVERFLOW,
    OFFSET,
    RULE_NAMES,
    SHIFT,
    STEP,
    TABLE,
    THRESHOLDS,
    ZERO,
    numbers,
    positive_number,
    scales,
    shifts,
    tables,
    takes_scales,
)
from convpipe.ops.kinds.rule_forms import requantizing

NUMBERS = ("multiplier", "shift", *SCALES, "thresholds")
AXIS = "Along which axis several numbers go, one for each channel: -1 is the last; of images (N, C, H, W) they are 1."
TILE = 1 << 14  # cells at a time: what a rule makes on the way stays in the cache


def requantize(
    acc: ArrayLike,
    *,
    rule: str,
    multiplier: ArrayLike | None = None,
    shift: ArrayLike | None = None,
    input_scale: float | None = None,
    filter_scale: ArrayLike | None = None,
    output_scale: float | None = None,
    zero_point: int = 0,
    dtype: str = "int8",
    low: int | None = None,
    high: int | None = None,
    mode: str = "half_up",
    overflow: str = "saturate",
) -> Array:
    """Bring exact sums to a target's integers, as it does.

    Args:
        acc: (..., F), integers: the sums, with the bias.
        rule: one of `ops.arrays.rescaling.RULES`: ``double``, ``double_up``, ``single``, ``reduced16``, ``float``,
            ``float_reciprocal``, ``float_offset``, ``float64_product`` or ``shift``.
        multiplier, shift: of an integer rule as `quantize_multiplier` gives them; of a float rule the multiplier is
            the scale as a whole; of ``shift`` there is the shift alone, to the right. One, or one per channel.
        input_scale, filter_scale, output_scale: the three real scales instead, rounded to float32.
        zero_point: what is added once the sums are scaled.
        dtype: int4 to uint32; integers of 4 bits come in a byte each.
        low, high: a range within it, such as `activation_range` gives.
        mode: of ``shift``: how what falls off is rounded, see `round_shift`.
        overflow: what becomes of a value that the dtype does not hold: ``saturate``, ``saturate_symmetric`` (from
            -max), ``wrap`` or ``error``. It comes before `low` and `high`.

    Returns:
        An array of the shape of `acc`.

    Raises:
        ConfigError: arguments that do not go together, or out of their range.
        ValueRangeError: a sum that the rule is not for, or with ``error`` a value that does not fit.

    Source:
        LiteRT, CMSIS-NN, XNNPACK, onnxruntime, PyTorch, ONNX and TOSA, each as `RULES` says.

    >>> requantize([-1, 1, 5], rule="double", multiplier=1 << 30, shift=-1)
    array([0, 1, 2], dtype=int8)
    >>> requantize([-1, 1, 5], rule="float", multiplier=0.25)
    array([0, 0, 1], dtype=int8)
    """
    sums = whole_cells("acc", acc)
    kind, dtype = RULES[choice(RULES)("rule", rule)], choice(BITS_OF)("dtype", dtype)
    zero = whole(*integer_span(dtype))("zero_point", zero_point)
    scaling = scaling_of(
        kind,
        shift_mode("mode", mode),
        {
            "multiplier": multiplier,
            "shift": shift,
            "input_scale": input_scale,
            "filter_scale": filter_scale,
            "output_scale": output_scale,
        },
        sums.shape[-1],
    )
    ends = [optional(whole())(name, value) for name, value in (("low", low), ("high", high))]
    least, most = limits_in(dtype, *ends)
    made, _ = rescaled(sums, kind, scaling, zero, dtype, choice(NARROW_OVERFLOWS)("overflow", overflow))
    return np.clip(made, least, most)


def integer_span(dtype: str) -> tuple[int, int]:
    """What a zero point may be."""
    return overflow_limits(dtype, "saturate")


def scaling_of(rule: Rule, mode: str, given: dict[str, Any], channels: int) -> Scaling:
    """What a rule works with, checked: multipliers of three scales where those are given.

    Raises:
        ConfigError: too little, too much, or numbers out of their range.
    """
    there = [name for name, value in given.items() if value is not None]
    check_taken(rule, there, given)
    if "output_scale" in there:
        sx, sw, sy = (scale_of(name, given[name], 1 if name != "filter_scale" else channels) for name in SCALES)
        check_scales(sx, sw, sy, rule)
        return Scaling(*multiplied(sx, sw, sy)) if rule.integer else Scaling(ABSENT, ABSENT, sx, sw, sy)
    shift = ABSENT if given["shift"] is None else shift_of(rule, given["shift"], channels)
    if given["multiplier"] is None:
        return Scaling(shift=shift, mode=mode)
    if rule.integer:
        return Scaling(
            shifts_of("multiplier", one_each("multiplier", given["multiplier"], channels), 0, 2**BITS - 1), shift
        )
    return Scaling(scale_of("multiplier", given["multiplier"], channels))


def check_taken(rule: Rule, there: list[str], given: dict[str, Any]) -> None:
    """The numbers that are given are one of the sets that a rule takes.

    Raises:
        ConfigError: one too many, or one too few.
    """
    if set(there) in map(set, rule.takes):
        return
    ways = " or ".join(" and ".join(names) for names in rule.takes)
    nearest = max(rule.takes, key=lambda names: len({*names} & {*there}))
    odd = next((name for name in there if name not in nearest), None)
    if odd is not None:
        raise ConfigError(odd, given[odd], f"nothing, as the rule takes {ways}")
    missing = next(name for name in nearest if name not in there)
    raise ConfigError(missing, None, f"a number, as the rule takes {ways}")


def shift_of(rule: Rule, shift: ArrayLike, channels: int) -> Array:
    """The shift of a rule, in its range."""
    return shifts_of("shift", one_each("shift", shift, channels), LEAST_SHIFT if rule.integer else 0, rule.most_shift)


def scale_of(name: str, value: ArrayLike, channels: int) -> Array:
    """Scales as float32, each above 0.

    Raises:
        ConfigError: others.
    """
    with np.errstate(over="ignore"):
        found = one_each(name, value, channels).astype(np.float32)
    wrong = found[~((found > 0) & (found < np.inf))]
    if wrong.size:
        raise ConfigError(name, wrong[0].item(), "numbers above 0 that float32 holds")
    return found


def one_each(name: str, values: ArrayLike, channels: int) -> Array:
    """One number for all channels, or one for each: of the shape (1,) or (F,).

    Raises:
        ConfigError: another number of them.
    """
    found = np.atleast_1d(as_numeric(name, values))
    if found.shape not in ((1,), (channels,)):
        raise ConfigError(
            name, found.shape, "one number" if channels == 1 else f"one number, or {channels}, one per channel"
        )
    return found


def rescaled(
    acc: Array, rule: Rule, scaling: Scaling, zero_point: int, dtype: str, overflow: str
) -> tuple[Array, Counts]:
    """Scaled, moved and narrowed sums, tile by tile, and what that did.

    Raises:
        ValueRangeError: a sum that the rule is not for, or with ``error`` a value that does not fit.
    """
    low, high = ends(acc)
    check_sums(low, high, rule)
    planes = np.moveaxis(acc, -1, 0)
    made = np.empty(planes.shape, storage(dtype))
    least, most = overflow_limits(dtype, overflow)
    counts = Counts(bits=bits_needed(low, high))
    shape = (len(planes), prod(planes.shape[1:]))
    rows, results = planes.reshape(shape), made.reshape(shape)
    for channels, cells in tiles(*rows.shape):
        own = of_channels(scaling, channels)
        tile = rows[channels, cells].astype(np.int64)
        values = rule.run(tile, own, zero_point)
        below, above, ties = map(count, (values < least, values > most, rule.ties(tile, own)))
        counts = counts.joined(Counts(below, above, ties))
        results[channels, cells] = narrowed_to(values, dtype, overflow) if below or above else values
    return np.moveaxis(made, 0, -1), counts


def check_sums(low: int, high: int, rule: Rule) -> None:
    """All sums are so narrow as a rule takes them.

    Raises:
        ValueRangeError: the smallest or the largest is not.
    """
    least, most = bits_range(rule.bits)
    if least <= low and high <= most:
        return
    name = next(name for name, each in RULES.items() if each is rule)
    what = f"the sum {low if low < least else high} does not fit the {rule.bits} bits that the rule {name} takes"
    advice = "an accumulator of so many bits, which wraps or saturates, makes others of them"
    raise ValueRangeError(f"{what} ({least} to {most}); {advice}", "rule", name)


def tiles(channels: int, cells: int) -> Iterator[tuple[slice, slice]]:
    """Parts of planes of about as many cells as `TILE`."""
    width = min(max(cells, 1), TILE)
    height = max(1, TILE // width)
    for first in range(0, channels, height):
        for start in range(0, cells, width):
            yield slice(first, first + height), slice(start, start + width)


def of_channels(scaling: Scaling, channels: slice) -> Scaling:
    """The same of some channels, as columns."""

    def cut(values: Array) -> Array:
        return values if len(values) <= 1 else values[channels, None]

    return Scaling(
        cut(scaling.multiplier),
        cut(scaling.shift),
        scaling.input_scale,
        cut(scaling.filter_scale),
        scaling.output_scale,
        scaling.mode,
    )


class Requantize(Operation):
    """Exact sums to a target's integers; of a quantised convolution those of its output.

    As a layer, or as a stage of a list of one's own, it has its numbers as settings; of a convolution that is
    quantised they are tensors: multiplier and shift, or the scales of the filters, or a table of thresholds.
    """

    rule: str = field(choice(RULE_NAMES), says="How sums are scaled and rounded.")
    multiplier: Any = field(optional(numbers), None, MULTIPLIER)
    shift: Any = field(optional(shifts), None, SHIFT)
    input_scale: float | None = field(optional(positive_number), None, "The real number that one step of the input is.")
    filter_scale: Any = field(optional(scales), None, "The same of the filters, one or one for each.")
    output_scale: float | None = field(optional(positive_number), None, "The same of the output.")
    thresholds: Any = field(optional(tables), None, TABLE)
    offset: int = field(of_32_bits, 0, OFFSET)
    step: int = field(of_32_bits, 1, STEP)
    mode: str = field(shift_mode, "half_up", MODE)
    zero_point: int = field(whole(LEAST_ZERO, MOST_ZERO), 0, ZERO)
    dtype: str = field(choice(BITS_OF), "int8", "The integers that come out; those of 4 bits lie in a byte each.")
    overflow: str = field(choice(NARROW_OVERFLOWS), "saturate", NARROW_OVERFLOW)
    axis: int = field(whole(), -1, AXIS)

    may_read = ("multiplier", "shift", "filter_scale", "thresholds")
    counts = True
    integers = True
    ruled_by = "quant"

    @classmethod
    def of(cls, conv: Convolution) -> dict[str, Any]:
        """What the convolution says of its output; what its filters have comes as tensors."""
        quant = conv.quant
        if quant is None or quant.rule is None:
            return {}
        scales = {}
        if takes_scales(quant) and not RULES[quant.rule].integer:
            scales = {"input_scale": quant.input.scale, "output_scale": quant.output.scale}
        own = {name: getattr(quant, name) for name in ("rule", "offset", "step", "mode", "overflow")}
        return {**own, **scales, "zero_point": quant.output.zero_point, "dtype": conv.output_dtype}

    @classmethod
    def left_out(cls, conv: Convolution) -> bool:
        """Of a convolution that gives its sums."""
        return conv.quant is not None and conv.quant.rule is None

    def plan(self, x: Tensor, **sides: Tensor) -> Made:
        """A tensor like `x`, in the output's integers."""
        if x.dtype.kind == "f":
            raise GeometryError("x", x.dtype, "integers")
        self.check_own(x, sides)
        for role, tensor in sides.items():
            if tensor.shape[0] not in (1, x.shape[-1]):
                raise GeometryError(role, tensor.shape, f"one, or one for each of {x.shape[-1]} filters")
        return like(x, dtype=storage(self.dtype), workspace=16 * 8 * TILE + SLACK)

    def check_own(self, x: Tensor, sides: Mapping[str, Tensor]) -> None:
        """Numbers of its own are what the rule takes, one or one for each channel.

        Raises:
            ConfigError: they are not.
        """
        axis = axis_of(self.axis, len(x.shape))
        for name, value in ((name, getattr(self, name)) for name in NUMBERS):
            if isinstance(value, str | Mapping):
                raise ConfigError(name, value, "numbers, as those of a convolution alone may lie in a file")
            if isinstance(value, tuple) and "C" in x.axes and x.axes[axis] != "C":
                raise ConfigError("axis", self.axis, f"{x.axes.index('C')}, the channels, as there are several numbers")
        if self.rule == THRESHOLDS and self.thresholds is None and "thresholds" not in sides:
            raise ConfigError("thresholds", None, "a table of thresholds, as the rule takes it")
        if not sides and self.rule != THRESHOLDS:
            scaling_of(RULES[self.rule], self.mode, {name: getattr(self, name) for name in NUMBERS[:-1]}, x.shape[axis])

    def form(self, x: Tensor, **sides: Tensor) -> Form:
        """Each step of the rule, and what becomes of what the dtype does not hold."""
        given = {name: plain(name, getattr(self, name)) for name in NUMBERS if getattr(self, name) is not None}
        given = {**given, **sides}
        if self.rule == THRESHOLDS:
            table = given["thresholds"]
            rows = (table,) if isinstance(table, tuple) and not isinstance(table[0], tuple) else table
            given = {"thresholds": rows, "offset": self.offset, "step": self.step}
        elif RULES[self.rule].integer and "output_scale" in given:
            multiplier, shift = multiplied(*(np.atleast_1d(np.float32(given[name])) for name in SCALES))
            given = {"multiplier": tuple(multiplier.tolist()), "shift": tuple(shift.tolist())}
        return requantizing(x, self.rule, self.mode, given, self.zero_point, self.dtype, self.overflow, self.axis)

    def run(self, x: Array, **sides: Array) -> Array:
        """`rescaled`, without its counts."""
        return self.run_counted(x, **sides)[0]

    def run_counted(self, x: Array, **sides: Array) -> tuple[Array, Counts]:
        """The output, and what rounding and narrowing did.

        Raises:
            ConfigError: numbers of the filters that are out of their range.
            ValueRangeError: a sum that the rule is not for, or a value that does not fit.
        """
        given = {**{name: getattr(self, name) for name in NUMBERS}, **sides}
        table = given.pop("thresholds")
        planes = np.moveaxis(x, self.axis, -1)
        if self.rule == THRESHOLDS:
            made, counts = self.levels(planes, table)
        else:
            scaling = scaling_of(RULES[self.rule], self.mode, given, planes.shape[-1])
            made, counts = rescaled(planes, RULES[self.rule], scaling, self.zero_point, self.dtype, self.overflow)
        return np.moveaxis(made, -1, self.axis), counts

    def levels(self, x: Array, table: ArrayLike) -> tuple[Array, Counts]:
        """How many thresholds each sum has reached, narrowed."""
        found = thresholds(x, table, offset=self.offset, step=self.step) + self.zero_point
        low, high = overflow_limits(self.dtype, self.overflow)
        counts = Counts(count(found < low), count(found > high), 0, bits_needed(*ends(x)))
        return narrowed_to(found, self.dtype, self.overflow), counts


def count(cells: Array) -> int:
    """How many are true."""
    return int(np.count_nonzero(cells))


def plain(name: str, value: Any) -> Any:
    """A setting's number, or its numbers as a tuple; scales as float32 has them."""
    if isinstance(value, tuple):
        return tuple(plain(name, each) for each in value)
    return np.float32(value).item() if name in SCALES else value


def ends(values: Array) -> tuple[int, int]:
    """The smallest and the largest of some integers; 0 of none."""
    return (int(values.min()), int(values.max())) if values.size else (0, 0)
