"""Arrays from .npy and .npz files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from convpipe.errors import ConfigError
from convpipe.fields import choice, dtype_name, field, optional, text
from convpipe.files import npz
from convpipe.files.npy import read_array, read_header
from convpipe.sources.stream import chunks
from convpipe.tensors import Array, Signature


@dataclass(frozen=True)
class Npy:
    """The array of one .npy file, in its own dtype or in another that holds its values exactly."""

    source: str = field(choice(["npy"]))
    path: str = field(text)
    dtype: str | None = field(optional(dtype_name()), None)
    key: ClassVar[str]

    def stated(self) -> Signature:
        """What the file's header says, without reading its data."""
        header = read_header(self.path, f"{self.key}.path")
        if not header.shape:
            raise ConfigError(f"{self.key}.path", self.path, "an array with axes", "it holds a single number")
        return Signature(header.shape, np.dtype(self.dtype) if self.dtype else header.dtype.newbyteorder("="))

    def make(self, signature: Signature, bits: np.random.PCG64) -> Array:
        """Read the array; `bits` is not used."""
        array = read_array(self.path, f"{self.key}.path")
        if array.shape != signature.shape:
            expected = f"an array {signature.shape}, as it was when planned"
            raise ConfigError(f"{self.key}.path", self.path, expected, f"it is {array.shape} now")
        return exactly(array, signature.dtype, f"{self.key}.dtype", self.path)


@dataclass(frozen=True)
class NpyInput(Npy):
    """An input from a file, (N, C, H, W)."""

    key: ClassVar[str] = "input"

    def signature(self) -> Signature:
        """The file's own shape."""
        return self.stated()


@dataclass(frozen=True)
class NpyFilters(Npy):
    """Filters from a file, (F, C/G, kh, kw)."""

    key: ClassVar[str] = "filters"

    def signature(self, channels: int, groups: int, rank: int) -> Signature:
        """The file's own shape; whether it suits the input, the geometry judges."""
        return self.stated()


@dataclass(frozen=True)
class NpzInput:
    """An input that is one array of an .npz file, (N, C, H, W), in its own dtype or another that holds it exactly."""

    source: str = field(choice(["npz"]))
    path: str = field(text)
    entry: str = field(text)
    dtype: str | None = field(optional(dtype_name()), None)

    def signature(self) -> Signature:
        """What the entry's header says, without reading its data."""
        header = npz.read_header(self.path, self.entry, "input.path", "input.entry")
        return Signature(header.shape, np.dtype(self.dtype) if self.dtype else header.dtype.newbyteorder("="))

    def make(self, signature: Signature, bits: np.random.PCG64) -> Array:
        """Read the array; `bits` is not used."""
        array = npz.read_array(self.path, self.entry, "input.path")
        if array.shape != signature.shape:
            expected = f"an array {signature.shape}, as it was when planned"
            raise ConfigError("input.path", self.path, expected, f"it is {array.shape} now")
        return exactly(array, signature.dtype, "input.dtype", self.path)


def exactly(array: Array, dtype: np.dtype[Any], key: str, path: str) -> Array:
    """`array` as `dtype`, itself where it already is; every value must come through unchanged.

    Raises:
        ConfigError: a value that `dtype` does not hold.
    """
    if array.dtype == dtype:
        return array
    result = np.empty(array.shape, dtype)
    before, after = array.reshape(-1), result.reshape(-1)
    for part in chunks(array.size):
        with np.errstate(all="ignore"):
            after[part] = before[part]
        if not unchanged(before[part], after[part]):
            raise ConfigError(key, dtype, f"a dtype that holds every value of {path}, {array.dtype}, exactly")
    return result


def unchanged(before: Array, after: Array) -> bool:
    """Whether two arrays that are not empty, one cast from the other, hold the same values.

    >>> unchanged(np.array([2**63 - 1]), np.array([2.0**63]))
    False
    """
    # casts out of range are undefined in C, and the cast back may undo the damage: so ranges first, exactly
    if not (within(before, after.dtype) and within(after, before.dtype)):
        return False
    return np.array_equal(after.astype(before.dtype), before, equal_nan=before.dtype.kind == "f")


def within(values: Array, dtype: np.dtype[Any]) -> bool:
    """Whether all values lie within an integer dtype's range; NaN does not. Float dtypes take all."""
    if dtype.kind == "f":
        return True
    info = np.iinfo(dtype)  # item(): Python compares int with float exactly, NumPy would round
    return bool(info.min <= values.min().item() and values.max().item() <= info.max)
