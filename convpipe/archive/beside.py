"""What lies beside a collection's runs: stored inputs, records of sweeps and timings are judged, the rest is told."""

from __future__ import annotations

import csv
import os
import re
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from convpipe.archive import sweeps, timings
from convpipe.archive.below import BESIDE_RUNS, is_collection
from convpipe.archive.collection import run_ids
from convpipe.archive.findings import Findings
from convpipe.archive.format import INPUTS, manifest_sha256
from convpipe.archive.identity import RUN_ID
from convpipe.archive.index import FAILURES, INDEX, failures
from convpipe.archive.inputs import CONTENT, check_input
from convpipe.archive.replace import ASIDE, ON_ITS_WAY, RENEWED
from convpipe.archive.results import RECORD, RESULTS
from convpipe.archive.shared import LOCK, own_file
from convpipe.archive.sweeps import SWEEPS
from convpipe.archive.timings import TIMINGS
from convpipe.archive.verify import file_sha256
from convpipe.errors import ArchiveError, shown
from convpipe.files.staging import HIDDEN, half_done, is_alive, remove_hidden

OWN_FILES = frozenset((RESULTS, TIMINGS, INDEX, FAILURES, RECORD, LOCK))
OWN_FOLDERS = frozenset((*BESIDE_RUNS, ASIDE))
PAGE = re.compile(r"(?:[0-9a-f]{12}|index)\.html", re.ASCII)  # known, and not judged
SECONDS = re.compile(r"\d{1,12}\.\d{9}", re.ASCII)
DAY = 24 * 3600.0  # seconds, after which nobody is at work any more on what is half done
NOT_FOLLOWED = "links, which are not followed"
RECORDS, TIMES = "records of sweeps", "files of timings"


def judge_beside(folder: Path, findings: Findings, *, tidy: bool) -> None:
    """Judge what lies beside the runs of a collection.

    Args:
        tidy: whether to remove what has been half done for more than a day.
    """
    for path in entries(folder / INPUTS):
        if CONTENT.match(path.name):
            findings.check("stored inputs", check_input, path)
    runs = {*run_ids(folder), *failures(folder)}
    for path in entries(folder / SWEEPS):
        if path.suffix == ".csv":
            if not os.path.lexists(path.with_suffix(".json")):
                findings.note(path, "the facts of this sweep are gone, with which its hash is")
            findings.check(RECORDS, lambda path: tell_gone(path, check_sweep(path), findings, runs), path)
        elif path.suffix == ".json" and not os.path.lexists(path.with_suffix(".csv")):
            findings.note(path, "the points of this sweep are gone")
    if os.path.lexists(path := folder / TIMINGS):
        findings.check(TIMES, lambda path: tell_gone(path, check_timings(path), findings, runs), path)
    tell_foreign(folder, findings)
    tell_half_done(folder, findings, tidy=tidy)


def entries(folder: Path) -> list[Path]:
    """What lies in one of a collection's own folders, sorted; nothing of one that is not there, or is a link."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted(folder.iterdir())


def tell_gone(path: Path, named: Collection[str], findings: Findings, runs: Collection[str]) -> None:
    """Tell which runs a table names that are not there."""
    findings.note_names(path, "runs that are gone", set(named) - set(runs))


def tell_foreign(folder: Path, findings: Findings) -> None:
    """Tell what is no part of a collection: links, which are not followed, and files of others."""
    links, foreign = [], []
    for path in around(folder):
        within = "" if path.parent == folder else path.parent.name
        known = is_known(path.name, within) or is_known(path.name, folder.name)  # a collection may be called inputs
        name = str(path.relative_to(folder))
        if path.is_symlink():
            links += [] if is_judged(path.name, within) else [name]
        elif path.is_dir():
            foreign += [] if known or name[0] != "." else [name]
        elif not known or is_folders(path.name, within):
            foreign.append(name)
    findings.note_names(folder, NOT_FOLLOWED, links)
    findings.note_names(folder, "no part of the collection", foreign)


def around(folder: Path) -> Iterator[Path]:
    """What lies in a collection and in its own folders, but the arrays of runs."""
    yield from sorted(folder.iterdir())
    for name in sorted(OWN_FOLDERS):
        yield from () if is_collection(folder / name) else entries(folder / name)


def is_known(name: str, within: str) -> bool:
    """Whether a name is one that a collection has at its top, or in one of its own folders."""
    if within == INPUTS:
        return bool(CONTENT.match(name) or HIDDEN.fullmatch(name))
    if within == SWEEPS:
        return name.endswith((".csv", ".json")) or bool(HIDDEN.fullmatch(name))
    if within == ASIDE:
        return name[0] != "." or bool(RENEWED.fullmatch(name) or ON_ITS_WAY.fullmatch(name))
    own = name in OWN_FILES or RUN_ID.match(name) or PAGE.fullmatch(name) or HIDDEN.fullmatch(name)
    return name in OWN_FOLDERS or bool(own)


def is_judged(name: str, within: str) -> bool:
    """Whether a name is one of a file that is judged, and so damage if it is a link."""
    return is_known(name, within) if within in (INPUTS, SWEEPS) else not within and name in OWN_FILES


def is_folders(name: str, within: str) -> bool:
    """Whether a name is one of a folder, and so of no file."""
    if within == ASIDE:
        return name[0] != "."
    return not within and (name in OWN_FOLDERS or bool(RUN_ID.match(name)))


def tell_half_done(folder: Path, findings: Findings, *, tidy: bool) -> None:
    """Tell what has been half done for more than a day, or remove it; what is younger may be somebody's work."""
    for path in around(folder):
        if HIDDEN.fullmatch(path.name) and (age := age_of(path)) > DAY:
            if tidy:
                remove_hidden(path)
            gone = tidy and not os.path.lexists(path)
            findings.note(path, f"half done {age / DAY:.0f} days ago; {'removed' if gone else '--tidy removes it'}")


