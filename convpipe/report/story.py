"""One cell and all that came before it in its chain, stage by stage: what `explain` gives where no sum says it all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from convpipe.ops.kinds.formulas import as_float
from convpipe.report.cell import Cell
from convpipe.report.stage_cell import StageCell
from convpipe.report.sum_cell import Sum
from convpipe.tensors import Sizes


@dataclass(frozen=True)
class Story:
    """How one cell came about.

    It starts with a convolution's sum (`cell`), with another sum in blocks (`sums`, which the first of the stages comes
    to), or with neither; then one formula for each stage.
    """

    indices: Sizes
    letters: tuple[str, ...]
    made_by: str  # an operation and what it read: "relu of add[0,3,1,7]"
    stages: tuple[StageCell, ...]
    cell: Cell | None = None
    pixels: str = ""  # what makes the pixels of that, where it is no padding
    sums: Sum | None = None
    notes: tuple[str, ...] = ()  # below all that

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def __repr__(self) -> str:
        last = self.stages[-1].line("") if self.stages else repr(self.cell)
        return f"<Cell {self.place}: {last}>"

    def _repr_html_(self) -> str:
        from convpipe.files import html

        return html.preformatted(str(self))

    @property
    def place(self) -> str:
        """Which cell it is."""
        return ", ".join(f"{letter}={index}" for letter, index in zip(self.letters, self.indices, strict=True))

    @property
    def total(self) -> Any:
        """What the last formula comes to, or the first that is wrong."""
        found = self.telling.total
        return as_float(found) if isinstance(found, Fraction) else found

    @property
    def stored(self) -> Any:
        """What is stored of that."""
        return self.telling.stored

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of that."""
        return self.telling.dtype

    @property
    def telling(self) -> Cell | StageCell:
        """The first part that is not as it is stored, or else the last one."""
        return self.wrong or self.parts[-1]

    @property
    def wrong(self) -> Cell | StageCell | None:
        """The first part that is not as it is stored."""
        return next((part for part in self.parts if not part.agrees), None)

    @property
    def parts(self) -> list[Cell | StageCell]:
        """The sum that it starts with, and the stages."""
        return [self.cell, *self.stages] if self.cell else [*self.stages]

    @property
    def agrees(self) -> bool:
        """Whether all of it is as it is stored."""
        return self.wrong is None

    def lines(self) -> Iterator[str]:
        """The sum, if it starts with one, and a line for each stage."""
        if self.cell:
            head, *rest = str(self.cell).split("\n")
            yield f"{head}{f'; pixels as {self.pixels} makes them' if self.pixels else ''}"
            yield from (*rest, "")
        else:
            brackets = self.sums and any(f.padding for b in self.sums.blocks for pair in b.factors for f in pair)
            noted = "; padding stands in brackets" if brackets else ""
            yield f"cell {self.place} ({self.stages[-1].dtype}): {self.made_by}{noted}"
            yield from self.sums.lines() if self.sums else ("",)
        yield from self.stage_lines()
        yield from self.notes

    def stage_lines(self) -> Iterator[str]:
        """A line for each stage; those that only move the cell are left out beside others, if they do so rightly."""
        telling = [part for part in self.stages if not (part.moves and part.agrees)]
        shown = telling if telling or self.cell else self.stages
        for part in shown:
            alone = len(shown) == 1 and not self.cell
            yield from part.lines("" if alone and not part.steps else f"{part.name}: ")


def box_of(name: str, cells: tuple[Sizes | None, ...]) -> str:
    """The cells of a tensor as a slice of it that holds them.

    >>> box_of("conv1", ((0, 2, 4), (0, 3, 4)))
    'conv1[0,2:4,4]'
    """
    there = [cell for cell in cells if cell is not None]
    if not there:
        return name
    axes = zip(*there, strict=True)
    ends = ((min(axis), max(axis)) for axis in axes)
    return f"{name}[{','.join(str(low) if low == high else f'{low}:{high + 1}' for low, high in ends)}]"
