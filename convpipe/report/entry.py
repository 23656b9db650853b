"""One cell of any array of a run as it lies in memory: where it is, what it holds, and what its bytes are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from convpipe.errors import ConfigError, did_you_mean
from convpipe.geometry.addresses import FILTER_LAYOUTS, IMAGE_LAYOUTS, order_of
from convpipe.report.subject import index_order
from convpipe.tensors import Array, Sizes, Tensor, number_text

DEPTHWISE = "1HWO"  # IHWO of filters of one channel


@dataclass(frozen=True)
class Entry:
    """One cell of an array, perhaps with its address, counted in cells, in a layout; "" is as the array lies."""

    stage: str
    letters: tuple[str, ...]
    indices: Sizes
    stored: Any
    dtype: np.dtype[Any]
    address: int | None = None
    layout: str = ""

    agrees = True  # nothing is worked out again

    def __str__(self) -> str:
        place = ", ".join(f"{letter}={index}" for letter, index in zip(self.letters, self.indices, strict=True))
        cell = f"{self.stage} {place} ({self.dtype}): {number_text(self.dtype.type(self.stored))}"
        if self.address is None:
            return cell
        layout = f" in {self.layout}" if self.layout else ""
        return f"address {self.address}{layout}: {cell}, {self.bytes_text}"

    def __repr__(self) -> str:
        return f"<Entry {self}>"

    def _repr_html_(self) -> str:
        from convpipe.files import html

        return html.preformatted(str(self))

    @property
    def total(self) -> Any:
        """What is stored."""
        return self.stored

    @property
    def bytes(self) -> bytes:
        """Its bytes, the lowest first."""
        return np.array(self.stored, self.dtype.newbyteorder("<")).tobytes()

    @property
    def bytes_text(self) -> str:
        """Where its bytes are, and which, the lowest first."""
        first, size = (self.address or 0) * self.dtype.itemsize, self.dtype.itemsize
        places = f"byte {first} is" if size == 1 else f"bytes {first} to {first + size - 1} are"
        return f"{places} {self.bytes.hex(' ')}"


def layouts_of(tensor: Tensor) -> tuple[str, ...]:
    """The layouts that a tensor may have: those of images and maps, or of filters, or none.

    >>> layouts_of(Tensor("w", (4, 1, 3, 3), np.dtype("int8"), ("F", "C/G", "kh", "kw")))
    ('OIHW', 'OHWI', 'HWIO', 'IHWO', '1HWO')
    """
    if len(tensor.axes) < 3:
        return ()
    if tensor.axes[0] == "N":
        return IMAGE_LAYOUTS
    filters = tensor.axes[0] == "F" and tensor.axes[1] in ("C", "C/G")
    return (*FILTER_LAYOUTS, *((DEPTHWISE,) if tensor.shape[1] == 1 else ())) if filters else ()


def lying(tensor: Tensor, layout: str | None) -> Sizes:
    """The axes of a tensor in the order in which a layout has them, the one whose cells are neighbours last.

    Raises:
        ConfigError: a layout that such a tensor does not have.

    >>> lying(Tensor("y", (1, 6, 6, 4), np.dtype("int8"), ("N", "out_h", "out_w", "F")), "NCHW")
    (0, 3, 1, 2)
    """
    if layout is None:
        return tuple(range(len(tensor.shape)))
    known = layouts_of(tensor)
    if layout not in known:
        axes = ",".join(tensor.axes)
        expected = f"one of {', '.join(known)}, as the axes are {axes}" if known else f"nothing, as the axes are {axes}"
        raise ConfigError("--layout", layout, expected, did_you_mean(layout, known))
    canonical = index_order(tensor)
    return tuple(canonical[axis] for axis in order_of(layout.replace("1", "I"), len(canonical)))


def entry_at(stage: str, tensor: Tensor, array: Array, address: int, layout: str | None) -> Entry:
    """What lies at an address of an array.

    Raises:
        ConfigError: a layout that it does not have, or an address beyond it.
    """
    order = lying(tensor, layout)
    count = prod(tensor.shape)
    if not 0 <= address < count:
        expected = f"a whole number from 0 to {count - 1}" if count else "none at all"
        raise ConfigError("--address", address, f"{expected}, as {stage} has {count:,} cells")
    place = np.unravel_index(address, [tensor.shape[axis] for axis in order])
    found = dict(zip(order, map(int, place), strict=True))
    index = tuple(found[axis] for axis in range(len(order)))
    return entry_of(stage, tensor, array, index, address, layout or "")


def entry_of(
    stage: str, tensor: Tensor, array: Array, index: Sequence[int], address: int | None = None, layout: str = ""
) -> Entry:
    """One cell of an array."""
    letters = tuple(axis.lower() for axis in tensor.axes)
    return Entry(stage, letters, tuple(index), array[tuple(index)].item(), array.dtype, address, layout)
