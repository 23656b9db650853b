"""Convolution layers, forward and transposed: expanded to the stages of a lowering."""

from __future__ import annotations

from dataclasses import dataclass, fields as dataclass_fields, replace
from typing import Any

from convpipe import ops
from convpipe.errors import ConfigError
from convpipe.fields import field, one_or_several, optional, several, text, whole
from convpipe.geometry import AXES
from convpipe.graph.step import Step
from convpipe.layers.layer import Reading, Surroundings
from convpipe.lowerings.settings import ConvSettings
from convpipe.tensors import Tensor, Wanted


def bias_name(key: str, value: Any) -> bool | str:
    """False for no bias, true for one by its usual name, or its name."""
    return value if isinstance(value, bool) else str(text(key, value))


def weigh_bias(around: Surroundings, bias: bool | str, size: int) -> tuple[Tensor, ...]:
    """A layer's bias, of that many values, if it has one."""
    return (around.weigh("bias", bias if isinstance(bias, str) else None, (size,)),) if bias else ()


@dataclass(frozen=True, kw_only=True)
class ConvLayer(Reading, ConvSettings):
    """A convolution: pad ... reshape under the layer's name, and the channels put first again."""

    filters: int | None = field(optional(whole(1)), None)
    kernel: Any = field(optional(one_or_several(whole(1))), None)
    weights: str | None = field(optional(text), None)
    bias: bool | str = field(bias_name, True)
    stages: tuple[str, ...] | None = field(optional(several(text)), None)

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """Those of its own stages, or of the run's lowering."""
        x = around.only
        w = around.weigh("filters", self.weights, self.wanted(x.shape[1], len(x.shape) - 2))
        bias = weigh_bias(around, self.bias, self.maps(w))
        chain = around.convolve(x, w, bias[0] if bias else None, self.settings, self.stages)
        roles = zip(("input", "filters", "bias"), (x, w, *bias), strict=False)
        names = {role: tensor.name for role, tensor in roles}
        inner = tuple(under(around.name, step, names) for step in chain)
        return (*inner, channels_first(around.name, inner[-1].makes))

    def wanted(self, channels: int, rank: int) -> Wanted:
        """The filters' shape (F, C/G, kernel), as far as the layer states it."""
        return (self.filters, per_group("input channels", channels, self.groups), *self.kernel_sizes(rank))

    def maps(self, w: Tensor) -> int:
        """How many feature maps the layer makes with these filters."""
        return w.shape[0]

    def kernel_sizes(self, rank: int) -> Wanted:
        """The kernel's size along each axis, None where the layer does not state it."""
        kernel = self.kernel if isinstance(self.kernel, tuple) else (self.kernel,) * rank
        if len(kernel) != rank:
            raise ConfigError("kernel", list(kernel), f"one number, or {rank}")
        return kernel

    @property
    def settings(self) -> ConvSettings:
        """The part that any convolution has."""
        if self.operation is not None:
            raise ConfigError("operation", self.operation, "nothing, as op says what the layer does")
        return ConvSettings(**{entry.name: getattr(self, entry.name) for entry in dataclass_fields(ConvSettings)})


@dataclass(frozen=True, kw_only=True)
class ConvTransposeLayer(ConvLayer):
    """A transposed convolution: rows ... crop under the layer's name, whatever the run's lowering."""

    def wanted(self, channels: int, rank: int) -> Wanted:
        """The filters' shape (C, F/G, kernel), as far as the layer states it."""
        depth = None if self.filters is None else per_group("filters", self.filters, self.groups)
        return (channels, depth, *self.kernel_sizes(rank))

    def maps(self, w: Tensor) -> int:
        """How many feature maps the layer makes with these filters."""
        return w.shape[1] * self.groups

    @property
    def settings(self) -> ConvSettings:
        """The part that any convolution has."""
        return replace(super().settings, operation="conv_transpose")


def per_group(what: str, count: int, groups: int) -> int:
    """How many channels or filters each group has."""
    if count % groups:
        raise ConfigError("groups", groups, f"a divisor of the {count} {what}")
    return count // groups


def under(layer: str, step: Step, names: dict[str, str]) -> Step:
    """A step of a lowering as a step of a layer: ``im2col`` as ``conv1/im2col``, its tensors likewise."""
    needs = tuple(names.get(name, f"{layer}/{name}") for name in step.needs)
    made = replace(step.makes, name=f"{layer}/{step.makes.name}")
    return replace(step, name=f"{layer}/{step.name}", needs=needs, makes=made)


def channels_first(layer: str, feature_map: Tensor) -> Step:
    """(N, out_h, out_w, F) as (N, F, out_h, out_w), the order in which the next layer reads it: a view."""
    shape = (feature_map.shape[0], feature_map.shape[-1], *feature_map.shape[1:-1])
    made = Tensor(layer, shape, feature_map.dtype, ("N", "C", *AXES[len(shape) - 2]))
    return Step(f"{layer}/transpose", "transpose", (feature_map.name,), made, ops.channels_first)
