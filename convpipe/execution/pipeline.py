"""Running a plan: a loop over its steps, timed. It knows no disk, no config and no geometry."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter

from convpipe.graph.plan import Plan
from convpipe.graph.step import Step
from convpipe.ops.arrays.narrowing import Counts
from convpipe.tensors import Array

Tally = dict[str, Counts]  # by stage


@dataclass(frozen=True)
class StageResult:
    """What one step made, and how long each repeat took."""

    step: Step
    array: Array
    seconds: tuple[float, ...]
    counts: Counts | None = None  # what rounding and narrowing did, of a stage that counts


def run(plan: Plan, arrays: Mapping[str, Array], repeats: int = 1) -> Iterator[StageResult]:
    """Run a plan step by step, giving each result as it is made.

    Args:
        arrays: the plan's given tensors, by name. They are read, never changed.
        repeats: how often each step is run and timed.

    A tensor is let go after the last step that reads it, so take what you need of a result before the next.
    """
    tensors = dict(arrays)
    del arrays  # or the input would stay as long as this generator
    for position, step in enumerate(plan.steps):
        operands = [tensors[name] for name in step.needs]
        seconds = []
        for _ in range(repeats):
            tensors.pop(step.makes.name, None)
            start = perf_counter()
            tensors[step.makes.name], counts = step.counted(*operands)
            seconds.append(perf_counter() - start)
        del operands
        yield StageResult(step, tensors[step.makes.name], tuple(seconds), counts)
        for name in step.needs:
            if plan.last_uses[name] == position:
                tensors.pop(name, None)


def output(plan: Plan, arrays: Mapping[str, Array], tally: Tally | None = None) -> Array:
    """Run a plan for its last result alone; what stages count is added to a tally."""
    for result in run(plan, arrays):
        array = result.array
        add(tally, result)
    return array


def add(tally: Tally | None, result: StageResult) -> None:
    """Add what a stage has counted to what it had before."""
    if tally is not None and result.counts is not None:
        tally[result.step.name] = tally.get(result.step.name, Counts()).joined(result.counts)
