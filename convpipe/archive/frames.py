"""A table's columns as values, each of one type: for data frames, JSON and Parquet.

A column has truths, numbers, texts or tuples. Numbers beside tuples are tuples of one; whatever stands beside a text is
a text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from convpipe.archive.cells import number_column, together, unmarked
from convpipe.archive.format import COUNTED
from convpipe.archive.table import (
    DATE,
    FIXED,
    MEASURED,
    NOT_CONFIG,
    SOMETIMES,
    TEXT_COLUMNS,
    Row,
    cell_value,
)

if TYPE_CHECKING:
    import pandas as pd

COUNTS = ("format", "macs", "bytes", "k", "nonfinite", *COUNTED)  # whole numbers, where there are any


def every_column(rows: Iterable[Row]) -> list[str]:
    """All columns that a table of these rows can have, in an order that does not depend on theirs.

    Settings stand by their groups: first of all those of the run whose id comes first.

    >>> every_column([{"run": "b", "seed": "1", "a.y": "2"}, {"run": "a", "a.x": "1", "seed": ""}])[:5]
    ['run', 'status', 'a.x', 'a.y', 'seed']
    """
    groups: dict[str, dict[str, None]] = {}
    for keys in dict.fromkeys(tuple(row) for row in sorted(rows, key=lambda row: row["run"])):
        for key in keys:
            if key not in NOT_CONFIG:
                groups.setdefault(key.partition(".")[0], {})[key] = None
    settings = [key for group in groups.values() for key in group]
    return [*FIXED, *settings, *MEASURED, *sorted(SOMETIMES)]


# Values


def column_values(column: str, cells: Sequence[str]) -> list[Any]:
    """The values of a column, all of one type, and None where a row has none.

    >>> column_values("conv.stride", ["1", "[2, 1]", ""]), column_values("conv.pad", ["1", "same"])
    ([(1,), (2, 1), None], ['1', 'same'])
    """
    found = {text: cell_value(column, text) for text in dict.fromkeys(cells)}
    return list(map(of_one_type(found).__getitem__, cells))


def of_one_type(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """The values of some cells, as the type that all of them can be."""
    kinds = {kind_of(value) for value in found.values() if value is not None}
    if "list" in kinds and "text" not in kinds:
        return {text: None if value is None else as_tuple(value) for text, value in found.items()}
    if len(kinds) > 1:
        return {text: unmarked(text) or None for text in found}
    return found


def kind_of(value: Any) -> str:
    """What a value is."""
    for kind, name in ((str, "text"), (list, "list"), (bool, "truth")):
        if isinstance(value, kind):
            return name
    return "number"


def as_tuple(value: Any) -> tuple[Any, ...]:
    """A list as a tuple, with all that is in it; a number as a tuple of one."""
    entries = value if isinstance(value, list) else [value]
    return tuple(as_tuple(entry) if isinstance(entry, list) else entry for entry in entries)


def json_rows(rows: Sequence[Row], columns: Sequence[str]) -> Iterable[dict[str, Any]]:
    """Rows as JSON has them: what is no number, as NaN, is null."""
    values = {column: map(finite, column_values(column, [row[column] for row in rows])) for column in columns}
    return (dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True))


def finite(value: Any) -> Any:
    """A value, or None in place of a float for which JSON has no word."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


# Data frames


def frame(rows: Sequence[Row], columns: Sequence[str]) -> pd.DataFrame:
    """Rows as a data frame; what a run lacks is a missing value, of texts an empty one."""
    return framed(rows, columns, series)


def framed(
    rows: Sequence[Row], columns: Sequence[str], made: Callable[[str, Sequence[str]], pd.Series[Any]]
) -> pd.DataFrame:
    """Rows as a data frame of columns that `made` makes."""
    import pandas as pd

    return pd.DataFrame({column: made(column, [row[column] for row in rows]) for column in columns})


def series(column: str, cells: Sequence[str]) -> pd.Series[Any]:
    """A column of a data frame: bool, int64, float64, texts, tuples or times, nullable where there are gaps."""
    import pandas as pd

    values = column_values(column, cells)
    if column == DATE:
        return pd.to_datetime(pd.Series(values, dtype=object), utc=True, format="ISO8601", errors="coerce")
    kinds = {kind_of(value) for value in values if value is not None}
    if column in TEXT_COLUMNS or kinds == {"text"}:
        return texts(["" if value is None else value for value in values])
    if kinds == {"truth"}:
        return pd.Series(values, dtype="boolean" if None in values else "bool")
    if any(isinstance(value, tuple) for value in values):
        return pd.Series(values, dtype=object)
    return numbers(column, values)


def texts(values: Sequence[str]) -> pd.Series[Any]:
    """A column of texts; as objects where one is no Unicode, as a name of a file can be."""
    import pandas as pd

    try:
        return pd.Series(values, dtype="str")
    except UnicodeEncodeError:
        return pd.Series(values, dtype=object)


def numbers(column: str, values: Sequence[Any]) -> pd.Series[Any]:
    """A column of numbers, or of nothing."""
    import pandas as pd

    alone = pd.Series([None] * len(values), dtype=object)  # of which the index is taken
    if column in COUNTS and all(value is None for value in values):
        return pd.Series([pd.NA] * len(values), dtype="Int64") if values else pd.Series([], dtype="int64")
    found = number_column(alone, together(values))
    return found.astype("float64") if str(found.dtype) == "Float64" else found


# Files


def frame_for_file(rows: Sequence[Row], columns: Sequence[str]) -> pd.DataFrame:
    """Rows as a data frame that Parquet takes: tuples as lists; what no column type holds, as texts."""
    return framed(rows, columns, series_for_file)


def series_for_file(column: str, cells: Sequence[str]) -> pd.Series[Any]:
    """A column of such a frame."""
    import pyarrow as pa

    found = series(column, cells)
    if found.dtype != object:
        return found
    try:
        pa.array(found, from_pandas=True)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return texts([unmarked(cell) for cell in cells])
    return found
