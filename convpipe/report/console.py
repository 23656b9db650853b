"""Where reports are printed: a console for terminals and one for pipes, tables and numbers for both."""

import os
import sys
from collections.abc import Collection, Iterable
from functools import partial
from typing import TextIO

from rich import box
from rich.console import Console
from rich.table import Table

PLAIN_WIDTH = 240  # plain output is for pipes and files, which have no edge to wrap at


class ShownConsole(Console):
    """A console that leaves it to its caller what becomes of a broken pipe; rich's own ends the process with 1."""

    def on_broken_pipe(self) -> None:
        """Raise what the pipe raised."""
        raise BrokenPipeError


def console(stream: TextIO | None = None) -> Console:
    """A console for standard output: coloured and boxed on a terminal, plain elsewhere or with NO_COLOR."""
    target = stream or sys.stdout
    made = partial(ShownConsole, file=target, highlight=False, emoji=False)  # a folder's :bug: is no picture
    return made(no_color=True, force_terminal=False, width=PLAIN_WIDTH) if is_plain(target) else made()


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
        rows.add_column(title, justify="left" if title in left else "right")
    return rows


def readable_seconds(seconds: float) -> str:
    """A duration for people.

    >>> readable_seconds(0.0000123), readable_seconds(0.0123), readable_seconds(12.3)
    ('12.3 us', '12.3 ms', '12.3 s')
    """
    if seconds < 1e-3:
        return f"{seconds * 1e6:.1f} us"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"
