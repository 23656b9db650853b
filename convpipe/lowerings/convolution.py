"""One convolution as its stages see it: the solved sizes, the dtypes and the rules for values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from convpipe.geometry import ConvGeometry
from convpipe.ops.matmul import Overflow, result_dtype

OperationName = Literal["conv", "conv_transpose", "grad_input", "grad_weights", "grad_bias"]


@dataclass(frozen=True)
class Operation:
    """What can be done with one geometry: the tensors it starts from, and the one that its last stage makes."""

    given: tuple[str, ...]
    makes: str


OPERATIONS: dict[OperationName, Operation] = {
    "conv": Operation(("input", "filters"), "feature_map"),
    "conv_transpose": Operation(("input", "filters"), "feature_map"),
    "grad_input": Operation(("grad", "filters"), "grad_input"),
    "grad_weights": Operation(("input", "grad"), "grad_weights"),
    "grad_bias": Operation(("grad",), "grad_bias"),
}


@dataclass(frozen=True)
class Convolution:
    """A convolution, or its adjoint, about to be lowered to stages; no array exists yet.

    The geometry of a transposed convolution is that of `geometry.solve_transposed`: the forward convolution's.
    """

    geometry: ConvGeometry
    input: np.dtype[Any]
    filters: np.dtype[Any]
    bias: np.dtype[Any] | None = None
    dtype: np.dtype[Any] | None = None
    overflow: Overflow = "error"
    pad_mode: str = "constant"
    pad_value: float = 0
    operation: OperationName = "conv"
    grad: np.dtype[Any] | None = None

    @property
    def given(self) -> tuple[str, ...]:
        """The names of the tensors that the first stages start from."""
        return OPERATIONS[self.operation].given + (() if self.bias is None else ("bias",))

    @property
    def operands(self) -> tuple[np.dtype[Any], ...]:
        """The dtypes that meet in the product."""
        return tuple(getattr(self, name) for name in self.given)

    @property
    def output(self) -> np.dtype[Any]:
        """The dtype of the result."""
        return self.dtype if self.dtype is not None else result_dtype(*self.operands)
