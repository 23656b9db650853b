"""The graph that the page draws: the layers of a network, or the stages of an operation, and what each has read."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from convpipe.archive.read import Run
from convpipe.graph.making import source_of
from convpipe.graph.single import operation_of
from convpipe.graph.spec import Layer, Spec
from convpipe.graph.step import Step
from convpipe.graph.work import Work
from convpipe.ops.kinds.convolving import Convolving
from convpipe.ops.kinds.operation import op_name
from convpipe.report.chain import chain_of
from convpipe.report.page.convolutions import Shown
from convpipe.report.subject import Subject, index_order
from convpipe.tensors import Tensor


@dataclass(frozen=True)
class Node:
    """A layer, a stage or a given tensor.

    `array` is the name in stages.csv of what is shown of it, `reads` those of what its formula reads: of a main tensor
    by its number, of another by its role.
    """

    name: str
    op: str
    inputs: tuple[str, ...]  # nodes
    array: str
    tensor: Tensor
    reads: Mapping[str, str]
    form: Mapping[str, Any] | None = None
    conv: bool = False  # whether the page has its convolution cell by cell
    whole: Mapping[str, Any] | None = None  # of a sum that several stages are together: op, form, reads, order of axes
    trail: tuple[Mapping[str, Any], ...] = ()  # of several stages that are told one by one: name, form, reads

    @property
    def facts(self) -> dict[str, Any]:
        """What the page's script is told."""
        found = {
            "name": self.name,
            "op": self.op,
            "inputs": self.inputs,
            "array": self.array,
            "shape": self.tensor.shape,
            "axes": self.tensor.axes,
            "dtype": str(self.tensor.dtype),
        }
        more = {"reads": self.reads, "form": self.form, "conv": self.conv, "whole": self.whole, "trail": self.trail}
        return {**found, **{name: value for name, value in more.items() if value}}


def graph_of(run: Run, spec: Spec, work: Work, convolutions: Mapping[str | None, Shown]) -> tuple[Node, ...]:
    """The graph of a run, in the order in which it is computed.

    Args:
        convolutions: those that the page has cell by cell, by layer.
    """
    tensors = {tensor.name: tensor for tensor in (*work.plan.given, *(step.makes for step in work.plan.steps))}
    if None in convolutions:
        first = given_node(spec, tensors["input"])
        return (first, convolution_node(convolutions[None], Subject(run, spec, work, (), None)))
    if spec.network is None:
        given = [given_node(spec, tensor) for tensor in work.plan.given]
        assert spec.conv is not None
        name, whole = whole_sum(Subject(run, spec, work, work.plan.steps, operation_of(spec.conv)))
        stages = stage_nodes(work.plan.steps, tensors, work.plan.rows_by_tensor)
        return (*given, *(replace(node, whole=whole) if node.name == name else node for node in stages))
    first = given_node(spec, tensors["input"])
    found = layer_nodes(spec.network, work, tensors, convolutions)
    return (first, *(with_sum(node, Subject(run, spec, work, (), None), convolutions) for node in found))


def convolution_node(shown: Shown, subject: Subject) -> Node:
    """A run's only convolution, under the name of the stage that makes its feature map."""
    name = shown.parts["feature_map"]
    step = next(step for step in shown.chain if step.name == name)
    whole = convolution_sum(shown, subject)
    ordered = whole and {**whole, "order": index_order(step.makes)}
    return Node(name, op_name(type(shown.operation)), ("input",), name, step.makes, {}, None, True, ordered)


def given_node(spec: Spec, tensor: Tensor) -> Node:
    """A given tensor."""
    return Node(tensor.name, source_of(spec, tensor).source, (), tensor.name, tensor, {})


def stage_nodes(steps: Sequence[Step], tensors: Mapping[str, Tensor], rows: Mapping[str, str]) -> Iterator[Node]:
    """Stages, each a node of its own."""
    for step in steps:
        inputs = tuple(dict.fromkeys(rows[name] for name in step.needs))
        yield Node(step.name, step.op, inputs, step.name, step.makes, reads_of(step, rows), form_of(step, tensors))


