"""Whether a run on disk is whole and unchanged: every file against its hash, every id against its source."""

import hashlib
import os
from collections.abc import Collection, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

from convpipe.archive.format import OUTPUT, SUM_LINE, TEXTS, UNHASHED, manifest_json, manifest_sha256, sums_bytes
from convpipe.archive.identity import run_id
from convpipe.archive.read import Run, check_regular, check_text, load, read_bytes, stored_header
from convpipe.archive.shared import own_file
from convpipe.errors import ArchiveError, shown, unread
from convpipe.tensors import shape_text

LEFTOVERS = frozenset(("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"))  # beside what is hidden


def verify(folder: str | Path, *, arrays: bool = True) -> Run:
    """Check that a run on disk is whole and unchanged: every file against its hash, every id against its source.

    Args:
        folder: the run's.
        arrays: whether to read the arrays, too, which may be large; their presence is checked in any case.

    Raises:
        ArchiveError: naming the first file that is missing, changed or foreign.
    """
    path = Path(folder)
    content = read_bytes(path / "SHA256SUMS")
    sums = read_sums(path / "SHA256SUMS", content)
    for name in TEXTS:
        check_text(path / name, check_regular(path / name))
        check_sha256(path / name, sums[name])
    run = load(path)
    check_ids(run, hashlib.sha256(content).hexdigest())
    pictures = checked_manifest(path, run.manifest, sums) if run.manifest["format"] > 1 else {}
    check_listed(path, {*sums, *UNHASHED, *pictures})
    kept = list(filter(itemgetter("file"), run.rows))
    starts = [check_array(path, row, sums) for row in kept]  # what they say of themselves, before any is read
    if arrays:
        for name in sorted((sums.keys() | pictures.keys()) - set(TEXTS)):
            check_sha256(path / name, sums.get(name) or pictures[name])
        for row, start in zip(kept, starts, strict=True):
            check_sha256(path / row["file"], row["sha256"], start, ", as stages.csv says")
    return run


def check_listed(path: Path, names: Collection[str]) -> None:
    """In a run's folder lies nothing but its files, each regular, and what systems leave.

    Raises:
        ArchiveError: something else does, or one of them is missing.
    """
    for name in sorted(names):
        check_regular(path / name)
    for name in listed(path):
        if name not in names and not is_leftover(name):
            raise ArchiveError(f"{path / name}: a file that SHA256SUMS does not list")


def check_sha256(path: Path, expected: str, start: int = 0, said: str = "") -> None:
    """A file holds, from one byte on, what a hash says.

    Raises:
        ArchiveError: it does not.
    """
    if (found := file_sha256(path, start)) != expected:
        raise ArchiveError(f"{path}: got sha256 {found}, expected {expected}{said}")


def is_leftover(name: str) -> bool:
    """Whether a file's name is one that systems and programs leave in folders: that is told, and no damage.

    >>> [is_leftover(name) for name in (".DS_Store", "._output.npy", ".nfs0001", "Thumbs.db", "output2.npy")]
    [True, True, True, True, False]
    """
    return name.startswith(".") or name.lower() in LEFTOVERS


def leftovers(folder: Path) -> list[str]:
    """The names of what systems and programs have left in a run's folder, sorted."""
    return list(filter(is_leftover, listed(folder)))


def listed(folder: Path) -> list[str]:
    """What lies in a run's folder, sorted.

    Raises:
        ArchiveError: it cannot be read.
        StorageError: the disk fails.
    """
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        raise unread(folder, error) from error


def checked_manifest(path: Path, manifest: Mapping[str, Any], sums: Mapping[str, str]) -> Mapping[str, str]:
    """What a manifest says of itself, and of the sizes of the files beside it, holds; gives the hashes of its pictures.

    Raises:
        ArchiveError: it does not.
    """
    found = manifest_sha256(manifest)
    if manifest["sha256"] != found:
        raise ArchiveError(f"{path}/manifest.json: got sha256 {shown(manifest['sha256'])}, expected {found}, its own")
    content = read_bytes(path / "manifest.json")
    if content.startswith(b'{\n "') and content != manifest_json(manifest):  # another spelling of the same
        raise ArchiveError(f"{path}/manifest.json: is written otherwise than manifests are")
    pictures: dict[str, str] = manifest.get("pictures", {})
    if manifest["sizes"].keys() != {*sums, *pictures, "SHA256SUMS"}:
        raise ArchiveError(f"{path}/manifest.json: got the sizes of other files than those of SHA256SUMS")
    for name, size in manifest["sizes"].items():
        if (there := check_regular(path / name)) != size:
            raise ArchiveError(f"{path / name}: got {there} bytes, expected {size}")
    return pictures


def sums_of(folder: Path) -> dict[str, str]:
    """The hashes of a run's files by their names.

    Raises:
        ArchiveError: SHA256SUMS cannot be read.
    """
    return read_sums(folder / "SHA256SUMS", read_bytes(folder / "SHA256SUMS"))


def read_sums(path: Path, content: bytes) -> dict[str, str]:
    """The hashes of SHA256SUMS by file name; only the one way of writing them is accepted."""
    lines = content.decode("utf-8", "replace").splitlines()
    for line in lines:
        if not SUM_LINE.fullmatch(line):
            raise ArchiveError(f"{path}: got the line {shown(line, 100)!r}, expected a hash and a file of this folder")
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    if sums_bytes(sums) != content:
        raise ArchiveError(f"{path}: expected one line for each file, sorted by name")
    for name in (*TEXTS, OUTPUT):
        if name not in sums:
            raise ArchiveError(f"{path}: expected a line for {name}")
    return sums


def file_sha256(path: Path, start: int = 0) -> str:
    """The SHA-256 of a file from one byte on."""
    try:
        with open(path, "rb", opener=own_file) as file:
            file.seek(start)
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unread(path, error) from error


def check_array(path: Path, row: Mapping[str, str], sums: Mapping[str, str]) -> int:
    """The file of a stage says that it holds the array that the row describes; gives where its values begin."""
    file = path / row["file"]
    if row["file"] not in sums:
        raise ArchiveError(f"{file}: stages.csv names it, SHA256SUMS does not")
    header = stored_header(file)
    found = {"shape": shape_text(header.shape), "dtype": header.dtype.name, "bytes": str(header.bytes)}
    for column, value in found.items():
        if value != row[column]:
            raise ArchiveError(f"{file}: got {column} {value}, expected {row[column]}, as stages.csv says")
    return header.offset


def check_ids(run: Run, archive_id: str) -> None:
    """A run's ids are those of its hashes and of its config."""
    try:
        identity = run_id(run.config)
    except (TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ArchiveError(f"{run.path}/config.yaml: expected plain values: {error}") from error
    for key, expected, of in (("archive_id", archive_id, "SHA256SUMS"), ("run_id", identity, "config.yaml")):
        if run.manifest[key] != expected:
            found = shown(run.manifest[key])
            raise ArchiveError(f"{run.path}/manifest.json: got {key} {found}, expected {expected}, that of its {of}")
