"""A collection's runs as a listing: chosen, sorted, and as a table, CSV, JSON or Parquet."""

import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache, partial
from importlib.util import find_spec
from operator import itemgetter
from pathlib import Path
from typing import Any, Self

from convpipe.archive.below import is_collection
from convpipe.archive.cells import unmarked
from convpipe.archive.collection import read_results, whole_rows
from convpipe.archive.format import csv_bytes
from convpipe.archive.frames import every_column, frame_for_file, json_rows
from convpipe.archive.sweeps import with_points
from convpipe.archive.table import (
    NOT_CONFIG,
    Row,
    cell_value,
    columns_of,
    row_columns,
    with_columns,
)
from convpipe.config.expressions import compile_expression
from convpipe.errors import ConfigError, UsageError, did_you_mean, first_few, literal
from convpipe.files.endings import ending
from convpipe.files.staging import storing, write_whole
from convpipe.report.fitting import adjusted, cells_of, cut, fitting, left_out

ALL, VARYING = "all", "varying"  # columns
FORMATS = ("table", "csv", "json", "parquet")
MOST_CHARACTERS = 32  # of a table's cell
MOST_NAMED = 60  # columns in an error
# In a terminal
FIRST = ("run", "collection")
USEFUL = frozenset(("output_shape", "seconds", "accuracy", "error", "note", "status", "started"))
HASHES = ("sha256",)  # of which the start is shown
HASH_SHOWN = 12


class Missing(float):
    """What a run lacks: it compares with nothing, so that an expression about it leaves the run out."""

    def __new__(cls) -> Self:
        """Not a number, in arithmetic as well."""
        return super().__new__(cls, "nan")

    def __eq__(self, other: object) -> bool:
        return other is None

    def __ne__(self, other: object) -> bool:
        return other is not None

    def __lt__(self, other: Any) -> bool:
        return False

    __le__ = __gt__ = __ge__ = __contains__ = __lt__

    def __hash__(self) -> int:
        return hash(None)

    def __bool__(self) -> bool:
        return False

    def __len__(self) -> int:
        return 0

    def __getitem__(self, index: Any) -> Self:
        return self

    def __iter__(self) -> Iterator[Self]:
        return iter((self,))  # by __getitem__ alone, min and max would look for its end for ever


MISSING = Missing()


@dataclass(frozen=True)
class Listing:
    """Rows to list, each with the same columns, which there are even where no row is left of `total`."""

    rows: Sequence[Row]
    columns: Sequence[str]
    total: int

    @property
    def on_a_terminal(self) -> "Listing":
        """The same, each cell on one line whatever is in it, so that none looks like a line of ours."""
        return replace(self, rows=[{column: literal(text) for column, text in row.items()} for row in self.rows])


def of_collection(
    folder: Path, where: str | None, sort: str | None, columns: str = VARYING, *, points: bool = False
) -> Listing:
    """The listing of a collection: of results.csv where nothing is chosen.

    Args:
        points: list the points of its sweeps, each with its run.

    Raises:
        ConfigError: a column that there is not, or an expression that cannot be.
    """
    if (where, sort, columns, points) == (None, None, VARYING, False):
        rows = read_results(folder)
        return Listing(rows, row_columns(rows), len(rows))
    rows = whole_rows(folder)
    return chosen(with_points(folder, rows) if points else rows, where, sort, columns)


def chosen(rows: Sequence[Row], where: str | None, sort: str | None, columns: str) -> Listing:
    """The rows for which `where` holds, in the order of `sort`, with some columns: all, those that vary, or by name.

    Args:
        rows: with every config value of each run.

    Raises:
        ConfigError: a column that there is not, or an expression that cannot be.
    """
    known = every_column(rows)
    names = known if columns == ALL else columns_of(rows)
    if columns not in (ALL, VARYING):
        names = [column_named("--columns", name, known) for name in columns.split(",")]
    kept = list(rows) if where is None else list(holding(rows, where, known))
    if sort is not None:
        kept = in_order(kept, sort, known)
    return Listing(with_columns(kept, names), names, len(rows))


def holding(rows: Sequence[Row], text: str, known: Sequence[str]) -> Iterator[Row]:
    """The rows for which an expression holds."""
    holds = compile_expression("--where", text)
    lacking = dict.fromkeys(known, MISSING)
    for row in rows:
        values = {key: value for key, text in row.items() if is_there(value := cell_value(key, text))}
        found = holds({**lacking, **values})
        if found and found == found:  # NaN holds for nothing
            yield row


