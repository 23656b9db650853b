"""How much each file of an archive may hold, and why: more is nothing that this package has written, and is not read.

Most are far above what anybody has seen. They are there for files that somebody has made to be read by others: of
gigabytes without a byte on the disk, of one line, of a million columns.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from math import inf
from typing import IO

MOST_LINE_BYTES = 4 << 20  # of an index or a table: a config of 1 MiB, each key with all its parents'
MOST_CELLS = 50_000  # of a line: settings of one run, of which a network of a thousand layers has some ten thousand
MIB = 1 << 20
MOST_BYTES = {
    "config.yaml": 64 * MIB,  # of format 1, which had no limit; `files.limits` has that of today
    "stages.csv": 8 * MIB,  # some forty thousand stages
    "SHA256SUMS": 8 * MIB,  # of a network of as many, all kept
    "manifest.json": 8 * MIB,  # four hundred thousand times that were measured
    "confusion.csv": 8 * MIB,  # of two thousand classes
    ".index.jsonl": 4096 * MIB,  # two million runs; it is read line by line
    "results.csv": 4096 * MIB,  # the same
    ".failed.jsonl": 256 * MIB,  # two hundred thousand failures, which are all in memory
    ".table.json": 16 * MIB,  # the ids of a million failures
    "timings.csv": 1024 * MIB,  # ten million repeats; it is read line by line
}
OF_OTHERS = 1024 * MIB  # of the record of a sweep: a million points with their settings
ARRAY = re.compile(r".*\.npy|[0-9a-f]{64}", re.ASCII | re.DOTALL)
MOST_CONTAINERS = 200_000  # lists and dicts of a manifest, each of which takes thirty times its two characters


def most_bytes(name: str) -> float:
    """How many bytes the file of a name may have; an array, and what was read, as many as they have."""
    return inf if ARRAY.fullmatch(name) else MOST_BYTES.get(name, OF_OTHERS)


def too_large(path: str, size: int) -> OSError | None:
    """What is to be said of a file of a collection that is larger than it may be; nothing of any other."""
    most = most_bytes(path.rpartition("/")[2])
    return None if size <= most else OSError(errno.EFBIG, f"got {size} bytes, expected at most {most}", path)


def lines_of(file: IO[bytes]) -> Iterator[bytes]:
    """The lines of an open file, each with its end; none is larger than a line may be.

    Raises:
        OSError: one is.
    """
    while line := file.readline(MOST_LINE_BYTES):
        if len(line) == MOST_LINE_BYTES and not line.endswith(b"\n"):
            expected = f"a line of more than {MOST_LINE_BYTES} bytes, expected shorter ones"
            raise OSError(errno.EFBIG, expected, str(getattr(file, "name", "")))
        yield line
