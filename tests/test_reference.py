"""The oracle itself: against values done by hand, against NumPy and SciPy, and against planted mistakes."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from conv_cases import (
    LECTURE_FEATURE_MAP,
    LECTURE_INPUT,
    LECTURE_KERNEL,
    Case,
    assert_exact,
    assert_within,
    cases,
    floats,
    integers,
)
from hypothesis import given, settings, strategies as st

from convpipe import reference
from convpipe.execution.bounds import float_bound

SEEDS = st.integers(0, 2**32 - 1)


# Values known from elsewhere


def test_lecture() -> None:
    assert reference.conv(LECTURE_INPUT, LECTURE_KERNEL).tolist() == [[LECTURE_FEATURE_MAP]]


def test_integers_stay_python_integers_at_any_size() -> None:
    x = np.full((1, 1, 2), 2**64 - 1, np.uint64)
    result = reference.conv(x, x[:, :, :2], np.array([-1], np.int8))
    assert result.dtype == object
    assert result.tolist() == [[[2 * (2**64 - 1) ** 2 - 1]]]


def test_int64_minimum_times_itself() -> None:
    x = np.full((1, 1, 1), -(2**63))
    assert reference.conv(x, x).tolist() == [[[2**126]]]
    assert reference.magnitude(x, np.abs(x), np.array([-(2**63)])).tolist() == [[[2**126 + 2**63]]]


def test_floats_are_rounded_once() -> None:
    x, w = np.array([[[1.0, 2.0**-60, -1.0]]]), np.ones((1, 1, 3))
    assert reference.conv(x, w).tolist() == [[[2.0**-60]]]
    third = np.array([[[1 / 3, 1 / 10, 1 / 7]]])
    exact = sum((Fraction(value) ** 2 for value in third.ravel().tolist()), Fraction(0))
    assert reference.conv(third, third).tolist() == [[[float(exact)]]]


def test_integers_and_floats_together() -> None:
    assert reference.conv(np.array([[[3]], [[-1]]]), np.array([[[0.5]]], np.float16)).tolist() == [[[1.5]], [[-0.5]]]


def test_a_sum_beyond_float64_is_infinity() -> None:
    huge = np.array([[[1e308, 1e308]]])
    assert reference.conv(huge, np.full((2, 1, 2), [[[2]], [[-2]]])).ravel().tolist() == [np.inf, -np.inf]


def test_an_empty_batch_and_no_channels() -> None:
    assert reference.conv(np.zeros((0, 1, 5)), np.zeros((2, 1, 3))).shape == (0, 2, 3)
    assert reference.conv(np.zeros((1, 0, 2), int), np.zeros((1, 0, 1), int), np.array([7])).tolist() == [[[7, 7]]]


def test_groups_by_hand() -> None:
    x, w = np.array([[[1], [10], [100], [1000]]]), np.ones((2, 2, 1), int)
    assert reference.conv(x, w, groups=2).tolist() == [[[11], [1100]]]


def test_settings_by_hand() -> None:
    x, w = np.arange(1, 7).reshape(1, 1, 6), np.array([[[1, 10]]])
    assert reference.conv(x, w, stride=2).ravel().tolist() == [21, 43, 65]
    assert reference.conv(x, w, dilation=3).ravel().tolist() == [41, 52, 63]
    assert reference.conv(x, w, pad=[[0, 2]], pad_value=-1).ravel().tolist() == [21, 32, 43, 54, 65, -4, -11]
    assert reference.conv(x, w, pad="same").ravel().tolist() == [21, 32, 43, 54, 65, 6]
    assert reference.conv(x, w, pad="same_lower").ravel().tolist() == [10, 21, 32, 43, 54, 65]
    assert reference.conv(x, w, pad="valid").ravel().tolist() == [21, 32, 43, 54, 65]


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
@pytest.mark.parametrize("pads", [(0, 0), (1, 2), (3, 0), (2, 3)])
def test_padding_is_numpys(mode: str, pads: tuple[int, int]) -> None:
    x = np.arange(1, 17).reshape(1, 1, 4, 4)
    padded = reference.conv(x, np.ones((1, 1, 1, 1), int), pad=[pads, [1, 0]], pad_mode=mode)
    assert padded.tolist() == np.pad(x, [(0, 0), (0, 0), pads, (1, 0)], mode=mode).tolist()


def test_unknown_pad_mode() -> None:
    with pytest.raises(ValueError, match="pad_mode mirror: expected constant, reflect, edge or wrap"):
        reference.conv(np.ones((1, 1, 1)), np.ones((1, 1, 3)), pad=1, pad_mode="mirror")


@given(st.integers(1, 3), st.data())
@settings(max_examples=30)
def test_scipy_agrees_on_one_channel(rank: int, data: st.DataObject) -> None:
    signal = pytest.importorskip("scipy.signal")
    kernel = data.draw(st.lists(st.integers(1, 3), min_size=rank, max_size=rank))
    size = [data.draw(st.integers(taps, taps + 3)) for taps in kernel]
    x, w = integers(tuple(size), "int64", "small", data.draw(SEEDS)), integers(tuple(kernel), "int64", "small", 1)
    expected = signal.correlate(x, w, mode="valid", method="direct")
    assert_exact(reference.conv(x[None, None], w[None, None])[0, 0], expected.astype(object))


# Properties


@given(cases(), SEEDS)
@settings(max_examples=30)
def test_magnitude_is_the_convolution_of_absolute_values(case: Case, seed: int) -> None:
    x, w = integers(case.input_shape, "int8", "any", seed), integers(case.filters_shape, "int16", "any", seed + 1)
    bias = integers(case.filters_shape[:1], "int8", "any", seed + 2)
    expected = reference.conv(abs(x.astype(int)), abs(w.astype(int)), abs(bias.astype(int)), **case.settings)
    assert_exact(reference.magnitude(x, w, bias, **case.settings), expected)


@given(cases())
@settings(max_examples=30)
def test_links_reach_every_output_cell_equally_often(case: Case) -> None:
    chosen = reference.Settings(**case.settings)
    shape = reference.out_shape(case.input_shape, case.filters_shape, chosen)
    counts = np.zeros(shape, int)
    for out, _, _ in reference.links(case.input_shape, case.filters_shape, chosen):
        counts[out] += 1
    assert (counts == np.prod(case.filters_shape[1:])).all()


def test_col2im_by_hand() -> None:
    columns = np.arange(1, 7).reshape(3, 2)
    assert reference.col2im(columns, (1, 1, 4), (2,)).tolist() == [[[1, 2 + 3, 4 + 5, 6]]]
    assert reference.col2im(columns, (1, 1, 2), (2,), pad=1).tolist() == [[[2 + 3, 4 + 5]]]
    assert reference.col2im(columns / 2, (1, 1, 2), (2,), pad=1).tolist() == [[[2.5, 4.5]]]


def test_exact_keeps_subnormals_beside_large_numbers() -> None:
    values = np.array([5e-324, 1e308, -0.5])
    kept = reference.exact(values)
    assert [Fraction(part, kept.unit) for part in kept.parts] == [Fraction(value) for value in values.tolist()]
    assert reference.rounded(kept, floats=True).tolist() == values.tolist()


# Narrowing


def test_narrow_by_hand() -> None:
    values = np.array([[-129, -128, 127, 128, 2**70 + 3]], object)
    assert reference.narrow(values, "int8", "wrap").tolist() == [[127, -128, 127, -128, 3]]
    assert reference.narrow(values, "int8", "saturate").tolist() == [[-128, -128, 127, 127, 127]]
    assert reference.narrow(values[:, 1:3], "int8", "error").tolist() == [[-128, 127]]
    with pytest.raises(OverflowError, match=r"^-129 is not in -128 to 127$"):
        reference.narrow(values, "int8", "error")


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"])
def test_limits_are_numpys(dtype: str) -> None:
    info = np.iinfo(dtype)
    assert reference.limits(np.dtype(dtype)) == (info.min, info.max)
    assert reference.narrow(np.array([info.min - 1, info.max + 1], object), dtype, "wrap").tolist() == [
        info.max,
        info.min,
    ]


# The error bound


def test_bound_is_of_the_size_of_highams() -> None:
    for dtype, unit in (("float32", 2.0**-24), ("float64", 2.0**-53)):
        bound = float(float_bound(100, np.array(1.0), dtype))
        assert 101 * unit < bound < 105 * unit
    half = float(float_bound(100, np.array(1.0), "float16"))
    assert 2.0**-11 < half < 2.0**-11 + 105 * 2.0**-24


def test_bound_of_tiny_sums_is_the_subnormal_spacing() -> None:
    bound = float(float_bound(3, np.array(0.0), "float32"))
    assert 4 * 2.0**-149 <= bound < 6 * 2.0**-149


def test_bound_is_infinite_where_a_sum_may_overflow() -> None:
    assert float_bound(3, np.array([65500.0, 65504.0, 1e300]), "float16").tolist() == [np.inf] * 3
    assert np.isfinite(float_bound(3, np.array(60000.0), "float16"))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@given(taps=st.integers(1, 200), seed=SEEDS)
@settings(max_examples=20)
def test_no_order_of_summing_leaves_the_bound(dtype: str, taps: int, seed: int) -> None:
    x, w = floats((1, taps, 1), dtype, 0, seed), floats((1, taps, 1), dtype, 0, seed + 1)
    accumulator = np.result_type(dtype, np.float32)
    products = x.ravel().astype(accumulator) * w.ravel().astype(accumulator)
    true, bound = reference.conv(x, w), float_bound(taps, reference.magnitude(x, w), dtype)
    for order in (products, products[::-1], np.sort(products), products[np.argsort(-abs(products))]):
        assert_within(np.cumsum(order)[-1].astype(dtype).reshape(1, 1, 1), true, bound)


# The helpers, proven on planted wrong answers


def test_assert_exact_sees_a_wrong_value_shape_and_dtype() -> None:
    right = np.array([[1, 2]], np.int8)
    assert_exact(right, right)
    assert_exact(right, right.astype(object))
    with pytest.raises(AssertionError, match=r"2 at \(0, 1\), expected 3"):
        assert_exact(right, np.array([[1, 3]], np.int8))
    with pytest.raises(AssertionError, match=r"shape \(1, 2\), expected \(2,\)"):
        assert_exact(right, right[0])
    with pytest.raises(AssertionError, match="dtype int8, expected int16"):
        assert_exact(right, right.astype(np.int16))


def test_assert_exact_sees_the_last_digit() -> None:
    with pytest.raises(AssertionError, match="9223372036854775807 at"):
        assert_exact(np.array([2**63 - 1], np.uint64), np.array([2**63], object))
    with pytest.raises(AssertionError, match=r"2\.5 at"):
        assert_exact(np.array([2.5]), np.array([2], object))
    with pytest.raises(AssertionError, match=r"9007199254740992\.0 at"):
        assert_exact(np.array([2.0**53]), np.array([2**53 + 1], object))


def test_assert_within_sees_a_wrong_value_a_nan_and_a_shape() -> None:
    true, bound = np.array([1.0, 5.0]), np.array([0.25, np.inf])
    assert_within(np.array([1.25, np.inf]), true, bound)
    with pytest.raises(AssertionError, match=r"1\.26 at \(0,\), expected 1\.0 within 0\.25"):
        assert_within(np.array([1.26, 5]), true, bound)
    with pytest.raises(AssertionError, match="nan at"):
        assert_within(np.array([np.nan, 5]), true, bound)
    with pytest.raises(AssertionError, match="shape"):
        assert_within(true[:1], true, bound)


def test_the_float_bound_sees_one_forgotten_product() -> None:
    x, w = np.linspace(0.5, 1, 27).reshape(1, 27, 1).astype(np.float32), np.ones((1, 27, 1), np.float32)
    true, bound = reference.conv(x, w), float_bound(27, reference.magnitude(x, w), "float32")
    with pytest.raises(AssertionError, match="within"):
        assert_within(reference.conv(x[:, 1:], w[:, 1:]), true, bound)