def age_of(path: Path) -> float:
    """How many seconds ago something was changed; 0 of what is gone by now, as its work is done."""
    try:
        return time.time() - path.lstat().st_mtime
    except OSError:
        return 0


def is_at_work(folder: Path) -> bool:
    """Whether a process of this machine has something half done in a folder, so that its books lag behind."""
    return any(is_alive(process) for _, process in half_done(folder))


def check_timings(path: Path) -> set[str]:
    """Which runs timings.csv names; a last line that a kill cut short counts for nothing.

    Raises:
        ArchiveError: it is none of ours, or a line is.
    """
    lines = table_lines(path)
    if (head := next(lines, None)) is not None and head != list(timings.COLUMNS):
        raise ArchiveError(f"{path}: got other columns, expected {', '.join(timings.COLUMNS)}")
    named = set()
    for number, cells in enumerate(lines, start=1):
        if len(cells) == len(timings.COLUMNS) and is_repeat(cells):
            named.add(cells[0])
        elif len(cells) >= len(timings.COLUMNS):
            raise ArchiveError(f"{path}: row {number}: got {shown(', '.join(cells))}, expected a measured repeat")
    return named


def check_sweep(path: Path) -> set[str]:
    """Which runs the record of a sweep names.

    Raises:
        ArchiveError: it cannot be read, or holds something else than the facts beside it say.
    """
    rows = list(table_lines(path))
    if rows[:1] != [list(sweeps.COLUMNS)] or not all(map(is_point, rows[1:])):
        raise ArchiveError(f"{path}: got something else than points, expected {', '.join(sweeps.COLUMNS)}")
    facts = path.with_suffix(".json")
    if os.path.lexists(facts):  # a kill may come before it is written
        check_facts(facts, path, len(rows) - 1)
    return {run for _, _, _, run, status in rows[1:] if run and not status.startswith("failed")}


def is_point(cells: Sequence[str]) -> bool:
    """Whether a line is one of a sweep's record."""
    return len(cells) == len(sweeps.COLUMNS) and sweeps.is_point(dict(zip(sweeps.COLUMNS, cells, strict=True)))


def is_repeat(cells: Sequence[str]) -> bool:
    """Whether a line is one of timings.csv."""
    run, threads, repeat, _, seconds, *_ = cells
    numbers = timings.REPEAT.fullmatch(threads) and timings.REPEAT.fullmatch(repeat) and SECONDS.fullmatch(seconds)
    return bool(RUN_ID.match(run) and numbers)


def check_facts(path: Path, table: Path, points: int) -> None:
    """The facts of a sweep are readable, and of the points beside them.

    Raises:
        ArchiveError: they are not.
    """
    try:
        facts, content = sweeps.read_facts(path)
    except (OSError, ValueError) as error:
        raise ArchiveError(f"{path}: not readable: {shown(error)}") from error
    found: tuple[Any, ...] = facts.get("points"), facts.get("table_sha256"), facts.get("sha256")
    expected: tuple[Any, ...] = points, file_sha256(table), manifest_sha256(facts)
    if facts.get("format") == 1 and facts.keys().isdisjoint(("table_sha256", "sha256")):  # of older code
        found, expected = found[:1], expected[:1]
    elif sweeps.facts_json(facts) != content:
        raise ArchiveError(f"{path}: is written otherwise than such records are")
    if found != expected:
        raise ArchiveError(f"{path}: got points, table_sha256, sha256 {shown(found, 200)}, expected {expected}")


def table_lines(path: Path) -> Iterator[list[str]]:
    """The lines of a CSV table beside the runs.

    Raises:
        ArchiveError: it cannot be read.
    """
    try:
        with open(path, encoding="utf-8", newline="", opener=own_file) as file:
            yield from csv.reader(file)
    except (OSError, ValueError, csv.Error) as error:
        raise ArchiveError(f"{path}: not readable: {getattr(error, 'strerror', None) or error}") from error
