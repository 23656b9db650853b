"""What a person sees of a sweep: counts and a rate as it runs, a line for each failure, and what came of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from convpipe.archive.changes import command_without_old
from convpipe.archive.timings import TIMINGS
from convpipe.errors import literal, shown
from convpipe.execution.settle import How
from convpipe.graph.plan import readable
from convpipe.report.console import console, is_plain, readable_seconds, say, table
from convpipe.report.waiting import told_of_rows
from convpipe.sweeps.causes import Causes
from convpipe.sweeps.events import Closed, Event, Planned
from convpipe.sweeps.outcomes import CHANGED, DIFFERS, EQUAL, Done, FailedBefore, Finished, Launched
from convpipe.sweeps.totals import MOST_LISTED, Tally, Totals

if TYPE_CHECKING:
    from rich.progress import Progress

RETRY = "retry=failed runs them again"
MOST_KINDS = 10  # of failures that are shown


def show_sweep(events: Iterator[Event]) -> int:
    """Show a sweep to its end; gives its exit code: 0, 1 where points failed, 3 where a repeat differed."""
    planned = next(events)
    assert isinstance(planned, Planned)
    if planned.dry_run:
        print(totals_text(planned.totals))
        return 0
    with sweep_progress(planned.totals.points, planned.folders) as progress:
        for event in events:
            if isinstance(event, Closed):
                closed = event
            else:
                progress.show(event)
    show_closed(console(), closed)
    return closed.tally.exit_code


def totals_text(totals: Totals) -> str:
    """What the points of a sweep come to, in lines."""
    points = f"{totals.points} point{'s' * (totals.points != 1)}"
    lines = [f"{points}, {totals.there} of them already done, {totals.to_run} to run"]
    if totals.failed_before:
        lines.append(f"{totals.failed_before} failed before ({RETRY})")
    lines += [
        f"{totals.left_out} left out by where, {totals.impossible} impossible and skipped",
        f"{totals.macs:,} multiply-adds, {readable(totals.bytes)} in arrays",
    ]
    if totals.points:
        lines.append(f"largest run: {readable(totals.largest)} at its peak ({literal(totals.largest_point)})")
    return "\n".join(lines)


# While it runs


class SweepProgress:
    """Counts of a sweep as it runs: a bar on a terminal, and lines for the first failures of each cause."""

    def __init__(self, bar: Progress | None, total: int, folders: Sequence[Path] = ()) -> None:
        self.causes, self.folders, self.waiting = Causes(MOST_KINDS), folders, ExitStack()
        self.bar, self.counts = bar, {"done": 0, "skipped": 0, "failed": 0}
        self.console, self.start = bar.console if bar else console(sys.stderr), perf_counter()
        self.task = bar.add_task("", total=total) if bar else None

    def show(self, event: Event) -> None:
        """Count one point; what failed just now is said at once."""
        if isinstance(event, Launched):
            self.wait(event)
            return
        self.waiting.close()
        if isinstance(event, Finished):
            self.count("failed" if event.outcome.error else "done")
            if event.outcome.error and (line := self.failure_line(event.outcome)):
                say(self.console, line)  # above the bar where there is one
        else:
            self.count("failed" if isinstance(event, FailedBefore) else "skipped")

    def failure_line(self, outcome: Done) -> str:
        """What is said of a failure at once: all of the first ones of a kind, then that more are only counted."""
        cause = self.causes.add(outcome)
        if cause is None:
            return "failed: failures of more kinds are counted, not listed" if self.causes.others == 1 else ""
        if cause.count <= MOST_LISTED:
            return f"failed: {outcome.overrides}: {outcome.error}"
        return "failed: more failures of this kind are counted, not listed" if cause.count == MOST_LISTED + 1 else ""

    def wait(self, launched: Launched) -> None:
        """Show how many points have ended while a launcher has them, which tells nothing before all have."""
        bar, task, before = self.bar, self.task, sum(self.counts.values())
        if bar is None or task is None:
            return

        def told(ended: int) -> None:
            description = f"{jobs_text(launched)}, {min(ended, launched.points)} ended"
            bar.update(task, completed=before + min(ended, launched.points), description=description)

        told(0)
        self.waiting.callback(bar.update, task, completed=before)  # each is counted as it is told
        self.waiting.enter_context(told_of_rows(self.folders, told))

    def count(self, what: str) -> None:
        """One more of some kind."""
        self.counts[what] += 1
        if self.bar is not None and self.task is not None:
            rate = self.counts["done"] / max(perf_counter() - self.start, 1e-9)
            words = ", ".join(f"{count} {name}" for name, count in self.counts.items())
            self.bar.update(self.task, advance=1, description=f"{words}, {rate:.0f}/s")


@contextmanager
def sweep_progress(total: int, folders: Sequence[Path]) -> Iterator[SweepProgress]:
    """Progress of a sweep of so many points, on standard error."""
    if is_plain(sys.stderr):
        yield SweepProgress(None, total, folders)
        return
    # imported here, as a sweep in a pipe does without these 17 ms
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(sys.stderr), transient=True, refresh_per_second=5) as bar:
        progress = SweepProgress(bar, total, folders)
        with progress.waiting:
            yield progress


# After it


def show_closed(out: Console, closed: Closed) -> None:
    """Print what came of a sweep: the fastest, the slowest, failures by their cause, replacements, and counts."""
    rows, tally = table(out.no_color, ("", "run", "time", "overrides"), left=("", "run", "overrides")), closed.tally
    fastest, slowest = tally.both_ends
    for word, found in (("fastest", fastest), ("slowest", slowest)):
        for outcome in found:
            seconds = readable_seconds(outcome.seconds)
            rows.add_row(word, outcome.run, seconds, Text(literal(outcome.overrides)))
    if rows.row_count:
        out.print(rows)
        out.print()
    for line in cause_lines(tally.causes):
        say(out, line)
    for note in tally.notes:
        say(out, note)
    where = ", ".join(map(str, closed.folders)) or "no points"
    jobs = f" ({jobs_text(tally.launched)})" if tally.launched else ""
    say(out, f"{', '.join(counts(closed))}: {where}{jobs}{without_old(closed)}")


def cause_lines(causes: Causes) -> Iterator[str]:
    """The failures of a sweep by their cause, the most frequent first: how many, why the first, and which points."""
    for cause in islice(causes, MOST_KINDS):
        more = ", ..." if cause.count > len(cause.points) else ""
        yield f"{cause.count:,} {cause.status}: {cause.text} ({', '.join(cause.points)}{more})"
    others = causes.others + sum(cause.count for cause in islice(causes, MOST_KINDS, None))
    if others:
        yield f"{others:,} more for other causes, which the column error has"


def jobs_text(launched: Launched) -> str:
    """In how many jobs points have run.

    >>> jobs_text(Launched(points=40, jobs=8, largest=5)), jobs_text(Launched(points=3, jobs=1, largest=3))
    ('40 points in 8 jobs of at most 5', '3 points in 1 job')
    """
    if launched.jobs == 1:
        return f"{launched.points} point{'s' * (launched.points > 1)} in 1 job"
    return f"{launched.points} points in {launched.jobs} jobs of at most {launched.largest}"


def counts(closed: Closed) -> Iterator[str]:
    """How many points came to what; only what is done, there and failed is said in any case."""
    totals, tally = closed.totals, closed.tally
    yield f"{tally.done} done"
    yield f"{tally.there} there before"
    for count, what in (
        (tally.counts[CHANGED], f"{CHANGED} ({listed_files(tally)})"),
        *((tally.counts[how.value], how.value) for how in How if how is not How.NEW),
    ):
        if count > 0:
            yield f"{count} {what}"
    yield f"{tally.failed} failed"
    for count, what in (
        (tally.counts[EQUAL], "equal to another point"),
        (tally.measured, f"measured ({TIMINGS})"),
        (tally.differing, DIFFERS),
        (tally.failed_before, f"failed before ({RETRY})"),
        (tally.not_run(totals), "not run"),
        (totals.left_out, "left out by where"),
        (totals.impossible, "impossible"),
        (sum(len(survey.of_format_1) for survey in closed.surveys.values()), "of format 1 beside them"),
    ):
        if count > 0:
            yield f"{count} {what}"


def listed_files(tally: Tally) -> str:
    """The first files that have changed."""
    names = [shown(name) for name in tally.changed]
    return ", ".join(names if len(names) <= MOST_LISTED else [*names[:MOST_LISTED], "..."])


def without_old(closed: Closed) -> str:
    """How to leave out what other contents of the sweep's files gave, as the end of the last line."""
    commands = [command_without_old(folder, survey) for folder, survey in closed.surveys.items()]
    found = "; ".join(filter(None, commands))
    return f" (without what the files held before: {found})" if found else ""
