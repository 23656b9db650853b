"""The oracle: convolution in plain Python, one product at a time, exact.

Nothing here is shared with the code that it judges: sizes are counted and not computed by formula, padding is
looked up cell by cell, and sums are made of Python integers. A float is a whole number of some 1/2**n, so floats
are summed exactly as well, and rounded to float64 once at the very end.

Everything rests on `links`, the list of products that make a convolution. Whoever adds up those products per
output cell convolves; per input cell, or per weight, they have a gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Index = tuple[int, ...]
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


# Exact numbers


@dataclass(frozen=True)
class Exact:
    """Numbers kept exactly: Python integers, each a number of 1/unit."""

    parts: Array
    unit: int


def exact(values: Array) -> Exact:
    """Integers or finite floats as whole numbers of the largest unit that suits them all.

    >>> exact(np.array([0.5, 3.0])).parts.tolist(), exact(np.array([0.5, 3.0])).unit
    ([1, 6], 2)
    """
    ratios = [value.as_integer_ratio() for value in values.ravel().tolist()]
    unit = max((denominator for _, denominator in ratios), default=1)  # each a power of two
    parts = np.empty(len(ratios), object)
    parts[:] = [numerator * (unit // denominator) for numerator, denominator in ratios]
    return Exact(parts.reshape(values.shape), unit)


def rounded(values: Exact, floats: bool) -> Array:
    """Exact numbers as float64, each rounded once, or left as Python integers."""
    if not floats:
        return values.parts
    flat = [quotient(part, values.unit) for part in values.parts.ravel()]
    return np.array(flat, np.float64).reshape(values.parts.shape)


def quotient(part: int, unit: int) -> float:
    """part / unit, which Python rounds correctly, and infinity where that is too large for a float."""
    try:
        return part / unit
    except OverflowError:
        return math.inf if part > 0 else -math.inf


# Bounds and dtypes


def float_bound(taps: int, magnitude: Array, dtype: Any) -> Array:
    """How far a float convolution may lie from the true value, whatever the order of its sum.

    A sum of K products has an error of at most gamma_K * sum|x||w|, where gamma_n = n*u / (1 - n*u) and u is the
    unit roundoff of the accumulator (N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd edition,
    SIAM 2002, section 3.1). Two more roundings go into gamma_(K+2): adding the bias, and those in the oracle and
    in this bound. Beside that: rounding to `dtype`, and for each product and the result the spacing of the
    subnormals, since below them a relative bound does not hold.

    Args:
        taps: K, how many products one sum has.
        magnitude: sum|x||w| + |bias| of each sum, from `magnitude`.
        dtype: float16, float32 or float64, of the result. Sums are made in it, float16's in float32, or wider;
            operands must be exact in there.

    Returns:
        An array like `magnitude`, float64; infinity where a partial sum may overflow.

    >>> float(float_bound(1, np.array(1.0), "float64")) < 5e-16
    True
    """
    result, accumulator = np.finfo(dtype), np.finfo(np.result_type(dtype, np.float32))
    unit = float(accumulator.eps) / 2
    gamma = (taps + 2) * unit / (1 - (taps + 2) * unit)
    sums = np.asarray(magnitude, np.float64)
    tiny = (taps + 1) * float(accumulator.smallest_subnormal) + float(result.smallest_subnormal)
    with np.errstate(over="ignore"):
        errors = gamma * sums + (1 + gamma) * sums * float(result.eps) / 2 + tiny
        return np.where(sums + errors < float(result.max), errors, np.inf)


def narrow(values: Array, dtype: Any, overflow: str) -> Array:
    """Python integers in an integer dtype, after the rule for those that do not fit.

    Args:
        values: any shape, dtype object.
        dtype: an integer dtype.
        overflow: ``error``, ``wrap`` (modulo 2**bits) or ``saturate`` (the nearest value that fits).

    Returns:
        An array like `values`, of `dtype`.

    Raises:
        OverflowError: with ``error``, a value that does not fit.

    >>> narrow(np.array([300, -1], object), "uint8", "wrap").tolist()
    [44, 255]
    """
    rule = {"error": fits, "wrap": wrap, "saturate": saturate}[overflow]
    flat = [rule(int(value), *limits(np.dtype(dtype))) for value in values.ravel()]
    return np.array(flat, dtype).reshape(values.shape)


def limits(dtype: np.dtype[Any]) -> tuple[int, int]:
    """The smallest and the largest value of an integer dtype.

    >>> limits(np.dtype("int8")), limits(np.dtype("uint8"))
    ((-128, 127), (0, 255))
    """
    bits = 8 * dtype.itemsize
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dtype.kind == "i" else (0, 2**bits - 1)


def fits(value: int, low: int, high: int) -> int:
    """The value, if it lies in the range."""
    if not low <= value <= high:
        raise OverflowError(f"{value} is not in {low} to {high}")
    return value


def wrap(value: int, low: int, high: int) -> int:
    """The value in the range that differs by a multiple of the range's length."""
    return low + (value - low) % (high - low + 1)


def saturate(value: int, low: int, high: int) -> int:
    """The nearest value in the range."""
    return min(max(value, low), high)


# Backwards: the same products, added up per input cell or per weight


