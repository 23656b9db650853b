"""timings.csv: what a sweep has measured, a row for each repeat of each stage, beside results.csv."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from convpipe.archive.cells import cell_text
from convpipe.archive.format import csv_lines
from convpipe.archive.glance import glance, manifest_text
from convpipe.archive.index import add_lines
from convpipe.archive.shared import locked, mode_of
from convpipe.archive.tabular import csv_rows
from convpipe.errors import ArchiveError
from convpipe.files.staging import storing, write_whole

TIMINGS = "timings.csv"
COLUMNS = ("run", "threads", "repeat", "stage", "seconds", "blas", "cpu", "measured")
REPEAT = re.compile(r"\d{1,9}", re.ASCII)


def timing_rows(
    run: str, seconds: Mapping[str, Iterable[float]], provenance: Mapping[str, Any], measured: str
) -> list[tuple[Any, ...]]:
    """The rows of one measured run: repeats count from 1, seconds are of the wall.

    >>> timing_rows("ab", {"pad": [0.5]}, {"threads": 2, "blas": "b 1", "blas_kernel": "K", "cpu": "c"}, "now")
    [('ab', 2, 1, 'pad', '0.500000000', 'b 1 K', 'c', 'now')]
    """
    blas = f"{provenance['blas']} {provenance['blas_kernel']}"
    tail = (cell_text(blas), cell_text(provenance["cpu"]), measured)
    return [
        (run, provenance["threads"], repeat, cell_text(stage), f"{each:.9f}", *tail)
        for stage, found in seconds.items()
        for repeat, each in enumerate(found, start=1)
    ]


def add_timings(folder: Path, rows: Iterable[Iterable[Any]]) -> None:
    """Add measured repeats to a collection's timings.csv, whole rows in one go.

    Raises:
        StorageError: the disk refused.
    """
    path, lines = folder / TIMINGS, csv_lines(rows)
    with storing(path), locked(folder):
        if mode_of(path) is None or not os.lstat(path).st_size:
            write_whole(path, f"{','.join(COLUMNS)}\n".encode())  # whole: a head that is cut short is so for ever
        add_lines(path, lines)


def recorded_repeats(folder: str) -> tuple[Any, int, str]:
    """With how many threads a run was made, how often its stages were timed, and which of them is the last."""
    with suppress(ArchiveError):
        entry = glance(folder, manifest_text(folder))
        seconds, provenance = entry("seconds") or {}, entry("provenance") or {}
        return provenance.get("threads"), len(next(iter(seconds.values()), ())), cell_text(next(reversed(seconds), ""))
    return None, 1, ""


def repeats_measured(folder: Path) -> dict[tuple[str, str, str], int]:
    """How many repeats of each stage have been measured, by run, threads and stage; none where nothing was.

    The last stage's rows are written last: those of a run that a kill cut short lack them.
    """
    found: dict[tuple[str, str, str], int] = {}
    with suppress(OSError, ValueError, KeyError, csv.Error):
        for row in csv_rows(folder / TIMINGS, cut=True):
            key, repeat = (row["run"], row["threads"], row["stage"]), row["repeat"]
            if REPEAT.fullmatch(repeat) and row["measured"]:
                found[key] = max(found.get(key, 0), int(repeat))
    return found
