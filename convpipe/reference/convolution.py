"""The oracle: convolution in plain Python, one product at a time, exact.

Nothing here is shared with the code that it judges: sizes are counted and not computed by formula, padding is
looked up cell by cell, and sums are made of Python integers. A float is a whole number of some 1/2**n, so floats
are summed exactly as well, and rounded to float64 once at the very end.

Everything rests on `links`, the list of products that make a convolution. Whoever adds up those products per
output cell convolves; per input cell, or per weight, they have a gradient.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from convpipe.reference.numbers import Array, Exact, Index, exact, rounded

Link = tuple[Index, Index | None, Index]  # output cell, input cell (None: padding), weight
Axis = list[list[int | None]]  # [output position][kernel tap] -> input cell, None in the padding


@dataclass(frozen=True)
class Settings:
    """The keyword arguments of `conv`, as its caller wrote them."""

    stride: Any = 1
    pad: Any = 0
    dilation: Any = 1
    groups: int = 1
    pad_mode: str = "constant"
    pad_value: float = 0


def conv(
    x: Array,
    w: Array,
    bias: Array | None = None,
    *,
    stride: Any = 1,
    pad: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    pad_mode: str = "constant",
    pad_value: float = 0,
) -> Array:
    """Convolve a batch with filters, exactly and slowly.

    Args:
        x: (N, C, spatial...), one to three spatial axes, integers or finite floats.
        w: (F, C/G, kernel...), likewise.
        bias: (F,), likewise.
        stride, dilation: one number, or one per axis.
        pad: one number, one per axis, one pair [before, after] per axis, ``valid``, ``same`` or ``same_lower``.
        groups: G; filters of group g read only the g-th part of the channels.
        pad_mode: ``constant``, ``reflect``, ``edge`` or ``wrap``, as in numpy.pad.
        pad_value: what ``constant`` reads outside, rounded to the dtype of `x`.

    Returns:
        (N, F, out...): Python integers (dtype object) of integers; with any float, the true value rounded once
        to float64.

    >>> conv(np.array([[[1, 2, 3]]]), np.array([[[10, 1]]])).tolist()
    [[[12, 23]]]
    """
    settings = Settings(stride, pad, dilation, groups, pad_mode, pad_value)
    return convolve(x, w, bias, settings, lambda value: value)


def magnitude(x: Array, w: Array, bias: Array | None = None, **settings: Any) -> Array:
    """The convolution of |x| with |w| plus |bias|, to which every error bound is proportional.

    Args:
        x, w, bias, settings: as for `conv`.

    Returns:
        (N, F, out...), of the dtype that `conv` gives.

    >>> magnitude(np.array([[[1, -2, 3]]]), np.array([[[10, -1]]])).tolist()
    [[[12, 23]]]
    """
    return convolve(x, w, bias, Settings(**settings), abs)


def convolve(x: Array, w: Array, bias: Array | None, settings: Settings, sign: Callable[[Any], Any]) -> Array:
    """`conv` of operands that `sign` has been applied to."""
    fill = np.asarray(settings.pad_value, x.dtype)
    offsets = np.zeros(w.shape[0], np.int64) if bias is None else bias
    image, weights, start = exact(np.append(x, fill)), exact(w), exact(offsets)
    cells, outside = sign(image.parts[:-1].reshape(x.shape)), sign(image.parts[-1])
    factors, unit = sign(weights.parts), image.unit * weights.unit
    sums = np.zeros(out_shape(x.shape, w.shape, settings), object)
    for out, cell, tap in links(x.shape, w.shape, settings):
        sums[out] += (outside if cell is None else cells[cell]) * factors[tap]
    for filter_, offset in enumerate(sign(start.parts)):
        sums[:, filter_] = sums[:, filter_] * start.unit + offset * unit
    floats = any(operand.dtype.kind == "f" for operand in (x, w, offsets))
    return rounded(Exact(sums, unit * start.unit), floats)


def col2im(columns: Array, shape: Index, kernel: Index, **settings: Any) -> Array:
    """Add every entry of a column matrix to the cell of the image that it was read from.

    Args:
        columns: (N*out_h*out_w, C*kh*kw), or with one or three spatial axes.
        shape: (N, C, spatial...) of the image.
        kernel: one size per spatial axis.
        settings: stride, pad and dilation, as for `conv`.

    Returns:
        (N, C, spatial...): Python integers of integers, the true value rounded once to float64 of floats.

    >>> col2im(np.ones((2, 2), int), (1, 1, 3), (2,)).tolist()
    [[[1, 2, 1]]]
    """
    one_filter = (1, shape[1], *kernel)
    batch, _, *out = out_shape(shape, one_filter, Settings(**settings))
    entries = exact(columns)
    rows = entries.parts.reshape(batch, *out, shape[1], *kernel)
    image = np.zeros(shape, object)
    for (number, _, *position), cell, (_, *tap) in links(shape, one_filter, Settings(**settings)):
        if cell is not None:
            image[cell] += rows[(number, *position, *tap)]
    return rounded(Exact(image, entries.unit), columns.dtype.kind == "f")


# Which products there are


def links(x_shape: Index, w_shape: Index, settings: Settings) -> Iterator[Link]:
    """Every product of a convolution: the output cell it counts for, its input cell, its weight.

    >>> list(links((1, 1, 2), (1, 1, 1), Settings()))
    [((0, 0, 0), (0, 0, 0), (0, 0, 0)), ((0, 0, 1), (0, 0, 1), (0, 0, 0))]
    """
    axes = spatial_axes(x_shape, w_shape, settings)
    filters, depth, *kernel = w_shape
    for number in range(x_shape[0]):
        for filter_ in range(filters):
            first_channel = filter_ * settings.groups // filters * depth
            for position in product(*(range(len(axis)) for axis in axes)):
                for channel in range(depth):
                    for tap in product(*map(range, kernel)):
                        cell = meeting(axes, position, tap)
                        source = None if cell is None else (number, first_channel + channel, *cell)
                        yield (number, filter_, *position), source, (filter_, channel, *tap)


def meeting(axes: list[Axis], position: Index, tap: Index) -> Index | None:
    """The input cell that a tap meets at an output position, None in the padding."""
    cell = []
    for axis, at, step in zip(axes, position, tap, strict=True):
        along = axis[at][step]
        if along is None:
            return None
        cell.append(along)
    return tuple(cell)


def out_shape(x_shape: Index, w_shape: Index, settings: Settings) -> Index:
    """(N, F, out...), the positions along each axis counted."""
    return (x_shape[0], w_shape[0], *map(len, spatial_axes(x_shape, w_shape, settings)))


def spatial_axes(x_shape: Index, w_shape: Index, settings: Settings) -> list[Axis]:
    """What meets what along each spatial axis."""
    rank = len(x_shape) - 2
    strides, dilations = spread(settings.stride, rank), spread(settings.dilation, rank)
    pads = [settings.pad] * rank if isinstance(settings.pad, str) else spread(settings.pad, rank)
    rows = zip(x_shape[2:], w_shape[2:], strides, dilations, pads, strict=True)
    return [axis_cells(*row, settings.pad_mode) for row in rows]


def spread(value: Any, rank: int) -> list[Any]:
    """One value for each axis."""
    return list(value) if isinstance(value, list | tuple) else [value] * rank


def axis_cells(size: int, kernel: int, stride: int, dilation: int, pad: Any, mode: str) -> Axis:
    """For each output position and tap of one axis, the input cell they meet.

    >>> axis_cells(3, kernel=2, stride=1, dilation=1, pad=(1, 0), mode="constant")
    [[None, 0], [0, 1], [1, 2]]
    """
    before, after = sides(size, kernel, stride, dilation, pad)
    return [
        [source(start + tap * dilation - before, size, mode) for tap in range(kernel)]
        for start in starts(before + size + after, kernel, stride, dilation)
    ]


def starts(size: int, kernel: int, stride: int, dilation: int) -> list[int]:
    """Where a kernel can be laid along an axis with its last tap still inside, counted one by one."""
    return [start for start in range(0, size, stride) if start + dilation * (kernel - 1) < size]


def sides(size: int, kernel: int, stride: int, dilation: int, pad: Any) -> tuple[int, int]:
    """Padding before and after one axis; ``same`` is the least that gives ceil(size / stride) positions."""
    if pad == "valid":
        return 0, 0
    if pad not in ("same", "same_lower"):
        before, after = spread(pad, 2)
        return before, after
    total = 0
    while len(starts(size + total, kernel, stride, dilation)) < math.ceil(size / stride):
        total += 1
    smaller, larger = total // 2, total - total // 2
    return (larger, smaller) if pad == "same_lower" else (smaller, larger)


def source(position: int, size: int, mode: str) -> int | None:
    """The cell whose value is read at a position, which may lie outside; None where the padding value is.

    >>> [source(position, 3, "reflect") for position in (-2, -1, 0, 3)]
    [2, 1, 0, 1]
    """
    if 0 <= position < size:
        return position
    if mode == "constant":
        return None
    if mode == "edge":
        return 0 if position < 0 else size - 1
    if mode == "wrap":
        return position % size
    if mode == "reflect":
        return -position if position < 0 else 2 * (size - 1) - position
    raise ValueError(f"pad_mode {mode}: expected constant, reflect, edge or wrap")
