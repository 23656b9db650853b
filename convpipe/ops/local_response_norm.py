"""Normalisation over neighbouring channels (Krizhevsky et al., 2012)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from convpipe.fields import LARGEST, field, number, whole
from convpipe.geometry.layers import flatten_shape
from convpipe.ops import Array, Operation, checked, numeric
from convpipe.ops.arrays.floats import computing_float, result_float


def local_response_norm(x: ArrayLike, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Array:
    """Divide every cell by a power of the squares in the channels around it: x / (k + alpha/size * sum(x**2))**beta.

    Args:
        x: (N, C, ...). Floats keep their dtype (float16 is computed in float32), integers are computed in float64
            and give float64. Takes the bytes of the result in that float beside it, for float16 four times as many.
        size: how many channels a window has, from c - size//2 to c + (size-1)//2; those beyond the ends count as
            0. An even window has one more before than after, as in PyTorch; ONNX puts it after.
        alpha, beta, k: the formula's.

    Returns:
        An array like `x`. NaN and infinity as IEEE says.

    Raises:
        ConfigError: an `x` that is no array of numbers or has no channels, a size that is no whole number from 1, or
            another setting that is no number.

    Source:
        A. Krizhevsky, I. Sutskever, G. Hinton, "ImageNet classification with deep convolutional neural networks",
        2012, section 3.3, with alpha divided by the size as in Caffe, PyTorch and ONNX.

    >>> local_response_norm(np.array([[[1.0], [2.0], [2.0]]]), size=3, alpha=3, beta=1, k=0).ravel().tolist()
    [0.2, 0.2222222222222222, 0.25]
    """
    x = numeric("x", x)
    size, alpha, beta, k = checked(LocalResponseNorm, size=size, alpha=alpha, beta=beta, k=k)
    flatten_shape(x.shape)
    with np.errstate(all="ignore"):
        result = window_sums(np.square(x, dtype=computing_float(x.dtype), order="C"), size)
        result *= alpha / min(size, LARGEST)
        result += k
        np.power(result, beta, out=result)
        np.divide(x, result, out=result)
        return result.astype(result_float(x.dtype), copy=False)


def window_sums(squares: Array, size: int) -> Array:
    """The sum over each cell's window of channels: a shifted copy of all planes added per channel of the window."""
    channels = squares.shape[1]
    sums = np.zeros_like(squares)
    for offset in range(max(-(size // 2), 1 - channels), min((size + 1) // 2, channels)):  # those that meet a channel
        first, stop = max(-offset, 0), min(channels - offset, channels)
        sums[:, first:stop] += squares[:, first + offset : stop + offset]
    return sums


class LocalResponseNorm(Operation):
    """Normalisation over neighbouring channels (Krizhevsky et al., 2012)."""

    size: int = field(whole(1), 5, "How many neighbouring channels.")
    alpha: float = field(number(), 1e-4, "Weight of the sum of squares.")
    beta: float = field(number(), 0.75, "Exponent of the divisor.")
    k: float = field(number(), 1.0, "Added to the weighted sum.")

    function = staticmethod(local_response_norm)
    dtype_of = staticmethod(result_float)
