"""Every rule by which a target makes integers: the published cells of its implementation, the oracle, and the ends."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from quantised_cases import (
    FLOAT_RULES,
    INTEGER_RULES,
    MODES,
    NARROW,
    OVERFLOWS,
    Scaling,
    data,
    float32s,
    scalings,
    sections,
    whole_numbers,
)

import convpipe as cp
from convpipe.errors import ConfigError, ValueRangeError
from convpipe.reference import rules

SECTIONS = sections()
Section = dict[str, Any]


# The published cells


def requantised(section: Section) -> None:
    """Each sum by the section's rule, given its numbers in every way that the section has and the rule takes."""
    rule, wide = section["name"], "before" in section["rule"]  # the zero point and the clamp
    dtype = "int32" if wide else section.get("output_dtype", "int8")
    zero = section.get("output_zero_point", 0)
    for case in section["cases"]:
        ways: list[dict[str, Any]] = []
        if "input_scale" in section:
            ends = {name: section[name] for name in ("input_scale", "output_scale")}
            ways.append({**ends, "filter_scale": case["filter_scale"]})
        if "multiplier" in case and rule in INTEGER_RULES:
            ways.append({"multiplier": case["multiplier"], "shift": case["shift"]})
        if "scale" in case:
            ways.append({"multiplier": case["scale"]})
        assert ways
        for way in ways:
            got = cp.requantize([case["acc"]], rule=rule, zero_point=zero, dtype=dtype, **way)
            assert got.tolist() == [case["expected"]], (case, way)
            numbers = rules.Numbers(**way)
            assert rules.requantize(case["acc"], rule, numbers, zero, dtype) == case["expected"], (case, way)
        if "multiplier" in case and "input_scale" in section:
            check_multiplier(section, case)
        if "w" in case:
            check_convolved(section, case)


def check_multiplier(section: Section, case: dict[str, Any]) -> None:
    """The multiplier and the shift of the section's scales."""
    scales = [np.float64(np.float32(each)) for each in (section["input_scale"], case["filter_scale"])]
    real = scales[0] * scales[1] / np.float64(np.float32(section["output_scale"]))
    wanted = (case["multiplier"], case["shift"])
    assert cp.quantize_multiplier(float(real)) == wanted
    assert rules.multiplier_of(section["input_scale"], case["filter_scale"], section["output_scale"]) == wanted


def check_convolved(section: Section, case: dict[str, Any]) -> None:
    """The section's four pixels and the case's four weights, as a convolution of one position."""
    x = np.array(section["x"], np.uint8).reshape(1, 4, 1, 1)
    w = np.array(case["w"], np.int8).reshape(1, 4, 1, 1)
    zero = section["input_zero_point"]
    assert cp.conv_quantized(x, w, rule=None, input_zero_point=zero).tolist() == [[[[case["acc"]]]]]
    got = cp.conv_quantized(
        x,
        w,
        rule=section["name"],
        input_scale=section["input_scale"],
        filter_scale=case["filter_scale"],
        output_scale=section["output_scale"],
        input_zero_point=zero,
        output_zero_point=section["output_zero_point"],
        dtype=section["output_dtype"],
    )
    assert got.tolist() == [[[[case["expected"]]]]], case


def bounded(section: Section) -> None:
    """Activations by both roundings."""
    for case in section["cases"]:
        asked = (case["activation"], case["output_scale"], case["output_zero_point"])
        for rounding, key in (("half_away", "reference"), ("half_even", "xnnpack")):
            assert list(cp.activation_range(*asked, rounding=rounding)) == case[key], case
            assert list(rules.activation_range(*asked, "int8", rounding)) == case[key], case


def shifted(section: Section) -> None:
    """Shifts to the right by every mode."""
    assert sorted(section["modes"]) == sorted(MODES)
    for mode, cells in section["modes"].items():
        for x, shift, expected in cells:
            assert cp.round_shift([x], shift, mode).tolist() == [expected], (mode, x, shift)
            assert rules.round_shift(x, shift, mode) == expected, (mode, x, shift)


def packed(section: Section) -> None:
    """Nibbles."""
    for case in section["cases"]:
        made = cp.pack_int4(case["values"])
        assert made.dtype == np.uint8
        assert made.tolist() == case["bytes"] == rules.pack_int4(case["values"])
        assert cp.unpack_int4(made, len(case["values"])).tolist() == case["values"]


