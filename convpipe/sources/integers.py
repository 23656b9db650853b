"""Random whole numbers, in any dtype: sums of them can be exact, so that equality is."""

from functools import partial
from typing import Any

import numpy as np

from convpipe.fields import dtype_name, field, one_or_several, several, whole
from convpipe.sources.kinds.drawn import COUNT, KERNEL, SHAPE, drawn, longer
from convpipe.sources.kinds.ranges import fits
from convpipe.sources.kinds.source import ANY, ARRAYS, Request, Source
from convpipe.sources.kinds.stream import filled
from convpipe.tensors import Array, Signature, Sizes, exact_range

DTYPE = "Any integer or float dtype; in floats, too, the values are whole."


class Integers(Source):
    """Whole numbers from `low` to below `high`, as in NumPy."""

    roles = (*ARRAYS, "weights")

    dtype: str = field(dtype_name, "int16", DTYPE, under={"weights": "float32"})
    low: int = field(whole(), -8, "The smallest value.", under={"weights": -2})
    high: int = field(whole(), 8, "Not reached, as in NumPy.", under={"weights": 3})
    shape: Sizes | None = field(several(whole(0)), says=SHAPE, under={"input": (1, 3, 8, 8)})
    count: int | None = field(whole(1), says=COUNT, under={"filters": 4})
    kernel: Any = field(one_or_several(whole(1)), says=KERNEL, under={"filters": (3, 3)})

    def __post_init__(self) -> None:
        kind = np.dtype(self.dtype)
        fits(self.key("low"), self.low, kind)
        most = exact_range(kind)[1] + 1  # `high` itself is never drawn
        if not self.low < self.high <= most:
            expected = f"a whole number above low, {self.low}, and at most {most} for {kind}"
            raise self.wrong("high", self.high, expected)

    def one_more_axis(self) -> str:
        """One more size."""
        return longer(self.key("shape"), self.shape)

    def signature(self, request: Request = ANY) -> Signature:
        """The shape of the settings, or the one asked for."""
        return drawn(self.role, request, self.dtype, self.shape, self.count, self.kernel)

    def make(self, signature: Signature, bits: np.random.PCG64, entry: str = "") -> Array:
        """Draw the array from `bits`; more filters begin with the values of fewer."""
        return filled(signature, partial(whole_numbers, bits, self.low, self.high))


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
