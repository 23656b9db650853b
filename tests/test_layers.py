"""Every kind of layer: what it plans is what it makes, its settings arrive, and a bad one is named."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conv_cases import FLOATS, INTEGERS, integers
from hypothesis import given as cases_of, settings, strategies as st
from network_cases import given, layers_of, output, planned, results, weights_of
from run_cases import IMPLICIT

from convpipe import reference
from convpipe.errors import ConfigError
from convpipe.execution import pipeline
from convpipe.graph.plan import Plan
from convpipe.ops import OPERATIONS
from convpipe.ops.kinds.operation import stands_alone
from convpipe.reference import layers as reference_layers, rules
from convpipe.sources import Source
from convpipe.tensors import Array


def each_cell(function: Callable[..., Any]) -> Callable[..., Array]:
    """The oracle of an operation that works cell by cell, whose oracle is one of a cell."""

    def of_array(x: Array, **chosen: Any) -> Array:
        cells = [function(cell, **chosen) for cell in x.ravel().tolist()]
        return np.array(cells, object).reshape(x.shape)

    return of_array


# Oracles that are called otherwise than by the operation's name and with its settings alone.
ORACLES: dict[str, Callable[..., Array]] = {
    "global_max_pool": lambda x: reference_layers.max_pool(x, list(x.shape[2:])),
    "global_avg_pool": lambda x: reference_layers.avg_pool(x, list(x.shape[2:])),
    "add": lambda x, **_: reference_layers.add(x, x),
    "concat": lambda x, **chosen: reference_layers.concat(x, x, **chosen),
    "dropout": lambda x, rate: x,
    "scale": lambda x, divisor, dtype: np.array([value / divisor for value in x.ravel().tolist()]).reshape(x.shape),
    "conv": lambda x, w, bias=None, *, filters, kernel, **chosen: reference.conv(x, w, bias, **chosen),
    "conv_transpose": lambda x, w, bias=None, *, filters, kernel, **chosen: reference.conv_transpose(
        x, w, bias, **chosen
    ),
    "transpose": lambda x: x.transpose(0, x.ndim - 1, *range(1, x.ndim - 1)),
    "center": each_cell(lambda cell, zero_point: cell - zero_point),
    "clamp": each_cell(lambda cell, low, high: min(max(cell, low), high)),
    "relu6": each_cell(lambda cell: min(max(cell, 0), 6)),
    "quantize": each_cell(lambda cell, scale, zero_point: rules.quantize(cell, scale, zero_point, "int8")),
    "dequantize": each_cell(lambda cell, scale, zero_point: float(rules.dequantize(cell, scale, zero_point))),
    "requantize": each_cell(
        lambda cell, rule, shift, mode: rules.requantize(cell, rule, rules.Numbers(shift=shift, mode=mode))
    ),
}
TOLERANCES = {"float16": 1e-3, "float32": 2e-6, "float64": 1e-13}  # of the result's dtype: some sixteen roundings
NO_FLOATS = ("center", "clamp", "dequantize", "requantize")
LAYERS = [name for name in OPERATIONS.ours() if stands_alone(OPERATIONS.get("", name))]
NOT_SETTINGS = ("op", "inputs", "stages", "bias", "units", "layout", "overflow")


def oracle(op: str) -> Callable[..., Array]:
    """The oracle of an operation: by its name, where nothing else is said."""
    return ORACLES.get(op) or getattr(reference_layers, op)  # type: ignore[no-any-return]


def test_there_is_an_oracle_for_every_kind() -> None:
    assert all(map(oracle, LAYERS))


# What is planned is what is made


# Settings of layers of integers.
OF_INTEGERS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "center": st.fixed_dictionaries({"zero_point": st.integers(-3, 3)}),
    "clamp": st.fixed_dictionaries({"low": st.integers(0, 1), "high": st.integers(1, 2)}),
    "quantize": st.fixed_dictionaries({"scale": st.sampled_from([0.5, 2, 0.3]), "zero_point": st.integers(-128, 127)}),
    "dequantize": st.fixed_dictionaries({"scale": st.sampled_from([0.5, 2, 0.3]), "zero_point": st.integers(-9, 9)}),
    "requantize": st.fixed_dictionaries(
        {"rule": st.just("shift"), "shift": st.integers(0, 3), "mode": st.sampled_from(["floor", "half_even"])}
    ),
}


def draw_settings(draw: st.DrawFn, op: str, shape: tuple[int, ...], overflow: str) -> dict[str, Any]:
    """Legal settings of a kind of layer that reads a tensor of that shape."""
    spatial, rank = shape[2:], len(shape) - 2

    def each_axis(values: st.SearchStrategy[int]) -> list[int]:
        return draw(st.lists(values, min_size=rank, max_size=rank))

    if op in ("conv", "conv_transpose"):
        groups = draw(st.sampled_from([size for size in (1, 2, 3) if shape[1] % size == 0]))
        chosen = {
            "filters": groups * draw(st.integers(1, 2)),
            "kernel": [draw(st.integers(1, min(size, 3))) for size in spatial],
            "stride": each_axis(st.integers(1, 2)),
            "groups": groups,
            "bias": draw(st.booleans()),
            "overflow": overflow,
        }
        return chosen | ({"pad": draw(st.integers(0, 1))} if op == "conv" else {"dilation": draw(st.integers(1, 2))})
    if op in ("max_pool", "avg_pool"):
        kernel = [draw(st.integers(1, min(size, 3))) for size in spatial]
        pooled = {
            "kernel": kernel,
            "stride": draw(st.sampled_from([None, 1, 2])),
            "pad": [draw(st.integers(0, size // 2)) for size in kernel],
            "ceil_mode": draw(st.booleans()),
        }
        pooled["dilation"] = (
            draw(st.integers(1, 2)) if all(2 * size - 1 <= spatial[at] for at, size in enumerate(kernel)) else 1
        )
        return pooled | ({"count_include_pad": draw(st.booleans())} if op == "avg_pool" else {})
    more: dict[str, st.SearchStrategy[dict[str, Any]]] = {
        "dense": st.fixed_dictionaries(
            {"units": st.integers(1, 4), "bias": st.booleans(), "layout": st.sampled_from(["in_out", "out_in"])}
        ),
        "leaky_relu": st.fixed_dictionaries({"slope": st.sampled_from([0, 0.25, -1.5])}),
        "gelu": st.fixed_dictionaries({"approximate": st.sampled_from(["none", "tanh"])}),
        "softmax": st.fixed_dictionaries({"axis": st.integers(1, len(shape) - 1)}),
        "log_softmax": st.fixed_dictionaries({"axis": st.integers(1 - len(shape), -1)}),
        "batch_norm": st.fixed_dictionaries({"epsilon": st.sampled_from([1e-5, 1, 0.25])}),
        "local_response_norm": st.fixed_dictionaries(
            {"size": st.integers(1, 5), "alpha": st.sampled_from([1e-4, 2]), "k": st.sampled_from([1, 2.5])}
        ),
        "add": st.just({"inputs": ["before", "before"]}),
        "concat": st.fixed_dictionaries(
            {"inputs": st.just(["before", "before"]), "axis": st.integers(1, len(shape) - 1)}
        ),
        "clip": st.fixed_dictionaries({"low": st.sampled_from([None, 0, 1]), "high": st.sampled_from([None, 1, 2])}),
        "pad": st.fixed_dictionaries({"pad": st.integers(0, 2), "value": st.sampled_from([0, 1])}),
        "upsample": st.fixed_dictionaries({"factor": st.integers(1, 3)}),
        "dropout": st.fixed_dictionaries({"rate": st.sampled_from([0, 0.5, 1])}),
        "scale": st.fixed_dictionaries({"divisor": st.sampled_from([255, 0.5]), "dtype": st.sampled_from(FLOATS)}),
    }
    return draw((more | OF_INTEGERS).get(op, st.just({})))


@st.composite
def layer_cases(draw: st.DrawFn, op: str, overflow: str) -> tuple[dict[str, Any], tuple[int, ...]]:
    """A kind of layer with legal settings, and the shape that it reads."""
    rank = 0 if op == "dense" else draw(st.integers(1, 3))
    sizes = draw(st.lists(st.integers(1, 5 if rank < 3 else 3), min_size=rank, max_size=rank))
    shape = (draw(st.sampled_from([1, 2, 0])), draw(st.integers(1, 4)), *sizes)
    return {"op": op, **draw_settings(draw, op, shape, overflow)}, shape


@pytest.mark.parametrize("op", LAYERS)
@cases_of(data=st.data(), dtype=st.sampled_from(INTEGERS + FLOATS), weights=st.sampled_from(INTEGERS + FLOATS))
@settings(max_examples=40)
def test_a_layer_makes_what_it_plans(op: str, data: st.DataObject, dtype: str, weights: str) -> None:
    if op in NO_FLOATS and dtype in FLOATS:
        dtype = "int16"
    overflow = "wrap" if {dtype, weights} <= {*INTEGERS} else "inf"
    layer, shape = data.draw(layer_cases(op, overflow))
    if op == "dense":
        layer["overflow"] = overflow
    source = weights_of(dtype=weights, low=0, high=3)
    network = {"before": {"op": "dropout"}, "flat": {"op": "flatten", "inputs": ["before"]}, "layer": layer}
    if op != "dense":
        del network["flat"]
    x = integers(shape if op != "dense" else (*shape, 1), "int8" if dtype[0] != "u" else "uint8", "small", 1)
    plan = planned(network, x.shape, dtype, source)
    arrays = given(plan, x.astype(dtype), source)
    made = [result.array for result in results(plan, arrays)][-1]
    hold_against_oracle(layer, x.reshape(shape).astype(dtype), made, arrays)


def hold_against_oracle(layer: dict[str, Any], x: Array, made: Array, arrays: dict[str, Array]) -> None:
    """A layer's result is the oracle's: its settings all arrived."""
    roles = ("filters", "weights", "bias", "scale", "shift", "mean", "variance")
    weights = [arrays[f"layer/{role}"] for role in roles if f"layer/{role}" in arrays]
    if layer.get("layout") == "out_in":
        weights[0] = weights[0].T
    chosen = {name: value for name, value in layer.items() if name not in NOT_SETTINGS}
    if layer["op"] == "local_response_norm":
        chosen["beta"] = 0.75
    expected = oracle(layer["op"])(x, *weights, **chosen)
    assert made.shape == expected.shape
    if made.dtype.kind in "iu":
        if expected.dtype == object:
            expected = reference.narrow(expected, made.dtype, layer.get("overflow", "error"))
        assert np.array_equal(made, expected)
        return
    loose = TOLERANCES[made.dtype.name]
    assert np.allclose(made.astype(float), expected.astype(float), rtol=loose, atol=loose)


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_oracle_sees_a_wrong_digit_and_a_wrong_shape(dtype: str) -> None:
    x = np.ones((1, 2, 3), dtype)
    made = reference_layers.sigmoid(x).astype(dtype)
    hold_against_oracle({"op": "sigmoid"}, x, made, {})
    for wrong in (made * np.array(1 + 4 * TOLERANCES[dtype], dtype), made[:, :1]):
        with pytest.raises(AssertionError):
            hold_against_oracle({"op": "sigmoid"}, x, wrong, {})


def test_the_oracle_sees_a_setting_that_does_not_arrive() -> None:
    x = integers((1, 2, 4, 4), "int16", "small", 1)
    made = reference_layers.max_pool(x, 2, stride=2).astype(np.int16)
    with pytest.raises(AssertionError):
        hold_against_oracle({"op": "max_pool", "kernel": 2, "stride": 1, "pad": 0}, x, made, {})


@pytest.mark.parametrize("op", ["leaky_relu", "gelu", "softmax", "log_softmax", "local_response_norm"])
def test_a_layers_defaults_are_its_oracles(op: str) -> None:
    x = np.arange(-12.0, 12).reshape(2, 6, 2, 1)
    got = output(planned({"layer": {"op": op}}, x.shape, "float64"), {"input": x})
    np.testing.assert_allclose(got, getattr(reference_layers, op)(x).astype(float), rtol=1e-13)


@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
def test_scaled_pictures_are_divided_once(dtype: str) -> None:
    x = np.arange(128).astype(dtype).reshape(1, 1, 8, 16)
    for wanted in FLOATS:
        network = {"scale": {"op": "scale", "divisor": 255, "dtype": wanted}}
        got = output(planned(network, x.shape, dtype), {"input": x})
        assert np.array_equal(got, (x.astype(np.float64) / 255).astype(wanted))


# Memory


LARGE: dict[str, dict[str, Any]] = {
    "conv": {"filters": 4, "kernel": 3, "pad": 1},
    "conv_transpose": {"filters": 2, "kernel": 2, "stride": 2},
    "max_pool": {"kernel": 2},
    "avg_pool": {"kernel": 3, "stride": 1, "pad": 1},
    "add": {"inputs": ["before", "before"]},
    "concat": {"inputs": ["before", "before"]},
    "dense": {"units": 7},
    "quantize": {"scale": 0.5},
    "dequantize": {"scale": 0.5},
    "requantize": {"rule": "shift", "shift": 1},
}


def peak_of(plan: Plan, dtype: str, source: Source) -> int:
    """The most memory there was from when the plan's arrays stood ready, which the pipeline lets go of in time."""
    tracemalloc.start()
    arrays = given(plan, np.ones(plan.given[0].shape, dtype), source)
    tracemalloc.reset_peak()
    for _ in pipeline.run(plan, arrays):
        arrays.clear()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def large_shapes(op: str) -> list[tuple[int, ...]]:
    """One image matters to the divisors of an average, a wide row to what sums it; windows need cells."""
    if op == "avg_pool":
        return [(1, 2, 400, 400)]
    return [(2, 8, 100, 100)] + ([] if op in ("conv", "conv_transpose", "max_pool") else [(64, 300, 1, 1)])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int16", "int64"])
