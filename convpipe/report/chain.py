"""The stages that lead to a cell, from the sum that it starts with: worked out once, then asked for one cell or all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import numpy as np

from convpipe.execution.bounds import bounded_run
from convpipe.geometry.columns import Patch
from convpipe.geometry.convolution import ConvGeometry
from convpipe.graph import lowerings
from convpipe.graph.plan import Plan
from convpipe.graph.step import Step
from convpipe.ops import OPERATIONS, Form
from convpipe.ops.arrays.overflow import Overflow
from convpipe.ops.arrays.taps import in_usual_order
from convpipe.ops.center import Center
from convpipe.ops.center_filters import zeros_taken
from convpipe.ops.kinds.convolving import Convolving, ConvStage, SumStage
from convpipe.ops.kinds.operation import op_name
from convpipe.report.accumulated import Held
from convpipe.report.cell import Cell, Rule, cell_of
from convpipe.report.stage_cell import StageCell, StageCells, inputs_of
from convpipe.report.story import Story, box_of
from convpipe.report.subject import Subject, index_order
from convpipe.report.sum_cell import Sum, sum_of_form
from convpipe.tensors import Array, Sizes


@dataclass(frozen=True)
class Chain:
    """The steps of which each makes a cell of one cell of the step before; the first may make its own of many.

    The first `whole` of them are one sum: that of the operation whose chain it is. 0 where they are not.
    """

    subject: Subject
    trail: tuple[Step, ...]
    whole: int

    @cached_property
    def forms(self) -> list[Form]:
        """How the cells of the trail come about."""
        return [self.subject.form(step) for step in self.trail]

    @cached_property
    def sizes(self) -> ConvGeometry:
        """Of the convolution whose chain it is."""
        return next(step.operation.conv.sizes for step in self.subject.steps if isinstance(step.operation, ConvStage))

    @cached_property
    def patch(self) -> Patch:
        """What a row of its columns holds."""
        return next(step.operation.conv.patch for step in self.subject.steps if isinstance(step.operation, ConvStage))

    @cached_property
    def roles(self) -> dict[str, str]:
        """The tensors of the chain by role, and the padded image."""
        found = dict[str, str]()
        for step in self.subject.steps:
            found |= {role: name for role, name in inputs_of(step).items() if isinstance(role, str)}
            if type(step.operation).result == "padded":
                found["padded"] = step.makes.name
        return {"input": found.get("grad", ""), **found}  # what a transposed convolution convolves has that role, too

    @cached_property
    def sum_form(self) -> Form:
        """How a cell of the first stages together comes about."""
        assert self.subject.operation is not None
        return self.subject.operation.sum_form(self.sizes, "bias" in self.sides)

    @property
    def sides(self) -> set[str]:
        """The roles that the first stages read."""
        return {role for step in self.trail[: self.whole] for role in step.sides}

    @property
    def forward(self) -> bool:
        """Whether its first stages are a convolution, whose sum is told as the lecture does."""
        return self.whole > 0 and self.subject.operation is not None and not self.subject.operation.backward

    @cached_property
    def met(self) -> tuple[str, int]:
        """What the filters of a convolution meet, and the zero point that is taken from it before they do.

        That is a padded image, or columns where no image has them.
        """
        makers = {step.makes.name: step for step in self.subject.steps}
        first = name = self.trail[0].needs[0]
        zero_point = 0
        while self.subject.tensors[name].shape != self.sizes.padded_shape:
            maker = makers.get(name)
            if maker is not None and isinstance(maker.operation, Center):
                zero_point += maker.operation.zero_point
            elif maker is None or not self.subject.form(maker).moves:
                return first, 0
            name = maker.needs[0]
        return name, zero_point

    @property
    def image(self) -> str:
        """What the filters of a convolution meet."""
        return self.met[0]

    def filter_zero(self, f: int) -> int:
        """The zero point that is taken from the weights of a filter."""
        zeros = zeros_taken(step.operation for step in self.subject.steps)
        return int(zeros[f if len(zeros) > 1 else 0])

    @property
    def held(self) -> Held | None:
        """The accumulator of its sums, where a dtype and a rule do not say it all."""
        operations = [step.operation for step in self.trail[: self.whole]]
        found = [each.accumulator for each in operations if isinstance(each, SumStage) and each.accumulator]
        return Held(found[-1], self.sizes.channels // self.sizes.groups, self.sizes.kernel) if found else None

    @cached_property
    def arrays(self) -> dict[str, Array]:
        """All that the cells are made of, by tensor."""
        rest = self.trail[self.whole :]
        names = {name for step in rest for name in (*step.needs, step.makes.name)}
        if self.forward:
            roles = [self.image, self.roles["filters"], *([self.roles["bias"]] if "bias" in self.sides else [])]
            names |= {*roles, self.trail[self.whole - 1].makes.name}
        elif self.whole:
            names |= {self.roles[str(read.input)] for read in self.sum_form.reads}
            names.add(self.trail[self.whole - 1].makes.name)
        return self.subject.arrays(names)

    @cached_property
    def stage_cells(self) -> StageCells:
        """What makes the cells of single stages."""
        return StageCells(self.arrays)

    def cell(self, at: Sequence[int], index: Sizes) -> Cell | Story:
        """One cell explained: `at` as it was asked for, `index` in the array of the last step."""
        places = self.places(index)
        skipped = len(self.trail) - len(places)  # beyond them the cell is padding
        first = max(self.whole, skipped)
        rest = zip(self.trail[first:], self.forms[first:], places[first - skipped :], strict=True)
        sums = self.sums_of(places[0]) if self.forms[0].blocks and not self.whole else None
        stages = [self.stage_cells.cell(step, form, place, sums) for step, form, place in rest]
        story = Story(tuple(at), self.subject.letters, self.made_by(index), tuple(stages), sums=sums)
        if self.whole <= skipped:
            return story
        if not self.forward:
            return self.summed(story, places[self.whole - 1 - skipped])
        cell, pixels = self.convolved(places), self.pixels
        return replace(story, cell=cell, pixels=pixels) if stages or pixels else cell

    def places(self, index: Sizes) -> list[Sizes]:
        """The cell of each step of the trail that leads to a cell of the last; none before padding."""
        found = [index]
        for form in reversed(self.forms[1:]):
            [main] = [read for read in form.cells(found[0]) if read.input == 0]
            if main.cells[0] is None:
                break
            found.insert(0, main.cells[0])
        return found

    def made_by(self, index: Sizes) -> str:
        """The last operation, and the cells that it has read."""
        step, form, roles = self.trail[-1], self.forms[-1], {**inputs_of(self.trail[-1])}
        if self.whole == len(self.trail) and not self.forward:
            assert self.subject.operation is not None
            form, place = self.sum_form, self.as_map(step, index)
            reads = [read for read in form.cells(place) if read.name == "x"]
            of = [box_of(self.roles[str(read.input)], read.cells) for read in reads]
            return f"{op_name(type(self.subject.operation))} of {', '.join(of)}"
        reads = [read for read in form.cells(index) if isinstance(read.input, int) and read.name != "own"]
        of = [box_of(roles[read.input], read.cells) for read in reads] or list(step.needs)
        return f"{step.op} of {', '.join(of)}"

    # The sum of a convolution

    def convolved(self, places: Sequence[Sizes]) -> Cell:
        """The sum of pixels times weights that a convolution's cell is."""
        sizes, last = self.sizes, self.trail[self.whole - 1]
        stored = np.asarray(self.arrays[last.makes.name][places[self.whole - 1]])
        *place, f = places[0]
        n, *position = map(int, np.unravel_index(place[0], (sizes.batch, *sizes.out))) if len(place) == 1 else place
        rules = rules_of(self.trail[: self.whole])
        image, filters = self.arrays[self.image], self.arrays[self.roles["filters"]]
        columns = image.shape != sizes.padded_shape
        cell = cell_of(
            sizes,
            np.broadcast_to(np.zeros((), image.dtype), sizes.padded_shape) if columns else image,
            filters,
            self.arrays[self.roles["bias"]] if "bias" in self.sides else None,
            np.broadcast_to(stored, sizes.feature_map_shape),
            (n, f, *position),
            rules[-1][0],
            rules[-2][0:2] if len(rules) > 1 else None,
        )
        return self.quantised(of_columns(cell, image[place[0]], self.patch) if columns else cell)

    def quantised(self, cell: Cell) -> Cell:
        """The cell with its zero points, and with the accumulator that its sum is made in."""
        zeros, held = (self.met[1], self.filter_zero(cell.indices[1])), self.held
        channels = tuple(replace(each, zero_points=zeros) for each in cell.channels)
        rule = cell.overflow if held is None else held.accumulator.overflow
        return replace(cell, channels=channels, held=held, overflow=cast(Overflow, rule))

    @cached_property
    def pixels(self) -> str:
        """The stage that makes what the filters meet, if that is more than an image laid out."""
        makers = {step.makes.name: step for step in self.subject.steps}
        name, steps = self.image, list[Step]()
        while name in makers:
            steps.append(makers[name])
            name = makers[name].needs[0]
        return next((step.name for step in steps if not type(step.operation).linear), "")

    # Other sums

    def summed(self, story: Story, place: Sizes) -> Story:
        """The sum that the first stages together are, with what comes after it."""
        last = self.trail[self.whole - 1]
        at = self.as_map(last, place)
        sums = sum_of_form(self.sum_form, at, lambda role, cell: self.arrays[self.roles[str(role)]][cell].item())
        made = self.arrays[last.makes.name]
        bound = float(self.allowed[place]) if made.dtype.kind == "f" else 0.0
        rule = rules_of(self.trail[: self.whole])[-1][0]
        first = StageCell(last.name, sums.text, sums.total, made[place].item(), made.dtype, rule, bound, moves=False)
        return replace(story, sums=sums, stages=(first, *story.stages))

    @cached_property
    def allowed(self) -> Array:
        """How far right runs may be apart in each cell of those stages' result, by the rules of their operations."""
        last = self.trail[self.whole - 1].makes.name
        given = {name: array for name, array in self.arrays.items() if name in self.roles.values()}
        needed, steps = {last}, list[Step]()
        for step in reversed(self.subject.steps):
            if step.makes.name in needed and step.makes.name not in given:
                steps.insert(0, step)
                needed |= {*step.needs}
        return next(
            result.allowed for result in bounded_run(Plan((), tuple(steps)), given) if result.step.makes.name == last
        )

    def sums_of(self, place: Sizes) -> Sum:
        """The sum that a layer alone is."""
        inputs = inputs_of(self.trail[0])
        return sum_of_form(self.forms[0], place, lambda source, cell: self.arrays[inputs[source]][cell].item())

    def as_map(self, step: Step, place: Sizes) -> Sizes:
        """The indices of a cell of a step in the order n, f, y, x."""
        return tuple(place[axis] for axis in index_order(step.makes))


