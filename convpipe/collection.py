"""Many runs in one folder: which are there, and one table of them, results.csv.

The runs themselves are the truth. Beside them lies a hidden index, a line of JSON for each run as it was made,
so that the table of a long sweep need not read every run again; `rebuild` makes both anew from the runs.
"""

from __future__ import annotations

import ast
import csv
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from convpipe import archive
from convpipe.archive import Run
from convpipe.errors import ArchiveError
from convpipe.spec import Described, config_cells
from convpipe.staging import hidden_name, storing

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, str]

RESULTS = "results.csv"
INDEX = ".index.jsonl"
FAILED = ".failed.jsonl"
LOCK = ".lock"
FIXED = ("run", "status")
MEASURED = ("output_shape", "output_sha256", "seconds")
SOMETIMES = frozenset(("accuracy", "error"))  # columns only where some run has them
NOT_CONFIG = SOMETIMES.union(FIXED, MEASURED)
TEXTS = (*FIXED, "output_shape", "output_sha256", "error")
DAMAGED = "damaged"
RUN_ID = re.compile(r"[0-9a-f]{12}\Z")
ROW_START = b'{"run": "'
ROW_LINE = re.compile(ROW_START + rb'([0-9a-f]{12})"')
NUMBER = re.compile(r"-?\d{1,100}(?:\.\d{1,100})?(?:e[+-]\d{1,3})?", re.ASCII)
TRUTHS = {"True": True, "False": False, "": None}
LOCK_SECONDS = 60
GUESSED_FROM = 100  # rows
LINE_BYTES = 2048  # of the index, for one row: few are longer


# Rows


def done_row(cells: Mapping[str, str], manifest: Mapping[str, Any], output: Mapping[str, Any]) -> Row:
    """A whole run as a row: its id, status, every config value, output and time."""
    seconds = sum(min(repeats) for repeats in manifest["seconds"].values())
    row = {
        "run": manifest["run_id"],
        "status": manifest["status"],
        **cells,
        "output_shape": output["shape"],
        "output_sha256": output["sha256"],
        "seconds": f"{seconds:.9f}",
    }
    if "evaluation" in manifest:
        row["accuracy"] = f"{manifest['evaluation']['correct'] / max(manifest['evaluation']['images'], 1):.6f}"
    return row


def result_row(run: Run) -> Row:
    """An archived run as a row."""
    return done_row(config_cells(run.config), run.manifest, run.rows[-1])


def damaged_row(folder: Path) -> Row:
    """The row of a folder that is no readable run."""
    return {"run": folder.name, "status": DAMAGED}


def run_row(path: Path) -> Row:
    """The row of one run, whatever its state.

    A run counts as damaged that lacks a file, or whose texts or ids do not agree with their hashes; arrays,
    which may be large, are only looked at by `archive.verify`.
    """
    try:
        run = archive.verify(path, arrays=False)
    except ArchiveError:
        return damaged_row(path)
    return result_row(run) if run.manifest["run_id"] == path.name else damaged_row(path)


# What is there


def run_folders(folder: Path) -> list[Path]:
    """The runs of a collection, by run id."""
    return [folder / name for name in run_names(folder)]


def run_names(folder: Path) -> list[str]:
    """The ids of a collection's runs, sorted."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if RUN_ID.match(entry.name) and entry.is_dir())


def failures(folder: Path) -> dict[str, Row]:
    """The rows of failed points that no run has replaced yet, by run id."""
    try:
        lines = (folder / FAILED).read_bytes().splitlines()
    except OSError:
        return {}
    rows = [row for line in lines if (row := whole_row(line)) is not None]
    return {row["run"]: row for row in rows if not (folder / row["run"]).is_dir()}


def failed_row(described: Described, error: str) -> Row:
    """A point that failed, and why, as a row."""
    return {"run": described.identity, "status": "failed", **described.cells, "error": error}


def whole_row(line: bytes) -> Row | None:
    """The row of one line of JSON, or None of a line that a kill cut short."""
    try:
        row = json.loads(line)
        return row if RUN_ID.match(row["run"]) else None
    except (ValueError, KeyError, TypeError):
        return None


# The index and the table


@dataclass
class Columns:
    """The columns of a table, from the rows that are in it."""

    first: dict[str, str] | None = None  # every config key, with the value it had first
    varying: set[str] = field(default_factory=set)
    sometimes: set[str] = field(default_factory=set)

    def count(self, row: Row) -> None:
        """Take one row's keys and values into account."""
        self.sometimes |= SOMETIMES & row.keys()
        if row["status"] == DAMAGED:
            return
        if self.first is None:
            self.first = {key: value for key, value in row.items() if key not in NOT_CONFIG}
            return
        self.varying |= self.first.keys() - row.keys()
        changed = {key for key, _ in row.items() - self.first.items()} - NOT_CONFIG
        self.varying |= changed
        if not changed <= self.first.keys():  # the rows before had nothing there
            self.first |= {key: "" for key in row if key in changed and key not in self.first}

    @property
    def names(self) -> list[str]:
        """What is fixed, the config values that vary in order of appearance, and what was measured."""
        varying = [key for key in self.first or () if key in self.varying]
        return [*FIXED, *varying, *MEASURED, *sorted(self.sometimes)]


