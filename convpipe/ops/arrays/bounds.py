"""How far the floats of a right run may lie from their true values: what the rules of the operations are made of.

This is running error analysis (J. H. Wilkinson; N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd
edition, SIAM 2002, sections 3.1 and 3.3). Beside each array there goes another of errors: each cell of any right run,
whatever the machine, lies within its error of one value, the true one. So two right runs lie within twice that of each
other, and whatever cell one of them has, the other's is at most `Bounded.size`.

An operation says what becomes of that: of the errors of its inputs, by how far its function can spread them, and by its
own roundings. NumPy's exp, log and tanh are not rounded correctly; see `FUNCTION_ULPS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from convpipe.ops.arrays.floats import computing_float
from convpipe.tensors import FLOAT_DTYPES, Array, Sizes

# How many units in the last place NumPy's exp, log, tanh and power may be off. Its notes of 1.17 promise 2.52 and 3.83
# for exp and log of float32; measured here over 9 million values each, with and without AVX-512 and AVX2, were at most
# 2.42 (exp), 3.77 (log), 2.16 (tanh) of float32 and 0.73, 0.61, 2.16, 0.71 (power) of float64.
FUNCTION_ULPS = 8
FUNCTION_ROUNDINGS = 2 * FUNCTION_ULPS  # each of half a unit
# The least number of full digits, of float16 that of float32: what is below may be made 0 by some processors' exp.
TINY = {np.dtype(name): float(np.finfo(computing_float(np.dtype(name))).tiny) for name in FLOAT_DTYPES}
SMALL = 2.0**-600  # times any float64: products and sums of such do not overflow
Function = Callable[[Array], Array]


@dataclass(frozen=True)
class Bounded:
    """An array of a run, and how far each cell of any right run may lie from its true value."""

    values: Array
    error: Array  # float64, from 0; 0 where every machine gives the same bits, infinity where nothing is known

    @classmethod
    def exactly(cls, values: Array) -> Bounded:
        """An array that is the same everywhere."""
        return cls(values, no_error(values.shape))

    @cached_property
    def exact(self) -> bool:
        """Whether every machine gives the same bits."""
        return not self.error.any()

    @property
    def size(self) -> Array:
        """The largest magnitude of each cell in any right run, float64."""
        sizes = np.abs(self.values, dtype=np.float64)
        return np.asarray(sizes if self.exact else np.add(sizes, 2 * self.error, out=sizes))

    @property
    def low(self) -> Array:
        """The least that each cell is in any right run."""
        return np.asarray(self.values - 2 * self.error)

    @property
    def high(self) -> Array:
        """The most that each cell is in any right run."""
        return np.asarray(self.values + 2 * self.error)


def no_error(shape: Sizes) -> Array:
    """Errors that are all 0, in the memory of one."""
    return np.broadcast_to(0.0, shape)


# Rounding


def float_bound(taps: int, magnitude: Array, dtype: Any) -> Array:
    """How far a float convolution may lie from the true value, whatever the order of its sum.

    A sum of K products has an error of at most gamma_K * sum|x||w|, where gamma_n = n*u / (1 - n*u) and u is the
    unit roundoff of the accumulator (N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd edition,
    SIAM 2002, section 3.1). Two more roundings go into gamma_(K+2): adding the bias, and those in the oracle and
    in this bound. Beside that: rounding to `dtype`, and for each product and the result the spacing of the
    subnormals, since below them a relative bound does not hold.

    Args:
        taps: K, how many products one sum has.
        magnitude: sum|x||w| + |bias| of each sum.
        dtype: float16, float32 or float64, of the result. Sums are made in it, float16's in float32, or wider;
            operands must be exact in there.

    Returns:
        An array like `magnitude`, float64; infinity where a partial sum may overflow.

    >>> float(float_bound(1, np.array(1.0), "float64")) < 5e-16
    True
    """
    return rounding(magnitude, dtype, taps + 2, subnormals=taps + 1)


def rounding(
    magnitude: Array, dtype: Any, roundings: float, wide: Any = None, subnormals: float | None = None
) -> Array:
    """How far so many roundings of a float that is computed in, and one to `dtype`, may move results.

    Args:
        magnitude: of each result, or of all that it is the sum of.
        wide: the float that is computed in; by default `dtype`, of float16 float32.
        subnormals: how many of the roundings may be of results that are that small; by default all.

    Returns:
        An array like `magnitude`, float64; infinity where a result may overflow, and of infinity and NaN.
    """
    result, computing = np.finfo(dtype), np.finfo(computing_float(np.dtype(dtype)) if wide is None else wide)
    units = roundings * float(computing.eps) / 2
    gamma = units / (1 - units) if units < 1 else np.inf
    sizes = np.asarray(magnitude, np.float64)
    count = roundings if subnormals is None else subnormals
    tiny = count * float(computing.smallest_subnormal) + float(result.smallest_subnormal)
    with np.errstate(over="ignore", invalid="ignore"):
        errors = gamma * sizes + (1 + gamma) * sizes * float(result.eps) / 2 + tiny
        return np.where(sizes + errors < float(result.max), errors, np.inf)


def known(errors: Array) -> Array:
    """Errors of which none is NaN, as infinity less infinity is, and 0 times infinity: nothing is known there."""
    if errors.size and np.isnan(errors.min()):
        return np.where(np.isnan(errors), np.inf, errors)
    return errors


# Sums


def product_error(
    products: Callable[..., Array],
    dtype: np.dtype[Any],
    taps: int,
    x: Bounded,
    w: Bounded,
    bias: Bounded | None = None,
) -> Array:
    """The error of sums of products, and of the bias that is added to each.

    |x'w' - xw| is at most |x|E_w + E_x|w| + E_x E_w; here `Bounded.size`, which holds 2E, stands for |x| and |w|, as it
    has to for whatever another right run has.

    Args:
        products: the operation itself, on float64 arrays.
        dtype: of the result.
        taps: how many products one sum has.
    """
    there = (x, w) if bias is None else (x, w, bias)

    def of(part: Callable[[Bounded], Array]) -> Array:
        return products(part(x), w.size, None if bias is None else part(bias))

    if all(each.exact for each in there):
        sizes = of(lambda each: each.size)
        smaller = partial(of, lambda each: each.size * SMALL)
        return local_error(sizes, dtype, there, float_bound(taps, sizes, dtype), smaller)
    unit = float(float_bound(taps, np.ones(()), dtype))  # what rounding does to a sum of magnitude 1
    error = of(lambda each: each.error + unit * each.size)  # one product for both, as it takes most of the time
    error += float_bound(taps, np.zeros(()), dtype)
    if not w.exact:
        error += products(x.size, w.error, None)
    return np.where(error / unit + error < float(np.finfo(dtype).max), error, np.inf)


def sum_error(
    sums: Callable[..., Array], dtype: np.dtype[Any], local: Callable[[Array], Array], *terms: Bounded
) -> Array:
    """The error of sums of what is read, or of means.

    Args:
        sums: the operation itself, on float64 arrays.
        dtype: of the result.
        local: from the sums of magnitudes, what their rounding may do.
    """
    with np.errstate(all="ignore"):
        sizes = sums(*(term.size for term in terms))
        error = local_error(sizes, dtype, terms, local(sizes), lambda: sums(*(term.size * SMALL for term in terms)))
        if not all(term.exact for term in terms):
            error += known(sums(*(term.error for term in terms)))
    return error


def total_rounding(sizes: Array, dtype: Any, terms: int, of: np.dtype[Any]) -> Array:
    """How far sums or means of so many floats of a dtype may lie from the true ones that are summed as in `total`.

    Those of float64 are so exact as if they had been rounded once; that of the quotient, and one to spare, go beside.
    """
    eps = float(np.finfo(np.float64).eps)
    roundings = 3 + terms**2 * eps if of == np.float64 else 2 * terms + 2
    return rounding(sizes, dtype, roundings, np.float64)


def local_error(
    sizes: Array, dtype: np.dtype[Any], terms: Sequence[Bounded], rounded: Array, smaller: Callable[[], Array]
) -> Array:
    """What rounding may do to sums: nothing where they are exact, or have an infinity or a NaN among their terms.

    Args:
        smaller: the same as `sizes` of terms that are all so small that their sums do not overflow. Where those are
            finite and `sizes` are not, it is the order of a sum that decides whether it is infinity, NaN or neither.
    """
    nothing = exact_sums(sizes, dtype, terms)
    if not (finite := np.isfinite(sizes)).all():
        nothing |= ~(finite | np.isfinite(smaller()))
    return np.where(nothing, 0, rounded)


def exact_sums(sizes: Array, dtype: np.dtype[Any], terms: Sequence[Bounded]) -> Array:
    """Which sums are of whole numbers that no partial sum rounds, given the sums of their magnitudes.

    What is rounded at the end alone is so alike everywhere.
    """
    dtypes = [term.values.dtype for term in terms]
    if not all(term.exact for term in terms):
        return np.zeros(sizes.shape, bool)
    if all(each.kind in "iu" for each in dtypes):
        return np.ones(sizes.shape, bool)
    if not all(whole(term.values) for term in terms):
        return np.zeros(sizes.shape, bool)
    mantissa = np.finfo(np.result_type(dtype, *dtypes, np.float32)).nmant + 1
    return np.asarray(sizes <= 2.0**mantissa)


def whole(values: Array) -> bool:
    """Whether all values are whole numbers.

    >>> whole(np.array([1.0, -3.0])), whole(np.array([0.5])), whole(np.array([np.inf]))
    (True, False, False)
    """
    return values.dtype.kind in "iu" or bool(np.all(np.isfinite(values) & (values == np.trunc(values))))


# Functions of single cells


def monotone_error(x: Bounded, function: Function, slope: Any = 1.0) -> Array:
    """What a function that only grows makes of errors: no more than its slope does, nor than its values allow.

    Where a cell is below 0 in every right run, `relu` gives 0 in each.
    """
    low, high = function(x.low), function(x.high)
    with np.errstate(invalid="ignore"):
        span = high - low + 2.0**-50 * (np.abs(high) + np.abs(low))
    return np.where(np.isinf(x.error), np.inf, np.fmin(slope * x.error, span))


def cell_error(made: Array, spread: Array, roundings: float, wide: Any, absolute: Array | float = 0) -> Array:
    """The error of a function of each cell that was made of others.

    Args:
        made: its values in this run.
        spread: what the errors of its input do to it.
        roundings: of the float it is computed in, relative to its values.
        wide: that float.
        absolute: what its own roundings do beside that.
    """
    values = np.abs(made.astype(np.float64))
    once = rounding(values, made.dtype, roundings, wide)
    sizes = values + 2 * (spread + absolute + once)  # in any right run
    return np.asarray(spread + absolute + rounding(sizes, made.dtype, roundings, wide))
