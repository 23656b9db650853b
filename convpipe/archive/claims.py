"""What a collection's books say of its runs, held against the runs: results.csv, the index, the list of failures.

The runs are the truth. A row that says something else of one is damage, as somebody may already have used it; a book
that only lags behind, as after a kill or while a sweep is at work, is none: the next command brings it up to date.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from convpipe.archive.cells import column_name
from convpipe.archive.format import csv_lines
from convpipe.archive.identity import RUN_ID
from convpipe.archive.index import FAILURES, INDEX, whole_row
from convpipe.archive.limits import lines_of
from convpipe.archive.results import RESULTS, recorded_sizes
from convpipe.archive.shared import own_file
from convpipe.archive.table import DATE, FAILED, FIXED, KEEP, MEASURED, SOMETIMES, Columns, Row, cell_value
from convpipe.errors import ArchiveError, shown

ANEW = "runs --rebuild makes it anew"
SINCE = DATE  # a column that older code did not have, which wrote some others otherwise, too


@dataclass
class Book:
    """One of a collection's books: the last row of each run, and what is wrong with it."""

    path: Path
    rows: dict[str, Row] = field(default_factory=dict)
    faults: list[ArchiveError] = field(default_factory=list)
    columns: tuple[str, ...] = ()
    cut: bool = False  # a kill came while its last line was written
    late: set[str] = field(default_factory=set)  # whose rows stand in lines that came after the table

    def fault(self, what: str) -> None:
        """Take down what is wrong with it."""
        self.faults.append(ArchiveError(f"{self.path}: {what}; {ANEW}"))


@dataclass(frozen=True)
class Claims:
    """The books of one collection, as they are now."""

    results: Book
    index: Book
    failures: Book
    faults: tuple[ArchiveError, ...]

    @property
    def books(self) -> tuple[Book, Book, Book]:
        """All three."""
        return self.results, self.index, self.failures

    def contradictions(self, truth: Row) -> Iterator[tuple[Book, ArchiveError]]:
        """What the books say of a run that it does not say itself, each with the book."""
        name = truth["run"]
        if name not in self.index.late and (row := self.results.rows.get(name)):
            yield from ((self.results, error) for error in contradictions(self.results, row, truth, "the run"))
        if row := self.index.rows.get(name):
            if SINCE in row and row.keys() != truth.keys():
                text = f"{self.index.path}: row {name}: got other columns than the run has; {ANEW}"
                yield self.index, ArchiveError(text)
            else:
                yield from ((self.index, error) for error in contradictions(self.index, row, truth, "the run"))

    def of_failures(self, there: Collection[str]) -> Iterator[ArchiveError]:
        """What results.csv says of points that failed, and their list does not; of those without a run since."""
        for name, truth in self.failures.rows.items():
            row = self.results.rows.get(name)
            if row and name not in there and name not in self.failures.late:
                yield from contradictions(self.results, row, truth, FAILURES)

    def of_columns(self, truths: Sequence[Row]) -> Iterator[ArchiveError]:
        """Columns of results.csv that nothing has, or that it lacks though its runs differ there."""
        book = self.results
        if SINCE not in book.columns:
            return
        known, found = {*FIXED, *MEASURED, *SOMETIMES, KEEP}, Columns()
        for truth in truths:
            known.update(truth)
            if truth["run"] in book.rows and truth["run"] not in self.index.late:
                found.count(truth)
        known.update(*self.index.rows.values(), *self.failures.rows.values())
        if not os.path.lexists(self.failures.path):  # it is hidden, and so not everybody copies it
            failed = [row for row in book.rows.values() if row["status"] == FAILED]
            known.update(column for row in failed for column, text in row.items() if text)
        for column in [*(set(book.columns) - known), *(set(found.names) - set(book.columns))]:
            yield ArchiveError(f"{book.path}: got columns with or without {shown(column)}, other than its runs; {ANEW}")


def contradictions(book: Book, row: Row, truth: Row, of: str) -> Iterator[ArchiveError]:
    """The first column in which a row says something else than the truth."""
    for column, found in row.items():
        if not agrees(column, found, expected := truth.get(column, ""), today=SINCE in row):
            where = f"{book.path}: row {row['run']}: got {column} {shown(found)}, expected {shown(expected)}"
            yield ArchiveError(f"{where}, as {of} says; {ANEW}")
            return


