"""One run from its spec to its place on disk: plan, make the arrays, run the stages, archive, compare."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from convpipe import archive, lowerings, pipeline, provenance, reproduce
from convpipe.archive import Draft, Run
from convpipe.errors import ConfigError, ValueRangeError
from convpipe.images import picture
from convpipe.pipeline import StageResult
from convpipe.plan import Plan, check_memory, plan_convolution, plan_run
from convpipe.sources import Signature, stream
from convpipe.spec import Spec, plain, run_id
from convpipe.step import Array

MOST_PICTURES = 64
OnStage = Callable[[StageResult], None]


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


def execute(spec: Spec, place: Place, on_stage: OnStage = lambda result: None) -> Outcome:
    """Run a spec and archive it; where it is archived already, compute it again and compare.

    Raises:
        ConfigError: the spec cannot be run; nothing is written.
        ArchiveError: the archive that is there is damaged, or a stage of it is not reproduced.
        StorageError: the disk refused.
    """
    plan = plan_run(spec)
    check_memory(plan, place.memory)
    config = plain(spec)
    target = place.folder / run_id(config)
    with blas_threads(place.threads), archive.drafting(target) as draft:
        seconds = fill(draft, spec, plan, place, on_stage)
        draft.finish(manifest(config, plan, place, seconds))
        if not target.exists() and archive.publish(draft, target):
            return Outcome(archive.load(target), "new", seconds)
        verdict = reproduce.compare(archive.verify(target), archive.load(draft.folder), lambda: float_bound(spec, plan))
    return Outcome(archive.load(target), verdict, seconds)


def repeat(folder: Path, place: Place, spec: Spec, on_stage: OnStage = lambda result: None) -> Outcome:
    """Compute an archived run again, wherever it lies, and compare; nothing is kept of the repeat.

    Raises:
        ArchiveError: the archive is damaged, or a stage of it is not reproduced.
    """
    then = archive.verify(folder)
    plan = plan_run(spec)
    check_memory(plan, place.memory)
    with blas_threads(place.threads), archive.drafting(place.folder / then.manifest["run_id"]) as draft:
        seconds = fill(draft, spec, plan, place, on_stage)
        draft.finish(manifest(then.config, plan, place, seconds))
        verdict = reproduce.compare(then, archive.load(draft.folder), lambda: float_bound(spec, plan))
    return Outcome(then, verdict, seconds)


@contextmanager
def blas_threads(threads: int) -> Iterator[None]:
    """Limit BLAS to that many threads."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=threads, user_api="blas"):
        yield


def fill(draft: Draft, spec: Spec, plan: Plan, place: Place, on_stage: OnStage) -> dict[str, tuple[float, ...]]:
    """Run the plan into a draft; gives each stage's times."""
    draft.write("config.yaml", archive.config_yaml(plain(spec)))
    seconds = {}
    kept = spec.keep == "stages"
    try:
        for result in pipeline.run(plan, given_arrays(draft, spec, plan), place.repeats):
            step, last = result.step, result.step is plan.steps[-1]
            draft.add(step.name, step.op, result.array, macs=step.macs, kept=kept, last=last)
            seconds[step.name] = result.seconds
            if last and spec.input.source == "image":
                draw(draft, result.array)
            on_stage(result)
    except ValueRangeError as error:
        raise ConfigError("conv.overflow", spec.conv.overflow, "sums that fit", str(error)) from error
    return seconds


def given_arrays(draft: Draft, spec: Spec, plan: Plan) -> dict[str, Array]:
    """The arrays a plan starts from, each noted in the draft before any stage runs."""
    arrays = make_arrays(spec, plan)
    for name, source in (("input", spec.input.source), ("filters", spec.filters.source)):
        draft.add(name, source, arrays[name], kept=spec.keep == "stages")
    return arrays


def make_arrays(spec: Spec, plan: Plan) -> dict[str, Array]:
    """The plan's given tensors, each from its own stream of the seed."""
    wanted = {tensor.name: Signature(tensor.shape, tensor.dtype) for tensor in plan.given}
    return {
        "input": spec.input.make(wanted["input"], stream(spec.seed, "input")),
        "filters": spec.filters.make(wanted["filters"], stream(spec.seed, "filters")),
    }


def draw(draft: Draft, feature_map: Array) -> None:
    """Add the feature maps (N, out_h, out_w, F) of a picture as pictures, the first MOST_PICTURES of them."""
    maps = [(n, f) for n in range(feature_map.shape[0]) for f in range(feature_map.shape[-1])]
    for n, f in maps[:MOST_PICTURES]:
        draft.write(f"map_n{n}_f{f:03d}.png", picture(feature_map[n, ..., f]))


def manifest(config: dict[str, Any], plan: Plan, place: Place, seconds: dict[str, tuple[float, ...]]) -> dict[str, Any]:
    """What manifest.json says beside its format and the archive id."""
    axes = {tensor.name: tensor.axes for tensor in plan.given} | {step.name: step.makes.axes for step in plan.steps}
    return {
        "run_id": run_id(config),
        "status": "done",
        "seconds": seconds,
        "axes": axes,
        "provenance": provenance.collect(place.threads),
    }


def float_bound(spec: Spec, plan: Plan) -> reproduce.Bound:
    """The bound of a run's float sums: its own convolution over again, of magnitudes."""
    arrays = make_arrays(spec, plan)
    taps = int(np.prod(plan.given[1].shape[1:]))
    dtype = plan.output.dtype
    exact = dtype.kind != "f" or reproduce.whole_and_small(arrays["input"], arrays["filters"], taps, dtype)
    sizes = {name: np.abs(array).astype(np.float64) for name, array in arrays.items()}
    settings = replace(spec.conv, pad_value=abs(spec.conv.pad_value), dtype="float64")
    signatures = [Signature(array.shape, array.dtype) for array in sizes.values()]
    magnitudes = plan_convolution(signatures[0], signatures[1], settings, lowerings.get("auto"))
    return reproduce.Bound(taps, pipeline.output(magnitudes, sizes), exact)
