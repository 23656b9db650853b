"""Whole quantised convolutions: CMSIS-NN's published sets, and the oracle for every rule, geometry and accumulator."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from conv_cases import assert_exact
from hypothesis import given, settings, strategies as st
from quantised_cases import (
    ACCUMULATORS,
    NARROW,
    QuantisedCase,
    cmsis_names,
    cmsis_set,
    data,
    quantised_cases,
    scalings,
)

import convpipe as cp
from convpipe.errors import ConfigError, ValueRangeError
from convpipe.reference import quantised, rules

NAMES = cmsis_names()


# Published


@data
def test_there_are_52_sets() -> None:
    assert len(NAMES) == 52


@data
@pytest.mark.parametrize("name", NAMES)
def test_a_set_of_cmsis_nn(name: str) -> None:
    found = cmsis_set(name)
    got = cp.conv_quantized(
        found.x,
        found.w,
        found.bias,
        rule=found.rule,
        multiplier=found.multiplier,
        shift=found.shift,
        input_zero_point=found.facts["input_zero_point"],
        output_zero_point=found.facts["output_zero_point"],
        dtype=found.output.dtype.name,
        low=found.facts["low"],
        high=found.facts["high"],
        accumulator={"bits": found.bits},
        **found.geometry,
    )
    assert_exact(found.cut(got), found.output)


# Against the oracle


def arguments_of(case: QuantisedCase) -> dict[str, Any]:
    """What says how its sums are made."""
    zero, zeros = case.zeros
    return {
        "input_zero_point": zero,
        "filter_zero_point": zeros[0] if len(zeros) == 1 else zeros,
        "accumulator": case.accumulator,
        **case.geometry,
    }


@given(quantised_cases(ACCUMULATORS))
@settings(max_examples=200)
def test_sums(case: QuantisedCase) -> None:
    try:
        expected = case.sums()
    except OverflowError:
        with pytest.raises(ValueRangeError, match=f"does not fit the accumulator's {case.accumulator['bits']} bits"):
            cp.conv_quantized(case.x, case.w, case.bias, rule=None, **arguments_of(case))
        return
    got = cp.conv_quantized(case.x, case.w, case.bias, rule=None, **arguments_of(case))
    assert got.dtype == (np.int32 if case.accumulator["bits"] <= 32 else np.int64)
    assert_exact(got, expected)


@given(quantised_cases(), st.data())
@settings(max_examples=150)
def test_outputs(case: QuantisedCase, draw: st.DataObject) -> None:
    scaling = draw.draw(scalings(len(case.w)))
    dtype = draw.draw(st.sampled_from(NARROW))
    zero = draw.draw(st.integers(*rules.integer_limits(dtype)))
    low, high = sorted(draw.draw(st.tuples(*[st.integers(*rules.integer_limits(dtype))] * 2)))
    expected = quantised.conv_quantized(
        case.sums(), scaling.rule, scaling.channels, zero=zero, dtype=dtype, low=low, high=high
    )
    got = cp.conv_quantized(
        case.x,
        case.w,
        case.bias,
        rule=scaling.rule,
        output_zero_point=zero,
        dtype=dtype,
        low=low,
        high=high,
        **scaling.arguments,
        **arguments_of(case),
    )
    assert got.dtype == {"int4": "int8", "uint4": "uint8"}.get(dtype, dtype)
    assert_exact(got, expected)


@given(quantised_cases(), st.integers(1, 5), st.booleans(), st.integers(-9, 9), st.integers(-3, 3), st.data())
@settings(max_examples=50)
def test_levels(case: QuantisedCase, count: int, shared: bool, offset: int, step: int, draw: st.DataObject) -> None:
    rows = 1 if shared else len(case.w)
    cells = st.lists(st.integers(-3000, 3000), min_size=count, max_size=count)
    table = draw.draw(st.lists(cells, min_size=rows, max_size=rows))
    numbers = [rules.Numbers(thresholds=row, offset=offset, step=step) for row in table]
    expected = quantised.conv_quantized(case.sums(), "thresholds", numbers, zero=0, dtype="int16")
    more = {"thresholds": table, "offset": offset, "step": step, "dtype": "int16"}
    got = cp.conv_quantized(case.x, case.w, case.bias, rule="thresholds", **more, **arguments_of(case))
    assert_exact(got, expected)


# The ends


def one_sum(x: list[int], w: list[int], dtype: Any = np.int8, **more: Any) -> int:
    """The one sum of these products."""
    image, filters = (np.array(values, dtype).reshape(1, -1, 1, 1) for values in (x, w))
    return cp.conv_quantized(image, filters, rule=None, **more).item()


def test_an_accumulator_of_64_bits_at_its_ends() -> None:
    x, w = [2**62, 2**62, 2**62], [1, 1, 1]
    assert one_sum(x[:1], [1], np.int64, accumulator={"bits": 64}) == 2**62
    assert one_sum([-(2**62)] * 2, w[:2], np.int64, accumulator={"bits": 64}) == -(2**63)
    for every in ("end", "step", 2):
        held = {"bits": 64, "every": every}
        with pytest.raises(ValueRangeError, match=r"does not fit the accumulator's 64 bits .*; choose accumulator\.o"):
            one_sum(x, w, np.int64, accumulator=held)
        assert one_sum(x, w, np.int64, accumulator={**held, "overflow": "wrap"}) == 3 * 2**62 - 2**64
        assert one_sum(x, w, np.int64, accumulator={**held, "overflow": "saturate"}) == 2**63 - 1


def test_whole_sums_beyond_int64_saturate_and_wrap_in_fewer_bits() -> None:
    for sign, end in ((1, 2**47 - 1), (-1, -(2**47))):
        x, bias = [sign * (2**62 + 3)] * 3, np.array([sign * 2**62])
        held: dict[str, Any] = {"bits": 48, "overflow": "saturate"}
        assert one_sum(x, [1, 1, 1], np.int64, accumulator=held) == end
        assert one_sum(x, [1, 1, 1], np.int64, accumulator={**held, "overflow": "wrap"}) == sign * 9
        assert one_sum(x, [1, 1, 1], np.int64, bias=bias, accumulator={**held, "overflow": "wrap"}) == sign * 9


def test_products_beyond_int64_saturate_and_wrap_as_they_are() -> None:
    x, w = [2**40, -(2**40), 5], [2**40, 2**40 - 1, 1]
    exact = 2**40 + 5
    for bits in (20, 48):
        low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        wrapped = rules.wrap(exact, low, high)
        assert one_sum(x, w, np.int64, accumulator={"bits": bits, "overflow": "wrap", "every": "step"}) == wrapped
        assert one_sum(x, w, np.int64, accumulator={"bits": bits, "overflow": "wrap"}) == wrapped
        saturated = one_sum(x, w, np.int64, accumulator={"bits": bits, "overflow": "saturate", "every": "step"})
        assert saturated == low + 5  # at the upper end, then far below, then 5 more
        assert one_sum(x, w, np.int64, accumulator={"bits": bits, "overflow": "saturate"}) == min(exact, high)


def test_saturation_depends_on_the_order_and_the_steps() -> None:
    x = np.array([100, -100, 100, -100], np.int8).reshape(1, 2, 1, 2)  # [channel][along]
    w = np.ones((1, 2, 1, 2), np.int8)
    held = {"bits": 8, "overflow": "saturate", "every": "step"}
    by_channel = cp.conv_quantized(x, w, rule=None, accumulator=held)
    by_tap = cp.conv_quantized(x, w, rule=None, accumulator={**held, "order": "kh,kw,C"})
    assert (by_channel.item(), by_tap.item()) == (0, 127 - 200)  # 100 0 100 0, and 100 127 27 -73
    assert cp.conv_quantized(x, w, rule=None, accumulator={**held, "every": 2, "order": "kh,kw,C"}).item() == -73
    assert cp.conv_quantized(x, w, rule=None, accumulator={"bits": 8, "overflow": "saturate"}).item() == 0


def test_pairs_meet_as_they_are() -> None:
    x, w = [255, 255, 255], [127, 127, 127]
    pairs = {"overflow": "pairs16"}
    assert one_sum(x, w, np.int16, accumulator=pairs) == 32767 + 255 * 127
    zeros = {"input_zero_point": 10, "filter_zero_point": 3}
    less = 10 * 3 * 127 + 3 * 3 * 255 - 3 * 10 * 3
    assert one_sum(x, w, np.int16, accumulator=pairs, **zeros) == 32767 + 255 * 127 - less
    image, filters = np.full((1, 3, 1, 1), 255, np.uint8), np.full((2, 3, 1, 1), 127, np.int8)
    own = {"input_zero_point": 10, "filter_zero_point": [3, -100]}
    sums = cp.conv_quantized(image, filters, rule=None, accumulator=pairs, **own)
    assert sums.ravel().tolist() == [32767 + 255 * 127 - 10 * 3 * 127 - zero * 3 * (255 - 10) for zero in (3, -100)]


@pytest.mark.parametrize("rule", ["double", "single", "float", "shift"])
def test_no_image_gives_no_image(rule: str) -> None:
    numbers = {"float": {"multiplier": 0.5}, "shift": {"shift": 1}}.get(rule, {"multiplier": 1 << 30, "shift": 0})
    x, w = np.zeros((0, 2, 4, 4), np.int8), np.ones((3, 2, 3, 3), np.int8)
    for held in ({}, {"bits": 20}, {"bits": 20, "overflow": "saturate", "every": "step"}, {"overflow": "pairs16"}):
        got = cp.conv_quantized(x, w, [1, 2, 3], rule=rule, input_zero_point=1, accumulator=held, **numbers)
        assert (got.shape, got.dtype) == ((0, 3, 2, 2), np.int8)


def test_a_left_shift_wraps() -> None:
    x, w = np.array([[[[1 << 14]]]], np.int16), np.array([[[[1 << 14]]]], np.int16)
    multiplier, shift = cp.quantize_multiplier(4.0)
    for bias, expected in ((2**28, 0), (2**28 + 1, 4), (2**28 - 1, -4)):
        got = cp.conv_quantized(x, w, [bias], rule="double", multiplier=multiplier, shift=shift)
        assert got.item() == expected


@pytest.mark.parametrize(("argument", "role"), [("input_dtype", "x"), ("filter_dtype", "w")])
@pytest.mark.parametrize(
    ("value", "dtype", "span"),
    [
        (-9, "int4", "-8 to 7"),
        (8, "int4", "-8 to 7"),
        (16, "uint4", "0 to 15"),
        (-1, "uint4", "0 to 15"),
        (256, "uint8", "0 to 255"),
        (200, "int8", "-128 to 127"),
    ],
)
def test_integers_that_are_none_of_their_dtype(argument: str, role: str, value: int, dtype: str, span: str) -> None:
    arrays = {"x": np.ones((1, 2, 1, 1), np.int16), "w": np.ones((1, 2, 1, 1), np.int16)}
    arrays[role] = np.array([0, value], np.int16).reshape(1, 2, 1, 1)
    with pytest.raises(
        ConfigError, match=f"^{role}: got {value}, expected whole numbers from {span}, as {argument} is"
    ):
        cp.conv_quantized(**arrays, rule=None, **{argument: dtype})
    arrays[role] = np.clip(arrays[role], *map(int, span.split(" to ")))
    assert cp.conv_quantized(**arrays, rule=None, **{argument: dtype}).item() == arrays[role].sum()


IMAGE, FILTERS = np.ones((1, 2, 3, 3), np.int8), np.ones((2, 2, 3, 3), np.int8)
SCALES = {"multiplier": None, "shift": None, "input_scale": 1.0, "filter_scale": 1.0, "output_scale": 1.0}
TABLE = {"multiplier": None, "shift": None, "rule": "thresholds"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"x": IMAGE / 2}, "x: got float64, expected integers"),
        ({"w": FILTERS / 2}, "w: got float64, expected integers"),
        ({"bias": [0.5, 1]}, "bias: got float64, expected integers"),
        ({"rule": "nearest"}, "rule: got nearest, expected one of double, "),
        ({"rule": None}, "rule: got nothing, expected a rule, as there is a multiplier"),
        ({"multiplier": 2**31}, "multiplier: got 2147483648, expected a number from 0 to 2147483647"),
        ({"multiplier": 0.5}, "multiplier: got 0.5, expected a whole number, as the rule double has it"),
        ({"multiplier": [1, 2, 3]}, "multiplier: got (3,), expected one, or 2, one for each filter"),
        ({"multiplier": None}, "multiplier: got nothing, expected one, as the rule double takes it beside the other"),
        ({"shift": 31}, "shift: got 31, expected a whole number from -31 to 30"),
        ({"rule": "reduced16", "shift": 15}, "shift: got 15, expected a whole number from -31 to 14"),
        ({"rule": "shift"}, "multiplier: got 1073741824, expected null, as the rule shift takes none"),
        ({"rule": "shift", "multiplier": None, "shift": -1}, "shift: got -1, expected a whole number from 0 to 63"),
        (
            {**SCALES, "output_scale": None},
            "output_scale: got nothing, expected the scale, as the rule double takes all",
        ),
        ({**SCALES, "multiplier": 1, "shift": 1}, "multiplier: got 1, expected null beside the three scales"),
        ({**SCALES, "input_scale": 0}, "input_scale: got 0, expected a number above 0 that float32 holds"),
        ({**SCALES, "filter_scale": [1.0, 2, 3]}, "filter_scale: got (3,), expected one, or 2, one for each filter"),
        ({**SCALES, "filter_scale": 2e9}, "filter_scale: got scales that make 2000000000.0, expected a number from 0"),
        (
            {**SCALES, "rule": "reduced16", "filter_scale": 2**15},
            "filter_scale: got a shift of 16, expected scales whose",
        ),
        ({**SCALES, "rule": "float", "output_scale": 1e-40}, "output_scale: got 9.99994610111476e-41, expected scales"),
        ({"filter_zero_point": [1, 2, 3]}, "filter_zero_point: got [1, 2, 3], expected one, or 2, one for each filter"),
        ({"filter_zero_point": [1, 128]}, "filter_zero_point: got 128, expected a whole number from -128 to 127"),
        ({"input_zero_point": -129}, "input_zero_point: got -129, expected a whole number from -128 to 127"),
        ({"output_zero_point": 8, "dtype": "int4"}, "output_zero_point: got 8, expected a whole number from -8 to 7"),
        ({"dtype": "int64"}, "dtype: got int64, expected one of int4, uint4, int8"),
        ({"low": 5, "high": 3}, "high: got 3, expected a whole number from low, 5"),
        ({"high": 128}, "high: got 128, expected a whole number from -128 to 127, as the dtype is int8"),
        ({"low": 0.5}, "low: got 0.5, expected a whole number"),
        ({"accumulator": {"bits": 65}}, "accumulator.bits: got 65, expected a whole number from 2 to 64"),
        ({"accumulator": {"width": 8}}, "accumulator.width: got 8, expected one of the keys of accumulator"),
        (TABLE, "thresholds: got nothing, expected a table of thresholds"),
        ({**TABLE, "thresholds": [[1], [2], [3]]}, "thresholds: got (3, 1), expected one, or 2, one for each filter"),
        ({**TABLE, "thresholds": [[1, 2], [3]]}, "thresholds: got [[1, 2], [3]], expected a list of whole numbers"),
        ({**TABLE, "thresholds": [1], "shift": 1}, "shift: got 1, expected null, as the rule thresholds takes none"),
    ],
)
def test_arguments_that_do_not_go_together(arguments: dict[str, Any], expected: str) -> None:
    legal = {"x": IMAGE, "w": FILTERS, "rule": "double", "multiplier": 1 << 30, "shift": 0}
    with pytest.raises(ConfigError, match=f"^{re.escape(expected)}"):
        cp.conv_quantized(**{**legal, **arguments})


def test_one_end_of_a_range_is_enough() -> None:
    numbers = {"rule": "shift", "shift": 0}
    assert cp.conv_quantized(IMAGE, FILTERS, [-40, 0], high=3, **numbers).ravel().tolist() == [-22, 3]
    assert cp.conv_quantized(IMAGE, FILTERS, [-40, 0], low=0, **numbers).ravel().tolist() == [0, 18]


HELD = "sum 40000 does not fit the accumulator's 16 bits (-32768 to 32767); choose accumulator."
OTHERS = "accumulator.overflow=wrap or accumulator.overflow=saturate"
NARROWED = "overflow=saturate, overflow=saturate_symmetric or overflow=wrap"
NOT_TAKEN = "sum 2147523648 does not fit the 32 bits that the rule double takes (-2147483648 to 2147483647)"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, f"{HELD}bits=32, {OTHERS}"),
        ({"rule": None, "multiplier": None, "shift": None}, f"{HELD}bits=64, {OTHERS}"),
        (
            {"accumulator": {"bits": 32}, "overflow": "error"},
            f"the value 40000 does not fit int8 (-128 to 127); choose {NARROWED}",
        ),
        ({"accumulator": {"bits": 64}, "bias": [2**31]}, f"{NOT_TAKEN}; an accumulator of so many bits"),
    ],
)
def test_sums_that_do_not_fit(arguments: dict[str, Any], expected: str) -> None:
    x = np.full((1, 4, 1, 1), 100, np.int8)
    legal: dict[str, Any] = {"rule": "double", "multiplier": 1 << 30, "shift": 1, "accumulator": {"bits": 16}}
    with pytest.raises(ValueRangeError, match=re.escape(expected)):
        cp.conv_quantized(x, x, **{**legal, **arguments})
