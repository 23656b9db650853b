"""Normalisation by stored statistics, per channel (inference)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convpipe.fields import choice, field, number, optional, text
from convpipe.geometry.layers import check_per_channel
from convpipe.ops import (
    MAIN,
    Array,
    ConfigError,
    Form,
    Give,
    Made,
    Operation,
    Tensor,
    Weight,
    cellwise,
    checked,
    like,
    numeric,
)
from convpipe.ops.arrays.bounds import Bounded, rounding
from convpipe.ops.arrays.floats import TILE_CELLS, computing_float, result_float
from convpipe.ops.arrays.overflow import OVERFLOW, OVERFLOWS, SUM_SHIFT, Overflow, check_rule, settled
from convpipe.ops.arrays.sums import FLOAT64_EXACT, largest

LARGE_POWER = 1000  # of 2, from where a product may leave float64
USUAL = {"scale": "weight", "shift": "bias", "mean": "running_mean", "variance": "running_var"}


def batch_norm(
    x: ArrayLike,
    scale: ArrayLike,
    shift: ArrayLike,
    mean: ArrayLike,
    variance: ArrayLike,
    epsilon: float = 1e-5,
    overflow: Overflow = "error",
) -> Array:
    """Normalise channels as training left them: (x - mean) * scale / sqrt(variance + epsilon) + shift.

    Args:
        x: (N, C, ...), any integer or float dtype.
        scale, shift, mean, variance: (C,), likewise; scale / sqrt(variance + epsilon) is worked out in float64.
        epsilon: added to the variance, from 0.
        overflow: as in `matmul`, for a result that the dtype cannot hold. What alone leaves the range of floats on the
            way, such as scale / sqrt(variance), harms no result.

    Returns:
        An array of the shape of `x`, in NumPy's common dtype of all five, float64 where that is no float. float16
        is computed in float32, which takes twice the result's bytes beside it. NaN and infinity as IEEE says.

    Raises:
        ConfigError: an argument that is no array of numbers, a parameter without one value per channel, or a
            negative variance or epsilon.
        ValueRangeError: with ``overflow="error"``, a result that does not fit.

    Source:
        S. Ioffe, C. Szegedy, "Batch normalization", ICML 2015, in its form for inference; ONNX BatchNormalization.

    >>> x, one = np.array([[[1.0, 5.0]]]), np.ones(1)
    >>> batch_norm(x, scale=one, shift=one, mean=np.array([3.0]), variance=np.array([4.0]), epsilon=0)
    array([[[0., 2.]]])
    """
    x, scale, shift = numeric("x", x), numeric("scale", scale), numeric("shift", shift)
    mean, variance = numeric("mean", mean), numeric("variance", variance)
    epsilon, overflow = checked(BatchNorm, epsilon=epsilon, overflow=overflow)
    for name, values in {"scale": scale, "shift": shift, "mean": mean, "variance": variance}.items():
        check_per_channel(name, values.shape, x.shape)
    check_spread(variance)
    common = np.result_type(x, scale, shift, mean, variance)
    check_rule(overflow, result_float(common))
    with np.errstate(all="ignore"):
        spread = np.sqrt(variance.astype(np.float64) + epsilon)
        result = centred(x, mean, computing_float(common))  # before the factor: digits lost here were lost for good
        result *= per_channel(scale / spread, result)
        result += per_channel(shift, result)
        for channel in np.flatnonzero(lossy(scale, spread, result.dtype)):
            own = slice(channel, channel + 1)
            result[:, own] = by_exponents(x[:, own], *(each[own] for each in (scale, shift, mean, spread)))

    def operands() -> Array:
        whole = np.isfinite(scale) & np.isfinite(shift) & np.isfinite(mean) & (spread > 0) & np.isfinite(spread)
        finite: Array = np.isfinite(x) & per_channel(whole, result).astype(bool)
        return finite

    return settled(
        result, result_float(common), overflow, operands, lambda: by_exponents(x, scale, shift, mean, spread)
    )


def centred(x: Array, mean: Array, dtype: np.dtype[Any]) -> Array:
    """x - mean in a float dtype, in C order; of integers that float64 does not hold the difference is rounded alone."""
    if x.dtype.kind == "f" or largest(x) <= FLOAT64_EXACT:
        result = np.array(x, dtype, order="C")
        result -= per_channel(mean, result)
        return result
    result = np.empty(x.shape, dtype)
    whole = [int(each) if np.isfinite(each) and each == np.trunc(each) else each for each in mean.tolist()]
    cells, results = x.reshape(*x.shape[:2], -1), result.reshape(*x.shape[:2], -1)
    for image, channel in np.ndindex(*x.shape[:2]):
        for start in range(0, cells.shape[2], TILE_CELLS):
            tile = slice(start, start + TILE_CELLS)
            results[image, channel, tile] = cells[image, channel, tile].astype(object) - whole[channel]
    return result


def lossy(scale: Array, spread: Array, dtype: np.dtype[Any]) -> Array:
    """For each channel, whether scale / spread has a value that a float dtype has no full digits for."""
    info, factor = np.finfo(dtype), np.abs(scale / spread)
    held = (factor >= info.tiny) & (factor <= info.max)
    found: Array = ~held & np.isfinite(scale) & (scale != 0) & np.isfinite(spread) & (spread > 0)
    return found


def by_exponents(x: Array, scale: Array, shift: Array, mean: Array, spread: Array) -> Array:
    """The same in float64 where nothing on the way leaves its range: fractions and powers of 2 apart."""
    found = np.empty(x.shape)
    cells, results = x.reshape(*x.shape[:2], -1), found.reshape(*x.shape[:2], -1)
    gains, powers = np.frexp(scale.astype(np.float64))
    divisors, less = np.frexp(spread)
    factors = list(zip(gains / divisors, powers - less, mean.astype(np.float64), shift.astype(np.float64), strict=True))
    for image, channel in np.ndindex(*x.shape[:2]):
        for start in range(0, cells.shape[2], TILE_CELLS):
            tile = slice(start, start + TILE_CELLS)
            own = cells[image, channel, tile].astype(np.float64)
            results[image, channel, tile] = normalized(own, *factors[channel])
    return found


def normalized(x: Array, factor: float, power: int, mean: float, shift: float) -> Array:
    """(x - mean) * factor * 2**power + shift."""
    distance = x - mean
    beyond = ~np.isfinite(distance)
    parts, powers = np.frexp(np.where(beyond, x / 2 - mean / 2, distance))
    parts *= factor
    powers += power + beyond
    down = SUM_SHIFT * ((powers > LARGE_POWER) & (parts != 0)).astype(np.int32)  # so that the sum is held
    result: Array = np.ldexp(np.ldexp(parts, powers - down) + np.ldexp(shift, -down), down)
    return result


def check_spread(variance: Array) -> None:
    """Numbers of which there is a square root; NaN is let through."""
    negative = variance[variance < 0]
    if negative.size:
        raise ConfigError("variance", negative.min(), "numbers from 0")


def per_channel(values: Array, like: Array) -> Array:
    """(C,) as (C, 1, 1), in the dtype of the (N, C, H, W) that it meets."""
    shape: tuple[Any, ...] = (-1, *[1] * (like.ndim - 2))
    return values.astype(like.dtype).reshape(shape)


class BatchNorm(Operation):
    """Normalisation by stored statistics, per channel (inference)."""

    scale: str | None = field(optional(text), None, "The name of the gammas; null is LAYER.weight.")
    shift: str | None = field(optional(text), None, "The name of the betas; null is LAYER.bias.")
    mean: str | None = field(optional(text), None, "The name of the means; null is LAYER.running_mean.")
    variance: str | None = field(optional(text), None, "The name of the variances; null is LAYER.running_var.")
    epsilon: float = field(number(low=0), 1e-5, "Added to the variance, so that its root is not 0.")
    overflow: Overflow = field(choice(OVERFLOWS), "error", OVERFLOW, later=True)

    reads = (MAIN, *USUAL)

    def ask(self, give: Give, x: Tensor) -> dict[str, Tensor]:
        """Four numbers for each channel."""
        channels = (x.shape[1],)
        return {role: give(Weight(role, channels, ("F",), usual, getattr(self, role))) for role, usual in USUAL.items()}

    def plan(self, x: Tensor, **parameters: Tensor) -> Made:
        """A tensor like `x`, in a float for all."""
        return like(x, dtype=result_float(np.result_type(x.dtype, *(each.dtype for each in parameters.values()))))

    def run(self, x: Array, **parameters: Array) -> Array:
        """`batch_norm`."""
        return batch_norm(x, **parameters, epsilon=self.epsilon, overflow=self.overflow)

    def error(self, made: Array, x: Bounded, **parameters: Bounded) -> Array | None:
        """Times the factor; six roundings: of mean, difference, factor, product, shift and sum."""
        if not all(each.exact for each in parameters.values()):
            return None
        numbers = {role: each.values.astype(np.float64) for role, each in parameters.items()}
        factor = np.abs(numbers["scale"]) / np.sqrt(numbers["variance"] + self.epsilon)
        factors, mean, shift = (per_channel(each, x.error) for each in (factor, numbers["mean"], numbers["shift"]))
        sizes = factors * (x.size + np.abs(mean)) + np.abs(shift)
        return factors * x.error + rounding(sizes, made.dtype, 6)

    def form(self, x: Tensor, **parameters: Tensor) -> Form:
        """The cell less the mean, over the root of the variance, times the scale, plus the shift."""
        return cellwise("(x - mean) / sqrt(variance + epsilon) * scale + shift", x, [*USUAL], epsilon=self.epsilon)
