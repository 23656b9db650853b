"""A run as a notebook or a prompt shows it: a few lines of text, or its stages and its maps as HTML.

What comes from an archive may be hostile: lines have nothing that moves a cursor, and HTML is escaped.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from convpipe.archive.format import lettered, rank_words, short_number
from convpipe.archive.maps import Maps, range_texts, run_maps
from convpipe.errors import ArchiveError, shown
from convpipe.files import html
from convpipe.tensors import Array, shape_text

if TYPE_CHECKING:
    from convpipe.archive.read import Run

MOST_STAGES = 100
MOST_MAPS = 12  # shown cell by cell, and as pictures
MOST_SUMMED_UP = 32
LARGEST_TABLE = 12 * 12  # cells
HEADS = ("stage", "shape", "dtype", "bytes", "multiply-adds", "min", "max")


def run_lines(run: Run) -> list[str]:
    """A run in four lines, without values: what it is, where it lies, its output and its stages."""
    last = run.rows[-1] if run.rows else {}
    span = f", {short_number(last['min'])} to {short_number(last['max'])}" if last.get("min") else ""
    made = f"output {last.get('shape', '')} {last.get('dtype', '')}{span}"
    return [f"<Run {title(run)}", f"  {where(run)}", f"  {made}", f"  {len(run.rows)} stages and given arrays>"]


def title(run: Run) -> str:
    """A run's id, and the name of its collection."""
    name = "" if run.path is None else os.path.basename(os.path.dirname(os.path.abspath(run.path)))
    return f"{shown(run.manifest.get('run_id', 'unknown'))}{f' of {shown(name)}' if name else ''}"


def where(run: Run) -> str:
    """Where a run lies."""
    return "in memory" if run.path is None else shown(run.path, 300)


def run_html(run: Run) -> str:
    """A run's stages and its maps, or what keeps them from being read; and where it lies."""
    rows = [HEADS, *(stage_cells(run, row) for row in run.rows[:MOST_STAGES])]
    head = ", ".join(filter(None, (f"Run {title(run)}", rank_words(run.manifest["axes"]))))
    parts = [html.line(head), html.text_table(rows), more(len(run.rows) - MOST_STAGES, "stages")]
    try:
        parts.append(output_html(run))
    except ArchiveError as error:
        parts.append(html.line(shown(error, 300)))
    return "\n".join([*filter(None, parts), html.line(where(run))])


def stage_cells(run: Run, row: dict[str, str]) -> list[str]:
    """One row of stages.csv as texts."""
    shape = lettered(row["shape"], run.manifest["axes"].get(row["stage"], ()))
    numbers = [f"{int(row[column]):,}" if row[column] != "0" else "" for column in ("bytes", "macs")]
    return [row["stage"], shape, row["dtype"], *numbers, short_number(row["min"]), short_number(row["max"])]


def more(count: int, what: str) -> str:
    """A line that says how many are not shown; nothing where all are."""
    return html.line(f"and {count} more {what}") if count > 0 else ""


def output_html(run: Run) -> str:
    """The result: its maps, or its values where it has none."""
    values = run.output
    maps = run_maps(run, values)
    if not values.size:
        return html.line(f"output {shape_text(values.shape)}: empty")
    if maps is not None:
        return maps_html(maps)
    if values.size <= LARGEST_TABLE and values.ndim <= 2:
        return html.number_table(values)
    return html.text_table([("output", "min", "max", "mean"), ("", *range_texts(values))])


def maps_html(maps: Maps) -> str:
    """Small maps as tables of numbers, others summed up; with Pillow, the first of either as pictures."""
    small = maps.values[0, 0].size <= LARGEST_TABLE and maps.values[0, 0].ndim <= 2
    named = [found for found, _ in zip(maps, range(MOST_SUMMED_UP), strict=False)]
    blocks = [map_html(name, plane, numbers=small) for name, plane in named[:MOST_MAPS]]
    shown_maps = html.beside(filter(None, blocks)) if any(blocks) else ""
    if small and maps.count <= MOST_MAPS:
        return shown_maps
    rows = [("map", "min", "max", "mean"), *((name, *range_texts(plane)) for name, plane in named)]
    return html.text_table(rows) + more(maps.count - MOST_SUMMED_UP, "maps") + shown_maps


def map_html(name: str, plane: Array, *, numbers: bool) -> str:
    """One map: its name, a picture where that can be drawn, and perhaps its numbers; nothing without either."""
    picture = html.grey_picture(plane, name) if plane.ndim == 2 else ""
    table = html.number_table(plane) if numbers else ""
    return f"{html.line(name)}{picture}{table}" if picture or table else ""
