"""One run from its spec to its place on disk: plan, make the arrays, run the stages, archive, compare."""

from __future__ import annotations

import os
from collections.abc import Callable, Container
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convpipe.archive.identity import Described, check_written
from convpipe.archive.index import INDEX, note
from convpipe.archive.inputs import contents_of
from convpipe.archive.keep import INPUT, Keep
from convpipe.archive.memory import Held
from convpipe.archive.read import Run, load
from convpipe.archive.replace import mend
from convpipe.archive.table import COUNTS, NONFINITE, done_row, nonfinite_in
from convpipe.archive.verify import verify
from convpipe.archive.write import Draft, Recorder, drafting, publish
from convpipe.errors import ArchiveError, ConfigError, ValueRangeError, having_kept
from convpipe.execution import pipeline, provenance
from convpipe.execution.batch import rest_of_batch
from convpipe.execution.code import Names, code_of, named
from convpipe.execution.drawing import AUTO, NONE, drawn_stages
from convpipe.execution.inputs import input_bytes, make_arrays, pinned
from convpipe.execution.naming import map_names
from convpipe.execution.pipeline import StageResult
from convpipe.execution.reuse import SAME_CODE, Asked, Found, look
from convpipe.execution.settle import Case, How, Settled
from convpipe.execution.threads import blas_threads
from convpipe.graph.canonical import as_computed
from convpipe.graph.making import source_of
from convpipe.graph.memo import Memo
from convpipe.graph.plan import Plan, readable
from convpipe.graph.single import lowering_name
from convpipe.graph.spec import Spec, describe, sources_of, stored_sources
from convpipe.graph.work import Work, checked_work
from convpipe.ops import OPERATIONS
from convpipe.ops.kinds.registry import origins
from convpipe.sources import SOURCES
from convpipe.sources.kinds.source import Stored
from convpipe.tensors import Array

if TYPE_CHECKING:
    from convpipe.execution.album import Album

OnStage = Callable[[StageResult], None]
Seconds = dict[str, tuple[float, ...]]  # of each recorded stage, one for each repeat


def ignore(result: StageResult) -> None:
    """Nobody is watching."""


@dataclass(frozen=True)
class Place:
    """Where and how to execute a spec; no part of a run's identity."""

    folder: Path  # of the collection
    memory: int  # bytes
    threads: int = 1
    repeats: int = 1
    keep: str = Keep.OUTPUT
    reuse: str = SAME_CODE  # what a run that is there has to be, so that a sweep passes it over
    again: bool = False  # whether what is there is computed in any case
    replace: bool = False  # whether what differs from what is there takes its place
    pictures: str | tuple[str, ...] = AUTO  # of which stages
    before: tuple[str, ...] = ()  # stages of which the run that is there has some
    note: str | None = None  # what is to be said of a new run


@dataclass(frozen=True)
class Outcome:
    """What came of a run: its archive, and whether that is new or how a repeat agreed with it."""

    run: Run
    verdict: str
    seconds: Seconds

    def __repr__(self) -> str:
        return f"<Outcome {self.verdict}: {self.run.path}, {len(self.seconds)} stages timed>"


@dataclass(frozen=True)
class Prepared:
    """A spec with all that can be known before it runs."""

    spec: Spec
    described: Described
    work: Work

    @property
    def identity(self) -> str:
        """The run id."""
        return self.described.identity

    @property
    def named(self) -> tuple[Names, Names]:
        """The operations and the sources that it names."""
        return named(self.spec, self.work.plan)

    @property
    def code(self) -> str:
        """A hash over all code that its values come from."""
        return code_of(*self.named)


def prepare(spec: Spec, memory: int) -> Prepared:
    """Plan a spec and describe it.

    Raises:
        ConfigError: the spec cannot be run, or is too long for an archive.
    """
    prepared = prepared_again(spec, memory)
    check_written(prepared.described.parts)
    return prepared


