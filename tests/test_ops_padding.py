"""Padding, against the lecture's page and numpy.pad."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from conv_cases import FLOATS, INTEGERS, Case, assert_exact, cases, integers, memory_orders
from hypothesis import given, settings, strategies as st

from convpipe.errors import ConfigError, GeometryError
from convpipe.ops.arrays.taps import exactly, interior
from convpipe.ops.pad import pad

IMAGE = np.arange(1, 25, dtype=np.int16).reshape(1, 2, 3, 4)


@pytest.mark.parametrize(
    ("pads", "expected"),
    [
        ([[0, 0], [0, 0]], [[1, 2], [3, 4]]),
        ([[1, 1], [0, 0]], [[0, 0], [1, 2], [3, 4], [0, 0]]),
        ([[0, 0], [1, 1]], [[0, 1, 2, 0], [0, 3, 4, 0]]),
        ([[1, 1], [1, 1]], [[0, 0, 0, 0], [0, 1, 2, 0], [0, 3, 4, 0], [0, 0, 0, 0]]),
        ([[0, 0], [2, 2]], [[0, 0, 1, 2, 0, 0], [0, 0, 3, 4, 0, 0]]),
    ],
)
def test_the_lectures_page(pads: Any, expected: list[list[int]]) -> None:
    assert pad(np.array([[[[1, 2], [3, 4]]]]), pads).tolist() == [[expected]]


def test_the_lectures_first_example() -> None:
    assert pad(np.array([[[1, 2]]]), [(1, 1)]).tolist() == [[[0, 1, 2, 0]]]


@given(cases(), st.sampled_from(INTEGERS + FLOATS))
@settings(max_examples=150)
def test_numpy_pads_the_same(case: Case, dtype: str) -> None:
    sizes, mode, value = case.sizes, case.settings["pad_mode"], case.settings["pad_value"]
    x = integers(case.input_shape, "int8", "small", 0).astype(dtype)
    keywords = {"constant_values": value} if mode == "constant" else {}
    expected = np.pad(x, [(0, 0), (0, 0), *sizes.pads], mode=mode, **keywords)
    assert_exact(pad(x, sizes.pads, mode, value), expected)


def test_nothing_to_pad_is_the_same_array() -> None:
    assert pad(IMAGE, 0) is IMAGE
    assert pad(IMAGE, [[0, 0], [0, 0]], "reflect") is IMAGE


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
def test_the_argument_is_neither_changed_nor_shared(mode: str) -> None:
    expected = pad(IMAGE, 1, mode).copy()
    for name, x in memory_orders(IMAGE):
        before = x.copy()
        padded = pad(x, 1, mode)
        assert_exact(padded, expected)
        assert not np.shares_memory(padded, x), name
        assert_exact(x, before)


def test_the_interior_is_the_input() -> None:
    padded = pad(IMAGE, [[1, 2], [0, 3]], value=9)
    assert_exact(padded[interior(((1, 2), (0, 3)), (3, 4))], IMAGE)
    assert (padded == 9).sum() == padded.size - IMAGE.size + (IMAGE == 9).sum()


def test_an_empty_batch() -> None:
    assert pad(np.zeros((0, 2, 3)), 2).shape == (0, 2, 7)
    assert pad(np.zeros((0, 2, 3)), 2, "reflect").shape == (0, 2, 7)


# Padding values


@pytest.mark.parametrize("dtype", INTEGERS)
def test_both_ends_of_an_integer_dtype_are_legal_values(dtype: str) -> None:
    info = np.iinfo(dtype)
    for value in (info.min, info.max):
        assert pad(np.zeros((1, 1, 1), dtype), 1, value=value).tolist() == [[[value, 0, value]]]


@pytest.mark.parametrize("value", [0.1, -2.5, math.inf, -math.inf, math.nan, 1e-30])
@pytest.mark.parametrize("dtype", FLOATS)
def test_a_float_value_is_rounded_to_the_dtype(dtype: str, value: float) -> None:
    padded = pad(np.zeros((1, 1, 1), dtype), 1, value=value)
    assert padded.dtype == dtype
    np.testing.assert_array_equal(padded[0, 0, [0, 2]], np.array([value, value]).astype(dtype))


@pytest.mark.parametrize(
    ("dtype", "value", "message"),
    [
        ("int8", 128, "value: got 128, expected a value that int8 holds, from -128 to 127"),
        ("uint8", -1, "value: got -1, expected a value that uint8 holds, from 0 to 255"),
        ("int16", 0.5, "value: got 0.5, expected a whole number, as the input is int16"),
        ("int16", math.nan, "value: got nan, expected a whole number, as the input is int16"),
        ("int16", math.inf, "value: got inf, expected a whole number, as the input is int16"),
        ("int16", -math.inf, "value: got -inf, expected a whole number, as the input is int16"),
        (
            "uint64",
            2.0**64,
            "value: got 1.8446744073709552e+19, expected a value that uint64 holds, from 0 to 18446744073709551615",
        ),
        ("int64", 2.0**63, None),
    ],
)
def test_a_value_the_dtype_cannot_hold(dtype: str, value: float, message: str | None) -> None:
    expected = message or f"value: got {value}, expected a value that {dtype} holds"
    with pytest.raises(GeometryError, match=f"^{re.escape(expected)}"):
        pad(np.zeros((1, 1, 1), dtype), 1, value=value)


def test_exactly_keeps_whole_floats() -> None:
    assert exactly(3.0, np.dtype(np.int8)) == 3
    assert exactly(3.0, np.dtype(np.int8)).dtype == np.int8


# What does not fit


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pad": -1}, "pad: got -1, expected a whole number from 0, 2 of them"),
        ({"pad": [1, 2, 3]}, "pad: got [1, 2, 3], expected a whole number from 0, 2 of them"),
        ({"pad": 3, "mode": "reflect"}, "pad: got [3, 3], expected at most 2 along H for reflect padding of 3"),
        ({"pad": 1, "mode": "zeros"}, "mode: got zeros, expected one of constant, reflect, edge, wrap"),
    ],
)
def test_what_does_not_fit_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        pad(IMAGE, **arguments)


def test_an_array_of_too_many_axes_is_refused() -> None:
    with pytest.raises(GeometryError, match=r"^input: got \(1, 1, 2, 2, 2, 2\), expected 4 axes"):
        pad(np.zeros((1, 1, 2, 2, 2, 2)), 1)


@pytest.mark.parametrize("word", ["same", "same_lower", "valid"])
def test_a_word_needs_a_kernel(word: str) -> None:
    message = f"^pad: got {word}, expected numbers, as a word can be worked out only with a kernel$"
    with pytest.raises(GeometryError, match=message):
        pad(IMAGE, word)
