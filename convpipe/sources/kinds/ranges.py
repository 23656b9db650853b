"""Values that a dtype must hold."""

from typing import Any

import numpy as np

from convpipe.errors import ConfigError, shown
from convpipe.tensors import exact_range, full_range


def fits(key: str, value: int, dtype: np.dtype[Any]) -> int:
    """A whole number that `dtype` holds exactly (floats: up to the width of their mantissa)."""
    low, high = exact_range(dtype)
    if not low <= value <= high:
        raise ConfigError(key, value, f"a whole number that {dtype} holds exactly, from {low} to {high}")
    return value


def fits_below(key: str, value: float, dtype: np.dtype[Any]) -> float:
    """The end of a range, which is not in it: up to the first number after the largest of `dtype`.

    >>> fits_below("input.high", 128, np.dtype("int8")), fits_below("input.high", 65536, np.dtype("float16"))
    (128, 65536)
    """
    low, _ = full_range(dtype)
    beyond = first_beyond(dtype)
    if not low <= value <= beyond:
        expected = f"a number from {shown(low)} to {shown(beyond)}, below which {dtype} holds numbers"
        raise ConfigError(key, value, expected)
    return value


def first_beyond(dtype: np.dtype[Any]) -> int:
    """The first number after the largest of a dtype; of float64 that largest itself, as no setting is larger.

    >>> first_beyond(np.dtype("int8")), first_beyond(np.dtype("float16"))
    (128, 65536)
    """
    largest = full_range(dtype)[1]
    if dtype.kind in "iu":
        return largest + 1
    return largest if dtype.itemsize == 8 else int(2 ** np.finfo(dtype).maxexp)


def within(key: str, value: float, dtype: np.dtype[Any]) -> float:
    """A number within the range of `dtype`."""
    low, high = full_range(dtype)
    if not low <= value <= high:  # Python compares int with float exactly, NumPy would round
        raise ConfigError(key, value, f"a number that {dtype} holds, from {low:g} to {high:g}")
    return value
