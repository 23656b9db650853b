"""The three gradients: against the oracle, adjoint identities, finite differences and PyTorch, and every refusal."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import pytest
from conv_cases import (
    FLOATS,
    INTEGERS,
    MODES,
    Case,
    assert_exact,
    assert_within,
    cases,
    floats,
    integers,
    memory_orders,
)
from hypothesis import assume, given, settings, strategies as st
from plan_cases import chain_of, plan_gradient, stages_of

from convpipe import reference
from convpipe.errors import ConfigError, GeometryError, ValueRangeError
from convpipe.execution import pipeline
from convpipe.execution.bounds import float_bound
from convpipe.execution.functions import conv, conv_grad
from convpipe.graph.plan import Plan
from convpipe.graph.single import plan_run
from convpipe.graph.spec import LoweringSettings, Spec
from convpipe.ops.arrays.adjoints import copies, unpad_workspace
from convpipe.ops.kinds.convolving import ConvSettings
from convpipe.ops.unpad import unpad
from convpipe.sources import Request, read_source, stream
from convpipe.tensors import Signature

SEEDS = st.integers(0, 2**32 - 1)
GRADIENTS = ("grad_input", "grad_weights", "grad_bias")
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


def output_shape(case: Case) -> tuple[int, ...]:
    """(N, F, out...)."""
    return (case.sizes.batch, case.sizes.filters, *case.sizes.out)


def operands(case: Case, dtype: str, flavour: str, seed: int) -> Arrays:
    """An input, filters, and a gradient of the output, of integers."""
    shapes = (case.input_shape, case.filters_shape, output_shape(case))
    x, w, grad = (integers(shape, dtype, flavour, seed + at) for at, shape in enumerate(shapes))
    return x, w, grad


def inner(first: np.ndarray, second: np.ndarray) -> int:
    """The sum of products, in Python integers."""
    return sum(int(a) * int(b) for a, b in zip(first.ravel().tolist(), second.ravel().tolist(), strict=True))


def planned(case: Case, name: str, dtype: str, **changes: Any) -> Plan:
    """The plan of one gradient."""
    x, w, grad = (Signature(s, np.dtype(dtype)) for s in (case.input_shape, case.filters_shape, output_shape(case)))
    chosen = replace(ConvSettings(operation=name), **case.settings, **changes)
    return plan_gradient(x, w, grad, chosen, chain_of(name))


# Against the oracle


@given(cases(), st.sampled_from(INTEGERS), SEEDS)
@settings(max_examples=250)
def test_small_integers_are_exact(case: Case, dtype: str, seed: int) -> None:
    x, w, grad = operands(case, dtype, "small", seed)
    expected = reference.conv_grad(x, w, grad, **case.settings)
    got = conv_grad(x, w, grad, dtype="int64", **case.settings)
    for values, true in zip(got, expected, strict=True):
        assert_exact(values, true)


@given(cases(), st.sampled_from(INTEGERS), st.sampled_from(["any", "ends"]), st.sampled_from(INTEGERS), SEEDS)
@settings(max_examples=250)
def test_wrap_is_right_whatever_the_integers(case: Case, dtype: str, flavour: str, target: str, seed: int) -> None:
    x, w, grad = operands(case, dtype, flavour, seed)
    expected = reference.conv_grad(x, w, grad, **case.settings)
    got = conv_grad(x, w, grad, dtype=target, overflow="wrap", **case.settings)
    for values, true in zip(got, expected, strict=True):
        assert_exact(values, reference.narrow(true, target, "wrap"))


@given(cases(), st.sampled_from(("int8", "int16", "uint8", "uint16")), st.sampled_from(INTEGERS), SEEDS)
@settings(max_examples=150)
def test_short_integers_saturate_or_are_an_error(case: Case, dtype: str, target: str, seed: int) -> None:
    x, w, grad = operands(case, dtype, "ends", seed)
    expected = reference.conv_grad(x, w, grad, **case.settings)
    got = conv_grad(x, w, grad, dtype=target, overflow="saturate", **case.settings)
    for values, true in zip(got, expected, strict=True):
        assert_exact(values, reference.narrow(true, target, "saturate"))
    low, high = reference.limits(np.dtype(target))
    if all(not true.size or (low <= true.min() and true.max() <= high) for true in expected):
        for values, true in zip(conv_grad(x, w, grad, dtype=target, **case.settings), expected, strict=True):
            assert_exact(values, true)
        return
    with pytest.raises(ValueRangeError, match=rf"^the exact sum -?[0-9]+ does not fit {target} "):
        conv_grad(x, w, grad, dtype=target, **case.settings)


@given(cases(), st.sampled_from(FLOATS), SEEDS)
@settings(max_examples=200)
def test_floats_are_within_the_bound(case: Case, dtype: str, seed: int) -> None:
    shapes = (case.input_shape, case.filters_shape, output_shape(case))
    x, w, grad = (floats(shape, dtype, 0, seed + at) for at, shape in enumerate(shapes))
    expected = reference.conv_grad(x, w, grad, **case.settings)
    magnitudes = reference.conv_grad(abs(x), abs(w), abs(grad), **case.settings)
    sizes = case.sizes
    copies = prod(1 + sum(pair) for pair in sizes.pads)  # padded cells that one cell was copied to, at most
    terms = (sizes.filters // sizes.groups * prod(sizes.kernel) * copies, sizes.positions, sizes.positions)
    rows = zip(conv_grad(x, w, grad, **case.settings), expected, magnitudes, terms, strict=True)
    for values, true, magnitude, count in rows:
        assert values.dtype == dtype
        assert_within(values, true, float_bound(count, magnitude, dtype))


# Against what a gradient is


@given(cases(), SEEDS)
@settings(max_examples=150)
def test_they_are_adjoints_of_the_convolution(case: Case, seed: int) -> None:
    case = Case(case.input_shape, case.filters_shape, case.settings | {"pad_value": 0})  # linear, not affine
    x, w, grad = operands(case, "int64", "small", seed)
    bias = np.arange(1, len(w) + 1)
    of_x, of_w, of_bias = conv_grad(x, w, grad, **case.settings)
    out = inner(conv(x, w, **case.settings), grad)
    assert out == inner(x, of_x) == inner(w, of_w)
    assert inner(conv(x, w, bias, **case.settings), grad) - out == inner(bias, of_bias)


@pytest.mark.parametrize("mode", MODES)
def test_finite_differences(mode: str) -> None:
    chosen: dict[str, Any] = {"stride": [2, 1], "pad": [[1, 2], [0, 1]], "groups": 2, "pad_mode": mode}
    generator = np.random.default_rng(0)
    x, w, bias = generator.normal(size=(2, 4, 4, 5)), generator.normal(size=(2, 2, 3, 2)), generator.normal(size=2)
    grad = generator.normal(size=conv(x, w, bias, **chosen).shape)

    def loss(x: np.ndarray, w: np.ndarray, bias: np.ndarray) -> float:
        return float((conv(x, w, bias, **chosen) * grad).sum())

    for at, of_this in enumerate(conv_grad(x, w, grad, **chosen)):
        slopes = central_differences(loss, (x, w, bias), at)
        assert np.abs(slopes - of_this).max() < 1e-7


def central_differences(loss: Callable[..., float], arguments: Arrays, at: int, step: float = 1e-4) -> np.ndarray:
    """The slope of a function along every value of one of its arguments."""
    slopes = np.zeros(arguments[at].shape)
    for index in np.ndindex(slopes.shape):
        sides = []
        for sign in (1, -1):
            moved = [argument.copy() for argument in arguments]
            moved[at][index] += sign * step
            sides.append(loss(*moved))
        slopes[index] = (sides[0] - sides[1]) / (2 * step)
    return slopes


def test_central_differences_see_a_wrong_slope() -> None:
    x = np.array([1.0, 2.0])
    slopes = central_differences(lambda x, w, bias: float((x**2).sum()), (x, x, x), 0)
    assert np.abs(slopes - 2 * x).max() < 1e-7 < np.abs(slopes - 3 * x).max()


TORCH_MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


@given(case=cases(), seed=SEEDS)
@settings(max_examples=150)
def test_torch_agrees(case: Case, seed: int) -> None:
    torch = pytest.importorskip("torch")
    sizes, mode = case.sizes, case.settings["pad_mode"]
    assume(sizes.batch > 0)
    x, w, grad = operands(case, "int64", "small", seed)
    image, weights = (torch.tensor(array).double().requires_grad_() for array in (x, w))
    bias = torch.zeros(len(w), dtype=torch.float64, requires_grad=True)
    value = {"value": float(case.settings["pad_value"])} if mode == "constant" else {}
    flat = [side for pair in reversed(sizes.pads) for side in pair]
    padded = torch.nn.functional.pad(image, flat, mode=TORCH_MODES[mode], **value)
    chosen = {"stride": sizes.stride, "dilation": sizes.dilation, "groups": sizes.groups}
    out = getattr(torch.nn.functional, f"conv{sizes.rank}d")(padded, weights, bias, **chosen)
    out.backward(torch.tensor(grad).double())
    for values, tensor in zip(conv_grad(x, w, grad, **case.settings), (image, weights, bias), strict=True):
        assert_exact(values.astype(float), tensor.grad.numpy())


# dtypes


def test_each_gradient_has_the_dtype_of_what_is_multiplied() -> None:
    x, w, grad = np.ones((1, 1, 3), np.uint8), np.ones((1, 1, 2), np.int16), np.ones((1, 1, 2), np.int32)
    assert [values.dtype.name for values in conv_grad(x, w, grad)] == ["int32", "int32", "int32"]
    got = conv_grad(x.astype(np.float32), w, grad.astype(np.uint8))
    assert [values.dtype.name for values in got] == ["int16", "float32", "uint8"]
    assert [values.dtype.name for values in conv_grad(x, w, grad, dtype="float64")] == ["float64"] * 3


def test_integers_that_leave_64_bits_on_the_way() -> None:
    x, w, grad = np.ones((1, 1, 1), int), np.full((2, 1, 1), 2**40), np.array([[[2**30], [2**30]]])
    with pytest.raises(
        ValueRangeError, match=f"^the exact sum {2**71}, on its way from stage to stage, does not fit int64;"
    ):
        conv_grad(x, w, grad)
    with pytest.raises(ValueRangeError, match="on its way"):
        conv_grad(x, w, grad, overflow="saturate")
    of_x, of_w, of_bias = conv_grad(x, w, grad, overflow="wrap")
    assert (of_x.tolist(), of_w.tolist(), of_bias.tolist()) == ([[[0]]], [[[2**30]], [[2**30]]], [2**30, 2**30])


def test_sums_beyond_int64_that_come_back() -> None:
    top = 2**62
    grad = np.array([[[top, top, -top]]])
    x, w = np.ones((1, 1, 3), int), np.ones((1, 1, 1), int)
    of_x, of_w, of_bias = conv_grad(x, w, grad)
    assert (of_x.tolist(), of_w.tolist(), of_bias.tolist()) == (grad.tolist(), [[[top]]], [top])
    of_x, _, _ = conv_grad(x[..., :1], w, np.concatenate([grad, -grad], axis=2), pad=[[3, 2]], pad_mode="edge")
    assert of_x.tolist() == [[[0]]]


def test_nan_and_infinity_pass_through() -> None:
    x, w, grad = np.ones((1, 1, 3)), np.ones((1, 1, 2)), np.array([[[np.inf, -np.inf]]])
    with np.errstate(over="raise", divide="raise"):
        of_x, of_w, of_bias = conv_grad(x, w, grad)
    assert np.array_equal(of_x, [[[np.inf, np.nan, -np.inf]]], equal_nan=True)
    assert np.isnan(of_w).all()
    assert np.isnan(of_bias).all()


# Arguments


@pytest.mark.parametrize("position", range(5))
def test_any_memory_order_and_nothing_is_changed(position: int) -> None:
    case = Case((2, 4, 5, 5), (4, 2, 3, 2), {"stride": 2, "pad": 1, "groups": 2, "pad_mode": "reflect"})
    arrays = operands(case, "int16", "small", 0)
    expected = conv_grad(*arrays, **case.settings)
    others = [list(memory_orders(array))[position][1] for array in arrays]
    before = [other.copy() for other in others]
    got = conv_grad(*others, **case.settings)
    for values, true in zip(got, expected, strict=True):
        assert_exact(values, true)
        assert not any(np.shares_memory(values, other) for other in others)
    for other, copy in zip(others, before, strict=True):
        assert_exact(other, copy)


def test_an_empty_batch() -> None:
    of_x, of_w, of_bias = conv_grad(np.zeros((0, 4, 3, 3)), np.ones((2, 4, 3, 3)), np.zeros((0, 2, 1, 1)))
    assert of_x.shape == (0, 4, 3, 3)
    assert_exact(of_w, np.zeros((2, 4, 3, 3)))
    assert_exact(of_bias, np.zeros(2))


X, W, GRAD = np.ones((1, 4, 5, 5)), np.ones((2, 4, 3, 3)), np.ones((1, 2, 3, 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: conv_grad(X, W, GRAD[0]), "grad: got (2, 3, 3), expected the shape (1, 2, 3, 3) of the convolution's"),
        (lambda: conv_grad(X, W, GRAD, pad=1), "grad: got (1, 2, 3, 3), expected the shape (1, 2, 5, 5) of the conv"),
        (lambda: conv_grad(X, W, GRAD > 0), "grad: got bool, expected one of int8"),
        (lambda: conv_grad(X > 0, W, GRAD), "x: got bool, expected one of int8"),
        (lambda: conv_grad(X, W * 1j, GRAD), "w: got complex128, expected one of int8"),
        (lambda: conv_grad(X, W, GRAD, stride=0), "stride: got 0, expected a whole number from 1"),
        (lambda: conv_grad(X, W, GRAD, groups=3), "groups: got 3, expected a divisor of both the 4 input channels"),
        (lambda: conv_grad(X, W, GRAD, pad=5, pad_mode="reflect"), "pad: got [5, 5], expected at most 4 along H"),
        (lambda: conv_grad(X, W, GRAD, pad_mode="mirror"), "pad_mode: got mirror, expected one of constant"),
        (
            lambda: conv_grad(X.astype("i2"), W, GRAD, pad=1, pad_value=0.5),
            "pad_value: got 0.5, expected a whole number",
        ),
        (lambda: conv_grad(X, W, GRAD, dtype="int32"), "dtype: got int32, expected a float dtype"),
        (lambda: conv_grad(X, W, GRAD, overflow="clip"), "overflow: got clip, expected one of error, wrap"),
    ],
)
def test_arguments_that_do_not_fit_are_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        call()


# The plans


@given(cases(), st.sampled_from(GRADIENTS), st.sampled_from(INTEGERS + FLOATS), SEEDS)
@settings(max_examples=150)
def test_every_stage_is_as_planned(case: Case, name: str, dtype: str, seed: int) -> None:
    plan = planned(case, name, dtype, overflow="wrap" if dtype in INTEGERS else "inf")
    x, w, grad = (array.astype(dtype) for array in operands(case, "int8", "small", seed))
    arrays = {"input": x, "filters": w, "grad": grad}
    given_arrays = {tensor.name: arrays[tensor.name] for tensor in plan.given}
    for result in pipeline.run(plan, given_arrays):
        made = result.step.makes
        assert (result.array.shape, result.array.dtype) == (made.shape, made.dtype), made.name
        assert len(made.axes) == len(made.shape)
    assert [step.name for step in plan.steps] == list(chain_of(name))
    assert plan.output.name == name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("grad_input", ("(N,F,out_h,out_w)", "(N*out_h*out_w,F)", "(C*kh*kw,F/G)", "(N,C,H,W)")),
        ("grad_weights", ("columns", "(N*out_h*out_w,C*kh*kw)", "(F,C/G*kh*kw)", "(F,C/G,kh,kw)")),
        ("grad_bias", ("row_matrix", "(F)")),
    ],
)
def test_the_plans_print_themselves(name: str, words: tuple[str, ...]) -> None:
    case = Case((1, 4, 6, 6), (2, 2, 3, 3), {"stride": 2, "groups": 2})
    text = str(planned(case, name, "int16"))
    for word in words:
        assert word in text
    assert "never read, as the stride does not divide: 1 along H, 1 along W" in text


@pytest.mark.parametrize("name", GRADIENTS)
@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("mode", ["constant", "reflect"])
def test_the_peak_is_within_the_plans(name: str, dtype: str, mode: str) -> None:
    case = Case((3, 8, 20, 20), (8, 4, 3, 3), {"groups": 2, "pad": ((1, 0), (0, 2)), "pad_mode": mode})
    plan = planned(case, name, dtype, overflow="wrap" if dtype in INTEGERS else "inf")
    values = operands(case, dtype if dtype in INTEGERS else "int8", "any", 0)
    arrays = {key: array.astype(dtype) for key, array in zip(("input", "filters", "grad"), values, strict=True)}
    arrays = {tensor.name: arrays[tensor.name] for tensor in plan.given}
    tracemalloc.start()
    try:
        pipeline.output(plan, arrays)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= plan.peak_bytes + 20_000  # Python's own objects


@pytest.mark.parametrize("mode", ["edge", "reflect", "wrap"])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_sums_beyond_int64_have_the_memory_that_unpadding_plans(mode: str, channels: int) -> None:
    int64, pads = np.dtype(np.int64), ((2, 3), (4, 1))
    padded = np.random.default_rng(0).integers(2**61, 2**62, (2, channels, 64, 65))
    terms = prod(copies(size, pair, mode) for size, pair in zip((59, 60), pads, strict=True))
    assert terms * int(padded.max()) > 2**63  # so that Python's own integers are what is summed
    tracemalloc.start()
    try:
        made = unpad(padded, pads=pads, mode=mode, overflow="saturate")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    planned_bytes = unpad_workspace(padded[0].size, channels, terms, int64, int64, int64)
    assert planned_bytes / 8 < peak - made.nbytes <= planned_bytes + 20_000


@pytest.mark.parametrize("name", GRADIENTS)
@pytest.mark.parametrize("other", ["conv_transpose", *GRADIENTS])
def test_a_chain_of_another_operation_is_refused(name: str, other: str) -> None:
    if {name, other} <= {"grad_input", "conv_transpose"} or name == other:
        return  # what one of them crops, the other unpads
    case = Case((1, 4, 6, 6), (2, 4, 3, 3), {})
    x, w, grad = (Signature(s, np.dtype("i2")) for s in (case.input_shape, case.filters_shape, output_shape(case)))
    with pytest.raises(ConfigError, match=r"^lowering\.stages(\[[0-9]\])?: got [a-z0-9_]+, expected "):
        plan_gradient(x, w, grad, ConvSettings(operation=name), chain_of(other))


def test_a_chain_may_stop_early() -> None:
    case = Case((1, 4, 6, 6), (2, 4, 3, 3), {})
    x, w, grad = (Signature(s, np.dtype("i2")) for s in (case.input_shape, case.filters_shape, output_shape(case)))
    assert plan_gradient(x, w, grad, ConvSettings(operation="grad_bias"), ["rows"]).output.name == "row_matrix"
    with pytest.raises(ConfigError, match=r"^output_padding: got 1, expected 0, as grad_bias has no output_padding$"):
        plan_gradient(x, w, grad, ConvSettings(operation="grad_bias", output_padding=1), ["rows"])


# A whole run's plan, and its source of a gradient


def spec(name: str, **grad: Any) -> Spec:
    """A run of a small random input."""
    source = read_source("input", {"source": "integers", "shape": [1, 4, 6, 6]})
    bank = read_source("filters", {"source": "integers", "count": 6, "kernel": 3})
    lowering = LoweringSettings(stages_of(chain_of(name)))
    return Spec(0, source, bank, ConvSettings(operation=name), lowering, **grad)


@pytest.mark.parametrize("name", GRADIENTS)
def test_a_run_without_a_gradient_says_so(name: str) -> None:
    with pytest.raises(ConfigError, match=f"^grad: got nothing, expected a source such as integers, as {name} starts"):
        plan_run(spec(name))


@pytest.mark.parametrize("name", ["integers", "random"])
def test_a_source_draws_a_gradient_of_the_outputs_shape(name: str) -> None:
    source = read_source("grad", {"source": name})
    signature = source.signature(Request((1, 6, 4, 4)))
    first, second = (source.make(signature, stream(0, "grad")) for _ in range(2))
    assert (first.shape, first.dtype) == (signature.shape, signature.dtype)
    assert_exact(first, second)


def test_a_source_names_its_own_key() -> None:
    with pytest.raises(ConfigError, match=r"^grad\.high: got 0, expected a whole number above low, 5"):
        read_source("grad", {"source": "integers", "low": 5, "high": 0})


def test_a_gradient_too_large_for_any_memory_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^grad: got .*, expected a shape of fewer than 2\*\*63 bytes"):
        read_source("grad", {"source": "integers"}).signature(Request((2**40, 2**40)))


def test_the_errors_are_geometry_errors() -> None:
    with pytest.raises(GeometryError, match=r"^grad: got \(1, 2, 3\), expected the shape \(1, 2, 3, 3\)"):
        conv_grad(X, W, GRAD[..., 0])
