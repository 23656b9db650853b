"""A sweep from its overrides to its results: all points checked, those that are there skipped, the rest run."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from convpipe.archive.changes import Formers, Survey, complete, formers
from convpipe.archive.collection import refresh
from convpipe.archive.index import failures, note
from convpipe.archive.replace import mend
from convpipe.archive.table import Row
from convpipe.config.compose import plain_config, sweep_params
from convpipe.config.expressions import compile_expression
from convpipe.config.read import read_execution
from convpipe.config.settings import Execution
from convpipe.config.tree import MAIN_CONFIG
from convpipe.errors import ConfigError, StorageError
from convpipe.execution.runner import standing
from convpipe.files.staging import remove_abandoned
from convpipe.files.yaml import dotted
from convpipe.sweeps import clusters
from convpipe.sweeps.axes import point_text
from convpipe.sweeps.batches import Passing, Task, is_done, run_all
from convpipe.sweeps.composer import Base, Composer, base_of
from convpipe.sweeps.events import Closed, Event, Planned
from convpipe.sweeps.executors import Here, Pool, processes
from convpipe.sweeps.interrupts import uninterrupted
from convpipe.sweeps.launched import launch
from convpipe.sweeps.listed import override_text
from convpipe.sweeps.outcomes import CHANGED, DONE, THERE, Done, FailedBefore, Finished, PassedOver, There
from convpipe.sweeps.points import Checked, Left, Points
from convpipe.sweeps.space import sweep_of
from convpipe.sweeps.totals import Tally, Totals

# What the points of these collections run within where they run in this process.
Watch = Callable[[Sequence[Path]], AbstractContextManager[object]]


def sweep(
    config: DictConfig, arguments: Sequence[str], launcher: Launcher | None, watch: Watch = nullcontext
) -> Generator[Event]:
    """Run a sweep, and tell what happens.

    However it ends, closed before its time included, what has run is in the books: whoever looks on closes it.

    Args:
        config: composed for the sweep as a whole: how to execute, and axes as hydra.sweeper.params.
        arguments: from the command line; they come after those axes and count more.
        launcher: a stock Hydra launcher, or None for our own.
        watch: what the points run within where they run in this process.

    Raises:
        ConvpipeError: something is wrong with a point or with the whole; nothing has run.
    """
    whole = plain_config(config, missing=True)
    execution = read_execution(whole)
    check_execution(execution, launched=launcher is not None)
    composer = composer_for(config, arguments, execution)
    where = None if execution.where is None else compile_expression("where", execution.where)
    points = Points(composer, whole, execution, where)
    totals, folders = check_all(points)
    yield Planned(totals, folders, execution.dry_run)
    if not execution.dry_run:
        tally, surveys = Tally(), {folder: Survey() for folder in folders}
        yield from run_points(points, surveys, tally, launcher, watch)
        yield Closed(totals, tally, surveys)


def composer_for(config: DictConfig, arguments: Sequence[str], execution: Execution) -> Composer:
    """What composes the points of a sweep."""
    hydra = GlobalHydra.instance().hydra
    assert hydra is not None
    name = config.hydra.job.config_name or MAIN_CONFIG
    params = sweep_params(config)
    texts = [f"{key}={override_text(value)}" for key, value in dotted(params)]
    # with no axes from a file, the config of the whole is what points that choose nothing are set on
    bases: dict[tuple[str, ...], Base] = {} if params else {(): base_of(config)}
    return Composer(hydra, name, sweep_of(hydra, [*texts, *arguments], execution), params, bases)


def check_execution(execution: Execution, *, launched: bool) -> None:
    """Nothing that is asked for would be passed over.

    Raises:
        ConfigError: settings of which a sweep could follow only one.
    """
    cluster = execution.cluster
    if execution.trace:
        raise ConfigError("trace", True, "false, as only a single run is traced")
    if cluster is not None and launched:
        raise ConfigError("cluster.kind", cluster.kind, "none beside hydra/launcher, which runs the points elsewhere")
    if cluster is not None:
        clusters.named(cluster.kind)
    if cluster is not None and cluster.address == "???":
        raise ConfigError("cluster.address", None, "the scheduler's address, such as tcp://HOST:8786")
    if execution.workers > 1 and (cluster is not None or launched):
        raise ConfigError("workers", execution.workers, "1 beside a cluster or a launcher, which has its own")


def run_points(
    points: Points, surveys: Mapping[Path, Survey], tally: Tally, launcher: Launcher | None, watch: Watch
) -> Iterator[PassedOver | Finished]:
    """Run what has to run, every outcome in the index before it is told; at the end, whatever end, the tables.

    Raises:
        StorageError: the disk refused, or a worker was lost for good.
    """
    execution, folders = points.execution, tuple(surveys)
    former = cache(formers)
    here = execution.workers == 1 and execution.cluster is None
    try:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
            remove_abandoned(folder)
            mend(folder)
        with watch(folders) if here else nullcontext(), closing(outcomes(points, surveys, launcher)) as found:
            for each in found:
                told = noted(apart(each, surveys, former)) if isinstance(each, list) else (each,)
                for event in told:
                    tally.count(event)
                    yield event
                if execution.on_error == "stop" and (tally.failed or tally.differing):
                    break
    finally:
        with uninterrupted():
            for folder in filter(Path.is_dir, folders):
                remove_abandoned(folder)
                refresh(folder)
                complete(surveys[folder], folder)
    check_shared(tally, folders)


def check_shared(tally: Tally, folders: Sequence[Path]) -> None:
    """What workers have done is here, as it is where the folder is shared.

    Raises:
        StorageError: it is on a disk of theirs.
    """
    for outcome in (*tally.fastest, *tally.slowest):
        if not any((folder / outcome.run).is_dir() for folder in folders):
            missing = f"a worker's run {outcome.run} is not here"
            raise StorageError(f"{folders[0]}: {missing}; a cluster needs a shared folder")


def check_all(points: Points) -> tuple[Totals, tuple[Path, ...]]:
    """Plan every point; gives what they come to and the collections they belong to.

    Which of them are done is counted for a dry run alone, as each is looked up again at its turn.

    Raises:
        UsageError: a point that cannot run, unless ``invalid=skip``.
    """
    totals, folders = Totals(), dict[Path, None]()
    failed = failed_before(points.execution)
    for found in points.checked():
        if not isinstance(found, Checked):
            totals.left_out += found is Left.OUT
            totals.impossible += found is Left.IMPOSSIBLE
            continue
        folder = found.place.folder
        folders[folder] = None
        if points.execution.dry_run:
            prepared = points.task(found).prepared
            totals.there += is_done(standing(prepared, found.place), found.place)
            totals.failed_before += prepared.identity in failed(folder)
        totals.count(found.work, partial(point_text, found.point))
    return totals, tuple(folders)


def failed_before(execution: Execution) -> Callable[[Path], Mapping[str, Row]]:
    """What gives the points of a folder that failed in an earlier sweep, and are not to be tried again."""
    return cache(failures) if execution.retry is None else lambda folder: {}


def turns(points: Points, surveys: Mapping[Path, Survey]) -> Iterator[Task | Passing]:
    """The points at their turns, each looked up: another sweep may have run it by then."""
    failed = failed_before(points.execution)
    for task in points.turns():
        if isinstance(task, Done):
            yield task
            continue
        prepared, place = task.prepared, task.place
        if prepared.described.paths:
            surveys[place.folder].reading(prepared.described)
        if is_done(standing(prepared, place), place):
            yield There(place.folder, prepared.identity)
        else:
            known = prepared.identity in failed(place.folder)
            yield FailedBefore(place.folder, prepared.identity) if known else task


def outcomes(
    points: Points, surveys: Mapping[Path, Survey], launcher: Launcher | None
) -> Generator[list[Done] | PassedOver]:
    """What comes of the points, in batches, by a launcher or in a pool."""
    if launcher is not None:
        yield from launch(points.composer, turns(points, surveys), launcher)
        return
    with pool_for(points.execution) as pool:
        yield from run_all(turns(points, surveys), pool, points.execution.on_error == "stop")


def noted(batch: Iterable[Done]) -> Iterator[PassedOver | Finished]:
    """A batch as events, after the rows of its points are in the indexes of their collections."""
    rows: dict[Path, list[Row]] = {}
    for outcome in batch:
        if outcome.row is not None:
            rows.setdefault(outcome.folder, []).append(outcome.row)
    with uninterrupted():
        for folder, found in rows.items():
            note(folder, found)
    for outcome in batch:
        yield There(outcome.folder, outcome.run) if outcome.status == THERE else Finished(outcome)


def apart(batch: Sequence[Done], surveys: Mapping[Path, Survey], former: Callable[[Path], Formers]) -> list[Done]:
    """A batch, in which what is new since a file has changed says so; before it is in any index."""
    return [told_apart(outcome, former) if surveys[outcome.folder].read else outcome for outcome in batch]


def told_apart(outcome: Done, former: Callable[[Path], Formers]) -> Done:
    """What came of a point: where it is new since a file has changed, that is said."""
    if outcome.status != DONE or outcome.row is None:
        return outcome
    found = former(outcome.folder).of(outcome.row)
    return replace(outcome, status=CHANGED, changed=found.files) if found else outcome


def pool_for(execution: Execution) -> AbstractContextManager[Pool]:
    """Where the points run."""
    cluster = execution.cluster
    if cluster is not None:
        return clusters.named(cluster.kind)(cluster.address)
    return nullcontext(Pool(Here(), 1)) if execution.workers == 1 else processes(execution.workers)
