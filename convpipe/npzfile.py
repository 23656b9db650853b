"""Reading single arrays out of .npz files (zip archives of .npy files), with the same guards as for .npy."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO, cast

import numpy as np

from convpipe.errors import ConfigError, did_you_mean
from convpipe.npyfile import NpyHeader, header_of, opened, shaped
from convpipe.step import Array


def read_header(path: str, entry: str, key: str = "path") -> NpyHeader:
    """Read and check the header of one array of an .npz file.

    Raises:
        ConfigError: not an .npz file, no such entry, or one that is no plain array.
    """
    with member(path, entry, key) as (file, size):
        return header_of(cast(BinaryIO, file), size, path, key)


def read_array(path: str, entry: str, key: str = "path") -> Array:
    """Read one array of an .npz file: C-ordered, in the machine's own byte order.

    Raises:
        ConfigError: as `read_header`, or data that does not unpack to what the header says.
    """
    with member(path, entry, key) as (file, size):
        header = header_of(cast(BinaryIO, file), size, path, key)
        data = file.read(header.bytes)  # the header was checked against the entry's size: no bomb unpacks past it
        if len(data) != header.bytes:
            raise ConfigError(key, path, f"{header.bytes} bytes of data in {entry}", "the file ended early")
    return shaped(np.frombuffer(bytearray(data), header.dtype), header)


@contextmanager
def member(path: str, entry: str, key: str) -> Iterator[tuple[IO[bytes], int]]:
    """One entry of an .npz file, open, and its size."""
    try:
        with opened(path, key) as plain, zipfile.ZipFile(plain) as archive:
            names = {name.removesuffix(".npy"): name for name in archive.namelist()}
            if entry not in names:
                there = ", ".join(names)
                raise ConfigError(key, path, f"an entry {entry!r} in it (there: {there})", did_you_mean(entry, names))
            with archive.open(names[entry]) as file:
                yield file, archive.getinfo(names[entry]).file_size
    except ConfigError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(key, path, "an .npz file that can be read", reason) from error
