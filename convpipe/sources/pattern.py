"""The patterns that a verification engineer fills memories with: corners of a dtype, addresses, single cells and bits.

None is random: a pattern follows from its settings and its shape alone, and is the same on every machine.
"""

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import numpy as np

from convpipe.errors import ConfigError
from convpipe.fields import choice, field, judged, one_or_several, optional, several, whole
from convpipe.geometry.addresses import FILTER_LAYOUTS, IMAGE_LAYOUTS, Cells, order_of
from convpipe.ops.arrays.narrowing import BITS_OF, integer_range, storage
from convpipe.sources.kinds.drawn import KERNEL, SHAPE, drawn, longer
from convpipe.sources.kinds.source import ANY, ARRAYS, Request, Source
from convpipe.sources.kinds.stream import chunks
from convpipe.tensors import DTYPES, Array, Signature, Sizes, exact_range

PATTERN_DTYPES = tuple(dict.fromkeys((*BITS_OF, *DTYPES)))
LAYOUTS = {"input": IMAGE_LAYOUTS, "filters": FILTER_LAYOUTS, "grad": IMAGE_LAYOUTS}
FIRST_LAYOUTS = {role: layouts[0] for role, layouts in LAYOUTS.items()}
PARTS = {"low": 0, "high": 1}
MOST_PART = 15  # of 4 bits each, so that all parts together are an address of 64

PATTERN = (
    "minimum, maximum or zero_point everywhere; checkerboard, alternate: low and high; ramp, address: counted; "
    "one_hot: one cell of each image or filter; walking_one: one bit; sign: half above zero_point, half below."
)
DTYPE = "Any integer or float dtype, int4 and uint4 too, which lie in a byte each; in floats the values are whole."
LOW = "The smallest value; null is the smallest whole number of the dtype."
HIGH = "The largest value, which is reached; null is the largest whole number of the dtype."
ZERO = "The integer that stands for 0: that of zero_point, around the cell of one_hot, between the halves of sign."
COUNT = "F, how many filters."
LAYOUT = "In which order cells are counted: NCHW or NHWC, of filters OIHW, OHWI, HWIO or IHWO; the last letter is next."
BYTE = "Of address: low (0), high (1) or which part of it from the lowest on, of as many bits as the dtype has."
POSITION = "Of one_hot: where the cell is, [c, y, x]; null is the first cell of the first one, the next of the next ..."


# What the patterns are made of. Each function gives the values of some cells, in any dtype that holds them.


def everywhere(value: Callable[["Pattern"], int]) -> Callable[["Pattern", Cells], Array]:
    """One value in all cells."""
    return lambda pattern, cells: np.full(cells.stop - cells.start, value(pattern), storage(pattern.dtype))


def checkerboard(pattern: "Pattern", cells: Cells) -> Array:
    """`low` in the first cell, and the other one in each neighbour along any axis."""
    return either(pattern, np.add.reduce(cells.places) % 2, pattern.most, pattern.least)


def alternate(pattern: "Pattern", cells: Cells) -> Array:
    """`low` and `high` in turn along the innermost axis of the layout, from `low` on."""
    return either(pattern, cells.places[cells.order[-1]] % 2, pattern.most, pattern.least)


def ramp(pattern: "Pattern", cells: Cells) -> Array:
    """From `low` up to `high`, then from `low` again."""
    raw = cells.addresses.astype(np.uint64)
    if (period := pattern.most - pattern.least + 1) < 2**64:
        raw %= np.uint64(period)
    raw += np.uint64(pattern.least % 2**64)  # modulo 2**64, which two's complement reads as the negative number it is
    return raw if pattern.most >= 2**63 else raw.view(np.int64)


def address(pattern: "Pattern", cells: Cells) -> Array:
    """A part of each cell's address, two's complement."""
    bits = bits_of(pattern.dtype)
    parts = cells.addresses.astype(np.uint64) >> np.uint64(min(bits * pattern.byte, 63))
    return as_signed(parts & np.uint64(2**bits - 1), pattern.dtype)


def walking_one(pattern: "Pattern", cells: Cells) -> Array:
    """1, 2, 4 ... up to the highest bit, which is the sign where there is one, then 1 again."""
    bits = (cells.addresses % bits_of(pattern.dtype)).astype(np.uint64)
    return as_signed(np.uint64(1) << bits, pattern.dtype)


