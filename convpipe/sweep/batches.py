"""Running the points of a sweep in batches, whatever runs them, with at most a few batches on their way."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from convpipe import runner
from convpipe.collection import Row, done_row, failed_row
from convpipe.errors import ConvpipeError, StorageError
from convpipe.planner import Planner
from convpipe.runner import Place, Shelf
from convpipe.spec import Spec

BATCH_SECONDS = 0.25  # long against the milliseconds that scheduling a batch takes on a cluster
MOST_IN_BATCH = 512
BATCHES_AHEAD = 3  # for each worker: one running, and some waiting


@dataclass(frozen=True)
class Task:
    """One point, ready to run: the overrides are for people."""

    spec: Spec
    place: Place
    overrides: str
    identity: str


@dataclass(frozen=True)
class Done:
    """What came of one point."""

    run: str
    overrides: str
    status: str  # done or failed
    seconds: float
    row: Row
    error: str = ""


Finished = list[tuple[Place, Done]]


def run_batch(tasks: Sequence[Task], folder: str) -> Finished:
    """Run some points one after another, in whichever process this is, paths meant from `folder`."""
    if os.getcwd() != folder:
        os.chdir(folder)
    shelf, planner = Shelf(), Planner()
    with runner.blas_threads(tasks[0].place.threads):
        return [(task.place, run_task(task, shelf, planner)) for task in tasks]


def run_task(task: Task, shelf: Shelf, planner: Planner) -> Done:
    """Run one point; an error is its outcome, not the sweep's, unless it is the disk's."""
    start = perf_counter()
    try:
        prepared = runner.prepare(task.spec, task.place.memory, planner)
        manifest, output = runner.produce(prepared, task.place, shelf)
    except StorageError:
        raise
    except (ConvpipeError, MemoryError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        row = failed_row(task.identity, task.spec, text)
        return Done(task.identity, task.overrides, "failed", perf_counter() - start, row, text)
    row = done_row(prepared.config, manifest, output)
    return Done(task.identity, task.overrides, "done", perf_counter() - start, row)


class Average:
    """The mean of the last runs' times, for the size of the next batches."""

    def __init__(self) -> None:
        self.value = 0.0

    def add(self, seconds: float) -> None:
        """Take one more into account."""
        self.value = seconds if not self.value else 0.9 * self.value + 0.1 * seconds


def in_batches(tasks: Iterable[Task], seconds_each: Callable[[], float]) -> Iterator[list[Task]]:
    """Tasks in batches of about BATCH_SECONDS, as far as the runs so far let one guess; one thread count in each."""
    batch: list[Task] = []
    for task in tasks:
        if batch and task.place.threads != batch[0].place.threads:
            yield batch
            batch = []
        batch.append(task)
        if len(batch) >= wanted_length(seconds_each()):
            yield batch
            batch = []
    if batch:
        yield batch


def wanted_length(seconds_each: float) -> int:
    """How many runs of that length make a batch; a few while none has been timed."""
    return min(MOST_IN_BATCH, max(1, int(BATCH_SECONDS / seconds_each))) if seconds_each else 4


def run_all(tasks: Iterable[Task], executor: Executor, workers: int) -> Iterator[Finished]:
    """Run tasks on an executor, giving the outcomes of each batch as it is finished.

    Tasks are taken only as fast as they are run, so memory does not grow with their number.

    Raises:
        StorageError: the disk refused, or the machine killed a worker process (out of memory, most likely).
    """
    seconds, folder = Average(), str(Path.cwd())
    pending: set[Future[Finished]] = set()
    for batch in in_batches(tasks, lambda: seconds.value):
        pending.add(executor.submit(run_batch, batch, folder))
        while len(pending) >= (workers * BATCHES_AHEAD if workers > 1 else 1):
            yield from finished(pending, seconds)
    while pending:
        yield from finished(pending, seconds)


def finished(pending: set[Future[Finished]], seconds: Average) -> Iterator[Finished]:
    """Wait for some batch, and give its outcomes."""
    ready, _ = wait(pending, return_when=FIRST_COMPLETED)
    for future in ready:
        pending.discard(future)
        try:
            outcomes = future.result()
        except BrokenProcessPool as error:
            reason = "a worker process was killed (out of memory?); the same command goes on from here"
            raise StorageError(reason) from error
        for _, outcome in outcomes:
            seconds.add(outcome.seconds)
        yield outcomes
