"""Many runs in one folder: which are there, and one table of them, results.csv.

The runs themselves are the truth. Beside them lies a hidden index, a line of JSON for each run as it was made,
so that the table of a long sweep need not read every run again; `rebuild` makes both anew from the runs.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convpipe.archive.identity import Described, config_cells
from convpipe.archive.read import Run
from convpipe.archive.verify import verify
from convpipe.errors import ArchiveError

if TYPE_CHECKING:
    pass

Row = dict[str, str]
RESULTS = "results.csv"
INDEX = ".index.jsonl"
FAILED = ".failed.jsonl"
FIXED = ("run", "status")
MEASURED = ("output_shape", "output_sha256", "seconds")
SOMETIMES = frozenset(("accuracy", "error"))  # columns only where some run has them
NOT_CONFIG = SOMETIMES.union(FIXED, MEASURED)
TEXTS = (*FIXED, "output_shape", "output_sha256", "error")
DAMAGED = "damaged"
RUN_ID = re.compile(r"[0-9a-f]{12}\Z")


# Rows


def done_row(cells: Mapping[str, str], manifest: Mapping[str, Any], output: Mapping[str, Any]) -> Row:
    """A whole run as a row: its id, status, every config value, output and time."""
    seconds = sum(min(repeats) for repeats in manifest["seconds"].values())
    row = {
        "run": manifest["run_id"],
        "status": manifest["status"],
        **cells,
        "output_shape": output["shape"],
        "output_sha256": output["sha256"],
        "seconds": f"{seconds:.9f}",
    }
    if "evaluation" in manifest:
        row["accuracy"] = f"{manifest['evaluation']['correct'] / max(manifest['evaluation']['images'], 1):.6f}"
    return row


def result_row(run: Run) -> Row:
    """An archived run as a row."""
    return done_row(config_cells(run.config), run.manifest, run.rows[-1])


def damaged_row(folder: Path) -> Row:
    """The row of a folder that is no readable run."""
    return {"run": folder.name, "status": DAMAGED}


def run_row(path: Path) -> Row:
    """The row of one run, whatever its state.

    A run counts as damaged that lacks a file, or whose texts or ids do not agree with their hashes; arrays,
    which may be large, are only looked at by `archive.verify`.
    """
    try:
        run = verify(path, arrays=False)
    except ArchiveError:
        return damaged_row(path)
    return result_row(run) if run.manifest["run_id"] == path.name else damaged_row(path)


# What is there


def run_folders(folder: Path) -> list[Path]:
    """The runs of a collection, by run id."""
    return [folder / name for name in run_names(folder)]


def run_names(folder: Path) -> list[str]:
    """The ids of a collection's runs, sorted."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if RUN_ID.match(entry.name) and entry.is_dir())


def failures(folder: Path) -> dict[str, Row]:
    """The rows of failed points that no run has replaced yet, by run id."""
    try:
        lines = (folder / FAILED).read_bytes().splitlines()
    except OSError:
        return {}
    rows = [row for line in lines if (row := whole_row(line)) is not None]
    return {row["run"]: row for row in rows if not (folder / row["run"]).is_dir()}


def failed_row(described: Described, error: str) -> Row:
    """A point that failed, and why, as a row."""
    return {"run": described.identity, "status": "failed", **described.cells, "error": error}


def whole_row(line: bytes) -> Row | None:
    """The row of one line of JSON, or None of a line that a kill cut short."""
    try:
        row = json.loads(line)
        return row if RUN_ID.match(row["run"]) else None
    except (ValueError, KeyError, TypeError):
        return None


# The index and the table


@dataclass
class Columns:
    """The columns of a table, from the rows that are in it."""

    first: dict[str, str] | None = None  # every config key, with the value it had first
    varying: set[str] = field(default_factory=set)
    sometimes: set[str] = field(default_factory=set)

    def count(self, row: Row) -> None:
        """Take one row's keys and values into account."""
        self.sometimes |= SOMETIMES & row.keys()
        if row["status"] == DAMAGED:
            return
        if self.first is None:
            self.first = {key: value for key, value in row.items() if key not in NOT_CONFIG}
            return
        self.varying |= self.first.keys() - row.keys()
        changed = {key for key, _ in row.items() - self.first.items()} - NOT_CONFIG
        self.varying |= changed
        if not changed <= self.first.keys():  # the rows before had nothing there
            self.first |= {key: "" for key in row if key in changed and key not in self.first}

    @property
    def names(self) -> list[str]:
        """What is fixed, the config values that vary in order of appearance, and what was measured."""
        varying = [key for key in self.first or () if key in self.varying]
        return [*FIXED, *varying, *MEASURED, *sorted(self.sometimes)]


def columns_of(rows: Iterable[Row]) -> list[str]:
    """The columns that a table of these rows has."""
    columns = Columns()
    for row in rows:
        columns.count(row)
    return columns.names