def in_order(rows: list[Row], sort: str, known: Sequence[str]) -> list[Row]:
    """Rows by columns, the first counting most: each downwards with a minus sign before its name."""
    for key in reversed(sort.split(",")):
        rows = by_column(rows, key.strip(), known)
    return rows


def by_column(rows: list[Row], sort: str, known: Sequence[str]) -> list[Row]:
    """Rows by one column, equal ones as they were; those that lack it come last."""
    column = column_named("--sort", sort.removeprefix("-"), known)
    values = [cell_value(column, row.get(column, "")) for row in rows]
    there = [(order(value), row) for value, row in zip(values, rows, strict=True) if is_there(value)]
    lacking = [row for value, row in zip(values, rows, strict=True) if not is_there(value)]
    ordered = sorted(there, key=itemgetter(0), reverse=sort.startswith("-"))
    return [*(row for _, row in ordered), *lacking]


def names_text(option: str, names: str | Iterable[str]) -> str:
    """Names of columns as one text, as the command line has them.

    Raises:
        ConfigError: it is something else.

    >>> names_text("sort", ["seed", "-stride"])
    'seed,-stride'
    """
    found = names if isinstance(names, str | bytes) or not isinstance(names, Iterable) else list(names)
    if isinstance(found, list) and all(isinstance(name, str) for name in found):
        return ",".join(found)
    if not isinstance(found, str):
        raise ConfigError(option, names, "names of columns: a text, or a list of texts")
    return found


def is_there(value: Any) -> bool:
    """Whether a value is one that can be sorted by: NaN is none."""
    return value is not None and value == value


def order(value: Any) -> tuple[Any, ...]:
    """What a value is sorted by: numbers before texts before lists.

    >>> sorted(["b", [2, 1], 10, 9, [1, 9]], key=order)
    [9, 10, 'b', [1, 9], [2, 1]]
    """
    if isinstance(value, list):
        return (2, *map(order, value))
    return (1, value) if isinstance(value, str) else (0, value)


def column_named(option: str, name: str, known: Sequence[str]) -> str:
    """A column by its name, or by its last part where only one column ends in it.

    Raises:
        ConfigError: there is none, or there are several.

    >>> column_named("--sort", "stride", ["run", "conv.stride"])
    'conv.stride'
    """
    name = name.strip()
    ends = [column for column in known if column == name] or [key for key in known if key.endswith(f".{name}")]
    if len(ends) == 1:
        return ends[0]
    if ends:
        raise ConfigError(option, name, f"one of {', '.join(sorted(ends))}")
    there = sorted(known, key=lambda column: column not in NOT_CONFIG)  # what every run has, before its settings
    expected = f"one of {first_few(there, MOST_NAMED)}" if known else "some run"
    raise ConfigError(option, name, expected, column_meant(name, there))


def column_meant(name: str, known: Sequence[str]) -> str:
    """A hint with the column that a name may stand for: whole, or its last part, or a word of that.

    >>> column_meant("strid", ["conv.stride"]), column_meant("shape", ["output_shape"])
    ('did you mean stride?', 'did you mean output_shape?')
    """
    lasts = [column.rpartition(".")[2] for column in known]
    having = [last for last in lasts if name in last.split("_")]
    return did_you_mean(name, [*known, *lasts]) or (f"did you mean {having[0]}?" if having else "")


# Formats


def file_format(output: str | None) -> str:
    """The format that a file's ending asks for; the table for any other, and for no file.

    >>> file_format("x.csv"), file_format("x.txt"), file_format(None)
    ('csv', 'table', 'table')
    """
    form = ending(output or "")
    return form if form in FORMATS else "table"


def table_text(listing: Listing) -> str:
    """A listing as aligned text, numbers to the right, long cells cut; without rows, a line that says so."""
    if not listing.rows:
        return f"no run of {listing.total} matches\n" if listing.total else ""
    columns = [aligned(name, [row[name] for row in listing.rows]) for name in listing.columns]
    return in_lines(columns)


def terminal_text(listing: Listing, width: int | None) -> str:
    """The same for a terminal: readable cells, the columns that fit, and a line about those that do not."""
    if not listing.rows:
        return table_text(listing)
    columns = {name: for_people(name, [row[name] for row in listing.rows]) for name in listing.columns}
    worth = sorted(listing.columns, key=partial(use_of, listing.rows))
    kept = fitting({name: cells_of(cells[0]) for name, cells in columns.items()}, [[name] for name in worth], width)
    lost = [name for name in worth if name not in kept]
    ways = f"--columns {','.join([kept[0], *lost[:1]])} or --format csv"
    return in_lines([columns[name] for name in kept]) + (f"{left_out(lost, ways, width)}\n" if lost else "")


