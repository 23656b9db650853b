"""What comes of the points of a sweep, each by itself."""

from dataclasses import dataclass
from pathlib import Path

from convpipe.archive.table import Row

DONE, THERE, FAILED, DIFFERS = "done", "there", "failed", "differs"
GOES_ON = "what is done is kept, and the same command goes on from there"


@dataclass(frozen=True)
class Done:
    """What came of one point: it is done, was there by then, failed, or differs from its archive."""

    folder: Path  # of its collection
    run: str
    overrides: str
    status: str
    seconds: float
    row: Row | None
    error: str = ""


@dataclass(frozen=True)
class There:
    """A point is passed over, as its run is there."""

    folder: Path  # of its collection
    run: str


@dataclass(frozen=True)
class FailedBefore:
    """A point is passed over, as it failed in an earlier sweep."""

    folder: Path
    run: str


@dataclass(frozen=True)
class Finished:
    """A point has run, and is in the index of its collection."""

    outcome: Done


PassedOver = There | FailedBefore
