"""The page of one run: what stands in it, and how much of that where the whole would be too large."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convpipe.archive.format import short_number
from convpipe.archive.notebook import title
from convpipe.archive.read import Run
from convpipe.config.read import read_archived
from convpipe.errors import ArchiveError, ConfigError
from convpipe.execution.remake import stage_arrays
from convpipe.graph.plan import readable
from convpipe.graph.spec import Spec
from convpipe.graph.work import Work, plan_work
from convpipe.report.page.asked import Asked, check_place
from convpipe.report.page.convolutions import Shown, convolutions, cropped, origin_of
from convpipe.report.page.document import Content, Table, document
from convpipe.report.page.packed import Packed, packed
from convpipe.tensors import Array

LEAST_PACKED = 16  # an array's bytes are hardly ever more than so many times what stands in the page
HEADS = ("stage", "operation", "shape", "axes", "dtype", "bytes", "macs", "milliseconds", "min", "max", "sha256")
MOST_OUTPUT_ROWS = 40


@dataclass(frozen=True)
class Material:
    """What a page is made from: a run, and those of its arrays that are shown, by their names in stages.csv."""

    run: Run
    spec: Spec
    work: Work
    convolutions: tuple[Shown, ...]
    arrays: Mapping[str, Array]
    lacks: tuple[str, ...]  # arrays that cannot be had


def run_page(run: Run, asked: Asked) -> bytes:
    """The page of a run whose hashes have been verified, whole or, above the limit, as much as it holds.

    Raises:
        ConfigError: a cell or a layer that is not there, or a limit that the page would not keep.
        ArchiveError: the run's config makes other arrays than it has.
    """
    material = gathered(run, asked)
    content = None
    if sum(array.nbytes for array in material.arrays.values()) <= LEAST_PACKED * asked.limit:
        content = document(content_of(material, asked, small=False))
    if content is None or len(content) > asked.limit:
        content = document(content_of(material, asked, small=True))
    if len(content) > asked.limit:
        hint = "record=1 keeps one image's stages" if material.spec.network and not material.spec.record else ""
        raise ConfigError(
            "--limit", readable(asked.limit), f"at least {readable(len(content))}, this page's size", hint
        )
    return content


def gathered(run: Run, asked: Asked) -> Material:
    """A run's arrays that the page shows: those that were kept, the others made again and held against their hashes."""
    spec = read_archived(run)
    work = plan_work(spec)
    check_place(asked, spec, work)
    found = tuple(convolutions(spec, work))
    names = list(dict.fromkeys(name for each in found for name in each.parts.values()))
    try:
        return Material(run, spec, work, found, stage_arrays(run, spec, work, names), ())
    except ArchiveError:
        kept = [row["stage"] for row in run.rows if run.held is not None or row["file"]]
        there = [name for name in names if name in kept]
        lacks = tuple(name for name in names if name not in kept)
        return Material(run, spec, work, found, stage_arrays(run, spec, work, there), lacks)


def content_of(material: Material, asked: Asked, *, small: bool) -> Content:
    """What stands in the page."""
    run = material.run
    there = [each for each in material.convolutions if not set(each.parts.values()) & set(material.lacks)]
    kept = [cropped(each, asked.at) if small else each for each in there]
    facts: dict[str, Any] = {
        "kind": "run",
        "run": run.manifest.get("run_id"),
        "archive": run.manifest.get("archive_id"),
        "start": {"at": asked.at, "layer": asked.layer},
        "names": run.manifest.get("names", {}),
        "convolutions": [each.facts for each in kept],
        "lacks": material.lacks,
        "cropped": small,
    }
    return Content(
        entry="large_run_page" if any(each.large for each in kept) else "run_page",
        title=title(run),
        language=asked.language,
        facts=facts,
        arrays=dict(parts_packed(kept, material.arrays)),
        tables=[stage_table(run), *output_tables(run)],
        foot=foot(run),
    )


def parts_packed(kept: Sequence[Shown], arrays: Mapping[str, Array]) -> Iterator[tuple[str, Packed]]:
    """The arrays of convolutions, as far as the page keeps them."""
    for each in kept:
        for part, name in each.parts.items():
            array = each.laid_out(part, arrays[name])
            slices = each.slices(part)
            yield name, packed(array[slices], origin_of(slices, array.ndim))


def stage_table(run: Run) -> Table:
    """The table of stages, as stages.csv has it and with the time that they took."""
    return Table("stages", HEADS, [stage_cells(run, row) for row in run.rows], "stages")


def stage_cells(run: Run, row: Mapping[str, str]) -> list[str]:
    """One row of it."""
    name = row["stage"]
    seconds = run.manifest["seconds"].get(name)
    numbers = [f"{int(row[column]):,}" if row[column] != "0" else "" for column in ("bytes", "macs")]
    taken = f"{np.median(seconds) * 1000:.3g}" if seconds else ""
    letters = ", ".join(run.manifest["axes"].get(name, ()))
    ends = [short_number(row["min"]), short_number(row["max"]), row["sha256"][:12]]
    return [name, row["op"], row["shape"], letters, row["dtype"], *numbers, taken, *ends]


def output_tables(run: Run) -> Iterator[Table]:
    """The result's first rows as text, for who reads without the script."""
    values = run.output
    flat = values.reshape(-1, values.shape[-1]) if values.ndim else values.reshape(1, 1)
    rows = [
        [str(at), *(short_number(str(cell)) for cell in row.tolist())] for at, row in enumerate(flat[:MOST_OUTPUT_ROWS])
    ]
    if values.size:
        yield Table("output", ("row", *map(str, range(flat.shape[1]))), rows, "output")


def foot(run: Run) -> list[str]:
    """Which run it is, by what it can be told from any other."""
    manifest = run.manifest
    return [f"run {manifest.get('run_id')}", f"archive {manifest.get('archive_id')}"]
