"""Random numbers, uniform or normal."""

import math
from functools import lru_cache, partial
from math import prod
from typing import Any

import numpy as np

from convpipe.errors import ConfigError, shown
from convpipe.fields import choice, dtype_name, field, number, one_or_several, several, whole
from convpipe.sources.kinds.drawn import COUNT, KERNEL, SHAPE, drawn, longer
from convpipe.sources.kinds.ranges import fits_below, within
from convpipe.sources.kinds.source import ANY, ARRAYS, Request, Source
from convpipe.sources.kinds.stream import filled
from convpipe.tensors import FLOAT_DTYPES, Array, Signature, Sizes, full_range

DISTRIBUTIONS = ("uniform", "normal")
DTYPE = "Any integer or float dtype; integers round uniform values down, normal ones to the nearest."
DISTRIBUTION = "Uniform: from low to below high; normal: around mean."


class Random(Source):
    """Numbers from a distribution; integer dtypes take them rounded down (uniform) or to the nearest (normal).

    Weights are normal with variance 2 / fan-in (He et al., 2015), where no trained ones are wanted.
    """

    roles = (*ARRAYS, "weights")

    dtype: str = field(dtype_name, "float32", DTYPE)
    distribution: str | None = field(choice(DISTRIBUTIONS), says=DISTRIBUTION, under=dict.fromkeys(ARRAYS, "uniform"))
    low: float = field(number(), says="Uniform: the smallest value.", under=dict.fromkeys(ARRAYS, 0.0))
    high: float = field(number(), says="Uniform: not reached.", under=dict.fromkeys(ARRAYS, 1.0))
    mean: float = field(number(), says="Normal: the mean.", under=dict.fromkeys(ARRAYS, 0.0))
    std: float = field(number(low=0), says="Normal: the standard deviation.", under=dict.fromkeys(ARRAYS, 1.0))
    shape: Sizes | None = field(several(whole(0)), says=SHAPE, under={"input": (1, 3, 8, 8)})
    count: int | None = field(whole(1), says=COUNT, under={"filters": 4})
    kernel: Any = field(one_or_several(whole(1)), says=KERNEL, under={"filters": (3, 3)})

    def __post_init__(self) -> None:
        kind = np.dtype(self.dtype)
        if self.distribution is None and self.dtype not in FLOAT_DTYPES:
            raise self.wrong("dtype", self.dtype, f"one of {', '.join(FLOAT_DTYPES)}")
        if self.distribution == "normal":
            within(self.key("mean"), self.mean, kind)
        if self.distribution == "uniform":
            within(self.key("low"), self.low, kind)
            fits_below(self.key("high"), self.high, kind)
            check_interval(self.key("high"), self.low, self.high, kind)

    def unread(self) -> tuple[str, ...]:
        """The numbers of another distribution."""
        others = {"uniform": ("mean", "std"), "normal": ("low", "high")}
        return others.get(self.distribution or "", ())

    def one_more_axis(self) -> str:
        """One more size."""
        return longer(self.key("shape"), self.shape)

    def signature(self, request: Request = ANY) -> Signature:
        """The shape of the settings, or the one asked for."""
        return drawn(self.role, request, self.dtype, self.shape, self.count, self.kernel)

    def make(self, signature: Signature, bits: np.random.PCG64, entry: str = "") -> Array:
        """Draw the array from `bits`; a longer array begins with the values of a shorter one."""
        if self.distribution == "uniform":
            return filled(signature, partial(uniform, bits, self.low, self.high, signature.dtype))
        mean, std = (self.mean, self.std) if self.distribution else (0.0, std_of(signature.shape))
        return filled(signature, partial(normal, np.random.Generator(bits), mean, std, signature.dtype))


def std_of(shape: Sizes) -> float:
    """The standard deviation of weights (F, C/G, kernel...) or (inputs, units), by how many one sum has.

    >>> std_of((4, 2, 2, 2)), std_of((8, 3))
    (0.5, 0.5)
    """
    fan_in: int = prod(shape[1:]) if len(shape) > 2 else shape[0]
    return math.sqrt(2 / max(fan_in, 1))  # which IEEE 754 rounds, as it does not a power: that is the C library's


def uniform(bits: np.random.PCG64, low: float, high: float, dtype: np.dtype[Any], count: int) -> Array:
    """Numbers of [low, high), float64, on which a cast to `dtype` cannot break that promise."""
    # NumPy keeps the raw bits of PCG64 the same for ever, which it does not promise of Generator's methods
    values = (bits.random_raw(count) >> np.uint64(11)) * 2.0**-53
    values *= float(high) - float(low)
    values += float(low)
    if dtype.kind in "iu":
        np.floor(values, out=values)
    return np.clip(values, *edges(low, high, dtype), out=values)


def normal(generator: np.random.Generator, mean: float, std: float, dtype: np.dtype[Any], count: int) -> Array:
    """Normal numbers, float64, kept within what `dtype` holds."""
    # Generator's stream may change between NumPy versions, rarely and announced; the archive records the version
    values = generator.standard_normal(count)
    with np.errstate(over="ignore"):  # a vast std: infinity is clipped below
        values *= float(std)
        values += float(mean)
    if dtype.kind in "iu":
        np.rint(values, out=values)
    return np.clip(values, *limits(dtype), out=values)


@lru_cache(maxsize=64)
def edges(low: float, high: float, dtype: np.dtype[Any]) -> tuple[float, float]:
    """The smallest and the largest number of [low, high) that `dtype` holds, as float64.

    For integer dtypes, of the numbers of [low, high) rounded down.

    >>> edges(0, 1, np.dtype("float16")), edges(-8, 8, np.dtype("int8"))
    ((0.0, 0.99951171875), (-8.0, 7.0))
    """
    if dtype.kind in "iu":
        below = float(high) if float(high) < high else math.nextafter(float(high), -math.inf)
        return float(math.floor(low)), float(math.floor(below))
    with np.errstate(over="ignore"):  # the first number beyond those of the dtype is infinity
        bottom, top = dtype.type(low), dtype.type(high)
    # compared as Python numbers, which are exact; NumPy would round `low` and `high` to the dtype first
    if bottom.item() < low:
        bottom = np.nextafter(bottom, dtype.type(np.inf))
    if top.item() >= high:
        top = np.nextafter(top, dtype.type(-np.inf))
    return float(bottom), float(top)


def limits(dtype: np.dtype[Any]) -> tuple[float, float]:
    """The smallest and the largest float64 that `dtype` holds: for int64 the largest is 2**63 - 1024.

    >>> limits(np.dtype("int64")) == (-(2.0**63), 2.0**63 - 1024)
    True
    """
    low, high = full_range(dtype)
    largest = float(high)
    return float(low), math.nextafter(largest, 0) if largest > high else largest


def check_interval(key: str, low: float, high: float, dtype: np.dtype[Any]) -> None:
    """An interval [low, high) that is not empty in `dtype`, and whose width is a number."""
    if not low < high:
        raise ConfigError(key, high, f"a number above low, {shown(low)}")
    if not math.isfinite(float(high) - float(low)):
        raise ConfigError(key, high, f"a number less than {np.finfo(np.float64).max:g} above low, {shown(low)}")
    bottom, top = edges(low, high, dtype)
    if bottom > top:
        raise ConfigError(key, high, f"a number so far above low, {shown(low)}, that some {dtype} lies between")
