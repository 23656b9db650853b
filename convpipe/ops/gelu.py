"""The Gaussian error linear unit."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from convpipe.ops import Array, Operation, checked, choice, field, numeric
from convpipe.ops.arrays.floats import by_cell, result_float

Approximation = Literal["none", "tanh"]
APPROXIMATIONS: tuple[Approximation, ...] = ("none", "tanh")

erfc = np.frompyfunc(math.erfc, 1, 1)  # NumPy has none


def gelu(x: ArrayLike, approximate: Approximation = "none") -> Array:
    """The cell times the probability that a standard normal variable is below it, x * Phi(x).

    Args:
        x: any shape; dtypes as at the top of this module.
        approximate: ``none``, or ``tanh`` for 0.5*x*(1 + tanh(sqrt(2/pi)*(x + 0.044715*x**3))).

    Returns:
        An array like `x`. -inf gives NaN, as -inf * 0 does and PyTorch too.

    Raises:
        ConfigError: an `x` that is no array of numbers, or another approximation.

    Source:
        D. Hendrycks, K. Gimpel, "Gaussian error linear units", 2016.

    >>> gelu(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.1587,  0.    ,  0.8413])
    """
    x = numeric("x", x)
    [approximate] = checked(Gelu, approximate=approximate)
    return by_cell(x, normal_gate if approximate == "none" else tanh_gate)


def normal_gate(x: Array) -> Array:
    """x * Phi(x); erfc instead of 1 + erf keeps its digits where Phi is tiny."""
    tails = np.asarray(erfc(x * -math.sqrt(0.5)), x.dtype)
    gate: Array = 0.5 * x * tails
    return gate


def tanh_gate(x: Array) -> Array:
    """The approximation of x * Phi(x) by tanh."""
    gate: Array = 1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))
    return 0.5 * x * gate


class Gelu(Operation):
    """The Gaussian error linear unit."""

    approximate: Approximation = field(choice(APPROXIMATIONS), "none", "none: exact; tanh: the usual approximation.")

    function = staticmethod(gelu)
    dtype_of = staticmethod(result_float)
