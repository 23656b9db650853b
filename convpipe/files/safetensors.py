"""Reading single arrays out of .safetensors files that may be damaged or hostile.

The format (github.com/huggingface/safetensors): eight bytes, little-endian, are the length of a JSON text, which says
of each array its dtype, its shape, and from which byte to which of the rest its values lie, in C order.
"""

import json
from dataclasses import replace
from math import prod
from os import fstat
from typing import Any, BinaryIO

import numpy as np

from convpipe.errors import ConfigError, did_you_mean, shown
from convpipe.files.npy import NpyHeader, addressable, opened
from convpipe.tensors import DTYPES, MOST_AXES, Array

KIND = "a .safetensors file"
LENGTH_BYTES = 8
MOST_HEADER_BYTES = 100_000_000  # the format's own limit
LISTED = 300  # characters of the list of arrays in an error line
METADATA = "__metadata__"  # an entry that is no array
LETTERS = {"f": "F", "i": "I", "u": "U"}
STORED = {f"{LETTERS[np.dtype(name).kind]}{8 * np.dtype(name).itemsize}": np.dtype(name) for name in DTYPES}


def read_header(path: str, entry: str, key: str, entry_key: str) -> NpyHeader:
    """Read and check what a file says of one array, and none of the array.

    Args:
        path: the file.
        entry: the array's name in it.
        key, entry_key: what errors name: the config keys of the path and of the entry.

    Raises:
        ConfigError: not such a file, no such array, or one that is no plain array of the size it claims.
    """
    with opened(path, key, KIND) as file:
        return stored(file, path, entry, key, entry_key)


def read_array(path: str, entry: str, key: str, entry_key: str) -> Array:
    """Read one array: C-ordered, in the machine's own byte order.

    Raises:
        ConfigError: as `read_header`, or values that end early.
    """
    with opened(path, key, KIND) as file:
        found = stored(file, path, entry, key, entry_key)
        file.seek(found.offset)
        flat = np.fromfile(file, found.dtype.newbyteorder("<"), prod(found.shape))
    if flat.size != prod(found.shape):
        raise ConfigError(key, path, f"all values of {entry}", "the file ended early")
    return flat.astype(found.dtype, copy=False).reshape(found.shape)


def stored(file: BinaryIO, path: str, entry: str, key: str, entry_key: str) -> NpyHeader:
    """What an open file says of one array."""
    size = fstat(file.fileno()).st_size
    arrays, start = header(file, size, path, key)
    if entry not in arrays:
        there = shown(", ".join(arrays), LISTED)
        raise ConfigError(entry_key, entry, f"one of the arrays in {path}: {there}", did_you_mean(entry, arrays))
    found = described(arrays[entry], size - start)
    if found is None:
        expected = f"an array {entry} of at most {MOST_AXES} axes and dtype {', '.join(STORED)} that lies in the file"
        raise ConfigError(key, path, expected, f"its header says {shown(arrays[entry], 120)}")
    return replace(found, offset=start + found.offset)


def header(file: BinaryIO, size: int, path: str, key: str) -> tuple[dict[str, Any], int]:
    """The entries of the header that are arrays, and where the arrays' bytes begin."""
    length = int.from_bytes(file.read(LENGTH_BYTES), "little")
    if not 2 <= length <= min(MOST_HEADER_BYTES, size - LENGTH_BYTES):
        raise ConfigError(key, path, KIND, f"it claims a header of {length} bytes")
    try:
        entries = json.loads(file.read(length).decode())
    except (ValueError, RecursionError) as error:
        raise ConfigError(key, path, f"{KIND} with a JSON header", shown(error)) from error
    if not isinstance(entries, dict):
        raise ConfigError(key, path, f"{KIND} whose header has names", f"its header is {shown(entries)}")
    return {name: entry for name, entry in entries.items() if name != METADATA}, LENGTH_BYTES + length


def described(entry: Any, size: int) -> NpyHeader | None:
    """What one entry of a header means, or None where it is no array within that many bytes."""
    entry = entry if isinstance(entry, dict) else {}
    dtype, shape, span = (entry.get(name) for name in ("dtype", "shape", "data_offsets"))
    if not (isinstance(dtype, str) and dtype in STORED and sizes(shape) and sizes(span) and len(span) == 2):
        return None
    start, stop = span
    fits = start <= stop <= size and stop - start == prod(shape) * STORED[dtype].itemsize
    possible = len(shape) <= MOST_AXES and addressable(shape)
    return NpyHeader(tuple(shape), STORED[dtype], False, start) if fits and possible else None


def sizes(values: Any) -> bool:
    """Whether a value is a list of whole numbers from 0."""
    return isinstance(values, list) and all(type(value) is int and value >= 0 for value in values)