def agrees(column: str, found: str, expected: str, *, today: bool) -> bool:
    """Whether a cell says what it should; of older code, in another spelling, and its time of fewer images."""
    if found == expected or today:
        return found == expected
    return column == "seconds" or cell_value(column, found) == cell_value(column, expected)


# Reading the books


def read_claims(folder: Path) -> Claims:
    """The books of a collection, each with what is wrong with it."""
    faults: list[ArchiveError] = []
    try:
        sizes = recorded_sizes(folder)
    except ArchiveError as error:
        sizes = {}
        faults.append(error)
    index, failures = (lines_book(folder / name, sizes.get(name)) for name in (INDEX, FAILURES))
    return Claims(table_book(folder / RESULTS, sizes.get(RESULTS)), index, failures, tuple(faults))


def content_of(book: Book) -> bytes:
    """What a book holds; nothing where there is none, or where that cannot be read."""
    return b"".join(lines_in(book))


def lines_in(book: Book) -> Iterator[bytes]:
    """The lines of a book; none where there is none, and no more where one cannot be read."""
    if not os.path.lexists(book.path):
        return
    try:
        with open(book.path, "rb", opener=own_file) as file:
            yield from lines_of(file)
    except OSError as error:
        book.fault(f"not readable: {error.strerror or error}")


def lines_book(path: Path, recorded: int | None) -> Book:
    """A file of lines, each the row of a run.

    Args:
        recorded: how large it was when the table was written, where that is known.
    """
    book, place = Book(path), 0
    for number, line in enumerate(lines_in(book), start=1):
        row = whole_row(line, failed=path.name == FAILURES)
        if row is None and is_cut(line):
            book.cut = not line.endswith(b"\n")  # others have been written since, and the run is in them
        elif row is None or (SINCE in row and json.dumps(row).encode() != line.rstrip(b"\n")):
            book.fault(f"line {number} is none of a run")
        else:
            book.rows.pop(row["run"], None)
            book.rows[row["run"]] = row
            if recorded is not None and place >= recorded:
                book.late.add(row["run"])
        place += len(line)
    return book


def is_cut(line: bytes) -> bool:
    """Whether a line is the beginning of one, as a kill leaves it, and not one in which something was changed.

    >>> [is_cut(line) for line in (b'{"run": "0', b'{"run":', b'{"run"; "0"}', b'{"run": "0"} ', b'{"run": "0}')]
    [True, True, False, False, False]
    """
    try:
        json.loads(line)
    except json.JSONDecodeError as error:
        is_open = error.msg.startswith("Unterminated string") or error.pos >= len(error.doc.rstrip("\n"))
        return is_open and not line.rstrip(b"\n").endswith(b"}")
    except (ValueError, RecursionError):
        return False
    return False


def table_book(path: Path, recorded: int | None) -> Book:
    """results.csv.

    Args:
        recorded: how large it was when it was last written or added to, where that is known.
    """
    book = Book(path)
    content = content_of(book)
    end = content.rfind(b"\n") + 1
    if end < len(content):
        if recorded is not None and len(content) <= recorded:
            book.fault("its last line is cut short")
        content, book.cut = content[:end], True
    try:
        table = list(csv.reader(io.StringIO(content.decode(), newline="")))
    except (ValueError, csv.Error) as error:
        book.fault(f"not readable: {error}")
        return book
    if not table:
        if os.path.lexists(path) and not book.faults:
            book.fault("got nothing, expected columns")
        return book
    book.columns = tuple(map(column_name, table[0]))
    if book.columns[: len(FIXED)] != FIXED or len(set(book.columns)) < len(book.columns):
        book.fault(f"got columns {shown(', '.join(book.columns))}, expected {', '.join(FIXED)} and others")
    elif SINCE in book.columns and csv_lines(table) != content:
        book.fault("is written otherwise than such tables are")
    else:
        fill(book, table[1:])
    return book


def fill(book: Book, table: Sequence[Sequence[str]]) -> None:
    """Take the rows of a table into its book."""
    for number, cells in enumerate(table, start=1):
        if len(cells) != len(book.columns) or not RUN_ID.match(cells[0]):
            book.fault(f"row {number} is none of a run")
        elif cells[0] in book.rows:
            book.fault(f"row {number} is the second of run {cells[0]}")
        else:
            book.rows[cells[0]] = dict(zip(book.columns, cells, strict=True))
