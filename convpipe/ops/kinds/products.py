"""The forms of sums of products: convolutions, their gradients, and the matrix products that these are made of."""

from __future__ import annotations

from collections.abc import Sequence

from convpipe.geometry.axes import PadMode
from convpipe.geometry.columns import Patch, arranged, taken_apart
from convpipe.geometry.convolution import ConvGeometry
from convpipe.ops.kinds.forms import Form, Input, Pairs, Read
from convpipe.ops.kinds.formulas import formula
from convpipe.ops.kinds.places import Copies, Place, ravelled, unravelled, variables
from convpipe.tensors import Sizes


def of_products(
    rank: int,
    factors: tuple[Read, Read],
    loops: tuple[int | Copies, ...],
    bias: Read | None = None,
    blocks: tuple[str, ...] = (),
) -> Form:
    """A form of the products of two reads, `x` and `w`, added up, perhaps with a bias."""
    if bias is None:
        return Form(formula("sum(x * w)"), rank, factors, loops, blocks=blocks)
    return Form(formula("sum(x * w) + bias"), rank, (*factors, bias), loops, blocks=blocks)


def bias_read(place: Place, count: int) -> Read:
    """The bias of one filter of so many."""
    return Read("bias", "bias", (place,), (count,))


def of_convolution(
    sizes: ConvGeometry, n: Place, f: Place, out: Sequence[Place], image: Input = "padded", bias: bool = False
) -> Form:
    """A form of a convolution's cell: image, filter and position are variables, whichever order they have."""
    rank, depth = sizes.rank + 2, sizes.channels // sizes.groups
    channel, *taps = variables(sizes.rank + 1, rank)
    window = windows_at(sizes, out, taps)
    first = f // (sizes.filters // sizes.groups) * depth
    pixels = Read("x", image, (n, first + channel, *window), sizes.padded_shape, inner=interior(sizes))
    weights = Read("w", "filters", (f, channel, *taps), sizes.filters_shape)
    own = bias_read(f, sizes.filters) if bias else None
    return of_products(rank, (pixels, weights), (depth, *sizes.kernel), own, ("channel", "pixels", "weights"))


def windows_at(sizes: ConvGeometry, out: Sequence[Place], taps: Sequence[Place]) -> tuple[Place, ...]:
    """Which cell of the padded image a tap of a window meets, along each spatial axis."""
    axes = zip(out, taps, sizes.stride, sizes.dilation, strict=True)
    return tuple(at * stride + tap * dilation for at, tap, stride, dilation in axes)


def patch_places(patch: Patch, column: Place) -> tuple[Place, tuple[Place, ...]]:
    """Which channel and which tap stand in a column.

    >>> channel, taps = patch_places(Patch(4, (3,), groups=2, order="kh,kw,C"), *variables(1))
    >>> [(channel.at((column,)), taps[0].at((column,))) for column in (1, 2, 11)]
    [(1, 0), (0, 1), (3, 2)]
    """
    parts = unravelled(column, patch.shape)
    channel, taps = taken_apart(patch.order, parts[patch.split :])
    return (parts[0] * (patch.channels // patch.groups) + channel if patch.split else channel), taps


def patch_column(patch: Patch, channel: Place, taps: Sequence[Place]) -> Place:
    """In which column a channel, a variable, and a tap stand."""
    if not patch.split:
        return ravelled([*arranged(patch.order, channel, taps)], patch.shape)
    depth = patch.channels // patch.groups
    return ravelled([channel // depth, *arranged(patch.order, channel % depth, taps)], patch.shape)


def interior(sizes: ConvGeometry) -> Pairs:
    """From where to where the padded image is the image, along each axis."""
    spatial = ((before, before + size) for size, (before, _) in zip(sizes.spatial, sizes.pads, strict=True))
    return ((0, sizes.batch), (0, sizes.channels), *spatial)


def of_adjoint(
    sizes: ConvGeometry, source: str, mode: PadMode = "constant", bias: bool = False, words: tuple[str, ...] = ()
) -> Form:
    """A form of a cell (n, c, y, x) of an input gradient, or of a transposed convolution, which is one.

    Args:
        sizes: the forward convolution's.
        source: the role of the gradient, or of what is convolved.
        mode: of the forward padding: each padded cell counts for the one that it is a copy of.
        words: of its blocks.
    """
    rank, depth, count = sizes.rank + 2, sizes.channels // sizes.groups, sizes.filters // sizes.groups
    n, channel, *own = variables(rank)
    axes = zip(own, sizes.pads, sizes.padded, sizes.spatial, strict=True)
    folded = (
        ()
        if mode == "constant"
        else tuple(
            Copies(padded, mode, before, size, 2 + axis) for axis, (_, (before, _), padded, size) in enumerate(axes)
        )
    )
    filter_, *loops = variables(1 + len(folded) + sizes.rank, rank)
    cells = loops[: len(folded)] or [at + before for at, (before, _) in zip(own, sizes.pads, strict=True)]
    taps = loops[len(folded) :]
    met = steps_back(sizes, cells, taps)
    grad = channel // depth * count + filter_
    pixels = Read("x", source, (n, grad, *met), (sizes.batch, sizes.filters, *sizes.out))
    weights = Read("w", "filters", (grad, channel % depth, *taps), sizes.filters_shape)
    own_bias = bias_read(channel, sizes.channels) if bias else None
    return of_products(rank, (pixels, weights), (count, *folded, *sizes.kernel), own_bias, words)


def steps_back(sizes: ConvGeometry, cells: Sequence[Place], taps: Sequence[Place]) -> tuple[Place, ...]:
    """At which window a tap meets a padded cell, along each spatial axis: at none where the stride leaves it out."""
    axes = zip(cells, taps, sizes.stride, sizes.dilation, strict=True)
    return tuple((cell - tap * dilation) / stride for cell, tap, stride, dilation in axes)


def of_weight_gradient(sizes: ConvGeometry) -> Form:
    """A form of a cell (f, c, i, j) of the gradient of the filters."""
    rank, depth = sizes.rank + 2, sizes.channels // sizes.groups
    f, channel, *taps = variables(rank)
    n, *out = variables(sizes.rank + 1, rank)
    place = f // (sizes.filters // sizes.groups) * depth + channel
    window = (n, place, *windows_at(sizes, out, taps))
    pixels = Read("x", "padded", window, sizes.padded_shape, inner=interior(sizes))
    grad = Read("w", "grad", (n, f, *out), (sizes.batch, sizes.filters, *sizes.out))
    return of_products(rank, (pixels, grad), (sizes.batch, *sizes.out), blocks=("image", "pixels", "gradients"))


def of_bias_gradient(sizes: ConvGeometry) -> Form:
    """A form of a cell (f,) of the gradient of the bias."""
    [f], [n, *out] = variables(1), variables(sizes.rank + 1, 1)
    grad = Read("x", "grad", (n, f, *out), (sizes.batch, sizes.filters, *sizes.out))
    return Form(formula("sum(x)"), 1, (grad,), (sizes.batch, *sizes.out), blocks=("image", "gradients"))


def of_matrices(
    first: tuple[Input, tuple[Place, Place], Sizes],
    second: tuple[Input, tuple[Place, Place], Sizes],
    terms: int,
    bias: Read | None = None,
) -> Form:
    """A form of a cell of a matrix product: cells of two matrices, which the third variable goes through."""
    reads = Read("x", *first), Read("w", *second)
    return of_products(2, reads, (terms,), bias)
