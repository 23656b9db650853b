"""What is written down of a sweep itself, in each of its collections: see `archive.sweeps`."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path

from convpipe.archive.sweeps import SweepRecord
from convpipe.errors import StorageError
from convpipe.execution import provenance
from convpipe.sweeps.axes import point_text
from convpipe.sweeps.outcomes import EQUAL, FAILED_BEFORE, IMPOSSIBLE, THERE, FailedBefore, Finished, PassedOver, There
from convpipe.sweeps.points import Points
from convpipe.sweeps.totals import Tally

PACKAGES = ("numpy", "hydra", "omegaconf")


@dataclass
class Records:
    """The records of one sweep, and which of its runs it has made, as a point may be equal to an earlier one."""

    parts: Sequence[Points]
    folders: Sequence[Path]
    command: Sequence[str]
    records: dict[Path, SweepRecord] = field(default_factory=dict)
    made: set[int] = field(default_factory=set)  # run ids as numbers, which take half of the memory

    def open(self) -> None:
        """Begin, with the points that cannot be."""
        self.records |= {folder: SweepRecord(folder) for folder in self.folders}
        for points in self.parts:
            for number, point, job in points.refused():
                record = self.records.get(job.execution.place.folder)
                if record is not None:
                    settings = f"{points.experiment} {point_text(point)}".strip()
                    record.add(number, job.execution.label or "", settings, "", IMPOSSIBLE)

    def add(self, event: PassedOver | Finished) -> PassedOver | Finished:
        """Write down what came of a point; gives it back, as equal where an earlier point of the sweep was its run."""
        if isinstance(event, Finished):
            found, status = event.outcome, event.outcome.status
            self.made.add(int(found.run, 16))
            self.records[found.folder].add(found.number, found.label, found.overrides, found.run, status)
            return event
        if isinstance(event, There) and int(event.run, 16) in self.made:
            event = replace(event, equal=True)
        status = FAILED_BEFORE if isinstance(event, FailedBefore) else EQUAL if event.equal else THERE
        self.records[event.folder].add(event.number, event.label, event.overrides, event.run, status)
        return event

    def close(self, tally: Tally, *, complete: bool) -> None:
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
            "of": sum(points.composer.sweep.space.size for points in self.parts),
            "workers": execution.workers,
            "note": execution.note,
            "versions": versions(),
        }
        errors = [error for record in self.records.values() if (error := closed(record, facts)) is not None]
        if errors:
            raise errors[0]


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
