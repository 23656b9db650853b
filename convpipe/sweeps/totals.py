"""What the points of a sweep come to, as numbers: counted before any runs, and what came of them after."""

from collections.abc import Callable
from dataclasses import dataclass, field

from convpipe.graph.work import Work
from convpipe.sweeps.outcomes import DIFFERS, DONE, FAILED, Done, FailedBefore, Finished, PassedOver, There

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

    def count(self, work: Work, text: Callable[[], str]) -> None:
        """Take one point into account; `text` gives its overrides."""
        self.points += 1
        self.bytes += work.plan.bytes
        self.macs += work.macs
        if work.peak_bytes > self.largest:
            self.largest, self.largest_point = work.peak_bytes, text()

    @property
    def to_run(self) -> int:
        """Points that are neither there nor known to fail."""
        return self.points - self.there - self.failed_before


@dataclass
class Tally:
    """What came of the points of a sweep; only the few extremes are kept."""

    done: int = 0
    there: int = 0
    failed: int = 0
    differing: int = 0
    failed_before: int = 0
    fastest: list[Done] = field(default_factory=list)
    slowest: list[Done] = field(default_factory=list)
    failures: list[Done] = field(default_factory=list)

    def count(self, event: PassedOver | Finished) -> None:
        """Take one point into account."""
        if isinstance(event, There):
            self.there += 1
        elif isinstance(event, FailedBefore):
            self.failed_before += 1
        elif (outcome := event.outcome).status == DONE:
            self.done += 1
            self.fastest = extremes(self.fastest, outcome, lambda each: each.seconds)
            self.slowest = extremes(self.slowest, outcome, lambda each: -each.seconds)
        else:
            self.failed += outcome.status == FAILED
            self.differing += outcome.status == DIFFERS
            self.failures = [*self.failures, outcome][:MOST_LISTED]

    @property
    def both_ends(self) -> tuple[list[Done], list[Done]]:
        """The fastest and the slowest; of a few points those of the one half, and those of the other."""
        fastest = self.fastest[: (self.done + 1) // 2]
        slowest = self.slowest[: self.done // 2]
        return fastest, [outcome for outcome in slowest if outcome not in fastest]  # all may have taken the same time

    @property
    def exit_code(self) -> int:
        """3 where a repeat differed from its archive, 1 where points failed, now or before."""
        return 3 if self.differing else 1 if self.failed or self.failed_before else 0

    def not_run(self, totals: Totals) -> int:
        """Points that never had their turn."""
        return totals.points - self.done - self.there - self.failed - self.differing - self.failed_before


def extremes(found: list[Done], outcome: Done, key: Callable[[Done], float]) -> list[Done]:
    """The few smallest by a key, one more outcome among them."""
    if len(found) == MOST_LISTED and key(outcome) >= key(found[-1]):
        return found
    return sorted([*found, outcome], key=key)[:MOST_LISTED]
