"""The turn of a point: it is run, or passed over, as its run is there, or it has failed before."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from convpipe.archive.changes import Survey
from convpipe.archive.index import failures
from convpipe.archive.table import Row
from convpipe.archive.timings import recorded_repeats, repeats_measured
from convpipe.config.settings import Execution
from convpipe.errors import OUT_OF_MEMORY
from convpipe.execution.runner import Place, standing
from convpipe.sweeps.batches import Passing, Task, is_done
from convpipe.sweeps.outcomes import Done, FailedBefore, There
from convpipe.sweeps.points import Points

Failed = Callable[[Path], Mapping[str, Row]]  # the points of a collection that failed in an earlier sweep


def failed_before(execution: Execution) -> Failed:
    """What gives the points of a folder that failed in an earlier sweep, and are not to be tried again.

    Those for which there was no memory are: it may be there now.
    """

    def found(folder: Path) -> Mapping[str, Row]:
        return {run: row for run, row in failures(folder).items() if row.get("error") != OUT_OF_MEMORY}

    return cache(found) if execution.retry is None else lambda folder: {}


def turns(
    points: Points, tasks: Iterable[Task | Done], surveys: Mapping[Path, Survey], failed: Failed
) -> Iterator[Task | Passing]:
    """Points at their turns, each looked up: another sweep may have run it by then."""
    known = cache(repeats_measured)
    for task in tasks:
        if isinstance(task, Done):
            yield task
            continue
        prepared, place = task.prepared, task.place
        if prepared.described.paths:
            surveys[place.folder].reading(prepared.described)
        if task.measured or not is_done(standing(prepared, place), place):
            yield FailedBefore(*which(task)) if prepared.identity in failed(place.folder) else task
        elif place.repeats > 1 and points.is_serial and is_less_timed(place, prepared.identity, known(place.folder)):
            yield replace(task, measured=True)
        else:
            equal = not points.is_serial and is_since(place.folder / prepared.identity, points.began)
            yield There(*which(task), equal=equal)


def which(task: Task) -> tuple[Path, str, int, str, str]:
    """Which point of which collection a task is; of most nobody asks, as they run."""
    return task.place.folder, task.prepared.identity, task.number, task.label, task.overrides


def is_since(run: Path, began: int) -> bool:
    """Whether a run that is there was made after this sweep began: by another worker, for a point just like it."""
    try:
        return os.stat(run).st_mtime_ns >= began
    except OSError:
        return False


def is_less_timed(place: Place, run: str, known: dict[tuple[str, str, str], int]) -> bool:
    """Whether a run that is there has not been timed as often as is asked for, with so many threads.

    As it is going to be, it counts as such from now on.
    """
    threads, repeats, last = recorded_repeats(str(place.folder / run))
    found = repeats if threads == place.threads else 1
    key = (run, str(place.threads), last)
    if max(found, known.get(key, 0)) >= place.repeats:
        return False
    known[key] = place.repeats
    return True