def one_hot(pattern: "Pattern", cells: Cells) -> Array:
    """`high` in one cell of each image or filter, `zero_point` in all others."""
    if pattern.position is None:
        hot = cells.inside == cells.places[0] % max(prod(cells.shape[1:]), 1)
    else:
        place = (*(0,) * (len(cells.shape) - 1 - len(pattern.position)), *pattern.position)
        hot = np.logical_and.reduce([at == where for at, where in zip(cells.places[1:], place, strict=True)])
    return either(pattern, hot, pattern.most, pattern.zero_point)


def sign(pattern: "Pattern", cells: Cells) -> Array:
    """As far above `zero_point` as below in the first half of each image or filter, as far below in the rest."""
    reach = min(pattern.most - pattern.zero_point, pattern.zero_point - pattern.least)
    first = cells.inside < (prod(cells.shape[1:]) + 1) // 2
    return either(pattern, first, pattern.zero_point + reach, pattern.zero_point - reach)


def either(pattern: "Pattern", which: Array, yes: int, no: int) -> Array:
    """One of two values in each cell."""
    kind = storage(pattern.dtype).type
    found: Array = np.where(which, kind(yes), kind(no))
    return found


def bits_of(dtype: str) -> int:
    """How many bits the whole numbers of a dtype have: of a float those of its mantissa.

    >>> bits_of("int4"), bits_of("uint64"), bits_of("float32")
    (4, 64, 24)
    """
    low, high = whole_range(dtype)
    return (high - low).bit_length() if low == 0 or dtype[0] == "i" else high.bit_length() - 1


def whole_range(dtype: str) -> tuple[int, int]:
    """The smallest and the largest whole number of a dtype, of a float those that it holds without a gap."""
    return integer_range(dtype) if dtype in BITS_OF else exact_range(np.dtype(dtype))


def as_signed(raw: Array, dtype: str) -> Array:
    """uint64 bits, as many as a dtype has, as its integers: two's complement where that is signed.

    >>> as_signed(np.array([7, 8, 15], np.uint64), "int4").tolist()
    [7, -8, -1]
    """
    if dtype[0] != "i":
        return raw
    highest = np.uint64(2 ** (bits_of(dtype) - 1))
    return ((raw ^ highest) - highest).view(np.int64)


class Kind(NamedTuple):
    """How a pattern is made, and the settings that it reads beside its dtype and shape."""

    make: Callable[["Pattern", Cells], Array]
    reads: tuple[str, ...]


PATTERNS = {
    "minimum": Kind(everywhere(lambda pattern: pattern.least), ("low",)),
    "maximum": Kind(everywhere(lambda pattern: pattern.most), ("high",)),
    "zero_point": Kind(everywhere(lambda pattern: pattern.zero_point), ("zero_point",)),
    "checkerboard": Kind(checkerboard, ("low", "high")),
    "alternate": Kind(alternate, ("low", "high", "layout")),
    "ramp": Kind(ramp, ("low", "high", "layout")),
    "address": Kind(address, ("layout", "byte")),
    "one_hot": Kind(one_hot, ("high", "zero_point", "layout", "position")),
    "walking_one": Kind(walking_one, ("layout",)),
    "sign": Kind(sign, ("low", "high", "zero_point", "layout")),
}
CHOSEN = ("low", "high", "zero_point", "layout", "byte", "position")  # which only some of them read


def part_of(key: str, value: Any) -> int:
    """The number of a part of an address."""
    if isinstance(value, str) and value in PARTS:
        return PARTS[value]
    try:
        return whole(0, MOST_PART)(key, value)
    except ConfigError:
        raise address_part.refused(key, value) from None


address_part = judged(
    part_of,
    f"low, high, or a whole number from 0 to {MOST_PART}",
    {"anyOf": [{"enum": list(PARTS)}, {"type": "integer", "minimum": 0, "maximum": MOST_PART}]},
)