def in_lines(columns: Sequence[Sequence[str]]) -> str:
    """Columns of one width each as the lines of a table."""
    return "".join("  ".join(cells).rstrip() + "\n" for cells in zip(*columns, strict=True))


def use_of(rows: Sequence[Row], column: str) -> int:
    """How much of use a column is in a list of runs, the smaller the more; one that says the same of all, the least."""
    if column in FIRST:
        return 0
    if column.endswith(HASHES) or (len(rows) > 1 and len({row[column] for row in rows}) == 1):
        return 3
    return 1 if column not in NOT_CONFIG or column in USEFUL else 2


def for_people(name: str, cells: Sequence[str]) -> list[str]:
    """A column as `aligned` has it, its times, dates and hashes as people read them."""
    if name == "seconds":
        from convpipe.report.console import readable_seconds  # with rich, which a pipe does without

        return filled(name, [readable_seconds(float(cell)) if cell else "" for cell in cells], right=True)
    if name == "started":
        return filled(name, [local_time(cell) for cell in cells], right=False)
    return aligned(name, [cell[:HASH_SHOWN] for cell in cells] if name.endswith(HASHES) else cells)


def local_time(text: str) -> str:
    """A date as manifests have it, to the minute, by this machine's clock; as it is where it is none.

    >>> local_time("yesterday")
    'yesterday'
    """
    try:
        return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):
        return short_cell(text)


def aligned(name: str, cells: Sequence[str]) -> list[str]:
    """A column's name and cells, all of one width."""
    numbers = all(isinstance(cell_value(name, cell), int | float | None) for cell in set(cells))
    shown = literal if name == "collection" else short_cell  # a path is there to be typed
    texts = (shown(unmarked(cell)) for cell in cells)
    return filled(name, list(texts), right=numbers)


def filled(name: str, texts: Sequence[str], *, right: bool) -> list[str]:
    """A column's name and texts, all as many cells wide."""
    title = literal(name)  # a setting of an archive may be called anything
    width = max(map(cells_of, (title, *texts)))
    return [adjusted(text, width, right=right) for text in (title, *texts)]


@lru_cache(maxsize=1 << 16)
def short_cell(text: str) -> str:
    r"""A cell of a table: on one line, nothing that moves a terminal's cursor, not too long.

    >>> short_cell("a\nb"), short_cell("x" * 40)
    ('a b', 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxx...')
    """
    clean = text if text.isprintable() else "".join(mark if mark.isprintable() else " " for mark in text)
    return cut(clean, MOST_CHARACTERS)


def csv_text(listing: Listing) -> str:
    """A listing as CSV, cells whole."""
    return csv_bytes(listing.columns, listing.rows).decode()


def json_text(listing: Listing) -> str:
    """A listing as a JSON list of objects with typed values, null for what a run lacks."""
    lines = ",\n".join(json.dumps(row, allow_nan=False) for row in json_rows(listing.rows, listing.columns))
    return f"[\n{lines}\n]\n" if listing.rows else "[]\n"


TEXTS = {"table": table_text, "csv": csv_text, "json": json_text}


def write_listing(listing: Listing, form: str, path: Path) -> None:
    """Write a listing to a file.

    Raises:
        UsageError: Parquet, and no library that writes it.
        StorageError: the disk refused.
    """
    content = parquet_bytes(listing) if form == "parquet" else TEXTS[form](listing).encode(errors="backslashreplace")
    if is_collection(path.parent):  # what lies there may be a stranger's, such as a link: it is not followed
        write_whole(path, content)
    elif path.exists() and not path.is_file():  # a pipe, or a device: it stays what it is
        with storing(path):
            path.write_bytes(content)
    else:
        write_whole(Path(os.path.realpath(path)), content)


def parquet_bytes(listing: Listing) -> bytes:
    """A listing as Parquet, a type for each column.

    Raises:
        UsageError: there is no library that writes it.
    """
    if find_spec("pyarrow") is None:
        raise UsageError("--format: parquet needs pyarrow: pip install 'convpipe[parquet]'")
    file = io.BytesIO()
    frame_for_file(listing.rows, listing.columns).to_parquet(file, index=False, engine="pyarrow")
    return file.getvalue()
