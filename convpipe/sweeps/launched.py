"""Sweeps by stock Hydra launchers (basic, joblib, submitit): each job runs a chunk of the points.

A job costs its launcher between 50 ms and seconds, and four files, so there are few. It gets its points checked and
planned, as a cluster's workers do, and notes in the index of their collection what comes of them while it runs: what
has ended is in the books however the job, or whoever waits for it, ends.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import chdir
from dataclasses import dataclass, fields, replace
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from convpipe.archive.index import failures, note
from convpipe.archive.shared import is_own_folder
from convpipe.archive.table import failed_row
from convpipe.config.app import logging_kept
from convpipe.config.settings import Execution
from convpipe.errors import ConfigError, StorageError, first_few, shown
from convpipe.execution import provenance
from convpipe.execution.code import code_of
from convpipe.execution.runner import Prepared
from convpipe.files.staging import is_alive, machine_mark
from convpipe.graph.memo import Memo
from convpipe.graph.spec import Spec, describe
from convpipe.graph.work import checked_work
from convpipe.sweeps.axes import point_text
from convpipe.sweeps.batches import Passing, Task, check_same, in_one_line, run_all
from convpipe.sweeps.executors import Here, Pool
from convpipe.sweeps.interrupts import uninterrupted
from convpipe.sweeps.outcomes import DIFFERS, FAILED, GOES_ON, Done, Launched, PassedOver, rows_to_note

JOBS = 8  # where a launcher does not say how many run at once
MOST_NAMED = 3


OTHERS = tuple(entry.name for entry in fields(Task) if entry.name != "prepared")


@dataclass(frozen=True)
class Chunk:
    """The points of one job: without their plans, as every job is sent the chunks of all.

    A point is 130 bytes so, and 300 to 2,100 with its plan, which takes 142 us to make again.
    """

    points: Sequence[tuple[Spec, tuple[Any, ...]]]  # each with what its task says beside
    folder: str  # that relative paths start from
    stop: bool  # at the first failure
    version: str
    code: str
    machine: str  # of whoever asks for it
    process: int

    @classmethod
    def of(cls, tasks: Sequence[Task], *, stop: bool) -> "Chunk":
        """A chunk, as the process that asks for it makes it."""
        points = [(task.prepared.spec, tuple(getattr(task, name) for name in OTHERS)) for task in tasks]
        who = provenance.VERSION, code_of(), machine_mark(), os.getpid()
        return cls(points, os.getcwd(), stop, *who)

    @property
    def is_abandoned(self) -> bool:
        """Whether the sweep has gone, stopped perhaps: a job on its machine then stops, too, those of a queue go on."""
        return self.machine == machine_mark() and not is_alive(self.process)

    def tasks(self) -> Iterator[Task | Done]:
        """Its points, ready to run in this process; one whose file has gone meanwhile has failed."""
        memo = Memo()
        for spec, others in self.points:
            given, described = dict(zip(OTHERS, others, strict=True)), describe(spec, memo)
            try:
                work = checked_work(spec, given["place"].memory, memo)
            except ConfigError as error:
                text = in_one_line(error)
                said = point_text(given["point"], given["experiment"])
                who = given["place"].folder, described.identity, said
                row, which = (
                    failed_row(described, text, provenance.now()),
                    {"number": given["number"], "label": given["label"]},
                )
                yield Done(*who, FAILED, 0.0, row, text, **which)
                continue
            yield Task(prepared=Prepared(spec, described, work), **given)


@dataclass
class Jobs:
    """What a launcher calls in each job: it gets this object before there are chunks, and sends it with them."""

    words: Sequence[str] = ()  # what Hydra composes a job's config from, beside what was said to Hydra itself
    chunks: Sequence[Chunk] = ()

    def __call__(self, config: DictConfig) -> list[Done]:
        """Run the chunk of this job, in whichever process that is; its config says nothing of it but which it is.

        Raises:
            StorageError: the disk refused, or this process has other code than whoever asks for the runs.
        """
        return run_chunk(self.chunks[HydraConfig.get().job.num])


def words_of_jobs(config: DictConfig) -> list[str]:
    """What a job's config needs: the launcher, where a file has chosen it, as words may have set something of it."""
    said = [str(word).lstrip("+") for word in config.hydra.overrides.hydra]
    chosen = f"hydra/launcher={config.hydra.runtime.choices['hydra/launcher']}"
    return [] if any(word.startswith("hydra/launcher=") for word in said) else [chosen]


