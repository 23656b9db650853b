"""One run on disk: written whole or not at all, verified by its own hashes, read without the code that made it.

<run>/config.yaml    the resolved config
      stages.csv     a row per stage, the same bytes on every repeat
      output.npy     the last stage's array; with keep=stages also NN_<stage>.npy
      SHA256SUMS     every file above; its own hash is the archive id
      manifest.json  format, ids, status, timings, provenance; not hashed, as it differs from repeat to repeat
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convpipe.errors import ArchiveError, ConfigError, shown
from convpipe.geometry import Sizes
from convpipe.npyfile import MAGIC, NpyHeader, read_array, read_header
from convpipe.plainyaml import read_yaml
from convpipe.spec import run_id
from convpipe.staging import hidden_name, make_folder, remove_abandoned, remove_empty, storing
from convpipe.step import Array

if TYPE_CHECKING:
    import pandas as pd

Block = bytes | memoryview

FORMAT = 1
COLUMNS = ("stage", "op", "shape", "dtype", "bytes", "macs", "min", "max", "sha256", "file")
TEXTS = ("config.yaml", "stages.csv")
OUTPUT = "output.npy"
UNHASHED = ("SHA256SUMS", "manifest.json")
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
BLOCK_BYTES = 1 << 20  # 64 KiB to 8 MiB hash alike (100 MB in 0.1 s)
MOST_TEXT_BYTES = 64 << 20

# What an archive may say: a hostile one cannot lead out of its folder, nor surprise who reads its numbers.
NUMBER = r"-?\d{1,20}(?:\.\d{1,20})?(?:e[+-]\d{1,3})?|-?inf|nan|"
ROW = {
    "stage": re.compile(r"[\w./-]+"),
    "op": re.compile(r"[\w./-]+"),
    "shape": re.compile(r"\((?:\d{1,20}(?:,\d{1,20})*)?\)", re.ASCII),
    "dtype": re.compile(r"[a-z]+\d*", re.ASCII),
    "bytes": re.compile(r"\d{1,20}", re.ASCII),
    "macs": re.compile(r"\d{1,40}", re.ASCII),
    "min": re.compile(NUMBER, re.ASCII),
    "max": re.compile(NUMBER, re.ASCII),
    "sha256": re.compile(r"[0-9a-f]{64}"),
    "file": re.compile(r"(?:\w[\w.-]*\.npy)?"),
}
MANIFEST = {"archive_id": str, "run_id": str, "status": str, "seconds": dict, "axes": dict, "provenance": dict}
SUM_LINE = re.compile(r"([0-9a-f]{64})  (\w[\w.-]*)")


# Writing


@dataclass
class Draft:
    """A run being written, in a hidden folder beside its place; `publish` moves it there in one step."""

    folder: Path
    sums: dict[str, str] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    manifest: dict[str, Any] = field(default_factory=dict)
    published: bool = False

    def write(self, name: str, content: bytes) -> None:
        """Write one file and note its hash."""
        self.sums[name] = write_file(f"{self.folder}/{name}", [content])

    def save(self, name: str, array: Array) -> str:
        """Write one array as .npy, in C order whatever its own, and note its hash; gives the hash of its values."""
        values = hashlib.sha256()
        header = npy_header(array.shape, array.dtype)
        self.sums[name] = write_file(f"{self.folder}/{name}", chain([header], hashed(blocks(array), values)))
        return values.hexdigest()

    def add(self, stage: str, op: str, array: Array, *, macs: int = 0, kept: bool, last: bool = False) -> None:
        """Add a stage's row, and its array where it is kept."""
        names = [f"{len(self.rows):02d}_{stage.replace('/', '.')}.npy"] if kept else []
        names += [OUTPUT] if last else []
        digests = [self.save(name, array) for name in names] or [array_sha256(array)]
        self.rows.append(stage_row(stage, op, array, macs, digests[-1], names[-1] if names else ""))

    def finish(self, manifest: Mapping[str, Any]) -> str:
        """Write stages.csv, SHA256SUMS and, last, manifest.json; gives the archive id."""
        self.write("stages.csv", csv_bytes(COLUMNS, self.rows))
        archive_id = write_file(f"{self.folder}/SHA256SUMS", [sums_bytes(self.sums)])
        self.manifest = record = {"format": FORMAT, "archive_id": archive_id, **manifest}
        write_file(f"{self.folder}/manifest.json", [manifest_json(record)])
        return archive_id


