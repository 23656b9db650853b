"""The page of a collection: every run with all its columns, to be filtered, sorted, and drawn by what varies."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convpipe.archive.cells import unmarked
from convpipe.archive.collection import whole_rows
from convpipe.archive.frames import every_column
from convpipe.archive.shared import is_folder
from convpipe.archive.table import FIXED, NOT_CONFIG, TEXT_COLUMNS, Row, columns_of
from convpipe.config.expressions import ALLOWED, MOST_CHARACTERS
from convpipe.errors import ELSEWHERE, ArchiveError, ConfigError, shown
from convpipe.graph.plan import readable
from convpipe.report.listing import short_cell
from convpipe.report.page.asked import Asked, check_alone
from convpipe.report.page.columnar import columns_packed
from convpipe.report.page.document import Content, Table, document
from convpipe.report.page.packed import packed

UNCHECKED = "as the collection's index has them; convpipe verify holds the runs themselves against their hashes"
MOST_ROWS = 50  # of the table that is read without the script
HASHES = (".sha256", "_sha256")
ALWAYS = (*FIXED, "seconds")  # columns that are seen first where any run has them


@dataclass(frozen=True)
class Collection:
    """What a page is made from: a collection's name, its runs as rows, and which of them have a page of their own."""

    name: str
    rows: Sequence[Row]
    pages: frozenset[str]

    @property
    def known(self) -> list[str]:
        """Every column that a run can have: those that `runs --where` knows."""
        return every_column(self.rows)


def collection_page(folder: Path, asked: Asked, beside: Path | None = None) -> bytes:
    """The page of a collection, as its index and its runs have it; nothing is written.

    Args:
        beside: the folder that it will lie in, where runs' pages are looked for: the collection's own by default.

    Raises:
        ArchiveError: there is no collection.
        ConfigError: a limit that the page would not keep.
        UsageError: a cell or a layer is asked for.
    """
    check_alone(asked)
    if not is_folder(folder):
        raise ArchiveError(f"{folder}: no such collection")
    rows = whole_rows(folder)
    there = files_in(beside or folder)
    pages = frozenset(row["run"] for row in rows if f"{row['run']}.html" in there)
    return page_of(Collection(os.path.basename(os.path.abspath(folder)), rows, pages), asked)


def files_in(folder: Path) -> frozenset[str]:
    """The names of a folder's files; none where it is not there yet."""
    if not is_folder(folder):
        return frozenset()
    with os.scandir(folder) as entries:
        return frozenset(entry.name for entry in entries if entry.is_file(follow_symlinks=False))


def page_of(collection: Collection, asked: Asked) -> bytes:
    """The page of these rows; without their hashes where it would be larger than asked.

    Raises:
        ConfigError: a limit that it would not keep even so.
    """
    content = document(content_of(collection, asked, hashes=True))
    if len(content) > asked.limit:
        content = document(content_of(collection, asked, hashes=False))
    if len(content) > asked.limit:
        raise ConfigError("--limit", readable(asked.limit), f"at least {readable(len(content))}, this page's size")
    return content


def content_of(collection: Collection, asked: Asked, *, hashes: bool) -> Content:
    """What stands in the page."""
    rows, known = collection.rows, collection.known
    names = list(dict.fromkeys([*columns_of(rows), *known]))
    left_out = [] if hashes else [name for name in names if is_hash(name) and name not in FIXED]
    names = [name for name in names if name not in left_out]
    seen = first_columns(rows, names)
    facts: dict[str, Any] = {  # columns by their places, as names may be no Unicode
        "kind": "collection",
        "rows": len(rows),
        "unknown": [at for at, name in enumerate(names) if name not in known],  # in the table, but in no row
        "chosen": [names.index(name) for name in seen],
        "texts": TEXT_COLUMNS,
        "measured": sorted(NOT_CONFIG),
        "leftOut": list(map(shown, left_out)),
        "where": {"allowed": ALLOWED, "longest": MOST_CHARACTERS, "elsewhere": ELSEWHERE},
    }
    has_page = np.array([row["run"] in collection.pages for row in rows], np.uint8)
    return Content(
        entry="collection_page",
        title=shown(collection.name, 200),
        language=asked.language,
        facts=facts,
        arrays={"pages": packed(has_page), **columns_packed(rows, names)},
        tables=list(tables(rows, seen)),
        foot=[f"{len(rows):,} runs of {shown(collection.name, 200)}", UNCHECKED],
    )


def is_hash(name: str) -> bool:
    """Whether a column has hashes."""
    return name.endswith(HASHES)


def first_columns(rows: Sequence[Row], names: Sequence[str]) -> list[str]:
    """The columns that are seen first: what varies and no hash. A result varies where runs have different ones."""
    seen = []
    for name in names:
        values = {row.get(name, "") for row in rows}
        lacking = {""} if name in NOT_CONFIG else set()
        if (name in ALWAYS and values - {""}) or (len(values - lacking) > 1 and not is_hash(name)):
            seen.append(name)
    return seen


def tables(rows: Sequence[Row], names: Sequence[str]) -> Iterator[Table]:
    """How many runs there are of each status, and the first of them, for who reads without the script."""
    totals = Counter(row["status"] for row in rows)
    counts = [("all", f"{len(rows):,}"), *((status, f"{totals[status]:,}") for status in sorted(totals))]
    yield Table("totals", ("total.status", "total.runs"), counts, "totals")
    if rows:
        cells = [[short_cell(unmarked(row.get(name, ""))) for name in names] for row in rows[:MOST_ROWS]]
        yield Table("first_runs", list(map(short_cell, names)), cells, "first")
