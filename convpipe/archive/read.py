"""One run on disk, read without the code that made it: texts at once and checked, arrays when asked for.

What is read may be damaged or hostile: see `format` for what a file may say.
"""

from __future__ import annotations

import csv
import io
import math
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convpipe.archive.cells import stage_column
from convpipe.archive.entries import check_manifest
from convpipe.archive.format import (
    COLUMNS,
    OUTPUT,
    ROW,
    lettered,
    read_json,
)
from convpipe.archive.keep import advised
from convpipe.archive.limits import MOST_CONTAINERS, too_large
from convpipe.archive.maps import maps_of, output_axes
from convpipe.errors import ArchiveError, ConfigError, UsageError, shown, unread
from convpipe.files.limits import MOST_CONFIG_BYTES
from convpipe.files.npy import NpyHeader, read_array, read_header
from convpipe.files.yaml import dotted, read_yaml
from convpipe.tensors import Array, shape_text

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Run:
    """One run: archived, its arrays read when asked for, or held in memory, where `path` is None.

    In a notebook it shows its stages, and its maps.
    """

    path: Path | None
    config: dict[str, Any]
    rows: tuple[dict[str, str], ...]
    manifest: dict[str, Any]
    held: Mapping[str, Array] | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        from convpipe.archive.notebook import run_lines

        return "\n".join(run_lines(self))

    def _repr_html_(self) -> str:
        from convpipe.archive.notebook import run_html

        return run_html(self)

    def view(self, at: str | Sequence[int] | None = None, layer: str | None = None, *, lang: str = "en") -> object:
        """Its page inside a notebook, in which its convolution is seen cell by cell; see `convpipe.page`.

        Raises:
            ConfigError, ArchiveError: as of `convpipe.page`.
        """
        import convpipe  # by the front door, as an archive knows nothing of reports

        return convpipe.view(self, at, layer, lang=lang)

    @property
    def folder(self) -> Path:
        """Where it lies.

        Raises:
            UsageError: nowhere, as it is held in memory.
        """
        if self.path is None:
            raise UsageError("a run in memory has no folder; archive=False made it so")
        return self.path

    @property
    def stages(self) -> pd.DataFrame:
        """stages.csv as a table: one row per stage, numbers as numbers, each exact and of its own kind."""
        import pandas as pd

        table = pd.DataFrame(list(self.rows), columns=list(COLUMNS))
        for column in ("bytes", "macs", "min", "max"):
            table[column] = stage_column(table[column])
        return table

    @property
    def output(self) -> Array:
        """The feature map, (N, out_h, out_w, F).

        Raises:
            ArchiveError: it is not there or not readable.
        """
        if self.held is not None:
            return self.held[self.rows[-1]["stage"]].copy()
        return stored_array(self.folder / OUTPUT)

    @property
    def maps(self) -> Array:
        """The output as planes: of a convolution (N, F, out_h, out_w), of others see `maps.maps_of`.

        Raises:
            ConfigError: its axes are none of planes.
            ArchiveError: it is not there or not readable.
        """
        values = self.output
        axes = output_axes(self.rows, self.manifest, values.ndim)
        found = maps_of(values, axes)
        if found is None:
            expected = "an output of maps, such as (N, out_h, out_w, F); run.output is what there is"
            raise ConfigError("maps", lettered(shape_text(values.shape), axes), expected)
        return found.values

    def __iter__(self) -> Iterator[str]:
        """The names of the stages, and of the arrays given to them."""
        return (row["stage"] for row in self.rows)

    def __getitem__(self, stage: str) -> Array:
        """The array that a stage made, as `array` gives it."""
        return self.array(stage)

    def array(self, stage: str) -> Array:
        """The array that a stage made.

        Raises:
            ArchiveError: no such stage, or its array was not kept or is not readable.
        """
        for row in self.rows:
            if row["stage"] == stage:
                if self.held is not None:
                    return self.held[stage].copy()
                if not row["file"]:
                    advice = advised(stage, self.rows, self.config.get("network"))
                    raise ArchiveError(f"{self.path}: the array of {stage!r} was not kept (run with keep={advice})")
                return stored_array(self.folder / row["file"])
        there, place = shown(", ".join(self), 300), self.path or "the run in memory"
        raise ArchiveError(f"{place}: got stage {stage!r}, expected one of {there}")


def stored_array(path: Path) -> Array:
    """An array of an archive; nothing in the file can run or lead elsewhere."""
    check_regular(path)
    try:
        return read_array(path, path.name)
    except ConfigError as error:
        raise not_stored(path, error) from error
    except MemoryError as error:
        raise ArchiveError(f"{path}: got an array that does not fit into memory") from error


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
        raise unread(path, error) from error
    if not stat.S_ISREG(found.st_mode):
        raise ArchiveError(f"{path}: expected a regular file")
    return found.st_size


