"""Arrays that exist, and those that do not yet: names, shapes, dtypes and their ranges."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Sizes = tuple[int, ...]
Wanted = tuple[int | None, ...]  # a shape whose sizes may be left to the file

INTEGER_DTYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOAT_DTYPES = ("float16", "float32", "float64")
DTYPES = INTEGER_DTYPES + FLOAT_DTYPES
MOST_WHOLE = 1e16  # up to which a whole float is written out
MOST_AXES = 32  # NumPy 1's own limit


@dataclass(frozen=True)
class Signature:
    """The shape and dtype of an array to come."""

    shape: Sizes
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Tensor:
    """An array that does not exist yet: its name, shape, dtype and what its axes are called."""

    name: str
    shape: Sizes
    dtype: np.dtype[Any]
    axes: tuple[str, ...] = ()
    origin: str = ""  # of a given tensor: its name where it comes from
    written: Sizes | None = None  # of a given tensor: its shape where it comes from, if that is another

    @property
    def bytes(self) -> int:
        """The size of its values in memory."""
        return prod(self.shape) * self.dtype.itemsize


def number_text(value: Any) -> str:
    """A number of NumPy's in the shortest text that its dtype reads back as the same; whole ones whole.

    >>> number_text(np.float32(23.21887)), number_text(np.float16(65504)), number_text(np.int8(-3))
    ('23.21887', '65504.0', '-3')
    """
    if value.dtype.kind != "f":
        return str(value)
    if abs(float(value)) < MOST_WHOLE and float(value).is_integer():
        return str(float(value))  # NumPy's shortest text of float16's largest, 65504, is 65500
    return str(float(str(value)))  # in Python's form: NumPy has an exponent from a million on


def exact_range(dtype: np.dtype[Any]) -> tuple[int, int]:
    """The whole numbers a dtype holds without a gap, smallest and largest.

    >>> exact_range(np.dtype("int8")), exact_range(np.dtype("float32"))
    ((-128, 127), (-16777216, 16777216))
    """
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return int(info.min), int(info.max)
    largest = int(2 ** (np.finfo(dtype).nmant + 1))
    return -largest, largest


def full_range(dtype: np.dtype[Any]) -> tuple[int, int]:
    """The smallest and the largest number of a dtype, infinities left out.

    >>> full_range(np.dtype("float16"))
    (-65504, 65504)
    """
    info: Any = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(dtype)
    return int(info.min), int(info.max)


def addressable(shape: Sizes, itemsize: int = 16) -> bool:
    """Whether NumPy can make an array of that shape: not even of no cells, where the other sizes are too large.

    >>> addressable((2, 3)), addressable((0, 2**60))
    (True, False)
    """
    return prod(shape if all(shape) else [max(size, 1) for size in shape]) * itemsize < 2**63


def scalar_of(value: Any) -> Any:
    """An array without axes as the number in it; anything else as it is.

    >>> float(scalar_of(np.array(0.5))), scalar_of("same")
    (0.5, 'same')
    """
    return value[()] if isinstance(value, np.ndarray) and value.shape == () else value


def one_for_all(value: Any) -> Any:
    """One value in place of a list of equal ones.

    >>> one_for_all((3, 3)), one_for_all([3, 1]), one_for_all(3)
    (3, [3, 1], 3)
    """
    alike = isinstance(value, list | tuple) and value and all(entry == value[0] for entry in value)
    return value[0] if alike else value


def shape_text(shape: Iterable[object]) -> str:
    """A shape, or the letters of its axes, without blanks: as stages.csv and the plan have it.

    >>> shape_text((25, 27)), shape_text(("N", "C"))
    ('(25,27)', '(N,C)')
    """
    return f"({','.join(map(str, shape))})"
