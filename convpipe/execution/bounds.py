"""How far right runs of a plan may be apart: beside every tensor its errors, each operation by its own rule."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from convpipe.graph.plan import Plan
from convpipe.graph.step import Step
from convpipe.ops import Operation
from convpipe.ops.arrays.bounds import Bounded, float_bound as float_bound, known, no_error
from convpipe.tensors import Array

SPARE = 1 + 2.0**-20  # errors are themselves made in float64, whose roundings this covers


@dataclass(frozen=True)
class BoundedResult:
    """What one step made, and how far any right run may be from the true values."""

    step: Step
    made: Bounded
    archived: Array | None = None  # its array as an archive keeps it

    @property
    def allowed(self) -> Array:
        """The largest right difference of each cell: two right runs lie on both sides of the true value."""
        return 2 * SPARE * self.made.error


def nothing_kept(step: Step) -> Array | None:
    """No array is archived."""
    return None


def bounded_run(
    plan: Plan, arrays: Mapping[str, Array], archived: Callable[[Step], Array | None] = nothing_kept
) -> Iterator[BoundedResult]:
    """Run a plan step by step, giving each result with its errors.

    Args:
        arrays: the plan's given tensors, by name: they are the same everywhere.
        archived: gives a step's array as an archive keeps it, or None. Later steps read that: it is what it is, and
            so no error before it counts.
    """
    tensors = {name: Bounded.exactly(array) for name, array in arrays.items()}
    for position, step in enumerate(plan.steps):
        operands = [tensors[name] for name in step.needs]
        values = step.run(*(each.values for each in operands))
        made = Bounded(values, step_error(step, values, operands))
        kept = archived(step)
        yield BoundedResult(step, made, kept)
        tensors[step.makes.name] = made if kept is None else Bounded.exactly(kept)
        for name in step.needs:
            if plan.last_uses[name] == position:
                tensors.pop(name, None)


def step_error(step: Step, made: Array, operands: Sequence[Bounded]) -> Array:
    """How far each cell of a step's result may lie from its true value; infinity where no rule says that."""
    same = all(each.exact for each in operands)
    if same and (made.dtype.kind != "f" or (not type(step.operation).varies and has_rule(step.operation))):
        return no_error(made.shape)  # of the same bits every machine makes the same
    mains = len(operands) - len(step.sides)
    sides = dict(zip(step.sides, operands[mains:], strict=True))
    with np.errstate(all="ignore"):
        error = step.operation.error(made, *operands[:mains], **sides)
        return np.full(made.shape, np.inf) if error is None else known(error)


def has_rule(operation: Operation) -> bool:
    """Whether an operation says what becomes of errors."""
    return type(operation).moves or type(operation).error is not Operation.error


def without_rule(plan: Plan) -> str:
    """The first operation of a plan that does not; or nothing."""
    return next((step.op for step in plan.steps if not has_rule(step.operation)), "")
