"""Random numbers, uniform or normal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, ClassVar

import numpy as np

from convpipe.errors import ConfigError, shown
from convpipe.fields import choice, dtype_name, field, number, one_or_several, several, whole
from convpipe.sources.signature import bank, signature
from convpipe.sources.stream import filled
from convpipe.tensors import Array, Signature, Sizes

DISTRIBUTIONS = ("uniform", "normal")


@dataclass(frozen=True)
class Random:
    """Numbers from a distribution; integer dtypes take them rounded down (uniform) or to the nearest (normal)."""

    source: str = field(choice(["random"]))
    dtype: str = field(dtype_name(), "float32")
    distribution: str = field(choice(DISTRIBUTIONS), "uniform")
    low: float = field(number(), 0.0)
    high: float = field(number(), 1.0)
    mean: float = field(number(), 0.0)
    std: float = field(number(low=0), 1.0)
    key: ClassVar[str]

    def __post_init__(self) -> None:
        kind = np.dtype(self.dtype)
        for name in ("low", "high") if self.distribution == "uniform" else ("mean",):
            check_within(f"{self.key}.{name}", getattr(self, name), kind)
        if self.distribution == "uniform":
            check_interval(f"{self.key}.high", self.low, self.high, kind)

    def make(self, signature: Signature, bits: np.random.PCG64) -> Array:
        """Draw the array from `bits`; a longer array begins with the values of a shorter one."""
        if self.distribution == "uniform":
            return filled(signature, partial(uniform, bits, self.low, self.high, signature.dtype))
        generator = np.random.Generator(bits)
        return filled(signature, partial(normal, generator, self.mean, self.std, signature.dtype))


@dataclass(frozen=True)
class RandomInput(Random):
    """A random input, (N, C, H, W)."""

    shape: Sizes = field(several(whole(0)), (1, 3, 8, 8))
    key: ClassVar[str] = "input"

    def signature(self) -> Signature:
        """The shape asked for."""
        return signature("input.shape", self.shape, self.dtype)


@dataclass(frozen=True)
class RandomFilters(Random):
    """Random filters, (F, C/G, kh, kw)."""

    count: int = field(whole(1), 4)
    kernel: Any = field(one_or_several(whole(1)), (3, 3))
    key: ClassVar[str] = "filters"

    def signature(self, channels: int, groups: int, rank: int) -> Signature:
        """As many filters as asked for, as deep as the input's groups."""
        return bank(self.count, self.kernel, channels, groups, rank, self.dtype)


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
        values *= std
        values += mean
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
    info: Any = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(dtype)
    largest = float(info.max)
    return float(info.min), math.nextafter(largest, 0) if largest > int(info.max) else largest


def check_within(key: str, value: float, dtype: np.dtype[Any]) -> None:
    """A number within the range of a dtype."""
    info: Any = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(dtype)
    low, high = info.min.item() if dtype.kind == "f" else info.min, info.max.item() if dtype.kind == "f" else info.max
    if not low <= value <= high:
        raise ConfigError(key, value, f"a number that {dtype} holds, from {low:g} to {high:g}")


def check_interval(key: str, low: float, high: float, dtype: np.dtype[Any]) -> None:
    """An interval [low, high) that is not empty in `dtype`, and whose width is a number."""
    if not low < high:
        raise ConfigError(key, high, f"a number above low, {shown(low)}")
    if not math.isfinite(float(high) - float(low)):
        raise ConfigError(key, high, f"a number less than {np.finfo(np.float64).max:g} above low, {shown(low)}")
    bottom, top = edges(low, high, dtype)
    if bottom > top:
        raise ConfigError(key, high, f"a number so far above low, {shown(low)}, that some {dtype} lies between")