def note(folder: Path, rows: Iterable[Row]) -> None:
    """Add runs just made to the index, and points that failed to the list of those.

    Raises:
        StorageError: the disk refused.
    """
    found = list(rows)
    with storing(folder / INDEX), locked(folder):
        for name, failed in ((INDEX, False), (FAILED, True)):
            lines = "".join(json.dumps(row) + "\n" for row in found if (row["status"] == "failed") is failed)
            if lines:
                add_lines(folder / name, lines.encode())


def add_lines(path: Path, lines: bytes) -> None:
    """Add whole lines to a file, apart from a last one that a kill cut short."""
    with open(path, "a+b") as file:
        if file.tell() and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n":
            lines = b"\n" + lines
        file.write(lines)


def refresh(folder: Path) -> Path:
    """Bring results.csv up to date: rows of the index, and of runs that it lacks; it appears by one rename.

    Raises:
        StorageError: the disk refused.
    """
    with storing(folder / RESULTS), locked(folder):
        return write_table(folder)


def rebuild(folder: Path) -> Path:
    """Write results.csv, and the index, anew from the runs themselves.

    Raises:
        StorageError: the disk refused.
    """
    with storing(folder / RESULTS), locked(folder):
        (folder / INDEX).unlink(missing_ok=True)
        return write_table(folder)


def locked(folder: Path) -> Any:
    """A lock that one process at a time holds to write the table."""
    from filelock import FileLock

    return FileLock(folder / LOCK, timeout=LOCK_SECONDS)


def write_table(folder: Path) -> Path:
    """Write results.csv from the index, after adding the runs that it lacks."""
    names, failed = run_names(folder), failures(folder)
    places = completed_index(folder, names)
    listed = sorted([*names, *failed])
    target = folder / RESULTS
    temporary = folder / hidden_name(RESULTS)
    try:
        with (
            open(folder / INDEX, "rb", buffering=0) as index,
            open(temporary, "w", newline="", encoding="utf-8") as table,
        ):
            write_results(table, lambda: (failed.get(name) or row_at(index, places[name]) for name in listed))
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def completed_index(folder: Path, names: Iterable[str]) -> dict[str, int]:
    """Where in the index each run's line begins, after adding those of the runs that it lacks."""
    with open(folder / INDEX, "a+b") as file:
        places = index_places(file)
        for name in names:
            if name not in places:
                places[name] = file.seek(0, os.SEEK_END)
                file.write(json.dumps(run_row(folder / name)).encode() + b"\n")
    return places


def index_places(file: Any) -> dict[str, int]:
    """Where each run's last whole line begins; lines that a kill cut short are passed over.

    Only the lines' ends are looked at, as reading all of each would take a third of a table's time.
    """
    places = {}
    position = file.seek(0)
    for line in file:
        match = ROW_LINE.match(line)
        if match and line.endswith(b"}\n") and line.count(ROW_START) == 1:
            places[match[1].decode()] = position
        position += len(line)
    if position and not line.endswith(b"\n"):
        file.write(b"\n")
    return places


def row_at(index: FileIO, place: int) -> Row:
    """The row whose line begins there; read in one piece, as a buffer would be filled anew for each."""
    index.seek(place)
    text = index.read(LINE_BYTES)
    while b"\n" not in text and (more := index.read(len(text))):
        text += more
    row: Row = json.loads(text.partition(b"\n")[0].decode())  # json itself would look for the encoding first
    return row


def write_results(table: TextIO, rows: Callable[[], Iterable[Row]]) -> None:
    """Write rows as a CSV table; `rows` gives them anew each time, as they need not fit into memory.

    They are read once where the first of them show which columns there are, and otherwise once more.
    """
    guessed, found = columns_of(islice(rows(), GUESSED_FROM)), Columns()
    write_rows(table, guessed, counted(rows(), found))
    if found.names != guessed:
        table.seek(0)
        table.truncate()
        write_rows(table, found.names, rows())


def counted(rows: Iterable[Row], columns: Columns) -> Iterator[Row]:
    """The same rows, each taken into account on its way."""
    for row in rows:
        columns.count(row)
        yield row


