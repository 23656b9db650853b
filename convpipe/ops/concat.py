"""Several tensors beside each other along one axis."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convpipe.geometry.axes import axis_of
from convpipe.geometry.layers import concat_shape
from convpipe.ops import (
    Array,
    AxisOperation,
    Form,
    Made,
    Read,
    Tensor,
    ValueRangeError,
    like,
    tensors_of,
    variables,
    within_image,
)
from convpipe.ops.arrays.sums import result_dtype


def concat(*tensors: ArrayLike, axis: int = 1) -> Array:
    """Lay tensors one after another along an axis, by default the channels.

    Args:
        tensors: at least one, of shapes that differ only along `axis`; any integer or float dtypes.
        axis: from 0, or from the end when negative.

    Returns:
        A new array in `result_dtype` of theirs.

    Raises:
        ConfigError: no tensors, one that is no array of numbers, shapes that differ, or an axis that is not there.
        ValueRangeError: a uint64 beside signed integers that does not fit int64.

    Source:
        C. Szegedy et al., "Going deeper with convolutions", 2014; ONNX Concat.

    >>> concat(np.array([[1, 2]]), np.array([[3]]))
    array([[1, 2, 3]])
    """
    arrays = tensors_of(tensors)
    shape = concat_shape(*(array.shape for array in arrays), axis=axis)
    along = axis_of(axis, len(shape))
    result = np.empty(shape, result_dtype(*(array.dtype for array in arrays)))
    start = 0
    for array in arrays:
        stop = start + array.shape[along]
        check_fits(array, result.dtype)
        result[(slice(None),) * along + (slice(start, stop),)] = array
        start = stop
    return result


def check_fits(tensor: Array, dtype: np.dtype[Any]) -> None:
    """The values of a tensor are values of a dtype: in question only for uint64 as int64."""
    if tensor.size and not np.can_cast(tensor.dtype, dtype) and int(tensor.max()) > np.iinfo(dtype).max:
        raise ValueRangeError(
            f"the value {tensor.max()} does not fit {dtype}, the dtype of {tensor.dtype} beside signed integers"
        )


class Concat(AxisOperation):
    """Several tensors beside each other along one axis, by default the channels."""

    function = staticmethod(concat)
    several = True
    linear = True
    moves = True

    def plan(self, *inputs: Tensor) -> Made:
        """A tensor like the first, but longer."""
        axis = within_image(self.axis, len(inputs[0].shape))
        shape = concat_shape(*(tensor.shape for tensor in inputs), axis=axis)
        return like(inputs[0], shape=shape, dtype=result_dtype(*(tensor.dtype for tensor in inputs)), workspace=0)

    def form(self, *inputs: Tensor) -> Form:
        """The cell of the one input that lies there."""
        own, reads, start = variables(len(inputs[0].shape)), list[Read](), 0
        axis = within_image(self.axis, len(own))
        for number, x in enumerate(inputs):
            places = (*own[:axis], own[axis] - start, *own[axis + 1 :])
            reads.append(Read("x", number, places, x.shape))
            start += x.shape[axis]
        return Form("x", len(own), tuple(reads))
