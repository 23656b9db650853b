"""A root, which holds collections: which there are, how many runs each has, and when its newest was started."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from convpipe.archive.cells import cell_text
from convpipe.archive.collection import is_run, run_names, started_at
from convpipe.archive.folders import newest, subfolders
from convpipe.archive.index import failures
from convpipe.archive.results import RESULTS
from convpipe.archive.table import Row

COLUMNS = ("collection", "runs", "failed", "started")


def holds_collections(folder: Path) -> bool:
    """Whether a folder is no run and no collection, but has some below it."""
    return not is_run(folder) and not is_collection(folder) and next(collections_below(folder), None) is not None


def collections(root: Path) -> list[Row]:
    """A row for each collection in a root, however deep, the newest first: how many runs there are, and failures."""
    rows = [collection_row(folder) for folder in collections_below(root)]
    return sorted(rows, key=lambda row: row["started"], reverse=True)


def collections_below(folder: Path) -> Iterator[Path]:
    """The collections in a folder, which may be in folders of their own; sorted. A link to one counts, and no other."""
    waiting = [folder]
    while waiting:
        above = waiting.pop()
        if above != folder and is_collection(above):
            yield above
        elif above == folder or not above.is_symlink():
            with suppress(PermissionError):
                waiting += [above / name for name in reversed(subfolders(above))]


def is_collection(folder: Path) -> bool:
    """Whether a folder has runs, or a table of some."""
    try:
        return os.path.lexists(folder / RESULTS) or bool(run_names(folder))
    except OSError:
        return False


def collection_row(folder: Path) -> Row:
    """One collection as a row, in texts; it was started when its newest run was."""
    names = run_names(folder)
    last = started_at(newest(folder, names)) if names else ""
    return dict(zip(COLUMNS, (cell_text(str(folder)), str(len(names)), str(len(failures(folder))), last), strict=True))
