"""A run of a single convolution: its tensors come from the sources that its spec names."""

from dataclasses import fields
from functools import partial

from convpipe.errors import ConfigError
from convpipe.graph import lowerings
from convpipe.graph.network import given_tensor, input_tensor, plan_single
from convpipe.graph.plan import Plan
from convpipe.graph.quantities import quantity
from convpipe.graph.spec import Spec, unread_parts
from convpipe.ops import OPERATIONS
from convpipe.ops.kinds.convolving import Convolving, ConvSettings
from convpipe.ops.kinds.operation import Weight
from convpipe.ops.kinds.quantised import QUANTITIES
from convpipe.sources import Request, Source
from convpipe.tensors import Tensor


def operation_class(conv: ConvSettings) -> type[Convolving]:
    """What `conv.operation` names, by default a convolution.

    Raises:
        ConfigError: it names something else.
    """
    name = conv.operation or "conv"
    kind = OPERATIONS.find(name)
    if kind is None or not issubclass(kind, Convolving):
        known = [each for each in OPERATIONS.ours() if issubclass(OPERATIONS.get("", each), Convolving)]
        raise ConfigError("conv.operation", name, f"one of {', '.join(known)}")
    return kind


def operation_of(conv: ConvSettings, **more: object) -> Convolving:
    """The operation of a run's settings."""
    kind = operation_class(conv)
    settings = {**vars(conv), "operation": None, **more}
    return kind(**{entry.name: settings[entry.name] for entry in fields(kind) if entry.name in settings})


def lowering_name(spec: Spec) -> str:
    """What the lowering of a spec is called; nothing of a chain of somebody's own, and where nothing reads it."""
    if "lowering" in unread_parts(spec):
        return ""
    operation = (None if spec.conv is None else spec.conv.operation) or "conv"
    return lowerings.name_of(operation, spec.lowering.stages)


def plan_run(spec: Spec) -> Plan:
    """Plan the single convolution that a spec asks for.

    Raises:
        ConfigError: settings that do not fit together, under the keys their user typed.
    """
    assert spec.conv is not None
    operation = operation_of(spec.conv, bias=spec.bias is not None, quant=spec.quant)
    try:
        return plan_single(
            operation,
            spec.lowering.stages,
            input_tensor(spec.input.signature()),
            partial(sourced, spec),
            spec.lowering.columns,
        )
    except ConfigError as error:
        raise at_conv(in_words_of(error, spec.input, spec.filters), operation) from error


def in_words_of(error: ConfigError, x: Source, w: Source | None = None) -> ConfigError:
    """A complaint whose hint says what to do to an array in the words of the source that it comes from."""
    hint = error.hint.replace("x[None]", x.one_more_axis())
    if w is not None:
        hint = hint.replace("w[None]", w.one_more_axis()).replace("w[:, None], ", "")
    return error if hint == error.hint else type(error)(error.key, error.got, error.expected, hint)


def at_conv(error: ConfigError, operation: Convolving) -> ConfigError:
    """A complaint about a bare name under the key its user typed."""
    own = {entry.name: f"conv.{entry.name}" for entry in fields(ConvSettings)}
    return error.at({**own, **operation.keys})


def sourced(spec: Spec, weight: Weight) -> Tensor:
    """One tensor of a spec's convolution, of the shape that its source states or that is wanted.

    Raises:
        ConfigError: no source, or one that does not fit.
    """
    conv = spec.conv
    assert conv is not None
    source = (
        quantity(spec.quant, weight.role, None)
        if spec.quant and weight.role in QUANTITIES
        else getattr(spec, weight.role)
    )
    if source is None:
        raise ConfigError(weight.role, None, f"a source such as integers, as {conv.operation or 'conv'} starts from it")
    found = source.signature(Request(weight.shape, conv.groups))
    return given_tensor(weight.role, found, weight.axes)
