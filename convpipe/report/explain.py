"""How one output cell came about, as the lecture's slide shows it: pixels times weights, channel by channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TextIO

import numpy as np

from convpipe.errors import ConfigError
from convpipe.geometry import AXES, ConvGeometry, Sizes
from convpipe.ops.matmul import narrowed
from convpipe.step import Array

PADDING = "({})"  # a pixel that padding put there


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
        return [x * w for x, w in zip(numbers(self.pixels), numbers(self.weights), strict=True)]

    @property
    def total(self) -> Any:
        """The partial sum of this channel."""
        return sum(self.products)


@dataclass(frozen=True)
class Cell:
    """One output cell, taken apart."""

    n: int
    f: int
    position: Sizes
    channels: tuple[Channel, ...]
    bias: Any
    stored: Any
    dtype: np.dtype[Any]

    @property
    def total(self) -> Any:
        """All partial sums and the bias."""
        return sum(channel.total for channel in self.channels) + (0 if self.bias is None else self.bias)

    @property
    def magnitude(self) -> float:
        """sum|x||w| + |bias|, which bounds how rounding can move the sum."""
        parts = sum(abs(float(part)) for channel in self.channels for part in channel.products)
        return parts + abs(float(self.bias or 0))


def numbers(values: Array) -> list[Any]:
    """The values in C order as Python numbers: whole ones exact at any size."""
    return list(values.reshape(-1).tolist())


def cell_of(
    sizes: ConvGeometry, padded: Array, filters: Array, bias: Array | None, feature_map: Array, at: Sequence[int]
) -> Cell:
    """Take one cell of a convolution apart.

    Args:
        padded: (N, C, H + pads, W + pads), the `pad` stage's array.
        filters: (F, C/G, kh, kw).
        bias: (F,), or none.
        feature_map: (N, out_h, out_w, F).
        at: n, f and the position along each spatial axis.

    Raises:
        ConfigError: a cell that is not there.
    """
    check_at(at, sizes)
    n, f, *position = at
    group = f // (sizes.filters // sizes.groups)
    depth = filters.shape[1]
    window = tuple(
        slice(start * stride, start * stride + (kernel - 1) * dilation + 1, dilation)
        for start, stride, kernel, dilation in zip(position, sizes.stride, sizes.kernel, sizes.dilation, strict=True)
    )
    outside = padding_mask(sizes)[window]
    channels = tuple(
        Channel(c, padded[n, c][window], filters[f, c - group * depth], outside)
        for c in range(group * depth, (group + 1) * depth)
    )
    own_bias = None if bias is None else bias[f].item()
    stored = feature_map[(n, *position, f)].item()
    return Cell(n, f, tuple(position), channels, own_bias, stored, feature_map.dtype)


def check_at(at: Sequence[int], sizes: ConvGeometry) -> None:
    """The cell is one of the feature map's."""
    letters = ("n", "f", *(f"out_{letter.lower()}" for letter in AXES[sizes.rank]))
    most = (sizes.batch, sizes.filters, *sizes.out)
    if len(at) != len(most):
        raise ConfigError("--at", ",".join(map(str, at)), f"{len(most)} whole numbers: {','.join(letters)}")
    for index, letter, size in zip(at, letters, most, strict=True):
        if not 0 <= index < size:
            raise ConfigError("--at", ",".join(map(str, at)), f"{letter} from 0 to {size - 1}")


def padding_mask(sizes: ConvGeometry) -> Array:
    """True where a padded image holds padding."""
    mask = np.ones(sizes.padded, bool)
    inside = (slice(before, before + size) for (before, _), size in zip(sizes.pads, sizes.spatial, strict=True))
    mask[tuple(inside)] = False
    return mask


