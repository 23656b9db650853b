"""Where a cell is read: whole numbers that follow from a cell's own indices and from those that a loop goes through.

The page has the same arithmetic in `forms.mjs`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from convpipe.tensors import Sizes

Term = tuple[int, int, int, int]  # a variable, by its number: times * (variable // by % modulo), modulo 0 for none


@dataclass(frozen=True)
class Place:
    """An index along one axis: base + its terms, which has to be divisible by `over` and is divided by that.

    Variables are numbered: those of the cell come first, those of the loops after them.

    >>> y, i = variables(2)
    >>> (y * 2 + i - 1).at((3, 1)), (y // 4 * 10 + y % 4).at((7, 0)), ((y - i) / 2).at((3, 0))
    (6, 13, None)
    """

    base: int = 0
    terms: tuple[Term, ...] = ()
    over: int = 1

    def at(self, variables: Sizes) -> int | None:
        """The index, or None where it is not divisible."""
        sums = self.base
        for variable, times, by, modulo in self.terms:
            part = variables[variable] // by
            sums += times * (part % modulo if modulo else part)
        return None if sums % self.over else sums // self.over

    def uses(self, first: int) -> bool:
        """Whether a variable from that number on is one of its own."""
        return any(variable >= first for variable, *_ in self.terms)

    def __add__(self, other: Place | int) -> Place:
        """The sum."""
        if isinstance(other, int):
            return Place(self.base + other, self.terms)
        return Place(self.base + other.base, self.terms + other.terms)

    def __sub__(self, other: Place | int) -> Place:
        """The difference."""
        return self + other * -1

    def __mul__(self, times: int) -> Place:
        """So many times it."""
        return Place(
            self.base * times, tuple((which, each * times, by, modulo) for which, each, by, modulo in self.terms)
        )

    def __floordiv__(self, by: int) -> Place:
        """A variable's quotient, rounded down."""
        [(variable, times, before, modulo)] = self.terms
        assert (self.base, times, modulo) == (0, 1, 0), "only of a variable"
        return Place(0, ((variable, 1, before * by, 0),))

    def __mod__(self, modulo: int) -> Place:
        """The remainder of a variable, or of its quotient."""
        [(variable, times, by, before)] = self.terms
        assert (self.base, times, before) == (0, 1, 0), "only of a variable, or of its quotient"
        return Place(0, ((variable, 1, by, modulo),))

    def __truediv__(self, over: int) -> Place:
        """The quotient where it is whole, or else no index at all."""
        return Place(self.base, self.terms, over)

    def facts(self) -> list[Any]:
        """It as JSON has it."""
        return [self.base, [list(term) for term in self.terms], self.over]


def variables(count: int, first: int = 0) -> list[Place]:
    """Variables by their numbers."""
    return [Place(0, ((first + number, 1, 1, 0),)) for number in range(count)]


def unravelled(place: Place, shape: Sizes) -> list[Place]:
    """The indices of an array of a shape, from the index among all of its cells; see `numpy.unravel_index`.

    >>> [place.at((5,)) for place in unravelled(*variables(1), (2, 3))]
    [1, 2]
    """
    found, by = list[Place](), 1
    for size in reversed(shape):
        found.insert(0, place // by % max(size, 1))
        by *= max(size, 1)
    return found


def ravelled(places: list[Place], shape: Sizes) -> Place:
    """The index among all cells of an array of a shape."""
    found = Place()
    for place, size in zip(places, shape, strict=True):
        found = found * size + place
    return found


@dataclass(frozen=True)
class Copies:
    """A loop through those padded cells of an axis that hold what one cell of it holds, by the mode of the padding.

    >>> Copies(5, "edge", before=2, size=3, of=0).values((0,)), Copies(5, "reflect", 1, 3, 0).values((1,))
    ([0, 1, 2], [0, 2, 4])
    """

    padded: int
    mode: str
    before: int
    size: int
    of: int  # the variable that is the index of that cell

    def values(self, variables: Sizes) -> list[int]:
        """The indices of those cells."""
        there, own = range(self.padded), variables[self.of]
        return [place for place in there if folded(self.mode, place - self.before, self.size) == own]

    def facts(self) -> list[Any]:
        """It as JSON has it."""
        return [self.padded, self.mode, self.before, self.size, self.of]


def folded(mode: str, place: int, size: int) -> int:
    """Which cell of an axis stands at an index that may lie outside, by the mode of its padding.

    >>> [folded("reflect", place, 3) for place in range(-2, 5)], folded("wrap", -1, 3), folded("edge", 7, 3)
    ([2, 1, 0, 1, 2, 1, 0], 2, 2)
    """
    if mode == "edge":
        return min(max(place, 0), size - 1)
    if mode == "wrap":
        return place % size
    period = max(2 * (size - 1), 1)
    within = place % period
    return within if within < size else period - within
