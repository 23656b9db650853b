"""Reading single arrays out of .safetensors files that may be damaged or hostile.

The format (github.com/huggingface/safetensors): eight bytes, little-endian, are the length of a JSON text, which says
of each array its dtype, its shape, and from which byte to which of the rest its values lie, in C order.

The format's own library does not do here: it gives no BF16 to NumPy, and a header of 91 MB took it 1.2 GB.
"""

from math import prod
from os import fstat
from typing import Any, BinaryIO

import numpy as np

from convpipe.errors import ConfigError, did_you_mean, shown
from convpipe.files.npy import BLOCK_BYTES, NpyHeader, opened
from convpipe.files.tensor_list import Entry, tensor_list
from convpipe.tensors import DTYPES, MOST_AXES, Array, addressable

KIND = "a .safetensors file"
LENGTH_BYTES = 8
# The format's own limit is 100 MB, whose JSON takes a minute and 2 GB. Of this, 84,000 arrays took 1.1 s and 123 MiB.
MOST_HEADER_BYTES = 8 << 20
LISTED = 300  # characters of the list of arrays in an error line
LETTERS = {"f": "F", "i": "I", "u": "U"}
STORED = {f"{LETTERS[np.dtype(name).kind]}{8 * np.dtype(name).itemsize}": np.dtype(name) for name in DTYPES}
HALVED = "BF16"  # the upper half of a float32
READ = {**STORED, HALVED: np.dtype(np.float32)}


def read_header(path: str, entry: str, key: str, entry_key: str) -> NpyHeader:
    """Read and check what a file says of one array, and none of the array.

    Args:
        path: the file.
        entry: the array's name in it.
        key, entry_key: what errors name: the config keys of the path and of the entry.

    Raises:
        ConfigError: not such a file, no such array, or one that NumPy or this package has no dtype for.
    """
    with opened(path, key, KIND) as file:
        found, start = stored(file, path, entry, key, entry_key)
    return NpyHeader(found.shape, READ[found.dtype], False, start)


def read_array(path: str, entry: str, key: str, entry_key: str) -> Array:
    """Read one array: C-ordered, in the machine's own byte order, BF16 as float32, which holds it exactly.

    Raises:
        ConfigError: as `read_header`, or values that end early.
    """
    with opened(path, key, KIND) as file:
        found, start = stored(file, path, entry, key, entry_key)
        file.seek(start)
        size = prod(found.shape)
        flat = widened(file, size) if found.dtype == HALVED else values(file, STORED[found.dtype], size)
    if flat.size != size:
        raise ConfigError(key, path, f"all values of {entry}", "the file ended early")
    return flat.astype(READ[found.dtype], copy=False).reshape(found.shape)


def values(file: BinaryIO, dtype: Any, size: int) -> Array:
    """The next values, in the byte order of the format; fewer where the file ends early."""
    return np.fromfile(file, np.dtype(dtype).newbyteorder("<"), size)


def widened(file: BinaryIO, size: int) -> Array:
    """The next values of BF16 as float32, a block at a time so that only the result is large."""
    bits = np.empty(size, np.uint32)
    done = 0
    while done < size:
        block = values(file, np.uint16, min(BLOCK_BYTES, size - done))
        if not block.size:
            break
        bits[done : done + block.size] = block
        done += block.size
    bits <<= 16
    return bits[:done].view(np.float32)


def stored(file: BinaryIO, path: str, entry: str, key: str, entry_key: str) -> tuple[Entry, int]:
    """What an open file says of one array, and at which byte its values begin."""
    size = fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(LENGTH_BYTES), "little")
    if not 2 <= length <= size - LENGTH_BYTES:
        raise ConfigError(key, path, KIND, f"it claims a header of {length} bytes")
    if length > MOST_HEADER_BYTES:
        raise ConfigError(key, path, f"a header of at most {MOST_HEADER_BYTES} bytes", f"it has {length}")
    start = LENGTH_BYTES + length
    try:
        arrays = tensor_list(file.read(length), size - start)
    except (ValueError, RecursionError) as error:
        raise ConfigError(key, path, KIND, shown(error, 120)) from error
    if entry not in arrays:
        there = shown(", ".join(arrays), LISTED)
        raise ConfigError(entry_key, entry, f"one of the arrays in {path}: {there}", did_you_mean(entry, arrays))
    found = arrays[entry]
    if found.dtype not in READ:
        says = f"{entry} is {found.dtype}, which no dtype of ours holds"
        raise ConfigError(key, path, f"an array of {', '.join(READ)}", says)
    if len(found.shape) > MOST_AXES or not addressable(found.shape):
        says = f"{entry} is {shown(list(found.shape))}"
        raise ConfigError(key, path, f"an array of at most {MOST_AXES} axes that memory can address", says)
    return found, start + found.start