class Pattern(Source):
    """A pattern with a name: corners of a dtype, counted cells, single cells or bits. Nothing in it is random."""

    roles = ARRAYS

    pattern: str = field(choice(PATTERNS), "ramp", PATTERN)
    dtype: str = field(choice(PATTERN_DTYPES), "int8", DTYPE)
    low: int | None = field(optional(whole()), None, LOW)
    high: int | None = field(optional(whole()), None, HIGH)
    zero_point: int = field(whole(), 0, ZERO)
    layout: str | None = field(choice((*IMAGE_LAYOUTS, *FILTER_LAYOUTS)), says=LAYOUT, under=FIRST_LAYOUTS)
    byte: int = field(address_part, 0, BYTE)
    position: Sizes | None = field(optional(several(whole(0))), None, POSITION)
    shape: Sizes | None = field(several(whole(0)), says=SHAPE, under={"input": (1, 3, 8, 8)})
    count: int | None = field(whole(1), says=COUNT, under={"filters": 4})
    kernel: Any = field(one_or_several(whole(1)), says=KERNEL, under={"filters": (3, 3)})

    def __post_init__(self) -> None:
        least, most = whole_range(self.dtype)
        for name in ("low", "high", "zero_point"):
            if (value := getattr(self, name)) is not None and not least <= value <= most:
                raise self.wrong(name, value, f"a whole number from {least} to {most}, as the dtype is {self.dtype}")
        if self.most < self.least:
            raise self.wrong("high", self.most, f"a whole number from low, {self.least}, on")
        if self.layout is not None and self.layout not in LAYOUTS[self.role]:
            raise self.wrong("layout", self.layout, f"one of {', '.join(LAYOUTS[self.role])}")
        if self.pattern == "sign" and not self.least < self.zero_point < self.most:
            expected = f"a whole number above low, {self.least}, and below high, {self.most}, for numbers on both sides"
            raise self.wrong("zero_point", self.zero_point, expected)

    @property
    def least(self) -> int:
        """The smallest value."""
        return whole_range(self.dtype)[0] if self.low is None else self.low

    @property
    def most(self) -> int:
        """The largest value."""
        return whole_range(self.dtype)[1] if self.high is None else self.high

    def unread(self) -> tuple[str, ...]:
        """What the pattern does not read."""
        found = tuple(name for name in CHOSEN if name not in PATTERNS[self.pattern].reads)
        return (*found, "layout") if "layout" not in found and self.position and self.pattern == "one_hot" else found

    def one_more_axis(self) -> str:
        """One more size."""
        return longer(self.key("shape"), self.shape)

    def signature(self, request: Request = ANY) -> Signature:
        """The shape of the settings, or the one asked for.

        Raises:
            ConfigError: a position that is none of an image's, or filter's, cells.
        """
        found = drawn(self.role, request, storage(self.dtype).name, self.shape, self.count, self.kernel)
        if self.pattern == "one_hot" and self.position is not None:
            self.check_position(item_shape(found.shape), self.position)
        return found

    def check_position(self, shape: Sizes, position: Sizes) -> None:
        """A position is a cell of an image, of a filter, or of a list of numbers."""
        if len(position) != len(shape):
            expected = f"a list of {len(shape)}, as it is one of {' x '.join(map(str, shape))} cells"
            raise self.wrong("position", list(position), expected)
        for axis, (place, size) in enumerate(zip(position, shape, strict=True)):
            if place >= size:
                expected = f"a whole number below {size}" if size else "null, as there are no cells"
                raise self.wrong(f"position[{axis}]", place, expected)

    def make(self, signature: Signature, bits: np.random.PCG64, entry: str = "") -> Array:
        """Fill the array, in pieces so that memory stays near one array; nothing is drawn."""
        shape = signature.shape if len(signature.shape) > 2 else (1, 1, *signature.shape)
        array = np.empty(signature.shape, signature.dtype)
        flat, order = array.reshape(-1), order_of(self.layout or IMAGE_LAYOUTS[0], len(shape))
        for part in chunks(flat.size):
            flat[part] = PATTERNS[self.pattern].make(self, Cells(shape, order, part.start, part.stop))
        return array


def item_shape(shape: Sizes) -> Sizes:
    """The shape of one image, or filter: a matrix and a list are one by themselves.

    >>> item_shape((4, 3, 5, 5)), item_shape((5, 5))
    ((3, 5, 5), (5, 5))
    """
    return shape[1:] if len(shape) > 2 else shape
