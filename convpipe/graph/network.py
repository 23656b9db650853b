"""Planning a network: an ordered mapping of named layers, solved to steps before any array exists."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from convpipe import lowerings
from convpipe.errors import ConfigError, GeometryError, ValueRangeError, did_you_mean
from convpipe.geometry import AXES, input_rank
from convpipe.graph.plan import Plan, plan_convolution, plan_transposed
from convpipe.graph.step import Step, check_chain
from convpipe.layers import Layer, Surroundings
from convpipe.lowerings.settings import ConvSettings
from convpipe.sources import Signature
from convpipe.sources.protocols import WeightSource
from convpipe.tensors import Array, Tensor, Wanted

LAYER_NAME = re.compile(r"[A-Za-z_]\w{0,99}\Z", re.ASCII)
RESERVED = ("input", "output")  # rows of stages.csv that are no layer's

# What the geometry calls a parameter, and the setting of a layer that it comes from.
SETTINGS = {"input": "inputs", "tensors": "inputs"}

# What a role is called in a weights file where the layer gives no name: the layer's name, a point, and PyTorch's word.
USUAL_NAMES = {
    "filters": "weight",
    "weights": "weight",
    "bias": "bias",
    "scale": "weight",
    "shift": "bias",
    "mean": "running_mean",
    "variance": "running_var",
}


@dataclass
class Progress:
    """A network as far as it is planned."""

    weights: WeightSource | None
    stages: Sequence[str]
    tensors: dict[str, Tensor]
    given: list[Tensor]
    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def weigh(self, layer: str, role: str, entry: str | None, shape: Wanted) -> Tensor:
        """A tensor of weights, noted as given."""
        key = f"network.{layer}.{'weights' if role == 'filters' else role}"
        if self.weights is None:
            raise ConfigError("weights", None, f"a source of weights, as the layer {layer} has some")
        origin = entry or f"{layer}.{USUAL_NAMES[role]}"
        found = self.weights.signature(origin, shape, key)
        tensor = Tensor(f"{layer}/{role}", found.shape, found.dtype, weight_axes(role, found.shape), origin)
        self.given.append(tensor)
        return tensor

    def convolve(
        self,
        x: Tensor,
        w: Tensor,
        bias: Tensor | None,
        settings: ConvSettings,
        stages: Sequence[str] | None,
    ) -> tuple[Step, ...]:
        """The steps of a convolution layer, forward or transposed, in its own stages or the run's."""
        x_like, w_like = Signature(x.shape, x.dtype), Signature(w.shape, w.dtype)
        bias_like = None if bias is None else Signature(bias.shape, bias.dtype)
        if settings.operation == "conv_transpose":
            chain = stages or lowerings.ADJOINTS["conv_transpose"]
            plan = plan_transposed(x_like, w_like, settings, chain, bias_like)
        else:
            plan = plan_convolution(x_like, w_like, settings, stages or self.stages, bias_like)
        self.notes.extend(plan.notes)
        return plan.steps


def weight_axes(role: str, shape: Sequence[int]) -> tuple[str, ...]:
    """The letters of a weight's axes."""
    if role == "filters":
        return ("F", "C/G", *(f"k{letter.lower()}" for letter in AXES[len(shape) - 2]))
    return ("F",) if len(shape) == 1 else ("in", "units")


def plan_network(
    network: Mapping[str, Layer], x: Signature, weights: WeightSource | None, stages: Sequence[str]
) -> Plan:
    """Plan a network on a batch of that shape.

    Raises:
        ConfigError: a layer that reads a tensor nobody makes before it, weights of the wrong shape, sizes
            that do not fit: under the layer's key.
    """
    try:
        rank = input_rank(x.shape)
    except GeometryError as error:
        raise error.at({"input": "input.shape"}) from error
    given = Tensor("input", x.shape, x.dtype, ("N", "C", *AXES[rank]))
    progress = Progress(weights, stages, {"input": given}, [given])
    before = "input"
    for name, layer in network.items():
        check_name(name)
        plan_layer(progress, network, name, layer, before)
        before = name
    check_read(network)
    check_chain("network", [tensor.name for tensor in progress.given], progress.steps)
    return Plan(tuple(progress.given), tuple(progress.steps), tuple(progress.notes))


