"""The oracle of quantised numbers itself: against values done by hand, NumPy's float32, and planted mistakes."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, strategies as st
from quantised_cases import data, sections

from convpipe.reference import quantised, rules
from convpipe.reference.rules import FLOAT64, Numbers, held, nearest, requantize, to_float

REALS = st.floats(allow_nan=False, allow_infinity=False)


@given(REALS)
@example(2.0**128)
@example(np.nextafter(2.0**128, 0))
@example(2.0**128 - 2.0**103)  # halfway between the largest float32 and 2**128
@example(2.0**-150)
@example(3 * 2.0**-150)
@example(1 + 2.0**-24)
@example(1 + 3 * 2.0**-24)
def test_a_float32_is_numpys(value: float) -> None:
    with np.errstate(over="ignore"):
        expected = float(np.float32(value))
    found = to_float(Fraction(value))
    assert (found if found in (math.inf, -math.inf) else float(found)) == expected


@given(REALS, st.floats(2.0**-1000, 2.0**1000))
def test_a_float64_is_pythons(value: float, other: float) -> None:
    found = to_float(Fraction(value) * Fraction(other), FLOAT64)
    assert (found if found in (math.inf, -math.inf) else float(found)) == value * other


def test_ties() -> None:
    halves = [Fraction(each, 2) for each in (-5, -3, -1, 1, 3, 5)]
    expected = {
        "half_up": [-2, -1, 0, 1, 2, 3],
        "half_down": [-3, -2, -1, 0, 1, 2],
        "half_away": [-3, -2, -1, 1, 2, 3],
        "half_zero": [-2, -1, 0, 0, 1, 2],
        "half_even": [-2, -2, 0, 0, 2, 2],
        "half_odd": [-3, -1, -1, 1, 1, 3],
    }
    for ties, rounded in expected.items():
        assert [nearest(half, ties) for half in halves] == rounded
        quarter = Fraction(1, 4)
        assert [nearest(half + quarter, ties) for half in halves] == [-2, -1, 0, 1, 2, 3]
        assert [nearest(half - quarter, ties) for half in halves] == [-3, -2, -1, 0, 1, 2]


def test_what_does_not_fit() -> None:
    found = {rule: [held(value, -8, 7, rule) for value in (-9, -8, 7, 8, 40)] for rule in ("saturate", "wrap")}
    assert found == {"saturate": [-8, -8, 7, 7, 7], "wrap": [7, -8, 7, -8, -8]}
    assert [held(value, -8, 7, "saturate_symmetric") for value in (-8, -7, 8)] == [-7, -7, 7]
    assert [held(value, 0, 15, "saturate_symmetric") for value in (-8, 16)] == [0, 15]
    with pytest.raises(OverflowError, match="8 does not fit -8 to 7"):
        held(8, -8, 7, "error")


def test_section_5_of_the_rules() -> None:
    cells = {(-1, 0.5): (0, 0, 0), (1, 0.25): (1, 1, 0), (-2, 0.25): (-1, 0, 0), (2**29, 4): (0, 0, 127)}
    for (acc, scale), expected in {**cells, (16908289, 2.0**-18): (65, 65, 64)}.items():
        numbers = Numbers(input_scale=1, filter_scale=scale, output_scale=1)
        assert tuple(requantize(acc, rule, numbers) for rule in ("double", "double_up", "float")) == expected


def test_sums_by_hand() -> None:
    x, w = np.array([[[1, -2, 3]]], np.int8), np.array([[[4, 5]], [[-1, 2]]], np.int8)
    # zx = -1, zw = (0, 1): (2 -1 4) with (4 5) and (-2 1), outside 0
    sums = quantised.conv_sums(x, w, np.array([10, 0]), input_zero=-1, filter_zeros=[0, 1], pad=[[1, 0]])
    assert sums.tolist() == [[[20, 13, 26], [2, -5, 6]]]


def test_the_order_of_the_terms() -> None:
    x, w = np.array([[[9, 9], [-9, -9]]], np.int8), np.ones((1, 2, 2), np.int8)
    by_order = {
        order: quantised.conv_sums(x, w, accumulator=quantised.Accumulator(5, "saturate", "step", order)).item()
        for order in ("C,kh,kw", "kh,kw,C")
    }
    assert by_order == {"C,kh,kw": -3, "kh,kw,C": 0}  # 9 15 6 -3, and 9 0 9 0


SECTIONS = sections()


@data
@pytest.mark.parametrize("rule", sorted({each["name"] for each in SECTIONS if "name" in each}))
def test_a_planted_mistake_is_seen(monkeypatch: pytest.MonkeyPatch, rule: str) -> None:
    def wrong(acc: int, zero: int, numbers: Numbers) -> Any:
        return right(acc, zero, numbers) + (acc % 7 == 3)

    right = rules.RULES[rule]
    monkeypatch.setitem(rules.RULES, rule, wrong)
    cases = [(section, case) for section in SECTIONS if section.get("name") == rule for case in section["cases"]]
    assert any(by_oracle(section, case) != case["expected"] for section, case in cases)


def by_oracle(section: dict[str, Any], case: dict[str, Any]) -> int:
    """A published cell by the oracle."""
    if "input_scale" in section:
        numbers = Numbers(None, None, section["input_scale"], case["filter_scale"], section["output_scale"])
    else:
        numbers = Numbers(case.get("multiplier", case.get("scale")), case.get("shift"))
    dtype = "int32" if "before" in section["rule"] else section.get("output_dtype", "int8")
    return requantize(case["acc"], section["name"], numbers, section.get("output_zero_point", 0), dtype)