def write_rows(table: TextIO, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write a CSV table, what a row lacks left empty."""
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([row.get(column, "") for column in columns] for row in rows)


# Reading


def read_results(folder: Path) -> list[Row]:
    """The rows of results.csv, or of the index and the runs themselves where it lacks one; nothing is written.

    Raises:
        ArchiveError: there is no collection.
    """
    if not folder.is_dir():
        raise ArchiveError(f"{folder}: no such collection")
    try:
        with open(folder / RESULTS, newline="", encoding="utf-8") as file:
            found: list[Row] = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error):
        found = []
    listed = sorted([*run_names(folder), *failures(folder)])
    if [row.get("run") for row in found] == listed and all(map(is_even, found)):
        return found
    return results({row["run"]: row for row in whole_rows(folder)})


def is_even(row: Mapping[Any, Any]) -> bool:
    """Whether a line of a table had as many cells as its head."""
    return None not in row and None not in row.values()


def whole_rows(folder: Path) -> list[Row]:
    """Every run as a row with all its config values: from the index, or from the run where that lacks it.

    A run in the index is only looked at for its manifest, which is written last; `rebuild` reads all of it.
    """
    try:
        lines = (folder / INDEX).read_bytes().splitlines()
    except OSError:
        lines = []
    indexed = {row["run"]: row for line in lines if (row := whole_row(line)) is not None}
    rows = failures(folder)
    for name in run_names(folder):
        there = name in indexed and os.path.exists(f"{folder}/{name}/manifest.json")
        rows[name] = indexed[name] if there else run_row(folder / name)
    return [rows[name] for name in sorted(rows)]


def results(rows: Mapping[str, Row]) -> list[Row]:
    """Rows as the table has them: sorted, with its columns."""
    listed = [rows[name] for name in sorted(rows)]
    columns = columns_of(listed)
    return [{column: row.get(column, "") for column in columns} for row in listed]


def columns_of(rows: Iterable[Row]) -> list[str]:
    """The columns that a table of these rows has."""
    columns = Columns()
    for row in rows:
        columns.count(row)
    return columns.names


def typed_row(row: Row) -> dict[str, Any]:
    """A row with numbers as numbers, and None for what it lacks."""
    return {column: cell_value(column, text) for column, text in row.items()}


def cell_value(column: str, text: str) -> Any:
    """A cell of the table as the value it was written for.

    >>> cell_value("conv.stride", "[2, 1]"), cell_value("seconds", "0.5"), cell_value("run", "123456789012")
    ([2, 1], 0.5, '123456789012')
    """
    return (text or None) if column in TEXTS else plain_value(text)


@lru_cache(maxsize=1 << 16)
def plain_value(text: str) -> Any:
    """A number, a truth or a list of such, as `str` wrote it; any other text stays one."""
    if text in TRUTHS:
        return TRUTHS[text]
    if not (text.startswith("[") or NUMBER.fullmatch(text)):
        return text
    try:
        value = ast.literal_eval(text)
        return value if is_plain(value) else text
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def is_plain(value: Any) -> bool:
    """Whether a value is a finite number, a text, or a list of such: one that JSON has and that can be sorted."""
    if isinstance(value, list):
        return all(map(is_plain, value))
    return isinstance(value, str) or (isinstance(value, int | float) and math.isfinite(value))


def runs(folder: str | Path) -> pd.DataFrame:
    """The runs of a collection as a table: one row per run, numbers as numbers.

    A column with numbers beside words or lists (``conv.pad``: 1, "same", [2, 1]) has each cell's own value.

    Raises:
        ArchiveError: there is no collection.
    """
    rows = read_results(Path(folder))
    return as_table(rows, row_columns(rows), typed)


def row_columns(rows: Sequence[Row]) -> list[str]:
    """The columns of rows that all have the same, or of a table without rows."""
    return list(rows[0]) if rows else columns_of(rows)


def as_table(
    rows: Sequence[Row], columns: Sequence[str], read: Callable[[pd.Series[Any]], pd.Series[Any]]
) -> pd.DataFrame:
    """Rows as a table, every column as `read` makes it but those that are always texts."""
    import pandas as pd

    table = pd.DataFrame(rows, columns=list(columns))
    for column in table.columns:
        if column not in TEXTS:
            table[column] = read(table[column])
    return table


def typed(column: pd.Series[Any]) -> pd.Series[Any]:
    """A column of one kind as such; one with numbers beside words or lists as each cell's own value."""
    import pandas as pd

    found = uniform(column)
    if found is not column:
        return found
    values = [deepcopy(plain_value(text)) for text in column]  # whoever changes a list shall have one of their own
    if not any(isinstance(value, int | float) for value in values):
        return column
    return pd.Series(values, index=column.index, name=column.name, dtype=object)


def uniform(column: pd.Series[Any]) -> pd.Series[Any]:
    """A column of numbers or of truths as such; any other, of texts, as it is: files have one type in a column."""
    import pandas as pd

    if set(column) <= set(TRUTHS) and set(column) != {""}:
        return column.map(TRUTHS).astype("boolean" if "" in set(column) else "bool")
    try:
        return pd.to_numeric(column)
    except (ValueError, TypeError):
        return column
