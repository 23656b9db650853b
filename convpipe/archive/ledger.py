"""The books of one collection while a sweep adds to it: index, list of failures and table are kept in one go."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from convpipe.archive.collection import refresh, run_ids, written_anew
from convpipe.archive.index import INDEX, add_rows
from convpipe.archive.results import RESULTS, known_table
from convpipe.archive.shared import locked
from convpipe.archive.table import Row
from convpipe.errors import StorageError
from convpipe.files.staging import storing


class Ledger:
    """What a sweep notes its runs in, batch by batch; `close` at its end leaves all of it complete.

    The table grows with the index. Where it cannot, as a column is new or somebody else writes here, it is written anew
    as soon as it has doubled, so that all of that costs no more than writing it once, and otherwise at the end.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        known = known_table(folder)
        self.table = known if known is not None and known.is_current and known.is_of(run_ids(folder)) else None
        self.rows = self.table.rows if self.table else 0  # that it should have
        self.written: float = self.rows  # rows that it had when it was last made anew
        if self.table is None and any(os.path.lexists(folder / name) for name in (INDEX, RESULTS)):
            self.written = math.inf  # who knows: it is made anew at the end

    def note(self, rows: Sequence[Row]) -> None:
        """Add rows to the index, or to the list of failures, and to the table.

        Raises:
            StorageError: the disk refused the index.
        """
        with storing(self.folder / INDEX), locked(self.folder):
            if self.table is not None and not self.table.is_current:
                self.table = None
            add_rows(self.folder, rows)
            self.rows += len(rows)
            with suppress(OSError, StorageError):  # the table is made good by `close`, which says what is wrong
                self.show(rows)

    def show(self, rows: Sequence[Row]) -> None:
        """Add rows to the table, or make it anew where it is time to."""
        table, self.table = self.table, None
        if table is not None and table.lengthen(rows):
            table.keep_record()
            self.table = table
        elif self.rows >= 2 * self.written:
            self.table = written_anew(self.folder, whole=False)
            self.rows = self.written = self.table.rows

    def close(self) -> None:
        """Leave the table complete.

        Raises:
            StorageError: the disk refused.
        """
        refresh(self.folder)
