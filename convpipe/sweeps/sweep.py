"""A sweep from its overrides to its results: all points checked, those that are there skipped, the rest run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convpipe.archive.collection import refresh
from convpipe.archive.index import failures, note
from convpipe.archive.table import Row
from convpipe.config.compose import MAIN_CONFIG, plain_config
from convpipe.config.expressions import compile_expression
from convpipe.config.read import read_execution
from convpipe.config.settings import Execution, Job
from convpipe.errors import ConfigError, StorageError
from convpipe.files.staging import remove_abandoned
from convpipe.files.yaml import dotted
from convpipe.graph.work import Planner
from convpipe.report.console import console
from convpipe.report.sweep_progress import SweepProgress, sweep_progress
from convpipe.sweeps import executors as sweeps_executors
from convpipe.sweeps.axes import Point
from convpipe.sweeps.batches import THERE, Finished, Task, is_done, run_all
from convpipe.sweeps.composer import Base, Composer, base_of
from convpipe.sweeps.dask import dask_cluster
from convpipe.sweeps.executors import Pool, processes
from convpipe.sweeps.interrupts import GOES_ON, ending_soon, uninterrupted
from convpipe.sweeps.listed import override_text
from convpipe.sweeps.points import Points, at_point, is_impossible, point_text
from convpipe.sweeps.ray import ray_cluster
from convpipe.sweeps.space import sweep_of
from convpipe.sweeps.totals import Tally, Totals, show_tally

if TYPE_CHECKING:
    from hydra.plugins.launcher import Launcher
    from omegaconf import DictConfig


def sweep(config: DictConfig, params: Mapping[str, Any], arguments: Sequence[str], launcher: Launcher | None) -> int:
    """Run a sweep; gives the exit code: 0, 1 where points failed, 3 where a repeat differed.

    Args:
        config: composed for the sweep as a whole: how to execute.
        params: hydra.sweeper.params; `arguments`, from the command line, come after and count more.
        launcher: a stock Hydra launcher, or None for our own.

    Raises:
        ConvpipeError: something is wrong with a point or with the whole; nothing has run.
    """
    whole = plain_config(config, missing=True)
    execution = read_execution(whole)
    check_execution(execution, launched=launcher is not None)
    composer = composer_for(config, params, arguments, execution)
    where = None if execution.where is None else compile_expression("where", execution.where)
    points = Points(composer, whole, where)
    try:
        return checked_sweep(points, execution, launcher)
    except KeyboardInterrupt as stop:
        stop.add_note(GOES_ON)
        raise


def composer_for(
    config: DictConfig, params: Mapping[str, Any], arguments: Sequence[str], execution: Execution
) -> Composer:
    """What composes the points of a sweep."""
    from hydra.core.global_hydra import GlobalHydra

    hydra = GlobalHydra.instance().hydra
    assert hydra is not None
    name = config.hydra.job.config_name or MAIN_CONFIG
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
    if cluster is not None and cluster.address == "???":
        raise ConfigError("cluster.address", None, "the scheduler's address, such as tcp://HOST:8786")
    if execution.workers > 1 and (cluster is not None or launched):
        raise ConfigError("workers", execution.workers, "1 beside a cluster or a launcher, which has its own")


def checked_sweep(points: Points, execution: Execution, launcher: Launcher | None) -> int:
    """Check all points, then run those that have to; gives the exit code."""
    totals, folders = check_all(points, execution)
    if execution.dry_run:
        print(totals)
        return 0
    tally = Tally()
    here = execution.workers == 1 and execution.cluster is None
    with sweep_progress(totals.points) as progress:
        try:
            for folder in folders:
                folder.mkdir(parents=True, exist_ok=True)
                remove_abandoned(folder)
            with ending_soon(folders) if here else nullcontext():
                for batch in batches(points, execution, launcher, progress, tally):
                    take_in(batch, progress, tally)
                    if execution.on_error == "stop" and (tally.failed or tally.differing):
                        break
        finally:
            with uninterrupted():
                for folder in filter(Path.is_dir, folders):
                    remove_abandoned(folder)
                    refresh(folder)
    check_shared(tally, folders)
    show_tally(console(), totals, tally, folders)
    return tally.exit_code


def check_shared(tally: Tally, folders: Sequence[Path]) -> None:
    """What workers have done is here, as it is where the folder is shared.

    Raises:
        StorageError: it is on a disk of theirs.
    """
    for outcome in (*tally.fastest, *tally.slowest):
        if not any((folder / outcome.run).is_dir() for folder in folders):
            missing = f"a worker's run {outcome.run} is not here"
            raise StorageError(f"{folders[0]}: {missing}; a cluster needs a shared folder")


def check_all(points: Points, execution: Execution) -> tuple[Totals, list[Path]]:
    """Plan every point; gives what they come to and the collections they belong to.

    Which of them are done is counted for a dry run alone, as each is looked up again at its turn.

    Raises:
        UsageError: a point that cannot run, unless ``invalid=skip``.
    """
    totals = Totals()
    failed: dict[Path, Mapping[str, Any]] = {}
    planner = Planner()
    for point, job in points.jobs():
        place = job.execution.place
        try:
            work = planner.work(job.spec, place.memory)
        except ConfigError as error:
            if execution.invalid == "error" or not is_impossible(error):
                raise at_point(point, error) from error
            totals.impossible += 1
            continue
        if place.folder not in failed:
            failed[place.folder] = failed_before(place.folder, execution)
        if execution.dry_run:
            identity = points.identity(job)
            totals.there += is_done(place.folder, identity)
            totals.failed_before += identity in failed[place.folder]
        totals.count(work, partial(point_text, point))
    totals.left_out = points.left_out
    return totals, list(failed)


def failed_before(folder: Path, execution: Execution) -> Mapping[str, Any]:
    """The points that failed in an earlier sweep, and are not to be tried again."""
    return failures(folder) if execution.retry is None else {}


def tasks(points: Points, execution: Execution, progress: SweepProgress, tally: Tally) -> Iterator[tuple[Point, Task]]:
    """The points that have to run, each looked up at its turn: another sweep may have run it by then."""
    failed: dict[Path, Mapping[str, Any]] = {}
    planner = Planner()
    for point, job in points.jobs():
        place, identity = job.execution.place, points.identity(job)
        if is_done(place.folder, identity):
            tally.there += 1
            progress.skipped()
            continue
        if place.folder not in failed:
            failed[place.folder] = failed_before(place.folder, execution)
        if identity in failed[place.folder]:
            tally.failed_before += 1
            progress.failed_before()
        elif execution.invalid == "error" or is_possible(job, planner):
            yield point, Task(job.spec, place, point_text(point), identity)


def is_possible(job: Job, planner: Planner) -> bool:
    """Whether a point's sizes can be; what is wrong in another way has been refused before."""
    try:
        planner.work(job.spec, job.execution.place.memory)
    except ConfigError:
        return False
    return True


