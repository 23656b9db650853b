"""One run on disk, read without the code that made it: texts at once and checked, arrays when asked for.

What is read may be damaged or hostile: see `format` for what a file may say.
"""

from __future__ import annotations

import csv
import io
import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convpipe.archive.cells import stage_column
from convpipe.archive.format import (
    COLUMNS,
    MANIFEST,
    MANIFEST_2,
    MAP_NAME,
    MOST_TEXT_BYTES,
    MOST_THREADS,
    OUTPUT,
    PICTURE,
    READABLE,
    ROW,
    lettered,
    read_json,
)
from convpipe.archive.keep import Keep, advised
from convpipe.archive.maps import maps_of, output_axes
from convpipe.errors import ArchiveError, ConfigError, UsageError, shown, unread
from convpipe.files.npy import NpyHeader, read_array, read_header
from convpipe.files.yaml import read_yaml
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
    if size > MOST_TEXT_BYTES:
        raise ArchiveError(f"{path}: got {size} bytes, expected at most {MOST_TEXT_BYTES}")


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
        manifest = read_json(read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"{path}: not readable: {error}") from error
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if type(found) is not int or found not in READABLE:
        raise ArchiveError(f"{path}: got format {shown(found)}, expected one of {', '.join(map(str, READABLE))}")
    for key, kind in {**MANIFEST, **(MANIFEST_2 if found > 1 else {})}.items():
        if not isinstance(manifest.get(key), kind):
            raise ArchiveError(f"{path}: got {key} {shown(manifest.get(key))}, expected a {kind.__name__}")
    check_lists(path, "seconds", manifest["seconds"], "finite numbers", is_seconds)
    check_lists(path, "axes", manifest["axes"], "texts", is_text)
    check_counts(path, manifest)
    if found > 1:
        check_entries(path, manifest)
    return dict(manifest)


def check_lists(path: Path, key: str, entries: Mapping[str, Any], words: str, legal: Callable[[Any], bool]) -> None:
    """Every entry is a list of what is legal, not empty."""
    for name, values in entries.items():
        if not isinstance(values, list) or not values or not all(map(legal, values)):
            raise ArchiveError(f"{path}: got {key}.{name} {shown(values)}, expected a list of {words}")


def check_counts(path: Path, manifest: Mapping[str, Any]) -> None:
    """What is counted with, where it is there: how many threads there were, and how many answers were right."""
    counts = {"provenance.threads": manifest["provenance"].get("threads", 1)}
    if "evaluation" in manifest:
        found = entries_of(path, manifest, "evaluation")
        counts |= {f"evaluation.{name}": found.get(name) for name in ("images", "correct")}
    if "nonfinite" in manifest:
        counts["nonfinite"] = manifest["nonfinite"]
    for key, value in counts.items():
        low, high = (1, MOST_THREADS) if key == "provenance.threads" else (0, sys.maxsize)
        if type(value) is not int or not low <= value <= high:
            raise ArchiveError(f"{path}: got {key} {shown(value)}, expected a whole number from {low} to {high}")


def check_entries(path: Path, manifest: Mapping[str, Any]) -> None:
    """What came with format 2 is of the types that it has: texts by name, whole numbers by file name."""
    for key in ("paths", "given", "pictures"):
        for name, value in entries_of(path, manifest, key).items():
            if not is_text(value) or (key == "pictures" and not PICTURE.fullmatch(name)):
                raise ArchiveError(f"{path}: got {key}.{shown(name)} {shown(value)}, expected a text")
    for key in ("sizes", "input_bytes"):
        for name, value in entries_of(path, manifest, key).items():
            if type(value) is not int or value < 0:
                raise ArchiveError(f"{path}: got {key}.{shown(name)} {shown(value)}, expected a number of bytes")
    if manifest["keep"] not in set(Keep):
        raise ArchiveError(f"{path}: got keep {shown(manifest['keep'])}, expected one of {', '.join(Keep)}")
    for key in ("folder", "note"):
        if not is_text(manifest.get(key, "")):
            raise ArchiveError(f"{path}: got {key} {shown(manifest[key])}, expected a text")
    for key in ("agrees", "drawn"):
        if not isinstance(found := manifest.get(key, []), list) or not all(map(is_text, found)):
            raise ArchiveError(f"{path}: got {key} {shown(found)}, expected a list of texts")
    for name, value in entries_of(path, manifest, "names").items():
        if not isinstance(value, list) or not all(map(is_map_name, value)):
            raise ArchiveError(f"{path}: got names.{shown(name)} {shown(value)}, expected a list of names")
    for name, value in manifest["wiring"].items():
        if not isinstance(value, list) or not all(map(is_text, value)):
            raise ArchiveError(f"{path}: got wiring.{shown(name)} {shown(value)}, expected a list of texts")


def entries_of(path: Path, manifest: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """An entry that may be missing, and otherwise has names."""
    found = manifest.get(key, {})
    if not isinstance(found, dict):
        raise ArchiveError(f"{path}: got {key} {shown(found)}, expected a dict")
    return found


def is_text(value: Any) -> bool:
    """Whether a value is a text."""
    return isinstance(value, str)


def is_map_name(value: Any) -> bool:
    """Whether a value may be what a map is called: letters, digits and a few signs, which move no cursor."""
    return is_text(value) and MAP_NAME.fullmatch(value) is not None


def is_seconds(value: Any) -> bool:
    """Whether a value is a number that a clock can have measured; 1e999 of a file is infinite."""
    return isinstance(value, int | float) and -sys.float_info.max <= value <= sys.float_info.max


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
