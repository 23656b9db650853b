"""Many runs in one folder: which are there, and one table of them, results.csv.

The runs themselves are the truth. `refresh` writes the table from the index beside them, which may lack runs,
but never has another say; `rebuild` makes both anew from the runs.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from convpipe.archive.identity import RUN_ID
from convpipe.archive.index import INDEX, completed, failures, locked, own_file, row_at, rows_of
from convpipe.archive.inputs import check_input, inputs_in, own_inputs
from convpipe.archive.read import Run
from convpipe.archive.replace import mend
from convpipe.archive.table import (
    DONE,
    OLD_FORMAT,
    Row,
    as_table,
    columns_of,
    joined_columns,
    row_columns,
    run_row,
    typed,
    with_columns,
    write_results,
)
from convpipe.archive.verify import verify
from convpipe.errors import ArchiveError
from convpipe.files.staging import hidden_name, storing

if TYPE_CHECKING:
    import pandas as pd

RESULTS = "results.csv"


# What is there


def run_names(folder: Path) -> list[str]:
    """The ids of a collection's runs, sorted."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if RUN_ID.match(entry.name) and entry.is_dir())


def runs_below(folder: Path) -> Iterator[Path]:
    """Every run of a collection, or of the collections in a folder, however deep; sorted."""
    mend(folder)
    for name in sorted(entry.name for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)):
        if RUN_ID.match(name) or is_run(folder / name):
            yield folder / name
        elif not name.startswith("."):
            yield from runs_below(folder / name)


def is_run(folder: Path) -> bool:
    """Whether a folder looks like a run, however damaged."""
    return (folder / "SHA256SUMS").exists() or (folder / "manifest.json").exists()


def verify_all(folders: Sequence[Path], on_run: Callable[[Run], object], *, alone: bool) -> list[Run]:
    """Verify runs, and the inputs stored beside them: of a run that is `alone` its own, otherwise all there are.

    Args:
        on_run: is called with each run as soon as it is found whole.

    Raises:
        ArchiveError: naming all that are damaged.
    """
    whole: list[Run] = []
    inputs: list[Path] = []

    def check_run(folder: Path) -> None:
        found = verify(folder)
        inputs.extend(own_inputs(found))
        whole.append(found)
        on_run(found)

    damaged = errors_of(check_run, folders)
    if not alone:
        inputs = [path for folder in sorted({run.parent for run in folders}) for path in inputs_in(folder)]
    lost = errors_of(check_input, inputs)
    counts = [f"{len(damaged)} of {len(folders)} runs"] * bool(damaged)
    counts += [f"{len(lost)} of {len(inputs)} stored inputs"] * bool(lost)
    if errors := [*damaged, *lost]:
        all_of_them = ArchiveError(f"{' and '.join(counts)} are damaged: {'; '.join(map(str, errors))}")
        raise all_of_them if len(errors) > 1 else errors[0]
    return whole


def errors_of(check: Callable[[Path], None], paths: Iterable[Path]) -> list[ArchiveError]:
    """What is wrong with each of some paths, by a check that raises it."""
    errors = []
    for path in paths:
        try:
            check(path)
        except ArchiveError as error:
            errors.append(error)
    return errors


def whole_rows(folder: Path) -> list[Row]:
    """Every run as a row with all its config values: from the index, or from the run where that lacks it.

    A run in the index is only looked at for its manifest, which is written last; `rebuild` reads all of it.
    """
    known, rows = rows_of(folder / INDEX), failures(folder)
    for name in run_names(folder):
        there = name in known and os.path.exists(f"{folder}/{name}/manifest.json")
        rows[name] = of_today(known[name]) if there else run_row(folder / name)
    return [rows[name] for name in sorted(rows)]


def of_today(row: Row) -> Row:
    """A row of the index with the cell that was not in it when all runs were of format 1."""
    if "format" not in row and row["status"] == DONE:
        row["format"] = OLD_FORMAT
    return row


# The table


def read_results(folder: Path) -> list[Row]:
    """The rows of results.csv, or of the index and the runs themselves where it lacks one; nothing is written.

    Raises:
        ArchiveError: there is no collection.
    """
    if not os.path.isdir(folder):  # pathlib raises where a name is too long
        raise ArchiveError(f"{folder}: no such collection")
    try:
        with open(folder / RESULTS, newline="", encoding="utf-8", opener=own_file) as file:
            found: list[Row] = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error):
        found = []
    listed = sorted([*run_names(folder), *failures(folder)])
    # a line with more cells than the head has a None as key, one with fewer has it as a value
    even = all(None not in row and None not in row.values() for row in found)
    if even and [row.get("run") for row in found] == listed:
        return found
    rows = whole_rows(folder)
    return with_columns(rows, columns_of(rows))


def chosen_runs(wanted: Mapping[Path, Collection[str]]) -> pd.DataFrame:
    """Some runs of some collections as a table, as `runs` has them: those of each by the names that are wanted.

    Raises:
        ArchiveError: a collection that is not there.
    """
    tables = {folder: read_results(folder) for folder in wanted}
    columns = joined_columns(map(row_columns, tables.values()))
    rows = [row for folder, table in tables.items() for row in table if row["run"] in wanted[folder]]
    return as_table(with_columns(rows, columns), columns, typed)


def refresh(folder: Path, seen: Callable[[Row], object] = lambda row: None) -> Path:
    """Bring results.csv up to date: rows of the index, and of runs that it lacks; it appears by one rename.

    Args:
        seen: is called with each row, of some perhaps twice.

    Raises:
        StorageError: the disk refused.
    """
    with storing(folder / RESULTS), locked(folder):
        return write_table(folder, seen)


def rebuild(folder: Path) -> Path:
    """Write results.csv, and the index, anew from the runs themselves.

    Raises:
        StorageError: the disk refused.
    """
    with storing(folder / RESULTS), locked(folder):
        (folder / INDEX).unlink(missing_ok=True)
        return write_table(folder)


def write_table(folder: Path, seen: Callable[[Row], object] = lambda row: None) -> Path:
    """Write results.csv from the index, after adding the runs that it lacks."""
    names, failed = run_names(folder), failures(folder)
    places = completed(folder, names, lambda name: run_row(folder / name))
    listed = sorted([*names, *failed])
    target = folder / RESULTS
    temporary = folder / hidden_name(RESULTS)
    try:
        with (
            open(folder / INDEX, "rb", buffering=0, opener=own_file) as index,
            open(temporary, "w", newline="", encoding="utf-8") as table,
        ):

            def rows() -> Iterator[Row]:
                for name in listed:
                    row = failed.get(name) or row_at(index, places[name])
                    if "format" not in row:
                        row = of_today(row)
                    seen(row)
                    yield row

            write_results(table, rows)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return target
