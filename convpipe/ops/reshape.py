"""From a matrix back to images."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from numpy.typing import ArrayLike

from convpipe.ops import (
    Array,
    ConvStage,
    Form,
    GeometryError,
    Made,
    Sizes,
    Tensor,
    check_shape,
    copied,
    numeric,
    ravelled,
    sizes_of,
    variables,
)
from convpipe.ops.arrays.arguments import MATRIX


class Reshape(ConvStage):
    """product -> feature_map, in the lecture's order."""

    after = ("product",)
    result = "feature_map"
    moves = True

    def plan(self, x: Tensor) -> Made:
        """(N, out_h, out_w, F)."""
        sizes = self.conv.sizes
        if x.shape != sizes.product_shape:
            raise GeometryError("x", x.shape, f"a product of the shape {sizes.product_shape}")
        return Made(sizes.feature_map_shape, x.dtype, sizes.feature_map_axes, workspace=0)

    def run(self, x: Array) -> Array:
        """`reshape`, whose shape was checked when it was planned."""
        return as_images(x, self.conv.sizes.feature_map_shape)

    def form(self, x: Tensor) -> Form:
        """The cell of the product."""
        sizes = self.conv.sizes
        *place, f = variables(sizes.rank + 2)
        return copied(sizes.rank + 2, (ravelled(place, (sizes.batch, *sizes.out)), f), x.shape)


def reshape(product: ArrayLike, shape: Sequence[int]) -> Array:
    """Give the product of columns and filters the shape of images again.

    Args:
        product: (N*out_h*out_w, F), any integer or float dtype, which the result keeps.
        shape: (N, out_h, out_w, F).

    Returns:
        (N, out_h, out_w, F): a view, whichever way `product` lies in memory.

    Raises:
        ConfigError: a `product` that is no array of numbers, or another shape than its images have.

    >>> import numpy as np
    >>> reshape(np.zeros((25, 6)), (1, 5, 5, 6)).shape
    (1, 5, 5, 6)
    """
    product, sizes = numeric("product", product, MATRIX), sizes_of("shape", shape)
    check_shape("product", product, (prod(sizes[:-1]), *sizes[-1:]), f"a row for each position of {sizes}")
    return as_images(product, sizes)


def as_images(product: Array, sizes: Sizes) -> Array:
    """The same of what has been checked."""
    if not product.flags.f_contiguous:
        return product.reshape(sizes)
    return product.T.reshape(sizes[-1], *sizes[:-1]).transpose(*range(1, len(sizes)), 0)  # (N, out_h, out_w, F)