def manifest_json(record: Mapping[str, Any]) -> bytes:
    """A manifest, a line for each entry: json's own indentation costs ten times as much."""
    lines = ",\n".join([f' "{key}": {json.dumps(value)}' for key, value in record.items()])  # keys are plain words
    return f"{{\n{lines}\n}}\n".encode()


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
            if place.is_dir():
                return False
            raise
    draft.published = True
    return True


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


# The files' contents


def stage_row(stage: str, op: str, array: Array, macs: int, sha256: str, file: str) -> dict[str, Any]:
    """One row of stages.csv."""
    # + 0, as NumPy finds either of 0.0 and -0.0, depending on the processor's instructions
    low, high = (array.min().item() + 0, array.max().item() + 0) if array.size else ("", "")
    return {
        "stage": stage,
        "op": op,
        "shape": shape_text(array.shape),
        "dtype": dtype_name(array.dtype),
        "bytes": array.nbytes,
        "macs": macs,
        "min": low,
        "max": high,
        "sha256": sha256,
        "file": file,
    }


@cache
def little_endian(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """A dtype in the byte order of an archive."""
    return dtype.newbyteorder("<")


@cache
def dtype_name(dtype: np.dtype[Any]) -> str:
    """A dtype's name, which NumPy works out anew each time."""
    return str(dtype.name)


def shape_text(shape: Sizes) -> str:
    """A shape as stages.csv has it.

    >>> shape_text((25, 27))
    '(25,27)'
    """
    return f"({','.join(map(str, shape))})"


def csv_bytes(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> bytes:
    """A CSV table with a header line."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(map(itemgetter(*columns), rows))
    return text.getvalue().encode()


def sums_bytes(sums: Mapping[str, str]) -> bytes:
    """Hashes by file name, as sha256sum writes and checks them, sorted by name."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())).encode()


def blocks(array: Array) -> Iterator[memoryview]:
    """The array's values as little-endian bytes in C order, a block at a time, copied only where they must be.

    >>> [block.tobytes() for block in blocks(np.array([[1, 2]], ">i2"))]
    [b'\\x01\\x00\\x02\\x00']
    """
    if array.nbytes <= BLOCK_BYTES or array.ndim == 0:
        little = np.ascontiguousarray(array, little_endian(array.dtype))
        yield little.reshape(-1).view(np.uint8).data
    elif len(array) == 1:
        yield from blocks(array[0])
    else:
        rows = max(1, len(array) * BLOCK_BYTES // array.nbytes)
        for start in range(0, len(array), rows):
            yield from blocks(array[start : start + rows])


def array_sha256(array: Array) -> str:
    """The SHA-256 of the array's values: little-endian, in C order."""
    total = hashlib.sha256()
    for block in blocks(array):
        total.update(block)
    return total.hexdigest()


def npy_header(shape: Sizes, dtype: np.dtype[Any]) -> bytes:
    """The header of an .npy file (format 1.0) in C order, little-endian.

    Made here and not by NumPy, whose versions fill it up differently: an archive's id shall not depend on that.
    """
    descr = little_endian(dtype).str
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {tuple(map(int, shape))}, }}"
    start = len(MAGIC) + 4  # the version and the text's length, two bytes each
    text += " " * (-(start + len(text) + 1) % 64) + "\n"  # NEP 1: the data begins at a multiple of 64
    return MAGIC + b"\x01\x00" + len(text).to_bytes(2, "little") + text.encode("ascii")


# Reading


@dataclass(frozen=True)
class Run:
    """One archived run. Arrays are read when asked for."""

    path: Path
    config: dict[str, Any]
    rows: tuple[dict[str, str], ...]
    manifest: dict[str, Any]

    @property
    def stages(self) -> pd.DataFrame:
        """stages.csv as a table: one row per stage, numbers as numbers."""
        import pandas as pd

        table = pd.DataFrame(list(self.rows), columns=list(COLUMNS))
        for column in ("bytes", "macs", "min", "max"):
            table[column] = pd.to_numeric(table[column])
        return table

    @property
    def output(self) -> Array:
        """The feature map, (N, out_h, out_w, F).

        Raises:
            ArchiveError: it is not there or not readable.
        """
        return stored_array(self.path / OUTPUT)

    def array(self, stage: str) -> Array:
        """The array that a stage made.

        Raises:
            ArchiveError: no such stage, or its array was not kept or is not readable.
        """
        for row in self.rows:
            if row["stage"] == stage:
                if not row["file"]:
                    raise ArchiveError(f"{self.path}: the array of {stage!r} was not kept (run with keep=stages)")
                return stored_array(self.path / row["file"])
        there = ", ".join(row["stage"] for row in self.rows)
        raise ArchiveError(f"{self.path}: got stage {stage!r}, expected one of {there}")


def stored_array(path: Path) -> Array:
    """An array of an archive; nothing in the file can run or lead elsewhere."""
    check_regular(path)
    try:
        return read_array(path, path.name)
    except ConfigError as error:
        raise not_stored(path, error) from error


def stored_header(path: Path) -> NpyHeader:
    """What an array's file says of itself, its size included."""
    try:
        return read_header(path, path.name)
    except ConfigError as error:
        raise not_stored(path, error) from error


def not_stored(path: Path, error: ConfigError) -> ArchiveError:
    """What is wrong with an array's file, as an error of the archive."""
    return ArchiveError(f"{path}: expected {error.expected}" + (f" ({error.hint})" if error.hint else ""))


def check_regular(path: Path) -> int:
    """An archive's file is a file of its own, no link or pipe; gives its size."""
    try:
        found = path.lstat()
    except (OSError, ValueError) as error:
        raise ArchiveError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    if not stat.S_ISREG(found.st_mode):
        raise ArchiveError(f"{path}: expected a regular file")
    return found.st_size


def read_bytes(path: Path) -> bytes:
    """One of an archive's small files."""
    size = check_regular(path)
    if size > MOST_TEXT_BYTES:
        raise ArchiveError(f"{path}: got {size} bytes, expected at most {MOST_TEXT_BYTES}")
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArchiveError(f"{path}: {error.strerror or error}") from error


def load(folder: str | Path) -> Run:
    """Read an archived run.

    Raises:
        ArchiveError: there is no run, or one of another format, or one that cannot be read.
    """
    path = Path(folder)
    manifest = read_manifest(path / "manifest.json")
    return Run(path, read_config(path / "config.yaml"), read_rows(path / "stages.csv"), manifest)


def read_manifest(path: Path) -> dict[str, Any]:
    """manifest.json, its entries of the types that this format has."""
    try:
        manifest = json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"{path}: not readable: {error}") from error
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != FORMAT:
        raise ArchiveError(f"{path}: got format {shown(found)}, expected {FORMAT}")
    for key, kind in MANIFEST.items():
        if not isinstance(manifest.get(key), kind):
            raise ArchiveError(f"{path}: got {key} {shown(manifest.get(key))}, expected a {kind.__name__}")
    check_lists(path, "seconds", manifest["seconds"], (int, float))
    check_lists(path, "axes", manifest["axes"], (str,))
    return dict(manifest)


