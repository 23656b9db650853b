"""What an archive's arrays are held against, and how far they may be from that: its output, or each layer of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from convpipe.archive.format import OUTPUT
from convpipe.archive.read import Run
from convpipe.execution.bounds import BoundedResult, bounded_run, without_rule
from convpipe.execution.inputs import make_arrays
from convpipe.graph.plan import Plan
from convpipe.graph.spec import Spec
from convpipe.graph.step import Step
from convpipe.graph.work import Work, plan_images, plan_work
from convpipe.tensors import Array

LARGEST_BOUND = 2e-2  # of an array's largest value: what is allowed to differ by more says nothing
FEW_IMAGES = 16  # of a network at a time, as errors and magnitudes take several times the memory of a run


@dataclass(frozen=True)
class Margin:
    """How near an array is to its bound, and how large that is."""

    stage: str
    excess: float
    relative: float
    advice: str

    @property
    def undecided(self) -> bool:
        """Whether so much is allowed that to be within it says nothing."""
        return self.relative > LARGEST_BOUND


@dataclass(frozen=True)
class Check:
    """An archived array beside a repeat's, and the largest right difference of each cell."""

    stage: str
    old: Array
    new: Array
    allowed: Array  # 0 where every machine gives the same bits, infinity where nothing is known
    advice: str = ""  # what helps where too much is allowed
    local: bool = False  # whether the new one was made of what is archived before it

    @cached_property
    def excesses(self) -> Array:
        """Each difference in units of what is allowed in its cell (1 is the limit)."""
        return cell_excesses(self.old, self.new, self.allowed)

    @property
    def excess(self) -> float:
        """The largest of them."""
        return float(self.excesses.max()) if self.excesses.size else 0.0

    @property
    def relative(self) -> float:
        """The most that is allowed anywhere, in units of the array's largest value."""
        most = float(self.allowed.max(initial=0))
        values = np.abs(self.old.astype(np.float64))
        largest = float(values.max(initial=0, where=np.isfinite(values)))
        return most / largest if largest else (np.inf if most else 0.0)

    @property
    def margin(self) -> Margin:
        """What is to be said of it where it is within its bound."""
        return Margin(self.stage, self.excess, self.relative, self.advice)


def cell_excesses(old: Array, new: Array, allowed: Array) -> Array:
    """The difference of each cell, in units of what is allowed in it.

    NaN is equal to NaN; 0.0 and -0.0 are different bits, which counts only where nothing at all is allowed.

    >>> cell_excesses(np.array([1.0, np.nan]), np.array([1.5, np.nan]), np.array([0.25, 0])).tolist()
    [2.0, 0.0]
    """
    same = ((old == new) & (np.signbit(old) == np.signbit(new))) | (np.isnan(old) & np.isnan(new))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        excess = np.abs(old.astype(np.float64) - new.astype(np.float64)) / allowed
    # what is no number: a difference where none is allowed, of 0.0 and -0.0, or of infinities
    return np.where(same | np.isposinf(allowed), 0, np.nan_to_num(excess, nan=np.inf, posinf=np.inf))


def checks(then: Run, now: Run, spec: Spec) -> Iterator[Check]:
    """All that is to be held against an archive.

    Where it keeps stages, each is made again of those kept before it, and may differ by its own roundings alone. Else
    the output of the repeat is compared, and what may differ grows from stage to stage. So it is of images whose
    stages are not recorded.

    Args:
        then: the archive.
        now: its repeat.
        spec: of both.
    """
    work = plan_work(spec)
    arrays = make_arrays(spec, work)
    layers = any(row["file"] not in ("", OUTPUT) for row in then.rows)
    if layers:
        yield from kept_stages(then, work, arrays)
    if not layers or work.recorded < work.batch:
        yield output_check(then, now, spec, work, arrays)


def kept_stages(then: Run, work: Work, arrays: Mapping[str, Array]) -> Iterator[Check]:
    """Each stage whose array is archived, made again of the arrays before it."""
    files = {row["stage"] for row in then.rows if row["file"]}

    def archived(step: Step) -> Array | None:
        name = next((name for name in (step.name, step.makes.name) if name in files), None)
        return None if name is None else then.array(name)

    recorded = {name: array[: work.recorded] if name == "input" else array for name, array in arrays.items()}
    for result in bounded_run(work.plan, recorded, archived):
        if result.archived is not None:
            old, new = result.archived, result.made.values
            yield Check(result.step.name, old, new, result.allowed, advice(work.plan), local=True)


def output_check(then: Run, now: Run, spec: Spec, work: Work, arrays: Mapping[str, Array]) -> Check:
    """The output of the whole batch, by all errors from the input on."""
    stage = then.rows[-1]["stage"]
    if spec.network is None:
        *_, last = bounded_run(work.plan, arrays)
        return Check(stage, then.output, now.output, last.allowed, advice(work.plan))
    keep = "keep=layers" if work.recorded == work.batch else "keep=layers record=null"
    how = f"run it with {keep}: then each layer is held against a bound of its own"
    allowed = np.concatenate([part.allowed for part in in_slices(spec, work, arrays)])
    return Check(stage, then.output, now.output, allowed, advice(work.plan) or how)


def in_slices(spec: Spec, work: Work, arrays: Mapping[str, Array]) -> Iterator[BoundedResult]:
    """The last results of a network on a few images at a time: images do not depend on each other."""
    plans: dict[int, Plan] = {}
    for start in range(0, max(1, work.batch), FEW_IMAGES):
        part = arrays["input"][start : start + FEW_IMAGES]
        if len(part) not in plans:
            plans[len(part)] = plan_images(spec, work.plan.given[0], len(part))
        *_, last = bounded_run(plans[len(part)], {**arrays, "input": part})
        yield last


def advice(plan: Plan) -> str:
    """Why nothing may be known of a plan's errors, if that is so."""
    op = without_rule(plan)
    return f"there is no bound for these floats, as {op} has no rule for errors" if op else ""
