"""A glance at a run on disk: single entries of its manifest, and whether its files are there.

A sweep looks at thousands of runs that are there: one line of a manifest is found in a tenth of the time that all of
its JSON takes.
"""

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from stat import S_IFMT, S_IFREG
from typing import Any

from convpipe.archive.entries import check_entry
from convpipe.archive.format import FORMAT
from convpipe.archive.limits import most_bytes
from convpipe.archive.read import read_manifest
from convpipe.errors import NOT_OF_THE_FILE, ArchiveError, unread

START, END = f'{{\n "format": {FORMAT},\n', "\n}\n"  # of a manifest that is whole and has a line for each entry
MOST_MANIFEST_BYTES = most_bytes("manifest.json")
USUAL_BYTES = 1 << 16  # of a manifest: more is read in another go
# What a stranger has put there instead is not followed, if a link, nor waited for, if a pipe.
AS_IT_LIES = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
DECODE = json.JSONDecoder().raw_decode  # half of what loads() takes
Entry = Callable[[str], Any]


def glance(folder: str, content: str) -> Entry:
    """What gives entries of a run's manifest by their keys, None of one that it lacks.

    Args:
        content: what `manifest_text` gives.

    Raises:
        ArchiveError: there is no manifest, or none that can be read.
    """
    if is_ours(content):
        return partial(line_of, folder, content)
    return read_manifest(Path(folder, "manifest.json")).get  # written in another way, or cut short


def manifest_text(folder: str) -> str:
    """A manifest as it lies there; nothing where it cannot be read.

    Raises:
        StorageError: the disk refused.
    """
    try:
        file = os.open(f"{folder}/manifest.json", AS_IT_LIES)  # a third of what open() takes
        try:
            content = os.read(file, USUAL_BYTES)
            while len(content) % USUAL_BYTES == 0 and len(content) <= MOST_MANIFEST_BYTES:
                if not (more := os.read(file, len(content) or USUAL_BYTES)):
                    break
                content += more
        finally:
            os.close(file)
    except OSError as error:
        if error.errno in NOT_OF_THE_FILE:  # who knows what lies there
            raise unread(f"{folder}/manifest.json", error) from error
        return ""
    return content.decode("utf-8", "replace")


def is_ours(content: str) -> bool:
    """Whether a manifest has the form in which this format is written, with a line for each entry."""
    return content.startswith(START) and content.endswith(END)


def line_of(folder: str, content: str, key: str) -> Any:
    """One entry of a manifest that has a line for each: a line break cannot be within one.

    Raises:
        ArchiveError: the line is no JSON, or says what no manifest does.
    """
    mark = f'\n "{key}": '
    start = content.rfind(mark)  # from the end, where the sizes are
    if start < 0:
        return None
    try:
        value = DECODE(content, start + len(mark))[0]
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"{folder}/manifest.json: not readable: {error}") from error
    check_entry(f"{folder}/manifest.json", FORMAT, key, value)
    return value


def check_sizes(folder: str, sizes: Any) -> None:
    """The files of a run are there, as large as its manifest says.

    Raises:
        ArchiveError: naming the first that is not.
    """
    if not isinstance(sizes, dict) or not sizes:
        raise ArchiveError(f"{folder}/manifest.json: expected the sizes of the run's files")
    for name, size in sizes.items():
        try:
            found = os.lstat(f"{folder}/{name}")
        except (OSError, ValueError) as error:
            raise unread(f"{folder}/{name}", error) from error
        if found.st_size != size or S_IFMT(found.st_mode) != S_IFREG:
            raise ArchiveError(f"{folder}/{name}: got {found.st_size} bytes, expected a file of {size}")
