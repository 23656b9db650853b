"""A table as a page holds it: of each column the texts that occur in it, once each, and which of them a row has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convpipe.report.page.packed import Packed, packed
from convpipe.tensors import Array

HEX = re.compile(r"[0-9a-f]+", re.ASCII)
LEAST_HEX = 12  # digits: what is shorter might as well be numbers
LEAST_HASHES = 32  # fewer stand as texts


@dataclass(frozen=True)
class Column:
    """A column's texts in the order in which they appear, none of them empty, and each row's by its place in them.

    A place behind the last is a gap. `places` is None where row after row has the next text.
    """

    name: str
    texts: tuple[str, ...]
    places: Array | None
    gaps: int

    @property
    def digits(self) -> int:
        """How many hexadecimal digits each text has; 0 where they are other texts, or few."""
        if len(self.texts) < LEAST_HASHES:
            return 0
        lengths = set(map(len, self.texts))
        digits = lengths.pop()
        whole = not lengths and digits % 2 == 0 and digits >= LEAST_HEX
        return digits if whole and all(map(HEX.fullmatch, self.texts)) else 0

    @property
    def facts(self) -> dict[str, Any]:
        """What the page's script is told."""
        texts = {"hex": self.digits} if self.digits else {"texts": self.texts}
        return {"name": self.name, "count": len(self.texts), "gaps": self.gaps, **texts}


def column_of(name: str, cells: Iterable[str]) -> Column:
    """A column from its cells.

    >>> column_of("stride", ["2", "", "1", "2"])
    Column(name='stride', texts=('2', '1'), places=array([0, 2, 1, 0], dtype=uint8), gaps=1)
    >>> column_of("run", ["a", "b"]).places is None
    True
    """
    found: dict[str, int] = {}
    places = [found.setdefault(cell, len(found)) if cell else -1 for cell in cells]
    if len(found) == len(places):
        return Column(name, tuple(found), None, 0)
    dtype = np.min_scalar_type(len(found))
    array = np.array([len(found) if place < 0 else place for place in places], dtype)
    return Column(name, tuple(found), array, places.count(-1))


def columns_packed(rows: Sequence[Mapping[str, str]], names: Sequence[str]) -> dict[str, Packed]:
    """The arrays of a table: `columns` is JSON about all of them, as bytes; `places-3` and `hex-3` belong to one."""
    columns = [column_of(name, [row.get(name, "") for row in rows]) for name in names]
    text = json.dumps([column.facts for column in columns], separators=(",", ":"))
    arrays = {"columns": packed(np.frombuffer(text.encode(), np.uint8))}
    for at, column in enumerate(columns):
        if column.digits:
            arrays[f"hex-{at}"] = packed(np.frombuffer(bytes.fromhex("".join(column.texts)), np.uint8))
        varies = len(column.texts) + bool(column.gaps) > 1
        if column.places is not None and varies:
            arrays[f"places-{at}"] = packed(column.places)
    return arrays
