"""The form of one run on disk: names, columns, and the texts of its small files.

<run>/config.yaml    the resolved config
      stages.csv     a row per stage, the same bytes on every repeat
      output.npy     the last stage's array; with keep=layers or keep=stages also NN_<stage>.npy
      SHA256SUMS     every file above; its own hash is the archive id
      manifest.json  format, ids, status, where files lay, sizes, timings, wiring, provenance: what differs from repeat
                     to repeat; it has a hash of its own
      *.png          pictures for people, whose bytes their library decides; the manifest has their hashes
"""

import csv
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, cached_property, lru_cache
from itertools import islice
from typing import Any, TextIO

import numpy as np

from convpipe.archive.cells import for_spreadsheets, marked_name
from convpipe.errors import shown
from convpipe.tensors import Array, shape_text

FORMAT = 2
COLUMNS = ("stage", "op", "shape", "dtype", "bytes", "macs", "min", "max", "sha256", "file")
TEXTS = ("config.yaml", "stages.csv")
OUTPUT = "output.npy"
INPUTS = "inputs"  # beside the runs: what file sources read, each named as the SHA-256 of its content
UNHASHED = ("SHA256SUMS", "manifest.json")
MOST_THREADS = 4096  # that a run can have had
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
IN_ORDER = ("seconds", "axes", "wiring")  # entries whose stages stand as they ran
MOST_AGREEING = 16  # other codes that a manifest notes, the latest
WRITTEN = json.JSONEncoder(allow_nan=False)
CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)
AT_ONCE = 1000  # lines of a table
# What stages of a quantised run count, in its manifest by stage and in tables together.
COUNTED = ("saturated_low", "saturated_high", "ties", "bits")
MAP_NAME = re.compile(r"\w[\w .-]{0,79}")  # of a filter or a channel
SHEET = "maps.png"  # of all pictures, each with its name
PICTURE = re.compile(r"maps\.png|map_\w[\w.-]{0,200}\.png")
FILE_NAME = re.compile(r"\w[\w.-]*\Z")
SUM_LINE = re.compile(r"([0-9a-f]{64})  (\w[\w.-]*)")


class Fixed(dict[str, Any]):
    """A dict that nobody changes, such as of a plan: its JSON is made once, for all manifests that have it."""

    @cached_property
    def canonical(self) -> str:
        """It as canonical JSON."""
        return CANONICAL.encode(self)

    @cached_property
    def written(self) -> str:
        """It as JSON in its own order."""
        return WRITTEN.encode(self)


def manifest_json(record: Mapping[str, Any]) -> bytes:
    """A manifest, a line for each entry: json's own indentation costs ten times as much. The last is its `sha256`.

    It is JSON for every reader, so that no number in it is NaN or infinite.
    """
    entries = {key: canonical(value) for key, value in record.items() if key != "sha256"}
    entries["sha256"] = f'"{entries_sha256(entries)}"'
    entries |= {key: written(record[key]) for key in IN_ORDER if key in record}
    lines = ",\n".join([f' "{key}": {text}' for key, text in entries.items()])  # keys are plain words
    return f"{{\n{lines}\n}}\n".encode()


def manifest_sha256(record: Mapping[str, Any]) -> str:
    """The hash of a manifest: of all its entries but `sha256` itself, as canonical JSON.

    Raises:
        ValueError: a number that JSON does not have.
    """
    return entries_sha256({key: canonical(value) for key, value in record.items() if key != "sha256"})


def entries_sha256(entries: Mapping[str, str]) -> str:
    """The SHA-256 of an object whose values are canonical JSON already, as canonical JSON."""
    whole = ",".join([f"{quoted(key)}:{entries[key]}" for key in sorted(entries)])
    return hashlib.sha256(f"{{{whole}}}".encode()).hexdigest()


@lru_cache(256)
def quoted(key: str) -> str:
    """A key as canonical JSON; it is one of a few."""
    return CANONICAL.encode(key)


def canonical(value: Any) -> str:
    """A value as canonical JSON."""
    return value.canonical if isinstance(value, Fixed) else CANONICAL.encode(value)


