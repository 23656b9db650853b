"""Cells of every layer and of every chain explained: by hand, by loops of their own, and never other than stored."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runs import convpipe, only_run
from explain_cases import a_run, explain, refusal
from run_cases import set_output

import convpipe as cp
from convpipe import reference
from convpipe.archive.read import Run, load
from convpipe.errors import ConfigError
from convpipe.ops import Operation
from convpipe.ops.kinds.registry import OPERATIONS
from convpipe.report.story import Story
from convpipe.report.subject import subject_of

IMAGE = [[[[1, -2, 3, 0], [4, 5, -6, 7], [0, 2, 8, -1]]]]
KEPT = ("output", "stages")
TWO = [[[[1, -2], [3, 4]], [[5, 6], [-7, 8]]]]  # one image of two channels
WEIGHTS = {
    "bn.weight": [2, 0.5],
    "bn.bias": [1, -1],
    "bn.running_mean": [3, 2],
    "bn.running_var": [4, 0.25],
    "fc.weight": [[1, 2], [0, -1], [3, 0], [1, 1], [2, -2], [0, 1], [1, 0], [-1, 4]],
    "fc.bias": [10, 20],
}


def a_network(
    folder: Path, layers: dict[str, Any], values: Any, dtype: str = "int16", weights: dict[str, Any] | None = None
) -> Run:
    """A network run in memory, on an image of its own, with the weights above or others."""
    np.save(folder / "x.npy", np.array(values, dtype))
    arrays = {name: np.array(array, np.float32) for name, array in WEIGHTS.items()} if weights is None else weights
    np.savez(folder / "w.npz", **arrays)
    settings = {
        "input": {"source": "npy", "path": str(folder / "x.npy")},
        "weights": {"source": "npz", "path": str(folder / "w.npz")},
        "network": layers,
    }
    (folder / "net.yaml").write_text(json.dumps(settings))
    return cp.run(str(folder / "net.yaml"), archive=False)


def last_line(run: Run, at: tuple[int, ...], layer: str | None = None) -> str:
    """What the explanation of a cell ends with."""
    cell = cp.explain(run, at, layer)
    assert cell.agrees
    return str(cell).splitlines()[-1]


# Layers, by hand: the image, the layer, the cell, and what is said of it.
POOL = {"op": "max_pool", "kernel": 2}
NOTHING = "max(nothing but padding) = -32768"
MEAN = {"op": "avg_pool", "kernel": 2}
BORDER = {"kernel": 2, "stride": 1, "pad": 1}
BY_HAND: list[tuple[Any, dict[str, Any], tuple[int, ...], str]] = [
    (IMAGE, POOL, (0, 0, 0, 0), "max(1, -2, 4, 5) = 5"),
    (IMAGE, POOL, (0, 0, 0, 1), "max(3, 0, -6, 7) = 7"),
    (IMAGE, {"op": "max_pool", **BORDER}, (0, 0, 0, 0), "max(1) = 1"),
    (IMAGE, {"op": "max_pool", **BORDER, "dilation": 3}, (0, 0, 0, 1), "max(0, -1) = 0"),
    (IMAGE, {"op": "avg_pool", "kernel": (1, 3)}, (0, 0, 0, 0), "(1 + -2 + 3) / 3 = 0.666667"),
    ([[[[8, 9]]]], {"op": "max_pool", "kernel": (1, 2), "pad": ((0, 0), (1, 1)), "dilation": 3}, (0, 0, 0, 0), NOTHING),
    (IMAGE, MEAN, (0, 0, 0, 1), "(3 + 0 + -6 + 7) / 4 = 1"),
    (IMAGE, {"op": "avg_pool", **BORDER}, (0, 0, 0, 1), "((0) + (0) + 1 + -2) / 4 = -0.25"),
    (IMAGE, {"op": "avg_pool", **BORDER, "count_include_pad": False}, (0, 0, 0, 1), "(1 + -2) / 2 = -0.5"),
    (TWO, {"op": "global_max_pool"}, (0, 1, 0, 0), "max(5, 6, -7, 8) = 8"),
    (TWO, {"op": "global_avg_pool"}, (0, 1, 0, 0), "(5 + 6 + -7 + 8) / 4 = 3"),
    (TWO, {"op": "relu"}, (0, 0, 0, 1), "max(0, -2) = 0"),
    (TWO, {"op": "relu"}, (0, 0, 1, 1), "max(0, 4) = 4"),
    (TWO, {"op": "leaky_relu", "slope": 0.5}, (0, 0, 0, 1), "0.5 * -2 = -1"),
    (TWO, {"op": "leaky_relu", "slope": 0.5}, (0, 0, 1, 1), "4 = 4"),
    (TWO, {"op": "clip", "low": 0, "high": 3}, (0, 0, 1, 1), "min(max(4, 0), 3) = 3"),
    (TWO, {"op": "clip", "low": -1}, (0, 0, 0, 1), "max(-2, -1) = -1"),
    (TWO, {"op": "clamp", "low": 0, "high": 3}, (0, 0, 1, 1), "min(max(4, 0), 3) = 3"),
    (TWO, {"op": "relu6"}, (0, 1, 1, 1), "min(max(8, 0), 6) = 6"),
    (TWO, {"op": "center", "zero_point": -3}, (0, 0, 0, 1), "-2 - -3 = 1"),
    (TWO, {"op": "dequantize", "scale": 0.5, "zero_point": 1}, (0, 0, 1, 1), "it: f32(f32(3) * 0.5) = 1.5"),
    (TWO, {"op": "quantize", "scale": 4}, (0, 1, 0, 1), "it: min(max(2, -128), 127) = 2"),
    (TWO, {"op": "requantize", "rule": "shift", "shift": 1}, (0, 1, 0, 0), "it: min(max(3, -128), 127) = 3"),
    (TWO, {"op": "scale", "divisor": 4}, (0, 0, 1, 0), "3 / 4 = 0.75"),
    (TWO, {"op": "sigmoid"}, (0, 0, 0, 1), "1 / (1 + exp(-(-2))) = 1 / (1 + 7.38906) = 0.119203"),
    (TWO, {"op": "tanh"}, (0, 0, 0, 0), "tanh(1) = 0.761594"),
    (TWO, {"op": "gelu"}, (0, 0, 0, 0), "1 * Phi(1) = 0.841345"),
    (
        TWO,
        {"op": "softmax"},
        (0, 0, 0, 0),
        "exp(1 - 5) / (exp(1 - 5) + exp(5 - 5)) = 0.0183156 / 1.01832 = 0.0179862",
    ),
    (
        TWO,
        {"op": "log_softmax"},
        (0, 0, 0, 0),
        "1 - 5 - log(exp(1 - 5) + exp(5 - 5)) = 1 - 5 - 0.0181499 = -4.01815",
    ),
    (
        TWO,
        {"op": "local_response_norm", "size": 2, "alpha": 1, "beta": 0.5, "k": 3},
        (0, 1, 0, 0),
        "5 / (3 + 1 / 2 * (1 * 1 + 5 * 5))**0.5 = 5 / 4 = 1.25",
    ),
    (TWO, {"op": "dropout"}, (0, 1, 1, 0), "input[0,1,1,0] = -7"),
    (TWO, {"op": "upsample", "factor": (1, 3)}, (0, 1, 1, 4), "input[0,1,1,1] = 8"),
    (TWO, {"op": "flatten"}, (0, 6), "input[0,1,1,0] = -7"),
    (TWO, {"op": "transpose"}, (0, 1, 0, 1), "input[0,0,1,1] = 4"),
    (TWO, {"op": "pad", "pad": 1, "value": 9}, (0, 0, 0, 2), "(9) = 9"),
    (TWO, {"op": "pad", "pad": 1}, (0, 0, 1, 2), "input[0,0,0,1] = -2"),
    (TWO, {"op": "pad", "pad": 1, "mode": "wrap"}, (0, 0, 0, 0), "input[0,0,1,1] = 4"),
    (TWO, {"op": "add", "inputs": ["input", "input", "input"]}, (0, 0, 1, 0), "3 + 3 + 3 = 9"),
    (TWO, {"op": "concat", "inputs": ["input", "input"]}, (0, 3, 0, 1), "input[0,1,0,1] = 6"),
]


@pytest.mark.parametrize(("values", "layer", "at", "line"), BY_HAND, ids=[f"{a[1]['op']} {a[3]}" for a in BY_HAND])
def test_a_layer_is_explained(
    values: Any, layer: dict[str, Any], at: tuple[int, ...], line: str, tmp_path: Path
) -> None:
    run = a_network(tmp_path, {"it": layer}, values)
    assert re.sub(r", as stored(, within the rounding of float(32|64))?$", "", last_line(run, at, "it")) == line


def test_every_operation_that_can_be_a_layer_is_explained_by_hand() -> None:
    there = {layer["op"] for _, layer, _, _ in BY_HAND} | {"batch_norm", "dense", "conv", "conv_transpose"}
    stages = {name for name in OPERATIONS.ours() if is_only_a_stage(OPERATIONS.get("op", name))}
    assert there == {*OPERATIONS.ours()} - stages - {"grad_input", "grad_weights", "grad_bias"}


def is_only_a_stage(kind: type[Operation]) -> bool:
    from convpipe.ops.kinds.operation import stands_alone

    return not stands_alone(kind)


def test_batch_norm_is_explained_with_its_numbers(tmp_path: Path) -> None:
    run = a_network(tmp_path, {"bn": {"op": "batch_norm", "epsilon": 0}}, TWO, "float32")
    assert last_line(run, (0, 0, 1, 1), "bn") == "(4 - 3) / sqrt(4 + 0) * 2 + 1 = (4 - 3) / 2 * 2 + 1 = 2, as stored"
    assert last_line(run, (0, 1, 0, 0), "bn").startswith(
        "(5 - 2) / sqrt(0.25 + 0) * 0.5 + -1 = (5 - 2) / 0.5 * 0.5 + -1"
    )


def test_dense_is_explained_as_its_sum(tmp_path: Path) -> None:
    run = a_network(tmp_path, {"flat": {"op": "flatten"}, "fc": {"op": "dense"}}, TWO, "float32")
    lines = """\
