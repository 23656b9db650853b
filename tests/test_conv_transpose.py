"""Transposed convolution: sizes, values against the oracle, ONNX's own examples and PyTorch, and every refusal."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runs import job
from conv_cases import FLOATS, INTEGERS, assert_exact, assert_within, floats, integers, memory_orders
from hypothesis import assume, given, settings, strategies as st
from plan_cases import plan_convolution, stages_of

import convpipe as cp
from convpipe import reference
from convpipe.errors import ConfigError, GeometryError, ValueRangeError
from convpipe.execution import pipeline
from convpipe.execution.bounds import float_bound
from convpipe.execution.functions import conv, conv_transpose
from convpipe.geometry.convolution import ConvGeometry, solve
from convpipe.geometry.transposed import solve_transposed
from convpipe.graph.plan import Plan
from convpipe.graph.single import plan_run
from convpipe.graph.spec import LoweringSettings, Spec
from convpipe.ops.kinds.convolving import ConvSettings
from convpipe.sources import Source, read_source
from convpipe.tensors import Signature

SEEDS = st.integers(0, 2**32 - 1)
STAGES = ("rows", "fil2row", "matmul_rows", "col2im", "crop")
TRANSPOSED = ConvSettings(operation="conv_transpose")


@dataclass(frozen=True)
class TransposedCase:
    """One legal transposed convolution; `settings` are the keyword arguments of `reference.conv_transpose`."""

    input_shape: tuple[int, ...]
    filters_shape: tuple[int, ...]
    settings: dict[str, Any]

    @property
    def sizes(self) -> ConvGeometry:
        """The geometry under test."""
        return solve_transposed(self.input_shape, self.filters_shape, **self.settings)

    @property
    def terms(self) -> int:
        """The most products that one output cell may sum."""
        return self.sizes.filters // self.sizes.groups * int(np.prod(self.sizes.kernel))


@st.composite
def transposed_cases(draw: st.DrawFn) -> TransposedCase:
    """One to three axes: strides, dilations, pads per side, output paddings, groups, empty batches."""
    rank = draw(st.integers(1, 3))
    groups, depth, channels = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    axes = [draw(transposed_axis(3 if rank < 3 else 2)) for _ in range(rank)]
    names = ("size", "kernel", "stride", "dilation", "pad", "output_padding")
    columns = dict(zip(names, map(list, zip(*axes, strict=True)), strict=True))
    spatial, kernel = columns.pop("size"), columns.pop("kernel")
    batch = draw(st.sampled_from([1, 2, 1, 0]))
    return TransposedCase(
        (batch, channels * groups, *spatial), (channels * groups, depth, *kernel), {**columns, "groups": groups}
    )


@st.composite
def transposed_axis(draw: st.DrawFn, largest: int) -> tuple[int, int, int, int, tuple[int, int], int]:
    """One axis: size, kernel, stride, dilation, pads that leave a cell, an output padding in range."""
    size, kernel, stride, dilation = (draw(st.integers(1, largest)) for _ in range(4))
    grown = draw(st.integers(0, max(stride, dilation) - 1))
    full = (size - 1) * stride + dilation * (kernel - 1) + 1
    before = draw(st.integers(0, min(3, full + grown - 1)))
    after = draw(st.integers(0, min(3, full + grown - 1 - before)))
    return size, kernel, stride, dilation, (before, after), grown


def operands(case: TransposedCase, dtype: str, flavour: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An input, filters and a bias of integers."""
    shapes = (case.input_shape, case.filters_shape, (case.sizes.channels,))
    x, w, bias = (integers(shape, dtype, flavour, seed + at) for at, shape in enumerate(shapes))
    return x, w, bias


# Sizes


@given(transposed_cases())
@settings(max_examples=200)
def test_every_size_is_the_oracles_and_the_forward_convolutions(case: TransposedCase) -> None:
    sizes = case.sizes
    shape = reference.conv_transpose(
        np.zeros(case.input_shape, int), np.zeros(case.filters_shape, int), **case.settings
    ).shape
    assert sizes.input_shape == shape
    assert (sizes.batch, sizes.filters, *sizes.out) == case.input_shape
    assert sizes.filters_shape == case.filters_shape
    assert sizes.unread == (0,) * sizes.rank
    if all(after >= 0 for _, after in sizes.pads):
        chosen = {key: case.settings[key] for key in ("stride", "dilation", "groups")}
        assert solve(shape, case.filters_shape, pad=sizes.pads, **chosen) == sizes