def check_text(path: Path, size: int) -> None:
    """A small file is no larger than what is read whole."""
    if error := too_large(str(path), size):
        raise ArchiveError(f"{path}: {error.strerror}")


def read_bytes(path: Path) -> bytes:
    """One of an archive's small files."""
    check_text(path, check_regular(path))
    try:
        return path.read_bytes()
    except OSError as error:
        raise unread(path, error) from error


def load(folder: str | Path) -> Run:
    """Read an archived run.

    Raises:
        ArchiveError: there is no run, or one of another format, or one that cannot be read.
    """
    path = as_folder("load", folder)
    manifest = read_manifest(path / "manifest.json")
    check_config_size(path / "config.yaml", manifest)
    return Run(path, read_config(path / "config.yaml"), read_rows(path / "stages.csv"), manifest)


def as_folder(command: str, folder: object) -> Path:
    """What names a folder, as a path.

    Raises:
        UsageError: it is no path.
    """
    if not isinstance(folder, str | os.PathLike):
        raise UsageError(f"{command}: got {shown(folder)}, expected the path of a folder")
    return Path(os.path.expanduser(folder))


def read_manifest(path: Path) -> dict[str, Any]:
    """manifest.json, its entries of the types that this format has."""
    try:
        manifest = read_json(few_containers(read_bytes(path)))
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"{path}: not readable: {error}") from error
    check_manifest(path, manifest)
    return dict(manifest)


def few_containers(content: bytes) -> bytes:
    """A JSON text that holds no more lists and dicts than a manifest may: each takes thirty times its text.

    Raises:
        ValueError: it does.
    """
    if (found := content.count(b"[") + content.count(b"{")) > MOST_CONTAINERS:
        raise ValueError(f"got {found} lists and dicts, expected at most {MOST_CONTAINERS}")
    return content


def check_config_size(path: Path, manifest: Mapping[str, Any]) -> None:
    """A config is no larger than what is written, of which format 1 had no limit of its own."""
    if manifest["format"] > 1 and (size := check_regular(path)) > MOST_CONFIG_BYTES:
        raise ArchiveError(f"{path}: got {size} bytes, expected at most {MOST_CONFIG_BYTES}")


def read_config(path: Path) -> dict[str, Any]:
    """config.yaml as plain values."""
    try:
        config = read_yaml(read_bytes(path))
    except ValueError as error:
        raise ArchiveError(f"{path}: not readable: {error}") from error
    if not isinstance(config, dict):
        raise ArchiveError(f"{path}: got {shown(config)}, expected keys and values")
    check_plain(path, config)
    return config


def check_plain(path: Path, config: Mapping[str, Any]) -> None:
    """A config has nothing but plain values."""
    if is_plain_setting(config):
        return
    odd = (f"got {shown(key)} {shown(value)}" for key, value in dotted(config) if not is_plain_setting(value))
    raise ArchiveError(f"{path}: expected plain values, {next(odd, 'and texts for keys')}")


def is_plain_setting(value: Any) -> bool:
    """Whether a value is one that configs have: a text, a number, a truth, nothing, or lists and dicts of such."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_plain_setting(entry) for key, entry in value.items())
    if isinstance(value, list):
        return all(map(is_plain_setting, value))
    return value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value))


def read_rows(path: Path) -> tuple[dict[str, str], ...]:
    """The rows of stages.csv, every value of the form that this format has."""
    try:
        table = csv.reader(io.StringIO(read_bytes(path).decode(), newline=""))
        head = next(table, [])
        if tuple(head) != COLUMNS:
            raise ArchiveError(f"{path}: got columns {shown(', '.join(head) or None)}, expected {', '.join(COLUMNS)}")
        rows = tuple(checked_row(f"{path}: row {number}", values) for number, values in enumerate(table, start=1))
    except (ValueError, csv.Error) as error:
        raise ArchiveError(f"{path}: not readable: {error}") from error
    if not rows:
        raise ArchiveError(f"{path}: got no rows, expected one per stage")
    return rows


def checked_row(where: str, values: Sequence[str]) -> dict[str, str]:
    """One row, which has a value of the right form in every column."""
    if len(values) != len(COLUMNS):
        raise ArchiveError(f"{where}: got {len(values)} values, expected {len(COLUMNS)}")
    for (column, form), value in zip(ROW.items(), values, strict=True):
        if not form.fullmatch(value):
            raise ArchiveError(f"{where}: got {column} {shown(value)}, expected the form {form.pattern}")
    return dict(zip(COLUMNS, values, strict=True))
