"""Values that a dtype must hold."""

from typing import Any

import numpy as np

from convpipe.errors import ConfigError
from convpipe.tensors import exact_range, full_range


def fits(key: str, value: int, dtype: np.dtype[Any]) -> int:
    """A whole number that `dtype` holds exactly (floats: up to the width of their mantissa)."""
    low, high = exact_range(dtype)
    if not low <= value <= high:
        raise ConfigError(key, value, f"a whole number that {dtype} holds exactly, from {low} to {high}")
    return value


def within(key: str, value: float, dtype: np.dtype[Any]) -> float:
    """A number within the range of `dtype`."""
    low, high = full_range(dtype)
    if not low <= value <= high:  # Python compares int with float exactly, NumPy would round
        raise ConfigError(key, value, f"a number that {dtype} holds, from {low:g} to {high:g}")
    return value
