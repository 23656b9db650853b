"""An archived run's arrays one after another, so that few are in memory at once, and as far as they can be had."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from convpipe.archive.read import Run
from convpipe.errors import ConvpipeError
from convpipe.execution.inputs import given_array
from convpipe.execution.planned import check_fits
from convpipe.execution.remake import check_arrays, stage_rows
from convpipe.execution.threads import blas_threads
from convpipe.files.npy import array_sha256
from convpipe.graph.plan import Plan
from convpipe.graph.spec import Spec
from convpipe.graph.step import Step
from convpipe.graph.work import Work
from convpipe.tensors import Array


def recovered(run: Run, spec: Spec, work: Work, names: Collection[str]) -> Iterator[tuple[str, Array | None]]:
    """The arrays of some stages, each once, by the names that stages.csv has: read where kept, else made again.

    None stands for one that cannot be had: what it is made of is gone, or it is made again with another hash, as floats
    of another machine are.

    Raises:
        ArchiveError: the archive has no such stage, or another one than its config makes.
    """
    rows, kept = stage_rows(run, names)
    with blas_threads(int(run.manifest["provenance"].get("threads", 1))):
        yield from Recovery(run, spec, work, kept, {name: row["sha256"] for name, row in rows.items()}).arrays_of(names)


def steps_to(plan: Plan, names: Collection[str], kept: Collection[str]) -> list[Step]:
    """The steps that make some arrays, from what was kept as far as that leads."""
    rows = plan.rows_by_tensor
    missing = {tensor for tensor, name in rows.items() if name in names and name not in kept}
    steps = list[Step]()
    for step in reversed(plan.steps):
        if step.makes.name in missing:
            steps.insert(0, step)
            missing |= {read for read in step.needs if rows[read] not in kept}
    return steps


@dataclass
class Recovery:
    """A run whose arrays are being had again; those that a later step reads are in `there`, by tensor."""

    run: Run
    spec: Spec
    work: Work
    kept: frozenset[str]
    hashes: dict[str, str]
    there: dict[str, Array | None] = field(default_factory=dict)

    def arrays_of(self, names: Collection[str]) -> Iterator[tuple[str, Array | None]]:
        """The arrays by name, in the order in which they are come by."""
        rows, left = self.work.plan.rows_by_tensor, dict.fromkeys(names)
        steps = steps_to(self.work.plan, names, self.kept)
        uses = Counter(tensor for step in steps for tensor in step.needs)
        for step in steps:
            for tensor in (*(each for each in step.needs if each not in self.there), step.makes.name):
                self.there[tensor] = self.made(step) if tensor == step.makes.name else self.had(tensor)
                if rows[tensor] in left:
                    del left[rows[tensor]]
                    yield rows[tensor], self.judged(rows[tensor], self.there[tensor])
            uses.subtract(step.needs)
            self.forget([each for each in (*step.needs, step.makes.name) if not uses[each]])
        for tensor, name in rows.items():
            if name in left:
                yield name, self.judged(name, self.had(tensor))

    def forget(self, tensors: Sequence[str]) -> None:
        """Let go what no step reads any more."""
        for tensor in tensors:
            self.there.pop(tensor, None)

    def had(self, tensor: str) -> Array | None:
        """A kept array, or a given one."""
        name = self.work.plan.rows_by_tensor[tensor]
        if name in self.kept:
            array = self.run.array(name)
            check_arrays(self.run, self.work, {name: array})
            return array
        given = next(each for each in self.work.plan.given if each.name == tensor)
        try:
            check_fits(self.run, name, given.bytes * max(1, self.work.batch // max(1, self.work.recorded)))
            array = given_array(self.spec, self.work, given)
        except ConvpipeError:  # its file is gone, or holds something else
            return None
        return array[: self.work.recorded].copy() if tensor == "input" else array

    def made(self, step: Step) -> Array | None:
        """What a step makes of what is there."""
        arrays = [self.there[name] for name in step.needs]
        try:
            check_fits(self.run, step.name, step.makes.bytes + step.workspace)
            return None if any(array is None for array in arrays) else step.run(*arrays)  # type: ignore[arg-type]
        except ConvpipeError:  # by other code than made the archive
            return None

    def judged(self, name: str, array: Array | None) -> Array | None:
        """An array that was kept, or that has the hash of the one that the run had."""
        if array is None or name in self.kept:
            return array
        return array if array_sha256(array) == self.hashes[name] else None
