"""How columns lie and how they are cut: what a row of them holds, in which order, and the tiles of an array."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal, TypeVar

from convpipe.tensors import Sizes

T = TypeVar("T")

# Named as for images; of one or three spatial axes the taps are as many. With groups the order is that in each group,
# whose cells stay together: the product of a group reads one block of the columns.
Order = Literal["C,kh,kw", "kh,kw,C"]
ORDERS: tuple[Order, ...] = ("C,kh,kw", "kh,kw,C")
CHANNELS_FIRST, TAPS_FIRST = ORDERS


@dataclass(frozen=True)
class Tile:
    """The size of the array that columns and filters are cut for."""

    rows: int  # of the columns
    taps: int  # of a row of the columns, and of a filter: K
    filters: int


@dataclass(frozen=True)
class Columns:
    """How the columns of a convolution lie, and how they are cut, if they are."""

    order: Order = ORDERS[0]
    tile: Tile | None = None


AS_USUAL = Columns()


@dataclass(frozen=True)
class Patch:
    """What a row of the columns holds: the cells that a kernel meets at one position, in some order."""

    channels: int
    kernel: Sizes
    groups: int = 1
    order: Order = ORDERS[0]

    @property
    def split(self) -> bool:
        """Whether the groups are an axis of their own; channels that come first are in groups as they are."""
        return self.groups > 1 and self.order == TAPS_FIRST

    @property
    def shape(self) -> Sizes:
        """The axes of a row.

        >>> Patch(6, (3, 3), groups=2).shape, Patch(6, (3, 3), groups=2, order="kh,kw,C").shape
        ((6, 3, 3), (2, 3, 3, 3))
        """
        if self.split:
            return (self.groups, *arranged(self.order, self.channels // self.groups, self.kernel))
        return arranged(self.order, self.channels, self.kernel)

    @property
    def of_group(self) -> "Patch":
        """What one group has of it: a row of the filter matrix, too."""
        return Patch(self.channels // self.groups, self.kernel, 1, self.order)

    @property
    def size(self) -> int:
        """C*kh*kw, how many cells it has."""
        return self.channels * prod(self.kernel)

    @property
    def channel_axis(self) -> int:
        """The axis of a row along which channels lie, after that of the groups if there is one."""
        return int(self.split) + (len(self.kernel) if self.order == TAPS_FIRST else 0)

    def letters(self, channel: str, taps: Sequence[str]) -> str:
        """What a row is called, given what a channel of all and the taps are.

        >>> Patch(6, (3,), order="kh,kw,C").letters("C", ["kw"]), Patch(6, (3,), 2, "kh,kw,C").letters("C", ["kw"])
        ('kw*C', 'G*kw*C/G')
        """
        if self.split:
            return "*".join(("G", *arranged(self.order, f"{channel}/G", taps)))
        return "*".join(arranged(self.order, channel, taps))


def arranged(order: Order, channel: T, taps: Sequence[T]) -> tuple[T, ...]:
    """What belongs to a channel and to each tap, in an order.

    >>> arranged("kh,kw,C", "C", ("kd", "kh", "kw"))
    ('kd', 'kh', 'kw', 'C')
    """
    return (*taps, channel) if order == TAPS_FIRST else (channel, *taps)


def taken_apart(order: Order, parts: Sequence[T]) -> tuple[T, tuple[T, ...]]:
    """The channel's part and the taps', of parts in an order: the inverse of `arranged`.

    >>> taken_apart("kh,kw,C", (1, 2, 9)), taken_apart("C,kh,kw", (9, 1, 2))
    ((9, (1, 2)), (9, (1, 2)))
    """
    if order == TAPS_FIRST:
        return parts[-1], tuple(parts[:-1])
    return parts[0], tuple(parts[1:])
