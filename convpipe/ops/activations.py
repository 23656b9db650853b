"""Activations: functions of single cells, and softmax, which is one of a row of cells.

Unless a function says otherwise, floats keep their dtype (float16 is computed in float32), integers are computed
in float64 and give float64, NaN gives NaN, and infinity what IEEE arithmetic says. Results lie in C order and do
not depend, to the bit, on how the input lies in memory or which other images are in the batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from convpipe import geometry
from convpipe.errors import ConfigError, did_you_mean
from convpipe.ops.erf import erfc
from convpipe.ops.floating import computing_float, positive_zeros, result_float
from convpipe.tensors import Array

Approximation = Literal["none", "tanh"]
APPROXIMATIONS: tuple[Approximation, ...] = ("none", "tanh")

TILE_CELLS = 1 << 15  # so that a function's temporaries stay in the cache, and out of the plan's memory


def relu(x: Array) -> Array:
    """The cell where it is positive, else 0.

    Args:
        x: any shape, any integer or float dtype, which the result keeps.

    Returns:
        An array like `x`; -0 becomes +0.

    Source:
        V. Nair, G. Hinton, "Rectified linear units improve restricted Boltzmann machines", ICML 2010.

    >>> relu(np.array([-2, 0, 3], np.int8))
    array([0, 0, 3], dtype=int8)
    """
    return positive_zeros(np.maximum(x, 0, order="C"))  # 1.0 ms for 1.6 million cells; a masked copy 9.5


def leaky_relu(x: Array, slope: float = 0.01) -> Array:
    """The cell where it is positive, else `slope` times the cell.

    Args:
        x: any shape; dtypes as at the top of this module.
        slope: any number.

    Returns:
        An array like `x`.

    Source:
        A. Maas, A. Hannun, A. Ng, "Rectifier nonlinearities improve neural network acoustic models", 2013.

    >>> leaky_relu(np.array([-2.0, 3.0]), slope=0.5)
    array([-1.,  3.])
    """
    return by_cell(x, lambda cells: np.where(cells < 0, cells * slope, cells))


def sigmoid(x: Array) -> Array:
    """The logistic function 1 / (1 + exp(-x)), which neither overflows nor loses digits on either side.

    Args:
        x: any shape; dtypes as at the top of this module.

    Returns:
        An array like `x`, from 0 to 1.

    >>> sigmoid(np.array([-1e4, 0.0, 1e4]))
    array([0. , 0.5, 1. ])
    """
    return by_cell(x, logistic)


def tanh(x: Array) -> Array:
    """The hyperbolic tangent.

    Args:
        x: any shape; dtypes as at the top of this module.

    Returns:
        An array like `x`, from -1 to 1.

    >>> tanh(np.array([-1e4, 0.0, 1e4]))
    array([-1.,  0.,  1.])
    """
    return by_cell(x, np.tanh)


def gelu(x: Array, approximate: Approximation = "none") -> Array:
    """The cell times the probability that a standard normal variable is below it, x * Phi(x).

    Args:
        x: any shape; dtypes as at the top of this module.
        approximate: ``none``, or ``tanh`` for 0.5*x*(1 + tanh(sqrt(2/pi)*(x + 0.044715*x**3))).

    Returns:
        An array like `x`. -inf gives NaN, as -inf * 0 does and PyTorch too.

    Raises:
        ConfigError: another approximation.

    Source:
        D. Hendrycks, K. Gimpel, "Gaussian error linear units", 2016.

    >>> gelu(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-0.1587,  0.    ,  0.8413])
    """
    if approximate not in APPROXIMATIONS:
        hint = did_you_mean(str(approximate), APPROXIMATIONS)
        raise ConfigError("approximate", approximate, f"one of {', '.join(APPROXIMATIONS)}", hint)
    return by_cell(x, normal_gate if approximate == "none" else tanh_gate)


def softmax(x: Array, axis: int = 1) -> Array:
    """Probabilities in proportion to exp(x) along an axis, exp(x - max) / sum(exp(x - max)).

    Args:
        x: any shape with that axis; dtypes as at the top of this module. float16 takes twice the result's bytes
            beside it.
        axis: the axis whose cells add up to 1.

    Returns:
        An array like `x`. 1e4 and -1e4 are harmless, -inf gives 0; a row with +inf or of nothing but -inf is
        NaN, as inf - inf is and in PyTorch too.

    Raises:
        GeometryError: an axis that is not there.

    >>> softmax(np.array([[1e4, 1e4, -1e4]]))
    array([[0.5, 0.5, 0. ]])
    """
    with np.errstate(all="ignore"):
        powers = below_largest(x, axis)
        np.exp(powers, out=powers)
        powers /= powers.sum(axis, keepdims=True)
        return powers.astype(result_float(x.dtype), copy=False)


def log_softmax(x: Array, axis: int = 1) -> Array:
    """The logarithm of `softmax`, x - max - log(sum(exp(x - max))), finite where softmax itself is 0.

    Args:
        x: any shape with that axis; dtypes as at the top of this module. Takes the result's bytes beside it,
            for float16 four times as many.
        axis: the axis along which the probabilities add up to 1.

    Returns:
        An array like `x`, at most 0; NaN in the same rows as `softmax`.

    Raises:
        GeometryError: an axis that is not there.

    >>> log_softmax(np.array([[1e4, -1e4]]))
    array([[     0., -20000.]])
    """
    with np.errstate(all="ignore"):
        shifted = below_largest(x, axis)
        shifted -= np.log(np.exp(shifted).sum(axis, keepdims=True))
        return shifted.astype(result_float(x.dtype), copy=False)


def dropout(x: Array, rate: float = 0.5) -> Array:
    """Nothing: cells are dropped, at this rate, only in training.

    Args:
        x: any shape, any dtype.
        rate: the share of cells that training drops, from 0 to 1.

    Returns:
        `x` itself, not a copy.

    Raises:
        ConfigError: another rate.

    Source:
        N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15, 2014,
        in the form that scales the kept cells during training.

    >>> dropout(np.array([1, 2]))
    array([1, 2])
    """
    if not 0 <= rate <= 1:
        raise ConfigError("rate", rate, "a number from 0 to 1")
    return x


def by_cell(x: Array, function: Callable[[Array], Array]) -> Array:
    """A function of every cell, computed in `computing_float`, a tile at a time."""
    result = np.array(x, result_float(x.dtype), order="C")
    cells, wide = result.reshape(-1), computing_float(x.dtype)
    with np.errstate(all="ignore"):
        for start in range(0, cells.size, TILE_CELLS):
            tile = cells[start : start + TILE_CELLS]
            tile[...] = function(tile.astype(wide, copy=False))
    return result


def below_largest(x: Array, axis: Any) -> Array:
    """Every cell less the largest of its row, a new array of `computing_float` in C order."""
    along = geometry.axis_of(axis, x.ndim)
    shifted = np.array(x, computing_float(x.dtype), order="C")
    shifted -= shifted.max(along, keepdims=True, initial=-np.inf)
    return shifted


def logistic(x: Array) -> Array:
    """1 / (1 + exp(-x)) by the exponential that is at most 1."""
    power = np.exp(-np.abs(x))
    result: Array = np.where(x < 0, power, 1) / (1 + power)
    return result


def normal_gate(x: Array) -> Array:
    """x * Phi(x); erfc instead of 1 + erf keeps its digits where Phi is tiny."""
    return 0.5 * x * erfc(x * -math.sqrt(0.5))


def tanh_gate(x: Array) -> Array:
    """The approximation of x * Phi(x) by tanh."""
    gate: Array = 1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))
    return 0.5 * x * gate
