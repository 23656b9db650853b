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
from convpipe.plan import readable
from convpipe.step import Array

PLAIN_WIDTH = 240  # plain output is for pipes and files, which have no edge to wrap at
LARGEST_PRINTED_MAP = 12 * 12  # cells
MOST_PRINTED_MAPS = 12
ONE_LINE = 40  # characters up to which a map is printed as a list on one line
MOST_SUMMARY_ROWS = 32


def console(stream: TextIO | None = None) -> Console:
    """A console for standard output: coloured and boxed on a terminal, plain elsewhere or with NO_COLOR."""
    target = stream or sys.stdout
    if is_plain(target):
        return Console(file=target, no_color=True, force_terminal=False, width=PLAIN_WIDTH, highlight=False)
    return Console(file=target, highlight=False)


def is_plain(stream: TextIO) -> bool:
    """Whether output shall do without colour, boxes and moving parts."""
    return bool(os.environ.get("NO_COLOR")) or not stream.isatty()


def show_run(out: Console, run: Run, verdict: str, seconds: Mapping[str, Sequence[float]]) -> None:
    """Print a run: its stages, its feature map or a summary of it, what became of it, and where it is."""
    out.print(stage_table(run, seconds, plain=out.no_color))
    out.print()
    show_feature_map(out, run.output)
    out.print()
    out.print(f"{verdict}: {run.path}", soft_wrap=True, markup=False)


def table(plain: bool, **options: object) -> Table:
    """An empty table, with rules on a terminal and bare elsewhere."""
    style = None if plain else box.SIMPLE_HEAD
    return Table(box=style, header_style="bold", pad_edge=False, **options)  # type: ignore[arg-type]


def stage_table(run: Run, seconds: Mapping[str, Sequence[float]], *, plain: bool) -> Table:
    """A run's stages: shape with the field's letters, dtype, size, time and range of values."""
    rows = table(plain)
    for name in ("stage", "shape", "dtype", "size", "multiply-adds", "time", "min", "max"):
        rows.add_column(name, justify="left" if name in ("stage", "shape", "dtype") else "right", overflow="fold")
    for row in run.rows:
        axes = run.manifest.get("axes", {}).get(row["stage"], ())
        rows.add_row(
            row["stage"],
            Text(lettered(row["shape"], axes)),
            row["dtype"],
            readable(int(row["bytes"])),
            f"{int(row['macs']):,}" if row["macs"] != "0" else "",
            readable_seconds(min(seconds[row["stage"]])) if row["stage"] in seconds else "",
            short_number(row["min"]),
            short_number(row["max"]),
        )
    return rows


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
        numbers = (values.min(), values.max(), values.mean(dtype=np.float64)) if values.size else ()
        rows.add_row(f"n={n} f={f}", *(f"{float(number):.6g}" for number in numbers))
    out.print(rows)
    if len(maps) > MOST_SUMMARY_ROWS:
        out.print(f"and {len(maps) - MOST_SUMMARY_ROWS} more maps")
