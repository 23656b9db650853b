"""The matrix of filters less their zero point."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from convpipe.errors import GeometryError
from convpipe.fields import field, one_or_several, whole
from convpipe.ops import Array, Convolution, Form, Made, Operation, Read, Tensor, like, variables
from convpipe.ops.center import center, centered_dtype
from convpipe.ops.kinds.formulas import formula
from convpipe.ops.kinds.quantised import zeros_of


class CenterFilters(Operation):
    """filter_matrix less the zero point of the filters, one or one for each."""

    zero_point: Any = field(one_or_several(whole()), 0, "What is subtracted: one number, or one for each filter.")

    reads = ("filter_matrix",)
    makes = "filter_matrix"
    result = "centered_filters"
    layer = False
    integers = True

    @classmethod
    def of(cls, conv: Convolution) -> dict[str, Any]:
        """The zero point of the filters."""
        return {} if conv.quant is None else {"zero_point": conv.quant.filters.zero_point}

    @classmethod
    def left_out(cls, conv: Convolution) -> bool:
        """Where that is 0."""
        return conv.quant is not None and not any(conv.quant.filters.zero_points)

    def plan(self, filter_matrix: Tensor) -> Made:
        """A tensor like it, in a dtype that holds the differences."""
        zeros = zeros_of(self.zero_point)
        if len(zeros) not in (1, filter_matrix.shape[0]):
            expected = f"one number, or {filter_matrix.shape[0]}, one for each filter"
            raise GeometryError("zero_point", list(zeros), expected)
        return like(filter_matrix, dtype=centered_dtype(filter_matrix.dtype, list(zeros)))

    def run(self, filter_matrix: Array) -> Array:
        """`center`, filter by filter."""
        return center(filter_matrix, np.array(zeros_of(self.zero_point))[:, None])

    def form(self, filter_matrix: Tensor) -> Form:
        """The weight less the zero point of its filter."""
        own, zeros = variables(2), zeros_of(self.zero_point)
        read = Read("x", "filter_matrix", tuple(own), filter_matrix.shape)
        return Form(formula("x - zero_point"), 2, (read,), lists=(("zero_point", 0, zeros),))


def zeros_taken(operations: Iterable[Operation]) -> tuple[int, ...]:
    """The zero points that a chain takes from its filters, one or one for each."""
    return next((zeros_of(each.zero_point) for each in operations if isinstance(each, CenterFilters)), (0,))
