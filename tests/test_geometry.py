"""Sizes, against counting; and every way in which sizes can fail to fit, word for word."""

from __future__ import annotations

import re
from math import ceil, prod
from typing import Any

import numpy as np
import pytest
from conv_cases import Case, cases
from hypothesis import given, settings, strategies as st

from convpipe import reference
from convpipe.errors import ConfigError, GeometryError
from convpipe.geometry.axes import Pads, per_axis, same_pads
from convpipe.geometry.convolution import solve

SMALL = st.integers(1, 7)


def count(size: int, kernel: int, stride: int, dilation: int) -> int:
    """How often a kernel fits, by laying it down and looking at every tap."""
    positions = 0
    for start in range(0, size, stride):
        taps = [start + tap * dilation for tap in range(kernel)]
        positions += all(tap < size for tap in taps)
    return positions


# Sizes


@given(
    size=st.integers(0, 20),
    before=st.integers(0, 4),
    after=st.integers(0, 4),
    kernel=SMALL,
    stride=SMALL,
    dilation=SMALL,
)
@settings(max_examples=400)
def test_output_size_is_a_count(size: int, before: int, after: int, kernel: int, stride: int, dilation: int) -> None:
    padded = size + before + after
    arguments = {"stride": stride, "dilation": dilation, "pad": [[before, after]]}
    expected = count(padded, kernel, stride, dilation)
    if expected == 0:
        with pytest.raises(GeometryError, match=rf"^kernel: got {kernel}, expected at most {padded} along W"):
            solve((1, 1, size), (1, 1, kernel), **arguments)
        return
    sizes = solve((1, 1, size), (1, 1, kernel), **arguments)
    assert sizes.out == (expected,)
    assert sizes.unread == (padded - 1 - ((expected - 1) * stride + (kernel - 1) * dilation),)


@given(size=SMALL, kernel=SMALL, stride=SMALL, dilation=st.integers(1, 3), lower=st.booleans())
@settings(max_examples=300)
def test_same_is_the_least_padding_that_gives_size_over_stride(
    size: int, kernel: int, stride: int, dilation: int, lower: bool
) -> None:
    before, after = same_pads(size, kernel, stride, dilation, lower=lower)
    assert count(size + before + after, kernel, stride, dilation) == ceil(size / stride)
    if before + after:
        assert count(size + before + after - 1, kernel, stride, dilation) < ceil(size / stride)
    assert before - after in ((0, 1) if lower else (-1, 0))


@given(cases())
@settings(max_examples=200)
def test_every_shape_is_that_of_the_oracle(case: Case) -> None:
    sizes, chosen = case.sizes, reference.Settings(**case.settings)
    assert (
        sizes.feature_map_shape
        == np.moveaxis(np.empty(reference.out_shape(case.input_shape, case.filters_shape, chosen)), 1, -1).shape
    )
    assert (sizes.input_shape, sizes.filters_shape) == (case.input_shape, case.filters_shape)
    assert sizes.padded_shape == (*case.input_shape[:2], *sizes.padded)
    assert sizes.columns_shape == (sizes.positions, case.input_shape[1] * prod(sizes.kernel))
    assert sizes.filter_matrix_shape == (sizes.filters, sizes.taps)
    assert sizes.product_shape == (sizes.positions, sizes.filters)
    assert sizes.columns_shape[1] == sizes.groups * sizes.taps
    assert prod(sizes.feature_map_shape) == prod(sizes.product_shape)
    assert sizes.rank == len(case.input_shape) - 2


@given(cases())
@settings(max_examples=40)
def test_macs_are_the_products_of_the_oracle(case: Case) -> None:
    links = reference.links(case.input_shape, case.filters_shape, reference.Settings(**case.settings))
    assert case.sizes.macs == sum(1 for _ in links)


def test_the_lectures_sizes() -> None:
    sizes = solve((1, 3, 5, 5), (6, 3, 3, 3), stride=1, pad=1)
    assert sizes.columns_shape == (25, 27)
    assert sizes.filter_matrix_shape == (6, 27)
    assert sizes.product_shape == (25, 6)
    assert sizes.feature_map_shape == (1, 5, 5, 6)
    assert solve((9, 3, 5, 5), (6, 3, 5, 5)).columns_shape == (9, 75)
    assert solve((90, 3, 5, 5), (6, 3, 5, 5)).columns_shape == (90, 75)
    assert solve((1, 3, 4, 4), (1, 3, 3, 3)).out == (2, 2)


