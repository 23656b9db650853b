""".npy files, NumPy's NEP 1: written in one form alone, and read though they may be damaged or hostile.

The size must add up before a byte of data is read. ``numpy.load`` is not used: it believes the header (and allocates
what it claims), accepts trailing bytes, and raises a dozen kinds of error.
"""

import hashlib
import re
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from math import prod
from os import PathLike, fstat
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from convpipe.errors import NOT_OF_THE_FILE, ConfigError, StorageError, shown
from convpipe.tensors import DTYPES, MOST_AXES, Array, Sizes, addressable

MAGIC = b"\x93NUMPY"
LENGTH_BYTES = {1: 2, 2: 4, 3: 4}  # format version -> bytes of the header's length
MOST_HEADER_BYTES = 10_000  # as NumPy has it
# A header is read by pattern, not evaluated as Python: nothing in it can run, recurse or warn. No two runs of
# spaces touch in these patterns, which would make a hostile header cost the square of its length.
SPACE = r"[ \t\r\n\f]*"
TEXT = r"""[uU]?(?:'[^'"\\]*'|"[^'"\\]*")"""
ENTRY = rf"""{SPACE}[uU]?['"](\w+)['"]{SPACE}:{SPACE}({TEXT}|True|False|\([\dL, \t\r\n\f]*\))"""
MORE = rf"{SPACE},{ENTRY}"
HEADER = re.compile(rf"[ \t]*\{{{ENTRY}{MORE}{MORE}{SPACE}(?:,{SPACE})?\}}[ \t]*", re.ASCII)
SIZE = rf"(?:0+|[1-9]\d{{0,18}})(?:{SPACE}L)?"  # Python 2 wrote some whole numbers as 3L
SHAPE = re.compile(rf"\({SPACE}\)|\({SPACE}(?:{SIZE}{SPACE},{SPACE})+(?:{SIZE}{SPACE})?\)", re.ASCII)
DTYPE = re.compile(r"[uU]?['\"]([<>=|]?\w{1,16})['\"]", re.ASCII)
BLOCK_BYTES = 1 << 20  # 64 KiB to 8 MiB hash alike (100 MB in 0.1 s)

Block = bytes | memoryview


# Reading


@dataclass(frozen=True)
class NpyHeader:
    """What a file says of an array in it, found true of its size; of .npy, `dtype` is in the file's own byte order."""

    shape: Sizes
    dtype: np.dtype[np.generic]
    fortran_order: bool
    offset: int  # bytes before the data

    @property
    def bytes(self) -> int:
        """The size of the data."""
        return prod(self.shape) * self.dtype.itemsize


def read_header(path: str | PathLike[str], key: str = "path") -> NpyHeader:
    """Read and check the header of a .npy file, and none of its data.

    Args:
        path: the file.
        key: what the error names: the config key, or the file's role.

    Raises:
        ConfigError: not a regular file that can be read, not .npy, not plain numbers, or not of the size it claims.
    """
    with opened(path, key) as file:
        return header_of(file, fstat(file.fileno()).st_size, path, key)


def read_array(path: str | PathLike[str], key: str = "path") -> Array:
    """Read a .npy file as a C-ordered array in the machine's own byte order; any number of axes, also none.

    It allocates the file's size, and a second time where the order of bytes or axes has to change.

    Raises:
        ConfigError: as `read_header`, or data that ends early.
    """
    with opened(path, key) as file:
        header = header_of(file, fstat(file.fileno()).st_size, path, key)
        flat = np.fromfile(file, header.dtype, prod(header.shape))
    if flat.size != prod(header.shape):
        raise ConfigError(key, path, f"{header.bytes} bytes of data", "the file ended early")
    return shaped(flat, header)


def shaped(flat: Array, header: NpyHeader) -> Array:
    """The values of a file as its header means them: C-ordered, in the machine's own byte order."""
    order = "F" if header.fortran_order else "C"
    array = flat.reshape(header.shape, order=order)  # type: ignore[call-overload]
    return np.asarray(array, header.dtype.newbyteorder("="), order="C")


