"""Reading single arrays out of .npz files (zip archives of .npy files), with the same guards as for .npy."""

import lzma
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import IO, BinaryIO, cast
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np

from convpipe.errors import ConfigError, did_you_mean, shown
from convpipe.files.npy import BLOCK_BYTES, NpyHeader, header_of, opened, shaped
from convpipe.tensors import Array

LISTED = 300  # characters of the list of entries in an error line
# Of the list of entries, at 60 or so each, parsed each time that one is read: 60,000 took 0.3 s and 70 MiB.
MOST_DIRECTORY_BYTES = 4 << 20
# As NumPy packs. Of bzip2 and LZMA the zip module unpacks all at once, however small a part of it is read.
PACKED = (ZIP_STORED, ZIP_DEFLATED)

# What the zip module raises, beside OSError and ValueError, at archives that are damaged, encrypted or of the future.
DAMAGES = (BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, IndexError, OverflowError, RuntimeError)


def read_header(path: str, entry: str, key: str = "path", entry_key: str = "") -> NpyHeader:
    """Read and check the header of one array of an .npz file.

    Args:
        path: the file.
        entry: the array's name in it, without ``.npy``.
        key, entry_key: what errors name: the config key of the path, and of the entry where that has one.

    Raises:
        ConfigError: not an .npz file, no such entry, or one that is no plain array.
    """
    with member(path, entry, key, entry_key) as (file, size):
        return header_of(cast(BinaryIO, file), size, path, key)


def read_array(path: str, entry: str, key: str = "path", entry_key: str = "") -> Array:
    """Read one array of an .npz file: C-ordered, in the machine's own byte order.

    It allocates the array, and a second time where the order of bytes or axes has to change.

    Raises:
        ConfigError: as `read_header`, or data that does not unpack to what the header says.
    """
    with member(path, entry, key, entry_key) as (file, size):
        header = header_of(cast(BinaryIO, file), size, path, key)
        flat = np.empty(prod(header.shape), header.dtype)
        if not fill(flat.view(np.uint8), file):
            raise ConfigError(key, path, f"{header.bytes} bytes of data in {entry}", "the file ended early")
    return shaped(flat, header)


def fill(values: Array, file: IO[bytes]) -> bool:
    """Fill an array of bytes, if the file has as many; a bomb unpacks no further, and the last block checks the sum."""
    done = 0
    while done < values.size:
        block = file.read(min(BLOCK_BYTES, values.size - done))
        if not block:
            return False
        values[done : done + len(block)] = np.frombuffer(block, np.uint8)
        done += len(block)
    return True


@contextmanager
def member(path: str, entry: str, key: str, entry_key: str) -> Iterator[tuple[IO[bytes], int]]:
    """One entry of an .npz file, open, and its size as the file states it."""
    with opened(path, key, "an .npz file") as plain:
        try:
            with ZipFile(cast(BinaryIO, Bounded(plain))) as archive:
                info = entry_of(archive, path, entry, key, entry_key)
                if info.compress_type not in PACKED:
                    raise BadZipFile(f"{entry} is packed in another way than by numpy.savez_compressed")
                with archive.open(info) as file:
                    yield file, info.file_size
        except DAMAGES as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ConfigError(key, path, "an .npz file that can be read", reason) from error


class Bounded:
    """A file of which no more is read at once than any part of an .npz file needs."""

    def __init__(self, file: BinaryIO) -> None:
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable
        self.file = file

    def read(self, size: int = MOST_DIRECTORY_BYTES) -> bytes:
        """The next bytes; where they are many, those are the list of entries."""
        if size > MOST_DIRECTORY_BYTES:
            raise BadZipFile(f"its list of entries has {size} bytes, at most {MOST_DIRECTORY_BYTES} are read")
        return self.file.read(size)


def entry_of(archive: ZipFile, path: str, entry: str, key: str, entry_key: str) -> ZipInfo:
    """Where an array lies.

    Raises:
        ConfigError: there is none of that name, or any name is there twice.
    """
    names: dict[str, ZipInfo] = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        if name in names:
            raise ConfigError(key, path, "an .npz file with each name once", f"there are two arrays {shown(name)}")
        names[name] = info
    if entry in names:
        return names[entry]
    there, hint = shown(", ".join(names), LISTED), did_you_mean(entry, names)
    if entry_key:
        raise ConfigError(entry_key, entry, f"one of the arrays in {path}: {there}", hint)
    raise ConfigError(key, path, f"an array {entry!r} in it, where there are {there}", hint)