def plan_layer(progress: Progress, network: Mapping[str, Layer], name: str, layer: Layer, before: str) -> None:
    """Add one layer's steps."""
    inputs = tuple(read_tensor(progress, network, name, wanted) for wanted in layer.inputs or (before,))
    noted = len(progress.notes)
    around = Surroundings(name, inputs, partial(progress.weigh, name), progress.convolve)
    try:
        steps = layer.steps(around)
    except ConfigError as error:
        raise under_layer(error, name, layer) from error
    progress.steps.extend(replace(step, run=partial(run_step, step, name, layer)) for step in steps)
    progress.notes[noted:] = [f"{name}: {note}" for note in progress.notes[noted:]]
    progress.tensors[name] = steps[-1].makes


def run_step(step: Step, name: str, layer: Layer, *arrays: Array) -> Array:
    """Run a step of a layer; what its values do not allow is that layer's error."""
    try:
        return step.run(*arrays)
    except ConfigError as error:
        raise under_layer(error, name, layer) from error
    except ValueRangeError as error:
        settled = "overflow" if hasattr(layer, "overflow") else "op"
        raise ConfigError(f"network.{name}.{settled}", getattr(layer, settled), "sums that fit", str(error)) from error


def under_layer(error: ConfigError, name: str, layer: Layer) -> ConfigError:
    """A layer's complaint under the key its user typed."""
    if error.key.startswith("lowering.stages") and getattr(layer, "stages", None):
        return error.at({error.key: error.key.replace("lowering", f"network.{name}", 1)})
    if "." in error.key or error.key == "weights":  # there is no source of them
        return error
    return error.at({error.key: f"network.{name}.{SETTINGS.get(error.key, error.key)}"})


def check_name(name: str) -> None:
    """A layer's name can stand in a config key and in a file name."""
    if not LAYER_NAME.match(name) or name in RESERVED:
        expected = f"a layer name of at most 100 letters, digits and '_', other than {' and '.join(RESERVED)}"
        raise ConfigError(f"network.{name}", name, expected)


def check_read(network: Mapping[str, Layer]) -> None:
    """Every layer but the last is read by another."""
    names = list(network)
    befores = zip(network.values(), ("input", *names[:-1]), strict=True)
    read = {wanted for layer, before in befores for wanted in layer.inputs or (before,)}
    for name in names[:-1]:
        if name not in read:
            raise ConfigError(f"network.{name}", network[name].op, "a later layer that reads it, and none does")


def read_tensor(progress: Progress, network: Mapping[str, Layer], reader: str, wanted: str) -> Tensor:
    """The tensor that a layer reads.

    Raises:
        ConfigError: nobody makes it, or only a later layer does.
    """
    if wanted in progress.tensors:
        return progress.tensors[wanted]
    key = f"network.{reader}.inputs"
    if wanted in network:
        circle = path_between(network, wanted, reader)
        why = f"a cycle: {' -> '.join((*circle, wanted))}" if circle else f"{wanted} comes after {reader}"
        raise ConfigError(key, wanted, "a layer before this one", why)
    there = tuple(progress.tensors)
    raise ConfigError(key, wanted, f"one of {', '.join(there)}", did_you_mean(wanted, there))


def path_between(network: Mapping[str, Layer], start: str, end: str) -> tuple[str, ...]:
    """The layers from `start` back to `end`, each read by the one before; empty where there is no such way."""
    order = list(network)
    ways: list[tuple[str, ...]] = [(start,)]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        if way[-1] == end:
            return way
        if way[-1] in seen or way[-1] not in network:
            continue
        seen.add(way[-1])
        position = order.index(way[-1])
        reads = network[way[-1]].inputs or ((order[position - 1],) if position else ())
        ways.extend((*way, name) for name in reads)
    return ()


def resized(x: Signature, batch: int) -> Signature:
    """The same images, another number of them."""
    return replace(x, shape=(batch, *x.shape[1:]))