@given(transposed_cases())
@settings(max_examples=100)
def test_the_output_shape_says_the_same_as_the_output_padding(case: TransposedCase) -> None:
    by_padding = case.sizes
    chosen = {**case.settings, "output_padding": 0, "output_shape": list(by_padding.spatial)}
    assert solve_transposed(case.input_shape, case.filters_shape, **chosen) == by_padding


@given(transposed_cases(), st.data())
@settings(max_examples=100)
def test_a_smaller_output_shape_is_cropped_as_onnx_does(case: TransposedCase, data: st.DataObject) -> None:
    chosen = {key: case.settings[key] for key in ("stride", "dilation", "groups")}
    full = solve_transposed(case.input_shape, case.filters_shape, **chosen).spatial
    wanted = [data.draw(st.integers(1, size)) for size in full]
    sizes = solve_transposed(case.input_shape, case.filters_shape, output_shape=wanted, **chosen)
    assert list(sizes.spatial) == wanted
    for (before, after), size, rest in zip(sizes.pads, full, wanted, strict=True):
        assert before + after == size - rest
        assert before - after in (0, 1)


@pytest.mark.parametrize("word", ["same", "same_lower"])
@given(case=transposed_cases(), data=st.data())
@settings(max_examples=60)
def test_same_is_the_adjoint_of_the_forward_same(word: str, case: TransposedCase, data: st.DataObject) -> None:
    chosen = {key: case.settings[key] for key in ("stride", "dilation", "groups")}
    sizes = solve_transposed(case.input_shape, case.filters_shape, pad=word, **chosen)
    size = tuple(size * stride for size, stride in zip(case.input_shape[2:], sizes.stride, strict=True))
    assert sizes.spatial == size
    forward = solve(sizes.input_shape, case.filters_shape, pad=word, **chosen)
    assert forward.out == sizes.out
    assert [before for before, _ in forward.pads] == [before for before, _ in sizes.pads]


def test_same_with_an_output_shape() -> None:
    sizes = solve_transposed((1, 1, 4), (1, 1, 3), stride=2, pad="same", output_shape=7)
    assert (sizes.spatial, sizes.pads) == ((7,), ((1, 1),))
    sizes = solve_transposed((1, 1, 4), (1, 1, 1), stride=2, pad="same", output_shape=8)
    assert (sizes.spatial, sizes.pads) == ((8,), ((0, -1),))


def test_valid_is_no_padding() -> None:
    assert solve_transposed((1, 1, 4), (1, 1, 3), pad="valid").spatial == (6,)


MISFITS: list[tuple[Any, Any, dict[str, Any], str]] = [
    ((1, 4, 3, 3), (4, 2, 3), {}, "filters: got (4, 2, 3), expected 4 axes"),
    ((4,), (4, 2), {}, "input: got (4,), expected "),
    ((1, 4, 3, 3), (3, 2, 3, 3), {}, "filters: got (3, 2, 3, 3), expected 4 along the first axis (C, F/G, kernel)"),
    ((1, 4, 3, 3), (4, 2, 3, 0), {}, "kernel: got (3, 0), expected at least 1 along W"),
    ((1, 4, 3, 0), (4, 2, 3, 3), {}, "input: got (3, 0), expected at least 1 along W"),
    ((1, 4, 3, 3), (4, 2, 3, 3), {"groups": 3}, "groups: got 3, expected a divisor of the 4 input channels"),
    ((1, 4, 3, 3), (4, 2, 3, 3), {"groups": 0}, "groups: got 0, expected a whole number from 1"),
    ((1, 4, 3, 3), (4, 2, 3, 3), {"stride": 0}, "stride: got 0, expected a whole number from 1"),
    ((1, 4, 3, 3), (4, 2, 3, 3), {"dilation": [1]}, "dilation: got [1], expected a whole number from 1"),
    ((1, 4, 3, 3), (4, 2, 3, 3), {"pad": -1}, "pad: got -1, expected a whole number from 0"),
    ((1, 4, 3, 3), (4, 2, 3, 3), {"pad": "some"}, "pad: got some, expected "),
    (
        (1, 1, 3, 3),
        (1, 1, 3, 3),
        {"pad": [[0, 0], [2, 3]]},
        "pad: got [2, 3], expected at most 4 cells in all along W, as it crops the 5 there are",
    ),
    ((1, 1, 3), (1, 1, 3), {"output_padding": -1}, "output_padding: got -1, expected a whole number from 0"),
    (
        (1, 1, 3, 3),
        (1, 1, 3, 3),
        {"output_padding": [1, 2], "stride": 2},
        "output_padding: got 2, expected less than 2 along W, the larger of stride and dilation",
    ),
    (
        (1, 1, 3),
        (1, 1, 3),
        {"output_padding": 1},
        "output_padding: got 1, expected less than 1 along W, the larger of stride and dilation",
    ),
    (
        (1, 1, 3),
        (1, 1, 3),
        {"output_padding": 1, "stride": 2, "output_shape": 8},
        "output_padding: got [1], expected 0 beside output_shape, which says the output's size",
    ),
    (
        (1, 1, 3),
        (1, 1, 3),
        {"output_padding": 1, "stride": 2, "pad": "same"},
        "output_padding: got [1], expected 0 beside pad=same, which says the output's size",
    ),
    ((1, 1, 3), (1, 1, 3), {"output_shape": 0}, "output_shape: got 0, expected a whole number from 1"),
    ((1, 1, 3), (1, 1, 3), {"output_shape": [4, 4]}, "output_shape: got [4, 4], expected a whole number from 1, or"),
    ((1, 1, 3), (1, 1, 3), {"output_shape": 9, "stride": 2}, "output_shape: got 9, expected 1 to 8 along W"),
    (
        (1, 1, 3),
        (1, 1, 3),
        {"output_shape": 4, "stride": 2, "pad": 1},
        "output_shape: got 4, expected 5 to 6 along W with the padding [1, 1]",
    ),
    (
        (1, 1, 3),
        (1, 1, 3),
        {"output_shape": 4, "stride": 2, "pad": "valid"},
        "output_shape: got 4, expected 7 to 8 along W with the padding [0, 0]",
    ),
    (
        (1, 1, 3),
        (1, 1, 3),
        {"output_shape": 9, "stride": 2, "pad": "same"},
        "output_shape: got 9, expected 1 to 8 along W (for 3 input cells)",
    ),
]


