"""What a person sees of an archived run: a table of its stages, its feature map, its folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from math import prod
from typing import TextIO

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from convpipe.archive import Run
from convpipe.plan import readable, shape_text
from convpipe.step import Array

PLAIN_WIDTH = 240  # plain output is for pipes and files, which have no edge to wrap at
LARGEST_PRINTED_MAP = 12 * 12  # cells
MOST_PRINTED_MAPS = 12
ONE_LINE = 40  # characters up to which a map is printed as a list on one line
MOST_SUMMARY_ROWS = 32
# What the table of stages leaves out, in this order, until it fits a narrow terminal; stages.csv has it all.
LEFT_OUT = ((), ("multiply-adds",), ("multiply-adds", "min", "max"), ("multiply-adds", "min", "max", "size"))


class ShownConsole(Console):
    """A console that leaves it to its caller what becomes of a broken pipe; rich's own ends the process with 1."""

    def on_broken_pipe(self) -> None:
        """Raise what the pipe raised."""
        raise BrokenPipeError


def console(stream: TextIO | None = None) -> Console:
    """A console for standard output: coloured and boxed on a terminal, plain elsewhere or with NO_COLOR."""
    target = stream or sys.stdout
    if is_plain(target):
        return ShownConsole(file=target, no_color=True, force_terminal=False, width=PLAIN_WIDTH, highlight=False)
    return ShownConsole(file=target, highlight=False)


def is_plain(stream: TextIO) -> bool:
    """Whether output shall do without colour, boxes and moving parts."""
    return bool(os.environ.get("NO_COLOR")) or not stream.isatty()


def show_run(out: Console, run: Run, verdict: str, seconds: Mapping[str, Sequence[float]]) -> None:
    """Print a run: its stages, its feature map or a summary of it, what became of it, and where it is."""
    out.print(fitting_table(out, run, seconds))
    out.print()
    show_feature_map(out, run.output)
    show_pictures(out, run)
    out.print()
    out.print(Text.assemble((verdict, "bold green"), f": {run.path}"), soft_wrap=True)


def table(plain: bool) -> Table:
    """An empty table, with a rule below its head on a terminal and bare elsewhere."""
    if plain:
        return Table(box=None, pad_edge=False)
    return Table(box=box.SIMPLE_HEAD, header_style="bold", show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))


def fitting_table(out: Console, run: Run, seconds: Mapping[str, Sequence[float]]) -> Table:
    """The table of a run's stages, without the columns that a narrow terminal would wrap."""
    for left_out in LEFT_OUT:
        rows = stage_table(run, seconds, left_out, plain=out.no_color)
        if out.measure(rows, options=out.options.update(width=PLAIN_WIDTH)).maximum <= out.width:
            break
    return rows


def stage_table(
    run: Run, seconds: Mapping[str, Sequence[float]], left_out: Sequence[str] = (), *, plain: bool
) -> Table:
    """A run's stages: shape with the field's letters, dtype, size, multiply-adds, time and range of values."""
    listing = table(plain)
    cells = [stage_cells(run, row, seconds) for row in run.rows]
    for name in cells[0]:
        if name not in left_out:
            to_left = name in ("stage", "shape", "dtype")
            style = "cyan" if name == "stage" and not plain else ""
            listing.add_column(name, justify="left" if to_left else "right", overflow="fold", style=style)
    for row in cells:
        listing.add_row(*(Text(text) for name, text in row.items() if name not in left_out))
    return listing


def stage_cells(run: Run, row: Mapping[str, str], seconds: Mapping[str, Sequence[float]]) -> dict[str, str]:
    """One stage as texts, by column."""
    axes = run.manifest.get("axes", {}).get(row["stage"], ())
    return {
        "stage": row["stage"],
        "shape": lettered(row["shape"], axes),
        "dtype": row["dtype"],
        "size": readable(int(row["bytes"])),
        "multiply-adds": f"{int(row['macs']):,}" if row["macs"] != "0" else "",
        "time": readable_seconds(min(seconds[row["stage"]])) if row["stage"] in seconds else "",
        "min": short_number(row["min"]),
        "max": short_number(row["max"]),
    }


def lettered(shape: str, axes: Sequence[str]) -> str:
    """A shape with its letters.

    >>> lettered("(25,27)", ["N*out_h*out_w", "C*kh*kw"])
    '(25,27) = (N*out_h*out_w, C*kh*kw)'
    """
    return f"{shape} = ({', '.join(axes)})" if axes else shape


def short_number(text: str) -> str:
    """A number from stages.csv, floats cut to six digits."""
    return f"{float(text):.6g}" if any(mark in text for mark in ".en") else text


def readable_seconds(seconds: float) -> str:
    """A duration for people.

    >>> readable_seconds(0.0000123), readable_seconds(0.0123), readable_seconds(12.3)
    ('12.3 us', '12.3 ms', '12.3 s')
    """
    if seconds < 1e-3:
        return f"{seconds * 1e6:.1f} us"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"


def show_feature_map(out: Console, feature_map: Array) -> None:
    """Print small feature maps (N, out_h, out_w, F) value by value, large ones as a summary per channel."""
    if not feature_map.size:
        out.print(f"feature map {shape_text(feature_map.shape)}, {feature_map.dtype}: empty", markup=False)
        return
    maps = [(n, f) for n in range(feature_map.shape[0]) for f in range(feature_map.shape[-1])]
    if prod(feature_map.shape[1:-1]) > LARGEST_PRINTED_MAP or len(maps) > MOST_PRINTED_MAPS:
        show_summary(out, feature_map, maps)
        return
    for n, f in maps:
        out.print(
            f"feature map n={n} f={f}, {feature_map.dtype}: {map_text(feature_map[n, ..., f])}",
            markup=False,
            soft_wrap=True,
        )


def map_text(values: Array) -> str:
    """One map's values: as a list where that fits on a line, as an aligned grid where it does not.

    >>> map_text(np.array([[-9, 1], [0, -7]]))
    '[[-9, 1], [0, -7]]'
    """
    line = str(values.tolist())
    return line if len(line) <= ONE_LINE else "\n" + np.array2string(values, precision=6, max_line_width=PLAIN_WIDTH)


def show_summary(out: Console, feature_map: Array, maps: Sequence[tuple[int, int]]) -> None:
    """Print range and mean of each map, the first MOST_SUMMARY_ROWS of them."""
    rows = table(out.no_color)
    for name in ("feature map", "min", "max", "mean"):
        rows.add_column(name, justify="left" if name == "feature map" else "right")
    for n, f in maps[:MOST_SUMMARY_ROWS]:
        values = feature_map[n, ..., f]
        with np.errstate(all="ignore"):  # infinities have no mean
            numbers = (values.min(), values.max(), values.mean(dtype=np.float64))
        rows.add_row(f"n={n} f={f}", *(short_number(str(number)) for number in numbers))
    out.print(rows)
    if len(maps) > MOST_SUMMARY_ROWS:
        out.print(f"and {len(maps) - MOST_SUMMARY_ROWS} more maps")


def show_pictures(out: Console, run: Run) -> None:
    """Name the pictures of the feature maps, where the input was one."""
    names = sorted(path.name for path in run.path.glob("map_*.png"))
    if names:
        several = f"{names[0]} to {names[-1]}, {len(names)} pictures" if len(names) > 1 else names[0]
        out.print(f"drawn: {several}", markup=False, soft_wrap=True)
