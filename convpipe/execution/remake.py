"""An archived run's arrays: those that were kept are read, the others made again and held against their hashes."""

from collections.abc import Collection, Iterator

from convpipe.archive.read import Run
from convpipe.errors import ArchiveError
from convpipe.execution import pipeline
from convpipe.execution.inputs import make_arrays
from convpipe.execution.threads import blas_threads
from convpipe.files.npy import array_sha256
from convpipe.graph.spec import Spec
from convpipe.graph.work import Work
from convpipe.tensors import Array, Tensor, shape_text


def stage_arrays(run: Run, spec: Spec, work: Work, names: Collection[str]) -> dict[str, Array]:
    """The arrays of some stages, by the names that stages.csv has.

    Args:
        spec, work: of the run's config.

    Raises:
        ArchiveError: the archive has no such stage, or another one than its config makes.
    """
    rows = {row["stage"]: row for row in run.rows}
    for name in names:
        if name not in rows:
            raise ArchiveError(f"{run.path}: got no stage {name!r}, which its config makes")
    found = {name: run.array(name) for name in names if run.held is not None or rows[name]["file"]}
    with blas_threads(int(run.manifest["provenance"].get("threads", 1))):
        for name, array in remade(spec, work, [name for name in names if name not in found]):
            remade_sha256, expected = array_sha256(array), rows[name]["sha256"]
            if remade_sha256 != expected:
                hint = "keep=stages archives the arrays themselves"
                differs = f"has sha256 {remade_sha256}, stages.csv says {expected} ({hint})"
                raise ArchiveError(f"{run.path}: made again, stage {name!r} {differs}")
            found[name] = array
    check_shapes(run, work, found)
    return found


def remade(spec: Spec, work: Work, names: Collection[str]) -> Iterator[tuple[str, Array]]:
    """Make given tensors and stages again, as far as they are wanted and no further."""
    wanted = set(names)
    if not wanted:
        return
    arrays = make_arrays(spec, work)
    if "input" in arrays:
        arrays["input"] = arrays["input"][: work.recorded]
    yield from ((name, arrays[name]) for name in arrays if name in wanted)
    wanted -= arrays.keys()
    results = pipeline.run(work.plan, arrays)
    while wanted:
        result = next(results)
        if result.step.name in wanted:
            wanted.remove(result.step.name)
            yield result.step.name, result.array


def check_shapes(run: Run, work: Work, arrays: dict[str, Array]) -> None:
    """What was read has the shapes that the config leads to."""
    tensors: dict[str, Tensor] = {tensor.name: tensor for tensor in work.plan.given}
    tensors |= {step.name: step.makes for step in work.plan.steps}
    for name, array in arrays.items():
        if array.shape != tensors[name].shape:
            expected = shape_text(tensors[name].shape)
            raise ArchiveError(f"{run.path}: stage {name!r}: got shape {shape_text(array.shape)}, expected {expected}")
