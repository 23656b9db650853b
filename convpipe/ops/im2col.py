"""Images to columns: the heart of the lecture."""

from __future__ import annotations

from numpy.typing import ArrayLike

from convpipe.geometry.axes import Padding, PadMode, PerAxis, kernel_letters, out_letters
from convpipe.geometry.columns import ORDERS, Order
from convpipe.ops import (
    Array,
    ConvSettings,
    ConvStage,
    Form,
    Made,
    Read,
    Tensor,
    check_padded,
    checked,
    images,
    unravelled,
    variables,
)
from convpipe.ops.arrays.arguments import real
from convpipe.ops.arrays.taps import read_patch, solve_patches, unfold
from convpipe.ops.kinds.products import interior, patch_places, windows_at
from convpipe.ops.pad import padded


class Im2col(ConvStage):
    """padded -> columns."""

    after = ("padded",)
    result = "columns"
    moves = True
    follows = ("order",)

    def plan(self, x: Tensor) -> Made:
        """(N*out_h*out_w, C*kh*kw)."""
        check_padded(self.conv, x)
        sizes = self.conv.sizes
        axes = ("*".join(("N", *out_letters(sizes.rank))), self.conv.patch.letters("C", kernel_letters(sizes.rank)))
        return Made(sizes.columns_shape, x.dtype, axes, workspace=0)

    def run(self, x: Array) -> Array:
        """`unfold`."""
        sizes = self.conv.sizes
        return unfold(x, sizes.kernel, sizes.stride, sizes.dilation, patch=self.conv.patch)

    def form(self, x: Tensor) -> Form:
        """The pixel that it is a copy of."""
        sizes = self.conv.sizes
        row, column = variables(2)
        n, *out = unravelled(row, (sizes.batch, *sizes.out))
        channel, taps = patch_places(self.conv.patch, column)
        places = (n, channel, *windows_at(sizes, out, taps))
        return Form("x", 2, (Read("x", 0, places, x.shape, inner=interior(sizes)),))


def im2col(
    img: ArrayLike,
    kh: int,
    kw: int,
    stride: PerAxis = 1,
    pad: Padding = 0,
    dilation: PerAxis = 1,
    pad_mode: PadMode = "constant",
    pad_value: float = 0,
    order: Order = ORDERS[0],
    groups: int = 1,
) -> Array:
    """Lay out every patch that a kernel meets as one row of a matrix (the lecture's `im2col`).

    Args:
        img: (N, C, H, W), any integer or float dtype, which the result keeps.
        kh, kw: kernel height and width.
        stride, pad, dilation: one number, or one per axis; `pad` also per side.
        order: of the cells of a row: ``C,kh,kw``, or as machines have it whose images are NHWC, ``kh,kw,C``.
        groups: a divisor of C. In the order ``kh,kw,C`` a row has the cells of one group after those of another,
            (G, kh, kw, C/G), as `matmul` reads them; in the other it does anyway.

    Returns:
        (N*out_h*out_w, C*kh*kw): a transposed view of a (C*kh*kw, N*out_h*out_w) buffer, which BLAS takes without a
        copy.

    Raises:
        ConfigError: an `img` that is no array of numbers, settings that are none, or sizes that do not fit.

    >>> import numpy as np
    >>> im2col(np.arange(1, 10).reshape(1, 1, 3, 3), kh=2, kw=2)
    array([[1, 2, 4, 5],
           [2, 3, 5, 6],
           [4, 5, 7, 8],
           [5, 6, 8, 9]])
    """
    img, pad_value = images("img", img), real("pad_value", pad_value)
    [pad_mode] = checked(ConvSettings, pad_mode=pad_mode)
    sizes = solve_patches(img.shape, kh, kw, stride, pad, dilation, pad_mode)
    filled = padded(img, sizes.pads, pad_mode, pad_value, "pad_value")
    patch = read_patch(sizes.channels, sizes.kernel, groups, order)
    return unfold(filled, sizes.kernel, sizes.stride, sizes.dilation, patch=patch)