cell n=0, units=1 (float32): dense of flat[0,0:8]

inputs | weights | inputs * weights
   1 -2  3  4  5  6 -7  8 |  2 -1  0  1 -2  1  0  4 |   2 +   2 +   0 +   4 + -10 +   6 +   0 +  32
  sum: 36

36 + 20 (bias) = 56, as stored"""
    assert str(cp.explain(run, (0, 1), "fc")) == lines


def test_a_long_sum_says_how_much_it_leaves_out(tmp_path: Path) -> None:
    image = np.arange(700).reshape(1, 7, 10, 10) % 5
    layers = {"flat": {"op": "flatten"}, "fc": {"op": "dense", "bias": False}}
    run = a_network(tmp_path, layers, image, weights={"fc.weight": np.ones((700, 2), np.int16)})
    text = str(cp.explain(run, (0, 1), "fc"))
    assert "\ninputs | weights | inputs * weights (of 700 the first 256)\n" in text
    assert text.count("\n  ") == 33
    assert text.endswith("  sum: 1400\n\n1400 = 1400, as stored")


def test_what_a_cell_is_of(tmp_path: Path) -> None:
    layers = {"a": {"op": "relu"}, "b": {"op": "add", "inputs": ["a", "input"]}, "c": {**POOL, "kernel": (2, 1)}}
    run = a_network(tmp_path, layers, TWO)
    assert str(cp.explain(run, (0, 1, 0, 1), "b")).splitlines()[0] == (
        "cell n=0, c=1, h=0, w=1 (int16): add of a[0,1,0,1], input[0,1,0,1]"
    )
    assert str(cp.explain(run, (0, 1, 0, 1), "c")).splitlines()[0] == (
        "cell n=0, c=1, h=0, w=1 (int16): max_pool of b[0,1,0:2,1]"
    )
    assert repr(cp.explain(run, (0, 1, 0, 1), "c")) == "<Cell n=0, c=1, h=0, w=1: max(12, 16) = 16, as stored>"
    assert "<pre" in cp.explain(run, (0, 1, 0, 1), "c")._repr_html_()


# Transposed convolutions and gradients, against the oracle

TRANSPOSED = """\
cell n=0, f=0, out_h=1, out_w=2 (int16): conv_transpose of input[0,0,0:2,0:2]
in each channel, pixels met weights: (1,1) with (0,0), (1,0) with (0,2), (0,1) with (2,0), (0,0) with (2,2)

