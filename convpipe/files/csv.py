"""Reading a matrix of numbers out of a .csv file."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from io import TextIOWrapper
from os import PathLike, fstat
from typing import Any

import numpy as np

from convpipe.errors import ConfigError, shown
from convpipe.files.npy import opened
from convpipe.tensors import Array

MOST_BYTES = 1 << 26  # read within seconds
MOST_CELLS = 1 << 24  # 4096 x 4096, 128 MiB
BLOCK = 1 << 18  # characters at a time, so that not all cells are texts at once
LARGEST = 2**63 - 1


class Cells:
    """Numbers one after the other: int64 as long as all are whole, then float64."""

    def __init__(self, path: str | PathLike[str], key: str) -> None:
        self.path, self.key = path, key
        self.values: array[Any] = array("q")

    def add(self, text: str) -> int:
        """Take cells with commas between them, and say how many these are.

        Raises:
            ConfigError: one that is no number that int64 or float64 holds, or too many.
        """
        cells = text.split(",")
        if len(self.values) + len(cells) > MOST_CELLS:
            raise ConfigError(self.key, self.path, f"at most {MOST_CELLS:,} numbers", "np.save makes an .npy of more")
        if self.values.typecode == "q":
            try:
                self.values += array("q", map(int, cells))
                return len(cells)
            except (ValueError, OverflowError):
                self.values = array("d", self.values)
        self.values += self.floats(cells)
        return len(cells)

    def floats(self, cells: list[str]) -> array[float]:
        """The numbers of cells that are not all whole, or not all of 64 bits."""
        try:
            found = array("d", map(float, cells))
        except ValueError:
            return array("d", [number(cell, self.path, self.key) for cell in cells])
        if not (np.abs(np.frombuffer(found)) < 2.0**63).all():  # neither is NaN
            return array("d", [number(cell, self.path, self.key) for cell in cells])
        return found


def read_matrix(path: str | PathLike[str], key: str = "path") -> Array:
    """The numbers of a .csv file, commas between them, (H, W): int64 where all are whole, else float64.

    Raises:
        ConfigError: not a file that can be read, too large, rows of different lengths, or what is no finite number.
    """
    cells, lengths, rows, row = Cells(path, key), set[int](), 0, 0
    with opened(path, key, "a .csv file") as file:
        if fstat(file.fileno()).st_size > MOST_BYTES:
            raise ConfigError(key, path, f"at most {MOST_BYTES >> 20} MiB of text", "np.save makes an .npy of more")
        for text, ends in pieces(TextIOWrapper(file, "utf-8-sig")):
            row += cells.add(text)
            if ends:
                lengths.add(row)
                rows, row = rows + 1, 0
    if len(lengths) != 1:
        found = shown(sorted(lengths), 60)
        raise ConfigError(key, path, "rows of equally many numbers, at least one", f"there are rows of {found}")
    return np.frombuffer(cells.values, np.int64 if cells.values.typecode == "q" else np.float64).reshape(rows, -1)


def pieces(file: TextIOWrapper) -> Iterator[tuple[str, bool]]:
    """The cells of a file with commas between them, part by part, and whether a row ends there; not of blank lines."""
    rest, within = "", False
    while block := file.read(BLOCK):
        first, *lines = (rest + block).split("\n")
        if lines:
            if within or first.strip():
                yield first, True
            first, within = lines.pop(), False
            yield from ((line, True) for line in filter(str.strip, lines))
        head, comma, rest = first.rpartition(",")
        if comma:
            yield head, False
            within = True
        if len(rest) > BLOCK:
            raise ValueError(f"a number of more than {BLOCK} characters")
    if within or rest.strip():
        yield rest, True


def number(cell: str, path: str | PathLike[str], key: str) -> int | float:
    """The number of one cell."""
    try:
        found: int | float = int(cell)
    except ValueError:
        try:
            found = float(cell)
        except ValueError:
            found = math.nan
        if not math.isfinite(found):
            there = repr(shown(cell)) if cell.strip() else "a cell with nothing in it"
            raise ConfigError(key, path, "finite numbers with commas between them", f"there is {there}") from None
        return found
    if not -LARGEST - 1 <= found <= LARGEST:
        raise ConfigError(key, path, "numbers that int64 or float64 holds", f"there is {shown(cell)}")
    return found
