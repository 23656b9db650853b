"""The oracle of convolution backwards: the same single products, added up per input cell or per weight."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from convpipe.reference.convolution import Settings, links, spread
from convpipe.reference.numbers import Array, Exact, Index, exact, rounded


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
