"""A run's result as planes: which axes it has, and which two of them number the planes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from convpipe.archive.format import short_number
from convpipe.tensors import Array

if TYPE_CHECKING:
    from convpipe.archive.read import Run


@dataclass(frozen=True)
class Maps:
    """A result as planes: which two axes number them, and what those are called."""

    values: Array  # (first, second, ...)
    letters: tuple[str, str]
    names: tuple[str, ...] = ()  # of the second, where they have some

    def __iter__(self) -> Iterator[tuple[str, Array]]:
        """Each plane and its name, such as ``n=0 f=2`` or ``n=0 f=2 sobel_x B``."""
        first, second = self.letters
        called = [f" {name}" for name in self.names] or [""] * self.values.shape[1]
        for i, planes in enumerate(self.values):
            for j, plane in enumerate(planes):
                yield f"{first}={i} {second}={j}{called[j]}", plane

    @property
    def count(self) -> int:
        """How many there are."""
        return prod(self.values.shape[:2])


def letters_of(axes: Sequence[str]) -> tuple[str, str] | None:
    """What number the planes of (N, ..., F), of (N, C, ...) and of (F, C, ...); nothing else has planes."""
    if len(axes) < 3:
        return None
    if axes[0] == "N" and axes[-1] == "F":
        return "n", "f"
    return (axes[0].lower(), "c") if axes[0] in ("N", "F") and axes[1] in ("C", "C/G") else None


def maps_of(values: Array, axes: Sequence[str]) -> Maps | None:
    """The planes of an array of these axes; None where it has none."""
    letters = letters_of(axes)
    if letters is None or values.ndim < 3:
        return None
    return Maps(np.moveaxis(values, -1, 1) if letters[1] == "f" else values, letters)


def run_maps(run: Run, values: Array) -> Maps | None:
    """The planes of a run's result with their names, as far as its manifest has them; None of what has no planes."""
    maps = maps_of(values, output_axes(run.rows, run.manifest, values.ndim))
    if maps is None or run.config.get("network") or maps.letters[0] != "n":  # names are of one convolution's maps
        return maps
    found = run.manifest.get("names", {}).get("feature_map" if maps.letters[1] == "f" else "input", ())
    return replace(maps, names=tuple(found)) if len(found) == maps.values.shape[1] else maps


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
