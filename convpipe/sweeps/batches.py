"""Running the points of a sweep in batches, whatever runs them, with at most a few batches on their way."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager, chdir, nullcontext
from dataclasses import dataclass
from threading import Lock
from time import perf_counter
from typing import Any, TypeVar

from convpipe.archive.table import Row, failed_row
from convpipe.archive.timings import timing_rows
from convpipe.config.settings import Job
from convpipe.errors import OUT_OF_MEMORY, ArchiveError, ConvpipeError, StorageError, of_the_system, pass_on
from convpipe.execution import provenance, runner
from convpipe.execution.code import code_of
from convpipe.execution.reuse import Found, Standing
from convpipe.execution.runner import Place, Prepared
from convpipe.execution.settle import How
from convpipe.execution.threads import blas_threads
from convpipe.graph.memo import Memo
from convpipe.graph.spec import describe
from convpipe.sweeps.axes import Point, point_text
from convpipe.sweeps.executors import Pool
from convpipe.sweeps.outcomes import DIFFERS, FAILED, THERE, Done, PassedOver

BATCH_SECONDS = 0.25  # long against the milliseconds that scheduling a batch takes on a cluster
MOST_IN_BATCH = 512
LAST_RUNS = 20  # whose mean says how many the next batches hold
CHECK_SECONDS = 1.0
BATCHES_AHEAD = 3  # for each worker: one running, and some waiting
SAME_FILES = "install the same on all, and start its process anew"
Times = tuple[tuple[Any, ...], ...]  # rows of timings.csv
STOPPED: set[str] = set()  # sweeps whose batches go no further in this process, as nobody waits for them
T = TypeVar("T")
Batched = TypeVar("Batched", bound=Sequence[Any])
ONE_AT_A_TIME = Lock()  # the working folder and BLAS's threads belong to a whole process


@dataclass(frozen=True)
class Task:
    """One point, ready to run wherever that is: it is planned, as that takes a while.

    A plan takes 142 us to make, and 51 to become bytes and a plan again in another process; a small network's takes
    1540 and 130. Points of a batch that share one send it once.
    """

    point: Point
    place: Place
    prepared: Prepared
    number: int = 0  # in the sweep, from 1
    label: str = ""
    measured: bool = False  # it is run in any case, and its times are noted
    experiment: str = ""  # the word that chooses it, where a sweep is over several

    @property
    def overrides(self) -> str:
        """For people."""
        return point_text(self.point, self.experiment)


Passing = PassedOver | Done  # what is no task any more, on its way to whoever counts it


@dataclass(frozen=True)
class Batch:
    """Points to run one after another in one process, wherever that is."""

    tasks: Sequence[Task]
    folder: str  # that relative paths start from; empty where that is gone
    stop: bool  # at the first failure
    version: str = provenance.VERSION  # of who asks for it
    code: str = ""  # of who asks for it, where that is another process
    sweep: str = ""  # what `STOPPED` knows it by


def run_batch(batch: Batch) -> list[Done]:
    """Run points one after another, in whichever process this is, up to the first failure where that stops the sweep.

    Raises:
        StorageError: the disk refused, or this process has another version of the code.
    """
    check_same(batch.version, batch.code)
    try:
        with ONE_AT_A_TIME, blas_threads(batch.tasks[0].place.threads), going_to(batch.folder):
            memo, done = Memo(), list[Done]()
            for task in batch.tasks:
                if batch.sweep in STOPPED:
                    break
                done.append(run_task(task, memo))
                if batch.stop and done[-1].status in (FAILED, DIFFERS):
                    break
            return done
    except FileNotFoundError as error:
        raise StorageError(f"{batch.folder}: not there for a worker; a cluster needs a shared folder") from error


def working_folder() -> str:
    """The folder that relative paths start from; nothing where it has been deleted, and none can be used."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""


def going_to(folder: str) -> AbstractContextManager[None]:
    """Be in a folder meanwhile, if there is any."""
    return chdir(folder) if folder else nullcontext()


def check_same(version: str, code: str) -> None:
    """This process has the code of who asks for runs; that may be empty, of this process itself.

    Raises:
        StorageError: it has another version, or other code.
    """
    if version != provenance.VERSION:
        raise StorageError(f"a worker has convpipe {provenance.VERSION}, expected {version}, as its client has")
    if code and code_of() != code:
        version = f"convpipe {provenance.VERSION}"
        raise StorageError(f"a worker has other code than its client, both of {version}; {SAME_FILES}")


