"""Sums and concatenations of tensors, against the oracle."""

from __future__ import annotations

import math
import re
import warnings
from functools import reduce
from typing import Any

import numpy as np
import pytest
from conv_cases import FLOATS, INTEGERS, Array, assert_exact, assert_within, floats, integers, memory_orders
from hypothesis import given, settings, strategies as st

import convpipe as cp
from convpipe import reference
from convpipe.errors import GeometryError, ValueRangeError
from convpipe.execution.bounds import float_bound
from convpipe.ops.add import add
from convpipe.ops.arrays.sums import result_dtype
from convpipe.ops.concat import concat
from convpipe.reference import layers as reference_layers

SEEDS = st.integers(0, 2**16)
SHAPES = st.lists(st.integers(1, 3), min_size=1, max_size=5).map(tuple) | st.just((0, 3, 2))
DTYPES = st.lists(st.sampled_from(INTEGERS), min_size=1, max_size=4)
FLAVOURS = st.sampled_from(["any", "ends", "small"])


def several(shape: tuple[int, ...], dtypes: list[str], flavour: str, seed: int) -> list[Array]:
    """A tensor of each dtype."""
    return [integers(shape, dtype, flavour, seed + at) for at, dtype in enumerate(dtypes)]


# Adding


@given(SHAPES, DTYPES, FLAVOURS, SEEDS)
@settings(max_examples=500)
def test_sums_of_integers_are_exact_or_refused(
    shape: tuple[int, ...], dtypes: list[str], flavour: str, seed: int
) -> None:
    tensors = several(shape, dtypes, flavour, seed)
    target = result_dtype(*map(np.dtype, dtypes))
    true = reference_layers.add(*tensors)
    try:
        expected = reference.narrow(true, target, "error")
    except OverflowError:
        with pytest.raises(ValueRangeError, match=rf"^the exact sum -?\d+ does not fit {target}"):
            add(*tensors)
        return
    assert_exact(add(*tensors), expected)


@given(SHAPES, st.lists(st.sampled_from(FLOATS), min_size=1, max_size=4), SEEDS)
@settings(max_examples=200)
def test_sums_of_floats_are_within_the_bound(shape: tuple[int, ...], dtypes: list[str], seed: int) -> None:
    tensors = [floats(shape, dtype, 0, seed + at) for at, dtype in enumerate(dtypes)]
    got, true = add(*tensors), reference_layers.add(*tensors).astype(np.float64)
    assert got.dtype == np.result_type(*map(np.dtype, dtypes))
    size = reference_layers.add(*map(abs, tensors)).astype(np.float64)
    assert_within(got, true, float_bound(len(tensors), size, got.dtype))


def test_integers_beside_floats() -> None:
    got = add(np.array([[1, 2]], np.int8), np.array([[0.5, 0.25]], np.float16))
    assert_exact(got, np.array([[1.5, 2.25]], np.float16))
    assert_exact(add(np.array([[3]], np.int64), np.array([[0.5]], np.float32)), np.array([[3.5]]))


def test_partial_sums_may_leave_the_dtype() -> None:
    ends = [np.array([[value]], np.int8) for value in (127, 127, -128, -128)]
    assert_exact(add(*ends), np.array([[-2]], np.int8))
    big = [np.array([[value]], np.int64) for value in (2**63 - 1, 1, -1, -(2**63))]
    assert_exact(add(*big), np.array([[-1]], np.int64))
    assert_exact(add(np.array([[2**64 - 1]], np.uint64), np.array([[-(2**63)]])), np.array([[2**63 - 1]]))


@pytest.mark.parametrize("dtype", ["uint64", "int64"])
def test_sums_of_an_array_of_one_axis_are_exact(dtype: str) -> None:
    most = np.iinfo(np.int64).max
    assert add(np.array([most, 5], dtype), np.array([-1, -2])).tolist() == [most - 1, 3]
    ends = np.array([2**63, 2**63], np.uint64), np.array([-1, -(2**63)]), np.array([0, 0], dtype)
    assert add(*ends).tolist() == [2**63 - 1, 0]
    with pytest.raises(ValueRangeError, match=r"^the exact sum 9223372036854775808 does not fit int64 "):
        add(np.array([2**63 - 1]), np.array([1]))


def test_long_sums_are_made_in_float64() -> None:
    large = np.array([[60000.0]], np.float16)
    assert add(large, large, -large).tolist() == [[60000]]
    assert add(large, large, overflow="inf").tolist() == [[math.inf]]
    tenth = np.full((1, 1), 0.1, np.float32)
    assert add(*[tenth] * 1000).tolist() == [[float(np.float32(1000 * float(tenth[0, 0])))]]
    assert add(*(np.array([[part]]) for part in (1e16, 1.0, 1.0, -1e16))).tolist() == [[2.0]]


