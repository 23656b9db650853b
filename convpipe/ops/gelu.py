"""The Gaussian error linear unit."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from convpipe.ops import Array, Form, Operation, Tensor, cellwise, checked, choice, field, numeric
from convpipe.ops.arrays.bounds import FUNCTION_ROUNDINGS, Bounded, cell_error
from convpipe.ops.arrays.floats import by_cell, computing_float, result_float

Approximation = Literal["none", "tanh"]
APPROXIMATIONS: tuple[Approximation, ...] = ("none", "tanh")

STEEPEST = 1.13  # both slopes are at most 1.1290, near x = 1.4, and at least -0.1290
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

    varies = True
    function = staticmethod(gelu)
    dtype_of = staticmethod(result_float)

    def error(self, made: Array, x: Bounded) -> Array:
        """Times the steepest slope, and what its own roundings do.

        ``none``: erfc(a) of a = -x/sqrt(2), which two roundings move by 2u times a erfc'(a) / erfc(a), at most
        2a**2 + 1 = x**2 + 1 below 0 and 1 above (M. Abramowitz, I. Stegun, Handbook of Mathematical Functions, 7.1.13);
        then its own, and those of two products. ``tanh``: its argument z has at most eight roundings, and z times the
        slope of tanh at z is at most 0.45; where 1 + tanh loses all digits, those of tanh are still of size 1.
        """
        sizes, wide = x.size, computing_float(x.values.dtype)
        unit = float(np.finfo(wide).eps) / 2
        if self.approximate == "none":
            conditions = 1 + np.square(np.minimum(x.low, 0))
            roundings = FUNCTION_ROUNDINGS + 3
            own = 2 * unit * conditions * (np.abs(made.astype(np.float64)) + 2 * STEEPEST * x.error)
        else:
            roundings = 3
            own = 0.5 * sizes * unit * (FUNCTION_ROUNDINGS + 0.45 * 8 + 2)
        return cell_error(made, STEEPEST * x.error, roundings, wide, own)

    def form(self, x: Tensor) -> Form:
        """The cell times the probability of less, or what is close to that."""
        if self.approximate == "none":
            return cellwise("x * Phi(x)", x)
        return cellwise("0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x * x * x)))", x, pi=math.pi)
