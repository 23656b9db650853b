"""What the points of a sweep come to, as numbers: counted before any runs, and what came of them after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from convpipe.sweeps.axes import point_text
from convpipe.sweeps.causes import Causes
from convpipe.sweeps.outcomes import (
    DIFFERS,
    DONE,
    EQUAL,
    FAILED,
    THERE,
    Done,
    FailedBefore,
    Finished,
    Launched,
    PassedOver,
    There,
)
from convpipe.sweeps.points import Checked, Left

MOST_LISTED = 3


@dataclass
class Totals:
    """What the points of a sweep come to, counted before any runs."""

    points: int = 0
    left_out: int = 0
    impossible: int = 0
    there: int = 0  # counted for a dry run alone, as are those that failed before
    failed_before: int = 0
    bytes: int = 0
    macs: int = 0
    largest: int = -1
    largest_point: str = ""

    def add(self, found: Checked | Left) -> None:
        """Take one point into account."""
        if not isinstance(found, Checked):
            self.left_out += found is Left.OUT
            self.impossible += found is Left.IMPOSSIBLE
            return
        work = found.work
        self.points += 1
        self.bytes += work.plan.bytes
        self.macs += work.macs
        if work.peak_bytes > self.largest:
            self.largest, self.largest_point = work.peak_bytes, point_text(found.point)

    def join(self, other: Totals) -> None:
        """Take the points of another, which come after these, into account."""
        for name in ("points", "left_out", "impossible", "there", "failed_before", "bytes", "macs"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        if other.largest > self.largest:
            self.largest, self.largest_point = other.largest, other.largest_point

    @property
    def to_run(self) -> int:
        """Points that are neither there nor known to fail."""
        return self.points - self.there - self.failed_before


@dataclass
class Tally:
    """What came of the points of a sweep; only the few extremes are kept."""

    counts: Counter[str] = field(default_factory=Counter)  # by status
    failed_before: int = 0
    measured: int = 0
    launched: Launched | None = None
    changed: dict[str, None] = field(default_factory=dict)  # files that held something else in other runs
    fastest: list[Done] = field(default_factory=list)
    slowest: list[Done] = field(default_factory=list)
    causes: Causes = field(default_factory=Causes)  # of failures
    notes: list[str] = field(default_factory=list)  # of what was replaced

    def count(self, event: PassedOver | Finished) -> None:
        """Take one point into account."""
        if isinstance(event, There):
            self.counts[EQUAL if event.equal else THERE] += 1
            return
        if isinstance(event, FailedBefore):
            self.failed_before += 1
            return
        outcome = event.outcome
        self.counts[outcome.status] += 1
        self.measured += bool(outcome.times)
        if len(self.changed) <= MOST_LISTED:
            self.changed |= dict.fromkeys(outcome.changed)
        if outcome.note:
            self.notes = [*self.notes, outcome.note][: MOST_LISTED + 1]
        if outcome.error:
            self.causes.add(outcome)
        else:
            self.fastest = extremes(self.fastest, outcome, lambda each: each.seconds)
            self.slowest = extremes(self.slowest, outcome, lambda each: -each.seconds)

    @property
    def done(self) -> int:
        """Points that were new."""
        return self.counts[DONE]

    @property
    def there(self) -> int:
        """Points that were passed over, as their runs were there."""
        return self.counts[THERE]

    @property
    def failed(self) -> int:
        """Points that failed."""
        return self.counts[FAILED]

    @property
    def differing(self) -> int:
        """Points whose repeats differ from their archives."""
        return self.counts[DIFFERS]

    @property
    def both_ends(self) -> tuple[list[Done], list[Done]]:
        """The fastest and the slowest; of a few points those of the one half, and those of the other."""
        run = self.counts.total() - self.there - self.counts[EQUAL] - self.failed - self.differing
        fastest = self.fastest[: (run + 1) // 2]
        slowest = self.slowest[: run // 2]
        return fastest, [outcome for outcome in slowest if outcome not in fastest]  # all may have taken the same time

    @property
    def exit_code(self) -> int:
        """3 where a repeat differed from its archive, 1 where points failed, now or before."""
        return 3 if self.differing else 1 if self.failed or self.failed_before else 0

    def not_run(self, totals: Totals) -> int:
        """Points that never had their turn."""
        return totals.points - self.counts.total() - self.failed_before


def extremes(found: list[Done], outcome: Done, key: Callable[[Done], float]) -> list[Done]:
    """The few smallest by a key, one more outcome among them."""
    if len(found) == MOST_LISTED and key(outcome) >= key(found[-1]):
        return found
    return sorted([*found, outcome], key=key)[:MOST_LISTED]
