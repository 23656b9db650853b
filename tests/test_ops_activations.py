"""Activations, against the oracle within bounds that follow from each formula, and where their numbers get extreme."""

from __future__ import annotations

import math
import tracemalloc
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from conv_cases import FLOATS, INTEGERS, Array, assert_exact, assert_within, floats, integers, memory_orders
from hypothesis import given, settings, strategies as st

from convpipe.errors import ConfigError, GeometryError
from convpipe.ops.arrays.floats import TILE_CELLS
from convpipe.ops.dropout import dropout
from convpipe.ops.gelu import gelu
from convpipe.ops.leaky_relu import leaky_relu
from convpipe.ops.log_softmax import log_softmax
from convpipe.ops.relu import relu
from convpipe.ops.sigmoid import sigmoid
from convpipe.ops.softmax import softmax
from convpipe.ops.tanh import tanh
from convpipe.reference import layers as reference_layers

SEEDS = st.integers(0, 2**16)
SHAPES = st.tuples(st.integers(0, 2), st.integers(1, 4), st.integers(1, 3))
TANH_GELU = partial(gelu, approximate="tanh")
BY_CELL = [leaky_relu, sigmoid, tanh, gelu, TANH_GELU]
BY_ROW = [softmax, log_softmax]
ALL = [relu, *BY_CELL, *BY_ROW]


def bound(true: Array, dtype: Any, relative: Any, absolute: Any = 0.0) -> Array:
    """So many units of the computing float, relative to the true value and absolute, and one rounding to `dtype`."""
    eps = float(np.finfo(np.result_type(dtype, np.float32)).eps)
    result = np.finfo(dtype)
    size = np.abs(np.asarray(true, np.float64))
    return (eps * relative + float(result.eps)) * size + eps * absolute + 2 * float(result.smallest_subnormal)


def of_dtype(shape: tuple[int, ...], dtype: str, seed: int) -> Array:
    """Values of some dtype for which no function here is at its limits."""
    return integers(shape, dtype, "small", seed) if dtype in INTEGERS else floats(shape, dtype, 3, seed)


def float_of(dtype: str) -> str:
    """The dtype that a float function gives."""
    return dtype if dtype in FLOATS else "float64"


# Each cell by itself


@given(SHAPES, st.sampled_from(INTEGERS), st.sampled_from(["any", "ends"]), SEEDS)
def test_relu_keeps_integers(shape: tuple[int, ...], dtype: str, flavour: str, seed: int) -> None:
    x = integers(shape, dtype, flavour, seed)
    assert relu(x).dtype == dtype
    assert_exact(relu(x), reference_layers.relu(x))


@pytest.mark.parametrize("dtype", FLOATS)
def test_relu_of_floats(dtype: str) -> None:
    x = np.array([-1.5, -0.0, 0.0, 2.5, math.inf, -math.inf, math.nan] * 5, dtype)
    got = relu(x)
    np.testing.assert_array_equal(got, np.array([0, 0, 0, 2.5, math.inf, 0, math.nan] * 5, dtype))
    assert not np.signbit(got[:6]).any()
    assert got.dtype == dtype


@given(SHAPES, st.sampled_from(INTEGERS + FLOATS), st.sampled_from([0.01, 0.5, -1, 0]), SEEDS)
def test_leaky_relu(shape: tuple[int, ...], dtype: str, slope: float, seed: int) -> None:
    x = of_dtype(shape, dtype, seed)
    got, true = leaky_relu(x, slope), reference_layers.leaky_relu(x, slope)
    assert got.dtype == float_of(dtype)
    assert_within(got, true, bound(true, got.dtype, 2))


@given(SHAPES, st.sampled_from(INTEGERS + FLOATS), SEEDS)
@settings(max_examples=200)
def test_sigmoid_and_tanh(shape: tuple[int, ...], dtype: str, seed: int) -> None:
    x = of_dtype(shape, dtype, seed)
    for function in (sigmoid, tanh):
        got, true = function(x), getattr(reference_layers, function.__name__)(x)
        assert got.dtype == float_of(dtype)
        assert_within(got, true, bound(true, got.dtype, 6))


@given(SHAPES, st.sampled_from(INTEGERS + FLOATS), SEEDS)
@settings(max_examples=200)
def test_gelu(shape: tuple[int, ...], dtype: str, seed: int) -> None:
    x = of_dtype(shape, dtype, seed)
    got, true = gelu(x), reference_layers.gelu(x)
    assert got.dtype == float_of(dtype)
    conditioned = 16 + 2 * x.astype(np.float64) ** 2  # a rounding of x/sqrt(2) counts x**2-fold in erfc's tail
    assert_within(got, true, bound(true, got.dtype, conditioned))


