"""What a user says about a convolution and its lowering."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from convpipe.fields import anything, choice, dtype_name, field, number, optional, several, text, whole
from convpipe.lowerings.convolution import OPERATIONS
from convpipe.ops.matmul import OVERFLOWS


def operation(key: str, value: Any) -> str | None:
    """The name of an operation; a convolution is None, so that a run which names it is no other run."""
    name = optional(choice(OPERATIONS))(key, value)
    return None if name is None or name == "conv" else str(name)


@dataclass(frozen=True)
class ConvSettings:
    """How filters meet the input; what only the rank can judge is judged by `geometry`."""

    stride: Any = field(anything, 1)
    pad: Any = field(anything, 0)
    dilation: Any = field(anything, 1)
    groups: int = field(whole(1), 1)
    pad_mode: str = field(text, "constant")
    pad_value: float = field(number(), 0)
    dtype: str | None = field(optional(dtype_name()), None)
    overflow: str = field(choice(OVERFLOWS), "error")
    operation: str | None = field(operation, None)
    output_padding: Any = field(anything, None)
    output_shape: Any = field(anything, None)


@dataclass(frozen=True)
class LoweringSettings:
    """The chain of stages."""

    stages: tuple[str, ...] = field(several(text))
