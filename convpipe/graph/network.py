"""The one planner: operations as a graph, solved to steps before any array exists.

A single convolution is a graph of one node without a name, whose result stays in the lecture's order.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from convpipe.errors import ConfigError, GeometryError, did_you_mean
from convpipe.geometry.axes import AXES, input_rank
from convpipe.geometry.columns import AS_USUAL, Columns
from convpipe.geometry.layouts import image_shape
from convpipe.graph import lowerings
from convpipe.graph.chain import check_followed, plan_chain
from convpipe.graph.plan import Plan
from convpipe.graph.quantities import quantity
from convpipe.graph.spec import Layer
from convpipe.graph.step import Step, plan_step, under
from convpipe.ops import MAIN
from convpipe.ops.conv import Conv
from convpipe.ops.dense import Dense, DenseConv
from convpipe.ops.kinds.convolving import Convolving
from convpipe.ops.kinds.operation import Give, Weight
from convpipe.ops.kinds.quantised import QUANTITIES, Quant
from convpipe.ops.kinds.stages import Stage
from convpipe.ops.transpose import Transpose
from convpipe.sources import Request, Source
from convpipe.tensors import Signature, Tensor

LAYER_NAME = re.compile(r"[A-Za-z_]\w{0,99}\Z", re.ASCII)
BY_COLUMNS = "lowering=im2col does"
RESERVED = ("input", "output")  # rows of stages.csv that are no layer's


def input_tensor(x: Signature) -> Tensor:
    """A batch of images.

    Raises:
        GeometryError: another number of axes.
    """
    axes = ("N", "C", *AXES[input_rank(image_shape(x.shape))])
    return given_tensor("input", x, axes)


def given_tensor(name: str, found: Signature, axes: tuple[str, ...], origin: str = "") -> Tensor:
    """A given tensor as its place has it: a matrix where an image or a filter stands is one of one channel."""
    shape = image_shape(found.shape) if len(axes) == 4 else found.shape
    return Tensor(name, shape, found.dtype, axes, origin, None if shape == found.shape else found.shape)


def network_input(x: Signature, network: Mapping[str, Layer]) -> Tensor:
    """A batch of images or of rows, whichever a network works on.

    Raises:
        GeometryError: another number of axes.
    """
    if len(x.shape) == 2 and not works_on_images(network):
        return Tensor("input", x.shape, x.dtype, ("N", "features"))
    try:
        return input_tensor(x)
    except GeometryError as error:
        expected = f"{error.expected}, or 2 axes (N, features) of a network that works on rows"
        raise GeometryError("input.shape", x.shape, expected, error.hint) from error


def works_on_images(network: Mapping[str, Layer]) -> bool:
    """Whether a matrix that goes in is an image: so the first operation has it that cannot do with either."""
    before, passed = "input", {"input"}
    for name, layer in network.items():
        if passed.intersection(layer.inputs or (before,)):
            images = type(layer.operation).images
            if images is not None:
                return images
            passed.add(name)
        before = name
    return False


def plan_single(
    operation: Convolving, stages: Sequence[Stage], x: Tensor, give: Give, columns: Columns = AS_USUAL
) -> Plan:
    """Plan a convolution, a transposed one or a gradient on its own.

    Args:
        x: the input, whether or not the operation reads its values.
        give: gives its other tensors by their roles.
        columns: how its columns lie and are cut.

    Raises:
        ConfigError: sizes, dtypes or stages that do not fit, under the bare names of settings and roles.
    """
    tensors = {"input": x, **operation.ask(give, x)}
    conv = replace(operation.solve(tensors), columns=columns)
    steps = plan_chain(operation, conv, tensors, stages)
    check_followed(columns, steps, BY_COLUMNS if operation.forward and not operation.backward else "")
    read = {name for step in steps for name in step.needs}
    given = tuple(tensors[role] for role in operation.given if role in read)
    return Plan(given, steps, operation.notes(conv))


@dataclass
class Progress:
    """A network as far as it is planned."""

    weights: Source | None
    stages: Sequence[Stage]  # of convolutions that have none of their own
    columns: Columns  # of all
    tensors: dict[str, Tensor]
    given: list[Tensor]
    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, layer: Layer, inputs: Sequence[Tensor]) -> None:
        """Plan one more layer.

        Raises:
            ConfigError: under the bare names of its settings and of what it reads.
        """
        operation = layer.operation
        if not type(operation).several and len(inputs) != 1:
            raise ConfigError("inputs", [tensor.name for tensor in inputs], "one tensor")
        if isinstance(operation, Conv):
            operation.check_channels(inputs[0].shape[1])
        sides = operation.ask(lambda weight: self.weigh(name, weight, getattr(operation, "quant", None)), inputs[0])
        if isinstance(operation, Conv):
            steps = self.convolve(name, layer.op, operation, {"input": inputs[0], **sides})
        elif isinstance(operation, Dense) and operation.quant is not None:
            steps = self.multiply(name, operation.as_conv, {"input": inputs[0], **sides})
        else:
            steps = [layer_step(name, layer, inputs, sides)]
        self.steps += [replace(step, key=f"network.{name}") for step in steps]
        self.tensors[name] = steps[-1].makes

    def convolve(self, name: str, op: str, operation: Conv, tensors: Mapping[str, Tensor]) -> list[Step]:
        """The steps of a convolution, its feature map's channels first as the next layer reads them."""
        conv = replace(operation.solve(tensors), columns=self.columns)
        own: tuple[Stage, ...] | None = operation.stages
        usual = lowerings.layer_chain(tuple(self.stages), operation.quant is not None)
        stages = own or (usual if operation.forward else lowerings.chain(op))
        key = f"network.{name}.stages" if own else "lowering.stages"
        steps = plan_chain(operation, conv, tensors, stages, key, f"{name}/")
        if not own and operation.forward:  # of other chains only some may have columns
            check_followed(self.columns, steps, BY_COLUMNS)
        made = steps[-1].makes
        if (made.axes[0], made.axes[-1], len(made.axes)) != ("N", "F", conv.sizes.rank + 2):
            expected = f"a last stage that makes a feature map (N, ..., F), not {made.axes}"
            raise ConfigError(key, steps[-1].op, expected)
        self.notes += [f"{name}: {note}" for note in operation.notes(conv)]
        return [*steps, plan_step(f"{name}/transpose", "transpose", Transpose(), [(MAIN, made)], name)]

    def multiply(self, name: str, operation: DenseConv, tensors: Mapping[str, Tensor]) -> list[Step]:
        """The steps of a dense layer that is quantised, the last of which makes what the next layer reads."""
        conv = operation.solve(tensors)
        stages = lowerings.named_chain("dense", lowerings.QUANTIZED)
        *steps, last = plan_chain(operation, conv, tensors, stages, f"network.{name}", f"{name}/", ["columns"])
        self.notes += [f"{name}: {note}" for note in operation.notes(conv)]
        return [*steps, replace(last, makes=replace(last.makes, name=name))]

    def weigh(self, layer: str, weight: Weight, quant: Quant | None) -> Tensor:
        """A tensor of weights, or of the numbers that a quantised layer has of its own, noted as given."""
        source = quantity(quant, weight.role, self.weights) if quant and weight.role in QUANTITIES else self.weights
        if source is None:
            raise ConfigError("weights", None, f"a source of weights, as the layer {layer} has some")
        key = f"network.{layer}.{weight.setting or weight.role}"
        origin = weight.entry or f"{layer}.{weight.usual}"
        turns = tuple((order, words.format(layer=f"network.{layer}")) for order, words in weight.turns)
        found = source.signature(Request(weight.shape, entry=origin, key=key, turns=turns))
        tensor = given_tensor(f"{layer}/{weight.role}", found, weight.axes, origin)
        self.given.append(tensor)
        return tensor


