"""One cell of one stage or layer: the formula that it comes of, with its numbers, and whether it is what is stored."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from convpipe.execution.bounds import SPARE
from convpipe.graph.step import Step
from convpipe.ops import Form
from convpipe.ops.arrays.bounds import Bounded
from convpipe.ops.arrays.overflow import Overflow
from convpipe.ops.kinds.forms import Input
from convpipe.ops.kinds.formulas import as_float, short
from convpipe.report.cell import ruled
from convpipe.report.sum_cell import Sum
from convpipe.tensors import Array, Sizes


@dataclass(frozen=True)
class StageCell:
    """One cell of a stage's output.

    `bound` is how far a right run's may lie from `total`, by the rule of its operation: infinity where it has none.
    """

    name: str
    text: str
    total: Any  # what the formula comes to: an int, a fraction, or a float that is not finite
    stored: Any
    dtype: np.dtype[Any]
    overflow: Overflow
    bound: float
    moves: bool  # whether it is a copy of another cell
    steps: tuple[tuple[str, str], ...] = ()  # what is told on the way: words, and a formula with what it comes to

    @property
    def agrees(self) -> bool:
        """Whether the formula comes to what is stored: of floats, within their bound and one rounding."""
        if self.dtype.kind in "iu":
            return isinstance(self.total, int) and ruled(self.total, (self.overflow, self.dtype)) == self.stored
        if self.by_rule:
            return True
        if isinstance(self.total, float) or not math.isfinite(self.stored):
            return self.total == self.stored or (math.isnan(self.total) and math.isnan(self.stored))
        if math.isinf(self.bound):
            return True
        rounded = float(np.spacing(self.dtype.type(abs(self.stored)))) / 2
        return bool(abs(Fraction(self.total) - Fraction(self.stored)) <= Fraction(self.bound) + Fraction(rounded))

    @property
    def by_rule(self) -> bool:
        """Whether what is stored is what the rule for overflow gives for a number beyond the dtype."""
        if self.dtype.kind != "f" or isinstance(self.total, float) or self.overflow == "error":
            return False
        most, total = float(np.finfo(self.dtype).max), as_float(self.total)
        there = self.stored * total > 0 and (abs(total) > most or math.isinf(self.bound))
        return there and abs(self.stored) == (most if self.overflow == "saturate" else math.inf)

    def lines(self, first: str) -> Iterator[str]:
        """A line for each step, and one for it all; `first` stands before that, the stage's name before the others."""
        yield from (f"{self.name}, {words}: {text}" for words, text in self.steps)
        yield self.line(first)

    def line(self, first: str) -> str:
        """It as one line; `first` stands before it."""
        from convpipe.report.cell_text import verdict

        return f"{first}{self.text} = {short(self.total)}, {verdict(self)}"


@dataclass(frozen=True)
class StageCells:
    """The cells of stages, given all arrays that these read and make, by tensor."""

    arrays: Mapping[str, Array]
    errors: dict[tuple[str, int], Array | None] = field(default_factory=dict)  # by stage and image, as they are asked

    def cell(self, step: Step, form: Form, at: Sizes, sums: Sum | None = None) -> StageCell:
        """One cell of a stage, which may be a sum that is told in blocks."""
        inputs, made = inputs_of(step), self.arrays[step.makes.name]

        def value_at(source: Input, cell: Sizes) -> Any:
            return self.arrays[inputs[source]][cell].item()

        total = sums.total if sums else form.value(at, value_at)
        text = sums.text if sums else form.text(at, value_at, inputs.__getitem__)
        overflow: Overflow = getattr(step.operation, "overflow", "error")
        bound = self.bound(step, at) if made.dtype.kind == "f" else 0.0
        steps = tuple(form.told_steps(at, value_at))
        return StageCell(step.name, text, total, made[at].item(), made.dtype, overflow, bound, form.moves, steps)

    def bound(self, step: Step, at: Sizes) -> float:
        """How far a right run's cell may lie from what the formula comes to."""
        alone = bool(step.key) and step.makes.axes[:1] == ("N",) and step.name == step.makes.name
        image = at[0] if alone else -1  # a layer keeps the images of a batch apart
        if (step.name, image) not in self.errors:
            self.errors[step.name, image] = self.error(step, slice(image, image + 1) if alone else slice(None))
        error = self.errors[step.name, image]
        found = np.inf if error is None else error[(0, *at[1:]) if alone else at]
        return float(2 * SPARE * found) if found < np.inf else math.inf

    def error(self, step: Step, images: slice) -> Array | None:
        """How far the cells of some images of a right run may lie from the true ones; None where no rule says that."""
        mains = len(step.needs) - len(step.sides)
        read = [self.arrays[name] for name in step.needs]
        bounded = [Bounded.exactly(each[images] if at < mains else each) for at, each in enumerate(read)]
        sides = dict(zip(step.sides, bounded[mains:], strict=True))
        with np.errstate(all="ignore"):
            return step.operation.error(self.arrays[step.makes.name][images], *bounded[:mains], **sides)


def inputs_of(step: Step) -> dict[Input, str]:
    """The names of the tensors that a step reads: main ones by number, others by role."""
    mains = step.needs[: len(step.needs) - len(step.sides)]
    return {**dict(enumerate(mains)), **dict(zip(step.sides, step.needs[len(mains) :], strict=True))}
