"""The gradient of a loss with respect to a convolution's bias."""

from __future__ import annotations

from dataclasses import dataclass

from convpipe.ops.kinds.adjoint import Gradient


@dataclass(frozen=True, kw_only=True)
class GradBias(Gradient):
    """The gradient with respect to the bias."""

    given = ("grad",)
