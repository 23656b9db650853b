"""Results that leave the range of floats on the way alone: right values, and no more memory than the plan promises."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest

import convpipe as cp
from convpipe.execution import functions, pipeline
from convpipe.ops import OPERATIONS, Tensor
from convpipe.ops.kinds.operation import workspace_of
from convpipe.tensors import Array

NOISE = 1 << 13  # bytes of Python's own objects


def one(*numbers: float, dtype: str = "float64") -> list[Array]:
    """Each number as an array of one cell."""
    return [np.array([number], dtype) for number in numbers]


# Values


@pytest.mark.parametrize(
    ("dtype", "x", "scale", "shift", "mean", "variance", "expected"),
    [
        ("float64", 1e308, 1e-162, 0, -1e308, 1, 2e146),  # the difference is too large, the scale small
        ("float64", 1e300, 1e-200, 0, 0, 1e300, 1e-50),  # scale / root is too small
        ("float64", 2.0**-1022, 2.0**800, 0, 0, 2.0**-700, 2.0**128),  # and too large
        ("float64", 2.0**-1074, 2.0**900, 0, 0, 2.0**-400, 2.0**26),
        ("float64", -1.5e308, 0.0, 3e-308, 1e308, 1e-200, 3e-308),  # a shift beside nothing keeps its digits
        ("float32", 1e38, 1e-30, 0, 0, 1e30, 1e-7),  # of a subnormal factor few digits would be left
        ("float32", 1e38, 1e-26, 0, 0, 1e36, 1e-6),
        ("float32", 2.0**-120, 2.0**100, 1, 0, 2.0**-100, 2.0**30),
    ],
)
@pytest.mark.parametrize("overflow", ["error", "saturate"])
def test_a_factor_may_leave_the_range_of_a_batch_norm(
    dtype: str, x: float, scale: float, shift: float, mean: float, variance: float, expected: float, overflow: Any
) -> None:
    parameters = one(scale, shift, mean, variance, dtype=dtype)
    found = cp.batch_norm(np.array([[x, 0.0]], dtype).reshape(1, 1, 2), *parameters, epsilon=0, overflow=overflow)
    assert math.isclose(found[0, 0, 0], expected, rel_tol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize(
    ("dtype", "x", "alpha", "beta", "k", "expected"),
    [
        ("float32", 1e15, 1, 1.5, 1, 1e-30),  # the power is too large for float32
        ("float64", 1e100, 1, 1.6, 1, 1e-220),  # and for float64
        ("float64", 1e-170, 1, 0.5, 0, 1),  # the square is too small for float64
        ("float64", 1e-160, 1, 0.5, 0, 1),  # or has few digits there
        ("float64", -3e200, 1, 0.5, 0, -1),  # too large
        ("float64", -1e308, 1e30, 0.5, 1, -1e-15),
        ("float64", 5.0, 0, 1.5, 4, 0.625),
        ("float64", 1e-140, 1e-60, 0.5, 0, 1e30),
        ("float64", 0.0, 1e30, 2.2, 1e-200, 0),
        ("float16", 1e-3, 3e-300, 0.01, 0, 1.1e0),
    ],
)
def test_squares_and_powers_may_leave_the_range_of_a_normalisation(
    dtype: str, x: float, alpha: float, beta: float, k: float, expected: float
) -> None:
    cell = np.array([[[x]]], dtype)
    if dtype == "float16":  # by logarithms, in which nothing leaves any range
        expected = 10 ** (
            math.log10(float(cell[0, 0, 0])) - beta * (math.log10(3e-300) + 2 * math.log10(cell[0, 0, 0]))
        )
    found = cp.local_response_norm(cell, 1, alpha, beta, k)
    assert math.isclose(found[0, 0, 0], expected, rel_tol=max(1e-12, 4 * np.finfo(dtype).eps))


def test_a_division_by_zero_of_a_normalisation_is_ieees() -> None:
    found = cp.local_response_norm(np.array([[[0.0], [0.0]], [[1.0], [0.0]]]), 1, 1, 1, 0)
    np.testing.assert_array_equal(found, [[[np.nan], [np.nan]], [[1.0], [np.nan]]])


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
@pytest.mark.parametrize("mean", [2**62, 2.0**62, np.float32(2.0**62)])
def test_large_integers_are_normalised_by_their_exact_difference(dtype: str, mean: float) -> None:
    x, unit = np.array([[[2**62 + 1, 2**62 - 3, 0]]], dtype), np.ones(1)
    found = cp.batch_norm(x, unit, 0 * unit, np.array([mean]), unit, epsilon=0)
    assert found.tolist() == [[[1.0, -3.0, -(2.0**62)]]]
    odd = cp.batch_norm(x, unit, 0 * unit, np.array([math.inf]), unit, epsilon=0)
    assert odd.tolist() == [[[-math.inf] * 3]]


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
@pytest.mark.parametrize("function", [cp.softmax, lambda x: np.exp(cp.log_softmax(x))])
def test_softmax_tells_large_integers_apart(dtype: str, function: Callable[[Array], Array]) -> None:
    far = np.iinfo(dtype).max - np.array([[0, 1, 2], [5, 5, np.iinfo(dtype).max]], dtype)
    near = np.array([[0.0, -1.0, -2.0], [0.0, 0.0, -np.inf]])
    expected = np.exp(near) / np.exp(near).sum(1, keepdims=True)
    np.testing.assert_allclose(function(far), expected, rtol=1e-14)


def test_softmax_spans_all_of_int64() -> None:
    ends = np.array([[-(2**63), 2**63 - 1]])
    assert cp.log_softmax(ends).tolist() == [[-float(2**64), 0.0]]


# Memory

FLOATS = ("float16", "float32", "float64")


def cells(dtype: str, odd: float, *shape: int) -> Array:
    """Large numbers whose sums overflow, or ones with some infinities or NaN among them."""
    signs = np.random.default_rng(1).choice([1, 1, -1], shape)
    if math.isfinite(odd):
        return (signs * np.finfo(dtype).max).astype(dtype)
    found = signs.astype(dtype)
    found.flat[::997] = odd
    return found


def check_peak(run: Callable[[], Array], planned: int) -> None:
    """A run allocates no more than that."""
    tracemalloc.start()
    try:
        run()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= planned + NOISE, f"{peak:,} bytes, {planned:,} planned"


LAYERS: dict[str, dict[str, Any]] = {
    "add": {},
    "avg_pool": {"kernel": 3, "stride": 1},
    "global_avg_pool": {},
    "local_response_norm": {},
    "log_softmax": {},
    "batch_norm": {},
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("odd", [0.0, math.inf, math.nan])
def test_layers_that_settle_keep_their_promise(name: str, dtype: str, odd: float) -> None:
    x = cells(dtype, odd, 1, 3, 150, 150)
    operation = OPERATIONS.get("", name)(**LAYERS[name], overflow="saturate")
    inputs, sides = [x, x] if name == "add" else [x], {}
    if name == "batch_norm":
        sides = {role: np.full(3, np.finfo(dtype).max, dtype) for role in ("scale", "shift", "mean", "variance")}
    planned_inputs = [Tensor("x", each.shape, each.dtype, ("N", "C", "H", "W")) for each in inputs]
    made = operation.plan(*planned_inputs, **{role: Tensor(role, (3,), x.dtype, ("F",)) for role in sides})
    result = math.prod(made.shape) * made.dtype.itemsize
    check_peak(lambda: operation.run(*inputs, **sides), result + workspace_of(made, planned_inputs))


STAGES = ("conv", "implicit", "conv_transpose", "grad_input", "grad_weights", "grad_bias")
ON_THE_WAY = ("conv_transpose", "grad_input")  # where float64 has no wider float to saturate from


@pytest.mark.parametrize(
    ("name", "dtype", "odd"),
    [
        (name, dtype, odd)
        for name, dtype, odd in product(STAGES, FLOATS, (0.0, math.inf))
        if name not in ON_THE_WAY or dtype != "float64" or odd
    ],
)
@pytest.mark.parametrize("shape", [(2, 8, 60, 60), (1, 1, 200, 200)])
def test_stages_that_settle_keep_their_promise(name: str, dtype: str, odd: float, shape: tuple[int, ...]) -> None:
    x, w = cells(dtype, odd, *shape), cells(dtype, odd, 6, shape[1], 3, 3)
    arrays, settings = functions.given(x, w), functions.read_settings({"pad": 1, "dtype": None, "overflow": "saturate"})
    if name == "conv_transpose":
        arrays = functions.given(x, cells(dtype, odd, shape[1], 4, 3, 3), cells(dtype, odd, 4))
    elif name.startswith("grad"):
        arrays["grad"] = cells(dtype, odd, shape[0], 6, *shape[2:])
    lowering = "implicit" if name == "implicit" else "im2col" if name == "conv" else None
    operation = None if lowering else name
    plan = functions.planned(replace(settings, operation=operation), arrays, lowering)
    tensors = dict(arrays)
    for step in plan.steps:
        operands = [tensors[role] for role in step.needs]
        settling = 2 << 20 if "mat" in step.op or "gemm" in step.op else 0  # of a product, which no plan counts
        if step.op == "col2im":  # nor this
            settling = 8 * (2 * math.prod(shape[2:]) + 6 * math.prod(step.makes.shape[2:]))
        check_peak(partial(step.run, *operands), step.makes.bytes + step.workspace + settling)
        tensors[step.makes.name] = step.run(*operands)
    assert pipeline.output(plan, arrays).shape == plan.output.shape
