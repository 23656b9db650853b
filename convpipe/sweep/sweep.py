"""A sweep from its overrides to its results: all points checked, those that are there skipped, the rest run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from convpipe import collection
from convpipe.config import MAIN_CONFIG, Execution, Job, JobReader, plain_config, read_execution
from convpipe.errors import ConfigError, GeometryError, UsageError
from convpipe.expressions import Expression, compile_expression
from convpipe.plan import readable
from convpipe.planner import Planner
from convpipe.report.console import console, readable_seconds, table
from convpipe.report.sweep_progress import SweepProgress, sweep_progress
from convpipe.runner import Place
from convpipe.spec import plain, run_id
from convpipe.staging import remove_abandoned
from convpipe.sweep import executors
from convpipe.sweep.axes import Point
from convpipe.sweep.batches import Done, Task, run_all
from convpipe.sweep.composer import Composer
from convpipe.sweep.space import Sweep, sweep_of

if TYPE_CHECKING:
    from hydra.plugins.launcher import Launcher
    from omegaconf import DictConfig

MOST_LISTED = 5


@dataclass
class Totals:
    """What the points of a sweep come to, counted before any runs."""

    points: int = 0
    left_out: int = 0
    impossible: int = 0
    there: int = 0
    failed_before: int = 0
    bytes: int = 0
    macs: int = 0
    largest: int = 0
    largest_point: str = ""

    def __str__(self) -> str:
        lines = [
            f"{self.points} points, {self.there} of them already done, {self.to_run} to run",
            f"{self.left_out} left out by where, {self.impossible} impossible and skipped",
            f"{self.macs:,} multiply-adds, {readable(self.bytes)} in arrays",
            f"largest run: {readable(self.largest)} at its peak ({self.largest_point or 'no overrides'})",
        ]
        if self.failed_before:
            lines.insert(1, f"{self.failed_before} failed before (retry=failed runs them again)")
        return "\n".join(lines)

    @property
    def to_run(self) -> int:
        """Points that are neither there nor known to fail."""
        return self.points - self.there - self.failed_before


@dataclass
class Tally:
    """What came of the points that ran."""

    done: int = 0
    failed: int = 0
    fastest: list[Done] = field(default_factory=list)
    slowest: list[Done] = field(default_factory=list)
    failures: list[Done] = field(default_factory=list)

    def count(self, outcome: Done) -> None:
        """Take one outcome into account; only the few extremes are kept."""
        if outcome.status == "failed":
            self.failed += 1
            self.failures = [*self.failures, outcome][:MOST_LISTED]
            return
        self.done += 1
        self.fastest = sorted([*self.fastest, outcome], key=lambda each: each.seconds)[:MOST_LISTED]
        self.slowest = sorted([*self.slowest, outcome], key=lambda each: -each.seconds)[:MOST_LISTED]


@dataclass
class Points:
    """The points of one sweep as jobs, each composed and read when it is its turn."""

    sweep: Sweep
    composer: Composer
    where: Expression | None
    invalid: str
    reader: JobReader = field(default_factory=JobReader)
    left_out: int = 0

    def jobs(self) -> Iterator[tuple[str, Job]]:
        """The overrides and the job of every point that `where` lets through.

        Raises:
            UsageError: a point whose config cannot be, named by its overrides.
        """
        self.left_out = 0
        for point in self.sweep.space.points():
            overrides = point_text(point)
            try:
                config = self.composer.compose(point)
                if self.where is not None and not self.where(dict(dotted(config))):
                    self.left_out += 1
                    continue
                yield overrides, self.reader.read(config)
            except ConfigError as error:
                raise at_point(overrides, error) from error


def point_text(point: Point) -> str:
    """A point's overrides as one would type them."""
    return " ".join(setting.text for setting in point)


def at_point(overrides: str, error: Exception) -> UsageError:
    """An error with the overrides of the point that it is about."""
    return UsageError(f"{overrides or 'the sweep'}: {error}")


