"""A run of a single convolution: its tensors come from the sources that its spec names."""

from dataclasses import dataclass, fields, replace

from convpipe.errors import ConfigError, GeometryError
from convpipe.graph.network import input_tensor, plan_single
from convpipe.graph.plan import Plan
from convpipe.graph.spec import Spec
from convpipe.ops import OPERATIONS
from convpipe.ops.kinds.convolving import Convolving, ConvSettings
from convpipe.ops.kinds.operation import Weight
from convpipe.sources import FilterSource
from convpipe.tensors import Signature, Sizes, Tensor


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


def plan_run(spec: Spec) -> Plan:
    """Plan the single convolution that a spec asks for.

    Raises:
        ConfigError: settings that do not fit together, under the keys their user typed.
    """
    assert spec.conv is not None
    operation = operation_of(spec.conv, bias=spec.bias is not None)
    try:
        return plan_single(operation, spec.lowering.stages, input_tensor(spec.input.signature()), Sourced(spec).give)
    except ConfigError as error:
        raise at_conv(error, operation) from error


def at_conv(error: ConfigError, operation: Convolving) -> ConfigError:
    """A complaint about a bare name under the key its user typed."""
    own = {entry.name: f"conv.{entry.name}" for entry in fields(ConvSettings)}
    return error.at({**own, **operation.keys})


@dataclass(frozen=True)
class Sourced:
    """Gives the tensors of a spec's convolution."""

    spec: Spec

    def give(self, weight: Weight) -> Tensor:
        """One tensor, of the shape that its source states or that is wanted.

        Raises:
            ConfigError: no source, or one that does not fit.
        """
        source = getattr(self.spec, weight.role)
        if source is None:
            operation = self.spec.conv and self.spec.conv.operation
            raise ConfigError(weight.role, None, f"a source such as integers, as {operation or 'conv'} starts from it")
        if weight.role == "filters":
            assert self.spec.conv is not None
            found = filters_signature(source, weight, self.spec.conv.groups)
        else:
            found = source.signature(known(weight))
        return Tensor(weight.role, found.shape, found.dtype, weight.axes)


def known(weight: Weight) -> Sizes:
    """A shape that follows from the sizes of others."""
    return tuple(size for size in weight.shape if size is not None)


def filters_signature(source: FilterSource, weight: Weight, groups: int) -> Signature:
    """The signature of a source's filters, (F, C/G, kernel...), or (C, F/G, kernel...) of a transposed convolution.

    There a source that is told a count has that many feature maps.
    """
    first, depth, *kernel = weight.shape
    count: int | None = getattr(source, "count", None)
    if depth is not None or count is None:
        channels = first if depth is None else depth * groups
        assert channels is not None
        return source.signature(channels=channels, groups=groups, rank=len(kernel))
    if count % groups:
        raise GeometryError("groups", groups, f"a divisor of the {count} filters")
    forward = source.signature(channels=count, groups=groups, rank=len(kernel))
    assert first is not None
    return replace(forward, shape=(first, *forward.shape[1:]))
