"""Points in blocks: processes of this machine that check a sweep's points, keep what they made, and run them.

A point that is sent to another process costs what it takes to pickle it (30 us), and a check by one process alone costs
all others their time. So a large sweep is forked before its points are checked: a block is two numbers then, and each
process makes its points itself. Two processes run 20,000 small points 1.79 times as fast as one; with points that are
sent to them it was 1.58.
"""

from __future__ import annotations

import gc
import sys
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter

from convpipe.archive.changes import Survey
from convpipe.execution.threads import blas_threads
from convpipe.graph.memo import Memo
from convpipe.sweeps.batches import (
    BATCH_SECONDS,
    BATCHES_AHEAD,
    MOST_IN_BATCH,
    ONE_AT_A_TIME,
    Passing,
    Task,
    finished,
    run_task,
)
from convpipe.sweeps.executors import Pool, processes
from convpipe.sweeps.outcomes import DIFFERS, FAILED, Done
from convpipe.sweeps.points import MOST_KEPT_BYTES, POINT_BYTES, Checked, Left, Points, points_in
from convpipe.sweeps.totals import Totals
from convpipe.sweeps.turns import Failed, failed_before, turns

MANY = 1000  # points, from which on it is worth while
CHECKED_AT_ONCE = 256  # points


@dataclass(frozen=True)
class Block:
    """Points of one part of a sweep, from one up to another."""

    part: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass
class Worker:
    """What one process knows of the sweep: all of its points, and those that it has made for the check."""

    parts: Sequence[Points]
    kept: dict[int, Checked] = field(default_factory=dict)
    memo: Memo = field(default_factory=Memo)
    failed: Failed | None = None

    def tasks(self, block: Block) -> Iterator[Task | Done]:
        """The points of a block that run."""
        points = self.parts[block.part]
        for number, point in points.numbered(block.start, block.stop):
            kept = self.kept.pop(number, None)
            found = points.task(kept) if kept is not None else points.again(number, point)
            if found is not None:
                yield found


WORKERS: list[Worker] = []  # of this process, which a pool can give no state otherwise: one


def begin(parts: Sequence[Points]) -> None:
    """Set this process up as a worker; what it has inherited is not looked through for garbage, which would copy it."""
    gc.freeze()
    WORKERS[:] = [Worker(parts)]


# In a worker


@dataclass(frozen=True)
class Checks:
    """What the points of a block come to."""

    totals: Totals
    folders: tuple[Path, ...]
    impossible: list[int]


def check_block(block: Block) -> Checks:
    """Check the points of a block, and keep some of them.

    Raises:
        UsageError: a point that cannot be.
    """
    worker, totals, folders, impossible = WORKERS[0], Totals(), dict[Path, None](), list[int]()
    points = worker.parts[block.part]
    for number, point in points.numbered(block.start, block.stop):
        found = points.check(number, point)
        totals.add(found)
        if found is Left.IMPOSSIBLE:
            impossible.append(number)
        if isinstance(found, Checked):
            folders[found.place.folder] = None
            if len(worker.kept) * POINT_BYTES < MOST_KEPT_BYTES:
                worker.kept[number] = found
    return Checks(totals, tuple(folders), impossible)


@dataclass(frozen=True)
class Ran:
    """What has come of the points of a block, what those have read, and the block that is left of it."""

    outcomes: list[Passing]
    surveys: Mapping[Path, Survey]
    rest: Block | None = None


def run_block(block: Block, stop: bool) -> Ran:
    """Run the points of a block, or pass over them, for about BATCH_SECONDS, or up to a failure that stops the sweep.

    Raises:
        StorageError: the disk refused.
    """
    worker, found, end = WORKERS[0], list[Passing](), perf_counter() + BATCH_SECONDS
    points = worker.parts[block.part]
    worker.failed = worker.failed or failed_before(points.execution)
    surveys = Surveys()
    every = turns(points, worker.tasks(block), surveys, worker.failed)
    with ONE_AT_A_TIME, ExitStack() as limits:
        threads = 0
        for each in every:
            if isinstance(each, Task) and each.place.threads != threads:
                threads = each.place.threads
                limits.close()
                limits.enter_context(blas_threads(threads))
            outcome = run_task(each, worker.memo) if isinstance(each, Task) else each
            found.append(outcome)
            if stop and isinstance(outcome, Done) and outcome.status in (FAILED, DIFFERS):
                break
            if perf_counter() > end:
                return Ran(found, surveys, replace(block, start=outcome.number - points.before))
    return Ran(found, surveys)


