"""What the tests of networks share: layers from plain settings, plans of them, and runs without a disk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from plan_cases import stages_of
from run_cases import IM2COL

from convpipe.config.parts import PARTS
from convpipe.execution import pipeline
from convpipe.execution.pipeline import StageResult
from convpipe.graph.network import plan_network
from convpipe.graph.plan import Plan
from convpipe.graph.spec import Layer
from convpipe.sources import Source, read_source, stream
from convpipe.tensors import Array, Signature

Settings = dict[str, Any]

RESIDUAL: dict[str, Settings] = {
    "conv1": {"op": "conv", "filters": 4, "kernel": 3, "pad": "same"},
    "relu1": {"op": "relu"},
    "conv2": {"op": "conv", "filters": 4, "kernel": 3, "pad": "same"},
    "add": {"op": "add", "inputs": ["relu1", "conv2"]},
    "pool": {"op": "max_pool", "kernel": 2},
    "flatten": {"op": "flatten"},
    "dense": {"op": "dense", "units": 5},
}

CLASSES: dict[str, Settings] = {**RESIDUAL, "softmax": {"op": "softmax"}}


def layers_of(settings: dict[str, Settings]) -> dict[str, Layer]:
    """A network of plain settings, checked as a config is."""
    return PARTS["network"].check("network", settings)


def weights_of(source: str = "integers", **settings: Any) -> Source:
    return read_source("weights", {"source": source, **settings})


def planned(
    settings: dict[str, Settings],
    shape: tuple[int, ...],
    dtype: str = "int16",
    weights: Source | None = None,
    stages: list[str] | None = None,
) -> Plan:
    """The plan of a network on a batch of that shape."""
    signature = Signature(shape, np.dtype(dtype))
    return plan_network(layers_of(settings), signature, weights or weights_of(), stages_of(stages or IM2COL))


def given(plan: Plan, x: Array, weights: Source | None = None) -> dict[str, Array]:
    """What a plan starts from: the input, and weights from their streams."""
    source = weights or weights_of()
    made = {"input": x}
    for tensor in plan.given[1:]:
        made[tensor.name] = source.make(Signature(tensor.shape, tensor.dtype), stream(0, tensor.name), tensor.origin)
    return made


def results(plan: Plan, arrays: dict[str, Array]) -> Iterator[StageResult]:
    """Every result of a plan, each held against what was planned."""
    for result in pipeline.run(plan, arrays):
        makes = result.step.makes
        assert result.array.shape == makes.shape, f"{result.step.name}: {result.array.shape}, planned {makes.shape}"
        assert result.array.dtype == makes.dtype, f"{result.step.name}: {result.array.dtype}, planned {makes.dtype}"
        assert len(makes.axes) == len(makes.shape), f"{result.step.name}: {makes.axes} for {makes.shape}"
        yield result


def output(plan: Plan, arrays: dict[str, Array]) -> Array:
    """The last result of a plan."""
    *_, last = results(plan, arrays)
    return last.array