@pytest.mark.parametrize(("x", "w", "arguments", "message"), MISFITS)
def test_what_does_not_fit_is_named(x: Any, w: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(GeometryError, match=f"^{re.escape(message)}"):
        solve_transposed(x, w, **arguments)
    with pytest.raises(ConfigError, match=f"^{message.split(':')[0]}: got "):
        conv_transpose(np.zeros(x), np.zeros(w), **arguments)


# Values


@given(transposed_cases(), st.sampled_from(INTEGERS), SEEDS)
@settings(max_examples=200)
def test_small_integers_are_exact(case: TransposedCase, dtype: str, seed: int) -> None:
    x, w, bias = operands(case, dtype, "small", seed)
    expected = reference.conv_transpose(x, w, bias, **case.settings)
    assert_exact(conv_transpose(x, w, bias, dtype="int64", **case.settings), expected)
    assert conv_transpose(x, w, **case.settings, overflow="wrap").dtype == dtype


@given(
    transposed_cases(), st.sampled_from(INTEGERS), st.sampled_from(["any", "ends"]), st.sampled_from(INTEGERS), SEEDS
)
@settings(max_examples=200)
def test_wrap_is_right_whatever_the_integers(
    case: TransposedCase, dtype: str, flavour: str, target: str, seed: int
) -> None:
    x, w, bias = operands(case, dtype, flavour, seed)
    expected = reference.narrow(reference.conv_transpose(x, w, bias, **case.settings), target, "wrap")
    assert_exact(conv_transpose(x, w, bias, dtype=target, overflow="wrap", **case.settings), expected)


@given(
    transposed_cases(),
    st.sampled_from(INTEGERS),
    st.sampled_from(INTEGERS),
    st.sampled_from(["error", "saturate"]),
    SEEDS,
)
@settings(max_examples=200)
def test_integers_are_exact_or_an_error(
    case: TransposedCase, dtype: str, target: str, overflow: str, seed: int
) -> None:
    x, w, bias = operands(case, dtype, "ends", seed)
    true = reference.conv_transpose(x, w, bias, **case.settings)
    low, high = reference.limits(np.dtype(target))
    fits = not true.size or (low <= true.min() and true.max() <= high)
    if overflow == "error" and not fits:
        with pytest.raises(ValueRangeError, match=r"^the exact sum -?[0-9]+"):
            conv_transpose(x, w, bias, dtype=target, overflow=overflow, **case.settings)
        return
    expected = reference.narrow(true, target, overflow)
    if np.dtype(dtype).itemsize <= 2:  # of these nothing leaves 64 bits
        assert_exact(conv_transpose(x, w, bias, dtype=target, overflow=overflow, **case.settings), expected)
        return
    try:
        got = conv_transpose(x, w, bias, dtype=target, overflow=overflow, **case.settings)
    except ValueRangeError:
        with pytest.raises(ValueRangeError, match=r"^the exact sum -?[0-9]+, on its way from stage to stage, "):
            conv_transpose(x, w, bias, dtype=target, overflow=overflow, **case.settings)
        return
    assert_exact(got, expected)


def test_unsigned_sums_may_fill_uint64() -> None:
    x, w = np.array([[[2**32, 2**32]]], np.uint64), np.array([[[2**31, 2**31]]], np.uint64)
    assert conv_transpose(x[..., :1], w).tolist() == [[[2**63, 2**63]]]
    with pytest.raises(
        ValueRangeError, match=f"^the exact sum {2**64}, on its way from stage to stage, does not fit uint64"
    ):
        conv_transpose(x, w)


@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
def test_unsigned_sums_beyond_int64_saturate_only_at_an_integer(dtype: str) -> None:
    x, w = np.array([[[2**63 + 2**42, 5]]], np.uint64), np.array([[[1]]], np.uint64)
    largest = int(np.finfo(dtype).max) if dtype in FLOATS else np.iinfo(dtype).max
    expected = [min(2**63 + 2**42, largest), min(5, largest)]
    assert cp.conv_transpose(x, w, dtype=dtype, overflow="saturate").tolist() == [[np.array(expected, dtype).tolist()]]


@pytest.mark.parametrize("name", ["transpose", "grad_input"])
def test_floats_need_no_room_for_pythons_integers(name: str) -> None:
    first = "grad" if name == "grad_input" else "input"
    room = {}
    for dtype in ("float32", "float64", "int64"):
        words = [f"experiment={name}", f"{first}.dtype={dtype}", f"filters.dtype={dtype}"]
        if name == "transpose":
            words.append(f"bias.dtype={dtype}")
        room[dtype] = plan_run(job(*words).spec).steps[-1].workspace
    assert room["float32"] == room["float64"] < room["int64"]


@given(transposed_cases(), st.sampled_from(FLOATS), SEEDS)
@settings(max_examples=150)
def test_floats_are_within_the_bound(case: TransposedCase, dtype: str, seed: int) -> None:
    shapes = (case.input_shape, case.filters_shape, (case.sizes.channels,))
    x, w, bias = (floats(shape, dtype, 0, seed + at) for at, shape in enumerate(shapes))
    true = reference.conv_transpose(x, w, bias, **case.settings)
    magnitude = reference.conv_transpose(abs(x), abs(w), abs(bias), **case.settings)
    got = conv_transpose(x, w, bias, **case.settings)
    assert got.dtype == dtype
    assert_within(got, true, float_bound(case.terms, magnitude, dtype))


@given(transposed_cases(), SEEDS)
@settings(max_examples=100)
def test_it_is_the_adjoint_of_the_convolution(case: TransposedCase, seed: int) -> None:
    sizes = case.sizes
    assume(all(after >= 0 for _, after in sizes.pads))
    x, w, _ = operands(case, "int64", "small", seed)
    image = integers(sizes.input_shape, "int64", "small", seed + 3)
    chosen = {key: case.settings[key] for key in ("stride", "dilation", "groups")}
    forward = conv(image, w, pad=[list(pair) for pair in sizes.pads], **chosen)
    assert int((forward * x).sum()) == int((image * conv_transpose(x, w, **case.settings)).sum())


def test_operands_of_several_dtypes() -> None:
    x, w = np.array([[[1, 2]]], np.uint8), np.array([[[-3, 4]]], np.int8)
    assert_exact(conv_transpose(x, w), np.array([[[-3, -2, 8]]], np.int16))
    assert_exact(conv_transpose(x, w, np.array([0.5], np.float32)), np.array([[[-2.5, -1.5, 8.5]]], np.float32))
    assert_exact(conv_transpose(x, w, dtype="float16"), np.array([[[-3, -2, 8]]], np.float16))
    with pytest.raises(GeometryError, match=r"^dtype: got int8, expected a float dtype"):
        conv_transpose(x / 2, w, dtype="int8")


def test_a_float_result_of_integers_is_rounded_once_and_never_wrapped() -> None:
    x, w = np.array([[[2**40, 1]]]), np.array([[[2**20, 2**20]]])
    got = conv_transpose(x, w, dtype="float32", overflow="inf")
    assert got.tolist() == [[[2.0**60, 2.0**60, 2.0**20]]]
    with pytest.raises(ValueRangeError, match="on its way from stage to stage, does not fit int64"):
        conv_transpose(x * 2**3, w, dtype="float32", overflow="inf")
    with pytest.raises(ConfigError, match=r"^overflow: got wrap, expected error, saturate or inf, as the result is f"):
        conv_transpose(x, w, dtype="float32", overflow="wrap")


def test_nan_and_infinity_pass_through() -> None:
    x, w = np.array([[[np.inf, 1, np.nan]]], np.float32), np.array([[[1, -1]]], np.float32)
    got = conv_transpose(x, w, np.array([2], np.float32))
    assert np.array_equal(got, [[[np.inf, -np.inf, np.nan, np.nan]]], equal_nan=True)


# ONNX's own examples (onnx/backend/test/case/node/convtranspose.py), written out


def nine(shape: tuple[int, ...]) -> np.ndarray:
    """0 to 8 in a 3x3 image."""
    return np.arange(9).reshape(shape)


def test_onnx_default() -> None:
    expected = [[0, 1, 3, 3, 2], [3, 8, 15, 12, 7], [9, 21, 36, 27, 15], [9, 20, 33, 24, 13], [6, 13, 21, 15, 8]]
    got = conv_transpose(nine((1, 1, 3, 3)), np.ones((1, 2, 3, 3), int))
    assert got.tolist() == [[expected, expected]]


def test_onnx_pads() -> None:
    expected = [[1, 1, 3], [1, 1, 3], [7, 4, 9], [7, 4, 9], [7, 4, 9], [13, 7, 15], [13, 7, 15]]
    got = conv_transpose(nine((1, 1, 3, 3)), np.ones((1, 2, 3, 3), int), stride=[3, 2], pad=[[1, 1], [2, 2]])
    assert got.tolist() == [[expected, expected]]


def test_onnx_autopad_same() -> None:
    expected = [
        [0, 0, 1, 1, 3, 2],
        [0, 0, 1, 1, 3, 2],
        [3, 3, 8, 5, 12, 7],
        [3, 3, 7, 4, 9, 5],
        [9, 9, 20, 11, 24, 13],
        [6, 6, 13, 7, 15, 8],
    ]
    got = conv_transpose(nine((1, 1, 3, 3)), np.ones((1, 2, 3, 3), int), stride=2, pad="same")
    assert got.tolist() == [[expected, expected]]


def test_onnx_dilations() -> None:
    x, w = np.array([[[[3, 8, 1], [9, 5, 7], [3, 2, 6]]]]), np.array([[[[7, 2], [1, 9]]]])
    expected = [[21, 56, 13, 16, 2], [63, 35, 67, 10, 14], [24, 22, 76, 76, 21], [9, 5, 88, 45, 63], [3, 2, 33, 18, 54]]
    assert conv_transpose(x, w, dilation=2).tolist() == [[expected]]


@pytest.mark.parametrize("arguments", [{"output_shape": [10, 8]}, {"output_padding": 1}])
def test_onnx_output_shape(arguments: dict[str, Any]) -> None:
    expected = [[0, 0, 1, 1, 3, 2, 2, 0]] * 3 + [[3, 3, 7, 4, 9, 5, 5, 0]] * 3
    expected += [[6, 6, 13, 7, 15, 8, 8, 0]] * 3 + [[0] * 8]
    got = conv_transpose(nine((1, 1, 3, 3)), np.ones((1, 2, 3, 3), int), stride=[3, 2], **arguments)
    assert got.tolist() == [[expected, expected]]


# PyTorch


@given(case=transposed_cases(), seed=SEEDS)
@settings(max_examples=150)
def test_torch_agrees(case: TransposedCase, seed: int) -> None:
    torch = pytest.importorskip("torch")
    assume(case.input_shape[0] > 0)
    pads = [before for before, _ in case.settings["pad"]]
    chosen = {**case.settings, "pad": pads}
    try:
        assume(all(size > 0 for size in replace(case, settings=chosen).sizes.spatial))
    except GeometryError:
        assume(False)
    x, w, bias = operands(case, "int64", "small", seed)
    function = getattr(torch.nn.functional, f"conv_transpose{len(pads)}d")
    named = {{"pad": "padding"}.get(key, key): value for key, value in chosen.items()}
    expected = function(*(torch.tensor(array).double() for array in (x, w, bias)), **named).numpy()
    got = conv_transpose(x, w, bias, **chosen)
    assert_exact(got.astype(float), expected)


@pytest.mark.parametrize("size", [6, 7])
def test_torch_agrees_on_the_output_size(size: int) -> None:
    torch = pytest.importorskip("torch")
    layer = torch.nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1, dtype=torch.float64)
    x = torch.rand(1, 2, 3, 4, dtype=torch.float64)
    with torch.no_grad():
        expected = layer(x, output_size=[5, size + 1]).numpy()
        w, bias = layer.weight.numpy(), layer.bias.numpy()
    got = conv_transpose(x.numpy(), w, bias, stride=2, pad=1, output_shape=[5, size + 1])
    assert got.shape == expected.shape
    assert np.allclose(got, expected, rtol=1e-12, atol=1e-12)