class Surveys(dict[Path, Survey]):
    """Surveys of the collections that are asked for."""

    def __missing__(self, folder: Path) -> Survey:
        """A new one."""
        return self.setdefault(folder, Survey())


# In the process that has them


@dataclass
class Crew:
    """The workers of a sweep."""

    parts: Sequence[Points]
    pool: Pool
    ending: ExitStack  # ends them

    def check(self) -> tuple[Totals, tuple[Path, ...]]:
        """Have all points checked; gives what they come to and the collections they belong to.

        Raises:
            UsageError: the first point that cannot run.
        """
        totals, folders = Totals(), dict[Path, None]()
        checks = [(block.part, self.pool.executor.submit(check_block, block)) for block in self.blocks()]
        for part, future in checks:
            found: Checks = future.result()
            totals.join(found.totals)
            folders |= dict.fromkeys(found.folders)
            self.parts[part].impossible.update(found.impossible)
        return totals, tuple(folders)

    def blocks(self) -> Iterator[Block]:
        """All points, in the blocks of the check."""
        for part, points in enumerate(self.parts):
            for start in range(0, points.size, CHECKED_AT_ONCE):
                yield Block(part, start, min(start + CHECKED_AT_ONCE, points.size))

    def run(self, surveys: Mapping[Path, Survey]) -> Generator[list[Passing]]:
        """Have the points run, and give what comes of each block as it is finished; at the end no worker is left.

        Raises:
            StorageError: the disk refused, or a worker was lost for good.
        """
        with self.ending:
            yield from self.outcomes(surveys)

    def outcomes(self, surveys: Mapping[Path, Survey]) -> Iterator[list[Passing]]:
        """What comes of each block; what a worker has not come to in its time is given out again."""
        execution = self.parts[0].execution
        open_blocks = OpenBlocks(self.blocks(), execution.chunk or MOST_IN_BATCH, self.pool.workers * BATCHES_AHEAD)
        pending: set[Future[Ran]] = set()
        while open_blocks.points or pending:
            while open_blocks.points and len(pending) < open_blocks.ahead:
                pending.add(self.pool.executor.submit(run_block, open_blocks.take(), execution.on_error == "stop"))
            for ran in finished(pending, self.pool):
                for folder, survey in ran.surveys.items():
                    surveys[folder].join(survey)
                if ran.rest is not None:
                    open_blocks.put(ran.rest)
                yield ran.outcomes


class OpenBlocks:
    """The points that no worker has come to, given out in ever smaller blocks, so that none waits long for another."""

    def __init__(self, blocks: Iterable[Block], most: int, ahead: int) -> None:
        self.blocks, self.most, self.ahead = deque(blocks), most, ahead
        self.points = sum(map(len, self.blocks))

    def take(self) -> Block:
        """The next block."""
        block = self.blocks.popleft()
        length = max(min(len(block), self.most, self.points // self.ahead), 1)
        if length < len(block):
            self.blocks.appendleft(replace(block, start=block.start + length))
        self.points -= length
        return replace(block, stop=block.start + length)

    def put(self, block: Block) -> None:
        """What is left of a block."""
        if len(block):
            self.blocks.appendleft(block)
            self.points += len(block)


@contextmanager
def crew(parts: Sequence[Points]) -> Iterator[Crew]:
    """Processes of this machine that know a sweep's points."""
    with ExitStack() as ending:
        workers = min(parts[0].execution.workers, points_in(parts))
        pool = ending.enter_context(processes(workers, begin, parts))
        yield Crew(parts, pool, ending)


def crew_for(parts: Sequence[Points]) -> AbstractContextManager[Crew | None]:
    """A crew where it is worth while; None for a small sweep, or where neither processes nor points stand alone."""
    execution = parts[0].execution
    here = execution.workers > 1 and execution.elsewhere is None and not execution.dry_run and sys.platform == "linux"
    indexed = all(points.composer.sweep.space.is_indexed for points in parts)
    return crew(parts) if here and indexed and points_in(parts) >= MANY else nullcontext()
