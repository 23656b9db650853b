"""Images to columns and back, and filters to a matrix: the heart of the lecture.

A column tensor is filled one kernel tap at a time, moving whole planes: col[:, :, y, x] = every cell that tap
(y, x) of the kernel meets. (The lecture's listing of `im2col` loops over output positions instead; its own
trace, and this code, loop over taps.)
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod
from typing import Any

import numpy as np

from convpipe import geometry
from convpipe.errors import GeometryError
from convpipe.ops.padding import interior, pad as pad_axes
from convpipe.tensors import Array, Sizes


def im2col(
    img: Array,
    kh: int,
    kw: int,
    stride: Any = 1,
    pad: Any = 0,
    dilation: Any = 1,
    pad_mode: str = "constant",
    pad_value: float = 0,
) -> Array:
    """Lay out every patch that a kernel meets as one row of a matrix (the lecture's `im2col`).

    Args:
        img: (N, C, H, W), any dtype, which the result keeps.
        kh, kw: kernel height and width.
        stride, pad, dilation: one number, or one per axis; `pad` also per side.

    Returns:
        (N*out_h*out_w, C*kh*kw), columns in C, kh, kw order: a transposed view of a (C*kh*kw, N*out_h*out_w)
        buffer, which BLAS takes without a copy.

    Raises:
        GeometryError: sizes that do not fit.

    >>> im2col(np.arange(1, 10).reshape(1, 1, 3, 3), kh=2, kw=2)
    array([[1, 2, 4, 5],
           [2, 3, 5, 6],
           [4, 5, 7, 8],
           [5, 6, 8, 9]])
    """
    sizes = solve_patches(img.shape, kh, kw, stride, pad, dilation, pad_mode)
    return unfold(pad_axes(img, sizes.pads, pad_mode, pad_value), sizes.kernel, sizes.stride, sizes.dilation)


def col2im(col: Array, img_shape: Sizes, kh: int, kw: int, stride: Any = 1, pad: Any = 0, dilation: Any = 1) -> Array:
    """Add the rows of a column matrix back into the cells they came from: the adjoint of `im2col`.

    Args:
        col: (N*out_h*out_w, C*kh*kw), any dtype, which the result keeps (integers wrap around as NumPy's do).
        img_shape: (N, C, H, W) of the image that the columns were taken from.

    Returns:
        (N, C, H, W): each cell the sum over all patches that held it.

    Raises:
        GeometryError: sizes that do not fit.

    >>> col2im(np.ones((4, 4), int), (1, 1, 3, 3), kh=2, kw=2)
    array([[[[1, 2, 1],
             [2, 4, 2],
             [1, 2, 1]]]])
    """
    sizes = solve_patches(tuple(img_shape), kh, kw, stride, pad, dilation, "constant")
    padded = fold(col, sizes.padded_shape, sizes.kernel, sizes.stride, sizes.dilation)
    return padded[interior(sizes.pads, sizes.spatial)]


def fil2col(kernel: Array) -> Array:
    """Lay out every filter as one row (the lecture's `fil2col`).

    Args:
        kernel: (F, C, kh, kw), or with one or three spatial axes; any dtype, which the result keeps.

    Returns:
        (F, C*kh*kw): a view where `kernel` is contiguous.

    >>> fil2col(np.ones((6, 3, 5, 5))).shape
    (6, 75)
    """
    return kernel.reshape(kernel.shape[0], prod(kernel.shape[1:]))


def solve_patches(
    img_shape: Sizes, kh: int, kw: int, stride: Any, pad: Any, dilation: Any, pad_mode: str
) -> geometry.ConvGeometry:
    """The sizes of a convolution of one filter, for functions that have an image and no filters."""
    if len(img_shape) != 4:
        raise GeometryError("input", img_shape, "4 axes: N, C, H, W")
    kernel = geometry.per_axis("kernel", (kh, kw), rank=2)
    return geometry.solve(
        img_shape, (1, img_shape[1], *kernel), stride=stride, pad=pad, dilation=dilation, pad_mode=pad_mode
    )


def tap_windows(kernel: Sizes, stride: Sizes, dilation: Sizes, out: Sizes) -> Iterator[tuple[Sizes, tuple[slice, ...]]]:
    """For each kernel tap, the padded cells it meets over all output positions, as one slice per axis."""
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
    """Fill a (C, kh, kw, N, out_h, out_w) buffer tap by tap, giving each tap and the planes it brought."""
    rank = padded.ndim - 2
    kernel, out = buffer.shape[1 : 1 + rank], buffer.shape[2 + rank :]
    channel_first = padded.swapaxes(0, 1)  # (C, N, H, W)
    for tap, window in tap_windows(kernel, stride, dilation, out):
        planes = channel_first[(slice(None), slice(None), *window)]  # (C, N, out_h, out_w)
        buffer[tap_index(tap)] = planes
        yield tap, planes


def unfold(padded: Array, kernel: Sizes, stride: Sizes, dilation: Sizes, memory: Array | None = None) -> Array:
    """`im2col` of an image that is padded already, with one, two or three spatial axes.

    Args:
        memory: a flat array, at least as large as the result, for the columns to lie in.
    """
    batch, channels, *size = padded.shape
    out = geometry.out_sizes(tuple(size), kernel, stride, dilation)
    shape = (channels, *kernel, batch, *out)
    buffer = np.empty(shape, padded.dtype) if memory is None else memory[: prod(shape)].reshape(shape)
    for _ in fill_columns(padded, buffer, stride, dilation):
        pass
    return buffer.reshape(channels * prod(kernel), batch * prod(out)).T  # (N*out_h*out_w, C*kh*kw)


def fold(columns: Array, padded_shape: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Array:
    """`col2im` onto a padded image, with one, two or three spatial axes."""
    batch, channels, *size = padded_shape
    out = geometry.out_sizes(tuple(size), kernel, stride, dilation)
    expected = (batch * prod(out), channels * prod(kernel))
    if columns.shape != expected:
        raise GeometryError("columns", columns.shape, f"the shape {expected} of this image and kernel")
    taps = columns.T.reshape(channels, *kernel, batch, *out)
    image = np.zeros((channels, batch, *size), columns.dtype)
    for tap, window in tap_windows(kernel, stride, dilation, out):
        image[(slice(None), slice(None), *window)] += taps[tap_index(tap)]
    return image.swapaxes(0, 1)  # (N, C, H, W)
