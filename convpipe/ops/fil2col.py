"""Filters to a matrix, a row for each."""

from __future__ import annotations

from math import prod

from numpy.typing import ArrayLike

from convpipe.geometry.axes import kernel_letters
from convpipe.ops import Array, ConvStage, Form, Made, Tensor, copied, images, unravelled, variables
from convpipe.ops.arrays.arguments import IMAGES


class Fil2col(ConvStage):
    """filters -> filter_matrix."""

    reads = ("filters",)
    makes = result = "filter_matrix"
    moves = True

    def plan(self, filters: Tensor) -> Made:
        """(F, C/G*kh*kw)."""
        sizes = self.conv.sizes
        axes = ("F", "*".join((sizes.depth_letter, *kernel_letters(sizes.rank))))
        return Made(sizes.filter_matrix_shape, filters.dtype, axes, workspace=0)

    def run(self, filters: Array) -> Array:
        """`fil2col`."""
        return fil2col(filters)

    def form(self, filters: Tensor) -> Form:
        """The weight that it is a copy of."""
        f, column = variables(2)
        return copied(2, (f, *unravelled(column, filters.shape[1:])), filters.shape, "filters")


def fil2col(kernel: ArrayLike) -> Array:
    """Lay out every filter as one row (the lecture's `fil2col`).

    Args:
        kernel: (F, C, kh, kw), or with one or three spatial axes; any integer or float dtype, which the result keeps.

    Returns:
        (F, C*kh*kw): a view where `kernel` is contiguous.

    Raises:
        ConfigError: a `kernel` that is no array of numbers, or has another number of axes.

    >>> import numpy as np
    >>> fil2col(np.ones((6, 3, 5, 5))).shape
    (6, 75)
    """
    kernel = images("kernel", kernel, IMAGES)
    return kernel.reshape(kernel.shape[0], prod(kernel.shape[1:]))
