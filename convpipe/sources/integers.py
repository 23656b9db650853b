"""Random whole numbers, in any dtype: sums of them can be exact, so that equality is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from convpipe.errors import ConfigError
from convpipe.fields import choice, dtype_name, field, fits, one_or_several, several, whole
from convpipe.sources.signature import bank, signature
from convpipe.sources.stream import filled
from convpipe.tensors import Array, Signature, Sizes, exact_range


@dataclass(frozen=True)
class Integers:
    """Whole numbers from `low` to below `high`, as in NumPy."""

    source: str = field(choice(["integers"]))
    dtype: str = field(dtype_name(), "int16")
    low: int = field(whole(), -8)
    high: int = field(whole(), 8)
    key: ClassVar[str]

    def __post_init__(self) -> None:
        kind = np.dtype(self.dtype)
        fits(f"{self.key}.low", self.low, kind)
        most = exact_range(kind)[1] + 1  # `high` itself is never drawn
        if not self.low < self.high <= most:
            expected = f"a whole number above low, {self.low}, and at most {most} for {kind}"
            raise ConfigError(f"{self.key}.high", self.high, expected)

    def make(self, signature: Signature, bits: np.random.PCG64) -> Array:
        """Draw the array from `bits`; more filters begin with the values of fewer."""
        return filled(signature, partial(whole_numbers, bits, self.low, self.high))


@dataclass(frozen=True)
class IntegersInput(Integers):
    """An input of whole numbers, (N, C, H, W)."""

    shape: Sizes = field(several(whole(0)), (1, 3, 8, 8))
    key: ClassVar[str] = "input"

    def signature(self) -> Signature:
        """The shape asked for."""
        return signature("input.shape", self.shape, self.dtype)


@dataclass(frozen=True)
class IntegersFilters(Integers):
    """Filters of whole numbers, (F, C/G, kh, kw)."""

    count: int = field(whole(1), 4)
    kernel: Any = field(one_or_several(whole(1)), (3, 3))
    key: ClassVar[str] = "filters"

    def signature(self, channels: int, groups: int, rank: int) -> Signature:
        """As many filters as asked for, as deep as the input's groups."""
        return bank(self.count, self.kernel, channels, groups, rank, self.dtype)


def whole_numbers(bits: np.random.PCG64, low: int, high: int, count: int) -> Array:
    """`count` numbers of low..high-1 as int64, or as uint64 where int64 cannot hold them.

    The remainder favours the lower numbers by less than (high - low) / 2**64 of their share; for one fixed
    number of bits a value, so that a longer array begins with a shorter one, that is the price.

    >>> int(whole_numbers(np.random.PCG64(0), 5, 6, 1)[0])
    5
    """
    raw = np.asarray(bits.random_raw(count))  # NumPy keeps these the same for ever, not Generator.integers
    if high - low < 2**64:
        raw %= np.uint64(high - low)
    raw += np.uint64(low % 2**64)  # modulo 2**64, which two's complement reads as the negative number it is
    return raw if high > 2**63 else raw.view(np.int64)
