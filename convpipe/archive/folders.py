"""What a person names a run or a collection by, a path, a name, the start of a run id; and what is wrong with it.

One function, `existing_folder`, knows what may be typed; every command and function of the front door asks it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from convpipe.archive import read
from convpipe.archive.below import is_collection, runs_below
from convpipe.archive.collection import is_run, run_names, started_at
from convpipe.archive.read import Run, as_folder
from convpipe.archive.replace import mend
from convpipe.archive.shared import is_folder
from convpipe.archive.verify import verify
from convpipe.errors import UsageError, did_you_mean, first_few, nearest

ROOT = "runs"  # where runs go that are told no other root: what lies there may be called by its name alone
ID_START = re.compile(r"[0-9a-f]{4,12}", re.ASCII)
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
    """A folder that is there, or a run's; what is none here may be so in ROOT, or the start of a run id there.

    Raises:
        UsageError: there is none, or several runs whose ids start so.
    """
    folder = path.folder if isinstance(path, Run) else as_folder(command, path)
    if not is_folder(folder):
        mend(folder.parent)
    for found in (folder, ROOT / folder):
        if os.path.isdir(found):
            return found
    if (inside := folder.parent) != folder and os.path.isfile(folder) and is_run(inside):
        return inside
    called = [] if os.path.lexists(folder) else runs_called(folder.name, folder.parent)
    if len(called) > 1:
        there = such_as(map(str, called))
        raise UsageError(f"{command}: got {folder}, with which {len(called)} run ids start; expected a run{there}")
    if called:
        return called[0]
    what = ", a file;" if os.path.isfile(folder) else ","
    hint = near(folder)
    raise UsageError(f"{command}: got {folder}{what} expected a folder{f' ({hint})' if hint else ''}")


def runs_called(start: str, above: Path) -> list[Path]:
    """The runs whose ids start so: of a collection where one stands before it, else of all collections in ROOT."""
    if not ID_START.fullmatch(start):
        return []
    if above != Path():
        collection = next((each for each in (above, ROOT / above) if os.path.isdir(each)), None)
        return [collection / name for name in run_names(collection) if name.startswith(start)] if collection else []
    return [run for run in runs_below(Path(ROOT)) if run.name.startswith(start)] if os.path.isdir(ROOT) else []


def near(folder: Path) -> str:
    """A hint with what is there of nearly the same path, or of nearly the same name in ROOT; or nothing."""
    if os.path.lexists(folder):
        return ""
    with suppress(OSError, ValueError, StopIteration):  # of a working directory that may not be looked into
        above = next(each for each in folder.parents if os.path.isdir(each))
        missing, *rest = folder.relative_to(above).parts
        if name := nearest(missing, subfolders(above)):
            found = above / name
            whole = found.joinpath(*rest)
            return f"did you mean {whole if os.path.isdir(whole) else found}?"
    if len(folder.parts) == 1:
        with suppress(OSError):
            return did_you_mean(str(folder), subfolders(Path(ROOT)), f"{ROOT}/")
    return ""


def subfolders(folder: Path) -> list[str]:
    """The names of the folders in a folder, but hidden ones."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if not entry.name.startswith(".")]
    return sorted(name for name in names if os.path.isdir(folder / name))  # of a link in a circle the entry raises


def run_folder(command: str, path: Run | str | Path) -> Path:
    """The folder of a run; of a collection, that of its newest.

    Raises:
        UsageError: it is none, naming those below.
    """
    folder = existing_folder(command, path)
    if is_run(folder):
        return folder
    if names := run_names(folder):
        return newest(folder, names)
    raise UsageError(f"{command}: got {folder}, expected a run{such_as(map(str, runs_below(folder)))}")


def newest(folder: Path, names: Iterable[str]) -> Path:
    """The run of a collection that was started last, as their manifests have it."""
    return folder / max(names, key=lambda name: (started_at(folder / name), name))


def load(path: Run | str | Path) -> Run:
    """Read an archived run: by its folder, by its id or the start of it, or the newest of a collection.

    Raises:
        UsageError: there is none.
        ArchiveError: it is of another format, or cannot be read.
    """
    return read.load(run_folder("load", path))


def collection_folder(command: str, path: Run | str | Path) -> Path:
    """The folder of a collection.

    Raises:
        UsageError: it is none but a run, or holds collections instead of runs.
    """
    folder = existing_folder(command, path)
    mend(folder)
    if is_run(folder):
        raise UsageError(
            f"{command}: got {folder}, a run; expected its collection, {os.path.dirname(os.path.realpath(folder))}"
        )
    if not is_collection(folder):
        there = such_as(sorted({str(run.parent) for run in runs_below(folder)}))
        raise UsageError(f"{command}: got {folder}, expected a collection of runs{there}")
    return folder


def such_as(paths: Iterable[str]) -> str:
    """The first few of what was expected and is there, as the end of an error line.

    >>> such_as(["runs/a", "runs/b"]), such_as([])
    (', such as runs/a, runs/b', '')
    """
    found = first_few(list(paths), MOST_NAMED)
    return f", such as {found}" if found else ""