def conv_transpose(
    x: Array,
    w: Array,
    bias: Array | None = None,
    *,
    stride: Any = 1,
    pad: Any = 0,
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Array:
    """Convolve a batch with filters, transposed, exactly and slowly: every cell is scattered over every tap.

    Args:
        x: (N, C, spatial...), one to three spatial axes, integers or finite floats.
        w: (C, F/G, kernel...), likewise.
        bias: (F,), likewise.
        stride, dilation, output_padding: one number, or one per axis.
        pad: how much to crop: one number, one per axis, or one pair [before, after] per axis.
        groups: G; channels of group g are scattered over the g-th part of the filters only.

    Returns:
        (N, F, out...): Python integers (dtype object) of integers; with any float, the true value rounded once
        to float64.

    >>> conv_transpose(np.array([[[1, 2]]]), np.array([[[1, 10, 100]]]), stride=2).tolist()
    [[[1, 10, 102, 20, 200]]]
    """
    rank, filters = x.ndim - 2, w.shape[1] * groups
    steps = list(zip(spread(stride, rank), spread(dilation, rank), strict=True))
    offsets = np.zeros(filters, np.int64) if bias is None else bias
    cells, weights, start = exact(x), exact(w), exact(offsets)
    befores, sizes = cropped(x.shape[2:], w.shape[2:], steps, pad, output_padding)
    sums = np.zeros((x.shape[0], filters, *sizes), object)
    for cell, tap, (number, filter_, *reached) in scattered(x.shape, w.shape, steps, groups):
        place = [at - before for at, before in zip(reached, befores, strict=True)]
        if all(0 <= at < size for at, size in zip(place, sizes, strict=True)):
            sums[(number, filter_, *place)] += cells.parts[cell] * weights.parts[tap]
    unit = cells.unit * weights.unit
    for filter_, offset in enumerate(start.parts):
        sums[:, filter_] = sums[:, filter_] * start.unit + offset * unit
    return rounded(Exact(sums, unit * start.unit), any(operand.dtype.kind == "f" for operand in (x, w, offsets)))


def scattered(x_shape: Index, w_shape: Index, steps: list[Any], groups: int) -> Iterator[tuple[Index, Index, Index]]:
    """Every product of a transposed convolution: its input cell, its weight, the cell (n, f, ...) that it reaches."""
    channels, depth, *kernel = w_shape
    for number, channel, *cell in np.ndindex(x_shape):
        first_filter = channel * groups // channels * depth
        for filter_, *tap in np.ndindex(depth, *kernel):
            reached = [scatter(*row, *step) for row, step in zip(zip(cell, tap, strict=True), steps, strict=True)]
            weight, place = (channel, filter_, *tap), (number, first_filter + filter_, *reached)
            yield (number, channel, *cell), weight, place


def cropped(
    spatial: Index, kernel: Index, steps: list[Any], pad: Any, output_padding: Any
) -> tuple[list[int], list[int]]:
    """How many cells are cropped before each axis of a transposed convolution, and the size that is left."""
    rank = len(spatial)
    pairs = [spread(pair, 2) for pair in spread(pad, rank)]
    rows = zip(spatial, kernel, steps, pairs, spread(output_padding, rank), strict=True)
    sizes = [
        scatter(size - 1, taps - 1, *step) + 1 - before - after + more
        for size, taps, step, (before, after), more in rows
    ]
    return [before for before, _ in pairs], sizes


def scatter(cell: int, tap: int, stride: int, dilation: int) -> int:
    """Where along one axis a tap carries an input cell, before anything is cropped.

    >>> scatter(2, 1, stride=3, dilation=2)
    8
    """
    return cell * stride + tap * dilation


def conv_grad(x: Array, w: Array, grad: Array, **settings: Any) -> tuple[Array, Array, Array]:
    """The gradients of sum(grad * conv(x, w, bias)) with respect to x, w and bias, from the definition.

    Args:
        x, w, settings: as for `conv`.
        grad: (N, F, out...), integers or finite floats.

    Returns:
        Arrays like x, w and (F,): each Python integers where the arrays that it is made of are integers, else the
        true value rounded once to float64. Those are grad and w, x and grad, grad alone.

    >>> grads = conv_grad(np.array([[[1, 2, 3]]]), np.array([[[10, 1]]]), np.array([[[1, -1]]]))
    >>> [values.tolist() for values in grads]
    [[[[10, -9, -1]]], [[[-1, -1]]], [0]]
    """
    chosen = Settings(**settings)
    image, weights, slopes = exact(np.append(x, np.asarray(chosen.pad_value, x.dtype))), exact(w), exact(grad)
    cells, outside = image.parts[:-1].reshape(x.shape), image.parts[-1]
    of_x, of_w, of_bias = np.zeros(x.shape, object), np.zeros(w.shape, object), np.zeros(w.shape[0], object)
    for out, cell, tap in links(x.shape, w.shape, chosen):
        of_w[tap] += slopes.parts[out] * (outside if cell is None else cells[cell])
        if cell is not None:
            of_x[cell] += slopes.parts[out] * weights.parts[tap]
    for out in np.ndindex(grad.shape):
        of_bias[out[1]] += slopes.parts[out]
    floats = [array.dtype.kind == "f" for array in (x, w, grad)]
    return (
        rounded(Exact(of_x, slopes.unit * weights.unit), floats[1] or floats[2]),
        rounded(Exact(of_w, slopes.unit * image.unit), floats[0] or floats[2]),
        rounded(Exact(of_bias, slopes.unit), floats[2]),
    )
