"""results.csv as it was last written, and what is known of it since: so rows can be added to it unread.

Hidden beside it lies a record: how large the index and the table were then, which runs stand in the table, and what
its columns come from. Where all that still holds, a new run costs one line, however many there are.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from heapq import merge
from itertools import chain, islice
from pathlib import Path
from typing import Any

from convpipe.archive.cells import marked_name
from convpipe.archive.format import csv_lines, manifest_sha256, read_json
from convpipe.archive.index import FAILURES, INDEX, few_columns, whole_row
from convpipe.archive.limits import MOST_CELLS, lines_of
from convpipe.archive.shared import is_own_folder, own_file
from convpipe.archive.table import FAILED, FIXED, MEASURED, OLD_FORMAT, SOMETIMES, Columns, Row, cells, write_results
from convpipe.errors import ArchiveError, shown
from convpipe.files.staging import hidden_name, write_whole

RESULTS = "results.csv"
RECORD = ".table.json"
ALWAYS = [*FIXED, *MEASURED, *sorted(SOMETIMES)]  # what other code may have otherwise
RECORD_FORMAT = 2  # since when it has a hash of itself
FILES = (INDEX, FAILURES, RESULTS)


@dataclass
class Table:
    """results.csv as it stands on disk, known without reading it."""

    folder: Path
    columns: Columns = field(default_factory=Columns)
    runs: int = 0
    ids: int = 0  # of all its runs, as numbers, in one sum: it tells which they are
    failed: set[str] = field(default_factory=set)  # points
    old: set[str] = field(default_factory=set)  # runs of format 1
    sizes: dict[str, int] = field(default_factory=dict)  # of the index, the failures and the table, in bytes
    changed: int = 0  # when the table was, in nanoseconds

    def count(self, row: Row) -> None:
        """Take note of whose row stands in the table, or is about to."""
        if row["status"] == FAILED:
            self.failed.add(row["run"])
            return
        self.runs += 1
        self.ids += int(row["run"], 16)
        if row.get("format") == OLD_FORMAT:
            self.old.add(row["run"])

    def counted(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The same rows, each taken into account on its way."""
        for row in rows:
            self.count(row)
            yield row

    @property
    def rows(self) -> int:
        """How many there are."""
        return self.runs + len(self.failed)

    def lengthen(self, rows: Sequence[Row]) -> bool:
        """Add rows at its end in one go; False where that cannot be, and it has to be written anew.

        A new column is such a case, and a row that stands in place of another.

        Raises:
            OSError: the disk refused.
        """
        names = self.columns.names
        for row in rows:
            if row["run"] in self.failed or (row["status"] == FAILED and is_own_folder(self.folder / row["run"])):
                return False
            self.count(row)
            self.columns.count(row)
        if self.columns.names != names:
            return False
        with open(self.folder / RESULTS, "ab", buffering=0, opener=own_file) as file:
            write_lines(file.fileno(), csv_lines(cells(rows, names)))
        return True

    def is_of(self, names: Iterable[str]) -> bool:
        """Whether these are its runs: one may have been removed, and another made."""
        return (self.runs, self.ids) == ids_of(names)

    @property
    def is_current(self) -> bool:
        """Whether the files are as they were when its record was written."""
        now = {name: size_of(self.folder / name) for name in FILES}
        return now == self.sizes and changed_at(self.folder / RESULTS) == self.changed

    def keep_record(self) -> None:
        """Write down what is known, the files being as they are now.

        Raises:
            StorageError: the disk refused.
        """
        self.sizes = {name: size_of(self.folder / name) for name in FILES}
        self.changed = changed_at(self.folder / RESULTS)
        record = {"format": RECORD_FORMAT, **self.record}
        write_whole(self.folder / RECORD, json.dumps({**record, "sha256": manifest_sha256(record)}).encode())

    @property
    def record(self) -> dict[str, Any]:
        """What is known, as JSON has it."""
        columns = self.columns
        return {
            "always": ALWAYS,
            "sizes": self.sizes,
            "changed": self.changed,
            "runs": self.runs,
            "ids": self.ids,
            "failed": sorted(self.failed),
            "old": sorted(self.old),
            "first": columns.first,
            "varying": sorted(columns.varying),
            "sometimes": sorted(columns.sometimes),
        }


def write_lines(file: int, lines: bytes) -> None:
    """Write lines in one call, or in several where the system takes no more at once."""
    view = memoryview(lines)
    while view:
        view = view[os.write(file, view) :]


def size_of(path: Path) -> int:
    """A file's size; 0 where there is none."""
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0


def changed_at(path: Path) -> int:
    """When a file was last changed, in nanoseconds; 0 where there is none."""
    try:
        return os.lstat(path).st_mtime_ns
    except OSError:
        return 0


# The table as it was last written


def known_table(folder: Path) -> Table | None:
    """The table of a folder where it lies there as its record says; otherwise None."""
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        table = table_of(folder, read_record(folder))
        is_same = (size_of(folder / RESULTS), changed_at(folder / RESULTS)) == (table.sizes[RESULTS], table.changed)
        if is_same and has_head(folder / RESULTS, table.columns.names):
            return table
    return None


def has_head(path: Path, names: Sequence[str]) -> bool:
    """Whether a table begins with these columns, as rows of them are about to be added."""
    head = csv_lines([map(marked_name, names)])
    with open(path, "rb", opener=own_file) as file:
        return file.read(len(head)) == head


