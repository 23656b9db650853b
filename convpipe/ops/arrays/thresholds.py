"""Sums to levels: how many thresholds of its channel a sum has reached."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from convpipe.errors import GeometryError
from convpipe.fields import whole
from convpipe.ops.arrays.shifts import whole_cells
from convpipe.tensors import Array

of_32_bits = whole(-(2**31), 2**31 - 1)  # so that no level leaves 64


def thresholds(acc: ArrayLike, table: ArrayLike, *, offset: int = 0, step: int = 1) -> Array:
    """offset + step * (how many thresholds of its channel a sum has reached).

    Args:
        acc: (..., F), integers.
        table: (F, T), a row for each channel, or (1, T) or (T,) for all; integers, in any order.
        offset: what a sum below all of them gives.
        step: what each one adds that is not above the sum.

    Returns:
        int64 of the shape of `acc`.

    Raises:
        ConfigError: arguments that are no integers, or a table of other channels.

    Source:
        MultiThreshold of FINN and QONNX.

    >>> thresholds([[-5, 0, 9]], [[-4, 0, 3]], offset=-2).tolist()
    [[-2, 0, 1]]
    """
    sums = whole_cells("acc", acc)
    rows = table_rows(whole_cells("table", table), sums.shape[-1])
    offset, step = of_32_bits("offset", offset), of_32_bits("step", step)
    return offset + step * reached(sums, rows)


def table_rows(table: Array, channels: int) -> Array:
    """A table as rows, one for each channel or one for all, each in ascending order.

    Raises:
        GeometryError: a table of other channels.
    """
    rows = table[None] if table.ndim == 1 else table
    if rows.ndim != 2 or len(rows) not in (1, channels):
        raise GeometryError("table", table.shape, f"(T,), (1, T) or ({channels}, T), a row for each channel")
    return np.sort(rows, axis=1)


def reached(sums: Array, rows: Array) -> Array:
    """For each sum how many thresholds of its channel are not above it."""
    counts = np.empty(sums.shape, np.int64)
    for channel in range(sums.shape[-1]):
        row = rows[min(channel, len(rows) - 1)]
        counts[..., channel] = np.searchsorted(row, sums[..., channel], side="right")
    return counts
