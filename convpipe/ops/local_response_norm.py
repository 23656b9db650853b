"""Normalisation over neighbouring channels (Krizhevsky et al., 2012)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convpipe.fields import LARGEST, choice, field, number, whole
from convpipe.geometry.layers import flatten_shape
from convpipe.ops import Array, Made, Operation, Tensor, checked, like, numeric
from convpipe.ops.arrays.floats import computing_float, result_float
from convpipe.ops.arrays.overflow import (
    OVERFLOW,
    OVERFLOWS,
    SHIFT,
    Overflow,
    all_finite,
    check_rule,
    scaled,
    settled,
)
from convpipe.ops.arrays.sums import total
from convpipe.ops.kinds.operation import SLACK

Settings = tuple[int, float, float, float]  # size, alpha/size, beta, k


def local_response_norm(
    x: ArrayLike,
    size: int = 5,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    overflow: Overflow = "error",
) -> Array:
    """Divide every cell by a power of the squares in the channels around it: x / (k + alpha/size * sum(x**2))**beta.

    Args:
        x: (N, C, ...). Floats keep their dtype, and integers give float64. Squares are summed in float64; powers
            are taken in the float of the result, float16's in float32.
        size: how many channels a window has, from c - size//2 to c + (size-1)//2; those beyond the ends count as
            0. An even window has one more before than after, as in PyTorch; ONNX puts it after.
        alpha, beta, k: the formula's.
        overflow: as in `matmul`, for a result that the dtype cannot hold.

    Returns:
        An array like `x`, its squares summed as in `total`. NaN and infinity as IEEE says.

    Raises:
        ConfigError: an `x` that is no array of numbers or has no channels, a size that is no whole number from 1, or
            another setting that is no number.
        ValueRangeError: with ``overflow="error"``, a result that does not fit.

    Source:
        A. Krizhevsky, I. Sutskever, G. Hinton, "ImageNet classification with deep convolutional neural networks",
        2012, section 3.3, with alpha divided by the size as in Caffe, PyTorch and ONNX.

    >>> local_response_norm(np.array([[[1.0], [2.0], [2.0]]]), size=3, alpha=3, beta=1, k=0).ravel().tolist()
    [0.2, 0.2222222222222222, 0.25]
    """
    x = numeric("x", x)
    size, alpha, beta, k = checked(LocalResponseNorm, size=size, alpha=alpha, beta=beta, k=k)
    [overflow] = checked(LocalResponseNorm, overflow=overflow)
    check_rule(overflow, result_float(x.dtype))
    flatten_shape(x.shape)
    result = np.empty(x.shape, result_float(x.dtype))
    for image in range(len(x)):
        one = slice(image, image + 1)
        result[one] = normalized(x[one], (size, alpha / min(size, LARGEST), beta, k), overflow)
    return result


def normalized(x: Array, settings: Settings, overflow: Overflow) -> Array:
    """The normalisation of one image."""
    size, share, beta, k = settings
    with np.errstate(all="ignore"):
        base = window_sums(x, size)
        base *= share
        base += k
        result = np.divide(x, np.power(base.astype(power_float(base, x.dtype), copy=False), beta), order="C")
        if overflow != "inf" and not all_finite(base):
            result[np.isposinf(base) & operands(x, base, size)] = np.nan  # over squares that overflowed, it is not 0
    again = partial(by_logarithms, x, settings)
    return settled(result, result_float(x.dtype), overflow, lambda: operands(x, base, size), again)


def power_float(base: Array, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The float in which powers are taken: that of the result, in a tenth of the time, where it holds the base well."""
    narrow = computing_float(dtype)
    info = np.finfo(narrow)
    fits = base.size and info.tiny <= base.min() and base.max() <= info.max
    return narrow if fits else base.dtype


def operands(x: Array, base: Array, size: int) -> Array:
    """For each cell, whether all that it is made of is finite, and its divisor a power of a positive number."""
    odd = window_sums((~np.isfinite(x)).astype(np.float32), size)
    finite: Array = (odd == 0) & ~(base <= 0)
    return finite


def by_logarithms(x: Array, settings: Settings) -> Array:
    """The same quotients by way of logarithms, for squares that float64 does not hold."""
    size, share, beta, k = settings
    squares = window_sums(scaled(x, -SHIFT), size)
    base = np.log2(squares * share + np.ldexp(float(k), -2 * SHIFT)) + 2 * SHIFT
    quotients: Array = np.copysign(np.exp2(np.log2(np.abs(x.astype(np.float64))) - beta * base), x)
    return quotients


def window_sums(x: Array, size: int) -> Array:
    """The sum of squares over each cell's window of channels, in float64: all planes, shifted, for each channel."""
    squares, channels = np.square(x, dtype=np.float64), x.shape[1]
    terms = x.dtype if x.dtype.kind == "f" else np.dtype(np.float32)  # of a dtype whose squares float64 holds

    def parts() -> Iterator[tuple[Any, Array]]:
        for offset in range(max(-(size // 2), 1 - channels), min((size + 1) // 2, channels)):  # that meet a channel
            first, stop = max(-offset, 0), min(channels - offset, channels)
            yield (slice(None), slice(first, stop)), squares[:, first + offset : stop + offset]

    return total(squares.shape, terms, parts())


class LocalResponseNorm(Operation):
    """Normalisation over neighbouring channels (Krizhevsky et al., 2012)."""

    size: int = field(whole(1), 5, "How many neighbouring channels.")
    alpha: float = field(number(), 1e-4, "Weight of the sum of squares.")
    beta: float = field(number(), 0.75, "Exponent of the divisor.")
    k: float = field(number(), 1.0, "Added to the weighted sum.")
    overflow: Overflow = field(choice(OVERFLOWS), "error", OVERFLOW, later=True)

    adds_up = True
    function = staticmethod(local_response_norm)
    dtype_of = staticmethod(result_float)

    def plan(self, x: Tensor) -> Made:
        """A tensor like `x`, in floats; ten arrays of one image are there in float64."""
        return like(x, dtype=result_float(x.dtype), workspace=10 * 8 * prod(x.shape[1:]) + SLACK)
