"""Pooling, against the oracle, by hand, and against PyTorch where it is installed."""

from __future__ import annotations

import math
import re
import tracemalloc
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conv_cases import FLOATS, INTEGERS, Array, assert_exact, assert_within, floats, integers, memory_orders
from hypothesis import given, settings, strategies as st
from pool_cases import PoolCase, pool_cases

from convpipe.errors import GeometryError
from convpipe.execution.bounds import float_bound
from convpipe.ops.avg_pool import avg_pool
from convpipe.ops.global_avg_pool import global_avg_pool
from convpipe.ops.global_max_pool import global_max_pool
from convpipe.ops.max_pool import max_pool
from convpipe.reference import layers as reference_layers

SEEDS = st.integers(0, 2**16)
IMAGE = np.arange(1, 25, dtype=np.int16).reshape(1, 2, 3, 4)
POOLS: list[tuple[Callable[..., Array], dict[str, Any]]] = [
    (max_pool, {"kernel": 2, "pad": 1, "ceil_mode": True}),
    (avg_pool, {"kernel": 2, "pad": 1, "ceil_mode": True}),
    (global_max_pool, {}),
    (global_avg_pool, {}),
]


# Max pooling


@given(pool_cases(), st.sampled_from(INTEGERS), st.sampled_from(["any", "ends", "small"]), SEEDS)
@settings(max_examples=500)
def test_max_pool_of_integers(case: PoolCase, dtype: str, flavour: str, seed: int) -> None:
    x = integers(case.input_shape, dtype, flavour, seed)
    got = max_pool(x, **case.settings)
    assert got.dtype == dtype
    assert_exact(got, reference_layers.max_pool(x, **case.settings))


@given(pool_cases(), st.sampled_from(FLOATS), SEEDS)
@settings(max_examples=200)
def test_max_pool_of_floats(case: PoolCase, dtype: str, seed: int) -> None:
    x = floats(case.input_shape, dtype, 0, seed)
    got = max_pool(x, **case.settings)
    assert got.dtype == dtype
    assert_exact(got, reference_layers.max_pool(x, **case.settings))


@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
def test_padding_never_wins(dtype: str) -> None:
    least = -math.inf if dtype in FLOATS else np.iinfo(dtype).min
    lowest = np.full((1, 1, 3), least, dtype)
    assert max_pool(lowest, 2, stride=1, pad=1).tolist() == [[[least] * 4]]


def test_a_dilated_window_of_nothing_but_padding_gives_what_torch_gives() -> None:
    assert max_pool(np.ones((1, 1, 1)), 2, pad=1, dilation=2).tolist() == [[[-math.inf]]]
    assert max_pool(np.ones((1, 1, 1), np.int8), 2, pad=1, dilation=2).tolist() == [[[-128]]]


@pytest.mark.parametrize("dtype", FLOATS)
def test_nan_wins_and_infinities_are_numbers(dtype: str) -> None:
    x = np.array([[[1, math.nan, 2, 3, -math.inf, -math.inf, math.inf, 0]]], dtype)
    got = max_pool(x, 2)
    np.testing.assert_array_equal(got, np.array([[[math.nan, 3, -math.inf, math.inf]]], dtype))
    np.testing.assert_array_equal(max_pool(x[..., ::-1], 2), got[..., ::-1])
    assert np.isnan(global_max_pool(x)).all()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("cells", [[0.0, -0.0], [-0.0, 0.0], [-0.0, -0.0]])
def test_a_zero_has_one_sign_whichever_came_first(dtype: str, cells: list[float]) -> None:
    x = np.array([[cells * 20]], dtype)
    assert not np.signbit(max_pool(x, 2)).any()
    assert not np.signbit(global_max_pool(x)).any()


def test_overhanging_windows_by_hand() -> None:
    x = np.array([[[1, 2, 3, 4, 5]]])
    assert max_pool(x, 2).tolist() == [[[2, 4]]]
    assert max_pool(x, 2, ceil_mode=True).tolist() == [[[2, 4, 5]]]
    assert max_pool(-x, 3, stride=2, pad=1, ceil_mode=True).tolist() == [[[-1, -2, -4]]]
    assert max_pool(x[..., :2], 3, stride=2, ceil_mode=True).tolist() == [[[2]]]


# Mean pooling


@given(pool_cases(), st.booleans(), st.sampled_from(INTEGERS), SEEDS)
@settings(max_examples=400)
def test_avg_pool_of_integers(case: PoolCase, include: bool, dtype: str, seed: int) -> None:
    x = integers(case.input_shape, dtype, "small", seed)
    got = avg_pool(x, **case.settings, count_include_pad=include)
    assert got.dtype == np.float64
    assert_exact(got, reference_layers.avg_pool(x, **case.settings, count_include_pad=include))


