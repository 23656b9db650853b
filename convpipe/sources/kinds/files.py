"""Sources that are files of arrays, whose headers say what the arrays are, and values that a dtype must hold."""

from abc import abstractmethod
from math import prod
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from convpipe.errors import ConfigError
from convpipe.fields import dtype_name, field, optional, path, text
from convpipe.sources.kinds.bank import Kernels
from convpipe.sources.kinds.source import ANY, ARRAYS, Request, Stored
from convpipe.sources.kinds.stream import chunks
from convpipe.tensors import Array, Signature, full_range

DTYPE = "null is as in the file; another has to hold every value exactly (only the weights of a network are rounded)."
ENTRY = "The array's name in the file; null is that of its group: input, filters ..."


class File(Kernels, Stored):
    """An array of a file, in its own dtype or in another that holds its values exactly (weights may be rounded)."""

    path: str = field(path, says="Where the file is.", identity=False)
    dtype: str | None = field(optional(dtype_name), None, DTYPE)

    @abstractmethod
    def header(self, request: Request) -> Any:
        """What has the array's shape and dtype, found without reading its values."""

    @abstractmethod
    def read(self, entry: str) -> Array:
        """The array as it is in the file, in the machine's own byte order."""

    @property
    def file(self) -> str:
        """The path."""
        return self.path

    def one_more_axis(self) -> str:
        """Saved otherwise, as no setting does it."""
        return "x[None] of the array x, saved anew"

    def signature(self, request: Request = ANY) -> Signature:
        """What the file's header says."""
        found = self.header(request)
        dtype = self.dtype or found.dtype.newbyteorder("=")
        if self.channels is not None:
            return self.bank(found.shape, dtype, request, "path")
        made = self.stated(found.shape, dtype, request, "path")
        if not made.shape:
            raise self.wrong("path", self.path, "an array with axes", "it holds a single number")
        return made

    def making_bytes(self, signature: Signature, entry: str = "") -> int:
        """The array as it is in the file, once where its order changes and once where its dtype does."""
        found = self.header(Request(entry=entry))
        size = prod(found.shape) * found.dtype.itemsize
        turned = getattr(found, "fortran_order", False) or not found.dtype.isnative
        return int(size * (turned + (found.dtype.newbyteorder("=") != signature.dtype)))

    def make(self, signature: Signature, bits: np.random.PCG64, entry: str = "") -> Array:
        """Read the array."""
        array = self.read(entry)
        if self.channels is not None:
            return self.banked(exactly(array, signature.dtype, self.key("dtype"), self.path), signature, "path")
        if array.shape != signature.shape:
            expected = f"an array {signature.shape}, as it was when planned"
            raise self.wrong("path", self.path, expected, f"it is {array.shape} now")
        if self.role == "weights" and array.dtype.kind == signature.dtype.kind == "f":
            with np.errstate(over="ignore"):  # a weight that is too large is infinity, as IEEE says
                return array.astype(signature.dtype, copy=False)
        return exactly(array, signature.dtype, self.key("dtype"), self.path)


class NamedFile(File):
    """A file of several arrays by name."""

    reader: ClassVar[ModuleType]  # of `convpipe.files`

    # of weights the layers say which; null: the array that is called as the role is
    entry: str | None = field(optional(text), says=ENTRY, under=dict.fromkeys((*ARRAYS, "labels")))

    def unread(self) -> tuple[str, ...]:
        """A name that is the usual one."""
        return ("entry",) if self.entry == self.role else ()

    def header(self, request: Request) -> Any:
        """The header of the array."""
        entry_key = request.key or self.key("entry")
        return self.reader.read_header(self.path, self.named(request.entry), self.key("path"), entry_key)

    def read(self, entry: str) -> Array:
        """The array."""
        found: Array = self.reader.read_array(self.path, self.named(entry), self.key("path"), self.key("path"))
        return found

    def named(self, entry: str) -> str:
        """The name of the array."""
        return entry or self.entry or self.role


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
    low, high = full_range(dtype)  # item(): Python compares int with float exactly, NumPy would round
    return bool(low <= values.min().item() and values.max().item() <= high)
