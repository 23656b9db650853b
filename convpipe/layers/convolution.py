"""Convolution and dense layers: those that have weights and multiply."""

from __future__ import annotations

from dataclasses import dataclass, fields as dataclass_fields, replace
from functools import partial
from typing import Any

import numpy as np

from convpipe import ops
from convpipe.errors import ConfigError
from convpipe.fields import choice, field, one_or_several, optional, several, text, whole
from convpipe.geometry import AXES
from convpipe.layers.layer import Reading, Surroundings
from convpipe.lowerings.settings import ConvSettings
from convpipe.ops.dense import dense
from convpipe.ops.matmul import result_dtype, workspace as matmul_workspace
from convpipe.sources.weights import Wanted
from convpipe.step import Step, Tensor


def bias_name(key: str, value: Any) -> bool | str:
    """False for no bias, true for one by its usual name, or its name."""
    return value if isinstance(value, bool) else str(text(key, value))


@dataclass(frozen=True, kw_only=True)
class ConvLayer(Reading, ConvSettings):
    """A convolution, expanded to the stages of its lowering."""

    filters: int | None = field(optional(whole(1)), None)
    kernel: Any = field(optional(one_or_several(whole(1))), None)
    weights: str | None = field(optional(text), None)
    bias: bool | str = field(bias_name, True)
    stages: tuple[str, ...] | None = field(optional(several(text)), None)

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """pad ... reshape under the layer's name, and the channels put first again."""
        x = around.only
        rank = len(x.shape) - 2
        w = around.weigh("filters", self.weights, self.wanted(x.shape[1], rank))
        bias = None
        if self.bias:
            bias = around.weigh("bias", self.bias if isinstance(self.bias, str) else None, (w.shape[0],))
        chain = around.convolve(x, w, bias, self.settings, self.stages or around.stages)
        names = {"input": x.name, "filters": w.name} | ({} if bias is None else {"bias": bias.name})
        inner = tuple(under(around.name, step, names) for step in chain)
        return (*inner, channels_first(around.name, inner[-1].makes))

    def wanted(self, channels: int, rank: int) -> Wanted:
        """The filters' shape as far as the layer states it."""
        kernel = self.kernel if isinstance(self.kernel, tuple) else (self.kernel,) * rank
        if len(kernel) != rank:
            raise ConfigError("kernel", kernel, f"one number, or {rank}")
        if channels % self.groups:
            raise ConfigError("groups", self.groups, f"a divisor of the {channels} input channels")
        return (self.filters, channels // self.groups, *kernel)

    @property
    def settings(self) -> ConvSettings:
        """The part that any convolution has."""
        return ConvSettings(**{entry.name: getattr(self, entry.name) for entry in dataclass_fields(ConvSettings)})


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


@dataclass(frozen=True, kw_only=True)
class DenseLayer(Reading):
    """A fully connected layer, (N, in) -> (N, units)."""

    units: int | None = field(optional(whole(1)), None)
    weights: str | None = field(optional(text), None)
    bias: bool | str = field(bias_name, True)
    # in_out: (in, units), as NumPy's x @ W; out_in: (units, in), as PyTorch's Linear
    layout: str = field(choice(["in_out", "out_in"]), "in_out")

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """One matrix product."""
        x = around.only
        if len(x.shape) != 2:
            raise ConfigError("inputs", x.shape, "2 axes (N, in): put a flatten layer before this one")
        turned = self.layout == "out_in"
        shape: Wanted = (self.units, x.shape[1]) if turned else (x.shape[1], self.units)
        w = around.weigh("weights", self.weights, shape)
        units = w.shape[0] if turned else w.shape[1]
        weights = [w]
        if self.bias:
            weights.append(around.weigh("bias", self.bias if isinstance(self.bias, str) else None, (units,)))
        dtypes = [x.dtype, *(tensor.dtype for tensor in weights)]
        dtype = result_dtype(*dtypes)
        made = Tensor(around.name, (x.shape[0], units), dtype, ("N", "units"))
        step = around.step(
            "dense", made, partial(run_dense, turned=turned), *weights, macs=x.shape[0] * w.shape[0] * w.shape[1]
        )
        return (replace(step, workspace=matmul_workspace(x.shape[0], (units, x.shape[1]), dtype, *dtypes)),)


def run_dense(x: Any, weights: Any, bias: Any = None, *, turned: bool) -> np.ndarray[Any, Any]:
    """`ops.dense`, with weights in either layout."""
    return dense(x, weights.T if turned else weights, bias)
