"""Which float a layer gives, which one it computes in, and which zero."""

from __future__ import annotations

from typing import Any

import numpy as np

from convpipe.tensors import Array


def result_float(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The float a layer gives: a float's own dtype, float64 for integers.

    >>> result_float(np.dtype("float16")), result_float(np.dtype("int8"))
    (dtype('float16'), dtype('float64'))
    """
    return dtype if dtype.kind == "f" else np.dtype(np.float64)


def computing_float(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The float a layer computes in: the one it gives, but float32 for float16.

    >>> computing_float(np.dtype("float16")), computing_float(np.dtype("float64"))
    (dtype('float32'), dtype('float64'))
    """
    return np.result_type(result_float(dtype), np.float32)


def positive_zeros(result: Array) -> Array:
    """The same array with each -0 made +0: np.maximum of two zeros gives one or the other, by dtype and machine.

    >>> positive_zeros(np.array([-0.0, -1.0]))
    array([ 0., -1.])
    """
    if result.dtype.kind == "f":
        result += 0
    return result
