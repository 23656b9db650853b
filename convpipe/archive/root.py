"""A root, which holds collections: which there are, how many runs each has, and when its newest was started."""

from collections.abc import Iterator
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
    own = is_run(folder) or (folder / RESULTS).exists() or run_names(folder)
    return not own and next(collections_below(folder), None) is not None


def collections(root: Path) -> list[Row]:
    """A row for each collection in a root, however deep, the newest first: how many runs there are, and failures."""
    rows = [collection_row(folder) for folder in collections_below(root)]
    return sorted(rows, key=lambda row: row["started"], reverse=True)


def collections_below(folder: Path) -> Iterator[Path]:
    """The collections in a folder, which may be in folders of their own; sorted."""
    for name in subfolders(folder):
        if (folder / name / RESULTS).exists() or run_names(folder / name):
            yield folder / name
        else:
            yield from collections_below(folder / name)


def collection_row(folder: Path) -> Row:
    """One collection as a row, in texts; it was started when its newest run was."""
    names = run_names(folder)
    last = started_at(newest(folder, names)) if names else ""
    return dict(zip(COLUMNS, (cell_text(str(folder)), str(len(names)), str(len(failures(folder))), last), strict=True))