@given(pool_cases(), st.booleans(), st.sampled_from(FLOATS), SEEDS)
@settings(max_examples=300)
def test_avg_pool_of_floats(case: PoolCase, include: bool, dtype: str, seed: int) -> None:
    x = floats(case.input_shape, dtype, 0, seed)
    chosen = case.settings | {"count_include_pad": include}
    got = avg_pool(x, **chosen)
    assert got.dtype == dtype
    bound = float_bound(case.sizes.taps, reference_layers.avg_pool(abs(x), **chosen), dtype)
    assert_within(got, reference_layers.avg_pool(x, **chosen), bound)


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
@pytest.mark.parametrize("flavour", ["any", "ends", "small"])
def test_means_of_any_integers_are_rounded_once(dtype: str, flavour: str) -> None:
    x = integers((2, 3, 7, 7), dtype, flavour, seed=3)
    assert_exact(avg_pool(x, 3), reference_layers.avg_pool(x, 3))
    assert_exact(avg_pool(x // 2, [2, 1]), reference_layers.avg_pool(x // 2, [2, 1]))  # within int64, beyond 2**53
    assert_exact(global_avg_pool(x), reference_layers.avg_pool(x, 7))


@pytest.mark.parametrize(
    ("settings_", "include", "exclude"),
    [
        ({"kernel": 2, "stride": 2, "pad": 1}, [0.5, 2.5, 4.5], [1, 2.5, 4.5]),  # 0 1 | 2 3 | 4 5 | (0)
        ({"kernel": 2, "stride": 2, "ceil_mode": True}, [1.5, 3.5, 5], [1.5, 3.5, 5]),  # 5 and an overhang
        ({"kernel": 3, "stride": 2, "pad": 1, "ceil_mode": True}, [1, 3, 3], [1.5, 3, 4.5]),
        ({"kernel": 3, "stride": 3, "pad": 1, "ceil_mode": True}, [1, 4], [1.5, 4]),
        ({"kernel": 4, "stride": 3, "pad": 1, "ceil_mode": True}, [1.5, 3.0], [2, 4]),  # 3 4 5 0 : no overhang
        ({"kernel": 4, "stride": 3, "pad": [[2, 0]], "ceil_mode": True}, [0.75, 3.5], [1.5, 3.5]),
    ],
)
def test_what_a_window_is_divided_by(settings_: dict[str, Any], include: list[float], exclude: list[float]) -> None:
    x = np.array([[[1.0, 2, 3, 4, 5]]])
    assert avg_pool(x, **settings_).tolist() == [[include]]
    assert avg_pool(x, **settings_, count_include_pad=False).tolist() == [[exclude]]


def test_padding_and_overhang_in_one_window() -> None:
    x = np.array([[[4.0, 8]]])  # pad 1: 0 4 8 0; windows of 3 by 2: 0 4 8 | 8 0 and one cell beyond
    assert avg_pool(x, 3, stride=2, pad=1, ceil_mode=True).tolist() == [[[4, 4]]]
    assert avg_pool(x, 3, stride=2, pad=1, ceil_mode=True, count_include_pad=False).tolist() == [[[6, 8]]]


def test_means_of_float16_do_not_overflow_on_their_way() -> None:
    assert avg_pool(np.full((1, 1, 64), 60000, np.float16), 64).tolist() == [[[60000]]]
    assert global_avg_pool(np.full((1, 1, 64), 60000, np.float16)).tolist() == [[[60000]]]


@pytest.mark.parametrize("dtype", FLOATS)
def test_means_of_what_is_no_number(dtype: str) -> None:
    x = np.array([[[1, math.nan, math.inf, 0, math.inf, -math.inf]]], dtype)
    np.testing.assert_array_equal(avg_pool(x, 2), np.array([[[math.nan, math.inf, math.nan]]], dtype))


# Global pooling


@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 3, 4, 5), (1, 2, 2, 3, 4), (0, 2, 3, 3)])
@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
def test_global_pooling_is_pooling_with_one_window(shape: tuple[int, ...], dtype: str) -> None:
    x = integers(shape, "int8" if dtype.startswith(("i", "f")) else "uint8", "small", seed=1).astype(dtype)
    whole = list(shape[2:])
    assert_exact(global_max_pool(x), reference_layers.max_pool(x, whole))
    assert global_max_pool(x).dtype == dtype
    expected = reference_layers.avg_pool(x, whole).astype(dtype if dtype in FLOATS else "float64")
    assert_exact(global_avg_pool(x), expected)


