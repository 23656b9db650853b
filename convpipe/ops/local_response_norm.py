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
from convpipe.ops import Array, Form, Made, Operation, Read, Tensor, checked, formula, like, numeric, variables
from convpipe.ops.arrays.bounds import FUNCTION_ROUNDINGS, Bounded, rounding
from convpipe.ops.arrays.floats import result_float
from convpipe.ops.arrays.overflow import (
    OVERFLOW,
    OVERFLOWS,
    SHIFT,
    Overflow,
    check_rule,
    scaled,
    settled,
)
from convpipe.ops.arrays.sums import SLACK
from convpipe.ops.arrays.totals import total

TINY = np.finfo(np.float64).tiny
SMALL = 2.0**-900  # sums of squares below it may lack terms that float64 does not hold
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
        x: (N, C, ...). All is computed in float64; floats keep their dtype, and integers give float64.
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
        result[one] = normalized(x[one], (size, alpha / min(size, LARGEST), beta, float(k)), overflow)
    return result


def normalized(x: Array, settings: Settings, overflow: Overflow) -> Array:
    """The normalisation of one image."""
    size, share, beta, k = settings
    with np.errstate(all="ignore"):
        base = window_sums(x, size)
        base *= share
        base += k
        powers = np.power(base, beta)
        result = np.divide(x, powers, order="C")
        if overflow != "inf" and not (within(base, SMALL) and within(powers, TINY)):
            lost = ~((base >= SMALL) & (base < np.inf) & (powers >= TINY) & (powers < np.inf))
            result[lost & operands(x, settings)] = np.nan  # which `settled` has made again
        del powers
    again = partial(by_logarithms, x, settings)
    return settled(result, result_float(x.dtype), overflow, lambda: operands(x, settings), again)


def within(values: Array, least: float) -> bool:
    """Whether all values are numbers from `least` to below infinity."""
    return not values.size or bool(values.min() >= least and values.max() < np.inf)


def operands(x: Array, settings: Settings) -> Array:
    """For each cell, whether all that it is made of is finite, and its divisor a power of a positive number."""
    odd = window_sums((~np.isfinite(x)).astype(np.float32), settings[0])
    finite: Array = (odd == 0) & np.isfinite(logarithms(x, settings))
    return finite


def by_logarithms(x: Array, settings: Settings) -> Array:
    """The same quotients by way of logarithms, for squares and powers that float64 does not hold."""
    powers = logarithms(x, settings)
    powers *= -settings[2]
    powers += np.log2(np.abs(x.astype(np.float64)))
    quotients: Array = np.copysign(np.exp2(powers), x)
    return quotients


def logarithms(x: Array, settings: Settings) -> Array:
    """Of k + share * sum(x**2), to 2, whatever float64 holds of that; not finite where that is not above 0."""
    size, share, _, k = settings
    terms, own = square_logarithms(x, size), np.log2(abs(k))
    terms += np.log2(abs(share))
    most = np.maximum(terms, own)
    terms -= most
    sums = np.copysign(np.exp2(terms, out=terms), share) + np.copysign(np.exp2(own - most), k)
    result: Array = np.log2(sums, out=sums)
    result += most
    return result


def square_logarithms(x: Array, size: int) -> Array:
    """Of the sums of squares; where float64 does not hold those, they are made of cells times a power of 2."""
    squares = window_sums(x, size)
    result = np.log2(squares)
    for odd, power in ((squares == np.inf, -SHIFT), (squares < SMALL, SHIFT)):
        if odd.any():
            result[odd] = np.log2(window_sums(scaled(x, power), size)[odd]) - 2 * power
    return result


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

    varies = True
    function = staticmethod(local_response_norm)
    dtype_of = staticmethod(result_float)

    def plan(self, x: Tensor) -> Made:
        """A tensor like `x`, in floats; at most 16 arrays of one image are there in float64."""
        return like(x, dtype=result_float(x.dtype), workspace=16 * 8 * prod(x.shape[1:]) + SLACK)

    def error(self, made: Array, x: Bounded) -> Array:
        """Over the power, and by what base and power are off, at the ends of what they may be in any right run."""
        share, sizes = abs(self.alpha) / min(self.size, LARGEST), x.size
        cells = x.values.astype(np.float64)
        base = window_sums(cells, self.size) * (self.alpha / min(self.size, LARGEST)) + self.k
        terms = min(self.size, x.values.shape[1])
        unit = float(np.finfo(np.float64).eps) / 2
        squares = share * window_sums(sizes, self.size)
        moved = share * window_sums(np.sqrt(2 * sizes * x.error), self.size)
        off = moved + (2 * terms + 6) * unit * (squares + abs(self.k))
        low, high = base - off - moved, base + off + moved
        powers = np.maximum(low**-self.beta, high**-self.beta)
        slopes = abs(self.beta) * np.maximum(low ** (-self.beta - 1), high ** (-self.beta - 1))
        spread = x.error * powers + sizes * slopes * off
        found = spread + rounding(sizes * powers, made.dtype, FUNCTION_ROUNDINGS + 2, np.float64)
        held = (low > SMALL) & (high < np.inf) & (powers > TINY) & (powers < 1 / TINY)
        return np.where(held, found, np.inf)

    def form(self, x: Tensor) -> Form:
        """The cell over a power of the squares of those in the channels around it."""
        rank, channels = len(x.shape), x.shape[1]
        own, [near] = variables(rank), variables(1, rank)
        first, stop = max(-(self.size // 2), 1 - channels), min((self.size + 1) // 2, channels)
        window = (own[0], own[1] + near + first, *own[2:])
        reads = (Read("own", 0, tuple(own), x.shape), Read("x", 0, window, x.shape))
        constants = {name: getattr(self, name) for name in ("size", "alpha", "beta", "k")}
        norm = formula("own / (k + alpha / size * sum(x * x)) ** beta")
        return Form(norm, rank, reads, (max(stop - first, 0),), tuple(constants.items()))
