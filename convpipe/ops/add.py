"""The sum of several tensors of one shape: where branches of a network meet."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convpipe.errors import ValueRangeError
from convpipe.geometry.layers import same_shape
from convpipe.ops import Array, Made, Operation, Tensor, like, tensors_of
from convpipe.ops.arrays.sums import (
    INT64_EXACT,
    OBJECT_BYTES,
    float_accumulator,
    largest,
    magnitude,
    narrowed,
    result_dtype,
)


def add(*tensors: ArrayLike) -> Array:
    """Add tensors cell by cell, as a residual network does with a layer's input and output.

    Args:
        tensors: at least one, all of the same shape; any integer or float dtypes.

    Returns:
        An array of that shape in `result_dtype` of theirs. Integers are summed exactly; where their magnitudes
        do not rule out that a sum leaves that dtype, one image is widened at a time. Floats are summed from
        left to right, float16 in float32.

    Raises:
        ConfigError: no tensors, one that is no array of numbers, or shapes that differ.
        ValueRangeError: an integer sum that does not fit the dtype.

    Source:
        K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", 2015.

    >>> add(np.array([[1, 2]], np.int8), np.array([[100, 100]], np.uint8))
    array([[101, 102]], dtype=int16)
    """
    arrays = tensors_of(tensors)
    shape = same_shape(*(array.shape for array in arrays))
    target = result_dtype(*(array.dtype for array in arrays))
    accumulator = sum_accumulator(target, arrays)
    if accumulator == target:
        return summed(arrays, target)
    result = np.empty(shape, target)
    for image in range(len(result)):
        one = slice(image, image + 1)
        with np.errstate(all="ignore"):
            result[one] = fitting(summed([array[one] for array in arrays], accumulator), target)
    return result


def fitting(sums: Array, target: np.dtype[Any]) -> Array:
    """Exact sums in the dtype of the result, which follows from the tensors' alone.

    Raises:
        ValueRangeError: one does not fit.
    """
    try:
        return narrowed(sums, target, "error")
    except ValueRangeError as error:
        fact, _, _ = str(error).partition("; ")
        raise ValueRangeError(f"{fact}; give one of the tensors a wider dtype") from error


def sum_accumulator(target: np.dtype[Any], tensors: Sequence[Array]) -> np.dtype[Any]:
    """The dtype in which no partial sum of these can go wrong: the result's own where their values allow it."""
    if target.kind == "f":
        return float_accumulator(target, *(tensor.dtype for tensor in tensors))
    bound = sum(map(largest, tensors))
    if bound <= np.iinfo(target).max:
        return target
    return np.dtype(np.int64) if bound <= INT64_EXACT else np.dtype(object)


def summed(tensors: Sequence[Array], dtype: np.dtype[Any]) -> Array:
    """The sum, from left to right, in a dtype that is known to hold it; a new array in C order."""
    total = np.array(tensors[0], dtype, order="C")
    with np.errstate(all="ignore"):
        for tensor in tensors[1:]:
            np.add(total, tensor, out=total, dtype=dtype, casting="unsafe")
    return total


def workspace(cells: int, target: np.dtype[Any], operands: Sequence[np.dtype[Any]]) -> int:
    """The bytes of one image's sums in a wider dtype and of their narrowed copy, where values may ask for that."""
    if target.kind == "f":
        wide = float_accumulator(target, *operands).itemsize
    else:
        wide = 8 if sum(map(magnitude, operands)) <= INT64_EXACT else OBJECT_BYTES
    same = target.kind == "f" and wide == target.itemsize
    return 0 if same else cells * (wide + target.itemsize)


class Add(Operation):
    """The sum of several tensors of one shape."""

    function = staticmethod(add)
    several = True

    def plan(self, *inputs: Tensor) -> Made:
        """A tensor like the first, in a dtype for all."""
        shape = same_shape(*(tensor.shape for tensor in inputs))
        dtypes = [tensor.dtype for tensor in inputs]
        target = result_dtype(*dtypes)
        return like(inputs[0], dtype=target, workspace=workspace(prod(shape[1:]), target, dtypes))