@given(SHAPES, st.sampled_from(INTEGERS + FLOATS), SEEDS)
@settings(max_examples=200)
def test_gelu_by_tanh(shape: tuple[int, ...], dtype: str, seed: int) -> None:
    x = of_dtype(shape, dtype, seed)
    got, true = TANH_GELU(x), reference_layers.gelu(x, "tanh")
    # 1 + tanh cancels: its error is one of 1, times x/2
    assert_within(got, true, bound(true, got.dtype, 16, 8 * np.abs(x.astype(np.float64))))


def test_gelu_keeps_its_digits_where_it_is_tiny() -> None:
    x = np.linspace(-37, -5, 100)
    true = reference_layers.gelu(x).astype(np.float64)
    np.testing.assert_allclose(gelu(x), true, rtol=1e-12)
    assert (np.abs(gelu(x)) > 0).all()


def test_an_unknown_approximation_is_named() -> None:
    message = r"^approximate: got tanhh, expected one of none, tanh \(did you mean tanh\?\)$"
    with pytest.raises(ConfigError, match=message):
        gelu(np.zeros(1), approximate="tanhh")  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("function", "low", "high"),
    [
        (relu, 0, math.inf),
        (leaky_relu, -math.inf, math.inf),
        (sigmoid, 0, 1),
        (tanh, -1, 1),
        (gelu, math.nan, math.inf),
        (TANH_GELU, math.nan, math.inf),
    ],
)
def test_infinity_and_nan(function: Callable[[Array], Array], low: float, high: float, dtype: str) -> None:
    got = function(np.array([-math.inf, math.inf, math.nan], dtype))
    np.testing.assert_array_equal(got, np.array([low, high, math.nan], dtype))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("function", [sigmoid, tanh, gelu, TANH_GELU])
def test_extremes_are_no_nan(function: Callable[[Array], Array], dtype: str) -> None:
    most = float(np.finfo(dtype).max)
    got = function(np.array([-most, -1e4, -100, 100, 1e4, most], dtype))
    assert np.isfinite(got).all()
    assert (np.abs(got[:3]) <= 1).all()


def test_sigmoid_is_never_zero_while_a_float_can_tell() -> None:
    assert sigmoid(np.array([-740.0])) == pytest.approx(math.exp(-740), rel=0.2)  # a subnormal number


# Rows of cells


@given(st.lists(st.integers(1, 4), min_size=2, max_size=4), st.data(), st.sampled_from(INTEGERS + FLOATS), SEEDS)
@settings(max_examples=200)
def test_softmax_and_its_logarithm(shape: list[int], data: st.DataObject, dtype: str, seed: int) -> None:
    x = of_dtype(tuple(shape), dtype, seed)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    wide = x.astype(np.float64)
    below = wide.max(axis, keepdims=True) - wide  # its rounding is relative in exp, absolute in the logarithm
    true = reference_layers.softmax(x, axis)
    got = softmax(x, axis)
    assert got.dtype == float_of(dtype)
    assert_within(got, true, bound(true, got.dtype, below + shape[axis] + 8))
    true = reference_layers.log_softmax(x, axis)
    got = log_softmax(x, axis)
    assert got.dtype == float_of(dtype)
    assert_within(got, true, bound(true, got.dtype, 2, below + shape[axis] + 8))


@pytest.mark.parametrize("dtype", [*FLOATS, "int32"])
def test_large_numbers_are_harmless(dtype: str) -> None:
    x = np.array([[10000, 10000, -10000, 0], [-10000, -10000, -10000, -10000]], dtype)
    np.testing.assert_array_equal(softmax(x), [[0.5, 0.5, 0, 0], [0.25] * 4])
    log2 = np.log(2, dtype=float_of(dtype))
    expected = np.array([[0, 0, -20000, -10000], [0, 0, 0, 0]]) - np.array([[log2], [2 * log2]])
    np.testing.assert_allclose(log_softmax(x), expected, rtol=4 * np.finfo(float_of(dtype)).eps)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("function", BY_ROW)
def test_rows_with_infinity_or_nan(function: Callable[[Array], Array], dtype: str) -> None:
    inf, nan = math.inf, math.nan
    x = np.array([[inf, 1], [-inf, -inf], [nan, 1], [-inf, 1], [inf, inf]], dtype)
    last = {softmax: [0, 1], log_softmax: [-inf, 0]}[function]
    np.testing.assert_array_equal(function(x), np.array([[nan, nan], [nan, nan], [nan, nan], last, [nan, nan]], dtype))