def check_lists(path: Path, key: str, entries: Mapping[str, Any], kinds: tuple[type, ...]) -> None:
    """Every entry is a list of that kind, not empty."""
    for name, values in entries.items():
        if not isinstance(values, list) or not values or not all(isinstance(value, kinds) for value in values):
            raise ArchiveError(f"{path}: got {key}.{name} {shown(values)}, expected a list of {kinds[-1].__name__}")


def read_config(path: Path) -> dict[str, Any]:
    """config.yaml as plain values."""
    try:
        config = read_yaml(read_bytes(path))
    except ValueError as error:
        raise ArchiveError(f"{path}: not readable: {error}") from error
    if not isinstance(config, dict):
        raise ArchiveError(f"{path}: got {shown(config)}, expected keys and values")
    return config


def read_rows(path: Path) -> tuple[dict[str, str], ...]:
    """The rows of stages.csv, every value of the form that this format has."""
    try:
        table = list(csv.reader(io.StringIO(read_bytes(path).decode(), newline="")))
    except (ValueError, csv.Error) as error:
        raise ArchiveError(f"{path}: not readable: {error}") from error
    if not table or tuple(table[0]) != COLUMNS:
        found = shown(", ".join(table[0]) if table else None)
        raise ArchiveError(f"{path}: got columns {found}, expected {', '.join(COLUMNS)}")
    for number, values in enumerate(table[1:], start=1):
        check_row(f"{path}: row {number}", values)
    if len(table) == 1:
        raise ArchiveError(f"{path}: got no rows, expected one per stage")
    return tuple(dict(zip(COLUMNS, values, strict=True)) for values in table[1:])


