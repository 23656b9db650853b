"""Tables that fit a terminal: which columns there is room for, and the line that says what is left out.

Only a terminal has an edge; in a pipe nothing is left out.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

MOST_NAMED = 6  # columns in a line that says which are left out


def terminal_width(stream: TextIO | None = None) -> int | None:
    """How many cells a line of a terminal has, which COLUMNS overrides; None of what is no terminal."""
    target = stream or sys.stdout
    if not target.isatty():
        return None
    asked = os.environ.get("COLUMNS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    try:
        return os.get_terminal_size(target.fileno()).columns or shutil.get_terminal_size().columns
    except (OSError, ValueError):
        return shutil.get_terminal_size().columns


def fitting(widths: Mapping[str, int], worth: Iterable[Sequence[str]], room: int | None, gap: int = 2) -> list[str]:
    """The columns for which there is room, in their own order; the first group of `worth` in any case.

    Args:
        widths: of all columns, in cells.
        worth: the columns in groups that stand or go together, the most useful first.
        room: in cells; None is any.
        gap: cells between two columns.

    >>> fitting({"run": 12, "hash": 64, "min": 2, "max": 2}, [["run"], ["min", "max"], ["hash"]], 30)
    ['run', 'min', 'max']
    """
    if room is None:
        return list(widths)
    kept = set[str]()
    used = -gap
    for group in worth:
        cells = sum(widths[name] + gap for name in group)
        if not kept or used + cells <= room:
            kept.update(group)
            used += cells
    return [name for name in widths if name in kept]


def left_out(names: Sequence[str], how: str, width: int | None = None) -> str:
    """The line below a table that says which columns are left out, as many by name as fit, and how to see them.

    >>> left_out(["min", "max"], "| cat shows all"), left_out(["minimum", "maximum", "mean"], "| cat shows all", 46)
    ('left out: min, max (| cat shows all)', 'left out: minimum and 2 more (| cat shows all)')
    """
    lines = [left_out_line(names, count, how) for count in range(min(len(names), MOST_NAMED), 0, -1)]
    return next((line for line in lines if width is None or cells_of(line) <= width), lines[0])


def left_out_line(names: Sequence[str], count: int, how: str) -> str:
    """That line, with so many of the names."""
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return f"left out: {', '.join(names[:count])}{more} ({how})"


def cells_of(text: str) -> int:
    """How many cells of a terminal a text takes: a Korean letter takes two.

    >>> cells_of("conv"), cells_of("합성곱")
    (4, 6)
    """
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # which most texts do without

    return cell_len(text)


def cut(text: str, most: int) -> str:
    """A text cut to so many cells, with dots where something is cut off.

    >>> cut("convolution", 7), cut("합성곱합성곱", 8)
    ('conv...', '합성...')
    """
    if cells_of(text) <= most:
        return text
    end = most - 3
    while cells_of(text[:end]) > most - 3:
        end -= 1
    return f"{text[:end]}..."


def adjusted(text: str, width: int, *, right: bool) -> str:
    """A text filled up to so many cells."""
    space = " " * (width - cells_of(text))
    return space + text if right else text + space
