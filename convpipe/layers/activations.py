"""Activation layers: functions of single cells, and softmax, which is one of a row of cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import prod

from convpipe.fields import choice, field, number, whole
from convpipe.graph.step import Step
from convpipe.layers.layer import Reading, Surroundings, cells_bytes, widened, within_image
from convpipe.ops.activations import (
    APPROXIMATIONS,
    TILE_CELLS,
    Approximation,
    dropout,
    gelu,
    leaky_relu,
    log_softmax,
    relu,
    sigmoid,
    softmax,
    tanh,
)
from convpipe.ops.floating import computing_float, result_float
from convpipe.tensors import Array, Tensor

CELL_FUNCTIONS = {"sigmoid": sigmoid, "tanh": tanh}
OVER_CLASSES = {"softmax": softmax, "log_softmax": log_softmax}
TILE_COPIES = 12  # of a tile, which the longest of the functions, gelu by way of erfc, holds at once


@dataclass(frozen=True, kw_only=True)
class ReluLayer(Reading):
    """max(x, 0); integers stay integers."""

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """One step."""
        return (around.step("relu", around.like(around.only), relu),)


@dataclass(frozen=True, kw_only=True)
class CellFunctionLayer(Reading):
    """sigmoid, tanh: a function of each cell, in floats."""

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """One step."""
        return (cell_step(around, self.op, CELL_FUNCTIONS[self.op]),)


@dataclass(frozen=True, kw_only=True)
class LeakyReluLayer(Reading):
    """x where it is positive, slope * x elsewhere."""

    slope: float = field(number(), 0.01)

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """One step."""
        return (cell_step(around, "leaky_relu", partial(leaky_relu, slope=self.slope)),)


@dataclass(frozen=True, kw_only=True)
class GeluLayer(Reading):
    """The Gaussian error linear unit."""

    approximate: Approximation = field(choice(APPROXIMATIONS), "none")

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """One step."""
        return (cell_step(around, "gelu", partial(gelu, approximate=self.approximate)),)


def cell_step(around: Surroundings, op: str, run: Callable[[Array], Array]) -> Step:
    """A function of each cell, computed in floats a tile at a time."""
    made = around.like(around.only, dtype=result_float(around.only.dtype))
    tile = min(prod(made.shape), TILE_CELLS) * computing_float(made.dtype).itemsize
    return around.step(op, made, run, workspace=TILE_COPIES * tile)


@dataclass(frozen=True, kw_only=True)
class SoftmaxLayer(Reading):
    """softmax and log_softmax along one axis, by default the classes."""

    axis: int = field(whole(), 1)

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """One step."""
        x = around.only
        axis = within_image(self.axis, len(x.shape))
        made = around.like(x, dtype=result_float(x.dtype))
        exponentials = cells_bytes(made, computing_float(made.dtype)) if self.op == "log_softmax" else 0
        workspace = widened(made) + exponentials + 2 * row_bytes(made, axis)
        return (around.step(self.op, made, partial(OVER_CLASSES[self.op], axis=axis), workspace=workspace),)


def row_bytes(made: Tensor, axis: int) -> int:
    """The bytes of one number for each row along an axis: its largest cell, or its sum."""
    return cells_bytes(made, computing_float(made.dtype)) // max(made.shape[axis], 1)


@dataclass(frozen=True, kw_only=True)
class DropoutLayer(Reading):
    """The identity: at inference nothing is dropped."""

    rate: float = field(number(0, 1), 0.5)

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """One step."""
        return (around.step("dropout", around.like(around.only), partial(dropout, rate=self.rate)),)
