"""Layers where branches of a network meet: added cell by cell, or laid one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import numpy as np

from convpipe import geometry
from convpipe.errors import ConfigError, GeometryError
from convpipe.fields import field, whole
from convpipe.graph.step import Step
from convpipe.layers.layer import Reading, Surroundings, within_image
from convpipe.ops.joining import add, concat
from convpipe.ops.matmul import INT64_EXACT, OBJECT_BYTES, float_accumulator, result_dtype
from convpipe.tensors import Tensor


@dataclass(frozen=True, kw_only=True)
class AddLayer(Reading):
    """The sum of several tensors of one shape."""

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """One step."""
        try:
            shape = geometry.same_shape(*(tensor.shape for tensor in around.inputs))
        except GeometryError as error:
            raise misfit(error, around.inputs) from error
        made = around.like(around.inputs[0], shape=shape, dtype=result_dtype(*dtypes(around.inputs)))
        return (around.step("add", made, add, workspace=add_workspace(made, dtypes(around.inputs))),)


@dataclass(frozen=True, kw_only=True)
class ConcatLayer(Reading):
    """Several tensors beside each other along one axis, by default the channels."""

    axis: int = field(whole(), 1)

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """One step."""
        axis = within_image(self.axis, len(around.inputs[0].shape))
        try:
            shape = geometry.concat_shape(*(tensor.shape for tensor in around.inputs), axis=axis)
        except GeometryError as error:
            raise misfit(error, around.inputs) from error
        made = around.like(around.inputs[0], shape=shape, dtype=result_dtype(*dtypes(around.inputs)))
        return (around.step("concat", made, partial(concat, axis=axis)),)


def dtypes(tensors: Sequence[Tensor]) -> list[np.dtype[Any]]:
    """The tensors' dtypes."""
    return [tensor.dtype for tensor in tensors]


def misfit(error: GeometryError, tensors: Sequence[Tensor]) -> ConfigError:
    """A complaint about one of several shapes, with the tensor's name."""
    name = next(tensor.name for tensor in tensors if tensor.shape == error.got)
    return ConfigError("inputs", f"{name} {error.got}", f"{error.expected}, {tensors[0].name}")


def add_workspace(made: Tensor, operands: Sequence[np.dtype[Any]]) -> int:
    """The bytes of one image's sums in a wider dtype and of their narrowed copy, where values may ask for that."""
    if made.dtype.kind == "f":
        wide = float_accumulator(made.dtype, *operands).itemsize
    else:
        bound = sum(max(-int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)) for dtype in operands)
        wide = 8 if bound <= INT64_EXACT else OBJECT_BYTES
    same = made.dtype.kind == "f" and wide == made.dtype.itemsize
    return 0 if same else prod(made.shape[1:]) * (wide + made.dtype.itemsize)
