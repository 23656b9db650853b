"""Pieces of HTML for notebooks: tables by pandas, which escapes their cells, escaped lines, grey pictures."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from convpipe.errors import ConfigError, literal, printable
from convpipe.files.images import picture
from convpipe.tensors import Array

if TYPE_CHECKING:
    import pandas as pd

SIDE = 96  # pixels that a small plane is enlarged to
LARGEST_SIDE = 256  # pixels; of a larger plane every second cell is shown, or fewer
BESIDE = '<div style="display: flex; flex-wrap: wrap; gap: 1.5em; align-items: flex-start">{}</div>'


def table(frame: pd.DataFrame, *, head: bool = True) -> str:
    """A data frame as a table: its cells are escaped, floats have six digits."""
    return str(frame.to_html(index=False, header=head, border=0, float_format="{:.6g}".format))


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as a table, whose head is the first of them."""
    import pandas as pd

    cells = [[literal(cell) for cell in row] for row in rows]
    return table(pd.DataFrame(cells[1:], columns=cells[0], dtype=object))


def number_table(plane: Array) -> str:
    """The numbers of a plane (h, w), or of one row (w,)."""
    import pandas as pd

    return table(pd.DataFrame(np.atleast_2d(plane)), head=False)


def line(text: str) -> str:
    """A line of text."""
    return f"<div>{escape(literal(text))}</div>"


def preformatted(text: str) -> str:
    """Lines as a terminal shows them."""
    return f"<pre>{escape(printable(text))}</pre>"


def beside(blocks: Iterable[str]) -> str:
    """Blocks next to each other, as far as the page is wide."""
    return BESIDE.format("".join(f"<div>{block}</div>" for block in blocks))


def grey_picture(plane: Array, name: str) -> str:
    """A plane (h, w) as a grey picture, enlarged where it is small; nothing where there is no Pillow."""
    longest = max(plane.shape)
    step, times = -(-longest // LARGEST_SIDE), max(1, SIDE // longest)
    cells = plane[::step, ::step].repeat(times, axis=0).repeat(times, axis=1)
    try:
        content = base64.b64encode(picture(cells)).decode()
    except ConfigError:
        return ""
    return f'<img alt="{escape(literal(name))}" src="data:image/png;base64,{content}">'
