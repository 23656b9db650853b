"""Many runs in one folder: which are there, and one table of them, results.csv."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convpipe import archive
from convpipe.archive import Run, csv_bytes
from convpipe.errors import ArchiveError
from convpipe.staging import hidden_name, storing

if TYPE_CHECKING:
    import pandas as pd

RESULTS = "results.csv"
FIXED = ("run", "status")
MEASURED = ("output_shape", "output_sha256", "seconds")
TEXTS = (*FIXED, "output_shape", "output_sha256")
DAMAGED = "damaged"
RUN_ID = re.compile(r"[0-9a-f]{12}\Z")
TRUTHS = {"True": True, "False": False, "": None}


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
    return {"run": folder.name, "status": DAMAGED}


def rows(folder: Path) -> list[dict[str, str]]:
    """A row per run of a collection, read from the runs themselves.

    A run counts as damaged that lacks a file, or whose texts or ids do not agree with their hashes; arrays,
    which may be large, are only looked at by `archive.verify`.
    """
    return [run_row(path) for path in run_folders(folder)]


def run_row(path: Path) -> dict[str, str]:
    """The row of one run, whatever its state."""
    try:
        run = archive.verify(path, arrays=False)
    except ArchiveError:
        return damaged_row(path)
    return result_row(run) if run.manifest["run_id"] == path.name else damaged_row(path)


def varying(found: Sequence[Mapping[str, str]]) -> list[str]:
    """The config keys whose value is not the same in all readable rows, in order of appearance."""
    whole = [row for row in found if row["status"] != DAMAGED]
    keys = dict.fromkeys(key for row in whole for key in row if key not in FIXED + MEASURED)
    return [key for key in keys if len({row.get(key, "") for row in whole}) > 1]


def results(folder: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The columns of results.csv and its rows, from the runs themselves."""
    found = rows(folder)
    columns = [*FIXED, *varying(found), *MEASURED]
    return columns, [{key: row.get(key, "") for key in columns} for row in found]


def rebuild(folder: Path) -> Path:
    """Write results.csv anew from the runs; it appears by one rename.

    Raises:
        StorageError: the disk refused.
    """
    target = folder / RESULTS
    with storing(target):
        while True:
            before = run_folders(folder)
            replace_file(target, csv_bytes(*results(folder)))
            if run_folders(folder) == before:  # or another process's newer table may just have been replaced
                return target


def replace_file(target: Path, content: bytes) -> None:
    """Write a file beside its place and move it there in one step."""
    temporary = target.parent / hidden_name(target.name)
    try:
        temporary.write_bytes(content)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def read_results(folder: Path) -> list[dict[str, str]]:
    """The rows of results.csv, or of the runs themselves where it lacks one; nothing is written.

    Raises:
        ArchiveError: there is no collection.
    """
    if not folder.is_dir():
        raise ArchiveError(f"{folder}: no such collection")
    try:
        with open(folder / RESULTS, newline="", encoding="utf-8") as file:
            found = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error):
        found = []
    listed = [row.get("run") for row in found]
    return found if listed == [path.name for path in run_folders(folder)] else results(folder)[1]


def runs(folder: str | Path) -> pd.DataFrame:
    """The runs of a collection as a table: one row per run, numbers as numbers.

    Raises:
        ArchiveError: there is no collection.
    """
    import pandas as pd

    found = read_results(Path(folder))
    table = pd.DataFrame(found, columns=list(found[0]) if found else [*FIXED, *MEASURED])
    for column in table.columns:
        if column not in TEXTS:
            table[column] = typed(table[column])
    return table


def typed(column: pd.Series[Any]) -> pd.Series[Any]:
    """A column of numbers or of truths as such; any other as it is."""
    import pandas as pd

    if set(column) <= set(TRUTHS) and set(column) != {""}:
        return column.map(TRUTHS).astype("boolean" if "" in set(column) else "bool")
    try:
        return pd.to_numeric(column)
    except (ValueError, TypeError):
        return column
