"""Points written out one by one in a file, such as the layers of a real network."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from convpipe.archive.format import read_json
from convpipe.config.grammar import quoted, value_text
from convpipe.config.tree import LISTS, TABLES
from convpipe.config.typed import file_at, is_said, typed_value
from convpipe.errors import ConfigError, did_you_mean
from convpipe.files.endings import ending
from convpipe.files.limits import MOST_CELLS, MOST_COLUMNS, MOST_LISTED_VALUES, MOST_POINTS, MOST_POINTS_BYTES
from convpipe.files.regular import regular_bytes
from convpipe.files.yaml import dotted, read_yaml

KEY = "sweep.points"
SEPARATORS = ",;\t"
ALONE = re.compile(r"\(\s*([\d.+-]+)\s*,?\s*\)")


def points_file(name: str, folders: Sequence[Path]) -> Path:
    """The file of a list of points: a path, or the name of a list in one of the folders, the first counting most.

    Raises:
        ConfigError: it is neither.
    """
    if ending(name) in (*TABLES, *LISTS):
        return file_at(KEY, name)
    there = {path.stem: path for folder in reversed(folders) for path in sorted(folder.glob("*.csv"))}
    if name not in there:
        names = sorted(there)
        raise ConfigError(
            KEY, name, f"a .csv, .yaml or .json file, or one of {', '.join(names)}", did_you_mean(name, names)
        )
    return there[name]


def listed_points(path: Path) -> list[dict[str, str]]:
    """The points of a table (a header of keys, a row per point) or a YAML or JSON file (a list of mappings).

    Values are texts in the grammar of overrides, and those of labels and notes what they are in the file; what a
    point does not set is left out.

    Raises:
        ConfigError: a file that cannot be read as either.
    """
    try:
        content = regular_bytes(path, MOST_POINTS_BYTES)
        table = ending(path) in TABLES
        points = csv_points(content.decode("utf-8-sig")) if table else yaml_points(values_of(content, ending(path)))
    except (OSError, ValueError, csv.Error, RecursionError) as error:
        if isinstance(error, ConfigError):
            raise
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise ConfigError(KEY, path, "a file of points", reason) from error
    if not points:
        raise ConfigError(KEY, path, "at least one point")
    return points


def values_of(content: bytes, ending: str) -> Any:
    """What a list of points says; JSON, which YAML is, too, is read as such in a twentieth of the time.

    Raises:
        ValueError: it is neither, or is too much of it.
    """
    if ending == "json" and content.count(b",") < MOST_CELLS:
        with suppress(ValueError, RecursionError):  # which YAML's reader says in words of its own
            return read_json(content)
    return read_yaml(content, MOST_LISTED_VALUES)


def check_amount(points: int, columns: int = 0) -> None:
    """A list has no more points, and a table no more columns and cells, than a list is read of.

    Raises:
        ConfigError: it has.
    """
    for found, most, what in (
        (columns, MOST_COLUMNS, "columns"),
        (points, MOST_POINTS, "points"),
        (points * columns, MOST_CELLS, "cells"),
    ):
        if found > most:
            raise ConfigError(KEY, f"{found} {what}", f"at most {most}", "a sweep over several lists has more points")


def csv_points(content: str) -> list[dict[str, str]]:
    """The points of a table, without the blanks around its cells; an empty one is a key that its point does not set.

    Commas, semicolons or tabs stand between the columns, as the header has them. Empty lines, and lines that begin
    with ``#``, are none of it.

    >>> csv_points('# mine\\nseed,input.shape\\n1,"[1,3,8,8]"\\n2,\\n')
    [{'seed': '1', 'input.shape': '[1,3,8,8]'}, {'seed': '2'}]
    """
    lines = list(table_lines(content))
    separator = max(SEPARATORS, key=lines[0].count) if lines else ","  # of equal ones the first
    table = csv.reader(lines, strict=True, skipinitialspace=True, delimiter=separator)
    rows = ([cell.strip() for cell in row] for row in table)
    header = next(rows, [])
    check_amount(len(lines) - 1, len(header))
    if not all(header) or len(set(header)) < len(header):
        hint = "pandas writes a first column without a name, unless to_csv has index=False"
        hint = hint if header[:1] == [""] and all(header[1:]) else ""
        raise ConfigError(f"{KEY}: header", separator.join(header), "keys, each of them once", hint)
    return [table_point(number, header, row) for number, row in enumerate(filter(any, rows), start=1)]


def table_lines(content: str) -> Iterator[str]:
    """The lines of a table without those that are none of it; within a cell in quotes all are."""
    inside = 0
    for line in io.StringIO(content, newline=""):
        if inside or (line.strip() and not line.lstrip().startswith("#")):
            yield line
            inside ^= line.count('"') % 2


def table_point(number: int, header: Sequence[str], row: Sequence[str]) -> dict[str, str]:
    """The cells of a row that are not empty, by their columns."""
    if len(row) != len(header):
        hint = 'a list needs quotes: "[1,3,8,8]"'
        raise ConfigError(f"{KEY}: row {number}", f"{len(row)} cells", f"{len(header)}, as the header has", hint)
    return {key: in_grammar(key, cell) for key, cell in zip(header, row, strict=True) if cell}


def in_grammar(key: str, cell: str) -> str:
    """A cell in the grammar of overrides: what is said of a point is a text whatever it looks like.

    >>> in_grammar("label", "null, [1]"), in_grammar("conv.pad", "[1,2]"), in_grammar("input.path", "나.png")
    ("'null, [1]'", '[1,2]', "'나.png'")
    """
    return quoted(cell) if is_said(key) else typed_value(key, alone(cell), several=False)


def alone(cell: str) -> str:
    """The number of a tuple of one, as data frames have a number beside tuples.

    >>> alone("(1,)"), alone("(2, 1)"), alone("range(3)")
    ('1', '(2, 1)', 'range(3)')
    """
    found = ALONE.fullmatch(cell)
    return found[1] if found else cell


def yaml_points(content: Any) -> list[dict[str, str]]:
    """The points of a list of mappings, groups within them as dotted keys."""
    if not isinstance(content, list) or not all(isinstance(point, dict) and point for point in content):
        raise ConfigError(KEY, content, "a list of points, each a mapping of keys to values")
    check_amount(len(content))
    return [yaml_point(number, point) for number, point in enumerate(content, start=1)]


def yaml_point(number: int, content: Mapping[str, Any]) -> dict[str, str]:
    """The point of one mapping, which may set a key by its dots or within its group, and not by both."""
    point: dict[str, str] = {}
    for key, value in dotted(content):
        if key in point:
            raise ConfigError(f"{KEY}: point {number}", key, "each key once")
        point[key] = in_grammar(key, value) if isinstance(value, str) else yaml_text(key, value)
    return point


def yaml_text(key: str, value: Any) -> str:
    """A value that is no text: a number that is said of a point is one as it is written."""
    return value_text(key, str(value)) if is_said(key) and value is not None else override_text(value)


def override_text(value: Any) -> str:
    """A value of a YAML file in the grammar of overrides.

    >>> override_text([1, None, True, "same"])
    '[1,null,true,same]'
    """
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{','.join(map(override_text, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