@pytest.mark.parametrize(("op", "shape"), [(op, shape) for op in LAYERS for shape in large_shapes(op)], ids=str)
def test_a_layer_keeps_to_its_plans_memory(op: str, shape: tuple[int, ...], dtype: str) -> None:
    if op in NO_FLOATS and dtype[0] == "f":
        with pytest.raises(ConfigError, match=r"^network\.layer\.inputs: got float\d+, expected .*integers"):
            planned({"layer": {"op": op, **LARGE.get(op, {})}}, shape, dtype)
        return
    network = {"before": {"op": "dropout"}, "layer": {"op": op, **LARGE.get(op, {})}}
    if op == "dense":
        network = {"before": {"op": "flatten"}, "layer": network["layer"]}
    source = weights_of(dtype="float32" if dtype[0] == "f" else "int64", low=0, high=3)
    plan = planned(network, shape, dtype, source)
    peak_of(planned(network, (1, 2, 4, 4), dtype, source), dtype, source)  # what NumPy loads when first asked
    assert peak_of(plan, dtype, source) <= plan.peak_bytes + (256 << 10)


# Bad settings


IMAGE = (1, 3, 6, 6)
BAD: list[tuple[dict[str, Any], str]] = [
    ({"op": "conv", "filters": 0, "kernel": 3}, "network.a.filters: got 0, expected a whole number from 1"),
    ({"op": "conv", "filters": 2, "kernel": 0}, "network.a.kernel: got 0, expected a whole number from 1"),
    ({"op": "conv", "filters": 2, "kernel": [3]}, "network.a.kernel: got [3], expected one number, or 2"),
    ({"op": "conv", "filters": 2, "kernel": 7}, "network.a.kernel: got 7, expected at most 6 along H"),
    ({"op": "conv", "filters": 2, "kernel": [3, 9]}, "network.a.kernel: got 9, expected at most 6 along W"),
    ({"op": "conv", "filters": 2}, "network.a.weights: got (2, 3, ?, ?), expected a layer that states its sizes"),
    ({"op": "conv", "kernel": 3}, "network.a.weights: got (?, 3, 3, 3), expected a layer that states its sizes"),
    ({"op": "conv", "filters": 2, "kernel": 3, "stride": 0}, "network.a.stride: got 0, expected a whole number"),
    ({"op": "conv", "filters": 2, "kernel": 3, "pad": "sme"}, "network.a.pad: got sme, expected a whole number"),
    ({"op": "conv", "filters": 2, "kernel": 3, "dilation": [1]}, "network.a.dilation: got (1,), expected"),
    (
        {"op": "conv", "filters": 2, "kernel": 3, "groups": 2},
        "network.a.groups: got 2, expected a divisor of the 3 inp",
    ),
    ({"op": "conv", "filters": 2, "kernel": 3, "groups": 3}, "network.a.groups: got 3, expected a divisor of both"),
    ({"op": "conv", "filters": 2, "kernel": 3, "pad_mode": "x"}, "network.a.pad_mode: got x, expected one of"),
    (
        {"op": "conv", "filters": 2, "kernel": 3, "pad": 6, "pad_mode": "reflect"},
        "network.a.pad: got [6, 6], expected at most 5 along H for reflect padding of 6",
    ),
    ({"op": "conv", "filters": 2, "kernel": 3, "pad": 1, "pad_value": 0.5}, "network.a.pad_value: got 0.5, expected"),
    ({"op": "conv", "filters": 2, "kernel": 3, "dtype": "int8"}, "network.a.dtype: got int8, expected a float"),
    ({"op": "conv", "filters": 2, "kernel": 3, "dtype": "bool"}, "network.a.dtype: got bool, expected one of"),
    ({"op": "conv", "filters": 2, "kernel": 3, "overflow": "x"}, "network.a.overflow: got x, expected one of"),
    ({"op": "conv", "filters": 2, "kernel": 3, "operation": "grad_input"}, "network.a.operation: got grad_input"),
    ({"op": "conv", "filters": 2, "kernel": 3, "output_padding": 1}, "network.a.output_padding: got 1, expected 0"),
    ({"op": "conv", "filters": 2, "kernel": 3, "bias": 3}, "network.a.bias: got 3, expected a text"),
    (
        {"op": "conv", "filters": 2, "kernel": 3, "stages": ["pad", "im2cl"]},
        "network.a.stages[1]: got im2cl, expected one of add",
    ),
    (
        {"op": "conv", "filters": 2, "kernel": 3, "bias": False, "stages": ["pad"]},
        "network.a.stages: got pad, expected a last stage that makes a feature map",
    ),
    ({"op": "conv", "inputs": ["input", "input"]}, "network.a.inputs: got ['input', 'input'], expected one tensor"),
    ({"op": "conv_transpose", "filters": 2, "kernel": 3, "pad": 5}, "network.a.pad: got [5, 5], expected at most 7"),
    (
        {"op": "conv_transpose", "filters": 3, "kernel": 3, "groups": 3, "output_padding": 1},
        "network.a.output_padding: got 1, expected less than 1 along H",
    ),
    (
        {"op": "conv_transpose", "filters": 4, "kernel": 3, "groups": 3},
        "network.a.groups: got 3, expected a divisor of the 4 filters",
    ),
    (
        {"op": "conv_transpose", "filters": 2, "kernel": 3, "groups": 2},
        "network.a.groups: got 2, expected a divisor of",
    ),
    ({"op": "conv_transpose", "filters": 2, "kernel": 3, "pad_mode": "edge"}, "network.a.pad_mode: got edge, expected"),
    (
        {"op": "conv_transpose", "filters": 2, "kernel": 3, "stages": ["pad", "im2col"]},
        "network.a.stages[1]: got im2col, expected the padded input of a convolution",
    ),
    (
        {"op": "conv_transpose", "filters": 2, "kernel": 3, "output_shape": 99},
        "network.a.output_shape: got 99, expected",
    ),
    ({"op": "dense", "units": 3}, "network.a.inputs: got (1, 3, 6, 6), expected 2 axes (N, in); a flatten layer"),
    ({"op": "dense", "units": 0}, "network.a.units: got 0, expected a whole number from 1"),
    ({"op": "dense", "units": 3, "layout": "out"}, "network.a.layout: got out, expected one of in_out, out_in"),
    ({"op": "max_pool"}, "network.a.kernel: got nothing, expected a value for it"),
    ({"op": "max_pool", "kernel": 7}, "network.a.kernel: got 7, expected at most 6 along H"),
    ({"op": "max_pool", "kernel": 2, "pad": 2}, "network.a.pad: got 2, expected at most 1 along H, half the kernel"),
    ({"op": "max_pool", "kernel": 2, "stride": "x"}, "network.a.stride: got x, expected a whole number"),
    ({"op": "max_pool", "kernel": 2, "ceil_mode": 1}, "network.a.ceil_mode: got 1, expected true or false"),
    (
        {"op": "avg_pool", "kernel": 2, "dilations": 2},
        "network.a.dilations: got 2, expected one of the keys of network.a: ",
    ),
    ({"op": "avg_pool", "kernel": [2]}, "network.a.kernel: got (2,), expected a whole number from 1, or a list of 2"),
    ({"op": "leaky_relu", "slope": "x"}, "network.a.slope: got x, expected a number"),
    ({"op": "leaky_relu", "slope": 10**400}, "network.a.slope: got 1000"),
    ({"op": "leaky_relu", "slope": float("inf")}, "network.a.slope: got inf, expected a number"),
    ({"op": "leaky_relu", "slope": float("nan")}, "network.a.slope: got nan, expected a number"),
    ({"op": "gelu", "approximate": "tan"}, "network.a.approximate: got tan, expected one of none, tanh"),
    ({"op": "softmax", "axis": 0}, "network.a.axis: got 0, expected an axis from 1 to 3, as 0 is the batch"),
    ({"op": "softmax", "axis": 4}, "network.a.axis: got 4, expected a whole number from -4 to 3"),
    ({"op": "concat", "axis": -4}, "network.a.axis: got -4, expected an axis from 1 to 3, as 0 is the batch"),
    ({"op": "batch_norm", "epsilon": -1}, "network.a.epsilon: got -1, expected a number from 0"),
    ({"op": "local_response_norm", "size": 0}, "network.a.size: got 0, expected a whole number from 1"),
    ({"op": "dropout", "rate": 2}, "network.a.rate: got 2, expected a number from 0 to 1"),
    ({"op": "scale", "divisor": 0}, "network.a.divisor: got 0, expected a number other than 0"),
    ({"op": "scale", "dtype": "int8"}, "network.a.dtype: got int8, expected one of float16, float32, float64"),
    ({"op": "relu", "slope": 2}, "network.a.slope: got 2, expected one of the keys of network.a: op, inputs"),
    ({"op": "relu", "inputs": []}, "network.a.inputs: got [], expected a list of at least one value"),
    ({"op": "relu", "inputs": "input"}, "network.a.inputs: got input, expected a list of at least one value"),
    ({"op": "rellu"}, "network.a.op: got rellu, expected one of add, "),
    ({"op": None}, "network.a.op: got nothing, expected one of add"),
    ({"op": ["relu"]}, "network.a.op: got ['relu'], expected one of add"),
]


