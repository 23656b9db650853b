"""The error function, against Python's own."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from convpipe.ops.erf import LARGE, MIDDLE, SMALL, erf, erfc

EDGES = [edge + step for edge in (SMALL, MIDDLE, LARGE) for step in (-1e-12, 0.0, 1e-12)]
GRID = np.concatenate([np.linspace(-30, 30, 60001), np.geomspace(1e-300, 1, 2000), EDGES, np.negative(EDGES)])
EXACT = [(math.nan, math.nan, math.nan), (math.inf, 1, 0), (-math.inf, -1, 2), (0.0, 0, 1), (1e300, 1, 0), (30.0, 1, 0)]
ERF = np.array([math.erf(value) for value in GRID])
ERFC = np.array([math.erfc(value) for value in GRID])


def test_erf_is_that_of_math_to_a_few_units_in_the_last_place() -> None:
    np.testing.assert_allclose(erf(GRID), ERF, rtol=4 * np.finfo(np.float64).eps, atol=0)


def test_erfc_is_that_of_math_down_to_the_least_normal_number() -> None:
    normal = np.abs(ERFC) >= np.finfo(np.float64).tiny
    np.testing.assert_allclose(erfc(GRID)[normal], ERFC[normal], rtol=8 * np.finfo(np.float64).eps, atol=0)
    least = 2 * float(np.finfo(np.float64).smallest_subnormal)
    np.testing.assert_allclose(erfc(GRID)[~normal], ERFC[~normal], rtol=8 * np.finfo(np.float64).eps, atol=least)


def test_float32_is_computed_as_such() -> None:
    narrow = np.linspace(-9, 9, 20001).astype(np.float32)
    eps = float(np.finfo(np.float32).eps)
    assert erf(narrow).dtype == erfc(narrow).dtype == np.float32
    np.testing.assert_allclose(erf(narrow), [math.erf(value) for value in narrow], rtol=4 * eps)
    np.testing.assert_allclose(erfc(narrow), [math.erfc(value) for value in narrow], rtol=8 * eps, atol=1e-38)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("value", "below", "above"), EXACT)
def test_values_that_are_exact(dtype: str, value: float, below: float, above: float) -> None:
    x = np.array([min(value, float(np.finfo(dtype).max)) if math.isfinite(value) else value], dtype)
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(erf(x), np.array([below], dtype))
        np.testing.assert_array_equal(erfc(x), np.array([above], dtype))


@given(st.floats(-30, 30))
@settings(max_examples=300)
def test_symmetry(value: float) -> None:
    x = np.array([value])
    assert erf(-x) == -erf(x)
    assert abs(erfc(-x) + erfc(x) - 2) <= 4 * np.finfo(np.float64).eps


def test_any_shape_and_memory_order_and_a_read_only_argument() -> None:
    x = np.linspace(-5, 5, 50)
    x.flags.writeable = False
    for function in (erf, erfc):
        expected = function(x.copy())
        np.testing.assert_array_equal(function(x[::-1]), expected[::-1])
        np.testing.assert_array_equal(function(x.reshape(5, 10).T), expected.reshape(5, 10).T)
        assert function(np.zeros((0, 3))).shape == (0, 3)
