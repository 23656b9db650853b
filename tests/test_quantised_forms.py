"""Every stage of a quantised convolution says step by step how its cells come about, on the page as in Python."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
from form_cases import Case
from quantised_forms import quantised_cases
from test_forms import check_values
from test_page_forms import answers, needs_node, places, question, told

from convpipe.ops.kinds.machine_numbers import float32, precise, rint, wrapped
from convpipe.ops.requantize import Requantize
from convpipe.tensors import Tensor


@cache
def cases() -> tuple[Case, ...]:
    return tuple(quantised_cases())


@pytest.mark.parametrize("number", range(len(cases())))
def test_the_form_of_a_stage_comes_to_what_it_makes(number: int) -> None:
    check_values(cases()[number])


def steps(settings: dict[str, Any], acc: int, **sides: Any) -> list[str]:
    """The steps of one sum."""
    operation, x = Requantize(**settings), Tensor("x", (1, 1), np.dtype(np.int32), ("N", "F"))
    found = operation.form(x)
    return [f"{words}: {text}" for words, text in found.told_steps((0, 0), lambda source, cell: acc)]


def test_the_steps_of_a_doubling_rule_are_those_of_its_source() -> None:
    assert steps({"rule": "double", "multiplier": 1 << 30, "shift": -1, "zero_point": 4}, -7) == [
        "exact: -7 * 1073741824 / (1 << 32) = -1.75",
        "doubling high product: (-7 * 1073741824 + (1 << 30)) >> 31 = -3",
        "second rounding: (-3 + (1 << 0) - 1) >> 1 = -2",
        "zero point: -2 + 4 = 2",
    ]


def test_a_left_shift_wraps_and_is_told() -> None:
    found = steps({"rule": "double", "multiplier": 1 << 30, "shift": 3}, 2**29)
    assert found[1:3] == [
        "left shift: wrap32(536870912 << 3) = 0",
        "doubling high product: (0 * 1073741824 + (1 << 30)) >> 31 = 0",
    ]


def test_the_steps_of_a_float_rule_have_all_digits() -> None:
    found = steps({"rule": "float", "input_scale": 0.1, "filter_scale": 0.3, "output_scale": 0.7}, 16777217)
    assert found == [
        "sum in float32: f32(16777217) = 16777216",
        "product of scales: f32(0.1 * 0.3) = 0.030000001",
        "scale: f32(0.030000001 / 0.7) = 0.042857144",
        "product: f32(16777216 * 0.042857144) = 719023.56",
        "rounding: rint(719023.56) = 719024",
        "zero point: 719024 + 0 = 719024",
    ]


# Numbers


def floats() -> Iterator[float]:
    """Float32 numbers of all sizes, subnormal ones among them, and numbers that lie between two of them."""
    draw = np.random.default_rng(3)
    with np.errstate(invalid="ignore"):  # signalling NaN
        found = np.frombuffer(draw.bytes(4000), np.float32).astype(float)
    yield from found.tolist()
    yield from (draw.integers(1, 2**26, 500) * 2.0 ** draw.integers(-160, 100, 500)).tolist()


def test_float32_rounds_as_numpy_does() -> None:
    with np.errstate(all="ignore"):
        for value in filter(np.isfinite, floats()):
            for found, expected in (
                (float32(Fraction(value)), np.float32(value)),
                (float32(Fraction(value) / 7), np.float32(np.float64(value) / 7)),
            ):
                assert float(found) == expected, value
        for whole in (2**24 + 1, 2**24 + 3, -(2**62) - 2**38, 2**63 - 1, 2**40 + 2**16 + 1):
            assert float32(whole) == np.int64(whole).astype(np.float32).item()


def test_whole_numbers_are_rounded_to_even_and_wrap() -> None:
    halves = [Fraction(each, 2) for each in range(-9, 10)]
    assert [rint(each) for each in halves] == [int(np.rint(float(each))) for each in halves]
    assert [wrapped(each, 8) for each in range(-300, 300)] == np.arange(-300, 300).astype(np.int8).tolist()
    assert [wrapped(each, 8, signed=False) for each in range(-300, 300)] == np.arange(-300, 300).astype(
        np.uint8
    ).tolist()


def test_precise_numbers_are_no_other() -> None:
    for value in filter(np.isfinite, floats()):
        narrow = float(np.float32(value)) == value
        assert (float(np.float32(precise(value))) if narrow else float(precise(value))) == value


# The page


def questions() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Cells of every stage: what is asked of the page, and what it has to say."""
    draw = np.random.default_rng(2)
    for seed in range(2):
        for case in quantised_cases(seed):
            for at in places(case.made.shape, draw, 6):
                asked, expected = question(case.form, at, case.at)
                yield (
                    str(case),
                    {**asked, "steps": True},
                    {**expected, "steps": [[*each] for each in case.form.told_steps(at, case.at)]},
                )


@needs_node
def test_the_page_says_of_every_cell_what_python_says() -> None:
    asked = list(questions())
    found = answers([each for _, each, _ in asked])
    assert len(asked) > 2000
    for (case, _, expected), answer in zip(asked, found, strict=True):
        assert answer == expected, case


@needs_node
def test_the_page_writes_precise_numbers_as_python_does() -> None:
    values = [*filter(np.isfinite, floats()), 2**63 + 1, 0.1, -0.5, 1e-7, 4194303.25, 4194303.75]
    [found] = answers([{"kind": "precise", "values": [told(value) for value in values]}])
    assert found == [precise(value if isinstance(value, int) else Fraction(value)) for value in values]
    assert json.dumps(found)