def read_record(folder: Path) -> dict[str, Any]:
    """The record of a table, as it lies there.

    Raises:
        OSError: there is none.
        ValueError, TypeError, KeyError, AttributeError, RecursionError: it is damaged; of older code, a KeyError.
    """
    with open(folder / RECORD, "rb", opener=own_file) as file:
        content = file.read()
    found: dict[str, Any] = read_json(content)
    if found.keys().isdisjoint(("format", "sha256")):
        raise KeyError("format")
    if found.get("sha256") != manifest_sha256(found) or json.dumps(found).encode() != content:
        raise ValueError("its own sha256 is that of something else")
    return found


def recorded_sizes(folder: Path) -> dict[str, int]:
    """How large the files were when the table was last written; nothing where nobody knows.

    Raises:
        ArchiveError: a record of today's code is damaged.
    """
    path = folder / RECORD
    if not os.path.lexists(path):
        return {}
    try:
        sizes = read_record(folder)["sizes"]
        return {name: int(sizes[name]) for name in FILES}
    except KeyError:
        return {}  # of older code
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ArchiveError(f"{path}: damaged: {shown(error)}; runs --rebuild makes it anew") from error


def table_of(folder: Path, record: dict[str, Any]) -> Table:
    """What a record says.

    Raises:
        ValueError, TypeError, KeyError, AttributeError: it is none, or one of other code.
    """
    if record["always"] != ALWAYS:
        raise ValueError("a record of other code")
    first = None if record["first"] is None else dict(record["first"])
    varying, sometimes = (set(record[name]) for name in ("varying", "sometimes"))
    columns = Columns(first, varying, sometimes)
    failed, old = (set(record[name]) for name in ("failed", "old"))
    texts = chain(first or {}, (first or {}).values(), varying, sometimes, failed, old)
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("something else where texts are expected")
    sizes = {name: record["sizes"][name] for name in FILES}
    runs, ids, changed = (record[name] for name in ("runs", "ids", "changed"))
    if not all(type(number) is int and number >= 0 for number in (*sizes.values(), runs, ids, changed)):
        raise ValueError("something else where counts are expected")
    if len(first or {}) + len(varying) + len(sometimes) > MOST_CELLS:
        raise ValueError("more columns than a table has")
    return Table(folder, columns, runs, ids, failed, old, sizes, changed)


def rows_since(table: Table, most: int) -> list[Row] | None:
    """The rows that have come since a table was written, in order of making; None where more has changed.

    Args:
        most: how many runs there can be.
    """
    made = rows_after(table.folder / INDEX, table.sizes[INDEX], most)
    failed = rows_after(table.folder / FAILURES, table.sizes[FAILURES], sys.maxsize - 1)
    if made is None or failed is None or not all("started" in row for row in made):
        return None
    if len(failed) > sum(1 for _ in few_columns(failed)):
        return None
    return list(in_order(made, failed))


def rows_after(path: Path, start: int, most: int) -> list[Row] | None:
    """The rows in a file of lines from a place on; None where none begins there, one is not whole, or of too many."""
    if size_of(path) == start:
        return []
    try:
        with open(path, "rb", opener=own_file) as file:
            file.seek(max(start - 1, 0))
            if start and file.read(1) != b"\n":
                return None
            failed = path.name == FAILURES
            rows = [whole_row(line, failed=failed) for line in islice(lines_of(file), most + 1)]
    except OSError:
        return None
    whole = [row for row in rows if row is not None]
    return whole if rows and len(whole) == len(rows) <= most else None


def ids_of(names: Iterable[str]) -> tuple[int, int]:
    """How many runs these are, and the sum of their ids."""
    numbers = [int(name, 16) for name in names]
    return len(numbers), sum(numbers)


def in_order(made: Iterable[Row], failed: Iterable[Row]) -> Iterator[Row]:
    """Rows of runs as they were made, and among them those of points that failed, by when they started."""
    return merge(made, failed, key=lambda row: row.get("started", ""))


def lengthened(folder: Path, names: Iterable[str]) -> bool:
    """Add to results.csv what has come since it was written, where all else in it still holds.

    Args:
        names: of the runs that are in the folder.

    Raises:
        OSError, StorageError: the disk refused.
    """
    table, (count, total) = known_table(folder), ids_of(names)
    rows = rows_since(table, count) if table is not None else None
    if table is None or rows is None:
        return False
    runs, ids = ids_of(row["run"] for row in rows if row["status"] != FAILED)
    if (table.runs + runs, table.ids + ids) != (count, total):
        return False
    if rows:
        if not table.lengthen(rows):
            return False
        table.keep_record()
    return True


# Written anew


def write_table(folder: Path, rows: Callable[[], Iterable[Row]]) -> Table:
    """Write results.csv anew, and what is to be known of it; it appears by one rename.

    Args:
        rows: gives them anew each time, as they need not fit into memory.

    Raises:
        OSError, StorageError: the disk refused.
    """
    target, temporary = folder / RESULTS, folder / hidden_name(RESULTS)
    passes: list[Table] = []

    def counted() -> Iterator[Row]:
        passes.append(Table(folder))
        return passes[-1].counted(rows())

    try:
        # a path may be no Unicode: it is escaped, as other programs could read nothing else of the table
        with open(temporary, "w", newline="", encoding="utf-8", errors="backslashreplace") as file:
            columns = write_results(file, counted)
        os.replace(temporary, target)
    finally:
        with suppress(OSError):
            temporary.unlink()
    table = passes[-1]  # of the last pass, which is a whole one
    table.columns = columns
    table.keep_record()
    return table
