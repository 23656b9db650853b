"""What an array will be, known before it exists."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from convpipe.errors import ConfigError, GeometryError
from convpipe.geometry.axes import per_axis
from convpipe.tensors import Signature, Sizes


def signature(key: str, shape: Sizes, dtype: str) -> Signature:
    """The signature of an array that could exist.

    Raises:
        ConfigError: a shape of more bytes than memory can address, which NumPy refuses even where another size is 0.

    >>> signature("input.shape", (1, 3, 8, 8), "int16")
    Signature(shape=(1, 3, 8, 8), dtype=dtype('int16'))
    """
    made = Signature(tuple(shape), np.dtype(dtype))
    if prod(max(size, 1) for size in made.shape) * made.dtype.itemsize >= 2**63:
        raise ConfigError(key, list(shape), "a shape of fewer than 2**63 bytes")
    return made


def bank(count: int, kernel: Any, channels: int, groups: int, rank: int, dtype: str) -> Signature:
    """The signature (F, C/G, kernel...) of `count` filters; one kernel size stands for every axis.

    Raises:
        GeometryError: a kernel of another rank.

    >>> bank(6, 3, channels=4, groups=2, rank=2, dtype="int8").shape
    (6, 2, 3, 3)
    """
    try:
        sizes = per_axis("kernel", kernel, rank)
    except GeometryError as error:
        raise error.at({"kernel": "filters.kernel"}) from None
    return signature("filters.kernel", (count, channels // groups, *sizes), dtype)
