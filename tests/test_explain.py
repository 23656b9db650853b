"""How one output cell came about: printed as the lecture's slide does, and never other than what is stored."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from cli_runs import convpipe
from explain_cases import a_run, explain, refusal
from hypothesis import given, settings, strategies as st
from run_cases import reseal, set_output

import convpipe as cp
from convpipe import reference
from convpipe.archive.format import stage_row
from convpipe.archive.read import load
from convpipe.errors import ConfigError
from convpipe.files.npy import array_sha256
from convpipe.geometry.convolution import solve
from convpipe.report.cell import Cell, Channel, cell_of
from convpipe.report.explain import explained

SLIDE = """\
cell n=0, f=0, out_h=0, out_w=0 (int16)

channel 0: pixels | weights | pixels * weights
  1 2 3 |  1 -1  1 |  1 + -2 +  3 +
  0 1 2 |  0  1 -1 |  0 +  1 + -2 +
  3 0 1 | -1  0  1 | -3 +  0 +  1
  sum: -1

channel 1: pixels | weights | pixels * weights
  1 3 2 | -1  1  0 | -1 +  3 +  0 +
  0 1 3 |  1 -1  0 |  0 + -1 +  0 +
  2 0 3 |  0  1 -1 |  0 +  0 + -3
  sum: -2

channel 2: pixels | weights | pixels * weights
  2 3 1 |  0 -1  1 |  0 + -3 +  1 +
  0 2 3 |  1  0 -1 |  0 +  0 + -3 +
  1 0 2 | -1  1  0 | -1 +  0 +  0
  sum: -6

