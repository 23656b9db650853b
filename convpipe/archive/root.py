"""A root, which holds collections: which there are, how many runs each has, and when its newest was started."""

from pathlib import Path

from convpipe.archive.below import collections_below, is_collection
from convpipe.archive.cells import cell_text
from convpipe.archive.collection import is_run, run_names, started_at
from convpipe.archive.folders import newest
from convpipe.archive.index import failures
from convpipe.archive.table import Row

COLUMNS = ("collection", "runs", "failed", "started")


def holds_collections(folder: Path) -> bool:
    """Whether a folder is no run and no collection, but has some below it."""
    return not (is_run(folder) or is_collection(folder)) and next(collections_below(folder), None) is not None


def collections(root: Path) -> list[Row]:
    """A row for each collection in a root, however deep, the newest first: how many runs there are, and failures."""
    rows = [collection_row(folder) for folder in collections_below(root)]
    return sorted(rows, key=lambda row: row["started"], reverse=True)


def collection_row(folder: Path) -> Row:
    """One collection as a row, in texts; it was started when its newest run was."""
    names = run_names(folder)
    last = started_at(newest(folder, names)) if names else ""
    return dict(zip(COLUMNS, (cell_text(str(folder)), str(len(names)), str(len(failures(folder))), last), strict=True))