def agrees(cell: Cell, overflow: str) -> bool:
    """Whether the sum is the stored value: exactly for integers, within the rounding bound for floats.

    The bound is gamma_(K+2) * sum|x||w|, gamma_K = K*u / (1 - K*u), u the unit roundoff (Higham, Accuracy and
    Stability of Numerical Algorithms, 2nd ed., section 3.1); integers are narrowed by the run's overflow rule.
    """
    if cell.dtype.kind in "iu":
        total = np.array([cell.total], object)
        return bool(narrowed(total, cell.dtype, overflow)[0] == cell.stored)  # type: ignore[arg-type]
    if not np.isfinite(cell.stored) or not np.isfinite(float(cell.total)):
        return bool(np.array_equal(float(cell.total), cell.stored, equal_nan=True))
    info = np.finfo(cell.dtype)
    rounding = (sum(len(channel.products) for channel in cell.channels) + 2) * float(info.eps) / 2
    bound = rounding / max(1 - rounding, 0.5) * cell.magnitude + float(info.smallest_subnormal)
    return bool(abs(float(cell.total) - cell.stored) <= bound)


def show_cell(out: TextIO, cell: Cell, overflow: str) -> bool:
    """Print how a cell came about and whether it is the stored value; gives the latter."""
    where = ", ".join([f"n={cell.n}", f"f={cell.f}", *(f"{at}" for at in cell.position)])
    print(f"feature_map[{where}], {cell.dtype}; pixels that padding put there stand in brackets", file=out)
    for channel in cell.channels:
        print(f"\nchannel {channel.number}: pixels, weights, pixels * weights", file=out)
        for line in beside(pixel_rows(channel), text_rows(channel.weights), product_rows(channel)):
            print(f"  {line}", file=out)
        print(f"  sum of channel {channel.number}: {short(channel.total)}", file=out)
    parts = [short(channel.total) for channel in cell.channels]
    parts += [] if cell.bias is None else [f"{short(cell.bias)} (bias)"]
    right = agrees(cell, overflow)
    verdict = "as stored" if right else f"but {short(cell.stored)} is stored"
    print(f"\n{' + '.join(parts)} = {short(cell.total)}, {verdict}", file=out)
    if right and cell.total != cell.stored:
        rule = f"{overflow}s" if cell.dtype.kind in "iu" else "rounds"
        print(f"stored: {short(cell.stored)} ({cell.dtype} {rule})", file=out)
    return right


def pixel_rows(channel: Channel) -> list[list[str]]:
    """The pixels as rows of texts, padding in brackets."""
    marks = channel.padding.reshape(-1).tolist()
    texts = [
        PADDING.format(short(x)) if mark else short(x) for x, mark in zip(numbers(channel.pixels), marks, strict=True)
    ]
    return in_rows(texts, channel.pixels.shape)


def product_rows(channel: Channel) -> list[list[str]]:
    """The products as rows of texts, with the plus signs of the lecture's slide."""
    rows = in_rows([short(part) for part in channel.products], channel.pixels.shape)
    flat = [[f"{text} +" for text in row] for row in rows]
    flat[-1][-1] = flat[-1][-1].removesuffix(" +")
    return flat


def text_rows(values: Array) -> list[list[str]]:
    """Values as rows of texts."""
    return in_rows([short(value) for value in numbers(values)], values.shape)


def in_rows(texts: Sequence[str], shape: Sizes) -> list[list[str]]:
    """Texts in rows as wide as the last axis; kernels of three axes follow one under the other."""
    width = shape[-1]
    return [list(texts[start : start + width]) for start in range(0, len(texts), width)]


def beside(*blocks: list[list[str]]) -> list[str]:
    """Blocks of texts side by side, their columns aligned to the right."""
    lines = []
    widths = [max(len(text) for row in block for text in row) for block in blocks]
    for rows in zip(*blocks, strict=True):
        cells = [" ".join(text.rjust(width) for text in row) for row, width in zip(rows, widths, strict=True)]
        lines.append("   |   ".join(cells))
    return lines


def short(value: Any) -> str:
    """A number for people: whole ones whole, others to six digits.

    >>> short(3), short(0.123456789)
    ('3', '0.123457')
    """
    return str(value) if isinstance(value, int) else f"{value:.6g}"
