"""One output cell of a convolution, taken apart: which pixels met which weights, and what came of it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from operator import add, index
from typing import Any

import numpy as np

from convpipe.errors import ConfigError
from convpipe.execution.bounds import float_bound
from convpipe.geometry.axes import out_letters
from convpipe.geometry.convolution import ConvGeometry
from convpipe.ops.arrays.overflow import Overflow, narrowed
from convpipe.report.accumulated import Held
from convpipe.tensors import Array, Sizes

Rule = tuple[Overflow, np.dtype[Any]]


@dataclass(frozen=True)
class Channel:
    """One channel's part of a cell: what the kernel met, what it weighed, and where it met padding.

    `zero_points` are what is taken from pixels and from weights before they are multiplied.
    """

    number: int
    pixels: Array
    weights: Array
    padding: Array
    zero_points: tuple[int, int] = (0, 0)

    @property
    def raw(self) -> list[tuple[Any, Any]]:
        """Pixel and weight, tap by tap."""
        return list(zip(self.pixels.ravel().tolist(), self.weights.ravel().tolist(), strict=True))

    @property
    def factors(self) -> list[tuple[Any, Any]]:
        """The same, each less its zero point."""
        zx, zw = self.zero_points
        return [(x - zx, w - zw) for x, w in self.raw] if zx or zw else self.raw

    @property
    def products(self) -> list[Any]:
        """Pixel times weight, tap by tap, exact for integers."""
        return [x * w for x, w in self.factors]

    @property
    def total(self) -> Any:
        """The partial sum of this channel."""
        return sum_of(self.factors)


@dataclass(frozen=True)
class Cell:
    """One output cell, taken apart: `indices` are n, f and the position along each spatial axis.

    `overflow` is the rule for its sum; `before` has rule and dtype of the sum without the bias, where another stage
    adds that. `held` is the accumulator, where its rule is no dtype's.
    """

    indices: Sizes
    channels: tuple[Channel, ...]
    bias: Any
    stored: Any
    dtype: np.dtype[Any]
    overflow: Overflow
    before: Rule | None = None
    held: Held | None = None

    def __str__(self) -> str:
        from convpipe.report.cell_text import cell_lines

        return "\n".join(cell_lines(self))

    def __repr__(self) -> str:
        from convpipe.report.cell_text import place, short, verdict

        return f"<Cell {place(self)}: {len(self.channels)} channels = {short(self.total)}, {verdict(self)}>"

    def _repr_html_(self) -> str:
        from convpipe.files import html

        return html.preformatted(str(self))

    @property
    def factors(self) -> list[tuple[Any, Any]]:
        """All pixels and weights, and the bias times 1."""
        bias = [] if self.bias is None else [(self.bias, 1)]
        return [*(pair for channel in self.channels for pair in channel.factors), *bias]

    @property
    def zero_points(self) -> tuple[int, int]:
        """What is taken from each pixel and from each weight."""
        return self.channels[0].zero_points if self.channels else (0, 0)

    @property
    def total(self) -> Any:
        """All partial sums and the bias."""
        found = plain_sum(channel.total for channel in self.channels) + (0 if self.bias is None else self.bias)
        return found if is_finite(found) else sum_of(self.factors)

    @property
    def whole(self) -> int:
        """The sum of integers after the rules, in the order of the stages."""
        if self.held:
            products = [pair for channel in self.channels for pair in channel.factors]
            product = self.held.sum(products, self.zero_points)
            return product if self.bias is None else self.held.whole(product + self.bias)
        if self.before is None:
            return ruled(self.total, (self.overflow, self.dtype))
        product = ruled(sum(channel.total for channel in self.channels), self.before)
        return ruled(product + (self.bias or 0), (self.overflow, self.dtype))

    @property
    def agrees(self) -> bool:
        """Whether the sum, after the overflow rule, is the stored value: of floats, within the rounding bound.

        The stored sum and this one each lie within `execution.bounds.float_bound` of the true one.
        """
        if self.dtype.kind in "iu":
            return bool(self.whole == self.stored)
        with np.errstate(all="ignore"):
            total = float(self.total)
            if self.by_rule or np.array_equal(total, self.stored, equal_nan=True):
                return True
            if not math.isfinite(self.stored) or not all_finite(self.factors):
                return not math.isfinite(self.stored) and not all_finite(self.factors) and self.leaves_on_the_way
            return bool(math.isinf(self.bound) or abs(total - self.stored) <= self.bound)

    @property
    def by_rule(self) -> bool:
        """Whether what is stored is no rounding of a finite sum, but what the rule gives for one beyond the dtype."""
        if self.dtype.kind != "f" or not all_finite(self.factors):
            return False
        total, most, bound = float(self.total), float(np.finfo(self.dtype).max), self.bound
        if self.overflow == "saturate":
            there = bool(abs(self.stored) == most and self.stored * total > 0)
            return there and (abs(total) > most or (math.isinf(bound) and total != self.stored))
        if self.overflow != "inf" or math.isfinite(self.stored):
            return False
        return self.leaves_on_the_way or bool(math.isinf(bound) and self.stored * total > 0)

    @property
    def leaves_on_the_way(self) -> bool:
        """Whether a part of the sum of finite products may be infinite where it was made; the sum may be NaN then."""
        finite = sum(abs(float(x * w)) for x, w in self.factors if is_finite(x) and is_finite(w))
        return finite > float(np.finfo(np.result_type(self.dtype, np.float32)).max)

    @property
    def bound(self) -> float:
        """How far the stored sum and this one may be apart; infinity where the dtype may not hold them."""
        taps = sum(channel.weights.size for channel in self.channels)
        return 2 * float(float_bound(taps, np.array(self.magnitude), self.dtype))

    @property
    def magnitude(self) -> float:
        """sum|x||w| + |bias|, which bounds how rounding can move the sum."""
        parts = sum(abs(float(part)) for channel in self.channels for part in channel.products)
        return parts + abs(float(self.bias or 0))


def ruled(total: int, rule: Rule) -> int:
    """An exact sum after a rule; with ``error`` as it is."""
    overflow, dtype = rule
    return total if overflow == "error" else int(narrowed(np.array([total], object), dtype, overflow)[0])


def is_finite(value: Any) -> bool:
    """Whether a number is neither infinite nor NaN; integers of any size are finite."""
    return isinstance(value, int) or math.isfinite(value)


def all_finite(pairs: Iterable[tuple[Any, Any]]) -> bool:
    """Whether all of the factors are."""
    return all(is_finite(first) and is_finite(second) for first, second in pairs)


def plain_sum(values: Iterable[Any]) -> Any:
    """A sum from left to right, as the page has it: `sum` of Python 3.12 rounds otherwise than that of 3.11.

    >>> plain_sum([0.1] * 10)
    0.9999999999999999
    """
    return reduce(add, values, 0)


def sum_of(factors: Iterable[tuple[Any, Any]]) -> Any:
    """The sum of products, in Python's numbers: where float64 was left on the way, of the exact ones.

    >>> sum_of([(1e308, 2), (1e308, -1.5)]), sum_of([(3, 4)])
    (5e+307, 12)
    """
    pairs = list(factors)
    found = plain_sum(first * second for first, second in pairs)
    if is_finite(found) or not all_finite(pairs):
        return found
    exact = sum(Fraction(first) * Fraction(second) for first, second in pairs)
    try:
        return float(exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def cell_letters(rank: int) -> tuple[str, ...]:
    """What the indices of a cell are called.

    >>> cell_letters(2)
    ('n', 'f', 'out_h', 'out_w')
    """
    return ("n", "f", *out_letters(rank))


def cell_of(
    sizes: ConvGeometry,
    padded: Array,
    filters: Array,
    bias: Array | None,
    feature_map: Array,
    at: Sequence[int],
    overflow: Overflow = "error",
    before: Rule | None = None,
) -> Cell:
    """Take one cell of a convolution apart.

    Args:
        padded: (N, C, H + pads, W + pads), the `pad` stage's array.
        filters: (F, C/G, kh, kw).
        bias: (F,), or none.
        feature_map: (N, out_h, out_w, F).
        at: n, f and the position along each spatial axis.
        overflow: the rule for sums that do not fit the feature map's dtype.
        before: rule and dtype of the sums without the bias, where another stage adds that.

    Raises:
        ConfigError: a cell that is not there.
    """
    check_at(at, sizes)
    n, f, *position = at
    depth = filters.shape[1]
    first = f // (sizes.filters // sizes.groups) * depth
    window = tuple(
        slice(start * stride, start * stride + (kernel - 1) * dilation + 1, dilation)
        for start, stride, kernel, dilation in zip(position, sizes.stride, sizes.kernel, sizes.dilation, strict=True)
    )
    outside = np.pad(np.zeros(sizes.spatial, bool), sizes.pads, constant_values=True)[window]
    channels = tuple(Channel(first + c, padded[(n, first + c, *window)], filters[f, c], outside) for c in range(depth))
    own_bias = None if bias is None else bias[f].item()
    stored = feature_map[(n, *position, f)].item()
    return Cell(tuple(at), channels, own_bias, stored, feature_map.dtype, overflow, before)


def indices_of(at: str | Sequence[int]) -> Sizes:
    """The indices of a cell, from a text with commas between them or from numbers.

    Raises:
        ConfigError: they are no whole numbers.

    >>> indices_of("0,1,-2"), indices_of("(0, 1)"), indices_of((0, 1, 2))
    ((0, 1, -2), (0, 1), (0, 1, 2))
    """
    try:
        indices = tuple(map(int, at.strip(" ()[]").split(","))) if isinstance(at, str) else tuple(map(index, at))
    except (ValueError, TypeError) as error:
        raise ConfigError("--at", at, "whole numbers with commas between them: n,f,y,x") from error
    if not indices:
        raise ConfigError("--at", None, "whole numbers with commas between them: n,f,y,x")
    return indices


def check_at(at: Sequence[int], sizes: ConvGeometry) -> None:
    """The cell is one of the feature map's."""
    check_indices(at, cell_letters(sizes.rank), (sizes.batch, sizes.filters, *sizes.out), "feature map")


def check_indices(at: Sequence[int], letters: Sequence[str], sizes: Sizes, made: str = "output") -> None:
    """The indices are those of a cell.

    Raises:
        ConfigError: there is no such cell.
    """
    got = ",".join(map(str, at))
    if len(at) != len(sizes):
        many = f"{len(sizes)} whole numbers" if len(sizes) > 1 else "one whole number"
        raise ConfigError("--at", got, f"{many}: {','.join(letters)}")
    for place, letter, size in zip(at, letters, sizes, strict=True):
        if not size:
            raise ConfigError("--at", got, f"no cell at all, as the {made} is empty along {letter}")
        if not 0 <= place < size:
            raise ConfigError("--at", got, f"{letter} from 0 to {size - 1}")
