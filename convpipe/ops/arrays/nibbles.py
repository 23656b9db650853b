"""Integers of 4 bits, two in a byte: element 0 in the low nibble, an odd count filled up with 0."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from convpipe.errors import ConfigError
from convpipe.fields import choice, whole
from convpipe.ops.arrays.narrowing import integer_range, storage
from convpipe.ops.arrays.shifts import whole_cells
from convpipe.tensors import Array

DTYPES = ("int4", "uint4")


def pack_int4(values: ArrayLike, dtype: str = "int4") -> Array:
    """Two integers of 4 bits in each byte.

    Args:
        values: any shape, read in C order; each from -8 to 7, of uint4 from 0 to 15.
        dtype: ``int4`` or ``uint4``.

    Returns:
        (ceil(cells / 2),), uint8.

    Raises:
        ConfigError: another dtype, or a value that 4 bits do not hold.

    Source:
        TFLite, CMSIS-NN and ONNX.

    >>> pack_int4([1, -2, 7, -8, 3]).tolist() == [0xE1, 0x87, 0x03]
    True
    """
    cells = whole_cells("values", values).reshape(-1)
    low, high = integer_range(nibble_dtype(dtype))
    wrong = cells[(cells < low) | (cells > high)]
    if wrong.size:
        raise ConfigError("values", int(wrong[0]), f"whole numbers from {low} to {high}, as the dtype is {dtype}")
    nibbles = np.zeros(cells.size + cells.size % 2, np.uint8)
    nibbles[: cells.size] = cells & 15
    result: Array = nibbles[::2] | nibbles[1::2] << 4
    return result


def unpack_int4(packed: ArrayLike, count: int | None = None, dtype: str = "int4") -> Array:
    """The integers of 4 bits that lie two in a byte.

    Args:
        packed: bytes, uint8, or int8 as TFLite stores them; read in C order.
        count: how many integers there are; by default two for each byte.
        dtype: ``int4`` or ``uint4``.

    Returns:
        (count,), int8, or uint8 of uint4.

    Raises:
        ConfigError: no bytes, another dtype, or fewer integers than are asked for.

    >>> unpack_int4(np.array([0xE1, 0x87, 0x03], np.uint8), 5)
    array([ 1, -2,  7, -8,  3], dtype=int8)
    """
    cells = whole_cells("packed", packed).reshape(-1)
    wrong = cells[(cells < -128) | (cells > 255)]
    low, _ = integer_range(nibble_dtype(dtype))
    if wrong.size:
        raise ConfigError("packed", int(wrong[0]), "bytes")
    number = whole(0, 2 * cells.size)("count", 2 * cells.size if count is None else count)
    nibbles = np.stack([cells & 15, cells >> 4 & 15], -1).reshape(-1)[:number]
    result: Array = ((nibbles - low) % 16 + low).astype(storage(dtype))
    return result


def nibble_dtype(dtype: str) -> str:
    """One of the two dtypes.

    Raises:
        ConfigError: another.
    """
    return choice(DTYPES)("dtype", dtype)