-1 + -2 + -6 = -9, as stored
"""


def test_the_lectures_slide(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    assert explain(run, "--at", "0,0,0,0") == SLIDE
    assert explain(run, "--at=0,0,1,0").endswith(" = 0, as stored\n")


# Runs of every kind, with where their cells are looked at: corners, and one in the middle.
WHOLE = ("input=integers", "filters=integers")
FLOATS = ("input=random", "filters=random")
KINDS: dict[str, tuple[str, ...]] = {
    "one axis": (*WHOLE, "input.shape=[2,3,9]", "filters.kernel=3", "conv.pad=1", "conv.stride=2"),
    "three axes": (*WHOLE, "input.shape=[1,2,4,5,6]", "filters.kernel=[2,1,3]", "conv.pad=1", "conv.dilation=[1,2,1]"),
    "groups": (*WHOLE, "input.shape=[2,6,5,5]", "filters.count=9", "conv.groups=3", "bias=integers"),
    "depthwise": (*WHOLE, "input.shape=[1,4,5,5]", "filters.count=8", "conv.groups=4", "conv.pad=same"),
    "pad value": (*WHOLE, "conv.pad=[[2,0],[0,1]]", "conv.pad_value=5", "conv.stride=[2,1]"),
    "reflect": (*WHOLE, "conv.pad=2", "conv.pad_mode=reflect"),
    "edge": (*FLOATS, "conv.pad=3", "conv.pad_mode=edge", "bias=random"),
    "wrap": (*FLOATS, "conv.pad=2", "conv.pad_mode=wrap", "input.dtype=float64"),
    "overflow wraps": (*WHOLE, "conv.dtype=int8", "conv.overflow=wrap", "input.high=100"),
    "overflow saturates": (*WHOLE, "conv.dtype=uint8", "conv.overflow=saturate", "input.high=100"),
    "float16": (*FLOATS, "input.dtype=float16", "filters.dtype=float16", "conv.pad=1"),
    "whole numbers as floats": (*WHOLE, "conv.dtype=float32", "conv.pad=1"),
    "implicit": (*FLOATS, "lowering=implicit", "conv.pad=1", "conv.stride=2"),
}


@pytest.mark.parametrize(
    ("kind", "keep"), [*((kind, "output") for kind in KINDS), ("groups", "stages"), ("implicit", "stages")]
)
def test_every_kind_of_convolution(kind: str, keep: str, tmp_path: Path) -> None:
    run = a_run(tmp_path, *KINDS[kind], f"keep={keep}")
    batch, *out, filters = load(run).output.shape
    for part in (0.0, 0.5, 1.0):
        at = [int(part * (size - 1)) for size in (batch, filters, *out)]
        printed = explain(run, "--at", ",".join(map(str, at)))
        assert re.search(r" = \S+, (as stored|stored as)", printed.splitlines()[-1])


@settings(max_examples=60)
@given(
    rank=st.integers(1, 3),
    stride=st.integers(1, 3),
    pad=st.integers(0, 2),
    dilation=st.integers(1, 2),
    groups=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_the_parts_add_up_to_the_oracle(
    rank: int, stride: int, pad: int, dilation: int, groups: int, seed: int
) -> None:
    draw = np.random.default_rng(seed)
    x = draw.integers(-9, 9, (2, 2 * groups, *(6,) * rank))
    w = draw.integers(-9, 9, (groups, 2, *(2,) * rank))
    options = {"stride": stride, "pad": pad, "dilation": dilation, "groups": groups}
    expected = reference.conv(x, w, **options).astype(np.int64)
    sizes = solve(x.shape, w.shape, **options)
    padded = np.pad(x, [(0, 0), (0, 0), *sizes.pads])
    at = tuple(int(draw.integers(size)) for size in expected.shape)
    cell = cell_of(sizes, padded, w, None, np.moveaxis(expected, 1, -1), at)
    assert cell.total == expected[at]
    assert cell.agrees


def test_padding_stands_in_brackets(tmp_path: Path) -> None:
    run = a_run(tmp_path, "conv.pad=1")
    printed = explain(run, "--at", "0,0,0,0")
    assert "padding stands in brackets" in printed.splitlines()[0]
    assert "  (0) (0) (0) |  1 -1  1 |  0 +  0 +  0 +\n" in printed
    assert "  (0)   0   1 | -1  0  1 |  0 +  0 +  1\n" in printed
    assert "(0)" not in explain(run, "--at", "0,0,1,1")


def test_a_bias_and_a_rule_for_overflow_are_named(tmp_path: Path) -> None:
    run = a_run(tmp_path, "bias=integers", "conv.dtype=uint8", "conv.overflow=saturate")
    last = explain(run, "--at", "0,0,0,0").splitlines()[-1]
    assert re.fullmatch(r"-1 \+ -2 \+ -6 \+ -?\d \(bias\) = -\d+, stored as 0, as overflow=saturate has it", last)


def test_many_channels_are_summed_up(tmp_path: Path) -> None:
    run = a_run(tmp_path, *WHOLE, "input.shape=[1,20,3,3]")
    printed = explain(run, "--at", "0,0,0,0")
    assert printed.count("\nchannel ") == 16
    assert "\nand 4 more channels, 16 to 19\n" in printed
    assert re.search(r" \+ -?\d+ \(the other channels\) = -?\d+, as stored\n$", printed)


# Networks


def test_a_layer_of_a_network(tmp_path: Path) -> None:
    run = a_run(tmp_path, "experiment=tiny")
    stored = load(run).array("conv2/reshape")
    printed = explain(run, "--at", "0,3,1,7", "--layer", "conv2")
    assert printed.count("\nchannel ") == 8
    assert f" (bias) = {stored[0, 1, 7, 3]:g}, as stored\n" in printed


def test_a_layer_is_made_again(tmp_path: Path) -> None:
    run = a_run(tmp_path, "experiment=tiny", "keep=output", "record=2")
    assert explain(run, "--at=1,3,1,7", "--layer=conv2").endswith(", as stored\n")
    line = refusal(run, "--at=2,3,1,7", "--layer=conv2")
    assert line == "--at: got 2,3,1,7, expected n from 0 to 1 (record=3 puts image 2 on record)"
    assert refusal(run, "--at=4,3,1,7", "--layer=conv2") == "--at: got 4,3,1,7, expected n from 0 to 1"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], r"--layer: got nothing, expected a layer: one of conv1, relu1, conv2, add, relu2, "),
        (["--layer=conv3"], r"--layer: got conv3, expected a layer: one of conv1, .* \(did you mean conv\d\?\)"),
        (["--layer=relu3"], r"--layer: got relu3, expected a layer: one of conv1, .* \(did you mean relu\d\?\)"),
        (["--layer=input"], r"--layer: got input, expected a layer: one of conv1, "),
    ],
)
def test_a_layer_that_is_not_there(words: list[str], line: str, tmp_path: Path) -> None:
    assert re.match(line, refusal(a_run(tmp_path, "experiment=tiny"), "--at=0,0,0,0", *words))


def test_the_one_convolution_of_a_network_need_not_be_named(tmp_path: Path) -> None:
    layers = [f"~network.{name}" for name in ("conv2", "add", "relu2")]
    run = a_run(tmp_path, "network=tiny", "input=integers", *layers)
    printed = explain(run, "--at=0,0,0,0")
    assert printed == explain(run, "--at=0,0,0,0", "--layer=conv1")
    assert str(cp.explain(run, at=(0, 0, 0, 0))) + "\n" == printed


def test_of_a_network_without_a_convolution_a_layer_is_named(tmp_path: Path) -> None:
    layers = [f"~network.{name}" for name in ("conv2", "add", "relu2")]
    run = a_run(tmp_path, "network=tiny", "input=integers", *layers, "network.conv1.op=conv_transpose")
    assert refusal(run, "--at=0,0,0,0").startswith("--layer: got nothing, expected a layer: one of conv1, relu1, ")
    assert re.search(
        r", as stored(, within the rounding of float32)?\n$", explain(run, "--at=0,0,0,0", "--layer=conv1")
    )


# Refusals


BAD = [
    ("--at 0,0,0", r"--at: got 0,0,0, expected 4 whole numbers: n,f,out_h,out_w"),
    ("--at 0,0,0,0,0", r"--at: got 0,0,0,0,0, expected 4 whole numbers"),
    ("--at 1,0,0,0", r"--at: got 1,0,0,0, expected n from 0 to 0"),
    ("--at 0,0,0,2", r"--at: got 0,0,0,2, expected out_w from 0 to 1"),
    ("--at=-1,0,0,0", r"--at: got -1,0,0,0, expected n from 0 to 0"),
    ("--at -1,0,0,0", r"--at: got -1,0,0,0, expected n from 0 to 0"),
    ("--at 0,a", r"--at: got 0,a, expected whole numbers with commas between them: n,f,y,x"),
    ("--at=", r"--at: got nothing, expected whole numbers"),
    ("--at 0,0,0,0 --layer x", r"--layer: got x, expected no layer, as the run is a single convolution"),
    ("", r"explain: the following arguments are required: --at"),
    ("--at 0,0,0,0 --deep", r"explain: unrecognized arguments: --deep"),
    ("--layer conv1 more --at 0,0,0,0", r"explain: got 2 arguments, expected one path"),
]


@pytest.mark.parametrize(("words", "line"), BAD, ids=[words for words, _ in BAD])
def test_what_cannot_be_explained(words: str, line: str, tmp_path: Path) -> None:
    assert re.match(line, refusal(a_run(tmp_path), *words.split()))


def test_no_run(tmp_path: Path) -> None:
    assert re.match(r"explain: got .*nope, expected a folder", refusal(tmp_path / "nope", "--at=0,0,0,0"))
    assert re.match(r"explain: got .*, expected a run", refusal(tmp_path, "--at=0,0,0,0"))


def test_no_cell_at_all(tmp_path: Path) -> None:
    line = refusal(a_run(tmp_path, *WHOLE, "input.shape=[0,3,5,5]"), "--at=0,0,0,0")
    assert line == "--at: got 0,0,0,0, expected no cell at all, as the feature map is empty along n"


# Archives that say otherwise


def test_a_changed_output_is_found_by_its_hash(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    content = bytearray((run / "output.npy").read_bytes())
    content[-1] ^= 1
    (run / "output.npy").write_bytes(content)
    assert re.search(r"output\.npy: got sha256 ", refusal(run, "--at=0,0,0,0", code=3))


def test_a_changed_output_is_found_by_the_sum_though_all_hashes_agree(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    set_output(run, lambda values: values.__setitem__((0, 0, 0, 0), 7))
    answer = convpipe("explain", str(run), "--at=0,0,0,0")
    assert answer.code == 3
    assert answer.out.endswith("-1 + -2 + -6 = -9, but 7 is stored\n")
    assert re.match(r"convpipe: .*: at 0,0,0,0: got 7 stored, expected -9\n\Z", answer.err)
    assert convpipe("explain", str(run), "--at=0,0,1,1").code == 0


@pytest.mark.parametrize("change", [1e-3, np.inf, np.nan])
def test_floats_beyond_their_bound_are_found(change: float, tmp_path: Path) -> None:
    run = a_run(tmp_path, *FLOATS)
    set_output(run, lambda values: values.__setitem__((0, 0, 0, 0), values[0, 0, 0, 0] + change))
    assert re.search(r" stored, expected ", refusal(run, "--at=0,0,0,0", code=3))


def test_an_input_that_is_not_the_one_of_then(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((1, 3, 4, 4), np.int16))
    run = a_run(tmp_path / "runs", "input=npy", f"input.path={tmp_path}/x.npy")
    assert explain(run, "--at=0,0,0,0").endswith("as stored\n")
    np.save(tmp_path / "x.npy", np.zeros((1, 3, 4, 4), np.int16))
    line = refusal(run, "--at=0,0,0,0", code=3)
    there = rf"{tmp_path}/x\.npy"
    assert re.search(rf"input: got no file, expected {there} with sha256 .* \({there}: got another content", line)


def test_stages_that_the_config_does_not_make(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    text = (run / "stages.csv").read_text()
    (run / "stages.csv").write_text(text.replace("pad,pad,", "pod,pad,"))
    reseal(run)
    assert re.search(
        r"stage 'pod' differs: stage was pod, is now pad \(as config.yaml plans it; nothing was computed",
        refusal(run, "--at=0,0,0,0", code=3),
    )


def test_an_array_of_another_shape_than_the_config_makes(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    np.save(run / "output.npy", np.zeros((1, 1, 4, 1), np.int16))
    made = stage_row("", "", np.zeros((1, 1, 4, 1), np.int16), 0, "", "")
    text = (run / "stages.csv").read_text()
    old = load(run).rows[-1]
    values = array_sha256(np.zeros((1, 1, 4, 1), np.int16))
    (run / "stages.csv").write_text(
        text.replace(old["sha256"], values).replace(f'"{old["shape"]}"', f'"{made["shape"]}"')
    )
    reseal(run)
    line = refusal(run, "--at=0,0,0,0", code=3)
    assert re.search(r"stage 'reshape' differs: shape was \(1,1,4,1\), is now \(1,2,2,1\)", line)


# The cell itself


def a_cell(pixels: list[float], stored: float, dtype: str = "float32", overflow: str = "error") -> Cell:
    values = np.array(pixels, dtype)
    channel = Channel(0, values, np.ones_like(values), np.zeros(values.shape, bool))
    return Cell((0, 0, 0), (channel,), None, stored, np.dtype(dtype), overflow)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pixels", "stored", "agrees"),
    [
        ([0.5, 0.25], 0.75, True),
        ([0.5, 0.25], 0.7500002, True),
        ([0.5, 0.25], 0.76, False),
        ([0.5, 0.25], np.inf, False),
        ([np.inf, 1.0], np.inf, True),
        ([np.inf, 1.0], -np.inf, False),
        ([np.inf, -np.inf], np.nan, True),
        ([np.nan, 1.0], 1.0, False),
        ([3e38, 3e38], np.inf, False),
    ],
)
def test_floats_agree_within_their_bound(pixels: list[float], stored: float, agrees: bool) -> None:
    assert a_cell(pixels, stored).agrees is agrees


@pytest.mark.parametrize(
    ("dtype", "pixels", "overflow", "words"),
    [
        ("float16", [65504, 10], "error", "65514 = 65514, as stored, within the rounding of float16"),
        ("float16", [65504, 10], "inf", "65514 = 65514, as stored, within the rounding of float16"),
        ("float16", [65504, 16], "inf", "65520 = 65520, stored as inf, as overflow=inf has it"),
        ("float16", [65504, 16], "saturate", "65520 = 65520, stored as 65504, as overflow=saturate has it"),
        ("float16", [-65504, -17], "inf", "-65521 = -65521, stored as -inf, as overflow=inf has it"),
        ("float64", [1.5e308, 1.5e308, -1.5e308], "error", "1.5e+308 = 1.5e+308, as stored"),
        ("float64", [1.5e308, 1.5e308, -1.5e308], "saturate", "1.5e+308 = 1.5e+308, as stored"),
        (
            "float64",
            [1.5e308] * 3 + [-1.5e308] * 2,
            "inf",
            "1.5e+308 = 1.5e+308, stored as ..., as overflow=inf has it",
        ),
        ("float64", [-1.5e308] * 2, "saturate", "-inf = -inf, stored as -1.79769e+308, as overflow=saturate has it"),
    ],
)
def test_sums_at_the_edge_of_their_dtype_are_explained(
    dtype: str, pixels: list[float], overflow: str, words: str
) -> None:
    ones = np.ones((1, len(pixels)), dtype)
    run = cp.run(input=np.array([pixels], dtype), filters=ones, archive=False, **{"conv.overflow": overflow})
    last = str(cp.explain(run, (0, 0, 0, 0))).splitlines()[-1]
    assert re.sub(r"stored as (nan|-?inf), as", "stored as ..., as", last) == words or last == words


@pytest.mark.parametrize("overflow", ["error", "inf", "saturate"])
def test_an_overflow_beside_an_infinity_is_explained(overflow: str, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([[3e38, 3e38, -np.inf]], np.float32))
    np.save(tmp_path / "w.npy", np.array([[3e38, 3e38, 1]], np.float32))
    files = (f"input.path={tmp_path}/x.npy", f"filters.path={tmp_path}/w.npy")
    run = a_run(tmp_path / "runs", "input=npy", "filters=npy", *files, f"conv.overflow={overflow}")
    last = explain(run, "--at", "0,0,0,0").splitlines()[-1]  # IEEE's sum in float32 is NaN or -inf, by its order
    assert re.fullmatch(r"-inf = -inf, (as stored|stored as nan, as float32 adds them up|.* overflow=inf has it)", last)


def test_products_that_cancel_beyond_float64_are_explained() -> None:
    x, w = np.array([[1e200, 1e200]]), np.array([[1e200, -1e200]])
    run = cp.run(input=x, filters=w, archive=False, **{"conv.overflow": "inf"})
    last = str(cp.explain(run, (0, 0, 0, 0))).splitlines()[-1]
    assert re.fullmatch(r"0 = 0, stored as (nan|-?inf), as overflow=inf has it", last)


@pytest.mark.parametrize(("rule", "stored"), [("wrap", -56), ("saturate", 127)])
def test_a_stage_with_a_rule_of_its_own_is_explained(rule: str, stored: int, tmp_path: Path) -> None:
    chain = f"lowering.stages=[pad,im2col,fil2col,{{matmul:{{overflow:{rule}}}}},reshape]"
    run = a_run(tmp_path, chain, "conv.dtype=int8", "input.values=[[100,100]]", "filters.values=[[1,1]]")
    assert explain(run, "--at", "0,0,0,0").endswith(f"200 = 200, stored as {stored}, as overflow={rule} has it\n")


def test_a_stage_that_lets_infinity_through_is_explained(tmp_path: Path) -> None:
    chain = "lowering.stages=[pad,im2col,fil2col,{matmul:{overflow:inf}},reshape]"
    run = a_run(tmp_path, chain, "conv.dtype=float16", "input.values=[[300]]", "filters.values=[[300]]")
    assert explain(run, "--at", "0,0,0,0").endswith("90000 = 90000, stored as inf, as overflow=inf has it\n")


@pytest.mark.parametrize(("bias", "stored"), [(-100, 27), (100, 127)])
def test_a_bias_after_a_product_that_saturated_is_explained(bias: int, stored: int, tmp_path: Path) -> None:
    words = ("input.values=[[100,100]]", "filters.values=[[1,1]]", f"bias.values=[{bias}]", "bias=values")
    chain = "lowering.stages=[pad,im2col,fil2col,matmul,add_bias,reshape]"
    run = a_run(tmp_path, chain, "conv.dtype=int8", "conv.overflow=saturate", *words)
    end = f"200 + {bias} (bias) = {200 + bias}, stored as {stored}, as overflow=saturate has it\n"
    assert explain(run, "--at", "0,0,0,0").endswith(end)


@pytest.mark.parametrize(
    ("overflow", "stored", "agrees"),
    [("error", 300, True), ("error", 44, False), ("wrap", 44, True), ("saturate", 127, True), ("saturate", 44, False)],
)
def test_integers_agree_after_their_rule(overflow: str, stored: int, agrees: bool) -> None:
    pixels = np.array([100, 100, 100], np.int8)
    channel = Channel(0, pixels, np.ones_like(pixels), np.zeros(3, bool))
    cell = Cell((0, 0, 0), (channel,), None, stored, np.dtype("int8"), overflow)  # type: ignore[arg-type]
    assert cell.agrees is agrees


def test_the_function_behind_it(tmp_path: Path) -> None:
    run = load(a_run(tmp_path))
    cell = explained(run, (0, 0, 0, 0))
    assert [channel.total for channel in cell.channels] == [-1, -2, -6]
    with pytest.raises(ConfigError, match=r"--at: got 0,0,5,0, expected out_h from 0 to 1"):
        explained(run, (0, 0, 5, 0))
