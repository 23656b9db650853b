"""What happens in a sweep, told to whoever looks on: the engine itself prints nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from convpipe.archive.table import Row

if TYPE_CHECKING:
    from convpipe.sweeps.totals import Tally, Totals

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
class Planned:
    """All points are checked, and none has run; of a dry run there is nothing more."""

    totals: Totals
    folders: tuple[Path, ...]
    dry_run: bool


@dataclass(frozen=True)
class There:
    """A point is passed over, as its run is there."""

    run: str


@dataclass(frozen=True)
class FailedBefore:
    """A point is passed over, as it failed in an earlier sweep."""

    run: str


@dataclass(frozen=True)
class Finished:
    """A point has run, and is in the index of its collection."""

    outcome: Done


@dataclass(frozen=True)
class Closed:
    """The sweep is over, and the tables of its collections are up to date."""

    totals: Totals
    tally: Tally
    folders: tuple[Path, ...]


PassedOver = There | FailedBefore
Event = Planned | PassedOver | Finished | Closed
