"""cp.conv: the oracle's values for any arguments that make sense, and a named refusal of all others."""

from __future__ import annotations

import math
import re
import tracemalloc
from itertools import product
from typing import Any

import numpy as np
import pytest
from conv_cases import (
    FLOATS,
    INTEGERS,
    LECTURE_FEATURE_MAP,
    LECTURE_INPUT,
    LECTURE_KERNEL,
    Case,
    assert_exact,
    assert_within,
    cases,
    floats,
    integers,
    memory_orders,
)
from hypothesis import given, strategies as st
from plan_cases import LOWERINGS, plan_convolution

import convpipe as cp
from convpipe import reference
from convpipe.errors import ConfigError, ValueRangeError
from convpipe.execution.bounds import float_bound
from convpipe.ops.kinds.convolving import ConvSettings
from convpipe.tensors import Signature

EVERY_LOWERING = ["auto", *LOWERINGS]
SEEDS = st.integers(0, 2**32 - 1)
OBJECTS = 64 << 10  # bytes of Python objects that a call makes beside its arrays

# Values


@pytest.mark.parametrize("lowering", EVERY_LOWERING)
@pytest.mark.parametrize("dtype", ["int16", "int8", "int64", "float16", "float32", "float64"])
def test_the_lectures_feature_map(lowering: str, dtype: str) -> None:
    made = cp.conv(LECTURE_INPUT.astype(dtype), LECTURE_KERNEL.astype(dtype), lowering=lowering)
    assert made.shape == (1, 1, 2, 2)
    assert made.dtype == dtype
    assert made[0, 0].tolist() == LECTURE_FEATURE_MAP


@pytest.mark.parametrize("lowering", EVERY_LOWERING)
@given(case=cases(), seed=SEEDS, dtypes=st.tuples(*[st.sampled_from(INTEGERS)] * 3), bias=st.booleans())
def test_integers_are_the_oracles_to_the_last_digit(
    lowering: str, case: Case, seed: int, dtypes: tuple[str, str, str], bias: bool
) -> None:
    x = integers(case.input_shape, dtypes[0], "any", seed)
    w = integers(case.filters_shape, dtypes[1], "ends", seed + 1)
    b = integers(case.filters_shape[:1], dtypes[2], "any", seed + 2) if bias else None
    made = cp.conv(x, w, b, **case.settings, lowering=lowering, dtype="int64", overflow="wrap")
    assert_exact(made, reference.narrow(reference.conv(x, w, b, **case.settings), "int64", "wrap"))


@pytest.mark.parametrize("lowering", EVERY_LOWERING)
@given(case=cases(), seed=SEEDS, dtype=st.sampled_from(FLOATS), bias=st.booleans())
def test_floats_are_within_the_bound(lowering: str, case: Case, seed: int, dtype: str, bias: bool) -> None:
    x, w = floats(case.input_shape, dtype, 0, seed), floats(case.filters_shape, dtype, 0, seed + 1)
    b = floats(case.filters_shape[:1], dtype, 0, seed + 2) if bias else None
    made = cp.conv(x, w, b, **case.settings, lowering=lowering)
    size = reference.magnitude(x, w, b, **case.settings)
    assert made.dtype == dtype
    assert_within(made, reference.conv(x, w, b, **case.settings), float_bound(case.sizes.taps, size, dtype))


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
@pytest.mark.parametrize("lowering", LOWERINGS)
def test_what_does_not_fit(lowering: str, overflow: str) -> None:
    x, w = np.full((1, 1, 1, 4), 100, np.int8), np.array([[[[1, 1]]], [[[-1, -1]]]], np.int8)
    expected = reference.narrow(reference.conv(x, w), "int8", overflow)
    assert_exact(cp.conv(x, w, lowering=lowering, overflow=overflow), expected)
    with pytest.raises(ValueRangeError, match=r"the exact sum -?200 does not fit int8 \(-128 to 127\)"):
        cp.conv(x, w, lowering=lowering)
    assert cp.conv(x, w, lowering=lowering, dtype=np.int16).tolist() == [[[[200] * 3], [[-200] * 3]]]


