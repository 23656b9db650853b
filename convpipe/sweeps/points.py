"""The points of a sweep: each composed, sifted by `where`, read and planned once, and kept until its turn comes."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from time import time_ns
from typing import Any

from convpipe.archive.identity import check_written
from convpipe.config.expressions import Expression
from convpipe.config.read import read_job
from convpipe.config.settings import Execution, Job
from convpipe.errors import ConfigError, GeometryError, GeometrySettingError, UsageError, shown
from convpipe.execution.drawing import drawn_stages
from convpipe.execution.inputs import pinned
from convpipe.execution.runner import Place, Prepared
from convpipe.files.yaml import dotted
from convpipe.graph.canonical import as_computed
from convpipe.graph.memo import Memo
from convpipe.graph.spec import Spec, describe, long_parts
from convpipe.graph.work import Work, checked_work
from convpipe.sweeps.axes import Point, point_text
from convpipe.sweeps.batches import Task, failed
from convpipe.sweeps.composer import Composer
from convpipe.sweeps.outcomes import Done

# What says how the whole sweep is run: an experiment that is swept over cannot say something else.
OF_THE_SWEEP = ("where", "invalid", "retry", "reuse", "replace", "on_error", "sweep", "workers", "cluster", "dry_run")
OF_A_PART = ("where", "invalid", "sweep")  # what each of several experiments in one sweep may say for itself
# Of points that wait for their turn: 18,000 that differ in their seed alone, 1,400 of which each has a plan of its own.
# A sweep of 10,000 takes 60.4 MiB in all, and 58.9 if none is kept; to make one once more takes 0.03 to 0.2 ms.
MOST_KEPT_BYTES = 8 << 20
POINT_BYTES = 460  # measured: 300 where its axis keeps its settings anyway, 463 elsewhere
PLAN_BYTES_A_STEP = 1100  # measured: 1010 of a network, 1110 of a convolution and its settings
SHORT_PARTS_BYTES = 64 << 10  # of a config, beside its numbers and its network


class Left(Enum):
    """Why a point does not run."""

    OUT = "where leaves it out"
    IMPOSSIBLE = "its sizes cannot be"


@dataclass(frozen=True, slots=True)  # thousands are kept
class Checked:
    """A point that can run: composed, read and planned."""

    number: int  # in the sweep, from 1
    label: str
    point: Point
    spec: Spec
    place: Place
    work: Work


@dataclass
class Kept:
    """The first points of a sweep as the check made them, until their turn comes.

    What is the same in one point as in the last is one object.
    """

    waiting: deque[Checked] = field(default_factory=deque)
    points: int = 0  # of the space, those among them that do not run
    bytes: int = 0
    last: Work | None = None

    def add(self, found: Checked | Left) -> None:
        """Keep one more, if there is room."""
        if self.bytes >= MOST_KEPT_BYTES:
            return
        self.points += 1
        if isinstance(found, Checked):
            self.waiting.append(found)
            new = found.work is not self.last
            self.bytes += POINT_BYTES + new * PLAN_BYTES_A_STEP * len(found.work.plan.steps)
            self.last = found.work


@dataclass
class Points:
    """The points of one sweep, or of one of several experiments in it."""

    composer: Composer
    whole: Mapping[str, Any]  # the config of the sweep as a whole
    execution: Execution
    where: Expression | None
    before: int = 0  # points of other experiments in the same sweep
    experiment: str = ""  # the word that chooses this one, where there are others
    memo: Memo = field(default_factory=Memo)
    kept: Kept = field(default_factory=Kept)
    impossible: set[int] = field(default_factory=set)  # numbers of points
    began: int = field(default_factory=time_ns)

    @property
    def size(self) -> int:
        """How many there are, those among them that do not run."""
        return self.composer.sweep.space.size

    def numbered(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, Point]]:
        """The points of the space from one on, up to another, with their numbers in the sweep."""
        return enumerate(self.composer.sweep.space.points(start, stop), self.before + start + 1)

    def checked(self) -> Iterator[Checked | Left]:
        """Every point, whether it runs or not; the first of them are kept, if any is to run.

        Raises:
            UsageError: a point that cannot be, named by its overrides.
        """
        for number, point in self.numbered():
            found = self.check(number, point)
            if not self.execution.dry_run:
                self.kept.add(found)
            yield found

    def check(self, number: int, point: Point) -> Checked | Left:
        """One point, whether it runs or not.

        Raises:
            UsageError: it cannot be.
        """
        job = self.job(point)
        try:
            found = Left.OUT if job is None else self.planned(number, point, job)
        except ConfigError as error:
            raise at_point(point, self.experiment, error) from error
        if found is Left.IMPOSSIBLE:
            self.impossible.add(number)
        return found

    def turns(self) -> Iterator[Task | Done]:
        """The points that run, at their turns: what the check has kept, then the others, made once more."""
        while self.kept.waiting:
            yield self.task(self.kept.waiting.popleft())
        for number, point in self.numbered(self.kept.points):
            if (found := self.again(number, point)) is not None:
                yield found

    def again(self, number: int, point: Point) -> Task | Done | None:
        """A point that was checked, made once more; None of one that does not run.

        It may have become impossible, as a file that it reads has changed: then it has failed.
        """
        job = self.job(point)
        try:
            found = Left.OUT if job is None else self.planned(number, point, job)
        except ConfigError as error:
            assert job is not None
            return failed(point, number, job, error, self.experiment)
        return self.task(found) if isinstance(found, Checked) else None

    def task(self, found: Checked) -> Task:
        """A point described, too, and so ready to run."""
        prepared = Prepared(found.spec, describe(found.spec, self.memo), found.work)
        measured = self.composer.sweep.measures
        return Task(found.point, found.place, prepared, found.number, found.label, measured, self.experiment)

    @property
    def is_serial(self) -> bool:
        """Whether the points run one after another in this process."""
        return self.execution.workers == 1 and self.execution.elsewhere is None

    def refused(self) -> Iterator[tuple[int, Point, Job]]:
        """The points whose sizes cannot be, composed once more."""
        for number, point in self.numbered() if self.impossible else ():
            if number in self.impossible and (job := self.job(point)) is not None:
                yield number, point, job

    def job(self, point: Point) -> Job | None:
        """A point's checked config, or None where `where` leaves it out.

        Raises:
            UsageError: it cannot be.
        """
        try:
            config = self.composer.compose(point)
            for key in OF_THE_SWEEP:
                if config.get(key) != self.whole.get(key):
                    raise not_of_the_sweep(key, config.get(key), self.whole.get(key))
            if self.where is not None and not self.where(dict(dotted(config))):
                return None
            return read_job(config, self.memo)
        except ConfigError as error:
            raise at_point(point, self.experiment, error) from error

    def planned(self, number: int, point: Point, job: Job) -> Checked | Left:
        """A point with its plan, or, where such are skipped, the word that its sizes cannot be.

        Raises:
            ConfigError: it cannot be planned.
        """
        place = job.execution.place
        try:
            work = checked_work(job.spec, place.memory, self.memo)
            drawn_stages(place.pictures, job.spec, work.plan)  # whose names are told before anything runs
            spec = as_computed(pinned(job.spec, self.memo), work)
            check_written(long_parts(spec, self.memo), SHORT_PARTS_BYTES)
            return Checked(number, job.execution.label or "", point, spec, place, work)
        except ConfigError as error:
            if self.execution.invalid == "error" or not is_impossible(error):
                raise
            return Left.IMPOSSIBLE


def points_in(parts: Iterable[Points]) -> int:
    """How many points a sweep has, those among them that do not run."""
    return sum(points.size for points in parts)


def not_of_the_sweep(key: str, found: Any, whole: Any) -> ConfigError:
    """A point that says something of its own about the sweep, by the innermost key that differs."""
    if isinstance(found, Mapping) and isinstance(whole, Mapping):
        name = next(name for name in {**whole, **found} if found.get(name) != whole.get(name))
        return not_of_the_sweep(f"{key}.{name}", found.get(name), whole.get(name))
    return ConfigError(key, found, f"{shown(whole)}, as the sweep itself has it", "sweep over such an experiment alone")


def at_point(point: Point, experiment: str, error: Exception) -> UsageError:
    """An error with the overrides of the point that it is about."""
    return UsageError(f"{shown(point_text(point, experiment), 200)}: {error}")


def is_impossible(error: ConfigError) -> bool:
    """Whether an error is about sizes that cannot be, and not about a setting that nobody understands."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, GeometryError):
        found = found.__cause__
    return found is not None and not isinstance(found, GeometrySettingError)
