"""Planning a network: an ordered mapping of named layers, solved to steps before any array exists."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from convpipe.errors import ConfigError, did_you_mean
from convpipe.geometry import AXES, input_rank
from convpipe.layers import Layer, Surroundings
from convpipe.lowerings.settings import ConvSettings
from convpipe.plan import Plan, plan_convolution
from convpipe.sources import Signature
from convpipe.sources.weights import Wanted, WeightSource
from convpipe.step import Step, Tensor, check_chain

LAYER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")

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
        self, x: Tensor, w: Tensor, bias: Tensor | None, settings: ConvSettings, stages: Sequence[str]
    ) -> tuple[Step, ...]:
        """The steps of a convolution layer."""
        signatures = [None if t is None else Signature(t.shape, t.dtype) for t in (x, w, bias)]
        assert signatures[0] is not None
        assert signatures[1] is not None
        plan = plan_convolution(signatures[0], signatures[1], settings, stages, signatures[2])
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
    given = Tensor("input", x.shape, x.dtype, ("N", "C", *AXES[input_rank(x.shape)]))
    progress = Progress(weights, {"input": given}, [given])
    before = "input"
    for name, layer in network.items():
        check_name(name)
        plan_layer(progress, network, name, layer, before, tuple(stages))
        before = name
    check_chain("network", [tensor.name for tensor in progress.given], progress.steps)
    return Plan(tuple(progress.given), tuple(progress.steps), tuple(progress.notes))


def plan_layer(
    progress: Progress, network: Mapping[str, Layer], name: str, layer: Layer, before: str, stages: tuple[str, ...]
) -> None:
    """Add one layer's steps."""
    inputs = tuple(read_tensor(progress, network, name, wanted) for wanted in layer.inputs or (before,))

    def weigh(role: str, entry: str | None, shape: Wanted) -> Tensor:
        return progress.weigh(name, role, entry, shape)

    noted = len(progress.notes)
    try:
        steps = layer.steps(Surroundings(name, inputs, weigh, progress.convolve, stages))
    except ConfigError as error:
        raise under_layer(error, name) from error
    progress.steps.extend(steps)
    progress.notes[noted:] = [f"{name}: {note}" for note in progress.notes[noted:]]
    progress.tensors[name] = steps[-1].makes


def under_layer(error: ConfigError, layer: str) -> ConfigError:
    """A layer's complaint under the key its user typed."""
    if error.key.startswith(("network.", "weights", "lowering")):
        return error
    return error.at({error.key: f"network.{layer}.{error.key}"})


def check_name(name: str) -> None:
    """A layer's name can stand in a config key and in a file name."""
    if not LAYER_NAME.match(name) or name == "input":
        raise ConfigError(f"network.{name}", name, "a layer name of letters, digits and '_', other than input")


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