def test_one_tensor_is_copied() -> None:
    x = np.ones((1, 2))
    assert_exact(add(x), x)
    assert not np.shares_memory(add(x), x)


# Concatenation


@given(SHAPES, st.data(), DTYPES, SEEDS)
@settings(max_examples=300)
def test_concat(shape: tuple[int, ...], data: st.DataObject, dtypes: list[str], seed: int) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    lengths = data.draw(st.lists(st.integers(0, 3), min_size=len(dtypes), max_size=len(dtypes)))
    shapes = [tuple(np.where(np.arange(len(shape)) == axis % len(shape), length, shape)) for length in lengths]
    tensors = [integers(one, dtype, "small", seed) for one, dtype in zip(shapes, dtypes, strict=True)]
    got = concat(*tensors, axis=axis)
    assert got.dtype == result_dtype(*map(np.dtype, dtypes))
    assert_exact(got, reference_layers.concat(*tensors, axis=axis))


@pytest.mark.parametrize("first", [*INTEGERS, *FLOATS])
@pytest.mark.parametrize("second", [*INTEGERS, *FLOATS])
def test_no_value_is_changed_on_the_way(first: str, second: str) -> None:
    tensors = [np.array([[0, 1, 100]], dtype) for dtype in (first, second)]
    got = concat(*tensors)
    assert got.dtype == result_dtype(np.dtype(first), np.dtype(second))
    assert got.tolist() == [[0, 1, 100] * 2]


def test_a_uint64_that_int64_cannot_hold() -> None:
    fits, large = np.array([[2**63 - 1]], np.uint64), np.array([[2**63]], np.uint64)
    signed = np.array([[-1]], np.int8)
    assert concat(fits, signed).tolist() == [[2**63 - 1, -1]]
    message = r"^the value 9223372036854775808 does not fit int64, the dtype of uint64 beside signed integers$"
    with pytest.raises(ValueRangeError, match=message):
        concat(signed, large)
    assert concat(large, large).dtype == np.uint64
    mixed = np.array([[0, 2**63 + 1]], np.uint64)  # one that would fit is no excuse
    with pytest.raises(ValueRangeError, match=r"^the value 9223372036854775809 does not fit int64"):
        cp.concat(mixed, signed)


# What holds for both


@pytest.mark.parametrize("function", [add, concat])
@pytest.mark.parametrize("dtype", ["int8", "float16", "float64"])
def test_arguments_are_unchanged_and_their_memory_order_does_not_matter(function: Any, dtype: str) -> None:
    values = integers((3, 4, 5, 6), "int8", "small", 1).astype(dtype)
    expected = function(values, values)
    for name, x in memory_orders(values):
        before = x.copy()
        got = function(x, values)
        assert_exact(got, expected)
        assert not np.shares_memory(got, x), name
        assert_exact(x, before)


@pytest.mark.parametrize("dtype", FLOATS)
def test_nothing_is_warned_of(dtype: str) -> None:
    x = np.array([[math.inf, -math.inf, math.nan, float(np.finfo(dtype).max)]], dtype)
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        np.testing.assert_array_equal(add(x, -x), np.array([[math.nan, math.nan, math.nan, 0]], dtype))
        np.testing.assert_array_equal(
            add(x, x, overflow="inf"), np.array([[math.inf, -math.inf, math.nan, math.inf]], dtype)
        )
        np.testing.assert_array_equal(concat(x, x, axis=0), [x[0], x[0]])


@pytest.mark.parametrize(
    ("function", "shapes", "message"),
    [
        (add, [], "tensors: got nothing, expected at least one"),
        (add, [(1, 2), (1, 3)], "tensors: got (1, 3), expected the shape (1, 2) of the first"),
        (add, [(1, 2), (1, 1)], "tensors: got (1, 1), expected the shape (1, 2) of the first"),
        (concat, [], "tensors: got nothing, expected at least one"),
        (concat, [(1, 2, 3), (1, 2, 4)], "tensors: got (1, 2, 4), expected the shape (1, 2, 3) of the first, but for"),
        (concat, [(1,)], "axis: got 1, expected a whole number from -1 to 0"),
    ],
)
def test_shapes_that_do_not_fit_are_named(function: Any, shapes: list[tuple[int, ...]], message: str) -> None:
    with pytest.raises(GeometryError, match=f"^{re.escape(message)}"):
        function(*map(np.zeros, shapes))


def test_torch_joins_the_same() -> None:
    torch = pytest.importorskip("torch")
    tensors = several((2, 3, 4, 4), ["int16"] * 3, "small", 1)
    theirs = [torch.tensor(tensor) for tensor in tensors]
    assert_exact(add(*tensors), reduce(torch.add, theirs).numpy())
    assert_exact(concat(*tensors), torch.cat(theirs, dim=1).numpy())
    assert_exact(concat(*tensors, axis=-1), torch.cat(theirs, dim=-1).numpy())
