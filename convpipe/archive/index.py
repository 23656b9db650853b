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

from convpipe.archive.limits import MOST_CELLS, MOST_LINE_BYTES, lines_of
from convpipe.archive.shared import is_own_folder, locked, own_file
from convpipe.archive.table import FAILED, NOT_CONFIG, Row, is_row
from convpipe.files.staging import storing

INDEX = ".index.jsonl"
FAILURES = ".failed.jsonl"
ROW_START = b'{"run": "'
ROW_LINE = re.compile(ROW_START + rb'([0-9a-f]{12})"')
STARTED = b', "started": "'  # which older code left out, and some measured columns, too
LONG = 1000  # characters of a cell, where a line has to be short
MOST_TABLE_CELLS = 20_000_000  # of points that failed: half a million of forty columns
MOST_OTHERS = 1000  # columns that rows have beside those of the widest
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
        lines = b"".join(row_line(row) for row in rows if (row["status"] == FAILED) is failed)
        if lines:
            add_lines(folder / name, lines)


def index_row(folder: Path, row: Row) -> None:
    """Add the row of a run to the index, by who holds the lock."""
    add_lines(folder / INDEX, row_line(row))


def row_line(row: Row) -> bytes:
    """The line of a row: of one with more settings than a line may have, without them."""
    if len(row) <= MOST_CELLS:
        line = json.dumps(row).encode() + b"\n"
        if len(line) < MOST_LINE_BYTES:
            return line
    return json.dumps({key: text[:LONG] for key, text in row.items() if key in NOT_CONFIG}).encode() + b"\n"


def add_lines(path: Path, lines: bytes) -> None:
    """Add whole lines to a file, apart from a last one that a kill cut short.

    Raises:
        OSError: the disk refused, or something else than a file of the collection's own lies there.
    """
    with open(path, "a+b", opener=own_file) as file:
        if file.tell() and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n":
            lines = b"\n" + lines
        file.write(lines)


# Reading all of it


def failures(folder: Path) -> dict[str, Row]:
    """The rows of failed points that no run has replaced yet, by run id."""
    rows = rows_of(folder / FAILURES)
    return {row["run"]: row for row in few_columns(rows.values()) if not is_own_folder(folder / row["run"])}


def few_columns(rows: Iterable[Row]) -> Iterator[Row]:
    """The same rows, but those that would make a table of theirs too large, as each brings other columns."""
    columns: set[str] = set()
    widest = 0
    for number, row in enumerate(rows, start=1):
        widest = max(widest, len(row))
        count = len(columns) + len(row.keys() - columns)
        if count <= 2 * widest + MOST_OTHERS and count * number <= MOST_TABLE_CELLS:
            columns |= row.keys()
            yield row


def rows_of(path: Path, wanted: Container[str] | None = None) -> dict[str, Row]:
    """The rows of a file of lines by run id, of all runs or of those that are wanted; none where there is no file."""
    found: dict[str, Row] = {}
    for row in each_row(path, wanted):
        found.pop(row["run"], None)  # of two lines of one run the last counts, in its place
        found[row["run"]] = row
    return found


def each_row(path: Path, wanted: Container[str] | None = None) -> Iterator[Row]:
    """The rows of a file of lines one by one, in their order, of one run perhaps several; none where there is none.

    An id stands at the same place in each line, so that few have to be read whole where some runs alone are wanted.
    """
    with suppress(OSError), open(path, "rb", opener=own_file) as file:
        for line in lines_of(file):
            match = ROW_LINE.match(line) if wanted is not None else None
            if match and wanted is not None and match[1].decode() not in wanted:
                continue
            row = whole_row(line, failed=path.name == FAILURES)
            if row is not None and (wanted is None or row["run"] in wanted):
                yield row


def whole_row(line: bytes, *, failed: bool = False) -> Row | None:
    """The row of one line of JSON, or None of a line that a kill cut short, or that says what no row does.

    Args:
        failed: whether it is of a point that failed, of which nothing is measured, and not of a run.
    """
    if line.count(b'": ') > MOST_CELLS:
        return None
    try:
        row: Row = json.loads(line)
        texts = all(isinstance(cell, str) for cell in row.values())
        return row if texts and is_row(row, failed=failed) else None
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
            file.write(row_line(made(name)))


def line_places(file: IO[bytes]) -> tuple[dict[str, int], dict[str, int]]:
    """Where each run's last whole line begins, and its last of older code; lines that a kill cut short do not count.

    Only the lines' ends are looked at, as reading all of each would take a third of a table's time.
    """
    places: dict[str, int] = {}
    older: dict[str, int] = {}
    position = file.seek(0)
    line = b"\n"
    for line in lines_of(file):
        match = ROW_LINE.match(line)
        if match and line.endswith(b"}\n") and line.count(ROW_START) == 1:
            (places if STARTED in line else older)[match[1].decode()] = position
        position += len(line)
    if not line.endswith(b"\n"):
        file.write(b"\n")
    return places, older


def row_at(index: FileIO, place: int) -> Row | None:
    """The row whose line begins there, if it is whole; read in one piece, as a buffer would be filled anew for each."""
    index.seek(place)
    text = index.read(LINE_BYTES)
    while b"\n" not in text and len(text) <= MOST_LINE_BYTES and (more := index.read(len(text))):
        text += more
    return whole_row(text.partition(b"\n")[0])
