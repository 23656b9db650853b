"""One output cell of a convolution, taken apart: which pixels met which weights, and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import index
from typing import Any

import numpy as np

from convpipe.errors import ConfigError
from convpipe.execution.bounds import float_bound
from convpipe.geometry.axes import out_letters
from convpipe.geometry.convolution import ConvGeometry
from convpipe.ops.arrays.overflow import Overflow, narrowed
from convpipe.tensors import Array, Sizes


@dataclass(frozen=True)
class Channel:
    """One channel's part of a cell: what the kernel met, what it weighed, and where it met padding."""

    number: int
    pixels: Array
    weights: Array
    padding: Array

    @property
    def products(self) -> list[Any]:
        """Pixel times weight, tap by tap, exact for integers."""
        return [x * w for x, w in zip(self.pixels.ravel().tolist(), self.weights.ravel().tolist(), strict=True)]

    @property
    def total(self) -> Any:
        """The partial sum of this channel."""
        return sum(self.products)


@dataclass(frozen=True)
class Cell:
    """One output cell, taken apart: `indices` are n, f and the position along each spatial axis."""

    indices: Sizes
    channels: tuple[Channel, ...]
    bias: Any
    stored: Any
    dtype: np.dtype[Any]
    overflow: Overflow

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
    def total(self) -> Any:
        """All partial sums and the bias."""
        return sum(channel.total for channel in self.channels) + (0 if self.bias is None else self.bias)

    @property
    def agrees(self) -> bool:
        """Whether the sum, after the overflow rule, is the stored value: of floats, within the rounding bound.

        The stored sum and this one each lie within `execution.bounds.float_bound` of the true one.
        """
        if self.dtype.kind in "iu":
            total = self.total
            if self.overflow != "error":
                total = narrowed(np.array([total], object), self.dtype, self.overflow)[0].item()
            return bool(total == self.stored)
        with np.errstate(all="ignore"):
            total = float(self.total)
            if self.beyond:
                most = np.finfo(self.dtype).max if self.overflow == "saturate" else np.inf
                return bool(self.stored in (total, np.copysign(most, total)))
            if not np.isfinite(total):
                return bool(np.array_equal(total, self.stored, equal_nan=True))
            taps = sum(channel.weights.size for channel in self.channels)
            bound = 2 * float_bound(taps, np.array(self.magnitude), self.dtype)
            return bool(np.isposinf(bound) or abs(total - self.stored) <= bound)

    @property
    def beyond(self) -> bool:
        """Whether the sum is a float that is outside of its dtype, where a rule says what is stored for it."""
        floats = self.dtype.kind == "f" and self.overflow in ("saturate", "inf")
        return floats and abs(float(self.total)) > float(np.finfo(self.dtype).max)

    @property
    def magnitude(self) -> float:
        """sum|x||w| + |bias|, which bounds how rounding can move the sum."""
        parts = sum(abs(float(part)) for channel in self.channels for part in channel.products)
        return parts + abs(float(self.bias or 0))


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
) -> Cell:
    """Take one cell of a convolution apart.

    Args:
        padded: (N, C, H + pads, W + pads), the `pad` stage's array.
        filters: (F, C/G, kh, kw).
        bias: (F,), or none.
        feature_map: (N, out_h, out_w, F).
        at: n, f and the position along each spatial axis.
        overflow: the rule for sums that do not fit the feature map's dtype.

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
    return Cell(tuple(at), channels, own_bias, stored, feature_map.dtype, overflow)


def indices_of(at: str | Sequence[int]) -> Sizes:
    """The indices of a cell, from a text with commas between them or from numbers.

    Raises:
        ConfigError: they are no whole numbers.

    >>> indices_of("0,1,-2"), indices_of((0, 1, 2))
    ((0, 1, -2), (0, 1, 2))
    """
    try:
        indices = tuple(map(int, at.split(","))) if isinstance(at, str) else tuple(map(index, at))
    except (ValueError, TypeError) as error:
        raise ConfigError("--at", at, "whole numbers with commas between them: n,f,y,x") from error
    if not indices:
        raise ConfigError("--at", None, "whole numbers with commas between them: n,f,y,x")
    return indices


def check_at(at: Sequence[int], sizes: ConvGeometry) -> None:
    """The cell is one of the feature map's."""
    letters, most = cell_letters(sizes.rank), (sizes.batch, sizes.filters, *sizes.out)
    got = ",".join(map(str, at))
    if len(at) != len(most):
        raise ConfigError("--at", got, f"{len(most)} whole numbers: {','.join(letters)}")
    for place, letter, size in zip(at, letters, most, strict=True):
        if not size:
            raise ConfigError("--at", got, f"no cell at all, as the feature map is empty along {letter}")
        if not 0 <= place < size:
            raise ConfigError("--at", got, f"{letter} from 0 to {size - 1}")
