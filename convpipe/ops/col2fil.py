"""A filter matrix back to filters: the inverse of `fil2col`."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import ArrayLike

from convpipe.geometry.axes import kernel_letters
from convpipe.geometry.columns import ORDERS, TAPS_FIRST, Order
from convpipe.ops import (
    Array,
    ConvStage,
    Form,
    Made,
    Tensor,
    check_shape,
    copied,
    numeric,
    sizes_of,
    variables,
)
from convpipe.ops.arrays.arguments import MATRIX
from convpipe.ops.arrays.taps import checked_order
from convpipe.ops.kinds.products import patch_column


class Col2fil(ConvStage):
    """grad_filter_matrix -> grad_weights."""

    after = ("grad_filter_matrix",)
    result = "grad_weights"
    moves = True
    follows = ("order",)
    called = "gradient of the filters"

    def plan(self, x: Tensor) -> Made:
        """(F, C/G, kh, kw)."""
        sizes = self.conv.sizes
        return Made(sizes.filters_shape, x.dtype, ("F", sizes.depth_letter, *kernel_letters(sizes.rank)))

    def run(self, x: Array) -> Array:
        """`col2fil`."""
        return col2fil(x, self.conv.sizes.filters_shape, self.conv.order)

    def form(self, x: Tensor) -> Form:
        """The cell of the filter matrix's gradient."""
        f, channel, *taps = variables(len(self.conv.sizes.filters_shape))
        column = patch_column(self.conv.patch.of_group, channel, taps)
        return copied(len(self.conv.sizes.filters_shape), (f, column), x.shape)


def col2fil(filter_matrix: ArrayLike, shape: Sequence[int], order: Order = ORDERS[0]) -> Array:
    """Give every row of a filter matrix the shape of a filter again: the inverse of `fil2col`.

    Args:
        filter_matrix: (F, C/G*kh*kw), any integer or float dtype, which the result keeps.
        shape: (F, C/G, kh, kw).
        order: of a row, as in `im2col`: ``C,kh,kw``, or ``kh,kw,C``.

    Returns:
        (F, C/G, kh, kw): a view where `filter_matrix` is contiguous.

    Raises:
        ConfigError: a `filter_matrix` that is no array of numbers, or another shape than its own filters have; another
            order.

    >>> import numpy as np
    >>> col2fil(np.zeros((6, 75)), (6, 3, 5, 5)).shape
    (6, 3, 5, 5)
    """
    filter_matrix, sizes = numeric("filter_matrix", filter_matrix, MATRIX), sizes_of("shape", shape)
    check_shape("filter_matrix", filter_matrix, (*sizes[:1], prod(sizes[1:])), f"a row for each filter of {sizes}")
    if checked_order(order) == TAPS_FIRST:
        return np.moveaxis(filter_matrix.reshape(*sizes[:1], *sizes[2:], *sizes[1:2]), -1, 1)
    return filter_matrix.reshape(sizes)