def run_task(task: Task, memo: Memo) -> Done:
    """Run one point; an error is its outcome, not the sweep's, unless it is the disk's."""
    start, started, place, prepared = perf_counter(), provenance.now(), task.place, task.prepared

    def done(status: str, row: Row | None = None, error: str = "", note: str = "", times: Times = ()) -> Done:
        return Done(
            place.folder,
            prepared.identity,
            task.overrides,
            status,
            perf_counter() - start,
            row,
            error,
            note,
            number=task.number,
            label=task.label,
            times=times,
        )

    found = runner.standing(prepared, place)
    if is_done(found, place) and not task.measured:  # a point just like it, or another sweep, was faster
        return done(THERE)
    try:
        settled, stages = runner.produce(prepared, runner.keeping(place, found), memo)
    except StorageError:
        raise
    except ArchiveError as error:
        return done(DIFFERS, error=in_one_line(error))
    except Exception as error:
        pass_on(error)
        if (refused := of_the_system(error)) is not None and str(refused) != OUT_OF_MEMORY:
            raise refused from error  # too many open files, say: no fault of the point's
        text = in_one_line(refused or error)
        return done(FAILED, failed_row(prepared.described, text, started), text)
    if found.standing is Standing.ABSENT and settled.how is How.REPRODUCED and not task.measured:
        return done(THERE)  # one just like it was a little faster
    times = measured_times(prepared.identity, stages, place.threads) if task.measured else ()
    return done(settled.how.value, settled.row, note=settled.note, times=times)


def measured_times(run: str, stages: Mapping[str, Sequence[float]], threads: int) -> Times:
    """The times of a measured point as rows of timings.csv."""
    return tuple(timing_rows(run, stages, provenance.recorded(threads), provenance.now()))


def failed(point: Point, number: int, job: Job, error: Exception, experiment: str = "") -> Done:
    """What came of a point that could not be planned any more."""
    text, described, place = in_one_line(error), describe(job.spec), job.execution.place
    who, row = (
        (place.folder, described.identity, point_text(point, experiment)),
        failed_row(described, text, provenance.now()),
    )
    return Done(*who, FAILED, 0.0, row, text, number=number, label=job.execution.label or "")


def is_done(found: Found, place: Place) -> bool:
    """Whether what lies in a point's place is its run, as it is asked for."""
    return found.standing is Standing.THERE and not place.again


def in_one_line(error: Exception) -> str:
    """An error's text, with its kind where it is none of ours."""
    text = " ".join(str(error).split())
    return text if isinstance(error, ConvpipeError) else f"unexpected {type(error).__name__}: {text}".rstrip(": ")


def in_batches(
    found: Iterable[Task | Passing],
    seconds_each: Callable[[], float],
    most: int = MOST_IN_BATCH,
    share: Callable[[int], int] = lambda number: MOST_IN_BATCH,
) -> Iterator[list[Task] | Passing]:
    """Tasks in batches of about BATCH_SECONDS, as far as the runs so far let one guess; one thread count in each.

    One task makes a batch while none has been timed, as it may take minutes. What is no task passes through.

    Args:
        share: of what is left after so many points, the most that one batch may take.
    """
    batch: list[Task] = []
    for number, task in enumerate(found):
        if not isinstance(task, Task):
            yield task
            continue
        if batch and task.place.threads != batch[0].place.threads:
            yield batch
            batch = []
        batch.append(task)
        seconds = seconds_each()
        if not seconds or len(batch) >= min(most, int(BATCH_SECONDS / seconds), share(number)):
            yield batch
            batch = []
    if batch:
        yield batch


def run_all(
    found: Iterable[Task | Passing], pool: Pool, stop: bool, most: int | None = None, points: int | None = None
) -> Iterator[list[Done] | PassedOver]:
    """Run tasks in a pool, giving the outcomes of each batch as it is finished, and what is no task as it comes.

    Tasks are taken only as fast as they are run, so memory does not grow with their number. Where their number is
    known, the last batches are small, so that no worker waits long for another.

    Raises:
        StorageError: the disk refused, or a worker was lost for good.
    """
    seconds, folder, code = deque[float](maxlen=LAST_RUNS), working_folder(), code_of()
    pending: set[Future[list[Done]]] = set()
    sweep = os.urandom(8).hex()

    def share(number: int) -> int:
        if points is None or pool.workers == 1:
            return MOST_IN_BATCH
        return max((points - number) // (pool.workers * BATCHES_AHEAD), 1)

    for batch in in_batches(found, lambda: sum(seconds) / max(len(seconds), 1), most or MOST_IN_BATCH, share):
        if not isinstance(batch, list):
            yield [batch] if isinstance(batch, Done) else batch
            continue
        pending.add(pool.executor.submit(run_batch, Batch(batch, folder, stop, code=code, sweep=sweep)))
        while len(pending) >= (pool.workers * BATCHES_AHEAD if pool.workers > 1 else 1):
            yield from timed(finished(pending, pool), seconds)
    while pending:
        yield from timed(finished(pending, pool), seconds)


def timed(batches: Iterable[Batched], seconds: deque[float]) -> Iterator[Batched]:
    """The same batches of outcomes, the times of their runs taken note of."""
    for batch in batches:
        seconds.extend(each.seconds for each in batch if isinstance(each, Done) and each.status != THERE)
        yield batch


def finished(pending: set[Future[T]], pool: Pool) -> Iterator[T]:
    """Wait for some of what is under way, and give what has come of it; the pool is looked after meanwhile."""
    while not (ready := wait(pending, CHECK_SECONDS, FIRST_COMPLETED).done):
        pool.check()
    for future in ready:
        pending.discard(future)
        yield future.result()
