"""How one output cell came about, as the lecture's slide shows it: pixels times weights, channel by channel."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from convpipe.ops.arrays.overflow import Overflow
from convpipe.ops.kinds.formulas import short as short
from convpipe.report.cell import Cell, Channel, cell_letters, plain_sum
from convpipe.tensors import number_text

PADDING = "({})"  # a pixel that padding put there
NAMES = ("pixels", "weights")
MOST_CHANNELS = 16  # told tap by tap; of the others only the sums


class Told(Protocol):
    """A cell that was worked out again, whichever way, and what is stored of it."""

    @property
    def total(self) -> Any:
        """What it comes to."""

    @property
    def stored(self) -> Any:
        """What is stored."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of what is stored."""

    @property
    def overflow(self) -> Overflow:
        """The rule for what does not fit into that."""

    @property
    def agrees(self) -> bool:
        """Whether both are the same, but for rounding and that rule."""

    @property
    def by_rule(self) -> bool:
        """Whether they differ as the rule has it."""


class Stored(Protocol):
    """What is stored of a cell."""

    @property
    def stored(self) -> Any:
        """It."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its dtype."""


def cell_lines(cell: Cell) -> Iterator[str]:
    """How a cell came about, and whether it is the stored value."""
    bracketed = any(channel.padding.any() for channel in cell.channels)
    yield f"cell {place(cell)} ({cell.dtype}){'; padding stands in brackets' if bracketed else ''}"
    for channel in cell.channels[:MOST_CHANNELS]:
        yield from channel_lines(channel)
    rest = cell.channels[MOST_CHANNELS:]
    if rest:
        yield from ("", f"and {len(rest)} more channels, {rest[0].number} to {rest[-1].number}")
    parts = [short(channel.total) for channel in cell.channels[:MOST_CHANNELS]]
    parts += [f"{short(plain_sum(channel.total for channel in rest))} (the other channels)"] if rest else []
    parts += [] if cell.bias is None else [f"{short(cell.bias)} (bias)"]
    yield from raw_lines(cell)
    yield from ("", f"{' + '.join(parts)} = {short(cell.total)}, {verdict(cell)}")


def place(cell: Cell) -> str:
    """Which cell of the feature map it is."""
    letters = cell_letters(len(cell.indices) - 2)
    return ", ".join(f"{letter}={index}" for letter, index in zip(letters, cell.indices, strict=True))


def less(zero_point: int) -> str:
    """What takes a zero point away.

    >>> less(3), less(-128)
    (' - 3', ' + 128')
    """
    return f" - {zero_point}" if zero_point > 0 else f" + {-zero_point}"


def raw_lines(cell: Cell) -> Iterator[str]:
    """The sum of raw products and what zero points change of it, as machines have it that add it up so."""
    zx, zw = cell.zero_points
    if not zx and not zw:
        return
    pairs = [pair for channel in cell.channels for pair in channel.raw]
    xs, ws = (sum(values) for values in zip(*pairs, strict=True))
    terms = [str(sum(x * w for x, w in pairs))]
    terms += [f"{signed(zx)} * {signed(ws)} (weights)"] if zx else []
    terms += [f"{signed(zw)} * {signed(xs)} (pixels)"] if zw else []
    both = f" + {len(pairs)} * {signed(zx)} * {signed(zw)}" if zx and zw else ""
    total = sum(channel.total for channel in cell.channels)
    yield from ("", f"raw products: {' - '.join(terms)}{both} = {total}")


def signed(value: int) -> str:
    """A whole number that stands behind a sign.

    >>> signed(3), signed(-3)
    ('3', '(-3)')
    """
    return f"({value})" if value < 0 else str(value)


def channel_lines(channel: Channel) -> Iterator[str]:
    """One channel's pixels, weights and products side by side, and their sum."""
    pixels, weights, products = channel.pixels, channel.weights, channel.products
    bracketed = marked(pixels.ravel().tolist(), channel.padding.ravel().tolist())
    columns = (bracketed, [*map(short, weights.ravel().tolist())], added(products))
    names = [f"({name}{less(zero)})" if zero else name for name, zero in zip(NAMES, channel.zero_points, strict=True)]
    title = f"channel {channel.number}: {' | '.join([*NAMES, ' * '.join(names)])}"
    yield from block_lines(title, [in_rows(texts, pixels.shape[-1]) for texts in columns], channel.total)


def block_lines(title: str, columns: Sequence[Sequence[Sequence[str]]], total: Any) -> Iterator[str]:
    """Columns of texts side by side under a title, and what they come to under them."""
    yield from ("", title)
    for line in beside(*columns):
        yield f"  {line}"
    yield f"  sum: {short(total)}"


def marked(values: Sequence[Any], padding: Sequence[bool]) -> list[str]:
    """Numbers as texts, those of padding in brackets."""
    texts = map(short, values)
    return [PADDING.format(text) if mark else text for text, mark in zip(texts, padding, strict=True)]


def added(values: Sequence[Any]) -> list[str]:
    """Numbers as texts, with the plus signs of the lecture's slide after all but the last."""
    texts = [f"{short(value)} +" for value in values]
    return [*texts[:-1], texts[-1].replace(" +", "  ")] if texts else []


def verdict(cell: Told) -> str:
    """How the sum and the stored value go together, in words."""
    if not cell.agrees:
        return f"but {short(cell.stored)} is stored"
    if cell.total == cell.stored or (cell.total != cell.total and cell.stored != cell.stored):  # NaN is not itself
        return "as stored"
    if cell.dtype.kind in "iu" or cell.by_rule:
        return f"stored as {short(cell.stored)}, as overflow={cell.overflow} has it"
    if cell.stored - cell.stored != 0:  # beside an infinity of the input
        return f"stored as {short(cell.stored)}, as {cell.dtype} adds them up"
    return f"as stored, within the rounding of {cell.dtype}"


def stored_text(cell: Stored) -> str:
    """What is stored, whole: as short as its dtype allows."""
    return number_text(cell.dtype.type(cell.stored))


def in_rows(texts: Sequence[str], width: int) -> list[Sequence[str]]:
    """Texts in rows as wide as the last axis; the planes of a kernel of three axes follow one under the other."""
    return [texts[start : start + width] for start in range(0, len(texts), width)]


def beside(*blocks: Sequence[Sequence[str]]) -> list[str]:
    """Blocks of texts side by side, aligned to the right.

    >>> beside([["1", "-2"], ["3", "4"]], [["x"], ["y"]])
    [' 1 -2 | x', ' 3  4 | y']
    """
    lines = []
    widths = [max(len(text) for row in block for text in row) for block in blocks]
    for rows in zip(*blocks, strict=True):
        cells = [" ".join(text.rjust(width) for text in row) for row, width in zip(rows, widths, strict=True)]
        lines.append(" | ".join(cells).rstrip())
    return lines
