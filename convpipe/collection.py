"""Many runs in one folder: which are there, and one table of them, results.csv."""

from __future__ import annotations

import csv
import os
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convpipe import archive
from convpipe.archive import Run, csv_bytes
from convpipe.errors import ArchiveError, StorageError

if TYPE_CHECKING:
    import pandas as pd

RESULTS = "results.csv"
FIXED = ("run", "status")
MEASURED = ("output_shape", "output_sha256", "seconds")
RUN_ID = re.compile(r"[0-9a-f]{12}\Z")


def run_folders(folder: Path) -> list[Path]:
    """The runs of a collection, by run id."""
    return sorted(entry for entry in folder.iterdir() if RUN_ID.match(entry.name) and entry.is_dir())


def flattened(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """A plain config as dotted keys and texts.

    >>> dict(flattened({"conv": {"stride": [1, 2]}, "seed": 0}))
    {'conv.stride': '[1, 2]', 'seed': '0'}
    """
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)


def result_row(run: Run) -> dict[str, str]:
    """One run as a row: its id, status, every config value, output and time."""
    output = run.rows[-1]
    seconds = sum(min(repeats) for repeats in run.manifest["seconds"].values())
    return {
        "run": run.manifest["run_id"],
        "status": run.manifest["status"],
        **dict(flattened(run.config)),
        "output_shape": output["shape"],
        "output_sha256": output["sha256"],
        "seconds": f"{seconds:.9f}",
    }


def damaged_row(folder: Path) -> dict[str, str]:
    """The row of a folder that is no readable run."""
    return {"run": folder.name, "status": "damaged"}


def rows(folder: Path) -> list[dict[str, str]]:
    """A row per run of a collection, read from the runs themselves."""
    found = []
    for path in run_folders(folder):
        try:
            found.append(result_row(archive.load(path)))
        except ArchiveError:
            found.append(damaged_row(path))
    return found


def varying(found: Sequence[Mapping[str, str]]) -> list[str]:
    """The config keys whose value is not the same in all readable rows, in order of appearance."""
    whole = [row for row in found if row["status"] != "damaged"]
    keys = dict.fromkeys(key for row in whole for key in row if key not in FIXED + MEASURED)
    return [key for key in keys if len({row.get(key, "") for row in whole}) > 1]


def rebuild(folder: Path) -> Path:
    """Write results.csv anew from the runs; it appears by one rename.

    Raises:
        StorageError: the disk refused.
    """
    found = rows(folder)
    columns = [*FIXED, *varying(found), *MEASURED]
    content = csv_bytes(columns, [{key: row.get(key, "") for key in columns} for row in found])
    target = folder / RESULTS
    temporary = folder / f".{RESULTS}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    try:
        temporary.write_bytes(content)
        os.replace(temporary, target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageError(f"{target}: {error.strerror or error}") from error
    return target


def read_results(folder: Path) -> list[dict[str, str]]:
    """The rows of results.csv, made where it is missing.

    Raises:
        ArchiveError: there is no collection.
    """
    if not folder.is_dir():
        raise ArchiveError(f"{folder}: no such collection")
    if not (folder / RESULTS).exists():
        rebuild(folder)
    with open(folder / RESULTS, newline="") as file:
        return list(csv.DictReader(file))


def runs(folder: str | Path) -> pd.DataFrame:
    """The runs of a collection as a table: one row per run, numbers as numbers.

    Raises:
        ArchiveError: there is no collection.
    """
    import pandas as pd

    found = read_results(Path(folder))
    table = pd.DataFrame(found, columns=list(found[0]) if found else [*FIXED, *MEASURED])
    for column in table.columns:
        if column not in ("run", "status", "output_shape", "output_sha256"):
            table[column] = as_numbers(table[column])
    return table


def as_numbers(column: pd.Series[Any]) -> pd.Series[Any]:
    """A column of numbers as numbers; any other as it is."""
    import pandas as pd

    try:
        return pd.to_numeric(column)
    except (ValueError, TypeError):
        return column
