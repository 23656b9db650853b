"""A filter matrix back to filters: the inverse of `fil2col`."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from numpy.typing import ArrayLike

from convpipe.geometry.axes import kernel_letters
from convpipe.ops import (
    Array,
    ConvStage,
    Form,
    Made,
    Tensor,
    check_shape,
    copied,
    numeric,
    ravelled,
    sizes_of,
    variables,
)
from convpipe.ops.arrays.arguments import MATRIX


class Col2fil(ConvStage):
    """grad_filter_matrix -> grad_weights."""

    after = ("grad_filter_matrix",)
    result = "grad_weights"
    moves = True
    called = "gradient of the filters"

    def plan(self, x: Tensor) -> Made:
        """(F, C/G, kh, kw)."""
        sizes = self.conv.sizes
        return Made(sizes.filters_shape, x.dtype, ("F", sizes.depth_letter, *kernel_letters(sizes.rank)))

    def run(self, x: Array) -> Array:
        """`col2fil`."""
        return col2fil(x, self.conv.sizes.filters_shape)

    def form(self, x: Tensor) -> Form:
        """The cell of the filter matrix's gradient."""
        own = variables(len(self.conv.sizes.filters_shape))
        return copied(len(own), (own[0], ravelled(own[1:], self.conv.sizes.filters_shape[1:])), x.shape)


def col2fil(filter_matrix: ArrayLike, shape: Sequence[int]) -> Array:
    """Give every row of a filter matrix the shape of a filter again: the inverse of `fil2col`.

    Args:
        filter_matrix: (F, C/G*kh*kw), any integer or float dtype, which the result keeps.
        shape: (F, C/G, kh, kw).

    Returns:
        (F, C/G, kh, kw): a view where `filter_matrix` is contiguous.

    Raises:
        ConfigError: a `filter_matrix` that is no array of numbers, or another shape than its own filters have.

    >>> import numpy as np
    >>> col2fil(np.zeros((6, 75)), (6, 3, 5, 5)).shape
    (6, 3, 5, 5)
    """
    filter_matrix, sizes = numeric("filter_matrix", filter_matrix, MATRIX), sizes_of("shape", shape)
    check_shape("filter_matrix", filter_matrix, (*sizes[:1], prod(sizes[1:])), f"a row for each filter of {sizes}")
    return filter_matrix.reshape(sizes)
