"""Quantised convolution as a Python function: integers in, the integers of a target out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convpipe.errors import ConfigError, ConvpipeError, ValueRangeError, did_you_mean
from convpipe.execution import pipeline
from convpipe.execution.functions import given, plan_of, read_settings
from convpipe.fields import choice, optional, read, whole
from convpipe.geometry.axes import Padding, PerAxis
from convpipe.graph import lowerings
from convpipe.graph.plan import Plan
from convpipe.graph.quantities import quantity
from convpipe.graph.single import operation_of
from convpipe.ops.arrays.narrowing import BITS_OF, limits_in, storage
from convpipe.ops.kinds.convolving import ConvSettings
from convpipe.ops.kinds.operation import Weight
from convpipe.ops.kinds.quantised import QUANTITIES, Quant
from convpipe.ops.kinds.suiting import check_cells
from convpipe.ops.transpose import channels_first
from convpipe.sources import Request, stream
from convpipe.tensors import Array, Tensor

PerFilter = ArrayLike | None  # one number, or one for each filter

# What the arguments are called in a config, from `quant` on.
KEYS = {
    "input_scale": "input.scale",
    "filter_scale": "filters.scale",
    "output_scale": "output.scale",
    "input_zero_point": "input.zero_point",
    "filter_zero_point": "filters.zero_point",
    "output_zero_point": "output.zero_point",
    "dtype": "output.dtype",
    "input_dtype": "input.dtype",
    "filter_dtype": "filters.dtype",
}
ARRAYS = {"input.dtype": "x", "filters.dtype": "w", "bias.dtype": "bias"}
ITSELF = ("rule", "multiplier", "shift", "mode", "thresholds", "offset", "step", "overflow", "accumulator")


def conv_quantized(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    rule: str | None,
    multiplier: PerFilter = None,
    shift: PerFilter = None,
    input_scale: float | None = None,
    filter_scale: PerFilter = None,
    output_scale: float | None = None,
    input_zero_point: int = 0,
    filter_zero_point: ArrayLike = 0,
    output_zero_point: int = 0,
    dtype: str = "int8",
    input_dtype: str | None = None,
    filter_dtype: str | None = None,
    low: int | None = None,
    high: int | None = None,
    accumulator: Mapping[str, Any] | None = None,
    mode: str = "half_up",
    thresholds: ArrayLike | None = None,
    offset: int = 0,
    step: int = 1,
    overflow: str = "saturate",
    stride: PerAxis = 1,
    pad: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Array:
    """Convolve integers as a target does, exactly: through its accumulator, its rule and its range.

    Args:
        x: (N, C, H, W), integers, or with one or three spatial axes. Padding is `input_zero_point`.
        w: (F, C/G, kh, kw), likewise.
        bias: (F,), integers: in steps of input_scale * filter_scale.
        rule, multiplier, shift, input_scale, filter_scale, output_scale, mode, overflow: as in `requantize`; None
            gives the sums. ``thresholds`` takes `thresholds`, `offset` and `step`, as the function of that name.
        input_zero_point, output_zero_point: the integers that stand for 0; `filter_zero_point` one, or one a filter.
        dtype: of the result, int4 to int32.
        input_dtype, filter_dtype: what `x` and `w` hold, where that is not the dtype of the array: int4 or uint4.
        low, high: a range within it, such as `activation_range` gives.
        accumulator: its ``bits``, ``overflow``, ``every`` and ``order``, as in `quant.accumulator`; by default 32
            bits, and a sum that they do not hold is an error.
        stride, pad, dilation, groups: as in `conv`.

    Returns:
        (N, F, out_h, out_w); with ``rule=None`` int32, or int64 of an accumulator of more bits.

    Raises:
        ConfigError: arguments that do not go together, named.
        ValueRangeError: a sum that the accumulator does not hold, or that the rule is not for.

    >>> x, w = np.array([[[[10, -3], [5, 7]]]], np.int8), np.array([[[[2, 1], [-1, 3]]]], np.int8)
    >>> conv_quantized(x, w, [4], rule="double", multiplier=1 << 30, shift=-1, input_zero_point=-3).tolist()
    [[[[13]]]]
    """
    plan, arrays = planned_from(locals())
    with in_words_of_arguments():
        return channels_first(pipeline.output(plan, arrays))


def stages_quantized(x: ArrayLike, w: ArrayLike, bias: ArrayLike | None = None, **settings: Any) -> dict[str, Array]:
    """Every stage of a quantised convolution of arrays in hand: what each makes, in order, by the stage's name.

    Args:
        x, w, bias, settings: as in `conv_quantized`.

    Returns:
        Multiplier and shift, or filter_scale, or thresholds, as the rule works with them; then of a convolution with
        a bias and zero points pad, im2col, center, fil2col, center_filters, matmul, add_bias, requantize, clamp, and
        reshape (N, out_h, out_w, F). Nobody shares their memory.

    Raises:
        ConfigError, ValueRangeError: as `conv_quantized`.

    >>> x, w = np.array([[[[10, -3], [5, 7]]]], np.int8), np.array([[[[2, 1], [-1, 3]]]], np.int8)
    >>> made = stages_quantized(x, w, [4], rule="double", multiplier=1 << 30, shift=-1, input_zero_point=-3)
    >>> made["center"].tolist(), made["matmul"].tolist(), made["add_bias"].tolist(), made["requantize"].tolist()
    ([[13, 0, 8, 10]], [[48]], [[52]], [[13]])
    """
    known = signature(conv_quantized).parameters
    for name in settings:
        if name not in known:
            raise ConfigError(name, settings[name], f"one of {', '.join(known)}", did_you_mean(name, known))
    usual = {name: each.default for name, each in known.items() if each.default is not each.empty}
    plan, arrays = planned_from({**usual, "rule": None, **settings, "x": x, "w": w, "bias": bias})
    numbers = {role: arrays[role].copy() for role in QUANTITIES if role in arrays}
    with in_words_of_arguments():
        return numbers | {result.step.name: result.array.copy() for result in pipeline.run(plan, arrays)}


def planned_from(arguments: Mapping[str, Any]) -> tuple[Plan, dict[str, Array]]:
    """The plan of what the arguments of `conv_quantized` say, and all arrays that it starts from.

    Raises:
        ConfigError: arguments that do not go together.
    """
    settings = read_settings({**arguments, "dtype": None, "overflow": "error"})
    arrays = given(arguments["x"], arguments["w"], arguments["bias"])
    return planned(settings, quant_of(arguments), arrays)


@contextmanager
def in_words_of_arguments() -> Iterator[None]:
    """Complaints of stages under the names of the arguments."""
    try:
        yield
    except ConfigError as error:
        raise as_argument(error) from error


def as_argument(error: ConfigError) -> ConvpipeError:
    """A complaint of a stage in the words of the arguments: of a sum that does not fit as what it was."""
    cause = error.__cause__
    if isinstance(cause, ValueRangeError):
        held = error.key.startswith("quant.accumulator")
        return ValueRangeError(cause.under("accumulator") if held else str(cause))
    names = {**{f"quant.{key}": name for name, key in KEYS.items()}, **ARRAYS}
    key = names.get(error.key, error.key.removeprefix("quant."))
    return type(error)(key, error.got, error.expected.replace("quant.", ""), error.hint)


def quant_of(arguments: Mapping[str, Any]) -> Quant:
    """The arguments as settings, checked.

    Raises:
        ConfigError: an illegal one, under the name that it has as an argument.
    """
    found: dict[str, Any] = {name: plain(arguments[name]) for name in ITSELF}
    for name, key in KEYS.items():
        group, _, setting = key.partition(".")
        found.setdefault(group, {})[setting] = plain(arguments[name])
    low, high = arguments["low"], arguments["high"]
    if low is not None or high is not None:
        ends = [optional(whole())(name, arguments[name]) for name in ("low", "high")]
        found["activation"] = list(limits_in(choice(BITS_OF)("dtype", arguments["dtype"]), *ends))
    try:
        return read(Quant, "", {name: value for name, value in found.items() if value is not None})
    except ConfigError as error:
        raise error.at({key: name for name, key in KEYS.items()}) from error


def plain(value: Any) -> Any:
    """An argument as a config has it."""
    if value is None or isinstance(value, str | int | float | Mapping):
        return value
    return [plain(each) for each in value] if isinstance(value, list | tuple) else np.asarray(value).tolist()


def planned(settings: ConvSettings, quant: Quant, arrays: dict[str, Array]) -> tuple[Plan, dict[str, Array]]:
    """The plan of a quantised convolution of arrays in hand, and these with the numbers that it works with.

    Raises:
        ConfigError: arrays that do not fit.
    """
    arrays = dict(arrays)

    def give(weight: Weight) -> Tensor:
        if weight.role in QUANTITIES:
            source = quantity(quant, weight.role, None)
            wanted = source.signature(Request(weight.shape))
            arrays[weight.role] = source.make(wanted, stream(0, weight.role))
        array = arrays[weight.role]
        return Tensor(weight.role, array.shape, array.dtype, weight.axes)

    for role, affine, argument in (("input", quant.input, "input_dtype"), ("filters", quant.filters, "filter_dtype")):
        if affine.dtype is not None and arrays[role].dtype.kind != "f":
            check_cells(ARRAYS[f"{role}.dtype"], arrays[role], affine.dtype, argument)
            arrays[role] = arrays[role].astype(storage(affine.dtype), copy=False)
    operation = operation_of(settings, bias="bias" in arrays, quant=quant)
    try:
        return plan_of(operation, lowerings.chain("conv", lowerings.QUANTIZED), arrays["input"], give), arrays
    except ConfigError as error:
        raise as_argument(error) from error