@pytest.mark.parametrize("dtype", FLOATS)
def test_global_means_of_floats(dtype: str) -> None:
    x = floats((2, 3, 20, 30), dtype, 0, seed=2)
    size = reference_layers.avg_pool(abs(x), (20, 30))
    assert_within(global_avg_pool(x), reference_layers.avg_pool(x, (20, 30)), float_bound(600, size, dtype))


@pytest.mark.parametrize("function", [global_max_pool, global_avg_pool])
@pytest.mark.parametrize("shape", [(1, 1, 0, 2), (0, 1, 0)])
def test_an_axis_without_cells_has_no_largest(function: Callable[..., Array], shape: tuple[int, ...]) -> None:
    with pytest.raises(GeometryError, match=rf"^input: got {re.escape(str(shape[2:]))}, expected at least 1 along"):
        function(np.zeros(shape))


# What holds for all


@pytest.mark.parametrize(("function", "given_"), POOLS)
@pytest.mark.parametrize("dtype", ["int8", "float16", "float32", "float64"])
def test_the_argument_is_unchanged_and_its_memory_order_does_not_matter(
    function: Callable[..., Array], given_: dict[str, Any], dtype: str
) -> None:
    values = floats((3, 4, 5, 6), "float64", 4, seed=1).astype(dtype)
    expected = function(values, **given_)
    for name, x in memory_orders(values):
        before = x.copy()
        got = function(x, **given_)
        assert got.tobytes() == expected.tobytes(), name
        assert not np.shares_memory(got, x), name
        assert_exact(x, before)


@pytest.mark.parametrize(("function", "given_"), POOLS)
def test_a_slice_of_the_batch_gives_the_same_bits(function: Callable[..., Array], given_: dict[str, Any]) -> None:
    x = np.moveaxis(floats((3, 5, 6, 7), "float32", 0, seed=1), 0, 1)  # as `channels_first` of a product lies
    slices = [function(x[at : at + 1], **given_) for at in range(len(x))]
    assert np.concatenate(slices).tobytes() == function(x, **given_).tobytes()


@pytest.mark.parametrize(("function", "given_"), POOLS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_nothing_is_warned_of(function: Callable[..., Array], given_: dict[str, Any], dtype: str) -> None:
    extremes = [math.inf, -math.inf, math.nan, float(np.finfo(dtype).max), float(np.finfo(dtype).smallest_subnormal)]
    x = np.random.default_rng(1).choice(np.array(extremes, dtype), (2, 3, 6, 6))
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        function(x, **given_)


@pytest.mark.parametrize("function", [max_pool, avg_pool])
@pytest.mark.parametrize("dtype", ["int8", "float16", "float32"])
def test_memory_stays_near_the_result(function: Callable[..., Array], dtype: str) -> None:
    x = np.ones((4, 8, 128, 128), dtype)
    tracemalloc.start()
    try:
        result = function(x, 3, stride=1, pad=1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    sums = 0 if function is max_pool else 8 * result.size  # in float64
    assert peak < 2 * result.nbytes + sums + 2**19


# PyTorch


def test_torch_pools_the_same() -> None:
    torch = pytest.importorskip("torch")
    generator = np.random.default_rng(7)
    for _ in range(600):
        rank = int(generator.integers(1, 4))
        kernel = [int(taps) for taps in generator.integers(1, 5, rank)]
        stride = [int(step) for step in generator.integers(1, 5, rank)]
        pad = [int(generator.integers(0, taps // 2 + 1)) for taps in kernel]
        dilation = [int(step) for step in generator.integers(1, 4, rank)]
        ceil_mode, include = (bool(flag) for flag in generator.integers(0, 2, 2))
        spatial = [
            step * (taps - 1) + 1 + int(generator.integers(0, 6)) for taps, step in zip(kernel, dilation, strict=True)
        ]
        x = generator.integers(-9, 10, (2, 2, *spatial)).astype(np.float64)
        theirs = getattr(torch.nn.functional, f"max_pool{rank}d")
        expected = theirs(torch.tensor(x), kernel, stride, pad, dilation, ceil_mode).numpy()
        assert_exact(max_pool(x, kernel, stride, pad, dilation, ceil_mode), expected)
        theirs = getattr(torch.nn.functional, f"avg_pool{rank}d")
        expected = theirs(torch.tensor(x), kernel, stride, pad, ceil_mode, include).numpy()
        np.testing.assert_allclose(avg_pool(x, kernel, stride, pad, ceil_mode, include), expected, rtol=1e-14)