def prepared_again(spec: Spec, memory: int) -> Prepared:
    """The same of a spec that an archive has, however long that is: in format 1 it could be longer."""
    work = checked_work(spec, memory)  # first, as sizes that do not fit are told before a file's content is
    spec = as_computed(pinned(spec), work)
    return Prepared(spec, describe(spec), work)


def execute(prepared: Prepared, place: Place, on_stage: OnStage = ignore) -> Outcome:
    """Run a spec and archive it; where it is archived already, compute it again and compare.

    Raises:
        ConfigError: its values cannot be run, as a sum that its dtype cannot hold; nothing is written.
        ArchiveError: the archive that is there is damaged, or a stage of it is not reproduced.
        StorageError: the disk refused.
    """
    target = place.folder / prepared.identity
    mend(place.folder)
    with blas_threads(place.threads), drafting(target) as draft:
        seconds = fill(draft, prepared, keeping(place, standing(prepared, place)), on_stage)
        settled = archived(draft, target, prepared, place)
    with having_kept(f"the run is kept: {target}"):
        if settled.row is not None and os.path.lexists(place.folder / INDEX):  # or it has a row of what was there once
            note(place.folder, [settled.row])
        return Outcome(load(target), settled.words, seconds)


def hold(prepared: Prepared, place: Place, on_stage: OnStage = ignore) -> Run:
    """Run a spec in memory alone: every array is kept there, and nothing is written.

    Raises:
        ConfigError: its values cannot be run, or all its arrays together do not fit into memory.
    """
    plan = prepared.work.plan
    if plan.bytes > place.memory:
        expected = f"at least {readable(plan.bytes)}, all arrays of this run, as it is held in memory"
        raise ConfigError("limits.memory", readable(place.memory), expected)
    drawn(prepared, place)
    held, place = Held(), replace(place, pictures=NONE)
    with blas_threads(place.threads):
        fill(held, prepared, place, on_stage)
    return held.run()


def repeat(folder: Path, place: Place, spec: Spec, on_stage: OnStage = ignore) -> Outcome:
    """Compute an archived run again, wherever it lies, and compare; nothing is kept of the repeat.

    Raises:
        ArchiveError: the archive is damaged, or a stage of it is not reproduced.
    """
    from convpipe.execution.planned import planned_work

    then = verify(folder)
    planned_work(then, spec, place.memory)  # before what another config asks for is made
    prepared, place = prepared_again(spec, place.memory), replace(place, keep=kept_arrays(then), pictures=NONE)
    with blas_threads(place.threads), drafting(place.folder / prepared.identity) as draft:
        seconds = fill(draft, prepared, place, on_stage)
        return Outcome(then, compared(then, draft, spec), seconds)


def produce(prepared: Prepared, place: Place, memo: Memo) -> tuple[Settled, Seconds]:
    """Run one point of a sweep into its place, BLAS's threads being set; gives what came of it, and its times.

    Raises:
        ConvpipeError: as `execute`.
    """
    target = place.folder / prepared.identity
    with drafting(target, tidy=False) as draft:
        seconds = fill(draft, prepared, place, ignore, memo)
        return archived(draft, target, prepared, place), seconds


def archived(draft: Draft, target: Path, prepared: Prepared, place: Place) -> Settled:
    """Move a finished draft to its place, or settle what is to be there where a run is there already.

    Raises:
        ArchiveError: they differ, or what is there is not whole.
        StorageError: the disk refused.
    """
    settled, cells = None, prepared.described.cells
    while settled is None:
        if publish(draft, target):
            return Settled(How.NEW, row=done_row(cells, draft.manifest, draft.rows))
        compare = partial(compared, draft=draft, spec=prepared.spec)
        settled = Case(draft, target, asked(prepared, place), cells, compare, place.replace).settle()
    return settled


