"""Normalisation, against exact fractions within derived bounds."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conv_cases import FLOATS, INTEGERS, Array, assert_exact, assert_within, floats, integers, memory_orders
from hypothesis import given, settings, strategies as st

import convpipe as cp
from convpipe.errors import ConfigError, GeometryError
from convpipe.ops.batch_norm import batch_norm
from convpipe.ops.local_response_norm import local_response_norm
from convpipe.reference import layers as reference_layers

SEEDS = st.integers(0, 2**16)
SHAPES = st.lists(st.integers(1, 4), min_size=2, max_size=5).map(tuple) | st.just((0, 3, 2))


def parameters(channels: int, dtype: str, seed: int) -> dict[str, Array]:
    """A scale, shift, mean and variance for each channel."""
    values = {name: floats((channels,), dtype, 1, seed + at) for at, name in enumerate(("scale", "shift", "mean"))}
    return values | {"variance": abs(floats((channels,), dtype, 1, seed + 3)) + np.dtype(dtype).type(0.5)}


def of_dtype(shape: tuple[int, ...], dtype: str, seed: int) -> Array:
    """Values of some dtype."""
    return integers(shape, dtype, "small", seed) if dtype in INTEGERS else floats(shape, dtype, 1, seed)


def columns_of(values: Array, rank: int) -> Array:
    """(C,) as (C, 1, 1), float64."""
    return values.astype(np.float64).reshape(-1, *[1] * (rank - 2))


# Batch normalisation


@given(SHAPES, st.sampled_from(INTEGERS + FLOATS), st.sampled_from(FLOATS), SEEDS)
@settings(max_examples=300)
def test_batch_norm(shape: tuple[int, ...], dtype: str, other: str, seed: int) -> None:
    x, given_ = of_dtype(shape, dtype, seed), parameters(shape[1], other, seed)
    got, true = batch_norm(x, **given_), reference_layers.batch_norm(x, **given_)
    assert got.dtype == np.result_type(np.dtype(dtype), np.dtype(other))
    scale, shift, mean, variance = (columns_of(values, x.ndim) for values in given_.values())
    # (|x| + |mean|)*|factor| + |shift| is the size of what is added; six roundings reach it
    size = (abs(x.astype(np.float64)) + abs(mean)) * abs(scale) / np.sqrt(variance) + abs(shift)
    eps = float(np.finfo(np.result_type(got.dtype, np.float32)).eps)
    info = np.finfo(got.dtype)
    rounding = float(info.eps) * abs(true) + 2 * float(info.smallest_subnormal)
    assert_within(got, true, 4 * eps * size + rounding)


def test_batch_norm_of_whole_numbers_is_exact() -> None:
    x = integers((2, 3, 4, 5), "int8", "any", seed=1)
    given_ = {"scale": [1, 2, 4], "shift": [0, 1, -1], "mean": [3, 0, -7], "variance": [1, 4, 16]}
    arrays = {name: np.array(values) for name, values in given_.items()}
    got = batch_norm(x, **arrays, epsilon=0)
    assert got.dtype == np.float64
    expected = x - np.array([3, 0, -7])[:, None, None] + np.array([0, 1, -1])[:, None, None]
    assert_exact(got, expected.astype(np.float64))


def test_a_large_mean_costs_no_digits() -> None:
    x = np.array([[[1e8 + 8, 1e8 - 8]]], np.float32)
    one = np.ones(1, np.float32)
    assert batch_norm(x, one, 0 * one, one * np.float32(1e8), one, epsilon=0).tolist() == [[[8, -8]]]


def test_parameters_that_do_not_fit_are_named() -> None:
    good = parameters(3, "float64", 1)
    for name in good:
        message = rf"^{name}: got \(2,\), expected the shape \(3,\), one value per channel$"
        with pytest.raises(GeometryError, match=message):
            batch_norm(np.zeros((1, 3, 2)), **(good | {name: np.ones(2)}))
    with pytest.raises(ConfigError, match=r"^variance: got -2\.0, expected numbers from 0$"):
        batch_norm(np.zeros((1, 3)), **(good | {"variance": np.array([1, -2.0, math.nan])}))
    for epsilon in (-1e-5, math.nan):
        with pytest.raises(ConfigError, match=rf"^epsilon: got {epsilon}, expected a number from 0$"):
            batch_norm(np.zeros((1, 3)), **good, epsilon=epsilon)


def test_no_variance_at_all_is_what_ieee_says() -> None:
    one = np.ones(1)
    got = batch_norm(np.array([[[1.0, 2.0, 0.0]]]), one, one, one, 0 * one, epsilon=0)
    np.testing.assert_array_equal(got, [[[math.nan, math.inf, -math.inf]]])


# Local response normalisation


@given(SHAPES, st.integers(1, 7), st.sampled_from(INTEGERS + FLOATS), SEEDS)
@settings(max_examples=300)
def test_local_response_norm(shape: tuple[int, ...], size: int, dtype: str, seed: int) -> None:
    x = of_dtype(shape, dtype, seed)
    chosen = {"size": size, "alpha": 0.3, "beta": 0.75, "k": 2.0}
    got, true = local_response_norm(x, **chosen), reference_layers.local_response_norm(x, **chosen)
    assert got.dtype == (dtype if dtype in FLOATS else np.float64)
    eps, info = float(np.finfo(np.result_type(got.dtype, np.float32)).eps), np.finfo(got.dtype)
    # sums of positive numbers: size + 4 roundings, a power of 3/4 of their error, its own and a quotient
    bound = ((size + 8) * eps + float(info.eps)) * abs(true) + 2 * float(info.smallest_subnormal)
    assert_within(got, true, bound)


def test_the_defaults_are_the_papers_with_k_as_in_pytorch() -> None:
    x = np.arange(1.0, 13).reshape(1, 12, 1)
    true = reference_layers.local_response_norm(x, size=5, alpha=1e-4, beta=0.75, k=1)
    np.testing.assert_allclose(cp.local_response_norm(x), true, rtol=1e-14)
    assert cp.local_response_norm(x, alpha=0).tolist() == x.tolist()


@pytest.mark.parametrize(
    ("size", "windows"),
    [
        (1, [[0], [1], [2], [3]]),
        (2, [[0], [0, 1], [1, 2], [2, 3]]),  # one more before than after, as in PyTorch
        (3, [[0, 1], [0, 1, 2], [1, 2, 3], [2, 3]]),
        (4, [[0, 1], [0, 1, 2], [0, 1, 2, 3], [1, 2, 3]]),
        (9, [[0, 1, 2, 3]] * 4),
    ],
)
def test_windows_by_hand(size: int, windows: list[list[int]]) -> None:
    x = np.array([[[1.0], [2.0], [4.0], [8.0]]])
    got = local_response_norm(x, size=size, alpha=size, beta=1, k=0)
    expected = [x[0, at, 0] / sum(x[0, cell, 0] ** 2 for cell in window) for at, window in enumerate(windows)]
    assert got[0, :, 0].tolist() == expected


@pytest.mark.parametrize("size", [0, -1, 2.0, True])
def test_a_size_is_a_whole_number(size: Any) -> None:
    with pytest.raises(ConfigError, match=f"^size: got {re.escape(str(size))}, expected a whole number from 1$"):
        local_response_norm(np.zeros((1, 3, 2)), size=size)
    with pytest.raises(GeometryError, match=r"^input: got \(3,\), expected at least 2 axes, N and C$"):
        local_response_norm(np.zeros(3))


# What holds for both


def normal(x: Array) -> Array:
    """Batch normalisation by some parameters."""
    return batch_norm(x, **parameters(x.shape[1], "float32", 1))


@pytest.mark.parametrize("function", [normal, local_response_norm])
@pytest.mark.parametrize("dtype", ["int8", "float16", "float32", "float64"])
def test_the_argument_is_unchanged_and_its_memory_order_does_not_matter(
    function: Callable[[Array], Array], dtype: str
) -> None:
    values = floats((3, 4, 5, 6), "float64", 4, seed=1).astype(dtype)
    expected = function(values)
    for name, x in memory_orders(values):
        before = x.copy()
        got = function(x)
        assert got.tobytes() == expected.tobytes(), name
        assert not np.shares_memory(got, x), name
        assert_exact(x, before)


@pytest.mark.parametrize("function", [normal, local_response_norm])
def test_a_slice_of_the_batch_gives_the_same_bits(function: Callable[[Array], Array]) -> None:
    x = np.asfortranarray(floats((5, 7, 3, 3), "float32", 2, seed=1))
    slices = [function(x[at : at + 1]) for at in range(len(x))]
    assert np.concatenate(slices).tobytes() == function(x).tobytes()


@pytest.mark.parametrize("function", [normal, local_response_norm])
@pytest.mark.parametrize("dtype", FLOATS)
def test_nothing_is_warned_of(function: Callable[[Array], Array], dtype: str) -> None:
    info = np.finfo(dtype)
    extremes = [math.inf, -math.inf, math.nan, 1.0, float(info.max), float(info.smallest_subnormal)]
    x = np.random.default_rng(1).choice(np.array(extremes, dtype), (50, 6))
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        assert np.isnan(function(x)[np.isnan(x)]).all()


def test_torch_normalises_the_same() -> None:
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    for shape in [(2, 7, 3), (2, 7, 3, 4), (2, 7, 2, 3, 4)]:
        x, given_ = floats(shape, "float64", 2, seed=1), parameters(7, "float64", 2)
        scale, shift, mean, variance = (torch.tensor(values) for values in given_.values())
        theirs = functional.batch_norm(torch.tensor(x), mean, variance, scale, shift, eps=1e-3)
        np.testing.assert_allclose(batch_norm(x, **given_, epsilon=1e-3), theirs.numpy(), rtol=1e-12, atol=1e-14)
        for size in range(1, 9):
            theirs = functional.local_response_norm(torch.tensor(x), size, alpha=0.2, beta=0.6, k=1.5)
            ours = local_response_norm(x, size, alpha=0.2, beta=0.6, k=1.5)
            np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-13)
