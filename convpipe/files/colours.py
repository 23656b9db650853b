"""Numbers as colours: grey from the smallest to the largest, red below 0 and blue above it, orange for what is none.

Red, white, blue from the lowest up: the page (report/page/raster.mjs) has the same order.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convpipe.files.images import BAND_ROWS, heights
from convpipe.tensors import Array

RED, BLUE, WHITE = (178.0, 10.0, 30.0), (20.0, 60.0, 178.0), (255.0, 255.0, 255.0)
NO_NUMBER = (255, 150, 0)  # NaN and infinities
ROW_HEIGHT = 24  # pixels of a map that is one row
SAMPLED = 4  # cells in either direction that make a pixel


@dataclass(frozen=True)
class Span:
    """From which number to which some planes go, and how many of their cells are NaN or infinite."""

    low: Any = None  # of the planes' dtype; None where no cell is finite
    high: Any = None
    nans: int = 0
    infinities: int = 0

    @property
    def is_signed(self) -> bool:
        """Whether there are numbers below 0."""
        return self.low is not None and bool(self.low < 0)

    @property
    def reach(self) -> Any:
        """The largest distance from 0, as Python's number."""
        return max(abs(self.low.item()), abs(self.high.item()))

    def joined(self, other: "Span") -> "Span":
        """That of both."""
        lows = [span.low for span in (self, other) if span.low is not None]
        highs = [span.high for span in (self, other) if span.high is not None]
        nans, infinities = self.nans + other.nans, self.infinities + other.infinities
        return Span(min(lows, default=None), max(highs, default=None), nans, infinities)


def bands(plane: Array, step: int = 1) -> Iterator[Array]:
    """Some rows of a plane at a time, a multiple of `step`: a second plane in memory is what this avoids."""
    rows = step * max(1, BAND_ROWS // step)
    return (plane[top : top + rows] for top in range(0, len(plane), rows))


def span_of(plane: Array) -> Span:
    """That of one plane (h, w).

    >>> span_of(np.array([[-1.0, np.nan], [np.inf, 3.0]]))
    Span(low=np.float64(-1.0), high=np.float64(3.0), nans=1, infinities=1)
    """
    if plane.dtype.kind != "f":
        return Span(plane.min(), plane.max())
    found = Span()
    for band in bands(plane):
        finite = band[np.isfinite(band)]
        nans = int(np.isnan(band).sum())
        low, high = (finite.min(), finite.max()) if finite.size else (None, None)
        found = found.joined(Span(low, high, nans, band.size - finite.size - nans))
    return found


def coloured(plane: Array, span: Span, step: int = 1) -> Array:
    """A plane (h, w) as pixels (h / step, w / step, 3) uint8, rounded up: each shows step x step cells, in the mean.

    Where one of them is NaN or infinite, the pixel says so.
    """
    parts = []
    for band in bands(plane, step):
        pixels = np.rint(mean(colours_of(sample(band, step), span), step)).astype(np.uint8)
        if span.nans + span.infinities:
            pixels[blocks(np.logical_or, ~np.isfinite(band), step)] = NO_NUMBER
        parts.append(pixels)
    return np.concatenate(parts)


def true_colours(planes: Sequence[Array], span: Span, step: int = 1) -> Array:
    """Three planes (h, w) of red, green and blue as pixels: white is 255 or what is above it; of floats up to 1, 1."""
    is_share = planes[0].dtype.kind == "f" and span.high <= 1
    peak = np.float64(1.0 if is_share else max(255.0, float(span.high)))
    parts = []
    for channels in zip(*(bands(plane, step) for plane in planes), strict=True):
        levels = np.stack([sample(band, step) / peak * 255 for band in channels], axis=-1)
        parts.append(np.rint(mean(levels, step)).astype(np.uint8))
    return np.concatenate(parts)


def sample(band: Array, step: int) -> Array:
    """Of every step x step cells at most SAMPLED x SAMPLED, evenly spread: more take long, and look the same."""
    if step <= SAMPLED:
        return band
    offsets = np.arange(SAMPLED) * step // SAMPLED
    rows, columns = ((np.arange(0, size, step)[:, None] + offsets).ravel() for size in band.shape)
    return band[np.ix_(rows[rows < band.shape[0]], columns[columns < band.shape[1]])]


def mean(levels: Array, step: int) -> Array:
    """The mean of what `sample` gives for every step x step cells, those at the edges of fewer: (h, w, 3)."""
    size = min(step, SAMPLED)
    if size == 1:
        return levels
    counts = blocks(np.add, np.ones(levels.shape[:2]), size)
    return np.asarray(blocks(np.add, levels, size) / counts[..., None])


def blocks(combine: np.ufunc, cells: Array, size: int) -> Array:
    """Every size x size cells of the first two axes combined, those at the edges of fewer."""
    rows, columns = (np.arange(0, length, size) for length in cells.shape[:2])
    return np.asarray(combine.reduceat(combine.reduceat(cells, rows, axis=0), columns, axis=1))


def colours_of(cells: Array, span: Span) -> Array:
    """The colour of each cell, float64: the lowest of what is NaN or infinite, and black where all are."""
    if span.low is None:
        return np.zeros((*cells.shape, 3))
    if span.nans + span.infinities:
        cells = np.where(np.isfinite(cells), cells, span.low)
    if span.is_signed:
        return signed_colours(cells, span)
    most = heights(np.array([span.high], cells.dtype), span.low, span.high)[0]
    grey = heights(cells, span.low, span.high) / most * 255 if most else np.full(cells.shape, 128.0)
    return np.repeat(grey[..., None], 3, axis=-1)


def signed_colours(cells: Array, span: Span) -> Array:
    """White at 0, towards red below and towards blue above, as far from 0 as the reach in both directions."""
    share = (cells.astype(np.float64) / float(span.reach))[..., None]
    towards = np.where(share < 0, np.array(RED), np.array(BLUE))
    return np.asarray(WHITE + (towards - WHITE) * np.abs(share))


def enlarged(pixels: Array, times: int) -> Array:
    """Every pixel as times x times of them; those of a single row are higher, so that they can be seen."""
    down = times if len(pixels) > 1 else max(times, ROW_HEIGHT)
    return pixels.repeat(down, axis=0).repeat(times, axis=1)


def joint_span(planes: Iterable[Array]) -> Span:
    """That of several planes."""
    found = Span()
    for plane in planes:
        found = found.joined(span_of(plane))
    return found
