"""How a cell of an operation's output comes about, as data: which cells it reads, and the formula that they go into.

A form is a fact of an operation (`Operation.form`), worked out from its settings and the shapes of its inputs. What
`convpipe explain` prints is made of it here; the page has its facts, and `forms.mjs`, which makes the same of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

from convpipe.geometry.windows import Windows
from convpipe.ops.kinds.formulas import Formula, Operand, formula, is_name, told, value_of
from convpipe.ops.kinds.machine_numbers import precise
from convpipe.ops.kinds.places import Copies, Place, folded, variables
from convpipe.tensors import Sizes, Tensor

Pairs = tuple[tuple[int, int], ...]
Input = int | str  # a main tensor by its number, another by its role
ValueAt = Callable[[Input, Sizes], Any]


@dataclass(frozen=True)
class Spot:
    """A cell that is read: where it is, or None where it is there only as padding; and whether it is padding."""

    at: Sizes | None
    padding: bool


@dataclass(frozen=True)
class Read:
    """What a name in a formula stands for: cells of one input.

    A cell outside of the input is left out, with all that is read beside it; but `pads` count, as padding.
    """

    name: str
    input: Input
    places: tuple[Place, ...]  # along each axis
    sizes: Sizes  # along each axis
    pads: Pairs = ()  # cells before and after it along each axis, that count though they are not there
    inner: Pairs = ()  # from where to where its cells are no padding, along each axis
    mode: str = ""  # how cells outside are filled from those inside
    merged: Sizes = ()  # how many of these axes are one of the input's, for each of that

    def cell(self, numbers: Sizes) -> Spot | None:
        """The cell that is read, given the variables' values; None where it is left out."""
        index, outside, padding = list[int](), False, False
        for axis, place in enumerate(self.places):
            at, size = place.at(numbers), self.sizes[axis]
            if at is None:
                return None
            if self.mode and not 0 <= at < size:
                at, padding = folded(self.mode, at, size), True
            before, after = self.pads[axis] if self.pads else (0, 0)
            if not -before <= at < size + after:
                return None
            outside = outside or not 0 <= at < size
            padding = padding or bool(self.inner and not self.inner[axis][0] <= at < self.inner[axis][1])
            index.append(at)
        return Spot(None if outside else self.merge(index), outside or padding)

    def merge(self, index: Sequence[int]) -> Sizes:
        """The indices of the input as it is."""
        found, start = list[int](), 0
        for count in self.merged or (1,) * len(index):
            found.append(0)
            for axis in range(start, start + count):
                found[-1] = found[-1] * self.sizes[axis] + index[axis]
            start += count
        return tuple(found)

    def facts(self) -> dict[str, Any]:
        """It as JSON has it."""
        places = [place.facts() for place in self.places]
        more = {"pads": self.pads, "inner": self.inner, "mode": self.mode, "merged": self.merged}
        given = {name: value for name, value in more.items() if value}
        return {"name": self.name, "input": self.input, "places": places, "sizes": list(self.sizes), **given}


@dataclass(frozen=True)
class Cells:
    """The cells that one name in a formula stands for, all of one input."""

    name: str
    input: Input
    cells: tuple[Sizes | None, ...]  # None where padding is not there
    padding: tuple[bool, ...]


