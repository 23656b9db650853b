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
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import yaml

from convpipe.errors import ArchiveError, StorageError
from convpipe.geometry import Sizes
from convpipe.npyfile import read_array
from convpipe.spec import run_id
from convpipe.step import Array

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
COLUMNS = ("stage", "op", "shape", "dtype", "bytes", "macs", "min", "max", "sha256", "file")
UNHASHED = ("SHA256SUMS", "manifest.json")
BLOCK_BYTES = 8 << 20


@dataclass
class Draft:
    """A run being written, in a hidden folder beside its place; `publish` moves it there in one step."""

    folder: Path
    sums: dict[str, str] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)

    def write(self, name: str, content: bytes) -> None:
        """Write one file and note its hash."""
        (self.folder / name).write_bytes(content)
        self.sums[name] = hashlib.sha256(content).hexdigest()

    def save(self, name: str, array: Array) -> None:
        """Write one array as .npy, in C order whatever its own, and note its hash."""
        with open(self.folder / name, "wb") as file:
            self.sums[name] = write_npy(file, array)

    def add(self, stage: str, op: str, array: Array, *, macs: int = 0, kept: bool, last: bool = False) -> None:
        """Add a stage's row, and its array where it is kept."""
        name = ""
        if kept:
            name = f"{len(self.rows):02d}_{stage.replace('/', '.')}.npy"
            self.save(name, array)
        if last:
            name = "output.npy"
            self.save(name, array)
        self.rows.append(stage_row(stage, op, array, macs, name))

    def finish(self, manifest: Mapping[str, Any]) -> str:
        """Write stages.csv, SHA256SUMS and, last, manifest.json; gives the archive id."""
        self.write("stages.csv", csv_bytes(COLUMNS, self.rows))
        sums = "".join(f"{digest}  {name}\n" for name, digest in sorted(self.sums.items())).encode()
        (self.folder / "SHA256SUMS").write_bytes(sums)
        archive_id = hashlib.sha256(sums).hexdigest()
        record = {"format": FORMAT, "archive_id": archive_id, **manifest}
        (self.folder / "manifest.json").write_text(json.dumps(record, indent=1) + "\n")
        return archive_id


