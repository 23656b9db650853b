"""Operations of many settings and shapes, with arrays for them: what forms are held against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from convpipe.fields import read
from convpipe.geometry.axes import AXES
from convpipe.graph.chain import plan_chain
from convpipe.graph.lowerings import chain
from convpipe.graph.step import Step
from convpipe.ops import OPERATIONS, Form, Operation
from convpipe.ops.kinds.convolving import Convolving
from convpipe.tensors import Array, Sizes, Tensor

X = (2, 3, 5, 4)


@dataclass(frozen=True)
class Case:
    """One operation, what it read, what it made, and its form."""

    op: str
    operation: Operation
    mains: tuple[Array, ...]
    sides: Mapping[str, Array]
    made: Array
    form: Form

    def at(self, source: int | str, cell: Sizes) -> Any:
        """The value of a cell that it read."""
        return (self.mains[source] if isinstance(source, int) else self.sides[source])[cell].item()

    def __str__(self) -> str:
        return f"{self.op} {self.operation} of {[main.shape for main in self.mains]}"


def tensor_of(name: str, x: Array) -> Tensor:
    return Tensor(name, x.shape, x.dtype, ("N", "C", *AXES.get(x.ndim - 2, ()))[: x.ndim])


def a_case(op: str, settings: Mapping[str, Any], *mains: Array, **sides: Array) -> Case:
    """A layer on arrays."""
    kind = OPERATIONS.get("op", op)
    operation = read(kind, op, settings)
    tensors = [tensor_of(f"x{number}", x) for number, x in enumerate(mains)]
    by_role = {role: tensor_of(role, side) for role, side in sides.items()}
    operation.plan(*tensors, **by_role)
    form = operation.form(*tensors, **by_role)
    assert form is not None
    return Case(op, operation, mains, sides, operation.run(*mains, **sides), form)


def whole(draw: np.random.Generator, *shape: int, dtype: str = "int16") -> Array:
    return draw.integers(-9, 10, shape).astype(dtype)


def quarters(draw: np.random.Generator, *shape: int, dtype: str = "float32") -> Array:
    """Floats whose sums are exact."""
    return (draw.integers(-36, 37, shape) / 4).astype(dtype)


def parameters(draw: np.random.Generator, channels: int) -> dict[str, Array]:
    """What batch_norm reads beside its input."""
    found = {role: quarters(draw, channels) for role in ("scale", "shift", "mean")}
    return {**found, "variance": draw.random(channels).astype(np.float32) + 0.1}


def layer_cases(seed: int = 0) -> Iterator[Case]:
    """Every layer that is not a convolution, on whole numbers and on floats, of one to three spatial axes."""
    draw = np.random.default_rng(seed)
    for make in (whole, quarters):
        x, row = make(draw, *X), make(draw, 3, 6)
        for op in ("relu", "sigmoid", "tanh", "gelu", "flatten", "dropout", "scale", "leaky_relu", "softmax"):
            yield a_case(op, {}, x)
        for op in ("upsample", "global_avg_pool", "global_max_pool", "log_softmax", "transpose", "clip"):
            yield a_case(op, {}, x)
        yield a_case("relu", {}, row)
        yield a_case("leaky_relu", {"slope": -2}, x)
        yield a_case("scale", {"divisor": -3, "dtype": "float64"}, x)
        yield a_case("gelu", {"approximate": "tanh"}, x)
        for limits in ({"low": -2}, {"high": 3}, {"low": -2, "high": 3}):
            yield a_case("clip", limits, x)
        yield a_case("softmax", {"axis": -1}, x)
        yield a_case("log_softmax", {"axis": 2}, x)
        for size in (1, 2, 3, 9):
            yield a_case("local_response_norm", {"size": size, "alpha": 0.5}, x)
        yield a_case("add", {}, x)
        yield a_case("add", {}, x, make(draw, *X), make(draw, *X))
        yield a_case("concat", {}, x, make(draw, 2, 2, 5, 4), x)
        yield a_case("concat", {"axis": -1}, x, make(draw, 2, 3, 5, 1))
        yield a_case("upsample", {"factor": (3, 1)}, x)
        yield a_case("batch_norm", {"epsilon": 0.25}, x, **parameters(draw, 3))
        yield a_case("dense", {"bias": False}, row, weights=make(draw, 6, 4))
        yield a_case("dense", {"layout": "out_in"}, row, weights=make(draw, 4, 6), bias=make(draw, 4))
        yield from window_cases(draw, make)


def window_cases(draw: np.random.Generator, make: Any) -> Iterator[Case]:
    """Poolings and paddings."""
    for shape in ((2, 2, 7), (1, 2, 5, 6), (1, 1, 4, 3, 5)):
        x, rank = make(draw, *shape), len(shape) - 2
        for settings in (
            {"kernel": 2},
            {"kernel": 3, "stride": 2, "pad": 1, "ceil_mode": True},
            {"kernel": 2, "stride": 1, "pad": 1, "dilation": 2},
            {"kernel": 2, "stride": 1, "pad": 1, "dilation": 3},
            {"kernel": 3, "stride": 2, "pad": ((2, 0),) * rank},
        ):
            yield a_case("max_pool", settings, x)
            for counted in (True, False):
                yield a_case("avg_pool", {**settings, "count_include_pad": counted}, x)
        for mode in ("constant", "reflect", "edge", "wrap"):
            yield a_case("pad", {"pad": ((2, 1),) * rank, "mode": mode, "value": 5}, x)
        yield a_case("pad", {"pad": 0}, x)
    yield a_case("max_pool", {"kernel": 2, "pad": 1, "dilation": 3}, make(draw, 1, 1, 2))  # nothing but padding
    yield a_case("avg_pool", {"kernel": 2, "pad": 1, "dilation": 3, "count_include_pad": False}, make(draw, 1, 1, 2))


# Chains


@dataclass(frozen=True)
class ChainCase:
    """A convolution, a transposed one or a gradient: its steps, and all arrays by name."""

    operation: Convolving
    steps: tuple[Step, ...]
    arrays: Mapping[str, Array]
    form: Form
    tensors: Mapping[str, Tensor]

    def stages(self) -> Iterator[Case]:
        """Its stages."""
        for step in self.steps:
            count = len(step.needs) - len(step.sides)
            read = [self.arrays[name] for name in step.needs]
            planned = [self.tensors[name] for name in step.needs]
            form = step.operation.form(*planned[:count], **dict(zip(step.sides, planned[count:], strict=True)))
            assert form is not None, step.op
            sides = dict(zip(step.sides, read[count:], strict=True))
            yield Case(step.op, step.operation, tuple(read[:count]), sides, self.arrays[step.makes.name], form)

    @property
    def result(self) -> Array:
        """Its result, a feature map in the order n, f, y, x."""
        made = self.arrays[self.steps[-1].makes.name]
        axes = self.steps[-1].makes.axes
        return np.moveaxis(made, -1, 1) if axes[-1] == "F" and len(axes) > 2 else made


def a_chain(op: str, settings: Mapping[str, Any], stages: str | None = None, **arrays: Array) -> ChainCase:
    """A chain of an operation on arrays by role."""
    kind = OPERATIONS.get("op", op)
    assert issubclass(kind, Convolving)
    operation = read(kind, op, settings)
    tensors = {role: tensor_of(role, array) for role, array in arrays.items()}
    conv = operation.solve(tensors)
    steps = plan_chain(operation, conv, tensors, chain(op, stages))
    found = dict(arrays)
    for step in steps:
        found[step.makes.name] = step.run(*(found[name] for name in step.needs))
    planned = {**tensors, **{step.makes.name: step.makes for step in steps}}
    x, *sides = arrays
    form = operation.form(tensors[x], **{role: tensors[role] for role in sides})
    return ChainCase(operation, steps, found, form, planned)


def chain_cases(seed: int = 0) -> Iterator[ChainCase]:
    """Convolutions and their adjoints of many geometries."""
    draw = np.random.default_rng(seed)
    for rank in (1, 2, 3):
        for groups, stride, dilation in ((1, 1, 1), (2, 2, 1), (1, 2, 2), (2, 3, 1)):
            for mode in ("constant", "reflect", "edge", "wrap") if rank < 3 else ("constant", "edge"):
                yield from adjoint_cases(draw, rank, groups, stride, dilation, mode)


def adjoint_cases(
    draw: np.random.Generator, rank: int, groups: int, stride: int, dilation: int, mode: str
) -> Iterator[ChainCase]:
    """A convolution, its gradients, and of no padding but a constant one a transposed convolution."""
    pads = ((2, 1),) * rank
    settings = {"stride": stride, "pad": pads, "dilation": dilation, "groups": groups, "pad_mode": mode}
    x = whole(draw, 2, 2 * groups, *(5, 4, 3)[:rank])
    w = whole(draw, 2 * groups, 2, *(2, 3, 2)[:rank])
    b = whole(draw, 2 * groups)
    conv = a_chain("conv", settings, None, input=x, filters=w, bias=b)
    yield conv
    yield a_chain("conv", {**settings, "bias": False}, "implicit", input=x, filters=w)
    grad = whole(draw, *conv.result.shape)
    for op in ("grad_input", "grad_weights", "grad_bias"):
        yield a_chain(op, settings, None, input=x, filters=w, grad=grad)
    if mode == "constant":
        more = {"stride": stride, "pad": 1, "dilation": dilation, "groups": groups}
        grown = max(stride, dilation) - 1
        y, v = whole(draw, 2, 2 * groups, *(4, 3, 3)[:rank]), whole(draw, 2 * groups, 1, *(2, 3, 2)[:rank])
        yield a_chain(
            "conv_transpose", {**more, "output_padding": grown}, None, input=y, filters=v, bias=whole(draw, groups)
        )
