"""CSV tables of a collection, row by row: what is read at once is never more than one row may be."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from convpipe.archive.cells import column_name
from convpipe.archive.limits import MOST_CELLS, MOST_LINE_BYTES, lines_of
from convpipe.archive.shared import own_file


class Lines:
    """The lines of a file as texts; those that one row takes, as cells have line breaks, are no more than a line is."""

    def __init__(self, file: io.BufferedReader) -> None:
        self.lines, self.room = lines_of(file), MOST_LINE_BYTES

    def __iter__(self) -> Iterator[str]:
        """Each line, with its end."""
        for line in self.lines:
            self.room -= len(line)
            if self.room < 0 or line.count(b",") > MOST_CELLS:
                raise ValueError("a row that is larger than any of a table")
            yield line.decode()


def csv_rows(path: Path, *, cut: bool = False) -> Iterator[dict[str, str]]:
    """The rows of a table by its columns, each with a cell for every one of them; none of an empty file.

    Args:
        cut: whether to pass over rows of fewer cells, as a kill leaves them.

    Raises:
        OSError, ValueError, csv.Error: it cannot be read, or is no such table.
    """
    with open(path, "rb", opener=own_file) as file:
        lines = Lines(file)
        table = csv.reader(lines)
        head = [column_name(cell) for cell in next(table, [])]
        for cells in table:
            lines.room = MOST_LINE_BYTES
            if len(cells) != len(head):
                if not cells or (cut and len(cells) < len(head)):  # a blank line
                    continue
                raise ValueError(f"a row of {len(cells)} cells below a head of {len(head)}")
            yield dict(zip(head, cells, strict=True))
