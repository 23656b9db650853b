"""Random legal settings of every operation against the oracle and SciPy: CONVPIPE_CASES=5000 for as many of each."""

from __future__ import annotations

import os
from itertools import product
from typing import Any

import numpy as np
import pytest
from conv_cases import FLOATS, INTEGERS, Case, assert_exact, assert_within, cases, floats, integers
from hypothesis import HealthCheck, given, settings, strategies as st
from test_conv_transpose import TransposedCase, transposed_cases

from convpipe import reference
from convpipe.execution.bounds import float_bound
from convpipe.execution.functions import conv, conv_grad, conv_transpose

CASES = int(os.environ.get("CONVPIPE_CASES", "50"))
SEEDS = st.integers(0, 2**32 - 1)
LOWERINGS = st.sampled_from(["im2col", "implicit"])
Array = np.ndarray[Any, Any]
many = settings(max_examples=CASES, suppress_health_check=list(HealthCheck))


def drawn(shapes: tuple[tuple[int, ...], ...], dtype: str, seed: int) -> list[Array]:
    """Small whole numbers, or floats of many magnitudes."""
    if dtype in FLOATS:
        return [floats(shape, dtype, 0, seed + at) for at, shape in enumerate(shapes)]
    return [integers(shape, dtype, "small", seed + at) for at, shape in enumerate(shapes)]


def output_shape(case: Case) -> tuple[int, ...]:
    """(N, F, out...)."""
    return (case.sizes.batch, case.sizes.filters, *case.sizes.out)


# Whole numbers: exact


@given(cases(), st.sampled_from(INTEGERS), st.sampled_from(INTEGERS), LOWERINGS, SEEDS)
@many
def test_whole_convolutions(case: Case, dtype: str, of_weights: str, lowering: str, seed: int) -> None:
    x, bias = drawn((case.input_shape, case.filters_shape[:1]), dtype, seed)
    (w,) = drawn((case.filters_shape,), of_weights, seed + 2)
    got = conv(x, w, bias, dtype="int64", lowering=lowering, **case.settings)
    assert_exact(got, reference.conv(x, w, bias, **case.settings))


@given(transposed_cases(), st.sampled_from(INTEGERS), st.sampled_from(INTEGERS), SEEDS)
@many
def test_whole_transposed_convolutions(case: TransposedCase, dtype: str, of_weights: str, seed: int) -> None:
    x, bias = drawn((case.input_shape, (case.sizes.channels,)), dtype, seed)
    (w,) = drawn((case.filters_shape,), of_weights, seed + 2)
    got = conv_transpose(x, w, bias, dtype="int64", **case.settings)
    assert_exact(got, reference.conv_transpose(x, w, bias, **case.settings))


@given(cases(), st.sampled_from(INTEGERS), SEEDS)
@many
def test_whole_gradients(case: Case, dtype: str, seed: int) -> None:
    x, w, grad = drawn((case.input_shape, case.filters_shape, output_shape(case)), dtype, seed)
    got = conv_grad(x, w, grad, dtype="int64", **case.settings)
    for of_one, expected in zip(got, reference.conv_grad(x, w, grad, **case.settings), strict=True):
        assert_exact(of_one, expected)


# Floats: within K and sum|x||w|


@given(cases(), st.sampled_from(FLOATS), LOWERINGS, SEEDS)
@many
def test_float_convolutions(case: Case, dtype: str, lowering: str, seed: int) -> None:
    x, w, bias = drawn((case.input_shape, case.filters_shape, case.filters_shape[:1]), dtype, seed)
    bound = float_bound(case.sizes.taps, reference.magnitude(x, w, bias, **case.settings), dtype)
    got = conv(x, w, bias, lowering=lowering, **case.settings)
    assert got.dtype == dtype
    assert_within(got, reference.conv(x, w, bias, **case.settings), bound)


@given(transposed_cases(), st.sampled_from(FLOATS), SEEDS)
@many
def test_float_transposed_convolutions(case: TransposedCase, dtype: str, seed: int) -> None:
    x, w, bias = drawn((case.input_shape, case.filters_shape, (case.sizes.channels,)), dtype, seed)
    magnitude = reference.conv_transpose(abs(x), abs(w), abs(bias), **case.settings)
    got = conv_transpose(x, w, bias, **case.settings)
    true = reference.conv_transpose(x, w, bias, **case.settings)
    assert_within(got, true, float_bound(case.terms, magnitude, dtype))


