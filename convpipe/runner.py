"""One run from its spec to its place on disk: plan, make the arrays, run the stages, archive, compare."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from convpipe import archive, pipeline, provenance, reproduce
from convpipe.archive import Draft, Run
from convpipe.errors import ArchiveError, ConfigError, ValueRangeError
from convpipe.evaluation import Evaluation, evaluate
from convpipe.images import picture
from convpipe.pipeline import StageResult
from convpipe.plainyaml import config_yaml
from convpipe.plan import plan_run
from convpipe.planner import Planner, Work, plan_images, plan_work
from convpipe.sources import Signature, stream
from convpipe.spec import Spec, plain, run_id
from convpipe.step import Array, Tensor

MOST_PICTURES = 64
DTYPE_KEY = "conv.dtype"  # what to set where an exact sum does not fit
OnStage = Callable[[StageResult], None]


def ignore(result: StageResult) -> None:
    """Nobody is watching."""


@dataclass(frozen=True)
class Place:
    """Where and how to execute a spec; no part of a run's identity."""

    folder: Path  # of the collection
    memory: int  # bytes
    threads: int = 1
    repeats: int = 1


@dataclass(frozen=True)
class Outcome:
    """What came of a run: its archive, and whether that is new or how a repeat agreed with it."""

    run: Run
    verdict: str
    seconds: dict[str, tuple[float, ...]]


@dataclass(frozen=True)
class Prepared:
    """A spec with all that can be known before it runs."""

    spec: Spec
    config: dict[str, Any]
    identity: str
    work: Work


@dataclass
class Shelf:
    """Generated arrays that the next run may need again: the last of each name, and read-only."""

    arrays: dict[str, tuple[Any, Array]] = field(default_factory=dict)

    def take(self, name: str, recipe: Any, make: Callable[[], Array]) -> Array:
        """The array of that recipe, made unless it lies here."""
        kept = self.arrays.get(name)
        if kept is not None and kept[0] == recipe:
            return kept[1]
        array = make()
        array.flags.writeable = False
        self.arrays[name] = (recipe, array)
        return array


def prepare(spec: Spec, memory: int, planner: Planner | None = None) -> Prepared:
    """Plan a spec and name its run.

    Raises:
        ConfigError: the spec cannot be run.
    """
    work = (planner or Planner()).work(spec, memory)
    config = plain(spec)
    return Prepared(spec, config, run_id(config), work)


def execute(spec: Spec, place: Place, on_stage: OnStage = ignore) -> Outcome:
    """Run a spec and archive it; where it is archived already, compute it again and compare.

    Raises:
        ConfigError: the spec cannot be run; nothing is written.
        ArchiveError: the archive that is there is damaged, or a stage of it is not reproduced.
        StorageError: the disk refused.
    """
    prepared = prepare(spec, place.memory)
    target = place.folder / prepared.identity
    with blas_threads(place.threads), archive.drafting(target) as draft:
        seconds = fill(draft, prepared, place, on_stage)
        if not target.exists() and archive.publish(draft, target):
            return Outcome(archive.load(target), "new", seconds)
        verdict = compared(archive.verify(target), draft, spec)
    return Outcome(archive.load(target), verdict, seconds)


def repeat(folder: Path, place: Place, spec: Spec, on_stage: OnStage = ignore) -> Outcome:
    """Compute an archived run again, wherever it lies, and compare; nothing is kept of the repeat.

    Raises:
        ArchiveError: the archive is damaged, or a stage of it is not reproduced.
    """
    then = archive.verify(folder)
    prepared = prepare(spec, place.memory)
    with blas_threads(place.threads), archive.drafting(place.folder / prepared.identity) as draft:
        seconds = fill(draft, prepared, place, on_stage)
        return Outcome(then, compared(then, draft, spec), seconds)


def produce(prepared: Prepared, place: Place, shelf: Shelf) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run one point of a sweep into its place, BLAS's threads being set; gives its manifest and its last row.

    Where another process was faster, its archive stays, and this run is held against it.

    Raises:
        ConvpipeError: as `execute`.
    """
    target = place.folder / prepared.identity
    with archive.drafting(target, tidy=False) as draft:
        fill(draft, prepared, place, ignore, shelf)
        if not archive.publish(draft, target):
            compared(archive.verify(target), draft, prepared.spec)
    return draft.manifest, draft.rows[-1]


def compared(then: Run, draft: Draft, spec: Spec) -> str:
    """How a finished draft agrees with an archive."""
    now = archive.load(draft.folder)
    try:
        return reproduce.compare(then, now, lambda: float_bound(spec))
    except ArchiveError as error:
        slices = then.manifest.get("slice"), now.manifest.get("slice")
        if slices[0] == slices[1]:
            raise
        between = f"{slices[0]} images at a time then, {slices[1]} now, as limits.memory has it"
        raise ArchiveError(f"{error} ({between}: floats may differ in their last bits)") from error


@contextmanager
def blas_threads(threads: int) -> Iterator[None]:
    """Limit BLAS to that many threads."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=threads, user_api="blas"):
        yield


