"""The hidden index beside the runs, and results.csv written from it."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from convpipe.archive.collection import FAILED, INDEX, RESULTS, Columns, Row, columns_of, failures, run_names, run_row
from convpipe.files.staging import hidden_name, storing

if TYPE_CHECKING:
    pass

LOCK = ".lock"
ROW_START = b'{"run": "'
ROW_LINE = re.compile(ROW_START + rb'([0-9a-f]{12})"')
LOCK_SECONDS = 60
GUESSED_FROM = 100  # rows
LINE_BYTES = 2048  # of the index, for one row: few are longer


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