@given(cases(), st.sampled_from(FLOATS), SEEDS)
@many
def test_float_gradients(case: Case, dtype: str, seed: int) -> None:
    operands = drawn((case.input_shape, case.filters_shape, output_shape(case)), dtype, seed)
    got = conv_grad(*operands, **case.settings)
    true = reference.conv_grad(*operands, **case.settings)
    absolute = {**case.settings, "pad_value": abs(case.settings["pad_value"])}
    magnitudes = reference.conv_grad(*map(np.abs, operands), **absolute)
    ones = [np.ones(operand.shape, np.int64) for operand in operands]
    counts = reference.conv_grad(
        *ones, **{**absolute, "pad_value": 1 if case.settings["pad_mode"] == "constant" else 0}
    )
    for of_one, expected, magnitude, count in zip(got, true, magnitudes, counts, strict=True):
        taps = int(count.max()) if count.size else 0
        assert_within(of_one, expected, float_bound(taps, magnitude, dtype))


# SciPy


@given(cases(), SEEDS)
@many
def test_scipy_correlates_the_same(case: Case, seed: int) -> None:
    x, w = drawn((case.input_shape, case.filters_shape), "int64", seed)
    assert_exact(conv(x, w, **case.settings), correlated(case, x, w))


@given(transposed_cases(), SEEDS)
@many
def test_scipy_convolves_the_same(case: TransposedCase, seed: int) -> None:
    x, w = drawn((case.input_shape, case.filters_shape), "int64", seed)
    assert_exact(conv_transpose(x, w, **case.settings), spread_and_convolved(case, x, w))


def correlated(case: Case, x: Array, w: Array) -> Array:
    """A convolution by scipy.signal: NumPy pads, zeros between the taps dilate, slices stride."""
    signal = pytest.importorskip("scipy.signal")
    sizes, mode = case.sizes, case.settings["pad_mode"]
    filled = {"constant_values": case.settings["pad_value"]} if mode == "constant" else {}
    padded = np.pad(x, ((0, 0), (0, 0), *sizes.pads), mode, **filled) if any(map(any, sizes.pads)) else x
    every = tuple(slice(None, None, stride) for stride in sizes.stride)
    result = np.zeros(output_shape(case), np.int64)
    kernels, depth = apart(w, sizes.dilation), w.shape[1]
    for n, f, c in product(range(sizes.batch), range(sizes.filters), range(depth)):
        channel = f * sizes.groups // sizes.filters * depth + c
        result[n, f] += signal.correlate(padded[n, channel], kernels[f, c], "valid", "direct")[every]
    return result


def spread_and_convolved(case: TransposedCase, x: Array, w: Array) -> Array:
    """A transposed convolution by scipy.signal: zeros between the cells stride, the full convolution is cropped."""
    signal = pytest.importorskip("scipy.signal")
    sizes = case.sizes
    cells, kernels, depth = apart(x, sizes.stride), apart(w, sizes.dilation), w.shape[1]
    result = np.zeros(sizes.input_shape, np.int64)
    for n, c, f in product(range(x.shape[0]), range(x.shape[1]), range(depth)):
        full = signal.convolve(cells[n, c], kernels[c, f], "full", "direct")
        grown = np.pad(full, [(0, max(-after, 0)) for _, after in sizes.pads])
        kept = tuple(slice(before, before + size) for (before, _), size in zip(sizes.pads, sizes.spatial, strict=True))
        result[n, c * sizes.groups // x.shape[1] * depth + f] += grown[kept]
    return result


def apart(values: Array, steps: tuple[int, ...]) -> Array:
    """Spatial axes with zeros between the cells.

    The third axis on are spatial: apart([1, 2], steps=3) is [1, 0, 0, 2].
    """
    spatial = [(size - 1) * step + 1 for size, step in zip(values.shape[2:], steps, strict=True)]
    result = np.zeros((*values.shape[:2], *spatial), values.dtype)
    result[(..., *(slice(None, None, step) for step in steps))] = values
    return result


def test_the_comparison_sees_a_wrong_cell() -> None:
    case = Case((1, 1, 4), (1, 1, 2), {"pad_mode": "constant", "pad_value": 0, "pad": 1})
    x, w = drawn((case.input_shape, case.filters_shape), "int64", 1)
    wrong = correlated(case, x, w)
    wrong[0, 0, 3] += 1
    with pytest.raises(AssertionError, match=r"at \(0, 0, 3\)"):
        assert_exact(conv(x, w, **case.settings), wrong)