def biased(section: Section) -> None:
    """Real biases."""
    for case in section["cases"]:
        assert cp.quantize_bias([case["bias"]], case["sx_sw"], 1.0).tolist() == [case["expected"]]
        assert cp.quantize_bias([case["bias"]], 1.0, case["sx_sw"]).tolist() == [case["expected"]]
        assert rules.quantize_bias(case["bias"], case["sx_sw"], 1) == case["expected"]


def quantised(section: Section) -> None:
    """Real numbers by a division."""
    scale, zero, dtype = section["scale"], section["zero_point"], section["output_dtype"]
    for case in section["cases"]:
        assert cp.quantize([case["x"]], scale, zero, dtype).tolist() == [case["expected"]], case
        assert rules.quantize(case["x"], scale, zero, dtype) == case["expected"], case


def wrapped(section: Section) -> None:
    """A sum of 70,000 products and a bias that int32 does not hold."""
    for case in section["cases"]:
        x, w = (np.full((1, 70_000, 1, 1), int(case[key].split()[-1]), np.int8) for key in "xw")
        bias = np.array([case["bias"]], np.int32)
        wraps = {"overflow": "wrap"}
        sums = cp.conv_quantized(x, w, bias, rule=None, accumulator=wraps)
        assert (sums.dtype, sums.tolist()) == (np.int32, [[[[case["wrapped"]]]]])
        exact = cp.conv_quantized(x, w, bias, rule=None, accumulator={"bits": 64})
        assert (exact.dtype, exact.tolist()) == (np.int64, [[[[case["exact_sum"]]]]])
        for rule in ("double", "double_up", "float"):  # the three resolvers
            scales = {"input_scale": 1.0, "filter_scale": case["scale"], "output_scale": 1.0}
            got = cp.conv_quantized(x, w, bias, rule=rule, accumulator=wraps, **scales)
            assert got.tolist() == [[[[case["expected"]]]]]
        with pytest.raises(ValueRangeError, match=f"sum {case['exact_sum']} does not fit the accumulator's 32 bits"):
            cp.conv_quantized(x, w, bias, rule=None)


def paired(section: Section) -> None:
    """Products that saturate in pairs, and the same without."""
    for case in section["cases"]:
        x, w = (
            np.full((1, 576, 1, 1), int(case[key].split()[-1]), dtype)
            for key, dtype in (("x", np.uint8), ("w", np.int8))
        )
        more = {key: case[key] for key in ("output_scale", "output_zero_point")}
        for overflow, sums, expected in (
            ("pairs16", "pair_saturated", "expected_without_vnni"),
            ("error", "exact", "expected_with_vnni"),
        ):
            held = {"overflow": overflow}
            assert cp.conv_quantized(x, w, rule=None, accumulator=held).tolist() == [[[[case[sums]]]]]
            for rule in ("float", "float_offset"):
                got = cp.conv_quantized(
                    x, w, rule=rule, input_scale=1.0, filter_scale=1.0, dtype="uint8", accumulator=held, **more
                )
                assert got.tolist() == [[[[case[expected]]]]]


def summed(section: Section) -> None:
    """ConvInteger."""
    for case in section["cases"]:
        x, w = (np.array(case[key], case[f"{key}_dtype"]) for key in "xw")
        top, left, bottom, right = case["pads"]
        got = cp.conv_quantized(
            x,
            w,
            rule=None,
            pad=[[top, bottom], [left, right]],
            input_zero_point=case["x_zero_point"],
            filter_zero_point=case["w_zero_point"],
        )
        assert (got.dtype, got.tolist()) == (np.int32, case["expected"])


def convolved(section: Section) -> None:
    """Whole convolutions in NHWC."""
    for case in section["cases"]:
        x = np.array(case["x"], case["x_dtype"]).transpose(0, 3, 1, 2)
        deep = case["depthwise"]
        w = np.array(case["w"]).astype("int8" if case["w_dtype"] == "int4" else case["w_dtype"])
        w = w.transpose((3, 0, 1, 2) if deep else (0, 3, 1, 2))
        got = cp.conv_quantized(
            x,
            w,
            np.array(np.broadcast_to(case["bias"], len(w)), np.int32),
            rule="double",
            input_scale=case["input_scale"],
            filter_scale=case["filter_scale"] if len(case["filter_scale"]) > 1 else case["filter_scale"][0],
            output_scale=case["output_scale"],
            input_zero_point=case["input_zero_point"],
            filter_zero_point=case["filter_zero_point"],
            output_zero_point=case["output_zero_point"],
            dtype=case["expected_dtype"],
            stride=case["stride"],
            dilation=case["dilation"],
            pad=case["padding"].lower(),
            groups=x.shape[1] if deep else 1,
        )
        assert got.dtype == case["expected_dtype"]
        assert got.transpose(0, 2, 3, 1).tolist() == case["expected"], case["name"]