def written(value: Any) -> str:
    """A value as JSON in its own order."""
    return value.written if isinstance(value, Fixed) else WRITTEN.encode(value)


def read_json(content: bytes) -> Any:
    """What a JSON text says.

    Raises:
        ValueError: it is none, such as one with the words NaN and Infinity, which Python would take; or it has a key
            twice, of which one reader takes the first and another the last.
    """
    return json.loads(content, parse_constant=no_number, object_pairs_hook=each_once)


def each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The entries of an object whose keys are all different."""
    found = dict(pairs)
    if len(found) < len(pairs):
        (again, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"got the key {shown(again)} twice")
    return found


def no_number(word: str) -> None:
    """Refuse a word for what JSON has no number for."""
    raise ValueError(f"{word} is no JSON")


def stage_row(stage: str, op: str, array: Array, macs: int, sha256: str, file: str) -> dict[str, Any]:
    """One row of stages.csv."""
    # + 0, as NumPy finds either of 0.0 and -0.0, depending on the processor's instructions
    low, high = (array.min().item() + 0, array.max().item() + 0) if array.size else ("", "")
    dtype, sizes = dtype_name(array.dtype), shape_text(array.shape)
    values = (stage, op, sizes, dtype, array.nbytes, macs, low, high, sha256, file)
    return dict(zip(COLUMNS, values, strict=True))


@cache
def dtype_name(dtype: np.dtype[Any]) -> str:
    """A dtype's name, which NumPy works out anew each time."""
    return str(dtype.name)


def short_number(text: str) -> str:
    """A number from stages.csv, floats cut to six digits."""
    return f"{float(text):.6g}" if any(mark in text for mark in ".en") else text


def lettered(shape: str, axes: Sequence[str]) -> str:
    """A shape with its letters.

    >>> lettered("(25,27)", ["N*out_h*out_w", "C*kh*kw"])
    '(25,27) = (N*out_h*out_w, C*kh*kw)'
    """
    return f"{shape} = ({', '.join(axes)})" if axes else shape


def rank_words(axes: Mapping[str, Sequence[str]]) -> str:
    """What a run's convolutions work on, where that is no image, by the letters of their filters; or nothing.

    >>> rank_words({"filters": ["F", "C", "kw"]}), rank_words({"filters": ["F", "C", "kh", "kw"]})
    ('1-D convolution over W', '')
    """
    for letters in axes.values():
        if letters[-1:] in (["kw"], ("kw",)) and len(letters) != 4:
            spatial = [letter.removeprefix("k").upper() for letter in letters[2:]]
            return f"{len(spatial)}-D convolution over {', '.join(spatial)}"
    return ""


def csv_bytes(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    """A CSV table with a header line, of rows that have exactly these columns in this order."""
    text = io.StringIO()
    write_cells(text, columns, (row.values() for row in rows))
    return text.getvalue().encode(errors="backslashreplace")


def csv_lines(cells: Iterable[Iterable[Any]]) -> bytes:
    """Lines of a CSV table, without a header."""
    text = io.StringIO()
    add_cells(text, cells)
    return text.getvalue().encode(errors="backslashreplace")


def write_cells(table: TextIO, columns: Sequence[str], cells: Iterable[Iterable[Any]]) -> None:
    """Write a CSV table with a header line."""
    add_cells(table, [map(marked_name, columns)])
    add_cells(table, cells)


def add_cells(table: TextIO, cells: Iterable[Iterable[Any]]) -> None:
    """Write lines of a CSV table; a lone carriage return, which csv does not quote, would end one for who reads it."""
    lines = map(for_spreadsheets, cells)
    while some := list(islice(lines, AT_ONCE)):
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(some)
        table.write(text.getvalue() if "\r" not in text.getvalue() else "".join(map(quoted_line, some)))


def quoted_line(cells: Sequence[Any]) -> str:
    """A line, all of whose cells are in quotes if one has a carriage return."""
    text, returns = io.StringIO(), any("\r" in cell for cell in cells if isinstance(cell, str))
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL).writerow(cells)
    return text.getvalue()


def sums_bytes(sums: Mapping[str, str]) -> bytes:
    """Hashes by file name, as sha256sum writes and checks them, sorted by name."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())).encode()
