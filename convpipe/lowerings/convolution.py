"""One convolution as its stages see it: the solved sizes, the dtypes and the rules for values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from convpipe.geometry import ConvGeometry
from convpipe.ops.matmul import Overflow, result_dtype


@dataclass(frozen=True)
class Convolution:
    """A convolution about to be lowered to stages; no array exists yet."""

    geometry: ConvGeometry
    input: np.dtype[Any]
    filters: np.dtype[Any]
    bias: np.dtype[Any] | None = None
    dtype: np.dtype[Any] | None = None
    overflow: Overflow = "error"
    pad_mode: str = "constant"
    pad_value: float = 0

    @property
    def operands(self) -> tuple[np.dtype[Any], ...]:
        """The dtypes that meet in the product."""
        return (self.input, self.filters) if self.bias is None else (self.input, self.filters, self.bias)

    @property
    def output(self) -> np.dtype[Any]:
        """The dtype of the feature map."""
        return self.dtype if self.dtype is not None else result_dtype(*self.operands)
