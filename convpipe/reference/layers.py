"""The oracle of the layers beside convolution: plain Python, one cell at a time.

As in `convolution` beside it, nothing is shared with the code that it judges: windows are counted and not computed by
formula, sums are made of exact fractions, and what is no fraction comes from `math`. Results are Python numbers
(dtype object) where they are exact, else float64.
"""

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

from convpipe.reference.convolution import conv, sides, spread, starts
from convpipe.reference.numbers import Array, Index, limits
from convpipe.reference.rules import nearest

Cells = list[int | None]  # what one window holds along one axis: input cells, None for padding; no overhang


# Pooling


def max_pool(
    x: Array, kernel: Any, *, stride: Any = None, pad: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Array:
    """The largest input cell of each window; what nothing is less than, where a window has none.

    >>> max_pool(np.array([[[1, 5, 2]]]), 2, stride=1).tolist()
    [[[5, 5]]]
    """
    least = -math.inf if x.dtype.kind == "f" else limits(x.dtype)[0]
    axes = spatial_windows(x.shape, kernel, stride, pad, dilation, ceil_mode)
    return per_window(x, axes, lambda real, _: max(real, default=least))


def avg_pool(
    x: Array,
    kernel: Any,
    *,
    stride: Any = None,
    pad: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    dilation: Any = 1,
    rounding: str | None = None,
    zero_point: int = 0,
) -> Array:
    """The mean of each window, rounded once to float64; NaN where nothing counts.

    With a `rounding` it is a whole number instead, and padding that counts holds `zero_point`.

    >>> avg_pool(np.array([[[1, 5, 2]]]), 2, stride=1).tolist()
    [[[3.0, 3.5]]]
    >>> avg_pool(np.array([[[1, 5, 2]]]), 2, stride=1, rounding="half_away").tolist()
    [[[3, 4]]]
    """
    axes = spatial_windows(x.shape, kernel, stride, pad, dilation, ceil_mode)
    if rounding is not None:
        return per_window(x, axes, lambda real, cells: whole_mean(real, cells, count_include_pad, rounding, zero_point))
    return per_window(x, axes, lambda real, cells: mean(real, cells if count_include_pad else len(real))).astype(
        np.float64
    )


def mean(values: list[Any], count: int) -> float:
    """An exact sum, divided by a count and rounded once."""
    return float(sum(map(Fraction, values), Fraction(0)) / count) if count else math.nan


def whole_mean(real: list[int], cells: int, include_pad: bool, mode: str, zero_point: int) -> int:
    """The mean of a window's input cells, perhaps with those of its padding, as a whole number."""
    values = real + [zero_point] * (cells - len(real)) * include_pad
    value = Fraction(sum(values), len(values))
    below = math.floor(value)
    if mode in ("floor", "zero", "odd"):
        up = {"floor": False, "zero": value < 0, "odd": below % 2 == 0}[mode]
        return below + (value != below and up)
    return nearest(value, mode)


def per_window(x: Array, axes: list[list[Cells]], function: Callable[[list[Any], int], Any]) -> Array:
    """A function of each window's input cells and of how many cells it has with its padding."""
    result = np.empty((*x.shape[:2], *map(len, axes)), object)
    for number, channel, *position in np.ndindex(result.shape):
        window = list(product(*(axis[at] for axis, at in zip(axes, position, strict=True))))
        real = [x[(number, channel, *cell)].item() for cell in window if None not in cell]
        result[(number, channel, *position)] = function(real, len(window))
    return result


def spatial_windows(
    shape: Index, kernel: Any, stride: Any, pad: Any, dilation: Any, ceil_mode: bool
) -> list[list[Cells]]:
    """The windows along each spatial axis."""
    rank = len(shape) - 2
    pads = [pad] * rank if isinstance(pad, str) else spread(pad, rank)
    settings = [spread(value, rank) for value in (kernel, kernel if stride is None else stride, dilation)]
    axes: Iterator[tuple[Any, ...]] = zip(shape[2:], *settings, pads, strict=True)
    return [axis_windows(*axis, ceil_mode=ceil_mode) for axis in axes]


def axis_windows(size: int, kernel: int, stride: int, dilation: int, pad: Any, *, ceil_mode: bool) -> list[Cells]:
    """What each window holds along one axis.

    >>> axis_windows(3, kernel=2, stride=2, dilation=1, pad=0, ceil_mode=True)
    [[0, 1], [2]]
    """
    before, after = sides(size, kernel, stride, dilation, pad)
    span = dilation * (kernel - 1) + 1
    if ceil_mode:
        first_cells = list(overhanging_starts(before, size, after, span, stride))
    else:
        first_cells = starts(before + size + after, kernel, stride, dilation)
    taps = [[start + tap * dilation - before for tap in range(kernel)] for start in first_cells]
    return [[cell if 0 <= cell < size else None for cell in row if cell < size + after] for row in taps]


def overhanging_starts(before: int, size: int, after: int, span: int, stride: int) -> Iterator[int]:
    """Starts one by one, until a window has reached the padded end or the next would start behind the input."""
    start = 0
    while start - stride + span < before + size + after and start < before + size:
        yield start
        start += stride


# Activations


def relu(x: Array) -> Array:
    """x where it is positive, else 0."""
    return each(x, lambda value: value if value > 0 else 0)


def clip(x: Array, low: float | None = None, high: float | None = None) -> Array:
    """Each cell, or the limit that it is beyond."""

    def limited(value: Any) -> Any:
        if low is not None and value < low:
            return low
        return high if high is not None and value > high else value

    return each(x, limited)


def pad(x: Array, pad: int, value: float = 0) -> Array:
    """As many cells of that value on every side of the spatial axes."""
    grown = np.full((*x.shape[:2], *(size + 2 * pad for size in x.shape[2:])), value, object)
    for index in np.ndindex(x.shape):
        grown[(*index[:2], *(at + pad for at in index[2:]))] = x[index].item()
    return grown


def upsample(x: Array, factor: int) -> Array:
    """At each cell, the one that lies where it does in the image before it was enlarged."""
    result = np.empty((*x.shape[:2], *(size * factor for size in x.shape[2:])), x.dtype)
    for index in np.ndindex(result.shape):
        result[index] = x[(*index[:2], *(at // factor for at in index[2:]))]
    return result


def leaky_relu(x: Array, slope: float = 0.01) -> Array:
    """x where it is positive, else slope * x."""
    return each(x, lambda value: value if value > 0 else slope * value)


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), by the exponential that does not overflow."""
    return each(x, lambda v: 1 / (1 + math.exp(-v)) if v > 0 else math.exp(v) / (1 + math.exp(v)))


def tanh(x: Array) -> Array:
    """The hyperbolic tangent."""
    return each(x, math.tanh)


def gelu(x: Array, approximate: str = "none") -> Array:
    """x times the normal distribution function at x, or its approximation."""
    if approximate == "tanh":
        root = math.sqrt(2 / math.pi)
        return each(x, lambda v: v / 2 * (1 + math.tanh(root * (v + 0.044715 * v**3))))
    return each(x, lambda v: v / 2 * math.erfc(-v / math.sqrt(2)))


def softmax(x: Array, axis: int = 1) -> Array:
    """exp(x) / sum(exp(x)) along an axis."""
    return each_row(x, axis, lambda row: [math.exp(cell) for cell in log_probabilities(row)])


def log_softmax(x: Array, axis: int = 1) -> Array:
    """The logarithm of softmax along an axis."""
    return each_row(x, axis, log_probabilities)


def log_probabilities(row: list[float]) -> list[float]:
    """x - max - log(sum(exp(x - max))), the sum of rounding once."""
    most = max(row)
    total = math.log(math.fsum(math.exp(value - most) for value in row))
    return [value - most - total for value in row]


def each(x: Array, function: Callable[[Any], Any]) -> Array:
    """A function of each cell, a Python number."""
    result = np.empty(x.shape, object)
    for index in np.ndindex(x.shape):
        result[index] = function(x[index].item())
    return result


def each_row(x: Array, axis: int, function: Callable[[list[float]], list[float]]) -> Array:
    """A function of each row of cells along an axis."""
    if not x.size:  # of which NumPy takes none
        return x.astype(float)
    return np.apply_along_axis(lambda row: np.array(function([float(cell) for cell in row])), axis, x)


# Normalisation


def batch_norm(x: Array, scale: Array, shift: Array, mean: Array, variance: Array, epsilon: float = 1e-5) -> Array:
    """(x - mean) * scale / sqrt(variance + epsilon) + shift, the root to 100 bits, rounded once to float64."""
    result = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        scaling, moving, centre, width = (
            Fraction(values[index[1]].item()) for values in (scale, shift, mean, variance)
        )
        factor = scaling / root(width + Fraction(epsilon))
        result[index] = float((Fraction(x[index].item()) - centre) * factor + moving)
    return result


def root(value: Fraction) -> Fraction:
    """The square root, to about 100 bits.

    >>> root(Fraction(9, 4)) == Fraction(3, 2)
    True
    """
    return Fraction(math.isqrt((value.numerator * value.denominator) << 400), value.denominator << 200)


def local_response_norm(x: Array, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Array:
    """x / (k + alpha/size * sum of squares over the channels around it)**beta."""
    result = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        number, channel, *cell = index
        window = range(channel - size // 2, channel - size // 2 + size)
        squares = [Fraction(x[(number, at, *cell)].item()) ** 2 for at in window if 0 <= at < x.shape[1]]
        base = float(Fraction(k) + Fraction(alpha) * sum(squares) / size)
        result[index] = x[index].item() / base**beta
    return result


# Dense, and joining


def dense(x: Array, weights: Array, bias: Array | None = None) -> Array:
    """x @ weights + bias, exactly: a convolution of images of one cell."""
    return conv(x[:, :, None], weights.T[:, :, None], bias)[:, :, 0]


def flatten(x: Array) -> Array:
    """Each image as one row, cell by cell."""
    rows = [[image[index] for index in np.ndindex(image.shape)] for image in x]
    return np.array(rows, x.dtype).reshape(len(x), math.prod(x.shape[1:]))


def add(*tensors: Array) -> Array:
    """The exact sum: Python integers of integers, fractions as soon as there is a float."""
    result = np.empty(tensors[0].shape, object)
    exact = Fraction if any(tensor.dtype.kind == "f" for tensor in tensors) else int
    for index in np.ndindex(result.shape):
        result[index] = sum(exact(tensor[index].item()) for tensor in tensors)
    return result


def concat(*tensors: Array, axis: int = 1) -> Array:
    """Each cell looked up in the tensor that it comes from."""
    shape = list(tensors[0].shape)
    sources = [(tensor, at) for tensor in tensors for at in range(tensor.shape[axis])]
    shape[axis] = len(sources)
    result = np.empty(shape, object)
    for index in np.ndindex(*shape):
        tensor, at = sources[index[axis]]
        inner = list(index)
        inner[axis] = at
        result[index] = tensor[tuple(inner)].item()
    return result
