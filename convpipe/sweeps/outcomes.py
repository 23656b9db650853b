"""What comes of the points of a sweep, each by itself."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convpipe.archive.table import Row
from convpipe.execution.settle import How

DONE, THERE, FAILED, DIFFERS = How.NEW.value, "there", "failed", "differs"
EQUAL = "equal"  # to another point of the sweep, whose run it shares
FAILED_BEFORE = "failed before"
IMPOSSIBLE = "impossible"
CHANGED = "input changed"  # new, and beside a run of its config whose files at the same paths held something else
GOES_ON = "what is done is kept, and the same command goes on from there"


@dataclass(frozen=True)
class Done:
    """What came of one point: its status is one of the words above, or of `How`."""

    folder: Path  # of its collection
    run: str
    overrides: str
    status: str
    seconds: float
    row: Row | None
    error: str = ""
    note: str = ""  # what is said of it beside counting it
    changed: tuple[str, ...] = ()  # the files that held something else in another run
    number: int = 0  # of the point in the sweep, from 1
    label: str = ""
    times: tuple[tuple[Any, ...], ...] = ()  # rows of timings.csv, where the point is measured
    noted: bool = False  # by the job that ran it, so that it is in the index already


@dataclass(frozen=True)
class There:
    """A point is passed over, as its run is there, or one of this sweep that is equal to it has made it."""

    folder: Path  # of its collection
    run: str
    number: int = 0
    label: str = ""
    overrides: str = ""
    equal: bool = False


@dataclass(frozen=True)
class FailedBefore:
    """A point is passed over, as it failed in an earlier sweep."""

    folder: Path
    run: str
    number: int = 0
    label: str = ""
    overrides: str = ""


@dataclass(frozen=True)
class Finished:
    """A point has run, and is in the index of its collection."""

    outcome: Done


@dataclass(frozen=True)
class Launched:
    """So many points go to a launcher, in so many jobs; what comes of them is told when the last has ended."""

    points: int
    jobs: int
    largest: int  # the most points in one of them


PassedOver = There | FailedBefore


def rows_to_note(outcomes: Iterable[Done]) -> dict[Path, list[Row]]:
    """The rows that are in no index yet, by their collections: those of a job are, as it has noted them itself."""
    rows: dict[Path, list[Row]] = {}
    for outcome in outcomes:
        if outcome.row is not None and not outcome.noted:
            rows.setdefault(outcome.folder, []).append(outcome.row)
    return rows
