"""Running the points of a sweep in batches, whatever runs them, with at most a few batches on their way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from time import perf_counter

from convpipe import runner
from convpipe.collection import Row, note_failure, row_of
from convpipe.errors import ArchiveError, ConvpipeError
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


@dataclass(frozen=True)
class Done:
    """What came of one point."""

    run: str
    overrides: str
    status: str  # done, skipped or failed
    seconds: float
    row: Row | None = None
    error: str = ""


def run_batch(tasks: Sequence[Task]) -> list[Done]:
    """Run some points one after another, in whichever process this is."""
    shelf = Shelf()
    with runner.blas_threads(tasks[0].place.threads):
        return [run_task(task, shelf) for task in tasks]


def run_task(task: Task, shelf: Shelf) -> Done:
    """Run one point, unless its run is there by now; an error is its outcome, not the sweep's."""
    start = perf_counter()
    identity = runner.identity(task.spec)
    try:
        outcome = runner.execute_unlimited(task.spec, task.place, shelf=shelf)
    except ConvpipeError as error:
        text = " ".join(str(error).split())
        row = note_failure(task.place.folder, identity, task.spec, text)
        return Done(identity, task.overrides, "failed", perf_counter() - start, row, text)
    return Done(identity, task.overrides, "done", perf_counter() - start, row_of(outcome))


def in_batches(tasks: Iterable[Task], seconds_each: Callable[[], float]) -> Iterator[list[Task]]:
    """Tasks in batches of about BATCH_SECONDS, as far as the runs so far let one guess."""
    batch: list[Task] = []
    for task in tasks:
        batch.append(task)
        if len(batch) >= wanted_length(seconds_each()) or task.place.threads != batch[0].place.threads:
            yield batch
            batch = []
    if batch:
        yield batch


def wanted_length(seconds_each: float) -> int:
    """How many runs of that length make a batch; a few while none has been timed."""
    return min(MOST_IN_BATCH, max(1, int(BATCH_SECONDS / seconds_each))) if seconds_each else 4


def run_all(tasks: Iterable[Task], executor: Executor, workers: int) -> Iterator[Done]:
    """Run tasks on an executor, giving each outcome as it comes.

    Tasks are taken only as fast as they are run, so memory does not grow with their number.

    Raises:
        ArchiveError: the machine killed a worker process (out of memory, most likely).
    """
    seconds = Average()
    pending: set[Future[list[Done]]] = set()
    for batch in in_batches(tasks, lambda: seconds.value):
        pending.add(executor.submit(run_batch, batch))
        while len(pending) >= workers * BATCHES_AHEAD:
            yield from finished(pending, seconds)
    while pending:
        yield from finished(pending, seconds)


def finished(pending: set[Future[list[Done]]], seconds: Average) -> Iterator[Done]:
    """Wait for some batch, and give its outcomes."""
    ready, _ = wait(pending, return_when=FIRST_COMPLETED)
    for future in ready:
        pending.discard(future)
        try:
            outcomes = future.result()
        except BrokenProcessPool as error:
            raise ArchiveError("a worker process was killed; the same command goes on from here") from error
        for outcome in outcomes:
            seconds.add(outcome.seconds)
            yield outcome


class Average:
    """The mean of the last runs' times, for the size of the next batches."""

    def __init__(self) -> None:
        self.value = 0.0

    def add(self, seconds: float) -> None:
        """Take one more into account."""
        self.value = seconds if not self.value else 0.9 * self.value + 0.1 * seconds
