"""Cells of single stages of a run, at their own indices: what they are made of, and which pixel they lead to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from convpipe.archive.read import Run
from convpipe.config.read import read_archived
from convpipe.errors import ConfigError, did_you_mean, first_few
from convpipe.execution.planned import planned_work
from convpipe.geometry.axes import kernel_letters, out_letters
from convpipe.graph.step import Step
from convpipe.ops.kinds.convolving import ConvStage
from convpipe.report.cell import check_indices
from convpipe.report.chain import Chain, chain_of
from convpipe.report.entry import Entry, entry_at, entry_of
from convpipe.report.story import Story
from convpipe.report.subject import Subject
from convpipe.tensors import Sizes, Tensor

MOST_NAMES = 24  # that an error lists


def stage_cell(run: Run, at: Sequence[int], stage: str, layer: str | None = None) -> Story | Entry:
    """One cell of a stage, or of a given tensor, taken apart.

    Raises:
        ConfigError: a stage or a cell that is not there, or an operation that says nothing of its cells.
        ArchiveError: what has to be made again is not what was archived.
    """
    name, subject = staged(run, stage, layer)
    tensor = tensor_of(subject, name)
    if not subject.steps:
        check_indices(at, tensor.axes, tensor.shape, name)
        return entry_of(name, tensor, subject.arrays([tensor.name])[tensor.name], at)
    index, chain = subject.index(at), chain_of(subject)
    story = chain.cell(at, index)
    assert isinstance(story, Story)  # as the subject is no convolution
    return replace(story, notes=(*decoded(subject, index), *origin(chain, index)))


def located(
    run: Run, address: int, stage: str | None = None, layer: str | None = None, layout: str | None = None
) -> Entry:
    """What lies at an address of a stage's array, by default of the input; addresses are counted in cells.

    Raises:
        ConfigError: a stage, a layout or an address that is not there.
        ArchiveError: what has to be made again is not what was archived.
    """
    name, subject = staged(run, stage or "input", layer)
    tensor = tensor_of(subject, name)
    return entry_at(name, tensor, subject.arrays([tensor.name])[tensor.name], address, layout)


def staged(run: Run, stage: str, layer: str | None) -> tuple[str, Subject]:
    """A stage by its name in stages.csv, and the steps that lead to it within its convolution; none to a given tensor.

    Raises:
        ConfigError: no such stage.
    """
    spec = read_archived(run)
    if spec.network is None and layer is not None:
        raise ConfigError("--layer", layer, "no layer, as the run is a single convolution")
    work = planned_work(run, spec)
    rows = work.plan.rows_by_tensor
    names = list(rows.values())
    known = {**dict(zip(names, names, strict=True)), **rows, "output": names[-1]}  # of a tensor, the stage that made it
    within = stage if layer is None else f"{layer}/{stage}"
    got = within if within in known or stage not in known else stage
    if got not in known:
        raise ConfigError("--stage", got, f"a stage: one of {first_few(names, MOST_NAMES)}", did_you_mean(got, names))
    name = known[got]
    steps = [step.name for step in work.plan.steps]
    last = steps.index(name) + 1 if name in steps else 0
    prefix = name.rpartition("/")[0]
    alone = spec.network is not None and not prefix
    chain = work.plan.steps[last - 1 : last] if alone else work.plan.steps[:last]
    own = tuple(step for step in chain if step.name.rpartition("/")[0] == prefix)
    return name, Subject(run, spec, work, own, None, as_stored=True)


def tensor_of(subject: Subject, name: str) -> Tensor:
    """The tensor of a stage."""
    if subject.steps:
        return subject.steps[-1].makes
    rows = subject.work.plan.rows_by_tensor
    return next(tensor for tensor in subject.tensors.values() if rows[tensor.name] == name)


# What is said below


def decoded(subject: Subject, index: Sizes) -> Iterator[str]:
    """The indices that an index of several axes is made of: row 5 is n=0, out_h=1, out_w=2."""
    sizes = letter_sizes(subject)
    told = []
    for letters, place in zip(subject.made.axes, index, strict=True):
        each = letters.split("*")
        if len(each) > 1 and all(letter in sizes for letter in each):
            found = np.unravel_index(place, [sizes[one] for one in each])
            told.append(f"{letters.lower()}={place} is {named(each, list(map(int, found)))}")
    if told:
        yield "; ".join(told)


def letter_sizes(subject: Subject) -> dict[str, int]:
    """How many there are of what each letter counts, in the convolution that a stage belongs to."""
    steps = [step.operation for step in subject.work.plan.steps if same_chain(step, subject.steps[-1])]
    sizes = next((each.conv.sizes for each in steps if isinstance(each, ConvStage)), None)
    if sizes is None:
        return {}
    depth = sizes.channels // sizes.groups
    out = dict(zip(out_letters(sizes.rank), sizes.out, strict=True))
    kernel = dict(zip(kernel_letters(sizes.rank), sizes.kernel, strict=True))
    return {"N": sizes.batch, "C": sizes.channels, "C/G": depth, "F": sizes.filters, **out, **kernel}


def same_chain(step: Step, other: Step) -> bool:
    """Whether two steps belong to the same convolution."""
    return step.name.rpartition("/")[0] == other.name.rpartition("/")[0]


def named(letters: Sequence[str], place: Sequence[int]) -> str:
    """Indices with their letters: c=1, kh=0."""
    return ", ".join(f"{letter.lower()}={index}" for letter, index in zip(letters, place, strict=True))


def origin(chain: Chain, index: Sizes) -> Iterator[str]:
    """Which pixel, or padding, a cell leads to that is a copy of it, or made of one alone."""
    first, form = chain.trail[0], chain.forms[0]
    if not form.follows_one and not form.moves:
        return
    places = chain.places(index)
    [read] = [read for read in form.reads if read.name == "x"]
    source = chain.subject.tensors[first.needs[0] if isinstance(read.input, int) else first.needs[-1]]
    letters = [axis.split("/")[0] for axis in source.axes]
    if len(places) < len(chain.trail):  # the cell before is padding that is not there
        return
    [cells] = [each for each in form.cells(places[0]) if each.name == "x"]
    if cells.cells[0] is not None:
        copied = ", which padding repeats" if cells.padding[0] else ""
        yield f"it is {source.name} at {named(letters, cells.cells[0])}{copied}"
    elif not read.merged:
        outside = [int(place.at(places[0]) or 0) for place in read.places]
        yield f"it is padding: {source.name} has nothing at {named(letters, outside)}"
