"""Lowerings by their files, and the chains of stages that a convolution can have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from plan_cases import LOWERINGS, plan_convolution, plan_operation, stages_of

from convpipe import reference
from convpipe.errors import ConfigError
from convpipe.execution import pipeline
from convpipe.graph import lowerings
from convpipe.graph.plan import Plan
from convpipe.ops.kinds.convolving import ConvSettings
from convpipe.tensors import Array, Signature

IM2COL = ["pad", "im2col", "fil2col", "matmul", "reshape"]
INT16 = np.dtype("int16")
X, W, BIAS = Signature((1, 2, 5, 5), INT16), Signature((3, 2, 2, 2), INT16), Signature((3,), INT16)


def a_plan(stages: Any, bias: bool = False, **settings: Any) -> Plan:
    return plan_convolution(X, W, ConvSettings(**settings), stages, BIAS if bias else None)


def result(plan: Plan) -> Array:
    """The result of a plan on its input and filters filled with numbers that tell cells apart."""
    arrays = {
        tensor.name: np.arange(np.prod(tensor.shape), dtype=np.int16).reshape(tensor.shape) for tensor in plan.given
    }
    return pipeline.output(plan, arrays)


@pytest.mark.parametrize("name", [*LOWERINGS, "auto"])
@pytest.mark.parametrize("bias", [False, True])
def test_every_lowering_is_a_whole_chain(name: str, bias: bool) -> None:
    plan = a_plan(name, bias)
    assert plan.output.name == "feature_map"
    assert plan.output.shape == (1, 4, 4, 3)
    assert plan.macs == 1 * 4 * 4 * 3 * 2 * 2 * 2
    assert [step.name for step in plan.steps] == [stage.op for stage in lowerings.chain("conv", name)]


def test_auto_archives_no_columns() -> None:
    assert [stage.op for stage in lowerings.chain("conv", "auto")] == ["pad", "implicit_gemm"]


@pytest.mark.parametrize("operation", ["conv", "conv_transpose", "grad_input", "grad_weights", "grad_bias"])
def test_every_operation_has_a_chain_of_its_own(operation: str) -> None:
    assert lowerings.chain(operation) == lowerings.chain(operation, lowerings.OWN)


def test_there_is_no_such_lowering() -> None:
    with pytest.raises(ConfigError, match=r"lowering: got im2cl, expected one of auto, im2col.* \(did you mean im2col"):
        lowerings.chain("conv", "im2cl")
    with pytest.raises(ConfigError, match=r"lowering: got implicit, expected one of im2col, or a list of stages"):
        lowerings.chain("conv_transpose", "implicit")


def test_stages_may_stand_in_any_order_that_makes_what_they_need() -> None:
    shuffled = a_plan(["fil2col", "pad", "im2col", "matmul", "reshape"])
    assert result(shuffled).tolist() == result(a_plan("im2col")).tolist()


@pytest.mark.parametrize(
    ("stages", "match"),
    [
        (["pad", "im2col", "matmul", "reshape"], "got matmul, expected the tensor 'filter_matrix' made before"),
        (["im2col", "fil2col", "matmul", "reshape"], "got im2col, expected the tensor 'padded' made before im2col"),
        (["pad", "fil2col", "matmul", "reshape"], "got matmul, expected the tensor 'columns' made before matmul"),
        (["pad", "pad", "im2col", "fil2col", "matmul", "reshape"], "got pad, expected a tensor of its own; 'padded'"),
        (["pad", "implicit_gemm", "fil2col"], "'feature_map', and nothing reads it"),
        (["pad", "fil2col", "implicit_gemm"], "got fil2col, expected a later stage that needs it"),
        (["fil2col"], "got input, expected a later stage that needs it: 'input' is given, and nothing reads it"),
        ([{"batch_norm": {}}, *IM2COL], "got batch_norm, expected the tensor 'scale' made before batch_norm needs it"),
        ([], r"got \[\], expected a list of at least one stage"),
    ],
)
def test_a_chain_that_is_not_whole_is_refused(stages: list[Any], match: str) -> None:
    with pytest.raises(ConfigError, match=rf"lowering\.stages: .*{match}"):
        a_plan(stages)


@pytest.mark.parametrize(
    ("stages", "match"),
    [
        (["pad", "im2cl"], r"lowering\.stages\[1\]: got im2cl, expected one of .*did you mean im2col"),
        (["__import__"], r"lowering\.stages\[0\]: got __import__, expected one of "),
        ([{"pad": {}, "clip": {}}], r"lowering\.stages\[0\]: got .*, expected one of "),
        (["pad", "conv"], r"lowering\.stages\[1\]: got conv, expected an operation that can be a stage"),
        ([{"clip": 3}], r"lowering\.stages\[0\]\.clip: got 3, expected settings of the stage"),
        (
            [{"clip": {"lo": 3}}],
            r"lowering\.stages\[0\]\.clip\.lo: got 3, expected one of the keys of .*did you mean .*low\?",
        ),
        ([{"fil2col": {"low": 3}}], r"lowering\.stages\[0\]\.fil2col\.low: got 3, expected nothing below"),
        ([{"clip": {"low": "x"}}], r"lowering\.stages\[0\]\.clip\.low: got x, expected a number"),
        (["pad", {"clip": {"low": 40000}}], r"lowering\.stages\[1\]\.clip\.low: got 40000, expected .* int16"),
        ([{"pad": {"pad": 2, "value": 0.5}}], r"lowering\.stages\[0\]\.pad\.value: got 0\.5, expected a whole"),
        (
            ["pad", {"max_pool": {"kernel": 9}}],
            r"lowering\.stages\[1\]\.max_pool\.kernel: got 9, expected at most 5 along H",
        ),
        (
            ["pad", {"max_pool": {"kernel": 2}}, "im2col"],
            r"lowering\.stages\[2\]: got im2col, expected the padded input's shape .*; it reads \(1, 2, 2, 2\)",
        ),
        (
            ["pad", "im2col", "flatten", "flatten", "max_pool"],
            r"lowering\.stages\[4\]\.max_pool\.kernel: got nothing, expected a value",
        ),
    ],
)
def test_a_stage_that_does_not_fit_is_named_with_its_place(stages: list[Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        a_plan(stages)


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_a_bias_is_read_by_the_stage_that_sums(lowering: str) -> None:
    plan = a_plan(lowering, bias=True)
    assert [step.op for step in plan.steps if "bias" in step.needs] == [
        "matmul" if lowering == "im2col" else "implicit_gemm"
    ]


def test_a_bias_that_no_stage_reads_is_refused() -> None:
    with pytest.raises(ConfigError, match="got bias, expected a later stage that needs it: 'bias' is given"):
        a_plan(["pad", "im2col"], bias=True)


def test_the_bias_is_left_to_the_stage_that_needs_it() -> None:
    plan = a_plan(["pad", "im2col", "fil2col", "matmul", "add_bias", "reshape"], bias=True)
    assert [step.op for step in plan.steps if "bias" in step.needs] == ["add_bias"]
    assert result(plan).tolist() == result(a_plan("im2col", bias=True)).tolist()


# Stages with settings, and chains that end early


def test_a_stage_works_on_what_it_reads_and_not_on_what_the_convolution_has() -> None:
    plan = a_plan(["pad", "im2col", {"scale": {"divisor": 2, "dtype": "float32"}}, "fil2col", "matmul", "reshape"])
    assert [str(step.makes.dtype) for step in plan.steps] == [
        "int16",
        "int16",
        "float32",
        "int16",
        "float32",
        "float32",
    ]
    assert (result(plan) * 2).tolist() == result(a_plan("im2col")).tolist()


def test_a_stages_own_setting_counts_more_than_the_convolutions() -> None:
    edged = a_plan([{"pad": {"mode": "edge"}}, *IM2COL[1:]], pad=1)
    assert result(edged).tolist() == result(a_plan("im2col", pad=1, pad_mode="edge")).tolist()
    wide = a_plan([*IM2COL[:3], {"matmul": {"dtype": "int64"}}, "reshape"])
    assert wide.output.dtype == np.int64


def test_an_operation_may_come_more_than_once() -> None:
    plan = a_plan(["pad", {"clip": {"low": 3}}, "im2col", "fil2col", "matmul", "reshape", {"clip": {"high": 99}}])
    assert [step.name for step in plan.steps if step.op == "clip"] == ["clip", "clip_2"]
    assert [step.makes.name for step in plan.steps if step.op == "clip"] == ["clip", "clip_2"]
    assert result(plan).max() == 99


@pytest.mark.parametrize(
    ("stages", "makes", "read"),
    [
        (["pad"], "padded", ["input"]),
        (["pad", "im2col"], "columns", ["input"]),
        (IM2COL[:4], "product", ["input", "filters"]),
        ([*IM2COL, "flatten"], "flatten", ["input", "filters"]),
    ],
)
def test_a_chain_may_end_in_any_tensor(stages: list[str], makes: str, read: list[str]) -> None:
    plan = a_plan(stages)
    assert plan.output.name == makes
    assert [tensor.name for tensor in plan.given] == read
    assert result(plan).shape == plan.output.shape


@pytest.mark.parametrize(("setting", "value", "idle"), [("dtype", "int64", "nothing"), ("overflow", "wrap", "error")])
def test_what_is_asked_of_sums_needs_a_stage_that_sums(setting: str, value: str, idle: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"{setting}: got {value}, expected {idle}, as no stage of the chain takes it"
    ):
        a_plan(["pad", "im2col", {"scale": {"dtype": "float16"}}], **{setting: value})
    with pytest.raises(ConfigError, match=f"{setting}: got"):  # its own settings come first
        a_plan([*IM2COL[:3], {"matmul": {"dtype": "int32", "overflow": "saturate"}}, "reshape"], **{setting: value})


def test_a_clipped_gradient() -> None:
    grad = Signature((1, 3, 4, 4), INT16)
    stages = [{"clip": {"low": -1, "high": 1}}, "rows", "fil2row", "matmul_rows", "col2im", "unpad"]
    plan = plan_operation(ConvSettings(operation="grad_input"), stages, input=X, filters=W, grad=grad)
    values = np.arange(-24, 24, dtype=np.int16).reshape(grad.shape)
    w = np.arange(24, dtype=np.int16).reshape(W.shape)
    made = pipeline.output(plan, {"grad": values, "filters": w})
    expected = reference.conv_grad(np.zeros(X.shape, np.int16), w, values.clip(-1, 1))[0]
    assert made.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("stages", "match"),
    [
        (
            [{"max_pool": {"kernel": 2}}, "rows", "fil2row", "matmul_rows", "col2im", "unpad"],
            r"got rows, expected the shape \(1, 3, 4, 4\); it reads \(1, 3, 2, 2\)",
        ),
        (["transpose", "rows", "fil2row", "matmul_rows", "col2im", "unpad"], r"got rows, expected the shape "),
    ],
)
def test_rows_are_those_of_the_whole_gradient(stages: list[Any], match: str) -> None:
    grad = Signature((1, 3, 4, 4), INT16)
    with pytest.raises(ConfigError, match=match):
        plan_operation(ConvSettings(operation="grad_input"), stages, input=X, filters=W, grad=grad)


def test_stages_are_read_once() -> None:
    stages = stages_of(["pad", {"clip": {"low": 1, "high": None}}, {"clip": {}}, {"clip": None}])
    assert [stage.plain() for stage in stages] == ["pad", {"clip": {"low": 1}}, "clip", "clip"]
    assert stages_of(stages) == stages
