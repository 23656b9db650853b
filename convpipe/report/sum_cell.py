"""One cell that is a long sum: which inputs met which weights, block by block, as the lecture's slide has it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

from convpipe.ops import Form
from convpipe.ops.kinds.forms import Cells, ValueAt
from convpipe.ops.kinds.formulas import combined, exact, short, total as total_of
from convpipe.report.cell_text import MOST_CHANNELS, added, block_lines, in_rows, marked
from convpipe.tensors import Sizes

WIDEST = 12  # numbers in a row
ROW = 8  # where there would be more
MOST_ROWS = 32  # of a block
MOST_PLACES = 16  # of factors


@dataclass(frozen=True)
class Factor:
    """One number of a product: its value, where it is (None of padding that is not there), whether it is padding."""

    value: Any
    place: Sizes | None
    padding: bool


@dataclass(frozen=True)
class Block:
    """The products of one round of the first loop, of one channel, say: for each its factors, one or two."""

    number: int
    factors: tuple[tuple[Factor, ...], ...]

    @cached_property
    def products(self) -> list[Any]:
        """The products, exact."""
        return [product_of([exact(factor.value) for factor in each]) for each in self.factors]

    @cached_property
    def total(self) -> Any:
        """Their sum."""
        return total_of(self.products)

    @cached_property
    def width(self) -> int:
        """How many products stand in a row: as many as share all but the last index of their last factor."""
        places = [each[-1].place for each in self.factors]
        first = places[0] or ()
        width = sum(place is not None and place[:-1] == first[:-1] for place in places)
        plain = len(first) > 2 and width <= WIDEST and len(places) % width == 0
        return width if plain else ROW

    def lines(self, words: Sequence[str]) -> Iterator[str]:
        """Its factors and products side by side, and their sum; of very many the first."""
        of, *names = words
        title = " | ".join([*names, *([" * ".join(names)] if len(names) > 1 else [])])
        shown, width = self.factors[: MOST_ROWS * self.width], self.width
        columns = [
            marked([factor.value for factor in column], [factor.padding for factor in column])
            for column in zip(*shown, strict=True)
        ]
        sums = added(self.products[: len(shown)])
        rest = len(self.factors) - len(shown)
        title += f" (of {len(self.factors)} the first {len(shown)})" if rest else ""
        columns = [*columns, sums] if len(names) > 1 else [sums]
        rows = [in_rows([*texts, *[""] * (-len(texts) % width)], width) for texts in columns]
        yield from block_lines(f"{of} {self.number}: {title}" if of else title, rows, self.total)


@dataclass(frozen=True)
class Sum:
    """A sum in blocks, perhaps with a bias."""

    words: tuple[str, ...]  # what the blocks are of, and what their factors are
    blocks: tuple[Block, ...]
    bias: Any

    def lines(self) -> Iterator[str]:
        """Each block, and where the factors lie that have met."""
        yield from self.places()
        for block in self.blocks[:MOST_CHANNELS]:
            yield from block.lines(self.words)
        rest = self.blocks[MOST_CHANNELS:]
        if rest:
            yield from ("", f"and {len(rest)} more {self.words[0]}s, {rest[0].number} to {rest[-1].number}")
        yield ""

    def places(self) -> Iterator[str]:
        """Where the factors of the first block lie, along the spatial axes; those of others lie alike."""
        if not self.blocks or not self.words[0] or len(self.words) < 3:
            return
        pairs = [[each.place for each in pair] for pair in self.blocks[0].factors[:MOST_PLACES]]
        texts = [" with ".join(spatial(place) for place in pair if place is not None) for pair in pairs]
        rest = len(self.blocks[0].factors) - len(pairs)
        more = [f"{rest} more"] if rest else []
        yield f"in each {self.words[0]}, {self.words[1]} met {self.words[2]}: {', '.join([*texts, *more])}"

    @property
    def total(self) -> Any:
        """What all of it comes to."""
        return total_of([*(block.total for block in self.blocks), 0 if self.bias is None else exact(self.bias)])

    @property
    def text(self) -> str:
        """The sums of the blocks, and the bias."""
        parts = [short(block.total) for block in self.blocks[:MOST_CHANNELS]]
        rest = self.blocks[MOST_CHANNELS:]
        if rest:
            parts.append(f"{short(total_of([block.total for block in rest]))} (the other {self.words[0]}s)")
        if self.bias is not None:
            parts.append(f"{short(self.bias)} (bias)")
        return " + ".join(parts) or "nothing"


def spatial(place: Sizes) -> str:
    """The indices along the spatial axes.

    >>> spatial((0, 3, 1, 2))
    '(1,2)'
    """
    return f"({','.join(map(str, place[2:]))})"


def sum_of_form(form: Form, at: Sizes, value_at: ValueAt) -> Sum:
    """The blocks of a form that is a sum of products, or of cells."""
    reads = {read.name: read for read in form.cells(at)}
    factors = [factors_of(reads[name], value_at) for name in ("x", "w") if name in reads]
    pairs = list(zip(*factors, strict=True))
    places = next(read.places for read in form.reads if read.name == "x")
    axis = next(axis for axis, place in enumerate(places) if place.uses(form.rank))
    bias = None if "bias" not in reads else factors_of(reads["bias"], value_at)[0].value
    if not form.blocks[0]:
        return Sum(form.blocks, (Block(0, tuple(pairs)),) if pairs else (), bias)
    grouped = groupby(pairs, lambda pair: (pair[0].place or ())[axis])
    return Sum(form.blocks, tuple(Block(number, tuple(each)) for number, each in grouped), bias)


def factors_of(read: Cells, value_at: ValueAt) -> list[Factor]:
    """The cells of one read, with their values."""
    there = zip(read.cells, read.padding, strict=True)
    return [Factor(0 if cell is None else value_at(read.input, cell), cell, padding) for cell, padding in there]


def product_of(values: Sequence[Any]) -> Any:
    """The product of one or two numbers."""
    return values[0] if len(values) == 1 else combined("*", *values)
