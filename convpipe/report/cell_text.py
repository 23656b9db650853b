"""How one output cell came about, as the lecture's slide shows it: pixels times weights, channel by channel."""

from collections.abc import Iterator, Sequence
from typing import Any

from convpipe.report.cell import Cell, Channel, cell_letters

PADDING = "({})"  # a pixel that padding put there
MOST_CHANNELS = 16  # told tap by tap; of the others only the sums


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
    parts += [f"{short(sum(channel.total for channel in rest))} (the other channels)"] if rest else []
    parts += [] if cell.bias is None else [f"{short(cell.bias)} (bias)"]
    yield from ("", f"{' + '.join(parts)} = {short(cell.total)}, {verdict(cell)}")


def place(cell: Cell) -> str:
    """Which cell of the feature map it is."""
    letters = cell_letters(len(cell.indices) - 2)
    return ", ".join(f"{letter}={index}" for letter, index in zip(letters, cell.indices, strict=True))


def channel_lines(channel: Channel) -> Iterator[str]:
    """One channel's pixels, weights and products side by side, and their sum."""
    yield from ("", f"channel {channel.number}: pixels | weights | pixels * weights")
    pixels, weights = (list(map(short, values.ravel().tolist())) for values in (channel.pixels, channel.weights))
    outside = channel.padding.ravel().tolist()
    bracketed = [PADDING.format(text) if mark else text for text, mark in zip(pixels, outside, strict=True)]
    products = [f"{short(part)} +" for part in channel.products]  # with the plus signs of the lecture's slide
    products[-1] = products[-1].replace(" +", "  ")
    for line in beside(*(in_rows(texts, channel.pixels.shape[-1]) for texts in (bracketed, weights, products))):
        yield f"  {line}"
    yield f"  sum: {short(channel.total)}"


def verdict(cell: Cell) -> str:
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


def short(value: Any) -> str:
    """A number for people: whole ones whole, others to six digits.

    >>> short(3), short(0.123456789)
    ('3', '0.123457')
    """
    return str(value) if isinstance(value, int) else f"{value + 0:.6g}"  # + 0 makes -0.0 a 0.0