# Arguments


@pytest.mark.parametrize("position", range(5))
def test_any_memory_order_and_nothing_is_changed(position: int) -> None:
    x, w, bias = integers((2, 4, 3, 3), "int16", "small", 0), integers((4, 2, 3, 2), "int16", "small", 1), np.arange(4)
    expected = conv_transpose(x, w, bias, stride=2, pad=1, groups=2)
    _, other_x = list(memory_orders(x))[position]
    _, other_w = list(memory_orders(w))[position]
    before = other_x.copy(), other_w.copy()
    got = conv_transpose(other_x, other_w, bias, stride=2, pad=1, groups=2)
    assert_exact(got, expected)
    assert_exact(other_x, before[0])
    assert_exact(other_w, before[1])
    assert not any(np.shares_memory(got, array) for array in (other_x, other_w, bias))


def test_a_single_tap_shares_no_memory_with_its_input() -> None:
    x = np.ones((1, 1, 2, 2))
    assert not np.shares_memory(conv_transpose(x, np.ones((1, 1, 1, 1))), x)


def test_lists_and_empty_batches() -> None:
    assert conv_transpose([[[1, 2]]], [[[1, 1]]]).tolist() == [[[1, 3, 2]]]
    assert conv_transpose(np.zeros((0, 4, 3, 3)), np.zeros((4, 2, 3, 3)), stride=2, groups=2).shape == (0, 4, 7, 7)
    assert conv_transpose(np.zeros((1, 0, 3), int), np.zeros((0, 2, 3), int), np.array([1, 2])).tolist() == [
        [[1] * 5, [2] * 5]
    ]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, w: conv_transpose(x > 0, w), "x: got bool, expected one of int8"),
        (lambda x, w: conv_transpose(x, w * 1j), "w: got complex128, expected one of int8"),
        (
            lambda x, w: conv_transpose(x, w, np.ones(1)),
            "bias: got (1,), expected the shape (2,), one value per filter",
        ),
        (lambda x, w: conv_transpose(x, w, overflow="clip"), "overflow: got clip, expected one of error, wrap"),
        (lambda x, w: conv_transpose(x, w, groups=1.5), "groups: got 1.5, expected a whole number from 1"),
        (lambda x, w: conv_transpose(x, w, dtype="bool"), "dtype: got bool, expected one of int8"),
    ],
)
def test_arguments_that_do_not_fit_are_named(call: Callable[[Any, Any], Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        call(np.ones((1, 4, 3, 3)), np.ones((4, 2, 3, 3)))


# The plan


def planned(case: TransposedCase, dtype: str, **changes: Any) -> Plan:
    """The plan of a case, with a bias."""
    given = Signature(case.input_shape, np.dtype(dtype)), Signature(case.filters_shape, np.dtype(dtype))
    conv_settings = replace(TRANSPOSED, **case.settings, **changes)
    return plan_convolution(*given, conv_settings, STAGES, Signature((case.sizes.channels,), np.dtype(dtype)))


def given_arrays(case: TransposedCase, dtype: str, flavour: str, seed: int) -> dict[str, np.ndarray]:
    """The given tensors of `planned`, whole numbers also in floats."""
    arrays = operands(case, dtype if dtype in INTEGERS else "int8", flavour, seed)
    return {name: array.astype(dtype) for name, array in zip(("input", "filters", "bias"), arrays, strict=True)}


@given(transposed_cases(), st.sampled_from(INTEGERS + FLOATS), SEEDS)
@settings(max_examples=100)
def test_every_stage_is_as_planned(case: TransposedCase, dtype: str, seed: int) -> None:
    plan = planned(case, dtype, overflow="wrap" if dtype in INTEGERS else "inf")
    for result in pipeline.run(plan, given_arrays(case, dtype, "small", seed)):
        made = result.step.makes
        assert (result.array.shape, result.array.dtype) == (made.shape, made.dtype), made.name
        assert len(made.axes) == len(made.shape)
    assert [step.name for step in plan.steps] == list(STAGES)
    assert plan.output.name == "feature_map"


def test_the_stages_by_hand() -> None:
    x, w = np.array([[[1, 2], [3, 4]]], np.int8), np.array([[[1, 10]], [[100, -1]]], np.int8)
    plan = plan_convolution(
        Signature(x.shape, x.dtype),
        Signature(w.shape, w.dtype),
        replace(TRANSPOSED, pad=((1, 0),), dtype="int16"),
        STAGES,
    )
    made = {result.step.makes.name: result.array.tolist() for result in pipeline.run(plan, {"input": x, "filters": w})}
    assert made == {
        "row_matrix": [[1, 3], [2, 4]],
        "tap_matrix": [[1, 100], [10, -1]],
        "tap_columns": [[301, 7], [402, 16]],
        "padded_sums": [[[301, 7 + 402, 16]]],
        "feature_map": [[[409], [16]]],
    }


def test_the_plan_prints_itself() -> None:
    chosen = replace(TRANSPOSED, stride=2, output_padding=1)
    plan = plan_convolution(
        Signature((1, 4, 3, 3), np.dtype("i2")), Signature((4, 2, 3, 3), np.dtype("i2")), chosen, STAGES
    )
    text = str(plan)
    for words in ("(N*H*W,C)", "(F*kh*kw,C)", "(N*H*W,F*kh*kw)", "(N,F,out_h,out_w)", "(N,out_h,out_w,F)", "(1,8,8,2)"):
        assert words in text
    assert "no tap reaches: 1 along H, 1 along W (cells at the end of the output)" in text
    assert plan.macs == 9 * 4 * 2 * 9


@pytest.mark.parametrize(
    ("dtype", "overflow"),
    [
        *product(["int8", "int32", "int64"], ["wrap", "saturate"]),
        *product(["float16", "float32", "float64"], ["saturate", "inf"]),
    ],
)
@pytest.mark.parametrize("flavour", ["small", "ends"])
def test_the_peak_is_within_the_plans(dtype: str, overflow: str, flavour: str) -> None:
    case = TransposedCase((3, 8, 20, 20), (8, 4, 3, 3), {"stride": 2, "groups": 2, "pad": ((1, 0), (0, 2))})
    plan, arrays = planned(case, dtype, overflow=overflow), given_arrays(case, dtype, flavour, 0)
    tracemalloc.start()
    try:
        pipeline.output(plan, arrays)
        _, peak = tracemalloc.get_traced_memory()
    except ValueRangeError:  # int64's ends, saturated
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= plan.peak_bytes + 20_000  # Python's own objects


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        (("pad", "im2col"), "lowering.stages[1]: got im2col, expected the padded input of a convolution"),
        (STAGES[1:], "lowering.stages: got matmul_rows, expected the tensor 'row_matrix' made before matmul_rows"),
        (
            ("rows", "rwos"),
            "lowering.stages[1]: got rwos, expected one of ",
        ),
    ],
)
def test_a_chain_that_is_not_whole_is_refused(stages: tuple[str, ...], message: str) -> None:
    given = Signature((1, 4, 3, 3), np.dtype("i2")), Signature((4, 2, 3, 3), np.dtype("i2"))
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        plan_convolution(*given, TRANSPOSED, stages)


