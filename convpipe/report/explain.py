"""Cells explained: of the lecture's convolution as a sum of pixels times weights, of all else as its operation says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from convpipe.archive.read import Run
from convpipe.report.cell import Cell
from convpipe.report.chain import Chain, chain_of
from convpipe.report.story import Story
from convpipe.report.subject import subject_of

Explained = Cell | Story


def explained(run: Run, at: Sequence[int], layer: str | None = None) -> Explained:
    """Take apart one cell of a run's convolution, or of a layer of its network.

    Raises:
        ConfigError: a cell or a layer that is not there, or an operation that says nothing of its cells.
        ArchiveError: what has to be made again is not what was archived.
    """
    subject = subject_of(run, layer)
    index = subject.index(at)
    return chain_of(subject).cell(at, index)


def walked(run: Run, at: Sequence[int] | None = None, layer: str | None = None) -> Iterator[Explained]:
    """Take apart the cells of one map one after another, row by row, as the lecture's kernel moves.

    Args:
        at: image and filter; the first ones where none are given.

    Raises:
        ConfigError, ArchiveError: as `explained`, before the first cell.
    """
    subject = subject_of(run, layer)
    places = list(subject.walk(at))
    return told(chain_of(subject), places)


def told(chain: Chain, places: Sequence[tuple[int, ...]]) -> Iterator[Explained]:
    """The cells at some places, each as it is asked for."""
    yield from (chain.cell(at, chain.subject.index(at)) for at in places)
