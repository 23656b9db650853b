"""All that `verify` judges: runs, what lies beside them, and what the books of their collections say of them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence, Set as AbstractSet
from contextlib import suppress
from functools import partial
from pathlib import Path

from convpipe.archive.below import folders_below, is_collection, runs_in
from convpipe.archive.beside import NOT_FOLLOWED, entries, is_at_work, judge_beside
from convpipe.archive.claims import ANEW, Book, Claims, read_claims
from convpipe.archive.collection import is_run, run_ids
from convpipe.archive.findings import Findings, ignored
from convpipe.archive.glance import manifest_text
from convpipe.archive.identity import RUN_ID
from convpipe.archive.inputs import check_input, own_inputs
from convpipe.archive.read import Run
from convpipe.archive.replace import ASIDE, mend
from convpipe.archive.results import RESULTS
from convpipe.archive.table import FAILED, Row, whole_row_of
from convpipe.archive.verify import leftovers, verify
from convpipe.errors import ArchiveError, UsageError, unread

RUNS, OUT, COLLECTIONS = "runs", "runs set aside", "collections"
NUMBERED = re.compile(r"(-\d+)?", re.ASCII)  # the end of a name, where several of one are set aside


def verify_all(
    folder: Path, on_run: Callable[[Run], object] | None, on_note: Callable[[str], object] | None, *, tidy: bool = False
) -> list[Run]:
    """Verify a run with the inputs that it stores, or all that lies below a folder.

    Args:
        on_run: is called with each run as soon as it is found whole.
        on_note: is called with what is no damage, and yet to be told.
        tidy: whether to remove what has been half done for more than a day.

    Raises:
        UsageError: there is neither.
        ArchiveError: naming all that is damaged.
    """
    findings = Findings(on_run or ignored, on_note or ignored)
    if is_run(folder):
        judge_run(folder, findings)
        for path in own_inputs(findings.whole[0]) if findings.whole else ():
            findings.check("stored inputs", check_input, path)
        return findings.close()
    places = list(folders_below(folder))
    for place in places:
        findings.check("folders", partial(judge_folder, findings, places, tidy), place)
    if not (findings.judged[COLLECTIONS] or findings.damaged):
        raise UsageError(f"verify: got {folder}, expected a run or a collection of runs")
    return findings.close()


def judge_folder(findings: Findings, places: Sequence[Path], tidy: bool, place: Path) -> None:
    """Judge a folder that may be a collection, or hold some.

    Raises:
        ArchiveError: it may not be read.
    """
    try:
        tell_links(place, findings, followed=places)
        if is_collection(place) or runs_in(place):
            findings.judged[COLLECTIONS] += 1
            judge_collection(place, findings, tidy=tidy)
    except PermissionError as error:
        raise unread(error.filename or place, error) from error


def judge_collection(folder: Path, findings: Findings, *, tidy: bool) -> None:
    """Judge all of one collection: its runs, those set aside, what lies beside them, and what its books say."""
    mend(folder)
    already = len(findings.whole)
    for run in runs_in(folder):
        judge_run(run, findings)
    for run in entries(folder / ASIDE):
        if run.is_dir() and not run.is_symlink() and not run.name.startswith("."):
            judge_run(run, findings, OUT, "; it was replaced, and may be removed")
    judge_beside(folder, findings, tidy=tidy)
    judge_books(folder, findings, [run for run in findings.whole[already:] if run.folder.parent == folder])


def judge_run(path: Path, findings: Findings, kind: str = RUNS, hint: str = "") -> None:
    """Judge one run: its files, its name, and that the inputs are there that it stores."""

    def check(path: Path) -> None:
        try:
            run = verified(path)
            told = check_name(run)
            own_inputs(run)
        except ArchiveError as error:
            raise ArchiveError(f"{error}{hint}") from error
        if kind == RUNS:
            findings.whole.append(run)
        findings.on_run(run)
        if told:
            findings.note(path, told)
        if names := leftovers(path):
            findings.note(path, "no part of the run", names)

    findings.check(kind, check, path)


def verified(path: Path) -> Run:
    """A whole run; one that was replaced, or renewed, while it was read is read once more.

    Raises:
        ArchiveError: it is damaged.
    """
    seen = manifest_text(str(path))
    try:
        return verify(path)
    except ArchiveError:
        if manifest_text(str(path)) == seen:
            raise
        return verify(path)


def check_name(run: Run) -> str:
    """A run's folder is named after it, and one that was set aside after its archive, too; gives what is to be told.

    Outside of collections a run may have any name, but that of another run.

    Raises:
        ArchiveError: it is not.
    """
    path = Path(os.path.realpath(run.folder))
    expected = run.manifest["run_id"]
    if path.parent.name == ASIDE:
        expected = f"{expected}-{run.manifest['archive_id']}"
        if NUMBERED.fullmatch(path.name.removeprefix(expected)):
            return ""
    elif path.name == expected:
        return ""
    said = f"named {path.name}, expected {expected}, the run's id"
    if path.parent.name == ASIDE or RUN_ID.match(path.name) or is_collection(path.parent):
        raise ArchiveError(f"{run.folder}: got a folder {said}")
    return said


# Books


def judge_books(folder: Path, findings: Findings, runs: Sequence[Run]) -> None:
    """Hold what a collection's books say against its whole runs; what else is there, and is not listed, is told."""
    claims = read_claims(folder)
    truths = {run.folder.name: whole_row_of(run) for run in runs}
    if doubtful := [name for name, truth in truths.items() if any(claims.contradictions(truth))]:
        claims = read_claims(folder)  # somebody may be at work: what a second look finds is so
        truths |= looked_at_again(folder, doubtful)
    for book in claims.books:
        findings.judged[rows_of(book)] += len(book.rows)
        findings.damage(rows_of(book), book.faults)
    findings.damage("tables", claims.faults)
    for truth in truths.values():
        for book, error in claims.contradictions(truth):
            findings.damage(rows_of(book), [error])
    of_results = [*claims.of_failures(run_ids(folder)), *claims.of_columns(list(truths.values()))]
    findings.damage(rows_of(claims.results), of_results)
    tell_lag(folder, findings, claims, truths.keys())