@pytest.mark.parametrize(("layer", "line"), BAD)
def test_a_bad_setting_is_named_in_one_line(layer: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(line)}[^\n]*$"):
        planned({"a": layer}, IMAGE)


@pytest.mark.parametrize("op", ["max_pool", "avg_pool", "global_max_pool", "global_avg_pool"])
def test_windows_need_an_image_with_cells(op: str) -> None:
    layer = {"op": op} | ({} if op.startswith("global") else {"kernel": 1})
    with pytest.raises(ConfigError, match=r"^network\.a\.inputs: got \(1, 12\), expected 4 axes"):
        planned({"flat": {"op": "flatten"}, "a": layer}, (1, 3, 2, 2))
    with pytest.raises(ConfigError, match=r"^network\.a\.inputs: got \(0, 2\), expected at least 1 along H"):
        planned({"a": layer}, (1, 3, 0, 2))


def test_shapes_that_do_not_meet_are_named() -> None:
    network: dict[str, dict[str, Any]] = {
        "half": {"op": "max_pool", "kernel": 2},
        "sum": {"op": "add", "inputs": ["input", "half"]},
    }
    with pytest.raises(ConfigError, match=r"^network\.sum\.inputs: got half \(1, 3, 3, 3\), expected the shape \(1, 3"):
        planned(network, IMAGE)
    network["sum"] = {"op": "concat", "inputs": ["half", "input"]}
    with pytest.raises(ConfigError, match=r"inputs: got input \(1, 3, 6, 6\), expected .* but for axis 1, half$"):
        planned(network, IMAGE)


