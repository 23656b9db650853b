"""The progress of a sweep: counts and a rate on a terminal, and a line for each failure."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING

from convpipe.report.console import is_plain

if TYPE_CHECKING:
    from rich.progress import Progress


class SweepProgress:
    """Counts of a sweep as it runs: a bar on a terminal, and a line for each failure."""

    def __init__(self, bar: Progress | None, total: int) -> None:
        self.bar, self.counts = bar, {"done": 0, "skipped": 0, "failed": 0}
        self.start = perf_counter()
        self.task = bar.add_task("", total=total) if bar else None

    def skipped(self) -> None:
        """A point's run was there already."""
        self.count("skipped")

    def failed_before(self) -> None:
        """A point is known to fail."""
        self.count("failed")

    def finished(self, overrides: str, error: str) -> None:
        """A point has run; with an error it failed, which is said at once."""
        self.count("failed" if error else "done")
        if error:
            line = f"failed: {overrides or 'the only point'}: {error}"
            if self.bar:
                self.bar.console.print(line, markup=False, soft_wrap=True)
            else:
                print(line, file=sys.stderr)

    def count(self, what: str) -> None:
        """One more of some kind."""
        self.counts[what] += 1
        if self.bar is not None and self.task is not None:
            rate = self.counts["done"] / max(perf_counter() - self.start, 1e-9)
            words = ", ".join(f"{count} {name}" for name, count in self.counts.items())
            self.bar.update(self.task, advance=1, description=f"{words}, {rate:.0f}/s")


@contextmanager
def sweep_progress(total: int) -> Iterator[SweepProgress]:
    """Progress of a sweep of so many points, on standard error."""
    if is_plain(sys.stderr):
        yield SweepProgress(None, total)
        return
    # imported here, as a sweep in a pipe does without these 17 ms
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr), transient=True, refresh_per_second=5) as bar:
        yield SweepProgress(bar, total)
