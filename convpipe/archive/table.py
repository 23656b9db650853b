"""Rows of runs as tables: typed cells, columns that vary, data frames."""

from __future__ import annotations

import ast
import csv
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convpipe.archive.collection import INDEX, RESULTS, TEXTS, Row, columns_of, failures, run_names, run_row, whole_row
from convpipe.errors import ArchiveError

if TYPE_CHECKING:
    import pandas as pd

NUMBER = re.compile(r"-?\d{1,100}(?:\.\d{1,100})?(?:e[+-]\d{1,3})?", re.ASCII)
TRUTHS = {"True": True, "False": False, "": None}


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
