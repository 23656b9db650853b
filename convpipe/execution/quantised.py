"""Quantised convolution as a Python function: integers in, the integers of a target out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convpipe.errors import ConfigError, ConvpipeError, ValueRangeError
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
    multiplier: ArrayLike | None = None,
    shift: ArrayLike | None = None,
    input_scale: float | None = None,
    filter_scale: ArrayLike | None = None,
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
    [[[[14]]]]
    """
    arguments = locals()
    settings = read_settings({**arguments, "dtype": None, "overflow": "error"})
    arrays = given(x, w, bias)
    plan, arrays = planned(settings, quant_of(arguments), arrays)
    try:
        return channels_first(pipeline.output(plan, arrays))
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
            signature = source.signature(Request(weight.shape))
            arrays[weight.role] = source.make(signature, stream(0, weight.role))
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
