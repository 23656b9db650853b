"""A run put in the place of another, and a manifest in the place of another, whenever a kill comes.

Python has no exchange of two names, so a replacement is two renames. In between, the run that goes out has a name of
its own, which says what shall become of it; so whoever comes next knows what is left to do.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from convpipe.archive.format import manifest_json
from convpipe.archive.glance import glance, manifest_text
from convpipe.archive.index import INDEX, index_row
from convpipe.archive.read import read_bytes
from convpipe.archive.shared import is_own_folder, locked, make_shared, own_file
from convpipe.archive.table import Row, run_row
from convpipe.errors import ArchiveError, having_kept
from convpipe.files.staging import hidden_name, remove_hidden, storing

ASIDE = ".aside"
KEPT, CONTAINED = "replaced", "contained"  # what a run on its way out is: kept aside, or all in the new one
RENEWED = re.compile(r"\.renewed-([0-9a-f]{12})", re.ASCII)  # a mark: the index has to be told of a run's new manifest
ON_ITS_WAY = re.compile(rf"\.({KEPT}|{CONTAINED})-(([0-9a-f]{{12}})-\w+)", re.ASCII)


@dataclass(frozen=True)
class Leaving:
    """A run on its way out, and what its name says: whether it is kept, as what, and where it lay."""

    path: Path
    kept: bool
    name: str
    run: str


def replace(staged: Path, place: Path, seen: str, row: Row, *, contained: bool = False) -> Path | None:
    """Put a finished run in the place of one; that goes aside, or is removed where the new one contains it.

    Args:
        seen: the manifest of the run that lies there; where it has another by now, nothing is done.
        row: of the new run, for the index.

    Returns:
        Where the old one lies; its place where it is removed; None where nothing was done.

    Raises:
        StorageError: the disk refused; the old run is back in its place, or will be with the next command.
    """
    folder = place.parent
    with storing(place), locked(folder):
        finish(folder)
        if not os.path.lexists(place) or manifest_text(str(place)) != seen:
            return None
        leaving = make_way(place, KEPT if not contained else CONTAINED)
        try:
            os.rename(staged, place)
        except BaseException as error:  # Ctrl-C, too: the old run goes back before anything is told
            taken = os.path.lexists(place)
            finish(folder)
            if taken and isinstance(error, OSError):  # by another process, which found the place empty
                return None
            raise
        with having_kept(f"the run is kept: {place}"):
            with storing(folder / INDEX):
                index_row(folder, row)
            return put_away(leaving)


def renew(place: Path, record: Mapping[str, Any], seen: str, row: Row | None) -> bool:
    """Put another manifest in the place of a run's; False where the run has another than `seen` by now.

    Raises:
        StorageError: the disk refused.
    """
    folder = place.parent
    temporary = folder / hidden_name(f"manifest-{place.name}")
    with storing(place), locked(folder):
        if not is_own_folder(place) or manifest_text(str(place)) != seen:
            return False
        mark = marked(place) if row is not None else None
        try:
            temporary.write_bytes(manifest_json(record))
            os.replace(temporary, place / "manifest.json")
        except BaseException:
            unmark(mark)
            raise
        finally:
            with suppress(OSError):
                temporary.unlink()
        if row is not None:
            with having_kept(f"the run is kept: {place}"), storing(folder / INDEX):
                index_row(folder, row)
            unmark(mark)
    return True


def marked(place: Path) -> Path:
    """Make the mark that a run gets a new manifest: who finds it tells the index what the run says then."""
    mark = place.parent / ASIDE / f".renewed-{place.name}"
    make_shared(mark.parent)
    with open(mark, "wb", opener=own_file):
        return mark


def unmark(mark: Path | None) -> None:
    """Take a mark away, and the folder if that was all in it; one that stays costs a line of the index."""
    if mark is not None:
        with suppress(OSError):
            mark.unlink()
            mark.parent.rmdir()


def make_way(place: Path, word: str) -> Leaving:
    """Rename a run to what says that it is on its way out."""
    aside = place.parent / ASIDE
    make_shared(aside)
    name = f"{place.name}-{archive_id_of(place)}"
    leaving = Leaving(aside / f".{word}-{name}", word == KEPT, name, place.name)
    os.rename(place, leaving.path)
    return leaving


def put_away(leaving: Leaving) -> Path:
    """Give a run that is out its name for good, or remove it, where its place has the new one."""
    aside = leaving.path.parent
    if leaving.kept:
        names = (aside / f"{leaving.name}{f'-{number}' if number > 1 else ''}" for number in count(1))
        there = next(name for name in names if not os.path.lexists(name))
        os.rename(leaving.path, there)
        return there
    remove_hidden(leaving.path)
    with suppress(OSError):
        aside.rmdir()  # which holds what others have left
    return aside.parent / leaving.run


def archive_id_of(place: Path) -> str:
    """The archive id that a run says it has, or that of its hashes where its manifest cannot be read."""
    with suppress(ArchiveError):
        found = glance(str(place), manifest_text(str(place)))("archive_id")
        if isinstance(found, str) and re.fullmatch(r"[0-9a-f]{64}", found):
            return found
    try:
        return hashlib.sha256(read_bytes(place / "SHA256SUMS")).hexdigest()
    except ArchiveError:
        return "unknown"


# What a kill left


def mend(folder: Path) -> None:
    """Bring to its end what a kill left between the steps of a replacement, in a collection.

    A run that is on its way out goes back where its place is empty. Where nothing may be written, nothing is done.
    """
    if any(on_their_way(folder)) or any(renewed(folder)):
        with suppress(OSError), locked(folder):
            finish(folder)


def finish(folder: Path) -> None:
    """The same by who holds the lock, so that nobody is at work there."""
    for leaving in on_their_way(folder):
        place = folder / leaving.run
        if os.path.lexists(place):
            index_row(folder, run_row(place))
            put_away(leaving)
        else:
            os.rename(leaving.path, place)
    for mark, place in renewed(folder):
        if os.path.lexists(place):
            index_row(folder, run_row(place))
        unmark(mark)


def renewed(folder: Path) -> Iterator[tuple[Path, Path]]:
    """The marks that runs of a collection have got new manifests, each with its run."""
    for name in names_aside(folder):
        if match := RENEWED.fullmatch(name):
            yield folder / ASIDE / name, folder / match[1]


def on_their_way(folder: Path) -> Iterator[Leaving]:
    """The runs of a collection that are on their way out; of a folder elsewhere, to which a link leads, none."""
    for name in names_aside(folder):
        if match := ON_ITS_WAY.fullmatch(name):
            yield Leaving(folder / ASIDE / name, match[1] == KEPT, match[2], match[3])


def names_aside(folder: Path) -> list[str]:
    """What lies aside in a collection."""
    try:
        return os.listdir(folder / ASIDE) if is_own_folder(folder / ASIDE) else []
    except OSError:
        return []