# What the values do not allow


def test_an_integer_sum_that_does_not_fit_names_its_layer() -> None:
    x = np.full((1, 1, 2, 2), 100, np.int8)
    source = weights_of(dtype="int8", low=2, high=3)
    convolution = {"a": {"op": "conv", "filters": 1, "kernel": 1}}
    plan = planned(convolution, x.shape, "int8", source)
    with pytest.raises(
        ConfigError,
        match=r"^network\.a\.overflow: got error, expected sums that fit \(the exact sum 202 does not fit int8 .*; "
        r"choose a wider dtype, network\.a\.overflow=wrap or network\.a\.overflow=saturate\)$",
    ):
        output(plan, given(plan, x, source))
    plan = planned({"a": {"op": "add", "inputs": ["input", "input"]}}, x.shape, "int8")
    with pytest.raises(
        ConfigError,
        match=r"^network\.a\.overflow: got error, expected sums that fit \(the exact sum 200 does not fit int8 .*; "
        r"choose a wider dtype, network\.a\.overflow=wrap or network\.a\.overflow=saturate\)$",
    ):
        output(plan, {"input": x})


def test_a_negative_variance_names_its_layer() -> None:
    source = weights_of(low=-2, high=-1)
    plan = planned({"a": {"op": "batch_norm"}}, IMAGE, "float32", source)
    with pytest.raises(ConfigError, match=r"^network\.a\.variance: got -2.0, expected numbers from 0"):
        output(plan, given(plan, np.zeros(IMAGE, np.float32), source))


