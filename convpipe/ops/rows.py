"""What lies at each position as one row: the adjoint of `reshape`."""

from __future__ import annotations

from math import prod

from numpy.typing import ArrayLike

from convpipe.ops import (
    MAIN,
    Array,
    ConvStage,
    Form,
    GeometryError,
    Made,
    Tensor,
    copied,
    images,
    unravelled,
    variables,
)
from convpipe.ops.arrays.arguments import IMAGES


class Rows(ConvStage):
    """grad, or the main tensor where that is the gradient -> row_matrix."""

    reads = (("grad", MAIN),)
    makes = result = "row_matrix"
    moves = True

    def plan(self, grad: Tensor) -> Made:
        """(N*out_h*out_w, F)."""
        sizes = self.conv.sizes
        if not self.conv.operation.backward:
            raise GeometryError("x", "the input", "the gradient of a result, or the input of a transposed convolution")
        if grad.shape != (sizes.batch, sizes.filters, *sizes.out):
            raise GeometryError("x", grad.shape, f"the shape {(sizes.batch, sizes.filters, *sizes.out)}")
        return Made(sizes.product_shape, grad.dtype, ("*".join((grad.axes[0], *grad.axes[2:])), grad.axes[1]))

    def run(self, grad: Array) -> Array:
        """`rows`."""
        return rows(grad)

    def form(self, grad: Tensor) -> Form:
        """The cell of the maps."""
        row, f = variables(2)
        n, *out = unravelled(row, (grad.shape[0], *grad.shape[2:]))
        return copied(2, (n, f, *out), grad.shape, "grad")


def rows(maps: ArrayLike) -> Array:
    """Lay out what lies at each position of (N, F, out_h, out_w) as one row: the adjoint of `reshape`.

    Args:
        maps: (N, F, out_h, out_w), or with one or three spatial axes; any integer or float dtype, which the
            result keeps.

    Returns:
        (N*out_h*out_w, F), a transposed (F, N*out_h*out_w); a view of a contiguous `maps` where N is 1.

    Raises:
        ConfigError: `maps` that are no array of numbers, or have another number of axes.

    >>> import numpy as np
    >>> rows(np.arange(8).reshape(1, 2, 2, 2)).tolist()
    [[0, 4], [1, 5], [2, 6], [3, 7]]
    """
    maps = images("maps", maps, IMAGES)
    batch, filters, *out = maps.shape
    return maps.swapaxes(0, 1).reshape(filters, batch * prod(out)).T