JUDGES: dict[str, Callable[[Section], None]] = {
    "activation bounds": bounded,
    "whole convolutions": convolved,
    "the int32 accumulator": wrapped,
    "right shifts": shifted,
    "int4 packing": packed,
    "PyTorch quantises a float bias": biased,
    "pair-saturating": paired,
    "ConvInteger": summed,
    "QuantizeLinear": quantised,
}


def judge_of(section: Section) -> Callable[[Section], None]:
    """What holds a section: its rule, or what it states."""
    found = [judge for start, judge in JUDGES.items() if section["rule"].startswith(start)]
    found += [requantised] * ("name" in section)
    assert len(found) == 1, section["rule"]
    return found[0]


@data
def test_all_of_rules_json_is_here() -> None:
    cells = [section.get("cases", []) for section in SECTIONS]
    shifts = [cell for section in SECTIONS for cells in section.get("modes", {}).values() for cell in cells]
    assert (len(SECTIONS), sum(map(len, cells)), len(shifts)) == (33, 939, 234)
    assert {judge_of(section) for section in SECTIONS} == {*JUDGES.values(), requantised}


@data
@pytest.mark.parametrize("place", range(33))
def test_published_cells(place: int) -> None:
    judge_of(SECTIONS[place])(SECTIONS[place])


# By hand


TELLING = {  # acc, scale: double, double_up, float, as section 5 of the rules has them
    (-1, 0.5): (0, 0, 0),
    (1, 0.25): (1, 1, 0),
    (-2, 0.25): (-1, 0, 0),
    (16908289, 2.0**-18): (65, 65, 64),
    (2**29, 4.0): (0, 0, 127),
}


@pytest.mark.parametrize(("acc", "scale"), TELLING)
def test_cells_that_tell_rules_apart(acc: int, scale: float) -> None:
    multiplier, shift = cp.quantize_multiplier(scale)
    for rule, expected in zip(("double", "double_up", "float"), TELLING[acc, scale], strict=True):
        numbers = {"multiplier": scale} if rule == "float" else {"multiplier": multiplier, "shift": shift}
        assert cp.requantize([acc], rule=rule, **numbers).tolist() == [expected], rule


@pytest.mark.parametrize(
    ("scale", "pair"),
    [
        (0.0, (0, 0)),
        (2.0**-32, (2**30, -31)),
        (np.nextafter(2.0**-32, 0), (2**30, -31)),  # rounds up to it
        (2.0**-32 - 2.0**-60, (2**31 - 8, -32)),
        (1 - 2.0**-53, (2**30, 1)),
        (2.0**30 - 2.0**-1, (2**31 - 1, 30)),
        (5e-324, (0, 0)),
    ],
)
def test_multipliers_at_their_ends(scale: float, pair: tuple[int, int]) -> None:
    expected = (0, 0) if pair[1] < -31 else pair
    assert cp.quantize_multiplier(scale) == expected == rules.quantize_multiplier(scale)


@pytest.mark.parametrize("scale", [2.0**30, -1e-9, float("inf"), float("nan")])
def test_scales_that_are_no_multipliers(scale: float) -> None:
    with pytest.raises(ConfigError, match=r"^scale: got .*, expected a"):
        cp.quantize_multiplier(scale)


def test_a_scale_that_rounds_beyond_the_last_shift() -> None:
    with pytest.raises(ConfigError, match=r"scale: got 1073741823\.9999999, expected a number from 0, below 2\*\*30"):
        cp.quantize_multiplier(float(np.nextafter(2.0**30, 0)))


ENDS = {  # of a rule's sums, multipliers and shifts
    **dict.fromkeys(
        INTEGER_RULES[:3],
        ([-(2**31), 1 - 2**31, -1, 0, 1, 2**31 - 1], [0, 1, 2**30, 2**31 - 1], [-31, -30, -1, 0, 1, 29, 30]),
    ),
    "reduced16": ([-(2**47), 1 - 2**47, 2**47 - 1], [0, 0x7FFEFFFF, 0x7FFF0000, 2**31 - 1], [-31, 0, 14]),
}


