"""What a sweep was, beside its runs: sweeps/<time>-<pid>.csv has a row for each point, and .json the command.

A point's label lives here alone, so that equal points share a run, and a repeat of a sweep changes no run.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from convpipe.archive.cells import cell_text
from convpipe.archive.format import add_cells, manifest_sha256, read_json
from convpipe.archive.identity import RUN_ID
from convpipe.archive.shared import is_own_folder, make_shared, own_file
from convpipe.archive.table import Row
from convpipe.archive.tabular import csv_rows
from convpipe.archive.verify import file_sha256
from convpipe.errors import ArchiveError
from convpipe.files.staging import hidden_name, storing

SWEEPS = "sweeps"
COLUMNS = ("point", "label", "settings", "run", "status")
RECORD_FORMAT = 2  # since when it has hashes
MOST_FACTS_BYTES = 16 << 20  # of which the command is most
NUMBER = re.compile(r"\d{1,18}", re.ASCII)


class SweepRecord:
    """The record of a sweep in one collection, out of sight until it is closed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.started = folder, datetime.now(UTC)
        self.hidden = folder / hidden_name("sweep")
        self.file = open(self.hidden, "x", encoding="utf-8", errors="backslashreplace", newline="")  # noqa: SIM115 - `close` does
        add_cells(self.file, [COLUMNS])

    def add(self, number: int, label: str, settings: str, run: str, status: str) -> None:
        """One more point."""
        add_cells(self.file, [(number, cell_text(label), cell_text(settings), run, status)])

    def close(self, facts: Mapping[str, Any]) -> Path:
        """Let it be seen, with the facts of the sweep beside it; gives where it is.

        Raises:
            StorageError: the disk refused.
        """
        sweeps, hidden_facts = self.folder / SWEEPS, self.folder / hidden_name("sweep")
        try:
            with storing(sweeps):
                self.file.close()
                make_shared(sweeps)
                target = self.place(sweeps)
                hidden_facts.write_bytes(self.facts(facts))  # all that a full disk may refuse, before any of it is seen
                os.replace(self.hidden, target)
                os.replace(hidden_facts, target.with_suffix(".json"))
        finally:
            with suppress(OSError):
                hidden_facts.unlink()
            self.drop()
        return target

    def facts(self, facts: Mapping[str, Any]) -> bytes:
        """The facts of the sweep, and its table's and their own hash."""
        times = {"started": iso(self.started), "ended": iso(datetime.now(UTC))}
        points, sha256 = points_on(self.hidden), file_sha256(self.hidden)
        record = {"format": RECORD_FORMAT, **times, "points": points, **facts, "table_sha256": sha256}
        return facts_json({**record, "sha256": manifest_sha256(record)})

    def place(self, sweeps: Path) -> Path:
        """Where it goes: named after its start, in milliseconds, and its process."""
        name = f"{self.started:%Y%m%dT%H%M%S}{self.started.microsecond // 1000:03}Z-{os.getpid()}"
        names = (name if number == 1 else f"{name}-{number}" for number in range(1, 1 << 20))
        return next(path for each in names if not os.path.lexists(path := sweeps / f"{each}.csv"))

    def drop(self) -> None:
        """Leave nothing half done."""
        with suppress(OSError):
            self.file.close()
        with suppress(OSError):
            self.hidden.unlink()


def points_on(table: Path) -> int:
    """How many points a record has, as they were written: an interrupt may come between a row and any count of it."""
    rows = marks = 0
    with storing(table), open(table, "rb", opener=own_file) as file:
        for line in file:
            marks += line.count(b'"')
            rows += marks % 2 == 0  # within marks a line ends, and no row
    return rows - 1


def facts_json(record: Mapping[str, Any]) -> bytes:
    """The facts of a sweep as they are written."""
    return (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode()


def iso(time: datetime) -> str:
    """A time as manifests have it."""
    return time.isoformat(timespec="milliseconds")


def point_rows(folder: Path) -> Iterator[Row]:
    """The points of all sweeps of a collection, the oldest sweep first, each in the order of its points."""
    records = sorted((folder / SWEEPS).glob("*.csv")) if is_own_folder(folder / SWEEPS) else ()
    for path in records:
        with suppress(OSError, ValueError, csv.Error, ArchiveError):
            if holds_what_is_said(path):
                yield from sorted(sweep_rows(path), key=lambda row: int(row["point"]))


def holds_what_is_said(table: Path) -> bool:
    """Whether a record's table has the hash that the facts beside it say, if they do; older code wrote none.

    Raises:
        OSError, ValueError, ArchiveError: one of them cannot be read.
    """
    path = table.with_suffix(".json")
    said = read_facts(path)[0].get("table_sha256") if os.path.lexists(path) else None
    return said is None or said == file_sha256(table)


def read_facts(path: Path) -> tuple[dict[str, Any], bytes]:
    """The facts of a sweep, and how they are written.

    Raises:
        OSError, ValueError: they cannot be read.
    """
    with open(path, "rb", opener=own_file) as file:
        content = file.read(MOST_FACTS_BYTES)
    try:
        facts = read_json(content)
    except RecursionError as error:
        raise ValueError("lists within each other") from error
    if not isinstance(facts, dict):
        raise ValueError("no facts of a sweep")
    return facts, content


def with_points(folder: Path, rows: Iterable[Row]) -> list[Row]:
    """The points of a collection's sweeps as rows, each with that of its run: its sweep, number, label and outcome.

    Of a point that stands in several sweeps, the last one counts. Equal points have a row each; one that cannot be has
    no run.
    """
    runs = {row["run"]: row for row in rows}
    last = {(row["label"], row["settings"], row["run"]): row for row in point_rows(folder)}
    return [joined(point, runs.get(point["run"], {})) for point in last.values()]


def joined(point: Row, run: Row) -> Row:
    """The row of a point and its run."""
    which = {"sweep": point["sweep"], "point": point["point"], "label": point["label"], "outcome": point["status"]}
    return {"run": point["run"], "status": run.get("status", point["status"]), **which, **run}


def sweep_rows(path: Path) -> list[Row]:
    """The rows of one record; none of one that is no such table.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    return [{**row, "sweep": path.stem} for row in csv_rows(path) if tuple(row) == COLUMNS and is_point(row)]


def is_point(row: Row) -> bool:
    """Whether a row says which point came to what: its number, and of its run the id, if it has one."""
    return bool(NUMBER.fullmatch(row["point"]) and (not row["run"] or RUN_ID.fullmatch(row["run"])))