@contextmanager
def opened(path: str | PathLike[str], key: str, kind: str = "a .npy file") -> Iterator[BinaryIO]:
    """Open a regular file; what the system says against it becomes a ConfigError.

    Raises:
        ConfigError: it is none, or cannot be read.
        StorageError: the disk fails, or the machine, which is no fault of the file.
    """
    try:
        # before opening: to open a named pipe waits for a writer, perhaps for ever
        found = Path(path).stat()
        if not stat.S_ISREG(found.st_mode):
            what = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe, a device or the like"
            raise ConfigError(key, path, kind, f"it is {what}, no regular file")
        if not found.st_size:  # as the system's own files say, to read from which may wait, too
            raise ConfigError(key, path, kind, "it is empty")
        with Path(path).open("rb") as file:
            yield file
    except ConfigError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = getattr(error, "strerror", None) or str(error)
        if getattr(error, "errno", None) in NOT_OF_THE_FILE:
            raise StorageError(f"{key}: {path}: {reason}") from error
        raise ConfigError(key, path, f"{kind} that can be read", reason) from error


def header_of(file: BinaryIO, size: int, path: str | PathLike[str], key: str) -> NpyHeader:
    """The checked header of an open file of that size, which stands at its data afterwards."""
    text, version = header_text(file, path, key)
    match = HEADER.fullmatch(text)
    entries = dict(zip(match.groups()[::2], match.groups()[1::2], strict=True)) if match else {}
    if set(entries) != {"descr", "fortran_order", "shape"}:
        raise ConfigError(key, path, "a .npy file of plain numbers", f"its header is {shown(repr(text))}")
    shape = stated_shape(entries["shape"], version, path, key)
    dtype = stated_dtype(entries["descr"], path, key)
    if entries["fortran_order"] not in ("True", "False"):
        raise ConfigError(key, path, "fortran_order True or False", f"its header says {entries['fortran_order']}")
    header = NpyHeader(shape, dtype, entries["fortran_order"] == "True", file.tell())
    found = size - header.offset
    if found != header.bytes:
        raise ConfigError(key, path, f"{header.bytes} bytes of data, {dtype} {shape}", f"it has {found}")
    return header


def header_text(file: BinaryIO, path: str | PathLike[str], key: str) -> tuple[str, int]:
    """The text of the header, read as far as its stated length, and the version of the format."""
    start = file.read(len(MAGIC) + 2)
    if start[: len(MAGIC)] != MAGIC or len(start) < len(MAGIC) + 2:
        raise ConfigError(key, path, "a .npy file", "it does not begin as one")
    major, minor = start[len(MAGIC) :]
    if major not in LENGTH_BYTES or minor != 0:
        raise ConfigError(key, path, "a .npy file of version 1.0, 2.0 or 3.0", f"it is {major}.{minor}")
    length = int.from_bytes(file.read(LENGTH_BYTES[major]), "little")
    if length > MOST_HEADER_BYTES:
        raise ConfigError(key, path, f"a header of at most {MOST_HEADER_BYTES} bytes", f"it claims {length}")
    text = file.read(length)
    if len(text) < length:
        raise ConfigError(key, path, f"a header of {length} bytes", "the file ended early")
    # version 3 is read as Python is; those before it, which Python 2 wrote, go to NumPy's own mender, which is lax
    return text.decode("latin1").rstrip("\n" if major > 2 else " \t\n"), major


def stated_shape(text: str, version: int, path: str | PathLike[str], key: str) -> Sizes:
    """The shape a header states, its sizes whole numbers from 0."""
    says = f"its header says {shown(repr(text))}"
    written = SHAPE.fullmatch(text) and ("L" not in text or version < 3)  # version 3 is younger than Python 2
    shape = tuple(int(digits) for digits in re.findall(r"\d+", text)) if written else None
    if shape is None or len(shape) > MOST_AXES:
        raise ConfigError(key, path, f"a shape of at most {MOST_AXES} whole numbers", says)
    if not addressable(shape):
        raise ConfigError(key, path, "a shape that memory can address", says)
    return shape


def stated_dtype(text: str, path: str | PathLike[str], key: str) -> np.dtype[np.generic]:
    """The dtype a header states, in any of NumPy's spellings (<f4, =f4, f4, float32), and one of ours."""
    match = DTYPE.fullmatch(text)
    found = known_dtype(match[1]) if match else None
    if found is None or found.kind not in "iuf" or found.newbyteorder("=").name not in DTYPES:
        raise ConfigError(key, path, f"numbers of dtype {', '.join(DTYPES)}", f"its header says {shown(repr(text))}")
    return np.dtype(found.str)  # one of its kind: NumPy has two of the same size that differ in their names


def known_dtype(name: str) -> np.dtype[Any] | None:
    """The dtype that NumPy knows by that name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name that it is about to forget
        try:
            return np.dtype(name)
        except (TypeError, ValueError):
            return None


# Writing


@cache
def little_endian(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """A dtype in the byte order of an archive."""
    return dtype.newbyteorder("<")


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
