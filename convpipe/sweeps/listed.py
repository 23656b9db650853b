"""Points written out one by one in a file, such as the layers of a real network."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from convpipe.errors import ConfigError, did_you_mean
from convpipe.files.endings import ending
from convpipe.files.yaml import dotted, read_yaml

KEY = "sweep.points"


def points_file(name: str, shipped: Path) -> Path:
    """The file of a list of points: a path, or the name of a list in the folder of shipped ones.

    Raises:
        ConfigError: it is neither.
    """
    if ending(name) in ("csv", "yaml", "yml"):
        return Path(name)
    names = sorted(path.stem for path in shipped.glob("*.csv"))
    if name not in names:
        raise ConfigError(KEY, name, f"a .csv or .yaml file, or one of {', '.join(names)}", did_you_mean(name, names))
    return shipped / f"{name}.csv"


def listed_points(path: Path) -> list[dict[str, str]]:
    """The points of a CSV file (a header of keys, a row per point) or a YAML file (a list of mappings).

    Values are texts in the grammar of overrides; what a point does not set is left out.

    Raises:
        ConfigError: a file that cannot be read as either.
    """
    try:
        content = path.read_bytes()
        points = csv_points(content.decode("utf-8-sig")) if ending(path) == "csv" else yaml_points(read_yaml(content))
    except (OSError, ValueError, csv.Error) as error:
        if isinstance(error, ConfigError):
            raise
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise ConfigError(KEY, path, "a file of points", reason) from error
    if not points:
        raise ConfigError(KEY, path, "at least one point")
    return points


def csv_points(content: str) -> list[dict[str, str]]:
    """The points of a table, without the blanks around its cells; an empty one is a key that its point does not set.

    >>> csv_points('seed,input.shape\\n1,"[1,3,8,8]"\\n2,\\n')
    [{'seed': '1', 'input.shape': '[1,3,8,8]'}, {'seed': '2'}]
    """
    table = csv.reader(io.StringIO(content, newline=""), strict=True, skipinitialspace=True)
    rows = ([cell.strip() for cell in row] for row in table if row)
    header = next(rows, [])
    if len(header) == 1 and ";" in header[0]:
        raise ConfigError(f"{KEY}: header", header[0], "commas between the columns")
    if not all(header) or len(set(header)) < len(header):
        raise ConfigError(f"{KEY}: header", ",".join(header), "keys, each of them once")
    return [table_point(number, header, row) for number, row in enumerate(rows, start=1)]


def table_point(number: int, header: Sequence[str], row: Sequence[str]) -> dict[str, str]:
    """The cells of a row that are not empty, by their columns."""
    if len(row) != len(header):
        hint = 'a list needs quotes: "[1,3,8,8]"'
        raise ConfigError(f"{KEY}: row {number}", f"{len(row)} cells", f"{len(header)}, as the header has", hint)
    point = {key: cell for key, cell in zip(header, row, strict=True) if cell}
    if not point:
        raise ConfigError(f"{KEY}: row {number}", None, "a value in one of its cells")
    return point


def yaml_points(content: Any) -> list[dict[str, str]]:
    """The points of a list of mappings, groups within them as dotted keys."""
    if not isinstance(content, list) or not all(isinstance(point, dict) and point for point in content):
        raise ConfigError(KEY, content, "a list of points, each a mapping of keys to values")
    return [yaml_point(number, point) for number, point in enumerate(content, start=1)]


def yaml_point(number: int, content: Mapping[str, Any]) -> dict[str, str]:
    """The point of one mapping, which may set a key by its dots or within its group, and not by both."""
    point: dict[str, str] = {}
    for key, value in dotted(content):
        if key in point:
            raise ConfigError(f"{KEY}: point {number}", key, "each key once")
        point[key] = override_text(value)
    return point


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