def test_sizes_beyond_int64_stay_exact() -> None:
    sizes = solve((2**40, 1, 2**40), (2**40, 1, 3))
    assert sizes.macs == 2**80 * 3 * (2**40 - 2)


def test_a_geometry_can_be_compared_and_hashed() -> None:
    first = solve((1, 1, 5), (1, 1, 3), stride=[2], pad=[[1, 1]])
    second = solve((1, 1, 5), (1, 1, 3), stride=2, pad=1)
    assert first == second
    assert len({first, second}) == 1


# What users may write


@pytest.mark.parametrize("value", [2, np.int64(2), np.uint8(2), [2, 2], (2, 2), [np.int32(2), 2]])
def test_one_number_or_one_per_axis(value: Any) -> None:
    values = per_axis("stride", value, rank=2)
    assert values == (2, 2)
    assert all(type(entry) is int for entry in values)


@pytest.mark.parametrize(
    ("pad", "expected"),
    [
        (0, ((0, 0), (0, 0))),
        (np.int16(2), ((2, 2), (2, 2))),
        ([1, 2], ((1, 1), (2, 2))),
        ([[0, 1], 2], ((0, 1), (2, 2))),
        (((0, 1), (2, 3)), ((0, 1), (2, 3))),
        ("valid", ((0, 0), (0, 0))),
        ("same", ((0, 1), (0, 1))),
        ("same_lower", ((1, 0), (1, 0))),
    ],
)
def test_ways_to_write_a_padding(pad: Any, expected: Pads) -> None:
    assert solve((1, 1, 5, 5), (1, 1, 2, 2), pad=pad).pads == expected


def test_a_mode_takes_pads_up_to_its_limit() -> None:
    for mode, most in (("reflect", 3), ("wrap", 4), ("edge", 9), ("constant", 9)):
        assert solve((1, 1, 4), (1, 1, 1), pad=most, pad_mode=mode).padded == (4 + 2 * most,)


# What does not fit

