"""Checks of single settings: what passes, how it comes out, and what the refusal says."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from convpipe.config.settings import size_in_bytes
from convpipe.errors import ConfigError
from convpipe.fields import (
    Check,
    anything,
    choice,
    dtype_name,
    field,
    join,
    number,
    one_or_several,
    optional,
    read,
    several,
    text,
    truth,
    whole,
)
from convpipe.sources.kinds.ranges import fits
from convpipe.tensors import DTYPES, FLOAT_DTYPES, INTEGER_DTYPES, exact_range


def refusal(expected: str) -> str:
    """A pattern for the whole of a message."""
    return f"^{re.escape(expected)}$"


# Single values


@pytest.mark.parametrize(
    ("check", "value", "result"),
    [
        (whole(), -5, -5),
        (whole(1), 1, 1),
        (whole(0, 9), 9, 9),
        (whole(), np.uint8(7), 7),
        (number(), 1.5, 1.5),
        (number(), 2.0, 2),
        (number(), 2**60 + 1, 2**60 + 1),
        (number(0, 1), 0, 0),
        (truth, True, True),
        (truth, False, False),
        (text, "a", "a"),
        (choice(["a", "b"]), "b", "b"),
        (dtype_name, "float16", "float16"),
        (optional(whole(1)), None, None),
        (optional(whole(1)), 3, 3),
        (several(whole(1)), [1, 2], (1, 2)),
        (several(whole(1)), (1,), (1,)),
        (one_or_several(whole(1)), 3, 3),
        (one_or_several(whole(1)), [3, 4], (3, 4)),
        (anything, [1, [2, (3,)]], (1, (2, (3,)))),
        (anything, "same", "same"),
        (anything, None, None),
    ],
)
def test_what_passes(check: Check, value: Any, result: Any) -> None:
    passed = check("key", value)
    assert passed == result
    assert type(passed) is type(result)


@pytest.mark.parametrize(
    ("check", "value", "message"),
    [
        (whole(), 1.0, "key: got 1.0, expected a whole number"),
        (whole(), True, "key: got True, expected a whole number"),
        (whole(), "1", "key: got '1', expected a whole number"),
        (whole(), None, "key: got nothing, expected a whole number"),
        (whole(1), 0, "key: got 0, expected a whole number from 1"),
        (whole(0, 9), 10, "key: got 10, expected a whole number from 0 to 9"),
        (whole(high=9), 10, "key: got 10, expected a whole number to 9"),
        (number(), math.nan, "key: got nan, expected a number"),
        (number(), math.inf, "key: got inf, expected a number"),
        (number(), False, "key: got False, expected a number"),
        (number(), "x", "key: got x, expected a number"),
        (number(0), -0.5, "key: got -0.5, expected a number from 0"),
        (number(0, 1), 1.5, "key: got 1.5, expected a number from 0 to 1"),
        (truth, 1, "key: got 1, expected true or false"),
        (truth, "true", "key: got 'true', expected true or false"),
        (text, "", "key: got nothing, expected a text"),
        (text, 3, "key: got 3, expected a text"),
        (
            choice(["reflect", "edge"]),
            "reflct",
            "key: got reflct, expected one of reflect, edge (did you mean reflect?)",
        ),
        (choice(["reflect", "edge"]), 7, "key: got 7, expected one of reflect, edge"),
        (choice(["reflect", "edge"]), ["x"], "key: got ['x'], expected one of reflect, edge"),
        (choice(["int8"]), "bool", "key: got bool, expected one of int8"),
        (optional(whole(1)), 0, "key: got 0, expected a whole number from 1"),
        (several(whole(1)), [], "key: got [], expected a list of at least one value"),
        (several(whole(1)), 3, "key: got 3, expected a list of at least one value"),
        (several(whole(1)), "ab", "key: got ab, expected a list of at least one value"),
        (several(whole(1)), [1, 0], "key[1]: got 0, expected a whole number from 1"),
        (one_or_several(whole(1)), 0, "key: got 0, expected a whole number from 1"),
        (one_or_several(whole(1)), [2, "x"], "key[1]: got x, expected a whole number from 1"),
    ],
)
def test_what_is_refused(check: Check, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=refusal(message)):
        check("key", value)


@pytest.mark.parametrize("value", [np.int16(3), np.uint64(2**64 - 1), np.float32(0.5), np.float64(0.5)], ids=repr)
def test_numpys_numbers_are_numbers(value: Any) -> None:
    assert number()("key", value) == value  # for example pad_value=x.min()


@pytest.mark.parametrize("check", [whole(), whole(1), number()])
@pytest.mark.parametrize("value", [np.array([1, 2]), np.array([])], ids=repr)
def test_an_array_is_refused(check: Check, value: Any) -> None:
    with pytest.raises(ConfigError, match=r"^key: got "):
        check("key", value)


@pytest.mark.parametrize("value", [10**400, -(10**400)], ids=["plus", "minus"])
def test_a_number_too_large_for_a_float_is_judged_not_a_crash(value: int) -> None:
    try:
        assert number()("key", value) == value
    except ConfigError as error:
        assert str(error).startswith("key: got ")  # noqa: PT017


# Sizes in bytes


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (1, 1),
        (2**40, 2**40),
        ("7", 7),
        ("7B", 7),
        ("500MB", 500_000_000),
        ("500 mb", 500_000_000),
        (" 2GiB ", 2**31),
        ("1.5k", 1500),
        ("1TiB", 2**40),
        ("1e3", 1000),
    ],
)
def test_sizes(value: Any, size: int) -> None:
    assert size_in_bytes("key", value) == size


@pytest.mark.parametrize(
    "value", [0, -1, True, 1.5, None, "", "GB", "2XB", "2 apples", "-2GB", "nan", "inf", "1e400", "0"]
)
def test_what_is_no_size(value: Any) -> None:
    expected = f"key: got {fields_shown(value)}, expected a size such as 500MB, 2GiB or a whole number of bytes"
    with pytest.raises(ConfigError, match=refusal(expected)):
        size_in_bytes("key", value)


def fields_shown(value: Any) -> str:
    """How an error names these values."""
    return "nothing" if value in (None, "") else str(value)


@pytest.mark.parametrize("value", ["0.4B", "0.0001k"])
def test_less_than_a_byte_is_no_size(value: str) -> None:
    with pytest.raises(ConfigError, match=r"^key: got "):
        size_in_bytes("key", value)


@given(st.integers(1, 2**50))
def test_bare_numbers_of_bytes_come_back(size: int) -> None:
    assert size_in_bytes("key", size) == size == size_in_bytes("key", str(size))


# What a dtype holds


@pytest.mark.parametrize("dtype", INTEGER_DTYPES)
def test_the_exact_range_of_integers(dtype: str) -> None:
    info = np.iinfo(dtype)
    assert exact_range(np.dtype(dtype)) == (info.min, info.max)


@pytest.mark.parametrize(("dtype", "bits"), [("float16", 11), ("float32", 24), ("float64", 53)])
def test_the_exact_range_of_floats_ends_where_a_digit_is_lost(dtype: str, bits: int) -> None:
    low, high = exact_range(np.dtype(dtype))
    assert (low, high) == (-(2**bits), 2**bits)
    assert int(np.array(high - 1).astype(dtype)) == high - 1
    assert int(np.array(high + 1).astype(dtype)) != high + 1


def test_fits() -> None:
    assert fits("key", -128, np.dtype("int8")) == -128
    assert fits("key", 2**64 - 1, np.dtype("uint64")) == 2**64 - 1
    message = "key: got 128, expected a whole number that int8 holds exactly, from -128 to 127"
    with pytest.raises(ConfigError, match=refusal(message)):
        fits("key", 128, np.dtype("int8"))
    with pytest.raises(ConfigError, match=r"^key: got 2049, .* float16 holds exactly, from -2048 to 2048$"):
        fits("key", 2049, np.dtype("float16"))


def test_dtype_lists_agree_with_numpy() -> None:
    assert [np.dtype(name).name for name in DTYPES] == list(DTYPES)
    assert set(DTYPES) == set(INTEGER_DTYPES) | set(FLOAT_DTYPES)


# Whole dataclasses


@dataclass(frozen=True)
class Ranges:
    """What the tests read."""

    low: int = field(whole())
    high: int = field(whole(0), default=8)
    sizes: tuple[int, ...] | None = field(optional(several(whole(1))), default=None)


def test_read_fills_defaults_and_normalises() -> None:
    assert read(Ranges, "input", {"low": 3}) == Ranges(3, 8, None)
    assert read(Ranges, "input", {"low": -3, "sizes": [1, 2], "high": 0}) == Ranges(-3, 0, (1, 2))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "input.low: got nothing, expected a value for it"),
        ({"low": "x"}, "input.low: got x, expected a whole number"),
        ({"low": 1, "high": -1}, "input.high: got -1, expected a whole number from 0"),
        ({"low": 1, "sizes": [1, 0]}, "input.sizes[1]: got 0, expected a whole number from 1"),
        (
            {"low": 1, "hgih": 2},
            "input.hgih: got 2, expected one of the keys of input: low, high, sizes (did you mean input.high?)",
        ),
        ({"low": 1, 5: 2}, "input.5: got 2, expected one of the keys of input: low, high, sizes"),
    ],
)
def test_read_names_the_key(values: dict[Any, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=refusal(message)):
        read(Ranges, "input", values)


def test_keys_are_joined_with_dots() -> None:
    assert join("input", "shape") == "input.shape"
    assert join("", "seed") == "seed"
    assert join("a.b", 3) == "a.b.3"