@dataclass(frozen=True)
class Form:
    """How a cell of an operation's output comes about.

    Its variables are the indices of the cell, and after them those of its loops. A name in the formula stands for one
    cell, or in a sum, a maximum or a count for all that the loops lead to.
    """

    formula: Formula
    rank: int  # how many axes the output has
    reads: tuple[Read, ...]
    loops: tuple[int | Copies, ...] = ()
    constants: tuple[tuple[str, Any], ...] = ()  # names that stand for a number; `padding` is what padding holds
    before: tuple[tuple[str, Formula], ...] = ()  # names that stand for what a formula comes to
    blocks: tuple[str, ...] = ()  # of a long sum: what its first loop goes through, and what its factors are
    lists: tuple[tuple[str, int, tuple[Any, ...]], ...] = ()  # names, each with a number or several along an axis
    steps: tuple[tuple[str, str], ...] = ()  # those of `before` that are told on the way, and in which words

    @property
    def moves(self) -> bool:
        """Whether the cell is a copy of another."""
        return isinstance(self.formula, str)

    @property
    def follows_one(self) -> bool:
        """Whether it is made of one cell of one main tensor, and of others beside that."""
        mains = [read for read in self.reads if isinstance(read.input, int)]
        return len(mains) == 1 and not any(place.uses(self.rank) for place in mains[0].places)

    def facts(self) -> dict[str, Any]:
        """It as JSON has it: what the page knows of an operation."""
        loops = [each if isinstance(each, int) else each.facts() for each in self.loops]
        reads = [read.facts() for read in self.reads]
        found = {"formula": self.formula, "rank": self.rank, "reads": reads, "loops": loops}
        more = {
            "constants": {name: number_fact(value) for name, value in self.constants},
            "before": self.before,
            "blocks": self.blocks,
            "lists": [(name, axis, list_facts(values)) for name, axis, values in self.lists],
            "steps": self.steps,
        }
        return {**found, **{name: value for name, value in more.items() if value}}

    def cells(self, at: Sizes) -> tuple[Cells, ...]:
        """What a cell is made of, read by read; a read of which nothing is there is left out."""
        return cells_of_form(self, at)

    def made_of(self, at: Sizes) -> Iterator[Cells]:
        """`cells`, worked out."""
        looping = [read for read in self.reads if any(place.uses(self.rank) for place in read.places)]
        single = [read for read in self.reads if read not in looping]
        found: dict[int, list[Spot]] = {id(read): [] for read in self.reads}
        for numbers in self.turns(at) if looping else ():
            there = [read.cell(numbers) for read in looping]
            if all(there):
                for read, cell in zip(looping, there, strict=True):
                    found[id(read)].append(cell)  # type: ignore[arg-type]
        for read in single:
            found[id(read)] = [cell for cell in [read.cell(at)] if cell]
        yield from (cells_of(read, found[id(read)]) for read in self.reads if found[id(read)] or read in looping)

    def turns(self, at: Sizes) -> Iterator[Sizes]:
        """The values of all variables, turn by turn of the loops."""
        ranges = [range(each) if isinstance(each, int) else each.values(at) for each in self.loops]
        yield from ((*at, *numbers) for numbers in product(*ranges))

    def operands(self, at: Sizes, value_at: ValueAt) -> dict[str, list[Operand]]:
        """What the names in the formula stand for."""
        constants = dict(self.constants)
        found = {name: [self.operand(value)] for name, value in constants.items()}
        for name, axis, values in self.lists:
            own = values[at[axis] if len(values) > 1 else 0]
            found[name] = [self.operand(value) for value in (own if isinstance(own, tuple) else (own,))]
        for read in self.cells(at):
            own = found.setdefault(read.name, [])
            for cell, padding in zip(read.cells, read.padding, strict=True):
                value = constants.get("padding", 0) if cell is None else value_at(read.input, cell)
                own.append(self.operand(value, padding))
        for name, of in self.before:
            found[name] = [self.operand(value_of(of, found))]
        return found

    def operand(self, value: Any, padding: bool = False) -> Operand:
        """A number in the formula; where steps are told, with all digits, as the next step rounds it."""
        return Operand(value, padding, precise(value) if self.steps else "")

    def told_steps(self, at: Sizes, value_at: ValueAt) -> list[tuple[str, str]]:
        """What is told on the way: for each step its words, and its formula with numbers and what it comes to.

        A step that has nothing to do, such as a shift by 0, is left out.
        """
        if not self.steps:
            return []
        found, formulas = self.operands(at, value_at), dict(self.before)
        doing = [(name, words) for name, words in self.steps if not is_name(formulas[name], found)]
        return [(words, " = ".join([*told(formulas[name], found), found[name][0].text])) for name, words in doing]

    def value(self, at: Sizes, value_at: ValueAt) -> Any:
        """What the formula comes to: an int, a fraction, or a float that is not finite."""
        return value_of(self.formula, self.operands(at, value_at))

    def text(self, at: Sizes, value_at: ValueAt, name_of: Callable[[Input], str] = str) -> str:
        """The formula with its numbers, without what it comes to; of a copy, the cell that it is one of."""
        if self.moves:
            [read] = [read for read in self.cells(at) if read.name == self.formula]
            if read.cells[0] is not None:
                return f"{name_of(read.input)}[{','.join(map(str, read.cells[0]))}]"
        return " = ".join(told(self.formula, self.operands(at, value_at)))