def run_chunk(chunk: Chunk) -> list[Done]:
    """Run points one after another and note what comes of them, up to a first failure where that is to stop them.

    Raises:
        StorageError: the disk refused, or this process has other code.
    """
    check_same(chunk.version, chunk.code)
    found: list[Done] = []
    try:
        with chdir(chunk.folder):
            for batch in run_all(chunk.tasks(), Pool(Here(), 1), chunk.stop):
                assert isinstance(batch, list)  # none was passed over
                with uninterrupted():
                    for folder, rows in rows_to_note(batch).items():
                        note(folder, rows)
                found += [replace(outcome, noted=True) for outcome in batch]
                failing = any(outcome.status in (FAILED, DIFFERS) for outcome in batch)
                if (chunk.stop and failing) or chunk.is_abandoned:
                    break
    except FileNotFoundError as error:
        raise StorageError(f"{chunk.folder}: not there for a job, which needs a shared folder") from error
    return found


def launch(
    found: Iterable[Task | Passing], launcher: Launcher, jobs: Jobs, execution: Execution
) -> Iterator[list[Done] | PassedOver | Launched]:
    """Have a launcher run tasks, all in one go; gives their outcomes, and before them what is no task.

    Raises:
        StorageError: a job could not be run to its end, or the disk refused; what others did is there.
    """
    wanted: list[Task] = []
    for each in found:
        if isinstance(each, Task):
            wanted.append(each)
        else:
            yield [each] if isinstance(each, Done) else each
    if not wanted:
        return
    chunks = in_chunks(wanted, execution.chunk, at_once(launcher))
    yield Launched(len(wanted), len(chunks), max(map(len, chunks)))
    jobs.chunks = [Chunk.of(chunk, stop=execution.on_error == "stop") for chunk in chunks]
    returned = list(answers(launcher, jobs.words, chunks))
    yield [outcome for answer in returned if isinstance(answer, list) for outcome in answer]  # at once: all have run
    for answer in returned:
        if isinstance(answer, StorageError):
            raise answer


def in_chunks(tasks: Sequence[Task], most: int | None, jobs: int) -> list[Sequence[Task]]:
    """Tasks in chunks of at most so many, or else in so many; each gets its share of the costly ones."""
    count = min(len(tasks), jobs) if most is None else -(-len(tasks) // most)
    costly = sorted(tasks, key=lambda task: task.prepared.work.macs, reverse=True)
    return [costly[first::count] for first in range(count)]


def at_once(launcher: Launcher) -> int:
    """How many jobs a launcher runs at once, where it says so and it is not more than is sensible by itself."""
    settings: dict[str, Any] = {**vars(launcher).get("joblib", {}), **vars(launcher).get("params", {})}
    processors = os.cpu_count() or 1
    if isinstance(found := settings.get("n_jobs"), int):
        return found if found > 0 else max(processors + 1 + found, 1)  # joblib's -1 is all, -2 all but one
    if not settings:  # the basic one, which runs them one after another
        return 1
    here = type(launcher).__name__ == "LocalLauncher"  # submitit's, which starts them all at once
    return max(min(JOBS, processors if here else int(settings.get("array_parallelism", JOBS))), 1)


def answers(
    launcher: Launcher, words: Sequence[str], chunks: Sequence[Sequence[Task]]
) -> Iterator[list[Done] | StorageError]:
    """What comes of each chunk.

    Raises:
        StorageError: the launcher failed, or a job of it was lost.
    """
    try:
        with logging_kept():
            returns = launcher.launch([list(words)] * len(chunks), initial_job_idx=0)
    except Exception as error:  # another's code: no Slurm here, a queue that there is not, a job that was killed
        raise lost(type(launcher).__name__, error, chunks) from error
    for answer in returns:
        found: Any = answer._return_value  # as `return_value` prints what it raises
        if answer.status is JobStatus.COMPLETED:
            yield found
        else:
            text = found if isinstance(found, StorageError) else StorageError(f"hydra/launcher: {shown(found, 200)}")
            yield text


def lost(name: str, error: Exception, chunks: Sequence[Sequence[Task]]) -> StorageError:
    """A launcher's failure, with the points that have not ended by then."""
    tasks = [task for chunk in chunks for task in chunk]
    failed = {folder: failures(folder) for folder in {task.place.folder for task in tasks}}
    open_ones = [task for task in tasks if not has_ended(task, failed[task.place.folder])]
    first = first_few([task.overrides for task in open_ones], MOST_NAMED, "; ")
    reason = f"hydra/launcher: {name} failed: {shown(' '.join(str(error).split()), 200)}"
    if len(open_ones) == len(tasks):
        return StorageError(f"{reason}; no point has ended")
    return StorageError(f"{reason}; not ended: {first}; {GOES_ON}" if open_ones else f"{reason}; {GOES_ON}")


def has_ended(task: Task, failed: Iterable[str]) -> bool:
    """Whether a point is there, or noted as failed."""
    run = task.prepared.identity
    return run in failed or is_own_folder(task.place.folder / run)
