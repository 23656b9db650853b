"""The gradient of a loss with respect to a convolution's input."""

from __future__ import annotations

from dataclasses import dataclass

from convpipe.ops.kinds.adjoint import Gradient


@dataclass(frozen=True, kw_only=True)
class GradInput(Gradient):
    """The gradient with respect to the input."""

    given = ("grad", "filters")
