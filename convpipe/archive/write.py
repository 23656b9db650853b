"""One run written whole or not at all: in a hidden folder beside its place, moved there in one step."""

import hashlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from convpipe.archive.format import COLUMNS, FORMAT, INPUTS, OUTPUT, csv_bytes, manifest_json, stage_row, sums_bytes
from convpipe.archive.shared import make_shared
from convpipe.errors import StorageError
from convpipe.files.contents import changed_meanwhile, regular_sha256
from convpipe.files.npy import BLOCK_BYTES, Block, array_sha256, blocks, npy_header, opened
from convpipe.files.staging import hidden_name, make_folder, remove_abandoned, remove_empty, storing
from convpipe.tensors import Array

NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)


class Recorder(Protocol):
    """What takes down a run as it is made: on disk, or in memory."""

    @property
    def rows(self) -> Sequence[Mapping[str, Any]]:
        """The rows of its stages so far, as texts or as what they say."""

    def write(self, name: str, content: bytes) -> None:
        """Take one file."""

    def picture(self, name: str, content: bytes) -> None:
        """Take a picture, which is no part of the archive id."""

    def add(self, stage: str, op: str, array: Array, *, macs: int = 0, kept: bool, last: bool = False) -> None:
        """Take a stage's row, and its array where it is kept."""

    def store(self, sha256: str, path: str, key: str) -> None:
        """Store what a file holds that the run has read, once per content."""

    def finish(self, manifest: Mapping[str, Any]) -> object:
        """Take what the manifest says; there is nothing more."""


@dataclass
class Draft:
    """A run being written, in a hidden folder beside its place; `publish` moves it there in one step."""

    folder: Path
    sums: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    pictures: dict[str, str] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    manifest: dict[str, Any] = field(default_factory=dict)
    published: bool = False

    def write(self, name: str, content: bytes) -> None:
        """Write one file and note its hash."""
        self.sums[name], self.sizes[name] = write_file(f"{self.folder}/{name}", [content]), len(content)

    def picture(self, name: str, content: bytes) -> None:
        """Write a picture."""
        self.pictures[name], self.sizes[name] = write_file(f"{self.folder}/{name}", [content]), len(content)

    def save(self, name: str, array: Array) -> str:
        """Write one array as .npy, in C order whatever its own, and note its hash; gives the hash of its values."""
        values = hashlib.sha256()
        header = npy_header(array.shape, array.dtype)
        self.sums[name] = write_file(f"{self.folder}/{name}", chain([header], hashed(blocks(array), values)))
        self.sizes[name] = len(header) + array.nbytes
        return values.hexdigest()

    def add(self, stage: str, op: str, array: Array, *, macs: int = 0, kept: bool, last: bool = False) -> None:
        """Add a stage's row, and its array where it is kept."""
        names = [f"{len(self.rows):02d}_{stage.replace('/', '.')}.npy"] if kept else []
        names += [OUTPUT] if last else []
        digests = [self.save(name, array) for name in names] or [array_sha256(array)]
        self.rows.append(stage_row(stage, op, array, macs, digests[-1], names[-1] if names else ""))

    def store(self, sha256: str, path: str, key: str) -> None:
        """Store what a file holds beside the runs, whether or not this one is published in the end."""
        store_content(self.folder.parent / INPUTS / sha256, path, key)

    def finish(self, manifest: Mapping[str, Any]) -> str:
        """Write stages.csv, SHA256SUMS and, last, manifest.json; gives the archive id."""
        self.write("stages.csv", csv_bytes(COLUMNS, self.rows))
        sums = sums_bytes(self.sums)
        archive_id = write_file(f"{self.folder}/SHA256SUMS", [sums])
        self.sizes["SHA256SUMS"] = len(sums)
        self.manifest = record = {"format": FORMAT, "archive_id": archive_id, **manifest, "sizes": self.sizes}
        if self.pictures:
            record["pictures"] = self.pictures
        write_file(f"{self.folder}/manifest.json", [manifest_json(record)])
        return archive_id


@contextmanager
def drafting(place: Path, *, tidy: bool = True) -> Iterator[Draft]:
    """A draft for a run that shall stand at `place`. What is not published by the end is removed.

    Args:
        tidy: first clear away what killed processes left in the collection; a sweep does that once for all.

    Raises:
        StorageError: the disk is full, read-only or not there.
    """
    staging = place.with_name(hidden_name(f"staging-{place.name}"))
    draft, made = Draft(staging), list[Path]()
    try:
        with storing(place):
            make_folder(staging, made)
            if tidy:
                remove_abandoned(place.parent)
        yield draft
    finally:
        if not draft.published:
            shutil.rmtree(staging, ignore_errors=True)
            remove_empty(made)


def publish(draft: Draft, place: Path) -> bool:
    """Move a finished draft to its place; False where a run is there already, which stays as it is."""
    with storing(place):
        try:
            os.rename(draft.folder, place)
        except OSError:
            if os.path.lexists(place):
                return False
            raise
    draft.published = True
    return True


def store_content(target: Path, path: str, key: str) -> None:
    """Copy a file to a place that is named as the SHA-256 of what it holds: whole, by one rename, or not at all.

    Raises:
        ConfigError: under `key`, it cannot be read, or does not hold that any more.
        StorageError: the disk refused.
    """
    if os.path.islink(target.parent):
        raise StorageError(f"{target.parent}: a link, expected a folder; nothing was kept")
    with opened(path, key, "the file that was read") as file:
        if is_file_of(target, os.fstat(file.fileno()).st_size) and regular_sha256(str(target)) == target.name:
            return
        temporary = target.parent.with_name(hidden_name(f"input-{target.name[:12]}"))
        try:
            with storing(temporary):
                found = write_file(str(temporary), iter(partial(file.read, BLOCK_BYTES), b""))
                if found == target.name:
                    make_shared(target.parent)
                    os.replace(temporary, target)
        finally:
            with suppress(OSError):
                temporary.unlink()
    if found != target.name:
        raise changed_meanwhile(path, key, target.name, found)


def is_file_of(path: Path, size: int) -> bool:
    """Whether there is a regular file of that size."""
    with suppress(OSError):
        found = path.lstat()
        return stat.S_ISREG(found.st_mode) and found.st_size == size
    return False


def write_file(path: str, content: Iterable[Block]) -> str:
    """Write a file block by block; gives its SHA-256."""
    total = hashlib.sha256()
    with storing(path):
        file = os.open(path, NEW_FILE, 0o666)  # a third less than open(), which thousands of small files notice
        try:
            for block in hashed(content, total):
                write_all(file, block)
        finally:
            os.close(file)
    return total.hexdigest()


def write_all(file: int, block: Block) -> None:
    """Write a block, in several pieces where the system takes no more at once."""
    done = os.write(file, block)
    while done < len(block):
        done += os.write(file, block[done:])


def hashed(content: Iterable[Block], total: Any) -> Iterator[Block]:
    """The same blocks, each added to a hash on its way."""
    for block in content:
        total.update(block)
        yield block
