"""Exact sums to a target's integers: scaled by a rule of `ops.arrays.rescaling`, moved to a zero point, narrowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convpipe.errors import ConfigError, GeometryError
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
from convpipe.ops.arrays.narrowing import (
    BITS_OF,
    NARROW_OVERFLOWS,
    Counts,
    bits_needed,
    integer_range,
    limits_in,
    narrowed_to,
    overflow_limits,
    storage,
)
from convpipe.ops.arrays.rescaling import (
    RULES,
    SCALES,
    multiplied,
)
from convpipe.ops.arrays.scaled_sums import TILE, count, ends, rescaled, scaling_of
from convpipe.ops.arrays.shifts import shift_mode, whole_cells
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
    zero = whole(*integer_range(dtype))("zero_point", zero_point)
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
    limits = [optional(whole())(name, value) for name, value in (("low", low), ("high", high))]
    least, most = limits_in(dtype, *limits)
    made, _ = rescaled(sums, kind, scaling, zero, dtype, choice(NARROW_OVERFLOWS)("overflow", overflow))
    return np.clip(made, least, most)


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


def plain(name: str, value: Any) -> Any:
    """A setting's number, or its numbers as a tuple; scales as float32 has them."""
    if isinstance(value, tuple):
        return tuple(plain(name, each) for each in value)
    return np.float32(value).item() if name in SCALES else value