@contextmanager
def drafting(place: Path) -> Iterator[Draft]:
    """A draft for a run that shall stand at `place`. What is not published by the end is removed.

    Raises:
        StorageError: the disk is full, read-only or not there.
    """
    made = [folder for folder in (place.parent, *place.parent.parents) if not folder.exists()]
    staging = place.parent / f".staging-{place.name}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    try:
        staging.mkdir(parents=True)
        yield Draft(staging)
    except OSError as error:
        raise StorageError(f"{error.filename or place}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        remove_empty(made)


def remove_empty(folders: Sequence[Path]) -> None:
    """Take away the folders made for a draft that came to nothing, innermost first."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return


def publish(draft: Draft, place: Path) -> bool:
    """Move a finished draft to its place; False where a run is there already, which stays as it is."""
    try:
        os.rename(draft.folder, place)
    except OSError:
        if place.is_dir():
            return False
        raise
    return True


def stage_row(stage: str, op: str, array: Array, macs: int, file: str) -> dict[str, Any]:
    """One row of stages.csv."""
    low, high = (array.min().item(), array.max().item()) if array.size else ("", "")
    return {
        "stage": stage,
        "op": op,
        "shape": f"({','.join(map(str, array.shape))})",
        "dtype": array.dtype.name,
        "bytes": array.nbytes,
        "macs": macs,
        "min": low,
        "max": high,
        "sha256": array_sha256(array),
        "file": file,
    }


def csv_bytes(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> bytes:
    """A CSV table with a header line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def blocks(array: Array) -> Iterator[bytes]:
    """The array's values as little-endian bytes in C order, a block at a time."""
    little = array.dtype.newbyteorder("<")
    if array.nbytes <= BLOCK_BYTES or array.ndim == 0 or (len(array) == 1 and array.ndim == 1):
        yield np.ascontiguousarray(array, little).tobytes()
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
    """The header of an .npy file (format 1.0) in C order, little-endian."""
    text = io.BytesIO()
    descr = dtype.newbyteorder("<").str
    np.lib.format.write_array_header_1_0(text, {"descr": descr, "fortran_order": False, "shape": tuple(shape)})
    return text.getvalue()


def write_npy(file: BinaryIO, array: Array) -> str:
    """Write an array block by block; gives the file's SHA-256."""
    total = hashlib.sha256()
    for block in chain([npy_header(array.shape, array.dtype)], blocks(array)):
        total.update(block)
        file.write(block)
    return total.hexdigest()


def config_yaml(config: Mapping[str, Any]) -> bytes:
    """A plain config as YAML: groups as blocks, values as JSON has them, keys in their own order.

    Twenty times faster than PyYAML's C dumper, which would be a third of a small run's time.

    >>> print(config_yaml({"seed": 0, "conv": {"stride": [1, 2], "pad_mode": "edge"}}).decode(), end="")
    seed: 0
    conv:
      stride: [1, 2]
      pad_mode: "edge"
    """
    return "".join(yaml_lines(config, "")).encode("utf-8", "surrogatepass")


def yaml_lines(config: Mapping[str, Any], indent: str) -> Iterator[str]:
    """The lines of a nested config."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield f"{indent}{key}:\n"
            yield from yaml_lines(value, indent + "  ")
        else:
            yield f"{indent}{key}: {yaml_value(value)}\n"


def yaml_value(value: Any) -> str:
    """A plain value that YAML 1.1 and JSON read alike."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(yaml_value(entry) for entry in value)}]"
    text = json.dumps(value, ensure_ascii=not (isinstance(value, str) and value.isprintable()), allow_nan=False)
    # YAML 1.1 takes 1e-05 for a text: a float needs its point
    return text.replace("e", ".0e") if isinstance(value, float) and "e" in text and "." not in text else text


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

        return pd.read_csv(self.path / "stages.csv", keep_default_na=False, na_values={"min": [""], "max": [""]})

    @property
    def output(self) -> Array:
        """The feature map, (N, out_h, out_w, F)."""
        return read_array(str(self.path / "output.npy"), "output.npy")

    def array(self, stage: str) -> Array:
        """The array that a stage made.

        Raises:
            ArchiveError: no such stage, or its array was not kept.
        """
        for row in self.rows:
            if row["stage"] == stage:
                if not row["file"]:
                    raise ArchiveError(f"{self.path}: the array of {stage!r} was not kept (run with keep=stages)")
                return read_array(str(self.path / row["file"]), row["file"])
        there = ", ".join(row["stage"] for row in self.rows)
        raise ArchiveError(f"{self.path}: got stage {stage!r}, expected one of {there}")


def load(folder: str | Path) -> Run:
    """Read an archived run.

    Raises:
        ArchiveError: there is no run, or one of another format, or one that cannot be read.
    """
    path = Path(folder)
    try:
        manifest = json.loads((path / "manifest.json").read_text())
        config = yaml.load((path / "config.yaml").read_text(), Loader=yaml.CSafeLoader)
        with open(path / "stages.csv", newline="") as file:
            rows = tuple(csv.DictReader(file))
    except (OSError, ValueError, yaml.YAMLError, csv.Error) as error:
        raise ArchiveError(f"{path}: not a readable run: {' '.join(str(error).split())}") from error
    if not isinstance(manifest, dict) or not isinstance(config, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else manifest
        raise ArchiveError(f"{path}/manifest.json: got format {found!r}, expected {FORMAT}")
    if rows and tuple(rows[0]) != COLUMNS:
        raise ArchiveError(
            f"{path}/stages.csv: got columns {', '.join(map(str, rows[0]))}, expected {', '.join(COLUMNS)}"
        )
    return Run(path, config, rows, manifest)


def verify(folder: str | Path) -> Run:
    """Check that a run on disk is whole and unchanged: every file against its hash, every id against its source.

    Raises:
        ArchiveError: naming the first file that is missing, changed or foreign.
    """
    path = Path(folder)
    sums_path = path / "SHA256SUMS"
    try:
        content = sums_path.read_bytes()
        sums = {name: digest for digest, name in (line.split("  ", 1) for line in content.decode().splitlines())}
    except (OSError, ValueError) as error:
        raise ArchiveError(f"{sums_path}: not a readable list of hashes: {error}") from error
    for name, expected in sums.items():
        check_file(path, name, expected)
    for entry in sorted(path.iterdir()):
        if entry.name not in sums and entry.name not in UNHASHED:
            raise ArchiveError(f"{entry}: a file that SHA256SUMS does not list")
    run = load(path)
    check_ids(run, hashlib.sha256(content).hexdigest())
    return run


def check_file(path: Path, name: str, expected: str) -> None:
    """One file of a run has the hash that SHA256SUMS gives."""
    if Path(name).name != name:
        raise ArchiveError(f"{path}/SHA256SUMS: got the name {name!r}, expected a file of this folder")
    try:
        with open(path / name, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ArchiveError(f"{path / name}: {error.strerror}") from error
    if found != expected:
        raise ArchiveError(f"{path / name}: got sha256 {found}, expected {expected}")


def check_ids(run: Run, archive_id: str) -> None:
    """A run's ids are those of its hashes and of its config."""
    if run.manifest.get("archive_id") != archive_id:
        raise ArchiveError(
            f"{run.path}/manifest.json: got archive id {run.manifest.get('archive_id')}, expected {archive_id}"
        )
    identity = run_id(run.config)
    if run.manifest.get("run_id") != identity:
        raise ArchiveError(
            f"{run.path}/manifest.json: got run id {run.manifest.get('run_id')}, expected {identity}, its config's"
        )
