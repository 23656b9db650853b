"""Reading a matrix of numbers out of a .csv file."""

import math
from os import PathLike

import numpy as np

from convpipe.errors import ConfigError
from convpipe.files.npy import opened
from convpipe.tensors import Array


def read_matrix(path: str | PathLike[str], key: str = "path") -> Array:
    """The numbers of a .csv file, commas between them, (H, W): int64 where all are whole, else float64.

    Raises:
        ConfigError: not a file that can be read, rows of different lengths, or what is no finite number.
    """
    with opened(path, key, "a .csv file") as file:
        lines = file.read().decode("utf-8-sig").splitlines()
    rows = [[number(cell, path, key) for cell in line.split(",")] for line in lines if line.strip()]
    if not rows or {len(row) for row in rows} != {len(rows[0])}:
        found = sorted({len(row) for row in rows})
        raise ConfigError(key, path, "rows of equally many numbers, at least one", f"there are rows of {found}")
    matrix = np.array(rows)
    if matrix.dtype != np.int64 and matrix.dtype != np.float64:
        raise ConfigError(key, path, "numbers that int64 or float64 holds", f"some need {matrix.dtype}")
    return matrix


def number(cell: str, path: str | PathLike[str], key: str) -> int | float:
    """The number of one cell."""
    try:
        return int(cell)
    except ValueError:
        try:
            found = float(cell)
        except ValueError:
            found = math.nan
    if not math.isfinite(found):
        raise ConfigError(key, path, "finite numbers with commas between them", f"there is {cell.strip()!r}")
    return found