X, W = (1, 4, 6, 7), (2, 4, 3, 3)
PADS = "a whole number from 0, 2 of them, 2 pairs [before, after], or valid, same, same_lower"
SPREAD = "a whole number from 1, or a list of 2 (H, W)"
MISFITS: list[tuple[Any, Any, dict[str, Any], str]] = [
    (
        (4, 4),
        W,
        {},
        "input: got (4, 4), expected 4 axes (N, C, H, W), or 3 or 5 with one or three spatial ones",
    ),
    (
        (4,),
        W,
        {},
        "input: got (4,), expected 4 axes (N, C, H, W), or 3 or 5 with one or three spatial ones "
        "(a row alone is x[None])",
    ),
    (
        (1, 5, 5),
        W,
        {},
        "filters: got (2, 4, 3, 3), expected 3 axes (F, C and the kernel's), as the input (1, 5, 5) has "
        "(3 axes are (N, C, W), a 1-D convolution; one image is x[None])",
    ),
    (X, W, {"pad": "2"}, f"pad: got '2', expected {PADS}"),
    (
        (1,) * 6,
        W,
        {},
        "input: got (1, 1, 1, 1, 1, 1), expected 4 axes (N, C, H, W), or 3 or 5 with one or three spatial ones",
    ),
    (
        X,
        (2, 4, 3),
        {},
        "filters: got (2, 4, 3), expected 4 axes (F, C and the kernel's), as the input (1, 4, 6, 7) has "
        "(one filter is w[None])",
    ),
    (X, (2, 4, 0, 3), {}, "kernel: got (0, 3), expected at least 1 along H"),
    (X, (2, 4, 3, 0), {}, "kernel: got (3, 0), expected at least 1 along W"),
    (X, W, {"groups": 0}, "groups: got 0, expected a whole number from 1"),
    (X, W, {"groups": 1.0}, "groups: got 1.0, expected a whole number from 1"),
    (X, W, {"groups": True}, "groups: got True, expected a whole number from 1"),
    (X, W, {"groups": 3}, "groups: got 3, expected a divisor of both the 4 input channels and the 2 filters"),
    (X, W, {"groups": 4}, "groups: got 4, expected a divisor of both the 4 input channels and the 2 filters"),
    (X, W, {"groups": 2}, "channels: got 4, expected 2 channels in each filter (4 input channels, 2 groups)"),
    (X, (2, 3, 3, 3), {}, "channels: got 3, expected 4 channels in each filter (4 input channels, 1 groups)"),
    (X, W, {"stride": 0}, f"stride: got 0, expected {SPREAD}"),
    (X, W, {"stride": -1}, f"stride: got -1, expected {SPREAD}"),
    (X, W, {"stride": 1.5}, f"stride: got 1.5, expected {SPREAD}"),
    (X, W, {"stride": None}, f"stride: got nothing, expected {SPREAD}"),
    (X, W, {"stride": False}, f"stride: got False, expected {SPREAD}"),
    (X, W, {"stride": "2"}, f"stride: got '2', expected {SPREAD}"),
    (X, W, {"stride": [1, 2, 3]}, f"stride: got [1, 2, 3], expected {SPREAD}"),
    (X, W, {"stride": [1, 0]}, f"stride: got [1, 0], expected {SPREAD}"),
    (X, W, {"dilation": 0}, f"dilation: got 0, expected {SPREAD}"),
    (X, W, {"dilation": [2]}, f"dilation: got [2], expected {SPREAD}"),
    (X, W, {"pad": -1}, f"pad: got -1, expected {PADS}"),
    (X, W, {"pad": 0.5}, f"pad: got 0.5, expected {PADS}"),
    (X, W, {"pad": True}, f"pad: got True, expected {PADS}"),
    (X, W, {"pad": None}, f"pad: got nothing, expected {PADS}"),
    (X, W, {"pad": [1]}, f"pad: got [1], expected {PADS}"),
    (X, W, {"pad": [[1, 2, 3], 1]}, f"pad: got [[1, 2, 3], 1], expected {PADS}"),
    (X, W, {"pad": [[0, -1], 1]}, f"pad: got [[0, -1], 1], expected {PADS}"),
    (X, W, {"pad": "smae"}, f"pad: got smae, expected {PADS} (did you mean same?)"),
    (X, W, {"pad": "zero"}, f"pad: got zero, expected {PADS}"),
    (
        X,
        W,
        {"pad_mode": "reflct"},
        "pad_mode: got reflct, expected one of constant, reflect, edge, wrap (did you mean reflect?)",
    ),
    (
        X,
        W,
        {"pad": [0, [1, 7]], "pad_mode": "reflect"},
        "pad: got [1, 7], expected at most 6 along W for reflect padding of 7",
    ),
    (X, W, {"pad": 7, "pad_mode": "wrap"}, "pad: got [7, 7], expected at most 6 along H for wrap padding of 6"),
    (
        (1, 4, 0, 7),
        W,
        {"pad": 2, "pad_mode": "edge"},
        "pad: got [2, 2], expected at most 0 along H for edge padding of 0",
    ),
    (X, (2, 4, 7, 3), {}, "kernel: got 7, expected at most 6 along H, the padded input's size"),
    (
        X,
        (2, 4, 3, 4),
        {"dilation": [1, 3], "pad": [0, 1]},
        "kernel: got 4, expected at most 9 along W, the padded input's size (with dilation 3 it reaches 10)",
    ),
]


@pytest.mark.parametrize(("x", "w", "arguments", "message"), MISFITS)
def test_what_does_not_fit_is_named(x: Any, w: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(GeometryError, match=f"^{re.escape(message)}$"):
        solve(x, w, **arguments)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_axes_are_named_by_their_letters(rank: int) -> None:
    letters = ("D", "H", "W")[3 - rank :]
    for axis, letter in enumerate(letters):
        kernel = [1] * rank
        kernel[axis] = 5
        with pytest.raises(GeometryError, match=f"^kernel: got 5, expected at most 4 along {letter}, "):
            solve((1, 1, *[4] * rank), (1, 1, *kernel))


@pytest.mark.parametrize("name", ["stride", "dilation", "pad"])
def test_an_array_is_taken_like_a_list(name: str) -> None:
    for array, values in [(np.array([2, 1]), [2, 1]), (np.int8(2), 2), (range(1, 3), [1, 2])]:
        assert solve((1, 1, 5, 5), (1, 1, 2, 2), **{name: array}) == solve((1, 1, 5, 5), (1, 1, 2, 2), **{name: values})
    for array in (np.array([1.0, 1.0]), np.array([1, 1, 1]), np.array([[[1]]]), np.array([True, True]), np.float64(1)):
        with pytest.raises(GeometryError, match=f"^{name}: got "):
            solve((1, 1, 5, 5), (1, 1, 2, 2), **{name: array})


def test_an_error_takes_the_name_its_user_typed() -> None:
    with pytest.raises(GeometryError) as caught:
        solve(X, W, stride=0)
    named = caught.value.at({"stride": "conv.stride"})
    assert isinstance(named, GeometryError)
    assert isinstance(named, ConfigError)
    assert str(named) == f"conv.stride: got 0, expected {SPREAD}"
