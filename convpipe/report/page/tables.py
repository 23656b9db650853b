"""What a run's page says without its script: its stages, the first values of its result, and which run it is."""

import os
from collections.abc import Mapping
from itertools import islice
from math import prod

import numpy as np

from convpipe.archive.format import short_number
from convpipe.archive.maps import output_axes
from convpipe.archive.read import Run
from convpipe.errors import shown
from convpipe.report.page.document import Note, Table

HEADS = ("stage", "operation", "shape", "axes", "dtype", "bytes", "macs", "milliseconds", "min", "max", "sha256")
MOST_CELLS = 100  # the views show all
MOST_COLUMNS = 40


def stage_table(run: Run) -> Table:
    """The table of stages, as stages.csv has it and with the time that they took."""
    return Table("stages", HEADS, [stage_cells(run, row) for row in run.rows], "stages")


def stage_cells(run: Run, row: Mapping[str, str]) -> list[str | Note]:
    """One row of it; of a given array the operation is its source, and called so."""
    name = row["stage"]
    seconds = run.manifest["seconds"].get(name)
    numbers = [f"{int(row[column]):,}" if row[column] != "0" else "" for column in ("bytes", "macs")]
    with np.errstate(over="ignore"):  # of times that nobody took, in an archive that was written by hand
        taken = f"{np.median(seconds) * 1000:.3g}" if seconds else ""
    letters = ", ".join(run.manifest["axes"].get(name, ()))
    ends = [short_number(row["min"]), short_number(row["max"]), row["sha256"][:12]]
    op: str | Note = row["op"] if run.manifest.get("wiring", {}).get(name, True) else ("given", {"name": row["op"]})
    return [name, op, row["shape"], letters, row["dtype"], *numbers, taken, *ends]


def output_table(run: Run) -> Table:
    """The result's first values: a row for each index of all axes but the last, which goes along the columns."""
    values = np.atleast_1d(run.output)
    letters = output_axes(run.rows, run.manifest, values.ndim) or tuple(f"axis {at}" for at in range(values.ndim))
    *outer, width = values.shape
    columns = min(width, MOST_COLUMNS)
    count = min(prod(outer), MOST_CELLS // max(columns, 1))
    rows = [
        [",".join(map(str, at)), *(short_number(str(cell)) for cell in values[at][:columns].tolist())]
        for at in islice(np.ndindex(*outer), count)
    ]
    heads = (",".join(letters[:-1]), *(f"{letters[-1]}={at}" for at in range(columns)))
    return Table("output", heads, rows if values.size else [], "output")


def page_title(run: Run) -> str:
    """The name of a run's collection, and its id; in memory it has no name."""
    run_id = shown(run.manifest.get("run_id", "unknown"))
    name = "" if run.path is None else os.path.basename(os.path.dirname(os.path.abspath(run.path)))
    return f"{shown(name)} {run_id}" if name else run_id


def foot(run: Run) -> list[Note]:
    """Which run it is, by what it can be told from any other."""
    manifest = run.manifest
    return [("footRun", {"id": manifest.get("run_id")}), ("footArchive", {"id": manifest.get("archive_id")})]