def fill(
    draft: Draft, prepared: Prepared, place: Place, on_stage: OnStage, shelf: Shelf | None = None
) -> dict[str, tuple[float, ...]]:
    """Run the work into a draft and finish it; gives each recorded stage's times."""
    spec, work = prepared.spec, prepared.work
    draft.write("config.yaml", config_yaml(prepared.config))
    arrays = make_arrays(spec, work, shelf)
    whole = arrays["input"] if work.recorded < work.batch else None
    if whole is not None:
        arrays["input"] = whole[: work.recorded]
    for tensor in work.plan.given:
        draft.add(tensor.name, source_of(spec, tensor).source, arrays[tensor.name], kept=spec.keep == "stages")
    weights = {} if whole is None else {name: array for name, array in arrays.items() if name != "input"}
    try:
        seconds = recorded(draft, spec, work, place, arrays, on_stage)
        if whole is not None:
            finish_batch(draft, spec, work, whole, weights)
    except ValueRangeError as error:
        raise ConfigError(DTYPE_KEY, work.plan.output.dtype, "a dtype that holds every sum", str(error)) from error
    draft.finish(manifest(prepared, place, seconds))
    return seconds


def recorded(
    draft: Draft, spec: Spec, work: Work, place: Place, arrays: dict[str, Array], on_stage: OnStage
) -> dict[str, tuple[float, ...]]:
    """Run the plan of the recorded images, every stage noted; gives each stage's times."""
    seconds = {}
    alone = work.recorded == work.batch
    for result in pipeline.run(work.plan, arrays, place.repeats):
        arrays.clear()  # the pipeline holds what it still needs, and lets go of it in time
        step, last = result.step, result.step is work.plan.steps[-1]
        draft.add(step.name, step.op, result.array, macs=step.macs, kept=spec.keep == "stages", last=last and alone)
        seconds[step.name] = result.seconds
        if last and alone:
            add_views(draft, spec, result.array)
        on_stage(result)
    return seconds


def finish_batch(draft: Draft, spec: Spec, work: Work, batch: Array, weights: dict[str, Array]) -> None:
    """Run the whole batch in slices for its output alone: the recorded images as they were recorded."""
    shape = work.plan.output.shape
    output = np.empty((work.batch, *shape[1:]), work.plan.output.dtype)
    starts = [0, *range(work.recorded, work.batch, work.slice)]
    for start, stop in zip(starts, [*starts[1:], work.batch], strict=True):
        plan = plan_images(spec, Signature(batch.shape, batch.dtype), stop - start)
        output[start:stop] = pipeline.output(plan, {"input": batch[start:stop], **weights})
    draft.add("output", "batch", output, macs=work.macs - work.plan.macs, kept=False, last=True)
    add_views(draft, spec, output)


def add_views(draft: Draft, spec: Spec, output: Array) -> None:
    """What a person wants to see of an output: pictures of a picture's maps, answers held against labels."""
    if spec.input.source == "image" and spec.network is None:
        draw(draft, output)
    if spec.labels is not None:
        evaluation = evaluate(output, spec.labels.make())
        draft.write("confusion.csv", confusion_csv(evaluation))


def make_arrays(spec: Spec, work: Work, shelf: Shelf | None = None) -> dict[str, Array]:
    """The given tensors of a spec's work, each from its own stream of the seed; the input is the whole batch.

    What is generated lies on the shelf for the next run; files are read each time, as they may change.
    """
    arrays = {}
    for tensor in work.plan.given:
        source = source_of(spec, tensor)
        wanted = spec.input.signature() if tensor.name == "input" else Signature(tensor.shape, tensor.dtype)
        make = partial(make_array, spec, source, tensor, wanted)
        recipe = (source, wanted, spec.seed, tensor.origin)
        generated = shelf is not None and not hasattr(source, "path")
        arrays[tensor.name] = shelf.take(tensor.name, recipe, make) if shelf is not None and generated else make()
    return arrays


def make_array(spec: Spec, source: Any, tensor: Tensor, wanted: Signature) -> Array:
    """One given tensor, from its own stream of the seed."""
    bits = stream(spec.seed, tensor.name)
    array: Array = source.make(tensor.origin, wanted, bits) if tensor.origin else source.make(wanted, bits)
    return array


