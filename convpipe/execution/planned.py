"""What stages.csv has to say of a run, as far as its plan tells: names, operations, shapes, dtypes, bytes and work."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest

from convpipe.archive.format import COLUMNS, FORMAT
from convpipe.archive.read import Run
from convpipe.errors import ArchiveError
from convpipe.execution.compare import BATCH, Difference, made_by
from convpipe.execution.provenance import VERSION, memory_bytes
from convpipe.graph.making import source_of
from convpipe.graph.plan import readable
from convpipe.graph.spec import Spec
from convpipe.graph.work import Work, plan_work
from convpipe.tensors import Tensor, shape_text

PLANNED = COLUMNS[:6]  # stage, op, shape, dtype, bytes, macs
Row = dict[str, str]


def planned_work(then: Run, spec: Spec, memory: int | None = None) -> Work:
    """The work of an archive's config, which is what its stages say, before any array is read or made.

    Raises:
        ArchiveError: they differ; it names the first stage and column that do.
    """
    work = plan_work(spec, memory)
    expected = list(planned_rows(spec, work))
    for old, new in zip_longest(then.rows, expected):
        different = difference(old, new, (len(then.rows), len(expected)))
        if different is not None:
            age = made_by(then.manifest, {"format": FORMAT, "provenance": {"convpipe": VERSION}})
            reason = "as config.yaml plans it; nothing was computed"
            raise ArchiveError(f"{then.path or 'the run in memory'}: {different} ({reason}){age}")
    return work


def check_fits(then: Run, what: str, needed: int) -> None:
    """What is to be made again fits into the memory of this machine.

    Raises:
        ArchiveError: it does not.
    """
    if needed > (there := memory_bytes()):
        text = f"got {what} of {readable(needed)}, expected at most {readable(there)}, the memory of this machine"
        raise ArchiveError(f"{then.path or 'the run in memory'}: {text}; nothing was computed")


def difference(old: Row | None, new: Row | None, counts: tuple[int, int]) -> Difference | None:
    """The first that two rows differ in, or that there is one alone."""
    if old is None or new is None:
        extra = old or new
        assert extra is not None
        return Difference(extra["stage"], extra["op"], "count of stages", *counts)
    columns = (column for column in PLANNED if old[column] != new[column])
    return next((Difference(old["stage"], old["op"], column, old[column], new[column]) for column in columns), None)


def planned_rows(spec: Spec, work: Work) -> Iterator[Row]:
    """The rows that a run is going to have."""
    for tensor in work.plan.given:
        yield planned_row(tensor.name, source_of(spec, tensor).source, tensor)
    for step in work.plan.steps:
        yield planned_row(step.name, step.op, step.makes, step.macs)
    if work.recorded < work.batch:
        output = work.plan.output
        whole = replace(output, shape=(work.batch, *output.shape[1:]))
        yield planned_row("output", BATCH, whole, work.macs - work.plan.macs)


def planned_row(stage: str, op: str, tensor: Tensor, macs: int = 0) -> Row:
    """One row, of what is known before there is an array."""
    values = (stage, op, shape_text(tensor.shape), tensor.dtype.name, str(tensor.bytes), str(macs))
    return dict(zip(PLANNED, values, strict=True))
