"""Rows and the table they make: a row for each run, the columns that vary, cells as values, CSV and data frames.

In a row everything is text, as results.csv has it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from math import inf, isfinite, nan, prod
from operator import itemgetter
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from convpipe.archive.cells import cell_text, plain_value, unmarked
from convpipe.archive.format import COUNTED, write_cells
from convpipe.archive.identity import RUN_ID, Described, config_cells
from convpipe.archive.read import Run, read_manifest, read_rows
from convpipe.archive.verify import verify
from convpipe.errors import ArchiveError
from convpipe.tensors import Array

Row = dict[str, str]
FIXED = ("run", "status")
MEASURED = (
    "output_shape", "output_sha256", "seconds", "lowering", "format", "macs", "bytes", "k", "min", "max", "nonfinite",
    "started",
)  # fmt: skip
DATE = "started"
MADE = tuple(column for column in MEASURED if column != DATE)  # of runs alone
SOMETIMES = frozenset(("accuracy", "error", "note", *COUNTED))  # columns only where some run has them
KEEP = "keep"  # a column where it varies, as config values are, and none of them
OF_FILES = (".sha256", ".path")  # columns in any case: which content was read, and where that lay
TAKEN = SOMETIMES.union(FIXED, MEASURED, ("sweep", "point", "label", "outcome"))  # which no setting is called
NOT_CONFIG = SOMETIMES.union(FIXED, MEASURED)
ENDS = ("min", "max")
ODD = {"nan": nan, "inf": inf, "-inf": -inf}  # words among numbers; among settings they are texts
TEXT_COLUMNS = (*FIXED, "output_shape", "output_sha256", "lowering", "started", "error", "note", "collection")
DAMAGED = "damaged"
FAILED = "failed"
DONE = "done"
STATUSES = frozenset((DONE, FAILED, DAMAGED))
TIME = re.compile(r"(?:-?\d{1,400}(?:\.\d{1,20})?|-?inf|nan)?", re.ASCII)  # in seconds; of a failure nothing
NONFINITE = "nonfinite"  # a fact of a manifest, where there are any
COUNTS = "counts"  # likewise
OLD_FORMAT = "1"
MARKED_THEN = ("'", '"', "=", "+", "@", "-")  # what older code wrote otherwise, if in front of a text
GUESSED_FROM = 100  # rows
MOST_FORMS = 64  # of rows, by the keys that they have


# A row at all


def is_row(row: Mapping[str, Any], *, failed: bool) -> bool:
    """Whether a row of texts, which may be a stranger's, says what who reads rows of runs, or of failures, relies on.

    Raises:
        KeyError: it lacks what every row has.
    """
    if (row["status"] == FAILED) is not failed or (failed and any(row.get(column) for column in MADE)):
        return False
    return bool(RUN_ID.fullmatch(row["run"]) and row["status"] in STATUSES and TIME.fullmatch(row.get("seconds", "")))


# A run as a row


def done_row(cells: Mapping[str, str], manifest: Mapping[str, Any], stages: Sequence[Mapping[str, Any]]) -> Row:
    """A whole run as a row: its id, status, every config value, output and time.

    Args:
        stages: the rows of stages.csv, as texts or as what they say.
    """
    seconds, output = sum(float(min(repeats)) for repeats in manifest["seconds"].values()), stages[-1]
    row = {
        "run": manifest["run_id"],
        "status": manifest["status"],
        **{key: text for key, text in with_paths(cells, manifest.get("paths", {})).items() if key not in TAKEN},
        **({KEEP: manifest[KEEP]} if KEEP in manifest else {}),  # of format 1 a setting
        "output_shape": output["shape"],
        "output_sha256": output["sha256"],
        "seconds": f"{seconds:.9f}",
        "lowering": cell_text(manifest.get("lowering", "")),
        "format": str(manifest["format"]),
        "macs": str(sum(int(stage["macs"]) for stage in stages)),
        "bytes": str(sum(int(stage["bytes"]) for stage in stages)),
        "k": "" if is_network(cells) else taps_of(stages),
        "min": str(output["min"]),
        "max": str(output["max"]),
        "nonfinite": str(manifest.get(NONFINITE, 0)),
        "started": manifest.get("started", ""),  # of format 1 nobody knows
    }
    if "note" in manifest:
        row["note"] = cell_text(manifest["note"])
    if "evaluation" in manifest:
        row["accuracy"] = f"{manifest['evaluation']['correct'] / max(manifest['evaluation']['images'], 1):.6f}"
    if COUNTS in manifest:
        row |= count_cells(list(manifest[COUNTS].values()))
    return row


def count_cells(stages: Sequence[Mapping[str, int]]) -> Row:
    """What some stages count as cells: of bits the most that one needs, of all else how many.

    >>> stage = {"saturated_low": 1, "saturated_high": 0, "ties": 2, "bits": 9}
    >>> count_cells([stage, stage])
    {'saturated_low': '2', 'saturated_high': '0', 'ties': '4', 'bits': '9'}
    """
    return {name: str((max if name == "bits" else sum)(stage[name] for stage in stages)) for name in COUNTED}


def is_network(cells: Mapping[str, str]) -> bool:
    """Whether the cells of a config are those of a network."""
    return "conv.stride" not in cells


def taps_of(stages: Sequence[Mapping[str, Any]]) -> str:
    """How many products make one sum, where one stage alone multiplies: the inner length of its matrix product.

    >>> taps_of([{"macs": "0", "shape": "(1,5)"}, {"macs": "1458", "shape": "(9,6)"}])
    '27'
    """
    multiplying = [stage for stage in stages if int(stage["macs"])]
    if len(multiplying) != 1:
        return ""
    sums = prod(map(int, filter(None, multiplying[0]["shape"].strip("(,)").split(","))))
    taps, rest = divmod(int(multiplying[0]["macs"]), sums) if sums else (0, 1)
    return "" if rest else str(taps)


def with_paths(cells: Mapping[str, str], paths: Mapping[str, str]) -> Mapping[str, str]:
    """The cells of a config, and after the hash of a file where that lay.

    >>> list(with_paths({"input.sha256": "ab", "seed": "0"}, {"input": "x.npy"}))
    ['input.sha256', 'input.path', 'seed']
    """
    if not paths:
        return cells
    found = {}
    for key, text in cells.items():
        found[key] = text
        group, _, name = key.partition(".")
        if name == "sha256" and group in paths:
            found[f"{group}.path"] = cell_text(paths[group])
    return found


def run_row(path: Path) -> Row:
    """The row of one run on disk, whatever its state.

    A run counts as damaged that lacks a file, or whose texts or ids do not agree with their hashes; arrays,
    which may be large, are only looked at by `verify`.
    """
    with suppress(ArchiveError):
        run = verify(path, arrays=False)
        if run.manifest["run_id"] == path.name:
            return whole_row_of(run)
    return {"run": path.name, "status": DAMAGED, "started": ""}


def whole_row_of(run: Run) -> Row:
    """The row of a whole run on disk."""
    return done_row(config_cells(run.config), {NONFINITE: counted_again(run), **run.manifest}, run.rows)


def row_of_today(path: Path, row: Row) -> Row:
    """The row of a run whose line in the index is of older code, with the columns that have come since."""
    if row["status"] != DONE or any(text.startswith(MARKED_THEN) for text in row.values()):
        return run_row(path)
    try:
        manifest, stages = read_manifest(path / "manifest.json"), read_rows(path / "stages.csv")
    except ArchiveError:
        return run_row(path)
    cells = {key: remarked(text) for key, text in row.items() if key not in NOT_CONFIG}
    manifest = {NONFINITE: counted_again(Run(path, {}, stages, manifest)), **manifest}
    return done_row(cells, manifest, stages)


def remarked(text: str) -> str:
    """A cell of older code with the mark of a text, where that has one today."""
    return cell_text(text) if isinstance(plain_value(text), str) else text


def counted_again(run: Run) -> int | str:
    """How many values of a run's output are NaN or infinite, where its manifest is too old to say so."""
    with suppress(ArchiveError):
        return 0 if NONFINITE in run.manifest else nonfinite_in(run.rows[-1], lambda: run.output)
    return ""