def test_a_transposed_chain_is_no_convolution() -> None:
    given = Signature((1, 4, 3, 3), np.dtype("i2")), Signature((2, 4, 3, 3), np.dtype("i2"))
    with pytest.raises(ConfigError, match=r"^lowering\.stages\[0\]: got rows, expected the gradient of a result"):
        plan_convolution(*given, ConvSettings(), STAGES)
    with pytest.raises(ConfigError, match=r"^lowering: got transpose, expected one of auto, im2col"):
        conv(np.ones((1, 1, 3)), np.ones((1, 1, 3)), lowering="transpose")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pad_mode": "edge"}, "pad_mode: got edge, expected constant, as conv_transpose has no pad_mode"),
        ({"pad_value": 1}, "pad_value: got 1, expected 0, as conv_transpose has no pad_value"),
    ],
)
def test_settings_that_it_has_not_are_refused(changes: dict[str, Any], message: str) -> None:
    given = Signature((1, 4, 3, 3), np.dtype("i2")), Signature((4, 2, 3, 3), np.dtype("i2"))
    with pytest.raises(ConfigError, match=f"^{message}$"):
        plan_convolution(*given, replace(TRANSPOSED, **changes), STAGES)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"output_padding": 1}, "output_padding: got 1, expected 0, as conv has no output_padding"),
        ({"output_shape": 4}, "output_shape: got 4, expected nothing, as conv has no output_shape"),
    ],
)
def test_a_convolution_has_none_of_its_settings(changes: dict[str, Any], message: str) -> None:
    given = Signature((1, 4, 3, 3), np.dtype("i2")), Signature((2, 4, 3, 3), np.dtype("i2"))
    with pytest.raises(ConfigError, match=f"^{message}$"):
        plan_convolution(*given, ConvSettings(**changes), "im2col")


