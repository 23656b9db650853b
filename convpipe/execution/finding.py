"""Where a file is now that an archived run has read: it is found by what it holds.

First among the inputs stored beside the run, then where it was, then below the current folder. What an archive says
of a path is only ever opened as a regular file, and held against its hash.
"""

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import NoReturn

from convpipe.archive.inputs import inputs_folder
from convpipe.archive.keep import Keep
from convpipe.archive.read import Run
from convpipe.archive.shared import is_own_folder
from convpipe.errors import ArchiveError, ConfigError, shown
from convpipe.files.contents import MOST_HASHED, regular_sha256
from convpipe.sources.kinds.source import Stored

MOST_SEEN = 10_000  # files and folders below the current one: 0.1 s


@dataclass(frozen=True)
class Finder:
    """The files of one archived run."""

    run: Run
    known: dict[str, str] = field(default_factory=dict)  # what has been found, by its hash

    def find(self, source: Stored) -> str:
        """Where the file of a source is.

        Raises:
            ArchiveError: nowhere.
        """
        sha256 = source.sha256 or ""
        if sha256 not in self.known:
            place = next((path for path in self.places(source) if regular_sha256(path) == sha256), None)
            self.known[sha256] = place or self.below(source) or self.lost(source)
        return self.known[sha256]

    def places(self, source: Stored) -> list[str]:
        """Where its file may be without any search."""
        folder = inputs_folder(self.run)
        stored = [str(folder / (source.sha256 or ""))] if folder is not None and is_own_folder(folder) else []
        return [path for path in stored if not os.path.islink(path)] + self.old_places(source)

    def old_places(self, source: Stored) -> list[str]:
        """Where its file was: as seen from the folder where the run was made, and from the current one."""
        try:
            path = source.file
        except ConfigError:  # of a package that is not installed
            return []
        return list(dict.fromkeys([os.path.join(self.run.manifest.get("folder", ""), path), path]))

    def below(self, source: Stored) -> str | None:
        """Where it is below the current folder: among files of its name and size first, then of its size alone."""
        likely = (os.path.basename(self.name(source)), source.sha256)  # or as other collections have stored it
        size, hashed = self.run.manifest.get("input_bytes", {}).get(source.role), 0
        for entry in sorted(files_below(os.curdir), key=lambda each: each.name not in likely):
            found = size_of(entry)
            if found in (None, 0) or (size is not None and found != size) or hashed + found > MOST_HASHED:
                continue
            hashed += found
            if regular_sha256(entry.path) == source.sha256:
                return os.path.normpath(entry.path)
        return None

    def name(self, source: Stored) -> str:
        """What its file was called: the path as it was given; of a package the source."""
        return str(self.run.manifest["paths"].get(source.role, source.source))

    def changed(self, source: Stored) -> list[str]:
        """That there is another content where its file was, if it is so."""
        found = {path: regular_sha256(path) for path in self.old_places(source)}
        others = [(path, other) for path, other in found.items() if other not in (None, source.sha256)]
        if not others or source.sha256 in found.values():
            return []
        _, other = others[0]
        return [f"{shown(self.name(source), 200)}: got another content (sha256 {other}), expected {source.sha256}"]

    def lost(self, source: Stored) -> NoReturn:
        """Say that there is no such file.

        Raises:
            ArchiveError: in any case.
        """
        name, keep = shown(self.name(source), 200), Keep(self.run.manifest["keep"])
        where = f"in inputs beside the run, where it was, or among {MOST_SEEN:,} files below the current folder"
        reasons = [*self.changed(source), f"keep={keep.arrays}+inputs stores what a run reads"]
        try:
            _ = source.file
        except ConfigError as error:
            reasons.append(str(error))
        expected = f"{name} with sha256 {source.sha256} {where} ({'; '.join(reasons)})"
        raise ArchiveError(f"{self.run.path or 'the run in memory'}: {source.role}: got no file, expected {expected}")


def files_below(folder: str) -> Iterator[os.DirEntry[str]]:
    """Files in a folder and below, the nearest first; what is hidden is left out, and no link is followed."""
    folders, seen = deque([folder]), 0
    while folders and seen < MOST_SEEN:
        for entry in entries_of(folders.popleft()):
            seen += 1
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif entry.is_file(follow_symlinks=False):
                yield entry


def entries_of(folder: str) -> list[os.DirEntry[str]]:
    """What lies in a folder, sorted; nothing of one that cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(islice(entries, MOST_SEEN), key=lambda entry: entry.name)
    except OSError:
        return []


def size_of(entry: os.DirEntry[str]) -> int | None:
    """How large a file is, if it is still there."""
    try:
        return entry.stat(follow_symlinks=False).st_size
    except OSError:
        return None