def source_of(spec: Spec, tensor: Tensor) -> Any:
    """Where a given tensor comes from."""
    single = {"input": spec.input, "filters": spec.filters, "bias": spec.bias, "grad": spec.grad}
    source = single.get(tensor.name) or spec.weights
    assert source is not None
    return source


def draw(draft: Draft, feature_map: Array) -> None:
    """Add the feature maps (N, out_h, out_w, F) of a picture as pictures, the first MOST_PICTURES of them."""
    maps = [(n, f) for n in range(feature_map.shape[0]) for f in range(feature_map.shape[-1])]
    for n, f in maps[:MOST_PICTURES]:
        draft.write(f"map_n{n}_f{f:03d}.png", picture(feature_map[n, ..., f]))


def manifest(prepared: Prepared, place: Place, seconds: dict[str, tuple[float, ...]]) -> dict[str, Any]:
    """What manifest.json says beside its format and the archive id."""
    plan, work = prepared.work.plan, prepared.work
    sliced = {"slice": work.slice} if work.recorded < work.batch else {}  # how many images ran at a time
    axes = {tensor.name: tensor.axes for tensor in plan.given} | {step.name: step.makes.axes for step in plan.steps}
    return {
        "run_id": prepared.identity,
        "status": "done",
        "seconds": seconds,
        "axes": axes,
        **sliced,
        "provenance": provenance.collect(place.threads),
    }


@dataclass(frozen=True)
class Held:
    """An array in the place of any source."""

    array: Array
    source: str = "held"

    def signature(self, *_: object, **__: object) -> Signature:
        """The array's own."""
        return Signature(self.array.shape, self.array.dtype)

    def make(self, signature: Signature, bits: np.random.PCG64) -> Array:
        """The array."""
        return self.array


def float_bound(spec: Spec) -> reproduce.Bound | None:
    """The bound of a convolution's float sums: its own stages over again, of magnitudes; None for a network."""
    if spec.conv is None:
        return None
    work = plan_work(spec)
    arrays = make_arrays(spec, work)
    magnitude = output_of(spec, {name: np.abs(array.astype(np.float64)) for name, array in arrays.items()})
    counts = output_of(spec, {name: np.ones(array.shape) for name, array in arrays.items()}, ones=True)
    taps = int(counts.max()) if counts.size else 0
    return reproduce.Bound(taps, magnitude, exact_cells(spec, work.plan.output.dtype, arrays, magnitude))


def output_of(spec: Spec, arrays: Mapping[str, Array], *, ones: bool = False) -> Array:
    """The output of a spec's own stages on other arrays, float64, the padding's value as a magnitude or as 1."""
    assert spec.conv is not None
    value = float(ones) if spec.conv.pad_value else 0
    conv = replace(spec.conv, pad_value=value if ones else abs(spec.conv.pad_value), dtype="float64", overflow="error")
    held = {name: Held(array) for name, array in arrays.items()}
    missing = {name: Held(np.ones(signature.shape)) for name, signature in unread(spec, arrays).items()}
    plan = plan_run(replace(spec, conv=conv, **{**missing, **held}))  # type: ignore[arg-type]
    return pipeline.output(plan, arrays)


def unread(spec: Spec, arrays: Mapping[str, Array]) -> dict[str, Signature]:
    """The signatures of input and filters where a gradient does not read them."""
    assert spec.filters is not None
    assert spec.conv is not None
    given = spec.input.signature()
    found = {"input": given}
    rank = len(given.shape) - 2
    found["filters"] = spec.filters.signature(channels=given.shape[1], groups=spec.conv.groups, rank=rank)
    return {name: signature for name, signature in found.items() if name not in arrays}


def exact_cells(spec: Spec, result: np.dtype[Any], arrays: Mapping[str, Array], magnitude: Array) -> Array:
    """Which output cells are sums of whole numbers that no partial sum rounds."""
    assert spec.conv is not None
    dtypes = [array.dtype for array in arrays.values()]
    if all(dtype.kind in "iu" for dtype in dtypes):
        return np.ones(magnitude.shape, bool)
    if not all(map(reproduce.whole, (*arrays.values(), np.array(spec.conv.pad_value)))):
        return np.zeros(magnitude.shape, bool)
    mantissa = np.finfo(np.result_type(result, *dtypes, np.float32)).nmant + 1
    return np.asarray(magnitude <= 2.0**mantissa)


def confusion_csv(evaluation: Evaluation) -> bytes:
    """A confusion table: a row for each true class, a column for each answer."""
    classes = range(len(evaluation.confusion))
    rows = [
        {"class": true, **dict(zip(map(str, classes), counts, strict=True))}
        for true, counts in enumerate(evaluation.confusion.tolist())
    ]
    return archive.csv_bytes(["class", *map(str, classes)], rows)