def asked(prepared: Prepared, place: Place) -> Asked:
    """What a run has to be that is there, so that it need not be computed again."""
    keep = kept_by(place.keep, prepared.spec.network is not None)
    inputs = contents_of(prepared.described.config) if keep.inputs else {}
    if keep.inputs and not inputs:  # there is nothing to store
        keep = keep.arrays
    pictures = () if place.pictures in (AUTO, NONE) else drawn(prepared, place)
    return Asked(prepared.identity, keep, place.reuse, prepared.code, place.threads, inputs, pictures)


def drawn(prepared: Prepared, place: Place) -> tuple[str, ...]:
    """The stages of a run whose maps are drawn: those that are asked for, and those that the run there has.

    Raises:
        ConfigError: a stage that cannot be drawn.
    """
    plan = prepared.work.plan
    found = drawn_stages(place.pictures, prepared.spec, plan)
    return tuple(name for name in plan.wiring if name in found or name in place.before) if place.before else found


@cache
def kept_by(keep: str, is_network: bool) -> Keep:
    """What a run keeps that is asked for some of its arrays; thousands of a sweep are asked for the same."""
    return Keep(keep).of_run({} if is_network else None)


def standing(prepared: Prepared, place: Place) -> Found:
    """What lies in a run's place."""
    folder = f"{place.folder}/{prepared.identity}"  # pathlib takes longer than looking at the files
    return look(folder, lambda: asked(prepared, place))


def keeping(place: Place, found: Found) -> Place:
    """The place of a run that has what another does, too, as it is laid beside that or takes the place of it."""
    if found.keep is None:
        return place
    return replace(place, keep=found.keep.joined(Keep(place.keep)), before=found.drawn)


def compared(then: Run, draft: Draft, spec: Spec) -> str:
    """How a finished draft agrees with an archive, in words.

    Raises:
        ArchiveError: it does not.
    """
    from convpipe.execution.checks import checks
    from convpipe.execution.compare import compare, differences

    now = load(draft.folder)
    try:
        return compare(then, now, lambda: checks(then, now, spec))
    except ArchiveError as error:
        if next(differences(then, now)).op not in own_sources(spec):
            raise
        raise ArchiveError(f"{error} (the file is not the one of then)") from error


def kept_arrays(run: Run) -> Keep:
    """Which of its stages' arrays a run keeps, so that those of a repeat can be laid beside them."""
    word = run.manifest.get("keep", run.config.get("keep"))  # of format 1 it is a setting
    return Keep(word).arrays if word in list(Keep) else Keep.OUTPUT


def own_sources(spec: Spec) -> set[str]:
    """The sources of a spec that read files of the user's, which may change."""
    return {source.source for source in sources_of(spec) if hasattr(source, "path")}


def fill(draft: Recorder, prepared: Prepared, place: Place, on_stage: OnStage, memo: Memo | None = None) -> Seconds:
    """Run the work into a draft and finish it; gives each recorded stage's times."""
    album = album_of(prepared, place)  # first, as a stage that there is not is told before anything is made
    spec, work, started = prepared.spec, prepared.work, provenance.now()
    draft.write("config.yaml", prepared.described.yaml)
    arrays = make_arrays(spec, work, memo)
    batch = arrays.copy() if work.recorded < work.batch else {}
    if batch:
        arrays["input"] = batch["input"][: work.recorded]
    keep = kept_by(place.keep, spec.network is not None)
    kept = kept_rows(keep, work.plan)
    for tensor in work.plan.given:
        draft.add(tensor.name, source_of(spec, tensor).source, arrays[tensor.name], kept=tensor.name in kept)
        if album is not None:
            album.see(tensor.name, arrays[tensor.name])
    if album is not None:
        on_stage = partial(seen, album, on_stage)
    try:
        tally: pipeline.Tally = {}
        seconds, output = recorded(draft, work, place, arrays, on_stage, kept, tally)
        if batch:
            output, more = rest_of_batch(draft, spec, work, batch, tally)
            seconds["output"] = (more,)
    except ValueRangeError as error:
        expected = "a dtype that holds every sum"
        raise ConfigError("conv.dtype", work.plan.output.dtype, expected, error.under("conv")) from error
    found = manifest(prepared, place, seconds, started)
    if lost := nonfinite_in(draft.rows[-1], lambda: output):
        found[NONFINITE] = lost
    if tally:
        found[COUNTS] = {stage: vars(counts) for stage, counts in tally.items()}
    if album is not None or spec.labels is not None:
        from convpipe.execution.attachments import attach

        found |= attach(draft, spec, output, album, f"{place.folder.name} {prepared.identity}")
    for source in file_sources(prepared).values() if keep.inputs else ():
        draft.store(source.sha256 or "", source.file, source.file_key)
    draft.finish(found)
    return seconds


