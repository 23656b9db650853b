"""One cell of one stage or layer: the formula that it comes of, with its numbers, and whether it is what is stored."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
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

    def line(self, first: str) -> str:
        """It as one line; `first` stands before it."""
        from convpipe.report.cell_text import verdict

        return f"{first}{self.text} = {short(self.total)}, {verdict(self)}"


def stage_cell(step: Step, form: Form, arrays: Mapping[str, Array], at: Sizes) -> StageCell:
    """One cell of a stage, given the arrays that it read and made."""
    inputs, made = inputs_of(step), arrays[step.makes.name]

    def value_at(source: Input, cell: Sizes) -> Any:
        return arrays[inputs[source]][cell].item()

    total, text = form.value(at, value_at), form.text(at, value_at, inputs.__getitem__)
    overflow: Overflow = getattr(step.operation, "overflow", "error")
    bound = stage_bound(step, arrays, at)
    return StageCell(step.name, text, total, made[at].item(), made.dtype, overflow, bound, form.moves)


def inputs_of(step: Step) -> dict[Input, str]:
    """The names of the tensors that a step reads: main ones by number, others by role."""
    mains = step.needs[: len(step.needs) - len(step.sides)]
    return {**dict(enumerate(mains)), **dict(zip(step.sides, step.needs[len(mains) :], strict=True))}


def stage_bound(step: Step, arrays: Mapping[str, Array], at: Sizes) -> float:
    """How far a right run's cell may lie from what the formula comes to."""
    made = arrays[step.makes.name]
    if made.dtype.kind != "f":
        return 0.0
    mains = len(step.needs) - len(step.sides)
    read = [Bounded.exactly(arrays[name]) for name in step.needs]
    if step.key and step.makes.axes[:1] == ("N",) and step.name == step.makes.name:  # a layer keeps images apart
        one = slice(at[0], at[0] + 1)
        made, at = made[one], (0, *at[1:])
        read[:mains] = [Bounded.exactly(each.values[one]) for each in read[:mains]]
    with np.errstate(all="ignore"):
        error = step.operation.error(made, *read[:mains], **dict(zip(step.sides, read[mains:], strict=True)))
    if error is None or not np.asarray(error)[at] < np.inf:
        return math.inf
    return float(2 * SPARE * np.asarray(error)[at])
