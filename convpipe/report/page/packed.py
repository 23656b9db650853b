"""Arrays as a page holds them: base64 of gzip of their little-endian bytes, whole or as small pictures."""

import base64
import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from convpipe.tensors import Array, Sizes

SMALL = 1 << 16  # bytes up to which gzip tries its best: numbers of few values take it 12 s for 4 MB, level 5 under 1 s


@dataclass(frozen=True)
class Packed:
    """An array's text, and what the page has to know to read it.

    `origin` is where the first cell stands in the whole array, of which this is a part; `more` says what else it is.
    """

    text: str
    dtype: str
    shape: Sizes
    origin: Sizes
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, Any]:
        """What stands in the page's facts."""
        whole = {"dtype": self.dtype, "shape": self.shape, **self.more}
        return {**whole, "origin": self.origin} if any(self.origin) else whole


def packed_text(text: str) -> str:
    """A text in half the room, the same each time."""
    return base64_of_gzip(text.encode(), 9)


def base64_of_gzip(data: bytes, level: int) -> str:
    """Bytes as they stand in a page."""
    return base64.b64encode(gzip.compress(data, level, mtime=0)).decode()


def packed(array: Array, origin: Sizes | None = None) -> Packed:
    """An array as text, the same bytes each time.

    >>> packed(np.arange(3, dtype=np.uint8)).facts
    {'dtype': 'uint8', 'shape': (3,)}
    """
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    level = 9 if little.nbytes <= SMALL else 5
    return Packed(base64_of_gzip(little.tobytes(), level), array.dtype.name, array.shape, origin or (0,) * array.ndim)
