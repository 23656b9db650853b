"""Every tap of the filters as one row: the filter matrix transposed, group by group."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import ArrayLike

from convpipe.geometry.columns import ORDERS, TAPS_FIRST, Order
from convpipe.ops import (
    Array,
    ConvSettings,
    ConvStage,
    Form,
    GeometryError,
    Made,
    Tensor,
    checked,
    copied,
    images,
    variables,
)
from convpipe.ops.arrays.arguments import IMAGES
from convpipe.ops.arrays.taps import checked_order
from convpipe.ops.kinds.products import patch_places


class Fil2row(ConvStage):
    """filters -> tap_matrix."""

    reads = ("filters",)
    makes = result = "tap_matrix"
    moves = True
    follows = ("order",)

    def plan(self, filters: Tensor) -> Made:
        """(C*kh*kw, F/G)."""
        sizes = self.conv.sizes
        count, depth, *kernel = filters.axes
        axes = (self.conv.patch.letters(depth.removesuffix("/G"), kernel), count if sizes.groups == 1 else f"{count}/G")
        return Made((sizes.columns_shape[1], sizes.filters // sizes.groups), filters.dtype, axes)

    def run(self, filters: Array) -> Array:
        """`fil2row`."""
        return fil2row(filters, self.conv.sizes.groups, self.conv.order)

    def form(self, filters: Tensor) -> Form:
        """The weight that it is a copy of."""
        sizes = self.conv.sizes
        row, column = variables(2)
        f = row // sizes.taps * (sizes.filters // sizes.groups) + column
        channel, taps = patch_places(self.conv.patch.of_group, row)
        return copied(2, (f, channel, *taps), filters.shape, "filters")


def fil2row(filters: ArrayLike, groups: int = 1, order: Order = ORDERS[0]) -> Array:
    """Lay out every tap of the filters as one row: the filter matrix transposed, group by group.

    Args:
        filters: (F, C/G, kh, kw), or with one or three spatial axes; any integer or float dtype, which the
            result keeps.
        groups: G, a divisor of F.
        order: of the rows, as in `im2col`: ``C,kh,kw``, or within each group ``kh,kw,C``.

    Returns:
        (C*kh*kw, F/G): a view of contiguous `filters` where G is 1 and channels come first.

    Raises:
        ConfigError: `filters` that are no array of numbers or have another number of axes; other groups, another order.

    >>> import numpy as np
    >>> fil2row(np.arange(8).reshape(2, 1, 2, 2)).tolist()
    [[0, 4], [1, 5], [2, 6], [3, 7]]
    """
    filters = images("filters", filters, IMAGES)
    [groups] = checked(ConvSettings, groups=groups)
    if filters.shape[0] % groups:
        raise GeometryError("groups", groups, f"a divisor of the {filters.shape[0]} filters")
    if checked_order(order) == TAPS_FIRST:
        filters = np.moveaxis(filters, 1, -1)  # (F, kh, kw, C/G)
    count, taps = filters.shape[0] // groups, prod(filters.shape[1:])
    return filters.reshape(groups, count, taps).swapaxes(1, 2).reshape(groups * taps, count)
