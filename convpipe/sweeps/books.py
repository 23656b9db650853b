"""What is written down of a sweep while it runs: its runs in the books of their collections, and the sweep itself.

The books of a collection are its index, its table and its list of failures (`archive.ledger`), what has been measured
(`archive.timings`) and the records of its sweeps (`archive.sweeps`).
"""

import platform
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from pathlib import Path

from convpipe.archive.changes import Survey, formers, take_survey
from convpipe.archive.ledger import Ledger
from convpipe.archive.replace import mend
from convpipe.archive.sweeps import SweepRecord
from convpipe.archive.timings import add_timings
from convpipe.config.settings import Execution
from convpipe.errors import StorageError
from convpipe.execution import provenance
from convpipe.files.staging import remove_abandoned
from convpipe.sweeps.axes import point_text
from convpipe.sweeps.outcomes import (
    CHANGED,
    DONE,
    EQUAL,
    FAILED_BEFORE,
    IMPOSSIBLE,
    THERE,
    Done,
    FailedBefore,
    Finished,
    PassedOver,
    There,
    rows_to_note,
)
from convpipe.sweeps.points import Points, points_in
from convpipe.sweeps.totals import Tally

PACKAGES = ("numpy", "hydra", "omegaconf")


@dataclass
class Books:
    """The books of the collections of one sweep.

    It knows which runs the sweep has made, as a point may be equal to an earlier one.
    """

    parts: Sequence[Points]
    folders: Sequence[Path]
    command: Sequence[str]
    surveys: dict[Path, Survey] = field(init=False)
    ledgers: dict[Path, Ledger] = field(default_factory=dict)
    records: dict[Path, SweepRecord] = field(default_factory=dict)
    made: set[int] = field(default_factory=set)  # run ids as numbers, which take half of the memory

    def __post_init__(self) -> None:
        """A survey for each collection, and what its runs were before."""
        self.surveys = {folder: Survey() for folder in self.folders}
        self.formers = cache(formers)

    def open(self) -> None:
        """Make the collections, and clear away what a kill has left half done in them."""
        for folder in self.folders:
            folder.mkdir(parents=True, exist_ok=True)
            remove_abandoned(folder)
            mend(folder)
            self.ledgers[folder] = Ledger(folder)

    def begin(self) -> None:
        """Begin the records, as something has come of a point, with the points that cannot be."""
        self.records |= {folder: SweepRecord(folder) for folder in self.folders}
        for points in self.parts:
            for number, point, job in points.refused():
                record = self.records.get(job.execution.place.folder)
                if record is not None:
                    settings = point_text(point, points.experiment)
                    record.add(number, job.execution.label or "", settings, "", IMPOSSIBLE)

    def note(self, batch: Sequence[Done | PassedOver]) -> list[PassedOver | Finished]:
        """Write down what came of a batch; gives it as events.

        Raises:
            StorageError: the disk refused.
        """
        batch = [self.apart(each) if self.surveys[each.folder].read else each for each in batch]
        done = [each for each in batch if isinstance(each, Done)]
        for folder, rows in rows_to_note(done).items():
            self.ledgers[folder].note(rows)
        for outcome in done:
            if outcome.times:
                add_timings(outcome.folder, outcome.times)
        return [event_of(each) for each in batch]

    def apart(self, outcome: Done | PassedOver) -> Done | PassedOver:
        """What came of a point, told apart where it is new since a file has changed; before it is in any index."""
        if not isinstance(outcome, Done) or outcome.status != DONE or outcome.row is None:
            return outcome
        found = self.formers(outcome.folder).of(outcome.row)
        return replace(outcome, status=CHANGED, changed=found.files) if found else outcome

    def add(self, event: PassedOver | Finished) -> PassedOver | Finished:
        """Put a point on record; gives it back, as equal where an earlier point of the sweep was its run."""
        if not self.records:
            self.begin()
        if isinstance(event, Finished):
            found = event.outcome
            self.made.add(int(found.run, 16))
            self.records[found.folder].add(found.number, found.label, found.overrides, found.run, found.status)
            return event
        if isinstance(event, There) and int(event.run, 16) in self.made:
            event = replace(event, equal=True)
        status = FAILED_BEFORE if isinstance(event, FailedBefore) else EQUAL if event.equal else THERE
        self.records[event.folder].add(event.number, event.label, event.overrides, event.run, status)
        return event

    def close(self, tally: Tally, *, complete: bool) -> None:
        """Leave the books complete, and let the records be seen.

        Raises:
            StorageError: the disk refused.
        """
        try:
            for folder, ledger in self.ledgers.items():
                remove_abandoned(folder)
                ledger.close()
                take_survey(self.surveys[folder], folder)
        finally:
            self.close_records(tally, complete=complete)

    def close_records(self, tally: Tally, *, complete: bool) -> None:
        """Let the records be seen.

        Raises:
            StorageError: the disk refused one of them.
        """
        counts = {**tally.counts, **({FAILED_BEFORE: tally.failed_before} if tally.failed_before else {})}
        execution = self.parts[0].execution
        facts = {
            "command": list(self.command),
            "complete": complete,
            "counts": counts,
            "of": points_in(self.parts),
            "workers": execution.workers,
            "note": execution.note,
            "versions": versions(),
        }
        errors = [error for record in self.records.values() if (error := closed(record, facts)) is not None]
        if errors:
            raise errors[0]


def event_of(outcome: Done | PassedOver) -> PassedOver | Finished:
    """What is told of a point; its run may have been made while it was on its way, for a point just like it."""
    if not isinstance(outcome, Done):
        return outcome
    which = (outcome.folder, outcome.run, outcome.number, outcome.label, outcome.overrides)
    return There(*which, equal=True) if outcome.status == THERE else Finished(outcome)


def record_single(execution: Execution, run: str, verdict: str, command: Sequence[str]) -> None:
    """Put a single run that has a label on record, as a sweep of one point.

    Raises:
        StorageError: the disk refused.
    """
    status = DONE if verdict == "new" else THERE
    record = SweepRecord(execution.place.folder)
    record.add(1, execution.label or "", shlex.join(command[1:]), run, status)
    facts = {"command": list(command), "complete": True, "counts": {status: 1}, "of": 1, "note": execution.note}
    record.close({**facts, "versions": versions()})


def closed(record: SweepRecord, facts: dict[str, object]) -> StorageError | None:
    """Close one record; gives what the disk said against it."""
    try:
        record.close(facts)
    except StorageError as error:
        return error
    return None


def versions() -> dict[str, str]:
    """What has run the sweep, all of it loaded."""
    packages = {name: str(import_module(name).__version__) for name in PACKAGES}
    return {"convpipe": provenance.VERSION, "python": platform.python_version(), **packages}