@pytest.mark.parametrize("rule", ENDS)
def test_the_ends_of_integers(rule: str) -> None:
    sums, multipliers, shifts = ENDS[rule]
    for multiplier, shift in product(multipliers, shifts):
        got = cp.requantize(np.array(sums)[:, None], rule=rule, multiplier=multiplier, shift=shift, dtype="int32")
        numbers = rules.Numbers(multiplier, shift)
        assert got[:, 0].tolist() == [rules.requantize(acc, rule, numbers, dtype="int32") for acc in sums]


@pytest.mark.parametrize("rule", FLOAT_RULES)
def test_the_ends_of_int64_in_floats(rule: str) -> None:
    sums = [-(2**63), 1 - 2**63, 2**24 + 1, 2**53 - 1, 2**53 + 1, 2**63 - 1]
    for power, overflow in product([-63, -56, -20, -1, 0, 20], ["saturate", "wrap"]):
        scales = {"input_scale": 1.0, "filter_scale": 2.0**power, "output_scale": 1.0}
        more = {"dtype": "uint32", "overflow": overflow}
        got = cp.requantize(np.array(sums)[:, None], rule=rule, zero_point=7, **scales, **more)
        numbers = rules.Numbers(**scales)
        assert got[:, 0].tolist() == [rules.requantize(acc, rule, numbers, 7, **more) for acc in sums]


@pytest.mark.parametrize(
    ("rule", "acc", "bits"), [("double", 2**31, 32), ("single", -(2**31) - 1, 32), ("reduced16", 2**47, 48)]
)
def test_a_sum_that_is_too_wide_for_its_rule(rule: str, acc: int, bits: int) -> None:
    with pytest.raises(ValueRangeError, match=rf"sum {acc} does not fit .*{bits} bits"):
        cp.requantize([0, acc], rule=rule, multiplier=1 << 30, shift=0)


