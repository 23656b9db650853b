"""Spatial axes enlarged by whole factors, each cell repeated."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convpipe.fields import field, one_or_several, whole
from convpipe.geometry.axes import PerAxis, check_addressable, input_rank, per_axis
from convpipe.ops import Array, Form, Made, Operation, Tensor, copied, images, like, variables


def upsample(x: ArrayLike, factor: PerAxis = 2) -> Array:
    """Repeat each cell along the spatial axes: the nearest neighbour, enlarged by whole factors.

    Args:
        x: (N, C, H, W), or with one or three spatial axes; any integer or float dtype, which the result keeps.
        factor: a whole number from 1, or one per axis.

    Returns:
        (N, C, H*factor, W*factor), a new array.

    Raises:
        ConfigError: an `x` that is no array of numbers or has another number of axes, or a factor that is none.

    Source:
        torch.nn.Upsample(mode="nearest"); ONNX Resize with nearest and asymmetric coordinates.

    >>> upsample(np.array([[[1, 2]]]), 3)
    array([[[1, 1, 1, 2, 2, 2]]])
    """
    x = images("x", x)
    factors = per_axis("factor", factor, input_rank(x.shape))
    check_addressable("factor", factor, (*x.shape, *factors), x.itemsize)
    result = np.array(x, order="C")
    for axis, by in enumerate(factors, start=2):
        result = np.repeat(result, by, axis)
    return result


class Upsample(Operation):
    """Each cell as a block of `factor` cells along every spatial axis."""

    factor: Any = field(one_or_several(whole(1)), 2, "How many cells each becomes: one number, or one per axis.")

    function = staticmethod(upsample)
    images = True
    linear = True
    moves = True

    def plan(self, x: Tensor) -> Made:
        """Larger spatial axes."""
        factors = per_axis("factor", self.factor, input_rank(x.shape))
        spatial = (size * by for size, by in zip(x.shape[2:], factors, strict=True))
        return like(x, shape=(*x.shape[:2], *spatial))

    def form(self, x: Tensor) -> Form:
        """The cell that was repeated."""
        factors = per_axis("factor", self.factor, input_rank(x.shape))
        own = variables(len(x.shape))
        places = (*own[:2], *(place // by for place, by in zip(own[2:], factors, strict=True)))
        return copied(len(own), places, x.shape)
