"""What has come of points, noted in the indexes of their collections: by a sweep, or by a job of its launcher."""

from collections.abc import Iterable
from pathlib import Path

from convpipe.archive.index import note
from convpipe.archive.table import Row
from convpipe.sweeps.outcomes import Done


def note_rows(batch: Iterable[Done]) -> None:
    """Add the rows of a batch to the indexes, but those that a job has added already.

    Raises:
        StorageError: the disk refused.
    """
    rows: dict[Path, list[Row]] = {}
    for outcome in batch:
        if outcome.row is not None and not outcome.noted:
            rows.setdefault(outcome.folder, []).append(outcome.row)
    for folder, found in rows.items():
        note(folder, found)
