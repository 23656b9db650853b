"""A run's result as planes: which axes it has, and which two of them number the planes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from convpipe.archive.format import short_number
from convpipe.tensors import Array


@dataclass(frozen=True)
class Maps:
    """A result as planes: which two axes number them, and what those are called."""

    values: Array  # (first, second, ...)
    letters: tuple[str, str]

    def __iter__(self) -> Iterator[tuple[str, Array]]:
        """Each plane and its name, such as ``n=0 f=2``."""
        first, second = self.letters
        for i, planes in enumerate(self.values):
            for j, plane in enumerate(planes):
                yield f"{first}={i} {second}={j}", plane

    @property
    def count(self) -> int:
        """How many there are."""
        return prod(self.values.shape[:2])


def maps_of(values: Array, axes: Sequence[str]) -> Maps | None:
    """The planes of (N, ..., F), of (N, C, ...) and of (F, C, ...); none of anything else."""
    if values.ndim < 3 or not axes:
        return None
    if axes[0] == "N" and axes[-1] == "F":
        return Maps(np.moveaxis(values, -1, 1), ("n", "f"))
    if axes[0] in ("N", "F") and axes[1] in ("C", "C/G"):
        return Maps(values, (axes[0].lower(), "c"))
    return None


def output_axes(rows: Sequence[Mapping[str, str]], manifest: Mapping[str, Any], rank: int) -> tuple[str, ...]:
    """What the manifest calls the axes of the result; nothing where it does not say, or says something else.

    The result of a batch that ran in slices is that of the last stage, for all images.
    """
    last = rows[-1]
    stage = last["stage"] if last["op"] != "batch" or len(rows) < 2 else rows[-2]["stage"]
    found = tuple(manifest["axes"].get(stage, ()))
    return found if len(found) == rank else ()


def range_texts(values: Array) -> tuple[str, str, str]:
    """Smallest, largest and mean value."""
    with np.errstate(all="ignore"):  # infinities have no mean
        low, high, mean = values.min(), values.max(), values.mean(dtype=np.float64)
    # by Python's numbers: NumPy's shortest text of float16's largest, 65504, is 65500
    return short_number(str(low.item())), short_number(str(high.item())), short_number(str(mean))