# Convolutions


@pytest.mark.parametrize("op", ["conv", "conv_transpose"])
def test_a_convolution_is_laid_out_stage_by_stage(op: str) -> None:
    plan = planned({"c": {"op": op, "filters": 2, "kernel": 3}}, IMAGE)
    own = {
        "conv": ["c/pad", "c/im2col", "c/fil2col", "c/matmul", "c/reshape", "c/transpose"],
        "conv_transpose": ["c/rows", "c/fil2row", "c/matmul_rows", "c/col2im", "c/crop", "c/transpose"],
    }
    assert [step.name for step in plan.steps] == own[op]
    assert [tensor.name for tensor in plan.given] == ["input", "c/filters", "c/bias"]
    assert plan.output.name == "c"
    assert plan.output.axes == ("N", "C", "H", "W")


def test_the_runs_lowering_and_a_layers_own() -> None:
    layers = {"a": {"op": "conv", "filters": 2, "kernel": 3}, "b": {"op": "conv", "filters": 2, "kernel": 3}}
    layers["b"]["stages"] = IMPLICIT
    steps = [step.name for step in planned(layers, IMAGE).steps]
    assert {"a/im2col", "b/implicit_gemm"} <= set(steps)
    assert "b/im2col" not in steps
    other = [step.name for step in planned(layers, IMAGE, stages=IMPLICIT).steps]
    assert "a/implicit_gemm" in other
    x = integers(IMAGE, "int16", "small", 3)
    plans = [planned(layers, IMAGE, stages=stages) for stages in (None, IMPLICIT)]
    first, second = (output(plan, given(plan, x)) for plan in plans)
    assert np.array_equal(first, second)