def test_rows_add_up_to_one() -> None:
    x = floats((3, 5, 4, 4), "float64", 3, seed=1)
    np.testing.assert_allclose(softmax(x).sum(axis=1), np.ones((3, 4, 4)), rtol=1e-15 * 5)
    np.testing.assert_allclose(softmax(x, axis=-1).sum(axis=3), np.ones((3, 5, 4)), rtol=1e-15 * 5)


@pytest.mark.parametrize("function", BY_ROW)
def test_an_axis_that_is_not_there(function: Callable[..., Array]) -> None:
    with pytest.raises(GeometryError, match=r"^axis: got 2, expected a whole number from -2 to 1$"):
        function(np.zeros((2, 3)), axis=2)
    assert function(np.zeros((2, 0))).shape == (2, 0)


# Dropout


def test_dropout_is_nothing() -> None:
    x = np.array([1, 2])
    assert dropout(x) is x
    assert dropout(x, rate=0) is dropout(x, rate=1) is x


@pytest.mark.parametrize("rate", [-0.1, 1.1, math.nan])
def test_a_rate_is_a_share(rate: float) -> None:
    with pytest.raises(ConfigError, match=f"^rate: got {rate}, expected a number from 0 to 1$"):
        dropout(np.zeros(1), rate)


# What holds for all


@pytest.mark.parametrize("function", ALL)
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


@pytest.mark.parametrize("function", ALL)
@pytest.mark.parametrize("shape", [(5, 10), (5, 7, 3, 3), (5, 9, 1, 1)])
def test_a_slice_of_the_batch_gives_the_same_bits(function: Callable[[Array], Array], shape: tuple[int, ...]) -> None:
    x = np.asfortranarray(floats(shape, "float32", 2, seed=1))  # as the product of `matmul` lies
    slices = [function(x[at : at + 1]) for at in range(len(x))]
    assert np.concatenate(slices).tobytes() == function(x).tobytes()


@pytest.mark.parametrize("function", ALL)
@pytest.mark.parametrize("dtype", [*FLOATS, "int8", "uint64"])
@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 2, 2), (2, 3, 0)])
def test_empty_batches(function: Callable[[Array], Array], dtype: str, shape: tuple[int, ...]) -> None:
    got = function(np.zeros(shape, dtype))
    assert got.shape == shape
    assert got.dtype == (dtype if function is relu else float_of(dtype))


@pytest.mark.parametrize("function", ALL)
@pytest.mark.parametrize("dtype", FLOATS)
def test_nothing_is_warned_of(function: Callable[[Array], Array], dtype: str) -> None:
    info = np.finfo(dtype)
    extremes = [math.inf, -math.inf, math.nan, 1e4, -1e4, float(info.max), float(info.smallest_subnormal)]
    x = np.random.default_rng(1).choice(np.array(extremes, dtype), (50, 6))
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        function(x, overflow="inf") if function is log_softmax else function(x)


@pytest.mark.parametrize("function", BY_CELL)
def test_tiles_do_not_show(function: Callable[[Array], Array]) -> None:
    x = floats((2 * TILE_CELLS + 17,), "float32", 2, seed=1)
    parts = [function(part) for part in np.array_split(x, 5)]
    assert np.concatenate(parts).tobytes() == function(x).tobytes()


@pytest.mark.parametrize("function", [relu, *BY_CELL, softmax])
def test_memory_stays_near_the_result(function: Callable[[Array], Array]) -> None:
    x = np.ones((4, 64, 64, 64), np.float32)
    tracemalloc.start()
    try:
        result = function(x)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.5 * result.nbytes + 2**21


def test_torch_activates_the_same() -> None:
    torch = pytest.importorskip("torch")
    x = floats((4, 7, 5, 5), "float64", 4, seed=1)
    ours_and_theirs: list[tuple[Callable[[Array], Array], Callable[..., Any]]] = [
        (relu, torch.relu),
        (leaky_relu, torch.nn.functional.leaky_relu),
        (sigmoid, torch.sigmoid),
        (tanh, torch.tanh),
        (gelu, torch.nn.functional.gelu),
        (TANH_GELU, partial(torch.nn.functional.gelu, approximate="tanh")),
        (softmax, partial(torch.softmax, dim=1)),
        (log_softmax, partial(torch.log_softmax, dim=1)),
    ]
    for ours, theirs in ours_and_theirs:
        np.testing.assert_allclose(ours(x), theirs(torch.tensor(x)).numpy(), rtol=1e-13, atol=1e-14)