# Any array will do


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_any_order_in_memory(lowering: str, dtype: str) -> None:
    x = integers((2, 4, 5, 6), dtype, "small", 1) if dtype == "int16" else np.arange(240.0).reshape(2, 4, 5, 6)
    w = np.arange(-12, 12).reshape(3, 2, 2, 2)[:2]
    x, w = x.astype(dtype), w.astype(dtype)
    expected = cp.conv(x, w, groups=2, pad=1, lowering=lowering)
    for name, other in memory_orders(x):
        np.testing.assert_array_equal(cp.conv(other, w, groups=2, pad=1, lowering=lowering), expected, name)
    for name, other in memory_orders(w):
        np.testing.assert_array_equal(cp.conv(x, other, groups=2, pad=1, lowering=lowering), expected, name)


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("pad", [0, 1])
def test_arguments_are_never_changed(lowering: str, pad: int) -> None:
    arrays = [np.arange(50.0).reshape(1, 2, 5, 5), np.ones((2, 2, 2, 2)), np.array([1.0, 2.0])]
    for array in arrays:
        array.flags.writeable = False
    made = cp.conv(*arrays, pad=pad, lowering=lowering)
    assert made.flags.writeable
    assert not any(np.shares_memory(made, array) for array in arrays)
    assert arrays[0][0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert arrays[2].tolist() == [1, 2]


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_an_empty_batch(lowering: str) -> None:
    made = cp.conv(np.zeros((0, 2, 5, 5), np.int16), np.zeros((3, 2, 2, 2), np.int16), lowering=lowering)
    assert made.shape == (0, 3, 4, 4)
    assert made.dtype == np.int16


@pytest.mark.parametrize("order", [">", "<"])
def test_foreign_byte_orders(order: str) -> None:
    x, w = LECTURE_INPUT.astype(f"{order}i2"), LECTURE_KERNEL.astype(f"{order}f4")
    made = cp.conv(x, w, np.array([1], f"{order}i8"))
    assert made.dtype.isnative
    assert made.tolist() == [[[[-8, 2], [1, -6]]]]
    assert cp.conv(x, x, dtype=f"{order}i4").dtype == np.int32


def test_lists_will_do() -> None:
    assert cp.conv([[[1, 2, 3]]], [[[10, 1]]], [5], stride=[1]).tolist() == [[[17, 28]]]
    assert cp.conv([[[0.5]]], [[[2]]]).tolist() == [[[1.0]]]


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_one_to_three_axes(rank: int) -> None:
    made = cp.conv(np.ones((1, 1) + (3,) * rank, int), np.ones((1, 1) + (2,) * rank, int))
    assert made.tolist() == np.full((1, 1) + (2,) * rank, 2**rank).tolist()


# Refusals


NO_NUMBERS = [
    np.ones((1, 1, 2, 2), bool),
    np.ones((1, 1, 2, 2), complex),
    np.full((1, 1, 2, 2), "a"),
    np.ones((1, 1, 2, 2), object),
    np.ones((1, 1, 2, 2), "M8[s]"),
    np.ones((1, 1, 2, 2), [("a", int)]),
    "image",
]


@pytest.mark.parametrize(
    ("name", "values"),
    # None is an array of one object, but no bias where one may be
    [*product(["x", "w", "bias"], NO_NUMBERS), ("x", None), ("w", None)],
)
def test_other_dtypes_are_refused_by_name(name: str, values: Any) -> None:
    arrays = {"x": np.ones((1, 1, 2, 2)), "w": np.ones((1, 1, 2, 2)), name: values}
    found = re.escape(str(np.asarray(values).dtype))
    with pytest.raises(ConfigError, match=rf"^{name}: got {found}, expected one of int8, int16, int32"):
        cp.conv(**arrays)


def test_none_is_no_bias() -> None:
    x, w = np.arange(9).reshape(1, 1, 3, 3), np.ones((1, 1, 2, 2), int)
    assert cp.conv(x, w, None).tolist() == cp.conv(x, w).tolist() == [[[[8, 12], [20, 24]]]]


def test_ragged_lists_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"^w: got .*, expected an array"):
        cp.conv(np.ones((1, 1, 2, 2)), [[[[1, 2], [3]]]])


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"stride": 0}, "^stride: got 0"),
        ({"pad": -1}, "^pad: got -1"),
        ({"pad": [[1, 2, 3]]}, "^pad: got"),
        ({"dilation": 1.5}, "^dilation: got 1.5"),
        ({"groups": 2}, "^groups: got 2"),
        ({"groups": True}, "^groups: got True"),
        ({"pad_mode": "mirror"}, "^pad_mode: got mirror"),
        ({"pad_value": float("nan"), "pad": 1}, "^pad_value: got nan"),
        ({"lowering": "fft"}, "^lowering: got fft"),
        ({"dtype": "complex64"}, "^dtype: got complex64"),
        ({"dtype": bool}, "^dtype: got bool"),
        ({"dtype": "int9"}, "^dtype: got int9"),
        ({"dtype": 7}, "^dtype: got 7"),
        ({"overflow": "clip"}, "^overflow: got clip"),
        ({"bias": np.ones(2)}, r"^bias: got \(2,\), expected the shape \(1,\), one value per filter"),
    ],
)
def test_settings_are_refused_by_name(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        cp.conv(np.ones((1, 1, 4, 4)), np.ones((1, 1, 2, 2)), **settings)


@pytest.mark.parametrize(("dtype", "largest"), [("float16", "65504"), ("float32", r"3\.40282e\+38")])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_padding_value_that_a_float_cannot_hold_is_refused(dtype: str, largest: str, sign: int) -> None:
    x, w = np.ones((1, 1, 2, 2), dtype), np.ones((1, 1, 2, 2), dtype)
    message = rf"^pad_value: got .*, expected a value that {dtype} holds, up to {largest}"
    for value in (sign * np.finfo(dtype).max.item() * 1.01, sign * 1e300):
        with pytest.raises(ConfigError, match=message):
            cp.conv(x, w, pad=1, pad_value=value)
    at_most = sign * np.finfo(dtype).max.item()
    assert cp.pad(x, 1, value=at_most)[0, 0, 0, 0] == at_most
    assert cp.pad(x, 1, value=sign * math.inf)[0, 0, 0, 0] == sign * math.inf


@pytest.mark.parametrize(
    ("x", "w", "match"),
    [
        ((4,), (1, 1, 2, 2), r"^input: got \(4,\), expected 4 axes .*\(a row alone is x\[None\]\)$"),
        ((1, 1, 4, 4), (1, 2, 2), r"^filters: got \(1, 2, 2\), expected 4 axes"),
        ((1, 3, 4, 4), (1, 2, 2, 2), "^channels: got 2, expected 3 channels in each filter"),
        ((1, 1, 4, 4), (1, 1, 5, 2), "^kernel: got 5, expected at most 4 along H"),
        ((1, 1, 4, 4), (1, 1, 0, 2), r"^kernel: got \(0, 2\), expected at least 1 along H"),
    ],
)
def test_shapes_are_refused_by_name(x: tuple[int, ...], w: tuple[int, ...], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        cp.conv(np.ones(x), np.ones(w))


# Memory


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("dtype", ["int8", "int16", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize(
    ("x", "w", "settings"),
    [
        ((1, 3, 200, 300), (8, 3, 3, 3), {}),
        ((4, 16, 32, 32), (32, 16, 3, 3), {"pad": 1}),
        ((2, 16, 64, 64), (16, 4, 5, 5), {"groups": 4, "stride": 2, "pad": 2}),
        ((1, 128, 14, 14), (128, 128, 3, 3), {"pad": 1}),
        ((1, 3, 100, 100), (64, 3, 1, 1), {}),
        ((1, 2, 100_000), (4, 2, 9), {}),
    ],
)
def test_a_call_keeps_to_its_plans_memory(
    lowering: str, dtype: str, x: tuple[int, ...], w: tuple[int, ...], settings: dict[str, Any]
) -> None:
    if dtype == "int16":  # of the largest values, as the plan must expect them
        arrays = integers(x, dtype, "ends", 1), integers(w, dtype, "ends", 2)
    else:
        arrays = integers(x, "int8", "small", 1).astype(dtype), integers(w, "int8", "small", 2).astype(dtype)
    signatures = [Signature(array.shape, array.dtype) for array in arrays]
    planned = plan_convolution(*signatures, ConvSettings(**settings), lowering).peak_bytes
    cp.conv(np.ones((1, 1, 2, 2)), np.ones((1, 1, 1, 1)), lowering=lowering)  # what it imports is not the call's
    tracemalloc.start()
    cp.conv(*arrays, **settings, lowering=lowering, overflow="inf" if dtype.startswith("float") else "wrap")
    peak = tracemalloc.get_traced_memory()[1]  # without the arguments, which the plan counts and the caller holds
    tracemalloc.stop()
    assert peak <= planned + OBJECTS
    if dtype in ("int16", "float32"):
        assert planned <= 2.2 * (peak + sum(array.nbytes for array in arrays))