def looked_at_again(folder: Path, names: Sequence[str]) -> dict[str, Row]:
    """The rows of some runs as they are now; of one that is not whole any more, none."""
    found = {}
    for name in names:
        with suppress(ArchiveError):
            found[name] = whole_row_of(verify(folder / name))
    return found


def rows_of(book: Book) -> str:
    """What the rows of a book are called."""
    return f"rows of {book.path.name}"


def tell_lag(folder: Path, findings: Findings, claims: Claims, whole: AbstractSet[str]) -> None:
    """Tell where the books and the runs are not of the same, apart from what lags behind while somebody is at work."""
    there, at_work = set(run_ids(folder)), is_at_work(folder)
    failed = {name for name, row in claims.results.rows.items() if row["status"] == FAILED}
    listed = claims.results.rows.keys() - failed
    for book, names in ((claims.results, listed), (claims.index, claims.index.rows.keys())):
        findings.note_names(book.path, f"runs that are gone ({ANEW})", names - there)
        if not at_work and os.path.lexists(book.path):
            findings.note_names(book.path, f"runs that are not listed ({ANEW})", whole - names)
    if not at_work:
        for book in claims.books:
            if book.cut:
                findings.note(book.path, "its last line was cut short, as a kill does, and counts for nothing")
        lost = claims.failures.rows.keys() - there
        findings.note_names(claims.results.path, "failed points that are in no list", failed - lost)
        findings.note_names(claims.failures.path, f"failed points that {RESULTS} lacks", lost - failed)


def tell_links(place: Path, findings: Findings, followed: Sequence[Path]) -> None:
    """Tell of links in a folder of collections; one that leads to a collection is followed one level."""
    links = [] if place.is_symlink() or is_collection(place) else [path for path in entries(place) if path.is_symlink()]
    for path in links:
        if path in followed:
            findings.note(path, f"a link to {os.path.realpath(path)}, followed one level")
    findings.note_names(place, NOT_FOLLOWED, [path.name for path in links if path not in followed])
