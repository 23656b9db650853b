"""What the pixels of a TIFF are, by its tags (TIFF 6.0), where Pillow would read them and read them wrongly.

Pillow tells its tags only of files that it takes, after it has chosen how to read them; another library for five tags
would be one more that pictures need.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import calcsize, unpack
from typing import BinaryIO, NamedTuple

ORDERS = {b"II": "<", b"MM": ">"}
CLASSIC, BIG = 42, 43  # of a TIFF and a BigTIFF, whose sizes have 64 bits
INTEGERS = {1: "B", 3: "H", 4: "I", 16: "Q"}  # a tag's types
MOST_TAGS = 4096
MOST_VALUES = 4096  # of one tag
BITS, PHOTOMETRIC, SAMPLES, PLANAR, FORMAT = 258, 262, 277, 284, 339  # tags
WHITE_IS_ZERO = 0
SEPARATE = 2  # a plane for each channel
UNSIGNED = 1
KINDS = {1: "uint", 2: "int", 3: "float", 4: "undefined", 5: "complex int", 6: "complex"}
DEPTHS = (1, 2, 4, 8, 12, 16)
ADVICE = "read it with another program and save its array as .npy"


@dataclass(frozen=True)
class Pixels:
    """What the tags of the first picture say of its pixels."""

    bits: tuple[int, ...]  # of each channel, or once for all
    formats: tuple[int, ...]  # likewise
    channels: int
    white_is_zero: bool
    separate: bool

    def __str__(self) -> str:
        kinds = {f"{KINDS.get(form, 'unknown ')}{bits}" for form in self.formats for bits in self.bits}
        return f"{self.channels} channel{'s' * (self.channels != 1)} of {' and '.join(sorted(kinds))}"

    def check(self) -> None:
        """They are what Pillow reads as they are.

        Raises:
            ValueError: they are not, and what they are.
        """
        depth = self.bits[0]
        if set(self.formats) != {UNSIGNED} or set(self.bits) != {depth} or depth not in DEPTHS:
            raise ValueError(f"it has {self}, a picture has uint of 1 to 16 bits; {ADVICE}")
        if depth > 8 and self.white_is_zero:
            raise ValueError(f"it has {self} whose 0 is white; {ADVICE}")
        if depth > 8 and self.separate and self.channels > 1:
            raise ValueError(f"it has {self} in planes of their own; {ADVICE}")


class Form(NamedTuple):
    """How one kind of TIFF writes its tags: codes of the module `struct`."""

    order: str
    offset: str
    tags: str  # how many there are

    def read(self, file: BinaryIO, codes: str) -> tuple[int, ...]:
        """The next whole numbers of a file.

        Raises:
            ValueError: it ends before them.
        """
        length = calcsize(self.order + codes)
        content = file.read(length)
        if len(content) < length:
            raise ValueError("the file ended early")
        return unpack(self.order + codes, content)


def pixels_of(file: BinaryIO) -> Pixels | None:
    """What the first picture of a TIFF has, or None of another file.

    Raises:
        ValueError: a TIFF that is damaged.
    """
    form = form_of(file.read(4))
    if form is None:
        return None
    if form.offset == "Q":
        form.read(file, "HH")  # the size of an offset, and zero
    (place,) = form.read(file, form.offset)
    tags = tags_of(file, form, place)
    return Pixels(
        tags.get(BITS, (1,)),
        tags.get(FORMAT, (UNSIGNED,)),
        tags.get(SAMPLES, (1,))[0],
        tags.get(PHOTOMETRIC) == (WHITE_IS_ZERO,),
        tags.get(PLANAR) == (SEPARATE,),
    )


def form_of(start: bytes) -> Form | None:
    """The kind of TIFF by its first four bytes, the third and fourth in any order, as some programs write them."""
    order = ORDERS.get(start[:2])
    if order is None or not {CLASSIC, BIG} & {*start[2:]}:
        return None
    return Form(order, "Q", "Q") if BIG in start[2:] else Form(order, "I", "H")


def tags_of(file: BinaryIO, form: Form, place: int) -> dict[int, tuple[int, ...]]:
    """Those tags of the list at a place that say what the pixels are; the last of its number counts, as for Pillow.

    Raises:
        ValueError: too many of them, or one that is damaged.
    """
    file.seek(place)
    (count,) = form.read(file, form.tags)
    if count > MOST_TAGS:
        raise ValueError(f"it has {count} tags, at most {MOST_TAGS} are read")
    found = {}
    for _ in range(count):
        tag, kind, size = form.read(file, "HH" + form.offset)
        here = file.tell()
        if tag in (BITS, PHOTOMETRIC, SAMPLES, PLANAR, FORMAT):
            found[tag] = values_of(file, form, kind, size)
        file.seek(here + calcsize(form.order + form.offset))
    return found


def values_of(file: BinaryIO, form: Form, kind: int, size: int) -> tuple[int, ...]:
    """The whole numbers of a tag, which are where its offset says unless they fit into that."""
    if kind not in INTEGERS or not 0 < size <= MOST_VALUES:
        raise ValueError("a tag of its pixels is damaged")
    codes = f"{size}{INTEGERS[kind]}"
    if calcsize(form.order + codes) > calcsize(form.order + form.offset):
        file.seek(*form.read(file, form.offset))
    return form.read(file, codes)