def album_of(prepared: Prepared, place: Place) -> Album | None:
    """What takes pictures of a run's stages, if any are asked for."""
    stages, plan = drawn(prepared, place), prepared.work.plan
    if not stages:
        return None
    from convpipe.execution.album import Album  # which most runs do without

    return Album(prepared.spec, plan, map_names(prepared.spec, plan), stages)


def seen(album: Album, on_stage: OnStage, result: StageResult) -> None:
    """Take pictures of a stage before who watches is told of it."""
    album.see(result.step.name, result.array)
    on_stage(result)


def kept_rows(keep: Keep, plan: Plan) -> Container[str]:
    """The rows of stages.csv whose arrays are archived, beside the output: a layer's last stage makes its output."""
    if keep.arrays == Keep.STAGES:
        return plan.wiring.keys()
    if keep.arrays == Keep.OUTPUT:
        return ()
    return {INPUT, *(step.name for step in plan.steps if "/" not in step.makes.name)}


def file_sources(prepared: Prepared) -> dict[str, Stored]:
    """The sources that read a file whose content is part of the run, by group."""
    parts = prepared.described.parts
    return {key: source for key, source in stored_sources(prepared.spec).items() if key.partition(".")[0] in parts}


def recorded(
    draft: Recorder,
    work: Work,
    place: Place,
    arrays: dict[str, Array],
    on_stage: OnStage,
    kept: Container[str],
    tally: pipeline.Tally,
) -> tuple[Seconds, Array]:
    """Run the plan of the recorded images, every stage noted; gives each stage's times and the last's array."""
    seconds = {}
    alone = work.recorded == work.batch
    for result in pipeline.run(work.plan, arrays, place.repeats):
        arrays.clear()  # the pipeline holds what it still needs, and lets go of it in time
        step, last = result.step, result.step is work.plan.steps[-1]
        draft.add(step.name, step.op, result.array, macs=step.macs, kept=step.name in kept, last=last and alone)
        seconds[step.name] = result.seconds
        pipeline.add(tally, result)
        on_stage(result)
    return seconds, result.array


def manifest(prepared: Prepared, place: Place, seconds: Seconds, started: str) -> dict[str, Any]:
    """What manifest.json says beside its format and the archive id."""
    plan, work, spec = prepared.work.plan, prepared.work, prepared.spec
    operations, sources = prepared.named
    paths = prepared.described.paths
    sometimes = {
        "note": place.note,
        "folder": os.getcwd() if any(not os.path.isabs(path) for path in paths.values()) else "",
        "input_bytes": input_bytes(file_sources(prepared)),
        "given": {tensor.name: tensor.origin for tensor in plan.given if tensor.origin},
        "names": map_names(spec, plan),
        "drawn": drawn(prepared, place),
        "slice": work.slice if work.recorded < work.batch else 0,  # how many images ran at a time
        "operations": origins(OPERATIONS, operations),
        "sources": origins(SOURCES, sources),
    }
    return {
        "run_id": prepared.identity,
        "status": "done",
        "code": code_of(operations, sources),
        "started": started,
        "keep": kept_by(place.keep, spec.network is not None).value,
        "lowering": lowering_name(spec),
        "paths": paths,
        "seconds": seconds,
        "axes": plan.axes,
        "wiring": plan.wiring,
        **{key: value for key, value in sometimes.items() if value},
        "provenance": provenance.recorded(place.threads),
    }
