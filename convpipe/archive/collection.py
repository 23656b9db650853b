"""Many runs in one folder: which are there, and one table of them, results.csv.

The runs themselves are the truth. `refresh` writes the table from the index beside them, which may lack runs,
but never has another say; `rebuild` makes both anew from the runs.
"""

from __future__ import annotations

import csv
import errno
import os
from collections.abc import Collection, Container, Iterator, Mapping, Set as AbstractSet
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from convpipe.archive.frames import every_column, frame
from convpipe.archive.glance import glance, manifest_text
from convpipe.archive.identity import RUN_ID
from convpipe.archive.index import INDEX, complete, failures, index_places, row_at, rows_of
from convpipe.archive.results import RESULTS, Table, in_order, lengthened, write_table
from convpipe.archive.shared import is_folder, locked, own_file
from convpipe.archive.table import (
    Row,
    columns_of,
    is_row,
    row_of_today,
    run_row,
    with_columns,
)
from convpipe.archive.tabular import csv_rows
from convpipe.errors import ArchiveError
from convpipe.files.staging import remove_abandoned, storing

if TYPE_CHECKING:
    import pandas as pd


# What is there


def run_names(folder: Path) -> list[str]:
    """The ids of a collection's runs, sorted."""
    return sorted(run_ids(folder))


def run_ids(folder: Path) -> list[str]:
    """The same as they come, as a hundred thousand take a while to sort."""
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries if is_run_entry(entry)]


def has_runs(folder: Path) -> bool:
    """Whether there is any."""
    try:
        with os.scandir(folder) as entries:
            return any(map(is_run_entry, entries))
    except OSError:
        return False


def is_run_entry(entry: os.DirEntry[str]) -> bool:
    """Whether a folder's entry is a run by its name; a link is none, as it may lead anywhere."""
    return bool(RUN_ID.match(entry.name)) and entry.is_dir(follow_symlinks=False)


def is_run(folder: Path) -> bool:
    """Whether a folder looks like a run, however damaged."""
    return os.path.lexists(folder / "SHA256SUMS") or os.path.lexists(folder / "manifest.json")


def whole_rows(folder: Path, wanted: Collection[str] | None = None) -> list[Row]:
    """Every run as a row with all its config values, in order of making: from the index, or from the run itself.

    A run in the index is only looked at for its manifest, which is written last; `rebuild` reads all of it.

    Args:
        wanted: names of runs and points; all of them by default.
    """
    there = {name for name in run_ids(folder) if wanted is None or name in wanted}
    known = rows_of(folder / INDEX, there)
    failed = [row for name, row in failures(folder).items() if wanted is None or name in wanted]
    made = [noted_row_of(folder / name, row) for name, row in known.items() if "started" in row]
    older = [row_of_today(folder / name, row) for name, row in known.items() if "started" not in row]
    lacking = [*older, *(run_row(folder / name) for name in there - known.keys())]
    lacking.sort(key=lambda row: (row["started"], row["run"]))
    return list(in_order([*made, *lacking], failed))


def noted_row_of(run: Path, row: Row) -> Row:
    """The row of the index, or that of the run where its manifest is gone."""
    return row if os.path.lexists(f"{run}/manifest.json") else run_row(run)


# The table


def read_results(folder: Path) -> list[Row]:
    """The rows of results.csv, or of the index and the runs themselves where it lacks one; nothing is written.

    Raises:
        ArchiveError: there is no collection.
    """
    if not is_folder(folder):
        raise ArchiveError(f"{folder}: no such collection")
    found = table_rows(folder, set(run_ids(folder)), failures(folder).keys())
    if found is not None:
        return found
    rows = whole_rows(folder)
    return with_columns(rows, columns_of(rows))


def table_rows(folder: Path, runs: AbstractSet[str], failed: AbstractSet[str]) -> list[Row] | None:
    """The rows of results.csv where it has one for each run and each failed point, and nothing else; otherwise None."""
    listed = runs | failed
    found: dict[str, Row] = {}
    try:
        for row in csv_rows(folder / RESULTS):
            run = row.get("run", "")
            if run in found or run not in listed or not is_row(row, failed=run in failed):
                return None
            found[run] = row
    except (OSError, ValueError, KeyError, csv.Error):
        return None
    return list(found.values()) if len(found) == len(listed) else None


def chosen_runs(wanted: Mapping[Path, Collection[str]]) -> pd.DataFrame:
    """Some runs of some collections as a table, as `runs` has them: those of each by the names that are wanted.

    Raises:
        ArchiveError: a collection that is not there.
    """
    rows = [row for folder, names in wanted.items() for row in whole_rows(folder, names)]
    columns = every_column(rows)
    return frame(with_columns(rows, columns), columns)


def refresh(folder: Path) -> Path:
    """Bring results.csv up to date: with the rows that are new at its end, or written anew where more has changed.

    Raises:
        StorageError: the disk refused.
    """
    with storing(folder / RESULTS), locked(folder):
        if not lengthened(folder, run_ids(folder)):
            written_anew(folder)
    return folder / RESULTS


def rebuild(folder: Path) -> Path:
    """Write results.csv, and the index, anew from the runs themselves, in the order in which they started.

    Raises:
        StorageError: the disk refused.
    """
    with storing(folder / RESULTS), locked(folder):
        remove_abandoned(folder)
        (folder / INDEX).unlink(missing_ok=True)
        written_anew(folder)
    return folder / RESULTS


def written_anew(folder: Path, *, whole: bool = True) -> Table:
    """Write results.csv from the index, by who holds the lock.

    Args:
        whole: first add the runs to the index that it lacks; in the midst of a sweep those are about to be added.

    Raises:
        OSError, StorageError: the disk refused.
    """
    names, failed = set(run_ids(folder)), failures(folder)
    places, older = places_in(folder, names)
    with open(folder / INDEX, "rb", buffering=0, opener=own_file) as index:
        if whole and (lacking := names - places.keys()):

            def made(name: str) -> Row:
                run, row = folder / name, row_at(index, older[name]) if name in older else None
                return run_row(run) if row is None else row_of_today(run, row)

            complete(folder, sorted(lacking, key=lambda name: (started_at(folder / name), name)), made)
            places, _ = index_places(folder, names)
        order = sorted(places, key=places.__getitem__)

        def rows() -> Iterator[Row]:
            for name in order:
                row = row_at(index, places[name])
                yield row if row is not None and row["run"] == name else run_row(folder / name)

        return write_table(folder, lambda: in_order(rows(), failed.values()))


def places_in(folder: Path, names: Container[str]) -> tuple[dict[str, int], dict[str, int]]:
    """Where the index has its runs; one that is larger than an index can be gives way to a new one."""
    try:
        return index_places(folder, names)
    except OSError as error:
        if error.errno != errno.EFBIG:
            raise
        (folder / INDEX).unlink()
        return index_places(folder, names)


def started_at(run: Path) -> str:
    """When a run started, as its manifest says; nothing where that does not, or cannot be read."""
    with suppress(ArchiveError):
        found = glance(str(run), manifest_text(str(run)))("started")
        return found if isinstance(found, str) else ""
    return ""