def nonfinite_in(row: Mapping[str, Any], values: Callable[[], Array]) -> int:
    """How many values of an array are NaN or infinite; looked for only where its row has such an end."""
    if all(isfinite(float(row[end] or 0)) for end in ("min", "max")):
        return 0
    found = values()
    return found.size - int(np.count_nonzero(np.isfinite(found)))


def failed_row(described: Described, error: str, started: str) -> Row:
    """A point that failed, when it started and why, as a row."""
    cells = with_paths(described.cells, described.paths)
    return {"run": described.identity, "status": FAILED, **cells, "started": started, "error": cell_text(error)}


# Columns


@dataclass
class Columns:
    """The columns of a table, from the rows that are in it."""

    first: dict[str, str] | None = None  # every config key, with the value it had first
    varying: set[str] = field(default_factory=set)
    sometimes: set[str] = field(default_factory=set)
    seen: dict[tuple[str, ...], tuple[itemgetter[Any], Any]] = field(default_factory=dict, repr=False, compare=False)

    def count(self, row: Row) -> None:
        """Take one row's keys and values into account."""
        keys = tuple(row)
        if (usual := self.seen.get(keys)) and usual[0](row) == usual[1]:  # a third of the time that the rest takes
            return
        self.compare(row)
        constant = [key for key in keys if key not in self.varying and key not in NOT_CONFIG]
        if len(constant) > 1 and len(self.seen) < MOST_FORMS:
            take = itemgetter(*constant)
            self.seen[keys] = take, take(row)

    def compare(self, row: Row) -> None:
        """Take note of what a row has that others have not, or have otherwise."""
        self.sometimes |= SOMETIMES & row.keys()
        if row["status"] == DAMAGED:
            return
        if self.first is None:
            self.first = {key: value for key, value in row.items() if key not in NOT_CONFIG}
            return
        first = self.first
        if not first.keys() <= row.keys():
            self.varying |= first.keys() - row.keys()
        changed = {key for key, text in row.items() if first.get(key) != text} - NOT_CONFIG
        self.varying |= changed
        if not changed <= first.keys():  # the rows before had nothing there
            self.first |= {key: "" for key in row if key in changed and key not in first}

    @property
    def names(self) -> list[str]:
        """What is fixed, what was read, the config values that vary, in order of appearance, and what was measured."""
        varying = [key for key in self.first or () if key in self.varying or key.endswith(OF_FILES)]
        return [*FIXED, *varying, *MEASURED, *sorted(self.sometimes)]


