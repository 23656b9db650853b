"""The identity: at inference nothing is dropped."""

from __future__ import annotations

from numpy.typing import ArrayLike

from convpipe.ops import Array, Form, Made, Operation, Tensor, cellwise, checked, field, like, number, numeric


def dropout(x: ArrayLike, rate: float = 0.5) -> Array:
    """Nothing: cells are dropped, at this rate, only in training.

    Args:
        x: any shape, any integer or float dtype.
        rate: the share of cells that training drops, from 0 to 1.

    Returns:
        `x` itself, not a copy.

    Raises:
        ConfigError: an `x` that is no array of numbers, or another rate.

    Source:
        N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15, 2014,
        in the form that scales the kept cells during training.

    >>> import numpy as np
    >>> dropout(np.array([1, 2]))
    array([1, 2])
    """
    checked(Dropout, rate=rate)
    return numeric("x", x)


class Dropout(Operation):
    """The identity: at inference nothing is dropped."""

    rate: float = field(number(0, 1), 0.5, "What training would drop; nothing is dropped here.")

    function = staticmethod(dropout)
    linear = True
    moves = True

    def unread(self) -> tuple[str, ...]:
        """The rate."""
        return ("rate",)

    def plan(self, x: Tensor) -> Made:
        """The same tensor."""
        return like(x, workspace=0)

    def form(self, x: Tensor) -> Form:
        """The same cell."""
        return cellwise("x", x)
