"""Where reports are printed: a console for terminals and one for pipes, tables and numbers for both."""

import os
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import TextIO

from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from convpipe.errors import literal
from convpipe.report.fitting import cells_of, fitting, left_out, terminal_width

PLAIN_WIDTH = 240  # characters of a line of numbers where there is no edge to wrap at
NO_EDGE = 1 << 16  # the width of pipes and files


class ShownConsole(Console):
    """A console that leaves it to its caller what becomes of a broken pipe; rich's own ends the process with 1."""

    def on_broken_pipe(self) -> None:
        """Raise what the pipe raised."""
        raise BrokenPipeError


def console(stream: TextIO | None = None) -> Console:
    """A console for standard output: coloured and boxed on a terminal, plain elsewhere or with NO_COLOR."""
    target = stream or sys.stdout
    width = terminal_width(target)  # Rich would take COLUMNS=0 for no room at all
    made = partial(ShownConsole, file=target, highlight=False, emoji=False, width=width)  # :bug: is no picture
    if not is_plain(target):
        return made()
    return made(no_color=True, force_terminal=False, width=width or NO_EDGE)  # NO_COLOR makes a terminal no wider


def room(out: Console) -> int | None:
    """How many cells a line has, where that is a terminal."""
    return out.width if out.file.isatty() else None


def is_plain(stream: TextIO) -> bool:
    """Whether output shall do without colour, boxes and moving parts."""
    return bool(os.environ.get("NO_COLOR")) or not stream.isatty()


def table(plain: bool, titles: Iterable[str] = (), left: Collection[str] = ()) -> Table:
    """An empty table with these columns, numbers to the right; a rule below its head on a terminal, bare elsewhere."""
    if plain:
        rows = Table(box=None, pad_edge=False)
    else:
        rows = Table(box=box.SIMPLE_HEAD, header_style="bold", show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for title in titles:
        words = title in left and title != "run"  # which may go on in the next line, as numbers and ids may not
        justify: JustifyMethod = "left" if title in left else "right"
        rows.add_column(title, justify=justify, overflow="fold", no_wrap=not words)
    return rows


def say(out: Console, line: str) -> None:
    """Print a line that may hold texts from outside, of which none is markup, moves the cursor or begins a new line."""
    out.print(literal(line), markup=False, soft_wrap=True)


def show_columns(
    out: Console,
    columns: Mapping[str, Sequence[str]],
    how: str,
    *,
    worth: Iterable[Sequence[str]] | None = None,
    left: Collection[str] = (),
    styles: Mapping[str, str] | None = None,
) -> None:
    """Print a table, of which a narrow terminal shows the columns that fit, and below it a line about the others.

    Args:
        columns: the cells by title.
        how: how to see what is left out.
        worth: the columns in groups, the most useful first, for `fitting`; by default as they stand.
        left: those whose cells stand to the left, as words do.
        styles: of columns, on a terminal with colours.
    """
    columns = {literal(title): [*map(literal, cells)] for title, cells in columns.items()}
    widths = {title: max(map(cells_of, (title, *cells))) for title, cells in columns.items()}
    kept = fitting(widths, worth or [[title] for title in columns], room(out))
    rows = table(out.no_color)
    for title in kept:
        style = "" if out.no_color else (styles or {}).get(title, "")
        rows.add_column(title, justify="left" if title in left else "right", overflow="fold", style=style)
    for cells in zip(*(columns[title] for title in kept), strict=True):
        rows.add_row(*map(Text, cells))
    out.print(rows)
    if lost := [title for title in columns if title not in kept]:
        out.print(left_out(lost, how, room(out)), markup=False)


def readable_seconds(seconds: float) -> str:
    """A duration for people.

    >>> readable_seconds(0.0000123), readable_seconds(0.0123), readable_seconds(12.3)
    ('12.3 us', '12.3 ms', '12.3 s')
    """
    if seconds < 1e-3:
        return f"{seconds * 1e6:.1f} us"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"
