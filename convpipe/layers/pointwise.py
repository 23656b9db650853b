"""Layers that keep the shape: activations, normalisations, scaling; and those that only rearrange or join."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np

from convpipe.errors import ConfigError
from convpipe.fields import FLOAT_DTYPES, choice, dtype_name, field, number, optional, text, whole
from convpipe.layers.layer import Reading, Surroundings
from convpipe.layers.pooling import float_dtype
from convpipe.ops.activations import Approximation, dropout, gelu, leaky_relu, log_softmax, relu, sigmoid, softmax, tanh
from convpipe.ops.dense import flatten
from convpipe.ops.joining import add, concat
from convpipe.ops.matmul import result_dtype
from convpipe.ops.normalization import batch_norm, local_response_norm
from convpipe.step import Array, Step

FUNCTIONS = {"sigmoid": sigmoid, "tanh": tanh}
OVER_CLASSES = {"softmax": softmax, "log_softmax": log_softmax}


@dataclass(frozen=True, kw_only=True)
class ReluLayer(Reading):
    """max(x, 0); integers stay integers."""

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """One step."""
        return (around.step("relu", around.like(around.only), relu),)


@dataclass(frozen=True, kw_only=True)
class FloatFunctionLayer(Reading):
    """sigmoid, tanh: a function of each value, in floats."""

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """One step."""
        made = around.like(around.only, dtype=float_dtype(around.only.dtype))
        return (around.step(self.op, made, FUNCTIONS[self.op]),)


@dataclass(frozen=True, kw_only=True)
class LeakyReluLayer(Reading):
    """x where it is positive, slope * x elsewhere."""

    slope: float = field(number(), 0.01)

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """One step."""
        made = around.like(around.only, dtype=float_dtype(around.only.dtype))
        return (around.step("leaky_relu", made, partial(leaky_relu, slope=self.slope)),)


@dataclass(frozen=True, kw_only=True)
class GeluLayer(Reading):
    """The Gaussian error linear unit."""

    approximate: Approximation = field(choice(["none", "tanh"]), "none")

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """One step."""
        made = around.like(around.only, dtype=float_dtype(around.only.dtype))
        return (around.step("gelu", made, partial(gelu, approximate=self.approximate)),)


@dataclass(frozen=True, kw_only=True)
class SoftmaxLayer(Reading):
    """softmax and log_softmax along one axis, by default the classes."""

    axis: int = field(whole(), 1)

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """One step."""
        x = around.only
        if not 1 <= self.axis < len(x.shape):
            raise ConfigError("axis", self.axis, f"an axis from 1 to {len(x.shape) - 1} (0 is the batch)")
        made = around.like(x, dtype=float_dtype(x.dtype))
        return (around.step(self.op, made, partial(OVER_CLASSES[self.op], axis=self.axis)),)


@dataclass(frozen=True, kw_only=True)
class DropoutLayer(Reading):
    """The identity: at inference nothing is dropped."""

    rate: float = field(number(0, 1), 0.5)

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """One step."""
        return (around.step("dropout", around.like(around.only), partial(dropout, rate=self.rate)),)


@dataclass(frozen=True, kw_only=True)
class ScaleLayer(Reading):
    """x / divisor, in floats: 255 brings the values of a picture to [0, 1]."""

    divisor: float = field(number(), 255)
    dtype: str = field(dtype_name(FLOAT_DTYPES), "float32")

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """One step."""
        if not self.divisor:
            raise ConfigError("divisor", self.divisor, "a number other than 0")
        made = around.like(around.only, dtype=np.dtype(self.dtype))
        return (around.step("scale", made, partial(scaled, divisor=self.divisor, dtype=made.dtype)),)


def scaled(x: Array, *, divisor: float, dtype: np.dtype[Any]) -> Array:
    """x / divisor, rounded once to `dtype`."""
    return (x.astype(np.float64) / divisor).astype(dtype)


@dataclass(frozen=True, kw_only=True)
class BatchNormLayer(Reading):
    """Normalisation by stored statistics, per channel (inference)."""

    scale: str | None = field(optional(text), None)
    shift: str | None = field(optional(text), None)
    mean: str | None = field(optional(text), None)
    variance: str | None = field(optional(text), None)
    epsilon: float = field(number(low=0), 1e-5)

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """One step."""
        x = around.only
        roles = ("scale", "shift", "mean", "variance")
        weights = [around.weigh(role, getattr(self, role), (x.shape[1],)) for role in roles]
        made = around.like(x, dtype=float_dtype(np.result_type(x.dtype, *(tensor.dtype for tensor in weights))))
        return (around.step("batch_norm", made, partial(batch_norm, epsilon=self.epsilon), *weights),)


@dataclass(frozen=True, kw_only=True)
class LocalResponseNormLayer(Reading):
    """Normalisation over neighbouring channels (Krizhevsky et al., 2012)."""

    size: int = field(whole(1), 5)
    alpha: float = field(number(), 1e-4)
    beta: float = field(number(), 0.75)
    k: float = field(number(), 1.0)

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """One step."""
        made = around.like(around.only, dtype=float_dtype(around.only.dtype))
        settings = {name: getattr(self, name) for name in ("size", "alpha", "beta", "k")}
        return (around.step("local_response_norm", made, partial(local_response_norm, **settings)),)


@dataclass(frozen=True, kw_only=True)
class FlattenLayer(Reading):
    """(N, C, H, W) -> (N, C*H*W)."""

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """One step."""
        x = around.only
        made = around.like(x, shape=(x.shape[0], prod(x.shape[1:])), axes=("N", "*".join(x.axes[1:])))
        return (around.step("flatten", made, flatten),)


@dataclass(frozen=True, kw_only=True)
class AddLayer(Reading):
    """The sum of several tensors of one shape."""

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """One step."""
        first = around.inputs[0]
        for other in around.inputs[1:]:
            if other.shape != first.shape:
                raise ConfigError("inputs", f"{other.name} {other.shape}", f"the shape of {first.name}, {first.shape}")
        made = around.like(first, dtype=result_dtype(*(tensor.dtype for tensor in around.inputs)))
        return (around.step("add", made, add),)


@dataclass(frozen=True, kw_only=True)
class ConcatLayer(Reading):
    """Several tensors beside each other along one axis, by default the channels."""

    axis: int = field(whole(), 1)

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """One step."""
        first = around.inputs[0]
        if not 1 <= self.axis < len(first.shape):
            raise ConfigError("axis", self.axis, f"an axis from 1 to {len(first.shape) - 1} (0 is the batch)")
        for other in around.inputs[1:]:
            if without(other.shape, self.axis) != without(first.shape, self.axis):
                expected = f"the shape of {first.name}, {first.shape}, but for axis {self.axis}"
                raise ConfigError("inputs", f"{other.name} {other.shape}", expected)
        size = sum(tensor.shape[self.axis] for tensor in around.inputs)
        shape = (*first.shape[: self.axis], size, *first.shape[self.axis + 1 :])
        made = around.like(first, shape=shape, dtype=result_dtype(*(tensor.dtype for tensor in around.inputs)))
        return (around.step("concat", made, partial(concat, axis=self.axis)),)


def without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    """A shape less one of its sizes."""
    return (*shape[:axis], *shape[axis + 1 :])