def layer_nodes(
    network: Mapping[str, Layer], work: Work, tensors: Mapping[str, Tensor], convolutions: Container[str | None]
) -> Iterator[Node]:
    """Layers: the stages of a convolution are one node."""
    rows, before = work.plan.rows_by_tensor, "input"
    for name, layer in network.items():
        step = next(step for step in work.plan.steps if step.makes.name == name)
        inputs, before = layer.inputs or (before,), name
        single = step.name == name
        reads, form = (reads_of(step, rows), form_of(step, tensors)) if single else ({}, None)
        yield Node(name, layer.op, inputs, rows[name], step.makes, reads, form, name in convolutions)


def with_sum(node: Node, subject: Subject, convolutions: Mapping[str | None, Shown]) -> Node:
    """A layer of several stages, which are a sum together."""
    if node.name in convolutions:
        return replace(node, whole=convolution_sum(convolutions[node.name], subject))
    operation = (subject.spec.network or {})[node.name].operation
    if not isinstance(operation, Convolving):
        return node if node.form else with_trail(node, subject)
    chain = tuple(step for step in subject.work.plan.steps if step.name.startswith(f"{node.name}/"))[:-1]
    name, whole = whole_sum(replace(subject, steps=chain, operation=operation))
    return replace(node, whole=whole and {**whole, "order": None}) if name == chain[-1].name else node


def with_trail(node: Node, subject: Subject) -> Node:
    """A layer whose stages are told one by one, such as a dense one that is quantised."""
    steps = tuple(step for step in subject.work.plan.steps if step.name.startswith(f"{node.name}/"))
    if not steps:
        return node
    rows = subject.work.plan.rows_by_tensor
    trail = [(step, reads_of(step, rows)) for step in chain_of(replace(subject, steps=steps)).trail]
    told = tuple({"name": step.name, "form": form_of(step, subject.tensors), "reads": reads} for step, reads in trail)
    arrays = dict.fromkeys(
        [*(step.name for step, _ in trail), *(name for _, reads in trail for name in reads.values())]
    )
    return replace(node, reads={name: name for name in arrays}, trail=told)


def convolution_sum(shown: Shown, subject: Subject) -> Mapping[str, Any] | None:
    """The sum that the stages of a convolution are together, if they are, and where the padded image comes from."""
    if "sums" in shown.parts or shown.sums.later or "feature_map" not in shown.parts:
        return None
    form, rows = shown.operation.sum_form(shown.sizes, shown.sums.bias), subject.work.plan.rows_by_tensor
    padding = next(step for step in shown.chain if step.name == shown.parts["padded"])
    before = (0, 0, *(pads[0] for pads in shown.sizes.pads))
    image = subject.tensors[padding.needs[0]]
    reads = {str(read.input): shown.parts[str(read.input)] for read in form.reads}
    found = {"op": "conv", "form": form.facts(), "reads": reads, "order": None}
    return {
        **found,
        "padded": {"array": shown.parts["padded"], "of": rows[image.name], "before": before, "sizes": image.shape},
    }


def whole_sum(subject: Subject) -> tuple[str, Mapping[str, Any] | None]:
    """The sum that the stages of an operation are together, and the name of the stage that has it."""
    rows, chain = subject.work.plan.rows_by_tensor, chain_of(subject)
    if not chain.whole or chain.forward:
        return "", None
    last, form = chain.trail[chain.whole - 1], chain.sum_form
    reads = {str(read.input): rows[chain.roles[str(read.input)]] for read in form.reads}
    op = op_name(type(chain.subject.operation)) if chain.subject.operation else ""
    return last.name, {"op": op, "form": form.facts(), "reads": reads, "order": index_order(last.makes)}


def reads_of(step: Step, rows: Mapping[str, str]) -> dict[str, str]:
    """The arrays that a step reads: main ones by their numbers, others by their roles."""
    mains = len(step.needs) - len(step.sides)
    return {
        **{str(number): rows[name] for number, name in enumerate(step.needs[:mains])},
        **{role: rows[name] for role, name in zip(step.sides, step.needs[mains:], strict=True)},
    }


def form_of(step: Step, tensors: Mapping[str, Tensor]) -> Mapping[str, Any] | None:
    """How a cell of what a step makes comes about, if somebody has said that."""
    read = [tensors[name] for name in step.needs]
    mains = len(read) - len(step.sides)
    found = step.operation.form(*read[:mains], **dict(zip(step.sides, read[mains:], strict=True)))
    return None if found is None else found.facts()