def check_row(where: str, values: Sequence[str]) -> None:
    """One row has a value of the right form in every column."""
    if len(values) != len(COLUMNS):
        raise ArchiveError(f"{where}: got {len(values)} values, expected {len(COLUMNS)}")
    for (column, form), value in zip(ROW.items(), values, strict=True):
        if not form.fullmatch(value):
            raise ArchiveError(f"{where}: got {column} {shown(value)}, expected the form {form.pattern}")


# Verifying


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
    for name, expected in sums.items():
        check_regular(path / name)
        if arrays or name in TEXTS:
            check_file(path / name, expected)
        elif name.endswith(".npy"):
            stored_header(path / name)
    for name in sorted(os.listdir(path)):
        if name not in sums and name not in UNHASHED:
            raise ArchiveError(f"{path / name}: a file that SHA256SUMS does not list")
    run = load(path)
    check_ids(run, hashlib.sha256(content).hexdigest())
    for row in run.rows:
        if row["file"]:
            check_array(path, row, sums, values=arrays)
    return run


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


def check_file(path: Path, expected: str) -> None:
    """One file of a run has the hash that SHA256SUMS gives."""
    found = file_sha256(path)
    if found != expected:
        raise ArchiveError(f"{path}: got sha256 {found}, expected {expected}")


def file_sha256(path: Path, start: int = 0) -> str:
    """The SHA-256 of a file from one byte on."""
    try:
        with open(path, "rb") as file:
            file.seek(start)
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ArchiveError(f"{path}: {error.strerror or error}") from error


def check_array(path: Path, row: Mapping[str, str], sums: Mapping[str, str], *, values: bool) -> None:
    """The array of a stage is the one that its row describes."""
    file = path / row["file"]
    if row["file"] not in sums:
        raise ArchiveError(f"{file}: stages.csv names it, SHA256SUMS does not")
    header = stored_header(file)
    found = {"shape": shape_text(header.shape), "dtype": header.dtype.name, "bytes": str(header.bytes)}
    if values:
        found["sha256"] = file_sha256(file, header.offset)
    for column, value in found.items():
        if value != row[column]:
            raise ArchiveError(f"{file}: got {column} {value}, expected {row[column]}, as stages.csv says")


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