def columns_of(rows: Iterable[Row]) -> list[str]:
    """The columns that a table of these rows has."""
    columns = Columns()
    for row in rows:
        columns.count(row)
    return columns.names


def row_columns(rows: Sequence[Row]) -> list[str]:
    """The columns of rows that all have the same, or of a table without rows."""
    return list(rows[0]) if rows else columns_of(rows)


def with_columns(rows: Iterable[Row], columns: Sequence[str]) -> list[Row]:
    """The same rows with these columns alone, what a row lacks left empty."""
    return [{column: row.get(column, "") for column in columns} for row in rows]


# Cells


def cell_value(column: str, text: str) -> Any:
    """A cell of the table as the value it was written for.

    >>> cell_value("conv.stride", "[2, 1]"), cell_value("seconds", "0.5"), cell_value("run", "123456789012")
    ([2, 1], 0.5, '123456789012')
    """
    if column in TEXT_COLUMNS:
        return unmarked(text) or None
    return ODD.get(text, plain_value(text)) if column in ENDS else plain_value(text)


# As CSV


def write_results(table: TextIO, rows: Callable[[], Iterable[Row]]) -> Columns:
    """Write rows as a CSV table; `rows` gives them anew each time, as they need not fit into memory.

    They are read once where the first of them show which columns there are, and otherwise once more.
    """
    guessed, found = columns_of(islice(rows(), GUESSED_FROM)), Columns()
    write_cells(table, guessed, cells(counted(rows(), found), guessed))
    if found.names != guessed:
        table.seek(0)
        table.truncate()
        write_cells(table, found.names, cells(rows(), found.names))
    return found


def cells(rows: Iterable[Row], columns: Sequence[str]) -> Iterator[list[str]]:
    """The cells of rows, empty where a row lacks the column."""
    return ([row.get(column, "") for column in columns] for row in rows)


def counted(rows: Iterable[Row], columns: Columns) -> Iterator[Row]:
    """The same rows, each taken into account on its way."""
    for row in rows:
        columns.count(row)
        yield row