def batches(
    points: Points, execution: Execution, launcher: Launcher | None, progress: SweepProgress, tally: Tally
) -> Iterator[Finished]:
    """Run what has to run; gives the outcomes as they come."""
    found = tasks(points, execution, progress, tally)
    if launcher is not None:
        from convpipe.sweeps.launched import launch

        yield from launch(points.composer, found, launcher)
        return
    with pool_for(execution) as pool:
        yield from run_all((task for _, task in found), pool, execution.on_error == "stop")


def take_in(batch: Finished, progress: SweepProgress, tally: Tally) -> None:
    """Note the rows of finished points in the indexes of their collections, count them, and show them."""
    rows: dict[Path, list[Row]] = {}
    for place, outcome in batch:
        if outcome.row is not None:
            rows.setdefault(place.folder, []).append(outcome.row)
        tally.count(outcome)
    with uninterrupted():
        for folder, found in rows.items():
            note(folder, found)
    for _, outcome in batch:
        if outcome.status == THERE:
            progress.skipped()
        else:
            progress.finished(outcome.overrides, outcome.error)


def pool_for(execution: Execution) -> AbstractContextManager[Pool]:
    """Where the points run."""
    cluster = execution.cluster
    if cluster is not None:
        return {"dask": dask_cluster, "ray": ray_cluster}[cluster.kind](cluster.address)
    return sweeps_executors.here() if execution.workers == 1 else processes(execution.workers)