def layer_step(name: str, layer: Layer, inputs: Sequence[Tensor], sides: Mapping[str, Tensor]) -> Step:
    """A layer that is one step, named as the layer is."""
    mains = [(MAIN, tensor) for tensor in inputs]
    try:
        step = plan_step(name, layer.op, layer.operation, [*mains, *sides.items()], name)
    except GeometryError as error:
        wrong = [tensor.name for tensor in inputs[1:] if tensor.shape == error.got]
        if not wrong:
            raise
        raise ConfigError("inputs", f"{wrong[0]} {error.got}", f"{error.expected}, {inputs[0].name}") from error
    if step.makes.axes[:1] != ("N",):
        expected = f"an operation that keeps the images of a batch apart; it makes {step.makes.axes}"
        raise ConfigError("op", layer.op, expected)
    return step


def plan_network(
    network: Mapping[str, Layer],
    x: Signature | Tensor,
    weights: Source | None,
    stages: Sequence[Stage],
    columns: Columns = AS_USUAL,
) -> Plan:
    """Plan a network on a batch of that shape, or on its input as `network_input` has it.

    Raises:
        ConfigError: a layer that reads a tensor nobody makes before it, weights of the wrong shape, sizes
            that do not fit: under the layer's key.
    """
    given = x if isinstance(x, Tensor) else network_input(x, network)
    progress = Progress(weights, stages, columns, {"input": given}, [given])
    before = "input"
    for name, layer in network.items():
        check_name(name)
        inputs = [read_tensor(progress, network, name, wanted) for wanted in layer.inputs or (before,)]
        try:
            progress.add(name, layer, inputs)
        except ConfigError as error:
            raise under(f"network.{name}", layer.operation, error) from error
        before = name
    check_read(network)
    check_followed(columns, progress.steps)
    return Plan(tuple(progress.given), tuple(progress.steps), tuple(progress.notes))


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


def resized(x: Tensor, batch: int) -> Tensor:
    """The same images or rows, another number of them."""
    return replace(x, shape=(batch, *x.shape[1:]))