@pytest.mark.parametrize(
    ("rule", "sx", "sw", "sy", "expected"),
    [
        ("float", 1e38, 1e38, 1.0, r"output_scale: got 1\.0, expected scales whose factors float32 holds"),
        ("float_offset", 1.0, 1.0, 1e-40, r"output_scale: got .*, expected scales whose factors float32 holds"),
        ("double", 1e9, 1e9, 1.0, r"filter_scale: got scales that make .*, expected a number from 0, below 2\*\*30"),
        ("reduced16", 2.0**15, 1.0, 1.0, "filter_scale: got a shift of 16, expected scales whose shift is at most 14"),
    ],
)
def test_scales_that_make_no_factor(rule: str, sx: float, sw: float, sy: float, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        cp.requantize([0], rule=rule, input_scale=sx, filter_scale=sw, output_scale=sy)


# Against the oracle


@given(st.data())
def test_requantize(draw: st.DataObject) -> None:
    channels = draw.draw(st.integers(1, 3))
    scaling: Scaling = draw.draw(scalings(channels))
    shape = (draw.draw(st.integers(0, 4)), channels)
    acc = np.array(
        draw.draw(st.lists(whole_numbers(scaling.bits), min_size=shape[0] * channels, max_size=shape[0] * channels)),
        np.int64,
    ).reshape(shape)
    dtype, overflow = draw.draw(st.sampled_from(NARROW)), draw.draw(st.sampled_from(OVERFLOWS))
    low, high = rules.integer_limits(dtype)
    zero = draw.draw(st.integers(low, high))
    if overflow == "saturate_symmetric":
        zero = max(zero, -high, low)
    ends = sorted(draw.draw(st.tuples(st.integers(low, high), st.integers(low, high))))
    limits = {"low": draw.draw(st.sampled_from([None, ends[0]])), "high": draw.draw(st.sampled_from([None, ends[1]]))}
    given_numbers = {**scaling.arguments, "zero_point": zero, "dtype": dtype, "overflow": overflow, **limits}
    try:
        expected = [
            [
                rules.requantize(
                    int(cell),
                    scaling.rule,
                    scaling.channels[at % len(scaling.channels)],
                    zero,
                    dtype,
                    overflow=overflow,
                    **limits,
                )
                for at, cell in enumerate(row)
            ]
            for row in acc
        ]
    except OverflowError:
        with pytest.raises(ValueRangeError, match=f"does not fit {dtype}"):
            cp.requantize(acc, rule=scaling.rule, **given_numbers)
        return
    got = cp.requantize(acc, rule=scaling.rule, **given_numbers)
    assert got.dtype == {"int4": "int8", "uint4": "uint8"}.get(dtype, dtype)
    assert got.tolist() == expected


@given(whole_numbers(64), st.integers(0, 63), st.sampled_from(MODES))
@settings(max_examples=300)
def test_round_shift(x: int, shift: int, mode: str) -> None:
    assert cp.round_shift([x], shift, mode).tolist() == [rules.round_shift(x, shift, mode)]


@given(st.floats(0, 2.0**30 - 1))
def test_quantize_multiplier(scale: float) -> None:
    assert cp.quantize_multiplier(scale) == rules.quantize_multiplier(scale)


@given(
    st.sampled_from(["none", "relu", "relu6", "relu_n1_to_1"]),
    float32s(2.0**-149, 2.0**100),
    st.sampled_from(NARROW),
    st.sampled_from(["half_away", "half_even"]),
    st.data(),
)
def test_activation_range(activation: str, scale: float, dtype: str, rounding: str, draw: st.DataObject) -> None:
    zero = draw.draw(st.integers(*rules.integer_limits(dtype)))
    got = cp.activation_range(activation, scale, zero, dtype, rounding)
    assert got == rules.activation_range(activation, scale, zero, dtype, rounding)


REALS = st.one_of(st.floats(width=32), st.integers(-600, 600).map(lambda steps: steps / 2))


@given(REALS, st.one_of(st.just(1.0), float32s(2.0**-149, 2.0**127)), st.sampled_from(NARROW), st.data())
def test_quantize(x: float, scale: float, dtype: str, draw: st.DataObject) -> None:
    zero = draw.draw(st.integers(*rules.integer_limits(dtype)))
    got = cp.quantize([x], scale, zero, dtype)
    assert got.tolist() == [rules.quantize(x, scale, zero, dtype)]


@given(whole_numbers(64), st.integers(-(2**31), 2**31 - 1), float32s(2.0**-149, 2.0**127))
def test_dequantize(q: int, zero: int, scale: float) -> None:
    got = cp.dequantize([q], scale, zero)
    assert got.dtype == np.float32
    assert float(got[0]) == float(rules.dequantize(q, scale, zero))


@given(
    REALS.filter(np.isfinite),
    float32s(2.0**-20, 2.0**20),
    st.lists(float32s(2.0**-20, 2.0**20), min_size=1, max_size=3),
)
def test_quantize_bias(bias: float, sx: float, sw: list[float]) -> None:
    got = cp.quantize_bias([bias] * len(sw), sx, sw)
    assert (got.dtype, got.tolist()) == (np.int32, [rules.quantize_bias(bias, sx, each) for each in sw])


@given(st.lists(st.integers(-8, 7), max_size=9))
def test_nibbles(values: list[int]) -> None:
    made = cp.pack_int4(np.array(values, np.int8))
    assert made.tolist() == rules.pack_int4(values)
    assert cp.unpack_int4(made, len(values)).tolist() == values
    assert cp.unpack_int4(made.view(np.int8), len(values)).tolist() == values
    unsigned = [value % 16 for value in values]
    assert cp.pack_int4(np.array(unsigned, np.uint8), "uint4").tolist() == made.tolist()
    assert cp.unpack_int4(made, len(values), "uint4").tolist() == unsigned


@given(
    st.lists(st.lists(whole_numbers(32), min_size=2, max_size=2), min_size=1, max_size=4),
    st.lists(st.lists(whole_numbers(32), min_size=3, max_size=3), min_size=2, max_size=2),
    st.integers(-300, 300),
    st.integers(-300, 300),
)
def test_thresholds(acc: list[list[int]], table: list[list[int]], offset: int, step: int) -> None:
    found = [rules.Numbers(thresholds=row, offset=offset, step=step) for row in table]
    expected = [[rules.levels(cell, 0, numbers) for cell, numbers in zip(row, found, strict=True)] for row in acc]
    assert cp.thresholds(acc, table, offset=offset, step=step).tolist() == expected


def test_thresholds_are_reached_by_sums_as_large() -> None:
    assert cp.thresholds([[-1, 5], [0, 4]], [[0, 0], [5, 4]]).tolist() == [[0, 2], [2, 1]]
    assert cp.thresholds([3, 4, 2**63 - 1], [4]).tolist() == [0, 1, 1]