@lru_cache(maxsize=4)  # one cell is asked for its text, its value and where it reads
def cells_of_form(form: Form, at: Sizes) -> tuple[Cells, ...]:
    """`Form.cells`, of the last cells kept."""
    return tuple(form.made_of(at))


def cells_of(read: Read, cells: Sequence[Spot]) -> Cells:
    """What a read has led to."""
    return Cells(read.name, read.input, tuple(cell.at for cell in cells), tuple(cell.padding for cell in cells))


def number_fact(value: Any) -> Any:
    """A number as JSON has it: whole ones, which it does not hold without end, and what is not finite as texts.

    >>> number_fact(2), number_fact(0.5), number_fact(float("-inf"))
    ('2', 0.5, '-Infinity')
    """
    if isinstance(value, int):
        return str(value)
    if math.isfinite(value):
        return float(value)
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def list_facts(values: Sequence[Any]) -> list[Any]:
    """Numbers, or rows of them, as JSON has them.

    >>> list_facts((2, (3, 0.5)))
    ['2', ['3', 0.5]]
    """
    return [list_facts(value) if isinstance(value, tuple) else number_fact(value) for value in values]


# Those that many operations have


def cellwise(text: str, x: Tensor, per_channel: Sequence[str] = (), channel: int = 1, **constants: Any) -> Form:
    """A form of one cell at the same place, and of one number for its channel for each name.

    >>> import numpy as np
    >>> cellwise("max(0, x)", Tensor("x", (2, 3), np.dtype(int))).value((1, 2), lambda name, at: -7)
    0
    """
    own = tuple(variables(len(x.shape)))
    reads = [Read("x", 0, own, x.shape)]
    reads += [Read(name, name, (own[channel],), (x.shape[channel],)) for name in per_channel]
    return Form(formula(text), len(x.shape), tuple(reads), constants=tuple(constants.items()))


def copied(rank: int, places: Sequence[Place], sizes: Sizes, source: Input = 0) -> Form:
    """A form of a cell that is one elsewhere."""
    return Form("x", rank, (Read("x", source, tuple(places), sizes),))


def along(text: str, x: Tensor, axis: int, before: Sequence[tuple[str, str]] = (), **constants: Any) -> Form:
    """A form of a cell, `own`, and of all along an axis, `x`."""
    rank = len(x.shape)
    axis %= rank
    own, [loop] = variables(rank), variables(1, rank)
    line = (*own[:axis], loop, *own[axis + 1 :])
    reads = (Read("own", 0, tuple(own), x.shape), Read("x", 0, line, x.shape))
    first = tuple((name, formula(of)) for name, of in before)
    return Form(formula(text), rank, reads, (x.shape[axis],), tuple(constants.items()), first)


def windowed(text: str, sizes: Windows, padded: bool = False, **constants: Any) -> Form:
    """A form of the cells of a window, `x`; where those count that are `padded`, with them."""
    rank = sizes.rank + 2
    own, taps = variables(rank), variables(sizes.rank, rank)
    axes = zip(own[2:], taps, sizes.stride, sizes.dilation, sizes.pads, strict=True)
    places = (*own[:2], *(at * stride + tap * dilation - before for at, tap, stride, dilation, (before, _) in axes))
    pads = ((0, 0), (0, 0), *sizes.pads) if padded else ()
    read = Read("x", 0, places, sizes.input_shape, pads)
    return Form(formula(text), rank, (read,), sizes.kernel, tuple(constants.items()))
