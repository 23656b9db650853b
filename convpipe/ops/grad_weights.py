"""The gradient of a loss with respect to a convolution's filters."""

from __future__ import annotations

from dataclasses import dataclass

from convpipe.ops.kinds.adjoint import Gradient


@dataclass(frozen=True, kw_only=True)
class GradWeights(Gradient):
    """The gradient with respect to the filters."""

    given = ("input", "grad")
    forward = True