def chain_of(subject: Subject) -> Chain:
    """The steps that lead to a subject's cells."""
    makers = {step.makes.name: step for step in subject.steps}
    trail = [subject.steps[-1]]
    while subject.form(trail[0]).follows_one and trail[0].needs[0] in makers:
        trail.insert(0, makers[trail[0].needs[0]])
    return Chain(subject, tuple(trail), whole_of(subject, trail))


def whole_of(subject: Subject, trail: Sequence[Step]) -> int:
    """How many steps of the trail are the sum of its operation: those as far as they only add and move."""
    operation = subject.operation
    if operation is None:
        return 0
    if operation.backward:
        first = result_of(operation, subject.steps, trail)
    else:
        first = 0 if any(read.name == "w" for read in subject.form(trail[0]).reads) else len(trail)
    if first >= len(trail):
        return 0
    ends = (at for at in range(first + 1, len(trail)) if not type(trail[at].operation).linear)
    return next(ends, len(trail))


def result_of(operation: Convolving, steps: Sequence[Step], trail: Sequence[Step]) -> int:
    """Where on the trail an adjoint's result is made by stages that only add and move; beyond it where it is not."""
    last = lowerings.chain(op_name(type(operation)))[-1].op
    result = OPERATIONS.get("stages", last).result
    at = next((at for at, step in enumerate(trail) if type(step.operation).result == result), len(trail))
    if at < len(trail) and all(type(step.operation).linear for step in steps[: [*steps].index(trail[at])]):
        return at
    return len(trail)


def rules_of(steps: Sequence[Step]) -> list[Rule]:
    """The rule for overflow, and the dtype, of each stage that adds up: a stage may have a rule of its own."""
    rules = [(getattr(step.operation, "overflow", None), step.makes.dtype) for step in steps]
    return [(overflow, dtype) for overflow, dtype in rules if overflow is not None]


def of_columns(cell: Cell, row: Array, patch: Patch) -> Cell:
    """A convolution's cell whose pixels stand in a row of columns, and in no image."""
    planes = in_usual_order(row[None], patch).reshape(patch.channels, *patch.kernel)
    return replace(cell, channels=tuple(replace(each, pixels=planes[each.number]) for each in cell.channels))
