"""Flattening and dense layers: exact for integers, within the bound of a sum for floats."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from conv_cases import FLOATS, INTEGERS, assert_exact, assert_within, floats, integers, memory_orders
from hypothesis import given, settings, strategies as st

from convpipe import reference
from convpipe.errors import GeometryError, ValueRangeError
from convpipe.execution.bounds import float_bound
from convpipe.ops.arrays.sums import result_dtype
from convpipe.ops.dense import dense
from convpipe.ops.flatten import flatten
from convpipe.reference import layers as reference_layers

SEEDS = st.integers(0, 2**16)
SIZES = st.tuples(st.integers(0, 3), st.integers(0, 6), st.integers(1, 4))


# Flattening


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (2, 3, 4, 5), (2, 3, 2, 2, 2), (0, 3, 4, 5), (0, 3), (2, 3, 0)])
@pytest.mark.parametrize("dtype", ["int8", "float16", "uint64"])
def test_rows_are_in_c_order(shape: tuple[int, ...], dtype: str) -> None:
    x = integers(shape, "int8", "small", 1).astype(dtype)
    expected = reference_layers.flatten(x)
    assert_exact(flatten(x), expected)
    for _, other in memory_orders(x):
        assert_exact(flatten(other), expected)


def test_a_view_where_possible() -> None:
    x = np.zeros((2, 3, 4, 5))
    assert np.shares_memory(flatten(x), x)
    assert np.shares_memory(flatten(x[::2]), x)
    assert not np.shares_memory(flatten(x.swapaxes(2, 3)), x)


# Dense


@given(SIZES, st.sampled_from(INTEGERS), st.sampled_from(INTEGERS), st.sampled_from(["any", "ends", "small"]), SEEDS)
@settings(max_examples=300)
def test_integers_are_exact(sizes: tuple[int, int, int], first: str, second: str, flavour: str, seed: int) -> None:
    batch, inputs, outputs = sizes
    x, weights = integers((batch, inputs), first, flavour, seed), integers((inputs, outputs), second, flavour, seed + 1)
    bias = integers((outputs,), second, flavour, seed + 2) if seed % 2 else None
    target = result_dtype(x.dtype, weights.dtype)
    expected = reference.narrow(reference_layers.dense(x, weights, bias), target, "wrap")
    assert_exact(dense(x, weights, bias, overflow="wrap"), expected)


@given(SIZES, st.sampled_from(FLOATS), SEEDS)
@settings(max_examples=200)
def test_floats_are_within_the_bound(sizes: tuple[int, int, int], dtype: str, seed: int) -> None:
    batch, inputs, outputs = sizes
    x, weights = floats((batch, inputs), dtype, 0, seed), floats((inputs, outputs), dtype, 0, seed + 1)
    bias = floats((outputs,), dtype, 0, seed + 2)
    got = dense(x, weights, bias)
    assert got.dtype == dtype
    size = reference_layers.dense(abs(x), abs(weights), abs(bias))
    assert_within(got, reference_layers.dense(x, weights, bias), float_bound(inputs, size, dtype))


def test_a_sum_that_does_not_fit() -> None:
    x, weights = np.array([[100, 100]], np.int8), np.ones((2, 1), np.int8)
    with pytest.raises(ValueRangeError, match=r"^the exact sum 200 does not fit int8"):
        dense(x, weights)
    assert dense(x, weights, overflow="saturate").tolist() == [[127]]
    assert dense(x, weights, overflow="wrap").tolist() == [[-56]]
    assert dense(x, weights, dtype="int16").tolist() == [[200]]


def test_arguments_are_unchanged_and_their_memory_order_does_not_matter() -> None:
    values, weights, bias = (integers(shape, "int16", "small", 1) for shape in ((3, 8), (8, 4), (4,)))
    expected = dense(values, weights, bias)
    for _, x in memory_orders(values):
        for _, w in memory_orders(weights):
            before = x.copy(), w.copy()
            assert_exact(dense(x, w, bias), expected)
            assert_exact(x, before[0])
            assert_exact(w, before[1])


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((2, 3, 4), (3, 2), (2,)), "input: got (2, 3, 4), expected 2 axes (N, in); a flatten layer before it"),
        (((2, 3), (2, 3), (3,)), "weights: got (2, 3), expected the shape (3, out), one row per input"),
        (((2, 3), (3, 4), (3,)), "bias: got (3,), expected the shape (4,), one value per output"),
    ],
)
def test_shapes_that_do_not_fit_are_named(shapes: tuple[tuple[int, ...], ...], message: str) -> None:
    arrays: list[Any] = [np.zeros(shape) for shape in shapes]
    with pytest.raises(GeometryError, match=f"^{re.escape(message)}"):
        dense(*arrays)


def test_torch_multiplies_the_same() -> None:
    torch = pytest.importorskip("torch")
    x, weights, bias = (integers(shape, "int8", "small", 1).astype(np.float64) for shape in ((3, 2, 4), (8, 5), (5,)))
    rows = torch.flatten(torch.tensor(x), 1)
    theirs = torch.nn.functional.linear(rows, torch.tensor(weights.T.copy()), torch.tensor(bias)).numpy()
    assert_exact(dense(flatten(x), weights, bias), theirs)
