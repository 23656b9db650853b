"""What a person names a run or a collection by: a path, or a run itself; and what is wrong with that."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from convpipe.archive.collection import is_run, run_names, runs_below
from convpipe.archive.read import Run, as_folder
from convpipe.archive.replace import mend
from convpipe.archive.results import RESULTS
from convpipe.archive.verify import verify
from convpipe.errors import UsageError

MOST_NAMED = 5  # paths in an error


def whole_run(run: Run | str | Path) -> Run:
    """A run to be explained: one in memory, or an archived one, which is verified first.

    Raises:
        UsageError: there is none.
        ArchiveError: it is damaged.
    """
    return held_run(run) or verify(run_folder("explain", run))


def held_run(found: Run | str | Path) -> Run | None:
    """A run that is held in memory, or nothing of one that lies in a folder."""
    return found if isinstance(found, Run) and found.path is None else None


def existing_folder(command: str, path: Run | str | Path) -> Path:
    """A folder that is there, or a run's.

    Raises:
        UsageError: there is none.
    """
    folder = path.folder if isinstance(path, Run) else as_folder(command, path)
    if not os.path.isdir(folder):  # pathlib raises where a name is too long
        mend(folder.parent)
    if not os.path.isdir(folder):
        raise UsageError(f"{command}: got {folder}, expected a folder")
    return folder


def run_folder(command: str, path: Run | str | Path) -> Path:
    """The folder of a run.

    Raises:
        UsageError: it is none, naming those below.
    """
    folder = existing_folder(command, path)
    if not is_run(folder):
        raise UsageError(f"{command}: got {folder}, expected a run{such_as(map(str, runs_below(folder)))}")
    return folder


def collection_folder(command: str, path: Run | str | Path) -> Path:
    """The folder of a collection.

    Raises:
        UsageError: it is none but a run, or holds collections instead of runs.
    """
    folder = existing_folder(command, path)
    mend(folder)
    if is_run(folder):
        raise UsageError(f"{command}: got {folder}, a run; expected its collection, {folder.resolve().parent}")
    if not (folder / RESULTS).exists() and not run_names(folder):
        there = such_as(sorted({str(run.parent) for run in runs_below(folder)}))
        raise UsageError(f"{command}: got {folder}, expected a collection of runs{there}")
    return folder


def such_as(paths: Iterable[str]) -> str:
    """The first few of what was expected and is there, as the end of an error line.

    >>> such_as(["runs/a", "runs/b"]), such_as([])
    (', such as runs/a, runs/b', '')
    """
    found = list(paths)
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return f", such as {', '.join(found[:MOST_NAMED])}{more}" if found else ""