# A whole run's plan


def spec(conv_settings: ConvSettings, filters: Source, stages: tuple[str, ...] = STAGES) -> Spec:
    """A run of a small random input."""
    source = read_source("input", {"source": "integers", "shape": [1, 4, 3, 3]})
    return Spec(0, source, filters, conv_settings, LoweringSettings(stages_of(stages)))


def test_the_filters_of_a_run_are_turned() -> None:
    bank = read_source("filters", {"source": "integers", "count": 6, "kernel": 3})
    plan = plan_run(spec(replace(TRANSPOSED, groups=2, stride=2), bank))
    assert [tensor.shape for tensor in plan.given] == [(1, 4, 3, 3), (4, 3, 3, 3)]
    assert plan.output.shape == (1, 7, 7, 6)


def test_a_run_names_the_key_that_does_not_fit() -> None:
    bank = read_source("filters", {"source": "integers", "count": 6, "kernel": 3})
    with pytest.raises(ConfigError, match=r"^conv\.output_padding: got 1, expected less than 1 along H"):
        plan_run(spec(replace(TRANSPOSED, output_padding=1), bank))
    with pytest.raises(ConfigError, match=r"^conv\.groups: got 4, expected a divisor of the 6 filters"):
        plan_run(spec(replace(TRANSPOSED, groups=4), bank))
    with pytest.raises(ConfigError, match=r"^conv\.output_shape: got 99, expected 1 to 5 along H"):
        plan_run(spec(replace(TRANSPOSED, output_shape=99), bank))


