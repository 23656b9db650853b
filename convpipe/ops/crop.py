"""The feature map in a padded sum: the last stage of a transposed convolution."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from convpipe.ops import Array, Form, Made, Tensor, UnpadStage, bias_read, formula, variables
from convpipe.ops.arrays.overflow import Overflow
from convpipe.ops.unpad import unpad


class Crop(UnpadStage):
    """padded_sums and perhaps bias -> feature_map."""

    may_read = ("bias",)
    result = "feature_map"

    def plan(self, x: Tensor, bias: Tensor | None = None) -> Made:
        """(N, out_h, out_w, F)."""
        sizes = self.conv.sizes
        shape = (sizes.batch, *sizes.spatial, sizes.channels)
        return Made(shape, self.target, (x.axes[0], *x.axes[2:], x.axes[1]), workspace=self.memory)

    def run(self, x: Array, bias: Array | None = None) -> Array:
        """`crop`."""
        return crop(x, bias, pads=self.conv.sizes.pads, dtype=self.target, overflow=self.overflow)

    def form(self, x: Tensor, bias: Tensor | None = None) -> Form:
        """The cell without its padding, and the bias."""
        n, *own, f = variables(len(x.shape))
        read = self.cropped(x, n, f, own)
        if bias is None:
            return Form("x", len(x.shape), (read,))
        return Form(formula("x + bias"), len(x.shape), (read, bias_read(f, bias.shape[0])))


def crop(
    padded: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    pads: Sequence[Sequence[int]],
    dtype: DTypeLike | None = None,
    overflow: Overflow = "error",
) -> Array:
    """The feature map in a padded sum: the last stage of a transposed convolution.

    Args:
        padded, bias, pads, dtype, overflow: as in `unpad`.

    Returns:
        (N, out_h, out_w, F), a view of an (N, F, out_h, out_w) array.

    Raises:
        ConfigError, ValueRangeError: as `unpad`.

    >>> crop(np.array([[[1, 2, 3]]]), np.array([10]), pads=((1, -1),)).tolist()
    [[[12], [13], [10]]]
    """
    return np.moveaxis(unpad(padded, bias, pads=pads, dtype=dtype, overflow=overflow), 1, -1)
