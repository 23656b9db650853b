"""An archived run's arrays: those that were kept are read, the others made again and held against their hashes."""

from collections.abc import Collection, Container, Iterator, Mapping
from dataclasses import replace

from convpipe.archive.read import Run
from convpipe.errors import ArchiveError
from convpipe.execution import pipeline
from convpipe.execution.inputs import given_array
from convpipe.execution.planned import check_fits
from convpipe.execution.threads import blas_threads
from convpipe.files.npy import array_sha256
from convpipe.graph.spec import Spec
from convpipe.graph.step import Step
from convpipe.graph.work import Work
from convpipe.tensors import Array, Tensor, shape_text


def stage_arrays(run: Run, spec: Spec, work: Work, names: Collection[str]) -> dict[str, Array]:
    """The arrays of some stages, by the names that stages.csv has.

    Args:
        spec, work: of the run's config.

    Raises:
        ArchiveError: the archive has no such stage, or another one than its config makes.
    """
    rows, kept = stage_rows(run, names)
    found = {name: run.array(name) for name in names if name in kept}
    with blas_threads(int(run.manifest["provenance"].get("threads", 1))):
        for name, array in remade(run, spec, work, kept, {*names} - kept):
            remade_sha256, expected = array_sha256(array), rows[name]["sha256"]
            if remade_sha256 != expected:
                hint = "keep=stages archives the arrays themselves"
                differs = f"has sha256 {remade_sha256}, stages.csv says {expected} ({hint})"
                raise ArchiveError(f"{run.path}: made again, stage {name!r} {differs}")
            found[name] = array
    check_arrays(run, work, found)
    return found


def stage_rows(run: Run, names: Collection[str]) -> tuple[dict[str, dict[str, str]], frozenset[str]]:
    """The rows of stages.csv by name, among which some have to be, and the names of those whose arrays were kept.

    Raises:
        ArchiveError: the archive has no such stage.
    """
    rows = {row["stage"]: row for row in run.rows}
    for name in names:
        if name not in rows:
            raise ArchiveError(f"{run.path}: got no stage {name!r}, which its config makes")
    return rows, frozenset(name for name, row in rows.items() if run.held is not None or row["file"])


def remade(
    run: Run, spec: Spec, work: Work, kept: Container[str], names: Collection[str]
) -> Iterator[tuple[str, Array]]:
    """Make given tensors and stages again, from what was kept as far as that leads, and nothing that is not needed."""
    rows = work.plan.rows_by_tensor
    missing = {tensor for tensor, name in rows.items() if name in names}
    steps, found = list[Step](), dict[str, Array]()  # by the names of stages.csv
    for step in reversed(work.plan.steps):
        if step.makes.name in missing:
            steps.insert(0, step)
            there = {rows[read] for read in step.needs if rows[read] in kept}
            found |= {name: run.array(name) for name in there - found.keys()}
            missing |= {read for read in step.needs if rows[read] not in kept}
    needed = sum(step.makes.bytes for step in steps)
    needed += sum(tensor.bytes for tensor in work.plan.given if tensor.name in missing)
    check_fits(run, "arrays to be made again", needed)
    for tensor in work.plan.given:
        if tensor.name in missing:
            array = given_array(spec, work, tensor)
            found[tensor.name] = array[: work.recorded] if tensor.name == "input" else array
    check_arrays(run, work, found)
    yield from ((name, array) for name, array in found.items() if name in names)
    arrays = {tensor: found[name] for tensor, name in rows.items() if name in found}
    for result in pipeline.run(replace(work.plan, steps=tuple(steps)), arrays):
        if result.step.name in names:
            yield result.step.name, result.array


def check_arrays(run: Run, work: Work, arrays: Mapping[str, Array]) -> None:
    """What was read has the shapes and dtypes that the config leads to."""
    tensors: dict[str, Tensor] = {tensor.name: tensor for tensor in work.plan.given}
    tensors |= {step.name: step.makes for step in work.plan.steps}
    for name, array in arrays.items():
        planned = tensors[name]
        for what, got, expected in (
            ("shape", shape_text(array.shape), shape_text(planned.shape)),
            ("dtype", array.dtype, planned.dtype),
        ):
            if got != expected:
                raise ArchiveError(f"{run.path}: stage {name!r}: got {what} {got}, expected {expected}")