def test_written_out_filters_are_taken_as_they_are() -> None:
    values = tuple((((1, 2),),) for _ in range(4))
    bank = read_source("filters", {"source": "lecture", "values": values})
    assert plan_run(spec(TRANSPOSED, bank)).given[1].shape == (4, 1, 1, 2)


FAR = {"source": "lecture", "values": [[3e38, 3e38]], "dtype": "float32"}


@pytest.mark.parametrize(
    ("advice", "middle"), [("conv.dtype=float64", 2 * float(np.float32(3e38))), ("conv.overflow=inf", np.inf)]
)
def test_the_advice_on_a_sum_that_overflows_on_its_way_works(advice: str, middle: float) -> None:
    with pytest.raises(ConfigError, match=r"use conv\.dtype=float64 or conv\.overflow=inf\)$") as caught:
        cp.run("conv=transpose", input=FAR, filters={"values": [[1, 1]], "dtype": "float32"}, archive=False)
    assert advice in str(caught.value)
    run = cp.run("conv=transpose", advice, input=FAR, filters={"values": [[1, 1]], "dtype": "float32"}, archive=False)
    assert run.output.ravel()[1] == middle


FAR_NETWORK = """
input: {source: lecture, values: [[3e38, 3e38]], dtype: float32}
weights: {source: npz, path: far.npz}
network:
  up: {op: conv_transpose, filters: 1, kernel: [1, 2], bias: false}
"""


def test_the_advice_in_a_layer_has_its_key(folder: Path) -> None:
    (folder / "far.yaml").write_text(FAR_NETWORK)
    np.savez(folder / "far.npz", **{"up.weight": np.ones((1, 1, 1, 2), np.float32)})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"use network\.up\.dtype=float64 or network\.up\.overflow=inf\)$"):
        cp.run("far.yaml", archive=False)
    assert cp.run("far.yaml", "network.up.dtype=float64", archive=False).output.dtype == np.float64
    assert cp.run("far.yaml", "network.up.overflow=inf", archive=False).output[0, 0, 0, 1] == np.inf
