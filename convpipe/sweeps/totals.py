"""What the points of a sweep come to: counted before any runs, and what came of them after."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.text import Text

from convpipe.graph.plan import readable
from convpipe.graph.work import Work
from convpipe.report.console import readable_seconds, table
from convpipe.sweeps.batches import DIFFERS, FAILED, THERE, Done

MOST_LISTED = 3
RETRY = "retry=failed runs them again"


@dataclass
class Totals:
    """What the points of a sweep come to, counted before any runs."""

    points: int = 0
    left_out: int = 0
    impossible: int = 0
    there: int = 0
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

    def __str__(self) -> str:
        lines = [f"{self.points} points, {self.there} of them already done, {self.to_run} to run"]
        if self.failed_before:
            lines.append(f"{self.failed_before} failed before ({RETRY})")
        lines += [
            f"{self.left_out} left out by where, {self.impossible} impossible and skipped",
            f"{self.macs:,} multiply-adds, {readable(self.bytes)} in arrays",
        ]
        if self.points:
            lines.append(f"largest run: {readable(self.largest)} at its peak ({self.largest_point})")
        return "\n".join(lines)

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

    def count(self, outcome: Done) -> None:
        """Take one outcome into account."""
        if outcome.status == THERE:
            self.there += 1
            return
        if outcome.status in (FAILED, DIFFERS):
            self.failed += outcome.status == FAILED
            self.differing += outcome.status == DIFFERS
            self.failures = [*self.failures, outcome][:MOST_LISTED]
            return
        self.done += 1
        self.fastest = extremes(self.fastest, outcome, lambda each: each.seconds)
        self.slowest = extremes(self.slowest, outcome, lambda each: -each.seconds)

    @property
    def exit_code(self) -> int:
        """3 where a repeat differed from its archive, 1 where points failed, now or before."""
        return 3 if self.differing else 1 if self.failed or self.failed_before else 0


def extremes(found: list[Done], outcome: Done, key: Callable[[Done], float]) -> list[Done]:
    """The few smallest by a key, one more outcome among them."""
    if len(found) == MOST_LISTED and key(outcome) >= key(found[-1]):
        return found
    return sorted([*found, outcome], key=key)[:MOST_LISTED]


def show_tally(out: Console, totals: Totals, tally: Tally, folders: Sequence[Path]) -> None:
    """Print what came of a sweep: the fastest, the slowest, the first failures, and counts."""
    rows = table(out.no_color)
    for name in ("", "run", "time", "overrides"):
        rows.add_column(name, justify="right" if name == "time" else "left")
    for word, found in (("fastest", tally.fastest), ("slowest", tally.slowest), ("", tally.failures)):
        for outcome in found:
            rows.add_row(
                word or outcome.status, outcome.run, readable_seconds(outcome.seconds), Text(outcome.overrides)
            )
    if rows.row_count:
        out.print(rows)
        out.print()
    where = ", ".join(str(folder) for folder in folders) or "no points"
    out.print(f"{', '.join(counts(totals, tally))}: {where}", markup=False, soft_wrap=True)


def counts(totals: Totals, tally: Tally) -> Iterator[str]:
    """How many points came to what; only the first three are said in any case."""
    yield f"{tally.done} done"
    yield f"{tally.there} there before"
    yield f"{tally.failed} failed"
    ran = tally.done + tally.there + tally.failed + tally.differing + tally.failed_before
    for count, what in (
        (tally.differing, "not reproduced"),
        (tally.failed_before, f"failed before ({RETRY})"),
        (totals.points - ran, "not run"),
        (totals.left_out, "left out by where"),
        (totals.impossible, "impossible"),
    ):
        if count > 0:
            yield f"{count} {what}"
