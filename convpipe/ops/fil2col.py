"""Filters to a matrix, a row for each."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import ArrayLike

from convpipe.geometry.axes import kernel_letters
from convpipe.geometry.columns import ORDERS, TAPS_FIRST, Order
from convpipe.ops import Array, ConvStage, Form, Made, Tensor, copied, images, variables
from convpipe.ops.arrays.arguments import IMAGES
from convpipe.ops.arrays.taps import checked_order
from convpipe.ops.kinds.products import patch_places


class Fil2col(ConvStage):
    """filters -> filter_matrix."""

    reads = ("filters",)
    makes = result = "filter_matrix"
    moves = True
    follows = ("order",)

    def plan(self, filters: Tensor) -> Made:
        """(F, C/G*kh*kw)."""
        sizes = self.conv.sizes
        axes = ("F", self.conv.patch.of_group.letters(sizes.depth_letter, kernel_letters(sizes.rank)))
        return Made(sizes.filter_matrix_shape, filters.dtype, axes, workspace=0)

    def run(self, filters: Array) -> Array:
        """`fil2col`."""
        return fil2col(filters, self.conv.order)

    def form(self, filters: Tensor) -> Form:
        """The weight that it is a copy of."""
        f, column = variables(2)
        channel, taps = patch_places(self.conv.patch.of_group, column)
        return copied(2, (f, channel, *taps), filters.shape, "filters")


def fil2col(kernel: ArrayLike, order: Order = ORDERS[0]) -> Array:
    """Lay out every filter as one row (the lecture's `fil2col`).

    Args:
        kernel: (F, C, kh, kw), or with one or three spatial axes; any integer or float dtype, which the result keeps.
        order: of a row, as in `im2col`: ``C,kh,kw``, or ``kh,kw,C``.

    Returns:
        (F, C*kh*kw): a view where `kernel` is contiguous and its channels come first.

    Raises:
        ConfigError: a `kernel` that is no array of numbers, or has another number of axes; another order.

    >>> import numpy as np
    >>> fil2col(np.ones((6, 3, 5, 5))).shape
    (6, 75)
    """
    kernel = images("kernel", kernel, IMAGES)
    if checked_order(order) == TAPS_FIRST:
        kernel = np.moveaxis(kernel, 1, -1)  # (F, kh, kw, C)
    return kernel.reshape(kernel.shape[0], prod(kernel.shape[1:]))
