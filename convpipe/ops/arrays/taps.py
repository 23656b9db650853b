"""Kernel taps over images: columns filled one tap at a time, moving whole planes, and added back the same way.

col[:, :, y, x] = every cell that tap (y, x) of the kernel meets. (The lecture's listing of `im2col` loops over
output positions instead; its own trace, and this code, loop over taps.)
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import product
from math import prod
from typing import Any, cast

import numpy as np

from convpipe.errors import GeometryError
from convpipe.fields import choice, whole
from convpipe.geometry.axes import Pads, out_sizes, per_axis
from convpipe.geometry.columns import ORDERS, Order, Patch
from convpipe.geometry.convolution import ConvGeometry, solve
from convpipe.geometry.layouts import image_shape, rank_hint
from convpipe.ops.arrays.totals import Adding, short_total
from convpipe.tensors import Array, Sizes

Windows = Iterable[tuple[Sizes, tuple[slice, ...]]]
column_order = choice(ORDERS)
FEW_TAPS = 256  # of which the windows are kept, as sweeps ask for the same ones run after run


def tap_windows(kernel: Sizes, stride: Sizes, dilation: Sizes, out: Sizes) -> Windows:
    """For each kernel tap, the padded cells it meets over all output positions, as one slice per axis."""
    found = kept_windows if prod(kernel) <= FEW_TAPS else made_windows
    return found(kernel, stride, dilation, out)


@lru_cache(64)
def kept_windows(kernel: Sizes, stride: Sizes, dilation: Sizes, out: Sizes) -> Windows:
    """The same for a kernel of few taps: 8 us to make for nine."""
    return tuple(made_windows(kernel, stride, dilation, out))


def made_windows(kernel: Sizes, stride: Sizes, dilation: Sizes, out: Sizes) -> Windows:
    """The same, made one by one."""
    axes = [
        [(at, slice(at * step, at * step + by * (n - 1) + 1, by)) for at in range(taps)]
        for taps, by, step, n in zip(kernel, stride, dilation, out, strict=True)
    ]
    for tap in product(*axes):
        yield tuple(at for at, _ in tap), tuple(cells for _, cells in tap)


def tap_index(tap: Sizes) -> tuple[slice | int, ...]:
    """Where one kernel tap lies in a (C, kh, kw, ...) array."""
    return (slice(None), *tap)


def fill_columns(padded: Array, buffer: Array, stride: Sizes, dilation: Sizes) -> Iterator[tuple[Sizes, Array]]:
    """Fill a (C, kh, kw, N, out_h, out_w) buffer tap by tap, giving each tap and the planes it brought.

    The channels may be two axes, (G, C/G), and so they are in the planes then.
    """
    rank, split = padded.ndim - 2, buffer.ndim - 2 * padded.ndim + 3
    channels, kernel, out = buffer.shape[:split], buffer.shape[split : split + rank], buffer.shape[split + rank + 1 :]
    every: tuple[slice, ...] = (slice(None),) * split
    channel_first = padded.swapaxes(0, 1).reshape(*channels, len(padded), *padded.shape[2:])  # (C, N, H, W)
    for tap, window in tap_windows(kernel, stride, dilation, out):
        planes = channel_first[(*every, slice(None), *window)]  # (C, N, out_h, out_w)
        buffer[every + tap] = planes
        yield tap, planes


def unfold(
    padded: Array,
    kernel: Sizes,
    stride: Sizes,
    dilation: Sizes,
    memory: Array | None = None,
    patch: Patch | None = None,
) -> Array:
    """`im2col` of an image that is padded already, with one, two or three spatial axes.

    Args:
        memory: a flat array, at least as large as the result, for the columns to lie in.
        patch: in which order a row of the columns lies; by default channels come first.
    """
    batch, channels, *size = padded.shape
    out = out_sizes(tuple(size), kernel, stride, dilation)
    patch = patch or Patch(channels, kernel)
    shape = (*patch.shape, batch, *out)
    buffer = np.empty(shape, padded.dtype) if memory is None else memory[: prod(shape)].reshape(shape)
    for _ in fill_columns(padded, channels_first(buffer, patch), stride, dilation):
        pass
    return buffer.reshape(channels * prod(kernel), batch * prod(out)).T  # (N*out_h*out_w, C*kh*kw)


def channels_first(rows: Array, patch: Patch) -> Array:
    """A view of an array that begins with the axes of a row of columns: (C, kh, kw, ...), or (G, C/G, kh, kw, ...)."""
    return np.moveaxis(rows, patch.channel_axis, int(patch.split))


def in_usual_order(columns: Array, patch: Patch) -> Array:
    """Columns whose rows lie as a patch says, in the order C, kh, kw: they themselves where that is theirs.

    >>> in_usual_order(np.array([[0, 3, 1, 4, 2, 5]]), Patch(2, (1, 3), order="kh,kw,C")).tolist()
    [[0, 1, 2, 3, 4, 5]]
    """
    if patch.order == ORDERS[0]:
        return columns
    return channels_first(columns.T.reshape(*patch.shape, len(columns)), patch).reshape(patch.size, len(columns)).T


def fold(
    columns: Array, padded_shape: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes, adding: Adding = short_total
) -> Array:
    """`col2im` onto a padded image, with one, two or three spatial axes.

    Args:
        adding: what adds up, in the dtype of the columns or as `total`.

    Raises:
        GeometryError: columns of another shape.
    """
    out = check_columns(columns, padded_shape, kernel, stride, dilation)
    batch, channels, *size = padded_shape
    taps = columns.T.reshape(channels, *kernel, batch, *out)
    windows = tap_windows(kernel, stride, dilation, out)
    parts = (((slice(None), slice(None), *window), taps[tap_index(tap)]) for tap, window in windows)
    return adding((channels, batch, *size), columns.dtype, parts).swapaxes(0, 1)  # (N, C, H, W)


def check_columns(columns: Array, padded_shape: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Sizes:
    """Columns of a padded image; gives the spatial sizes of the output that they are for.

    Raises:
        GeometryError: columns of another shape.
    """
    batch, channels, *size = padded_shape
    out = out_sizes(tuple(size), kernel, stride, dilation)
    expected = (batch * prod(out), channels * prod(kernel))
    if columns.shape != expected:
        raise GeometryError("columns", columns.shape, f"the shape {expected} of this image and kernel")
    return out


def solve_patches(
    img_shape: Sizes, kh: int, kw: int, stride: Any, pad: Any, dilation: Any, pad_mode: str
) -> ConvGeometry:
    """The sizes of a convolution of one filter, for functions that have an image and no filters."""
    img_shape = image_shape(img_shape)
    if len(img_shape) != 4:
        raise GeometryError("input", img_shape, "4 axes: N, C, H, W", rank_hint(img_shape))
    kernel = per_axis("kernel", (kh, kw), rank=2)
    return solve(img_shape, (1, img_shape[1], *kernel), stride=stride, pad=pad, dilation=dilation, pad_mode=pad_mode)


def checked_order(order: Any) -> Order:
    """An order of columns.

    Raises:
        ConfigError: another one.
    """
    return cast(Order, column_order("order", order))


def read_patch(channels: int, kernel: Sizes, groups: Any, order: Any) -> Patch:
    """What a row of columns holds, of functions that are told its order and the groups.

    Raises:
        ConfigError: another order, or groups that do not divide the channels.
    """
    found = Patch(channels, kernel, whole(1)("groups", groups), checked_order(order))
    if channels % found.groups:
        raise GeometryError("groups", groups, f"a divisor of the {channels} channels")
    return found


def interior(pads: Pads, spatial: Sizes) -> tuple[slice, ...]:
    """Where the unpadded cells lie in a padded batch."""
    cells = (slice(before, before + size) for (before, _), size in zip(pads, spatial, strict=True))
    return (slice(None), slice(None), *cells)


def exactly(value: float, dtype: np.dtype[Any], key: str = "pad_value") -> Any:
    """A padding value as a scalar of `dtype`: whole and in range for integers, rounded for floats."""
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        if value != value or value in (float("inf"), float("-inf")) or int(value) != value:
            raise GeometryError(key, value, f"a whole number, as the input is {dtype}")
        if not info.min <= value <= info.max:
            raise GeometryError(key, value, f"a value that {dtype} holds, from {info.min} to {info.max}")
        return dtype.type(int(value))
    largest = float(np.finfo(dtype).max)
    if largest < abs(value) < float("inf"):
        raise GeometryError(key, value, f"a value that {dtype} holds, up to {largest:g}")
    return dtype.type(value)
