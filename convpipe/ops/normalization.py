"""Normalisation: cells brought to a common scale, by trained numbers or by their neighbours' channels."""

from __future__ import annotations

from typing import Any

import numpy as np

from convpipe import geometry
from convpipe.errors import ConfigError, GeometryError
from convpipe.ops.floating import computing_float, result_float
from convpipe.tensors import Array


def batch_norm(x: Array, scale: Array, shift: Array, mean: Array, variance: Array, epsilon: float = 1e-5) -> Array:
    """Normalise channels as training left them: (x - mean) * scale / sqrt(variance + epsilon) + shift.

    Args:
        x: (N, C, ...), any integer or float dtype.
        scale, shift, mean, variance: (C,), likewise; scale / sqrt(variance + epsilon) is worked out in float64.
        epsilon: added to the variance, from 0.

    Returns:
        An array of the shape of `x`, in NumPy's common dtype of all five, float64 where that is no float. float16
        is computed in float32, which takes twice the result's bytes beside it. NaN and infinity as IEEE says.

    Raises:
        GeometryError: a parameter without one value per channel.
        ConfigError: a negative variance or epsilon.

    Source:
        S. Ioffe, C. Szegedy, "Batch normalization", ICML 2015, in its form for inference; ONNX BatchNormalization.

    >>> x, one = np.array([[[1.0, 5.0]]]), np.ones(1)
    >>> batch_norm(x, scale=one, shift=one, mean=np.array([3.0]), variance=np.array([4.0]), epsilon=0)
    array([[[0., 2.]]])
    """
    parameters = {"scale": scale, "shift": shift, "mean": mean, "variance": variance}
    for name, values in parameters.items():
        geometry.check_per_channel(name, values.shape, x.shape)
    check_spread(variance, epsilon)
    common = np.result_type(x, *parameters.values())
    with np.errstate(all="ignore"):
        factor = scale / np.sqrt(variance.astype(np.float64) + epsilon)
        result = np.array(x, computing_float(common), order="C")
        result -= per_channel(mean, result)  # before the factor: digits lost here would be lost for good
        result *= per_channel(factor, result)
        result += per_channel(shift, result)
        return result.astype(result_float(common), copy=False)


def local_response_norm(x: Array, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Array:
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
        GeometryError: a size that is no whole number from 1, or an input without channels.

    Source:
        A. Krizhevsky, I. Sutskever, G. Hinton, "ImageNet classification with deep convolutional neural networks",
        2012, section 3.3, with alpha divided by the size as in Caffe, PyTorch and ONNX.

    >>> local_response_norm(np.array([[[1.0], [2.0], [2.0]]]), size=3, alpha=3, beta=1, k=0).ravel().tolist()
    [0.2, 0.2222222222222222, 0.25]
    """
    if not geometry.is_whole(size, 1):
        raise GeometryError("size", size, "a whole number from 1")
    geometry.flatten_shape(x.shape)
    with np.errstate(all="ignore"):
        result = window_sums(np.square(x, dtype=computing_float(x.dtype), order="C"), int(size))
        result *= alpha / size
        result += k
        np.power(result, beta, out=result)
        np.divide(x, result, out=result)
        return result.astype(result_float(x.dtype), copy=False)


def window_sums(squares: Array, size: int) -> Array:
    """The sum over each cell's window of channels: a shifted copy of all planes added per channel of the window."""
    channels = squares.shape[1]
    sums = np.zeros_like(squares)
    for offset in range(-(size // 2), (size - 1) // 2 + 1):
        first, stop = max(-offset, 0), min(channels - offset, channels)
        if first < stop:
            sums[:, first:stop] += squares[:, first + offset : stop + offset]
    return sums


def check_spread(variance: Array, epsilon: float) -> None:
    """Numbers of which there is a square root; NaN is let through."""
    negative = variance[variance < 0]
    if negative.size:
        raise ConfigError("variance", negative.min(), "numbers from 0")
    if not epsilon >= 0:
        raise ConfigError("epsilon", epsilon, "a number from 0")


def per_channel(values: Array, like: Array) -> Array:
    """(C,) as (C, 1, 1), in the dtype of the (N, C, H, W) that it meets."""
    shape: tuple[Any, ...] = (-1, *[1] * (like.ndim - 2))
    return values.astype(like.dtype).reshape(shape)