channel 0: pixels | weights | pixels * weights
  4 3 | 1 3 |  4 +  9 +
  2 1 | 7 9 | 14 +  9
  sum: 36

36 = 36, as stored"""


def test_which_pixels_met_which_taps_of_which_filter() -> None:
    w = np.arange(1, 10, dtype=np.int16).reshape(1, 1, 3, 3)
    x = np.array([[[[1, 2], [3, 4]]]], np.int16)
    run = cp.run(
        input=x, filters=w, conv="transpose", archive=False, **{"conv.stride": 2, "conv.pad": ((1, 0), (0, 0))}
    )
    assert str(cp.explain(run, (0, 0, 1, 2))) == TRANSPOSED


def test_a_cell_that_no_tap_reaches_is_explained() -> None:
    x, w = np.ones((1, 1, 2, 2), np.int16), np.ones((1, 1, 1, 1), np.int16)
    run = cp.run(input=x, filters=w, conv="transpose", archive=False, **{"conv.stride": 2})
    assert last_line(run, (0, 0, 0, 1)) == "nothing = 0, as stored"
    assert last_line(run, (0, 0, 2, 2)) == "1 = 1, as stored"


def test_cells_beyond_all_taps_are_explained() -> None:
    x, w = np.full((1, 1, 2, 2), 3, np.int16), np.full((1, 1, 2, 2), 2, np.int16)
    options = {"conv.stride": 3, "conv.output_padding": 2}
    run = cp.run(input=x, filters=w, bias=np.array([7], np.int16), conv="transpose", archive=False, **options)
    assert run.maps.shape == (1, 1, 7, 7)
    assert {last_line(run, (0, 0, y, x)) for y, x in product(range(5, 7), range(7))} == {"7 (bias) = 7, as stored"}
    assert last_line(run, (0, 0, 4, 4)) == "6 + 7 (bias) = 13, as stored"


GEOMETRIES = [
    {"conv.stride": stride, "conv.dilation": dilation, "conv.groups": groups, "conv.pad": pad, "conv.pad_mode": mode}
    for stride, dilation, groups, pad, mode in [
        (1, 1, 1, 0, "constant"),
        (2, 1, 1, 1, "constant"),
        (2, 2, 2, [[2, 0], [0, 1]], "constant"),
        (1, 2, 2, 2, "reflect"),
        (2, 1, 1, [[1, 2], [0, 1]], "edge"),
        (1, 1, 2, 1, "wrap"),
    ]
]


@pytest.mark.parametrize("options", GEOMETRIES, ids=str)
@pytest.mark.parametrize("operation", ["grad_input", "grad_weights", "grad_bias"])
def test_every_cell_of_a_gradient_is_the_sum_that_is_told(operation: str, options: dict[str, Any]) -> None:
    draw = np.random.default_rng(5)
    x, w = draw.integers(-9, 9, (2, 4, 5, 6)), draw.integers(-9, 9, (2, 4 // options["conv.groups"], 3, 2))
    own = {name.removeprefix("conv."): value for name, value in options.items()}
    grad = draw.integers(-9, 9, reference.conv(x, w, **own).shape)
    arrays = {"input": x, "filters": w, "grad": grad}
    run = cp.run(archive=False, conv=operation, **arrays, **options)
    names = ("grad_input", "grad_weights", "grad_bias")
    expected = np.asarray(reference.conv_grad(x, w, grad, **own)[names.index(operation)])
    for at in [*np.ndindex(expected.shape)][:: max(1, expected.size // 40)]:
        cell = cp.explain(run, at)
        assert isinstance(cell, Story)
        assert cell.sums is not None
        terms = [factor for block in cell.sums.blocks for factor in block.factors]
        by_hand = sum(int(np.prod([each.value for each in pair])) for pair in terms)
        assert by_hand == expected[at] == cell.total
        assert cell.agrees


# Chains of stages of all kinds

CLIPPED = "clip: min(max(-9, 0), 255) = 0, as stored"
SLIDE_ENDS = "-1 + -2 + -6 = -9, as stored"


@pytest.mark.parametrize("keep", KEPT)
@pytest.mark.parametrize(
    ("stages", "lines"),
    [
        (
            "pad,im2col,fil2col,matmul,{clip:{low:0,high:255}},reshape",
            ["", "clip: min(max(-9, 0), 255) = 0, as stored"],
        ),
        ("pad,implicit_gemm,relu", ["", "relu: max(0, -9) = 0, as stored"]),
        (
            "pad,im2col,fil2col,matmul,relu,{scale:{divisor:2}},reshape",
            ["", "relu: max(0, -9) = 0, as stored", "scale: 0 / 2 = 0, as stored"],
        ),
        ("pad,im2col,fil2col,matmul,reshape,{leaky_relu:{slope:2}}", ["", "leaky_relu: 2 * -9 = -18, as stored"]),
        ("pad,im2col,fil2col,matmul,reshape,dropout", []),
    ],
)
def test_stages_after_the_sum_have_a_line_each(stages: str, lines: list[str], keep: str, tmp_path: Path) -> None:
    run = a_run(tmp_path, f"lowering.stages=[{stages}]", f"keep={keep}")
    said = explain(run, "--at=0,0,0,0").splitlines()
    whole = [line for line in said if not line.startswith(("relu:", "clip:", "scale:", "leaky_relu:"))]
    assert said[said.index(SLIDE_ENDS) + 1 :] == lines
    assert whole[0] == "cell n=0, f=0, out_h=0, out_w=0 (int16)"
    assert sum(line.startswith("  sum: ") for line in said) == 3


def test_a_bias_after_another_stage_has_a_line_of_its_own(tmp_path: Path) -> None:
    words = ("bias.values=[5]", "bias=values")
    run = a_run(tmp_path, "lowering.stages=[pad,im2col,fil2col,matmul,relu,add_bias,reshape]", *words)
    assert explain(run, "--at=0,0,0,0").splitlines()[-3:] == [
        "",
        "relu: max(0, -9) = 0, as stored",
        "add_bias: 0 + 5 = 5, as stored",
    ]


@pytest.mark.parametrize("first", ["pad,{clip:{low:1}},im2col", "pad,im2col,{clip:{low:1}}"])
def test_pixels_are_those_that_the_filters_met(first: str, tmp_path: Path) -> None:
    run = a_run(tmp_path, f"lowering.stages=[{first},fil2col,matmul,reshape]")
    said = explain(run, "--at=0,0,0,0")
    assert said.startswith("cell n=0, f=0, out_h=0, out_w=0 (int16); pixels as clip makes them\n")
    assert "\n  1 1 2 |  0  1 -1 |  0 +  1 + -2 +\n" in said
    assert re.search(r"\n-1 \+ 0 \+ -4 = -5, as stored\n", said)


@pytest.mark.parametrize(
    ("stages", "at", "lines"),
    [
        ("pad", "0,0,1,1", ["input[0,0,0,0] = 1, as stored"]),
        ("pad", "0,0,0,1", ["(0) = 0, as stored"]),
        ("pad,im2col", "0,4", ["pad: input[0,0,0,0] = 1, as stored", "im2col: padded[0,0,1,1] = 1, as stored"]),
        ("pad,im2col", "0,0", ["pad: (0) = 0, as stored", "im2col: padded[0,0,0,0] = 0, as stored"]),
        ("pad,im2col,relu", "0,4", ["max(0, 1) = 1, as stored"]),
        ("pad,im2col,fil2col,matmul", "5,0", [SLIDE_ENDS]),
        ("pad,im2col,fil2col,matmul,reshape,transpose,{max_pool:{kernel:2}}", "0,0,0,0", ["max("]),
    ],
)
def test_a_chain_that_ends_elsewhere_is_explained_by_its_own_indices(
    stages: str, at: str, lines: list[str], tmp_path: Path
) -> None:
    said = explain(a_run(tmp_path, f"lowering.stages=[{stages}]", "conv.pad=1"), f"--at={at}").splitlines()
    assert all(line.startswith(start) for line, start in zip(said[-len(lines) :], lines, strict=True))
    assert said[-1].endswith(", as stored")


def test_an_adjoint_with_other_stages_is_told_stage_by_stage(tmp_path: Path) -> None:
    arrays = {"input": np.ones((1, 1, 2, 2), np.int16), "filters": np.full((1, 1, 2, 2), -3, np.int16)}
    stages = ["rows", "fil2row", "matmul_rows", "col2im", "crop", "relu"]
    after = cp.run(archive=False, conv="transpose", **arrays, **{"lowering.stages": stages})
    said = str(cp.explain(after, (0, 0, 1, 1))).splitlines()
    assert said[-2:] == ["crop: -12 = -12, as stored", "relu: max(0, -12) = 0, as stored"]
    stages = ["rows", "fil2row", "matmul_rows", "col2im", "relu", "crop"]
    between = cp.run(archive=False, conv="transpose", **arrays, **{"lowering.stages": stages})
    said = str(cp.explain(between, (0, 0, 1, 1))).splitlines()
    assert said[-2:] == ["col2im: -3 + -3 + -3 + -3 = -12, as stored", "relu: max(0, -12) = 0, as stored"]


# Whole maps


def test_a_map_is_walked_row_by_row(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    cells = [explain(run, f"--at=0,0,{y},{x}") for y, x in product(range(2), range(2))]
    assert explain(run, "--all") == "\n".join(cells)
    assert explain(run, "--all", "--at=0,0") == "\n".join(cells)


def test_the_map_of_a_layer_is_walked(tmp_path: Path) -> None:
    run = a_run(tmp_path, "experiment=tiny", "record=2")
    cells = list(cp.explain_map(run, (1, 3), "relu2"))
    assert [cell.indices for cell in cells] == [(1, 3, y, x) for y, x in product(range(8), range(8))]
    assert [cell.stored for cell in cells] == load(run).array("relu2")[1, 3].ravel().tolist()
    rows = [cell.indices for cell in cp.explain_map(run, layer="dense")]
    assert rows == [(0, unit) for unit in range(10)]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((), "explain: the following arguments are required: --at N,F,Y,X, or --all, or --address A"),
        (("--all", "--at=0,0,0,0"), "--at: got 0,0,0,0, expected 2 whole numbers beside --all, the map: n,f"),
        (("--all", "--at=0"), "--at: got 0, expected 2 whole numbers beside --all, the map: n,f"),
        (("--all", "--at=0,1"), "--at: got 0,1, expected f from 0 to 0"),
        (("--all", "--at=1,0"), "--at: got 1,0, expected n from 0 to 0"),
        (("--all", "--layer=a"), "--layer: got a, expected no layer, as the run is a single convolution"),
        (("--all=3", "--at=0,0"), "explain: --all: ignored explicit argument '3'"),
    ],
)
def test_a_map_that_cannot_be_walked(words: tuple[str, ...], line: str, tmp_path: Path) -> None:
    assert refusal(a_run(tmp_path), *words) == line


def test_a_map_that_is_not_on_record(tmp_path: Path) -> None:
    run = a_run(tmp_path, "experiment=tiny")
    line = refusal(run, "--all", "--at=3,0", "--layer=relu1")
    assert line == "--at: got 3,0, expected n from 0 to 0 (record=4 puts image 3 on record)"
    advice = re.search(r"record=\d+", line)
    assert advice
    other = a_run(tmp_path / "other", "experiment=tiny", advice[0])
    assert explain(other, "--at=3,0,0,0", "--layer=relu1").endswith(", as stored\n")


def test_a_closed_pipe_ends_quietly(tmp_path: Path) -> None:
    run = a_run(tmp_path, "input=integers", "filters=integers", "input.shape=[1,3,40,40]")
    command = f"{sys.executable} -m convpipe explain {run} --all | head -n 1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("cell n=0, f=0, out_h=0, out_w=0 (int16)\n", "")


# Archives that say otherwise


def a_layer(folder: Path, layer: dict[str, Any], dtype: str) -> Path:
    """An archived network of one layer, on an image that is drawn."""
    source = {
        "source": "random",
        "shape": [1, 2, 4, 4],
        "dtype": dtype,
        "low": 1,
        "high": 90 if dtype == "int16" else 2,
    }
    (folder / "net.yaml").write_text(json.dumps({"input": source, "network": {"it": layer}}))
    answer = convpipe(str(folder / "net.yaml"), f"root={folder / 'runs'}")
    assert answer.code == 0, answer.err
    return only_run(folder / "runs")


def test_a_layer_that_was_changed_is_found(tmp_path: Path) -> None:
    run = a_layer(tmp_path, {"op": "max_pool", "kernel": 2}, "int16")
    set_output(run, lambda values: values.__setitem__((0, 1, 0, 1), 77))
    answer = convpipe("explain", str(run), "--at=0,1,0,1", "--layer=it")
    assert answer.code == 3
    assert re.search(r"\nmax\(.*\) = \d+, but 77 is stored\n\Z", answer.out)
    assert re.fullmatch(r"convpipe: .*: at 0,1,0,1: got 77 stored, expected \d+\n", answer.err)
    assert convpipe("explain", str(run), "--at=0,0,0,1", "--layer=it").code == 0
    set_output(run, lambda values: values.__setitem__((0, 1, 1, 1), 78))
    walked = convpipe("explain", str(run), "--all", "--at=0,1", "--layer=it")
    assert (walked.code, walked.out.count("cell n=0")) == (3, 4)
    assert ": at 0,1,0,1: got 77 stored, expected " in walked.err


@pytest.mark.parametrize("last", ["reshape", "reshape,relu", "reshape,{clip:{high:100}}"])
def test_a_changed_result_of_a_chain_is_found(last: str, tmp_path: Path) -> None:
    run = a_run(tmp_path, f"lowering.stages=[pad,im2col,fil2col,matmul,{{clip:{{low:-5}}}},{last}]", "keep=stages")
    set_output(run, lambda values: values.__setitem__((0, 0, 0, 0), 9))
    answer = convpipe("explain", str(run), "--at=0,0,0,0")
    assert (answer.code, answer.out.endswith(", but 9 is stored\n")) == (3, True)


@pytest.mark.parametrize("operation", ["conv_transpose", "grad_input", "grad_weights", "grad_bias"])
@pytest.mark.parametrize("change", [1e-3, np.inf, np.nan])
def test_a_changed_sum_of_floats_is_found(operation: str, change: float, tmp_path: Path) -> None:
    experiment = {"conv_transpose": "transpose"}.get(operation, operation)
    floats = ("input=random", "filters=random", "bias=random" if operation == "conv_transpose" else "grad=random")
    run = a_run(tmp_path, f"experiment={experiment}", *floats, "input.dtype=float32", "filters.dtype=float32")
    at = "0" if operation == "grad_bias" else "0,0,0,0"
    assert re.search(r", as stored(, within the rounding of float32)?\n\Z", explain(run, f"--at={at}"))
    set_output(run, lambda values: values.__setitem__((0,) * values.ndim, values[(0,) * values.ndim] + change))
    assert re.search(r" stored, expected ", refusal(run, f"--at={at}", code=3))


@pytest.mark.parametrize("op", ["sigmoid", "softmax", "avg_pool", "gelu", "scale", "local_response_norm"])
def test_a_changed_float_is_beyond_the_bound_of_its_operation(op: str, tmp_path: Path) -> None:
    run = a_layer(tmp_path, {"op": op, **({"kernel": 2} if op == "avg_pool" else {})}, "float32")
    for step, code in ((1, 0), (200, 3)):
        changed = load(run).output[0, 0, 0, 0]
        for _ in range(step):
            changed = np.nextafter(changed, np.float32(9))
        set_output(run, lambda values, changed=changed: values.__setitem__((0, 0, 0, 0), changed))
        answer = convpipe("explain", str(run), "--at=0,0,0,0", "--layer=it")
        assert answer.code == (code if (op, step) != ("avg_pool", 1) else answer.code), answer


# Sums that do not fit, and operations of others


@pytest.mark.parametrize(
    ("rule", "end"),
    [
        ("saturate", "100 + 100 = 200, stored as 127, as overflow=saturate has it"),
        ("wrap", "100 + 100 = 200, stored as -56, as overflow=wrap has it"),
    ],
)
def test_a_layer_with_a_rule_for_overflow(rule: str, end: str, tmp_path: Path) -> None:
    layers = {"it": {"op": "add", "inputs": ["input", "input"], "overflow": rule}}
    run = a_network(tmp_path, layers, [[[[100]]]], "int8")
    assert last_line(run, (0, 0, 0, 0), "it") == end


@pytest.mark.parametrize(("rule", "stored"), [("saturate", "65504"), ("inf", "inf")])
def test_a_float_layer_with_a_rule_for_overflow(rule: str, stored: str, tmp_path: Path) -> None:
    layers = {"it": {"op": "add", "inputs": ["input", "input"], "overflow": rule}}
    run = a_network(tmp_path, layers, [[[[60000]]]], "float16")
    end = f"60000 + 60000 = 120000, stored as {stored}, as overflow={rule} has it"
    assert last_line(run, (0, 0, 0, 0), "it") == end


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("op", ["relu", "sigmoid", "softmax", "max_pool", "avg_pool", "batch_norm", "gelu", "tanh"])
def test_what_is_no_number_is_explained(op: str, value: float, tmp_path: Path) -> None:
    image = np.array(TWO, np.float32)
    image[0, 0, 0, 0] = value
    run = a_network(tmp_path, {"bn": {"op": op, **({"kernel": 2} if "pool" in op else {})}}, image, "float32")
    assert re.search(r" = \S+, as stored(, within the rounding of float32)?$", last_line(run, (0, 0, 0, 0), "bn"))


class Cube(Operation):
    """x to the third, of which nobody has said how its cells come about."""

    def run(self, x: Any) -> Any:
        return x**3


def test_an_operation_that_does_not_say_how_its_cells_come_about(tmp_path: Path) -> None:
    run = a_network(tmp_path, {"it": {"op": "relu"}}, TWO)
    subject = subject_of(run, "it")
    other = replace(subject, steps=(replace(subject.steps[0], op="cube", operation=Cube()),))
    with pytest.raises(
        ConfigError, match=r"^explain: got cube, expected an operation that says how its cells come about"
    ):
        other.form(other.steps[0])
