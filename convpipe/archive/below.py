"""What lies below a folder: collections, however deep, and their runs. A link is followed one level, if at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path

from convpipe.archive.collection import has_runs, is_run
from convpipe.archive.format import INPUTS
from convpipe.archive.identity import RUN_ID
from convpipe.archive.replace import mend
from convpipe.archive.results import RESULTS
from convpipe.archive.sweeps import SWEEPS

BESIDE_RUNS = (INPUTS, SWEEPS)  # of a collection, beside its runs


def is_collection(folder: Path) -> bool:
    """Whether runs lie in a folder, or have lain there: it has a table."""
    return os.path.lexists(folder / RESULTS) or has_runs(folder)


def folders_below(folder: Path) -> Iterator[Path]:
    """A folder and those below it in which runs may lie, each before what is in it; sorted.

    A link that leads to a collection is followed, unless it lies in a collection itself; no link in there ever is.
    What lies below a folder that may not be read nobody knows.

    Raises:
        OSError: the first one cannot be read.
    """
    ahead = [folder]
    while ahead:
        found = ahead.pop()
        yield found
        with suppress(OSError) if found != folder else nullcontext():
            if found == folder or not found.is_symlink():
                ahead += [found / name for name in sorted(entered(found), reverse=True)]


def entered(folder: Path) -> Iterator[str]:
    """The names of the folders in a folder in which runs may lie."""
    of_runs = is_collection(folder)
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_symlink():  # which is no folder before anything else is asked of it: it may lead in a circle
                may = not of_runs and os.path.isdir(folder / entry.name) and is_collection(folder / entry.name)
            elif not entry.is_dir():
                may = False
            elif of_runs and entry.name in BESIDE_RUNS:
                may = is_collection(folder / entry.name)  # one that is called so
            else:
                may = not is_named_run(entry)
            if may:
                yield entry.name


def is_named_run(entry: os.DirEntry[str]) -> bool:
    """Whether a folder is a run by its name, or looks like one."""
    return bool(RUN_ID.match(entry.name)) or is_run(Path(entry.path))


def collections_below(folder: Path) -> Iterator[Path]:
    """The collections in a folder, which may be in folders of their own."""
    return (found for found in folders_below(folder) if found != folder and is_collection(found))


def runs_in(folder: Path) -> list[Path]:
    """Every run of one folder, however damaged and whatever it is called; sorted. A link is none."""
    with os.scandir(folder) as entries:
        plain = [entry for entry in entries if entry.is_dir(follow_symlinks=False) and entry.name[0] != "."]
        return sorted(folder / entry.name for entry in plain if is_named_run(entry))


def runs_below(folder: Path) -> Iterator[Path]:
    """Every run of a collection, or of the collections in a folder, however deep; sorted."""
    for found in folders_below(folder):
        mend(found)
        yield from runs_in(found)
