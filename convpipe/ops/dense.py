"""The layers that end a classifier: images laid out as rows, and rows times weights."""

from __future__ import annotations

from typing import Any

from convpipe import geometry
from convpipe.ops.matmul import Overflow, matmul
from convpipe.tensors import Array


def flatten(x: Array) -> Array:
    """Lay out every image as one row, in C order: channel by channel, row by row.

    Args:
        x: (N, C, H, W), or any shape from (N, C); any dtype, which the result keeps.

    Returns:
        (N, C*H*W): a view where `x` lies in memory so that one is possible.

    Raises:
        GeometryError: fewer than two axes.

    >>> import numpy as np
    >>> flatten(np.arange(8).reshape(2, 1, 2, 2))
    array([[0, 1, 2, 3],
           [4, 5, 6, 7]])
    """
    return x.reshape(geometry.flatten_shape(x.shape))


def dense(
    x: Array, weights: Array, bias: Array | None = None, dtype: Any = None, overflow: Overflow = "error"
) -> Array:
    """Multiply rows with weights: ``x @ weights + bias``.

    Args:
        x: (N, in), any integer or float dtype.
        weights: (in, out), likewise: one column per output, as in the lecture's book and in Keras; PyTorch
            keeps the transpose.
        bias: (out,), added to each row.
        dtype, overflow: as for `matmul`, whose values these are: integers exact whatever their size.

    Returns:
        (N, out), a transposed view. Beside it, the bytes of `matmul.workspace`.

    Raises:
        GeometryError: shapes that do not fit.
        ValueRangeError: with ``overflow="error"``, a sum that does not fit.

    >>> import numpy as np
    >>> dense(np.array([[1, 2]]), np.array([[1, 0, 1], [0, 1, 1]]), bias=np.array([0, 0, 10]))
    array([[ 1,  2, 13]])
    """
    geometry.dense_shape(x.shape, weights.shape, None if bias is None else bias.shape)
    return matmul(x, weights.T, bias, dtype=dtype, overflow=overflow)
