"""Hidden beside the runs: an index, a line of JSON for each run as it was made, and the same of points that failed.

So the table of a long sweep need not read every run again. Of two lines for one run the last counts; a line that
a kill cut short counts for nothing.
"""

import json
import os
import re
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import IO

from convpipe.archive.identity import RUN_ID
from convpipe.archive.shared import locked, own_file
from convpipe.archive.table import FAILED, Row
from convpipe.files.staging import storing

INDEX = ".index.jsonl"
FAILURES = ".failed.jsonl"
ROW_START = b'{"run": "'
ROW_LINE = re.compile(ROW_START + rb'([0-9a-f]{12})"')
STARTED = b', "started": "'  # which older code left out, and some measured columns, too
LINE_BYTES = 2048  # of the index, for one row: few are longer


# Writing


def note(folder: Path, rows: Iterable[Row]) -> None:
    """Add runs just made to the index, and points that failed to the list of those.

    Raises:
        StorageError: the disk refused.
    """
    with storing(folder / INDEX), locked(folder):
        add_rows(folder, list(rows))


def add_rows(folder: Path, rows: Sequence[Row]) -> None:
    """The same by who holds the lock."""
    for name, failed in ((INDEX, False), (FAILURES, True)):
        lines = "".join(json.dumps(row) + "\n" for row in rows if (row["status"] == FAILED) is failed)
        if lines:
            add_lines(folder / name, lines.encode())


def index_row(folder: Path, row: Row) -> None:
    """Add the row of a run to the index, by who holds the lock."""
    add_lines(folder / INDEX, (json.dumps(row) + "\n").encode())


def add_lines(path: Path, lines: bytes) -> None:
    """Add whole lines to a file, apart from a last one that a kill cut short."""
    with open(path, "a+b", opener=own_file) as file:
        if file.tell() and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n":
            lines = b"\n" + lines
        file.write(lines)


# Reading all of it


def failures(folder: Path) -> dict[str, Row]:
    """The rows of failed points that no run has replaced yet, by run id."""
    return {name: row for name, row in rows_of(folder / FAILURES).items() if not (folder / name).is_dir()}


def rows_of(path: Path, wanted: Container[str] | None = None) -> dict[str, Row]:
    """The rows of a file of lines by run id, of all runs or of those that are wanted; none where there is no file."""
    try:
        with open(path, "rb", opener=own_file) as file:
            lines = file.read().splitlines()
    except OSError:
        return {}
    found: dict[str, Row] = {}
    if wanted is not None:  # an id stands at the same place in each line, so that few have to be read whole
        lines = [line for line in lines if (match := ROW_LINE.match(line)) is None or match[1].decode() in wanted]
    for row in filter(None, map(whole_row, lines)):
        found.pop(row["run"], None)  # of two lines of one run the last counts, in its place
        found[row["run"]] = row
    return found


def each_row(path: Path) -> Iterator[Row]:
    """The rows of a file of lines one by one, in their order, of one run perhaps several; none where there is none."""
    with suppress(OSError), open(path, "rb", opener=own_file) as file:
        yield from (row for line in file if (row := whole_row(line)) is not None)


def whole_row(line: bytes) -> Row | None:
    """The row of one line of JSON, or None of a line that a kill cut short."""
    try:
        row: Row = json.loads(line)
        texts = all(isinstance(cell, str) for cell in row.values())
        return row if texts and row["status"] and RUN_ID.match(row["run"]) else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


# Reading it row by row, as a long one need not fit into memory


def index_places(folder: Path, names: Container[str]) -> tuple[dict[str, int], dict[str, int]]:
    """Where in the index the line of each of some runs begins, of those that have one; and those of older code."""
    with open(folder / INDEX, "a+b", opener=own_file) as file:
        places, older = line_places(file)
    found = {name: place for name, place in places.items() if name in names}
    return found, {name: place for name, place in older.items() if name in names and name not in found}


def complete(folder: Path, names: Iterable[str], made: Callable[[str], Row]) -> None:
    """Add the lines of runs that the index lacks, in the order in which they are given."""
    with open(folder / INDEX, "ab", opener=own_file) as file:
        for name in names:
            file.write(json.dumps(made(name)).encode() + b"\n")


def line_places(file: IO[bytes]) -> tuple[dict[str, int], dict[str, int]]:
    """Where each run's last whole line begins, and its last of older code; lines that a kill cut short do not count.

    Only the lines' ends are looked at, as reading all of each would take a third of a table's time.
    """
    places: dict[str, int] = {}
    older: dict[str, int] = {}
    position = file.seek(0)
    for line in file:
        match = ROW_LINE.match(line)
        if match and line.endswith(b"}\n") and line.count(ROW_START) == 1:
            (places if STARTED in line else older)[match[1].decode()] = position
        position += len(line)
    if position and not line.endswith(b"\n"):
        file.write(b"\n")
    return places, older


def row_at(index: FileIO, place: int) -> Row:
    """The row whose line begins there; read in one piece, as a buffer would be filled anew for each."""
    index.seek(place)
    text = index.read(LINE_BYTES)
    while b"\n" not in text and (more := index.read(len(text))):
        text += more
    row: Row = json.loads(text.partition(b"\n")[0].decode())  # json itself would look for the encoding first
    return row