def dotted(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """A plain config as dotted keys and values."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def sweep(config: DictConfig, params: Sequence[str], arguments: Sequence[str], launcher: Launcher | None) -> int:
    """Run a sweep; gives the exit code: 0, or 1 where some points failed.

    Args:
        config: composed for the sweep as a whole: how to execute.
        params: overrides of ``hydra.sweeper.params``; `arguments`, from the command line, come after.
        launcher: a stock Hydra launcher, or None for our own.

    Raises:
        ConvpipeError: something is wrong with a point or with the whole; nothing has run.
    """
    from hydra.core.global_hydra import GlobalHydra

    hydra = GlobalHydra.instance().hydra
    assert hydra is not None
    execution = read_execution(plain_config(config, missing=True))
    name = config.hydra.job.config_name or MAIN_CONFIG
    found = sweep_of(hydra, [*params, *arguments], execution)
    where = None if execution.where is None else compile_expression("where", execution.where)
    points = Points(found, Composer(hydra, name, found.fixed), where, execution.invalid)
    totals, folders = check_all(points, execution)
    if execution.dry_run:
        print(totals)
        return 0
    for folder in folders:
        if folder.is_dir():
            remove_abandoned(folder)
    if launcher is not None:
        from convpipe.sweep.launched import launch

        return launch(points, launcher, execution, folders)
    return run_points(points, execution, totals, folders)


def check_all(points: Points, execution: Execution) -> tuple[Totals, list[Path]]:
    """Plan every point; gives what they come to and the collections they belong to.

    Raises:
        UsageError: a point that cannot run, unless ``invalid=skip``.
    """
    totals = Totals()
    folders: dict[Path, dict[str, Any]] = {}
    planner = Planner()
    for overrides, job in points.jobs():
        try:
            work = planner.work(job.spec, job.execution.place.memory)
        except ConfigError as error:
            if not skipped(error, execution.invalid):
                raise at_point(overrides, error) from error
            totals.impossible += 1
            continue
        totals.points += 1
        folder = job.execution.place.folder
        failed = folders.setdefault(folder, collection.failures(folder) if folder.is_dir() else {})
        identity = run_id(plain(job.spec))
        totals.there += (folder / identity).is_dir()
        totals.failed_before += identity in failed and execution.retry is None
        totals.bytes += work.plan.bytes
        totals.macs += work.macs
        if work.peak_bytes > totals.largest:
            totals.largest, totals.largest_point = work.peak_bytes, overrides
    totals.left_out = points.left_out
    return totals, list(folders)


def skipped(error: ConfigError, invalid: str) -> bool:
    """Whether ``invalid=skip`` passes over a point: for sizes that cannot be, not for a setting nobody understands."""
    return invalid == "skip" and (isinstance(error, GeometryError) or isinstance(error.__cause__, GeometryError))


def tasks(points: Points, execution: Execution, progress: SweepProgress) -> Iterator[Task]:
    """The points that have to run, each looked up at its turn: another sweep may have run it by then."""
    failed: dict[Path, Mapping[str, Any]] = {}
    for overrides, job in points.jobs():
        place = job.execution.place
        identity = run_id(plain(job.spec))
        if (place.folder / identity).is_dir():
            progress.skipped()
            continue
        if place.folder not in failed:
            failed[place.folder] = collection.failures(place.folder) if execution.retry is None else {}
        if identity in failed[place.folder]:
            progress.failed_before()
            continue
        if execution.invalid == "skip" and not possible(job):
            continue
        yield Task(job.spec, place, overrides, identity)


def possible(job: Job) -> bool:
    """Whether a point's sizes can be; the others have been refused, or are skipped."""
    try:
        Planner().work(job.spec, job.execution.place.memory)
    except ConfigError:
        return False
    return True


def run_points(points: Points, execution: Execution, totals: Totals, folders: Sequence[Path]) -> int:
    """Run what has to run, write it down as it comes, and show it; gives the exit code."""
    tally = Tally()
    with sweep_progress(totals.points) as progress:
        try:
            for folder in folders:
                folder.mkdir(parents=True, exist_ok=True)
            with executor_for(execution) as (executor, workers):
                for batch in run_all(tasks(points, execution, progress), executor, workers):
                    write_down(batch)
                    for _, outcome in batch:
                        tally.count(outcome)
                        progress.finished(outcome.overrides, outcome.error)
                    if tally.failed and execution.on_error == "stop":
                        break
        finally:
            for folder in folders:
                remove_abandoned(folder)
                collection.refresh(folder)
    show_tally(console(), totals, tally, folders)
    return 1 if tally.failed or totals.failed_before else 0


def show_tally(out: Console, totals: Totals, tally: Tally, folders: Sequence[Path]) -> None:
    """Print what came of a sweep: counts, the fastest, the slowest and the first failures."""
    rows = table(out.no_color)
    for name in ("", "run", "time", "overrides"):
        rows.add_column(name, justify="right" if name == "time" else "left")
    for word, found in (("fastest", tally.fastest), ("slowest", tally.slowest), ("failed", tally.failures)):
        for outcome in found[:3]:
            rows.add_row(word, outcome.run, readable_seconds(outcome.seconds), Text(outcome.overrides))
    if tally.done or tally.failed:
        out.print(rows)
        out.print()
    not_run = totals.to_run - tally.done - tally.failed
    counts = [f"{tally.done} done", f"{totals.there} there before", f"{tally.failed} failed"]
    counts += [f"{totals.failed_before} failed before (retry=failed runs them again)"] if totals.failed_before else []
    counts += [f"{not_run} not run"] if not_run > 0 else []
    where = ", ".join(str(folder) for folder in folders)
    out.print(f"{', '.join(counts)}: {where}", markup=False, soft_wrap=True)


def write_down(batch: Sequence[tuple[Place, Done]]) -> None:
    """Note the rows of finished points in the indexes of their collections."""
    rows: dict[Path, list[collection.Row]] = {}
    for place, outcome in batch:
        if outcome.row is not None:
            rows.setdefault(place.folder, []).append(outcome.row)
    for folder, found in rows.items():
        collection.note(folder, found)


def executor_for(execution: Execution) -> AbstractContextManager[tuple[Any, int]]:
    """Where the points run."""
    cluster = execution.cluster
    if cluster is not None:
        return {"dask": executors.dask_cluster, "ray": executors.ray_cluster}[cluster.kind](cluster.address)
    return executors.here() if execution.workers == 1 else executors.processes(execution.workers)
