"""Where branches of a network meet: added cell by cell, or laid one after another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from convpipe import geometry
from convpipe.errors import ValueRangeError
from convpipe.ops.matmul import INT64_EXACT, float_accumulator, largest, narrowed, result_dtype
from convpipe.tensors import Array


def add(*tensors: Array) -> Array:
    """Add tensors cell by cell, as a residual network does with a layer's input and output.

    Args:
        tensors: at least one, all of the same shape; any integer or float dtypes.

    Returns:
        An array of that shape in `result_dtype` of theirs. Integers are summed exactly; where their magnitudes
        do not rule out that a sum leaves that dtype, one image is widened at a time. Floats are summed from
        left to right, float16 in float32.

    Raises:
        GeometryError: no tensors, or shapes that differ.
        ValueRangeError: an integer sum that does not fit the dtype.

    Source:
        K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", 2015.

    >>> add(np.array([[1, 2]], np.int8), np.array([[100, 100]], np.uint8))
    array([[101, 102]], dtype=int16)
    """
    shape = geometry.same_shape(*(tensor.shape for tensor in tensors))
    target = result_dtype(*(tensor.dtype for tensor in tensors))
    accumulator = sum_accumulator(target, tensors)
    if accumulator == target:
        return summed(tensors, target)
    result = np.empty(shape, target)
    for image in range(len(result)):
        one = slice(image, image + 1)
        with np.errstate(all="ignore"):
            result[one] = narrowed(summed([tensor[one] for tensor in tensors], accumulator), target, "error")
    return result


def concat(*tensors: Array, axis: int = 1) -> Array:
    """Lay tensors one after another along an axis, by default the channels.

    Args:
        tensors: at least one, of shapes that differ only along `axis`; any integer or float dtypes.
        axis: from 0, or from the end when negative.

    Returns:
        A new array in `result_dtype` of theirs.

    Raises:
        GeometryError: no tensors, shapes that differ, or an axis that is not there.
        ValueRangeError: a uint64 beside signed integers that does not fit int64.

    Source:
        C. Szegedy et al., "Going deeper with convolutions", 2014; ONNX Concat.

    >>> concat(np.array([[1, 2]]), np.array([[3]]))
    array([[1, 2, 3]])
    """
    shape = geometry.concat_shape(*(tensor.shape for tensor in tensors), axis=axis)
    along = geometry.axis_of(axis, len(shape))
    result = np.empty(shape, result_dtype(*(tensor.dtype for tensor in tensors)))
    start = 0
    for tensor in tensors:
        stop = start + tensor.shape[along]
        check_fits(tensor, result.dtype)
        result[(slice(None),) * along + (slice(start, stop),)] = tensor
        start = stop
    return result


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


def check_fits(tensor: Array, dtype: np.dtype[Any]) -> None:
    """The values of a tensor are values of a dtype: in question only for uint64 as int64."""
    if tensor.size and not np.can_cast(tensor.dtype, dtype) and int(tensor.max()) > np.iinfo(dtype).max:
        raise ValueRangeError(
            f"the value {tensor.max()} does not fit {dtype}, the dtype of {tensor.dtype} beside signed integers"
        )