def test_a_transposed_layer_beside_an_implicit_lowering() -> None:
    layers = {
        "down": {"op": "conv", "filters": 2, "kernel": 2, "stride": 2},
        "up": {"op": "conv_transpose", "filters": 4, "kernel": 2, "stride": 2, "groups": 2},
        "bank": {"op": "conv", "filters": 2, "kernel": 1, "groups": 2, "bias": False},
    }
    plan = planned(layers, IMAGE, stages=IMPLICIT)
    assert [tensor.shape for tensor in plan.given] == [IMAGE, (2, 3, 2, 2), (2,), (2, 2, 2, 2), (4,), (2, 2, 1, 1)]
    assert plan.output.shape == (1, 2, 6, 6)
    assert output(plan, given(plan, integers(IMAGE, "int16", "small", 0))).shape == (1, 2, 6, 6)


def test_what_a_stride_leaves_out_is_noted_under_the_layer() -> None:
    layers = {"a": {"op": "relu"}, "c": {"op": "conv", "filters": 2, "kernel": 3, "stride": 2}}
    (note,) = planned(layers, IMAGE).notes
    assert note.startswith("c: never read, as the stride does not divide: 1 along H, 1 along W")


def test_every_kind_reads_its_settings() -> None:
    for op in LAYERS:
        more = LARGE.get(op, {})
        assert layers_of({"a": {"op": op, **more}})["a"].op == op
