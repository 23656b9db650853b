"""Cells of quantised convolutions explained: every number on the way is one of the archive, or follows from it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runs import convpipe
from explain_cases import a_run, explain, refusal
from quantised_forms import ACCUMULATORS

import convpipe as cp
from convpipe.archive.read import Run
from convpipe.errors import ConfigError
from convpipe.report.cell import Cell
from convpipe.report.entry import Entry
from convpipe.report.story import Story
from convpipe.tensors import Array

PIXELS = ("input=integers", "input.shape=[2,2,4,3]", "input.dtype=int8", "input.low=-128", "input.high=127")
WEIGHTS = ("filters=integers", "filters.count=4", "filters.kernel=2", "filters.dtype=int8", "bias=integers")
PLAIN = (*PIXELS, *WEIGHTS, "bias.dtype=int32", "conv.pad=1", "keep=stages", "quant.input.zero_point=-3")
NUMBERS = ("quant.multiplier=[1073741824,1500000000,2147483647,1073741825]", "quant.shift=[-1,-3,-6,0]")
SCALES = ("quant.input.scale=0.1", "quant.filters.scale=[0.01,0.02,0.3,0.04]", "quant.output.scale=0.7")
OUTPUT = ("quant.output.zero_point=5", "quant.activation=relu")
RULES: dict[str, tuple[str, ...]] = {
    "tflite": NUMBERS,
    "tflite_ruy": NUMBERS,
    "tflite_single": SCALES,
    "tosa": NUMBERS,
    "tosa_single": NUMBERS,
    "xnnpack": SCALES,
    "onnxruntime": SCALES,
    "onnx": SCALES,
    "fbgemm": SCALES,
    "qnnpack": SCALES,
    "onednn": SCALES,
    "shift": ("quant.shift=[3,0,7,5]", "quant.mode=half_even"),
    "thresholds": ("quant.thresholds=[[-90,0,900],[5,6,7],[-1,0,1],[0,0,0]]", "quant.offset=-3", "quant.step=2"),
}
STAGES = ("pad", "im2col", "center", "fil2col", "matmul", "add_bias", "requantize", "clamp", "reshape")


def quantised(*words: str) -> Run:
    return cp.run(*PLAIN, *words, archive=False)


def some(array: Array, count: int) -> list[tuple[int, ...]]:
    """The first and the last cell of an array, and some between them."""
    draw = np.random.default_rng(array.size)
    flat = [0, array.size - 1, *draw.integers(0, array.size, count).tolist()]
    return [tuple(map(int, np.unravel_index(place, array.shape))) for place in flat]


def cells(run: Run) -> list[Any]:
    """Every cell of the run's output explained."""
    maps = [(n, f) for n in range(2) for f in range(4)]
    return [cell for at in maps for cell in cp.explain_map(run, at=at)]


@pytest.mark.parametrize("name", RULES)
def test_every_cell_of_every_rule_is_as_stored(name: str) -> None:
    run = quantised(f"quant={name}", *RULES[name], *OUTPUT)
    found = cells(run)
    assert len(found) == run.output.size
    for cell in found:
        n, f, y, x = cell.indices
        assert cell.agrees, str(cell)
        assert cell.stored == run.output[n, y, x, f]
        assert cell.cell.stored == run["add_bias"].reshape(2, 5, 4, 4)[n, y, x, f]


@pytest.mark.parametrize("accumulator", ACCUMULATORS, ids=str)
def test_sums_in_every_accumulator_are_as_stored(accumulator: Mapping[str, Any]) -> None:
    settings = {f"quant.accumulator.{key}": value for key, value in accumulator.items()}
    low = ("input.low=-20", "input.high=20", "filters.low=-9", "filters.high=9")
    for more in ((), ("conv.groups=2", "filters.count=4"), ("quant.filters.zero_point=[1,0,2,3]",)):
        run = cp.run(*PLAIN, "quant=tflite", *low, *NUMBERS, *more, archive=False, **settings)
        assert all(cell.agrees for cell in cells(run))
        for name in ("matmul", "add_bias"):
            assert all(cp.explain(run, at, stage=name).agrees for at in some(run[name], 6))


def test_a_damaged_stage_is_noticed() -> None:
    """What explain says is worked out from what a stage has read, and held against what it has made."""
    run = quantised("quant=tflite", *NUMBERS)
    held = dict(run.held or {})
    for name in ("add_bias", "requantize", "clamp"):
        wrong = run[name].copy()
        wrong[0, 0] ^= 1
        story = cp.explain(replace(run, held={**held, name: wrong}), at=(0, 0, 0, 0))
        assert not story.agrees, name


def test_the_story_of_a_cell() -> None:
    x = ("input=lecture", "input.values=[[[[10,-3],[5,7]]]]", "input.dtype=int8", "quant.input.zero_point=-3")
    w = ("filters=lecture", "filters.values=[[[[2,1],[-1,3]]]]", "filters.dtype=int8", "quant.filters.zero_point=1")
    numbers = ("quant=tflite", "quant.multiplier=1073741824", "quant.shift=-1", "quant.output.zero_point=4")
    run = cp.run(
        *x,
        *w,
        "bias=lecture",
        "bias.values=[4]",
        "bias.dtype=int32",
        *numbers,
        "quant.activation=[-128,9]",
        archive=False,
    )
    assert (
        str(cp.explain(run, at=(0, 0, 0, 0)))
        == """\
cell n=0, f=0, out_h=0, out_w=0 (int32)

channel 0: pixels | weights | (pixels + 3) * (weights - 1)
  10 -3 |  2  1 |  13 +   0 +
   5  7 | -1  3 | -16 +  20
  sum: 17

raw products: 33 - (-3) * 5 (weights) - 1 * 19 (pixels) + 4 * (-3) * 1 = 17

17 + 4 (bias) = 21, as stored

requantize, exact: 21 * 1073741824 / (1 << 32) = 5.25
requantize, doubling high product: (21 * 1073741824 + (1 << 30)) >> 31 = 11
requantize, second rounding: (11 + (1 << 0)) >> 1 = 6
requantize, zero point: 6 + 4 = 10
requantize: min(max(10, -128), 127) = 10, as stored
clamp: min(max(10, -128), 9) = 9, as stored"""
    )


# Stages


@pytest.mark.parametrize(
    "words", [(), ("conv.stride=2", "conv.dilation=2", "conv.groups=2"), ("conv.pad_mode=edge",)], ids=str
)
def test_cells_of_every_stage_are_told_at_its_own_indices(words: tuple[str, ...]) -> None:
    run = quantised("quant=tflite", *NUMBERS, *OUTPUT, *words)
    for name in STAGES:
        array = run[name]
        for at in some(array, 8):
            story = cp.explain(run, at, stage=name)
            assert story.agrees, str(story)
            assert story.stored == array[at]


def test_a_column_entry_is_the_pixel_or_the_padding_that_it_says() -> None:
    run = quantised("quant=tflite", *NUMBERS, "conv.stride=[2,1]")
    x, columns = run["input"], run["im2col"]
    padding = 0
    there = some(columns, 60)
    for row, column in there:
        told = str(cp.explain(run, (row, column), stage="im2col")).splitlines()[-1]
        if found := re.fullmatch(r"it is input at n=(\d), c=(\d), h=(\d), w=(\d)", told):
            assert columns[row, column] == x[tuple(map(int, found.groups()))]
        else:
            found = re.fullmatch(r"it is padding: input has nothing at n=(\d), c=(\d), h=(-?\d), w=(-?\d)", told)
            assert found
            _, _, h, w = map(int, found.groups())
            assert not (0 <= h < 4 and 0 <= w < 3)
            padding += 1
    outside = cp.im2col(np.ones_like(x), 2, 2, stride=(2, 1), pad=1) == 0
    assert padding == sum(bool(outside[at]) for at in there)


def test_the_indices_of_a_column_entry_are_told() -> None:
    run = quantised("quant=tflite", *NUMBERS)
    story = cp.explain(run, (26, 5), stage="im2col")
    assert story.notes[0] == "n*out_h*out_w=26 is n=1, out_h=1, out_w=2; c*kh*kw=5 is c=1, kh=0, kw=1"


def test_padding_that_repeats_a_pixel_is_said_to() -> None:
    run = cp.run("experiment=lecture_3d", "conv.pad=1", "conv.pad_mode=edge", archive=False)
    assert cp.explain(run, (0, 0, 0, 0), stage="pad").notes == (
        "it is input at n=0, c=0, h=0, w=0, which padding repeats",
    )


def test_given_tensors_and_results_are_stages_too(tmp_path: Path) -> None:
    run = a_run(tmp_path, *PLAIN, "quant=tflite", *NUMBERS)
    x = cp.load(run)["input"]
    assert explain(run, "--stage", "input", "--at", "1,1,2,0") == f"input n=1, c=1, h=2, w=0 (int8): {x[1, 1, 2, 0]}\n"
    assert explain(run, "--stage", "output", "--at", "0,1,2,3").startswith("cell n=0, out_h=1, out_w=2, f=3 (int8): ")
    assert explain(run, "--stage", "padded", "--at", "0,0,0,0").endswith(
        "it is padding: input has nothing at n=0, c=0, h=-1, w=-1\n"
    )
    assert explain(run, "--stage", "multiplier", "--at", "1") == "multiplier f=1 (int32): 1500000000\n"


# Addresses

LAYOUTS = {
    ("input", "NCHW"): (0, 1, 2, 3),
    ("input", "NHWC"): (0, 2, 3, 1),
    ("reshape", "NHWC"): (0, 1, 2, 3),
    ("reshape", "NCHW"): (0, 3, 1, 2),
    ("filters", "OIHW"): (0, 1, 2, 3),
    ("filters", "OHWI"): (0, 2, 3, 1),
    ("filters", "HWIO"): (2, 3, 1, 0),
    ("filters", "IHWO"): (1, 2, 3, 0),
    ("filters", None): (0, 1, 2, 3),
    ("matmul", None): (0, 1),
}


@pytest.mark.parametrize(("stage", "layout"), LAYOUTS, ids=str)
def test_what_lies_at_an_address(stage: str, layout: str | None) -> None:
    run = quantised("quant=tflite", *NUMBERS)
    array = run[stage]
    memory = np.ascontiguousarray(array.transpose(LAYOUTS[stage, layout]))
    raw = memory.tobytes()
    values = memory.ravel().tolist()
    for address, value in [*enumerate(values)][:: max(1, len(values) // 12)]:
        entry = cp.explain(run, address=address, stage=stage, layout=layout)
        assert isinstance(entry, Entry)
        assert (entry.stored, array[entry.indices]) == (value, value)
        assert entry.bytes == raw[address * array.itemsize : (address + 1) * array.itemsize]


def test_filters_of_one_channel_lie_as_depthwise_ones_do() -> None:
    run = quantised("quant=tflite", *NUMBERS, "conv.groups=2", "filters.count=4")
    memory = run["filters"].transpose(1, 2, 3, 0).ravel()
    found = [cp.explain(run, address=at, stage="filters", layout="1HWO").stored for at in range(0, memory.size, 3)]
    assert found == memory[::3].tolist()


def test_an_address_says_its_bytes(tmp_path: Path) -> None:
    run = a_run(tmp_path, *PLAIN, "quant=tflite", *NUMBERS)
    value = int(cp.load(run)["add_bias"][3, 1])
    told = explain(run, "--address", "13", "--stage", "add_bias")
    raw = value.to_bytes(4, "little", signed=True).hex(" ")
    assert told == f"address 13: add_bias n*out_h*out_w=3, f=1 (int32): {value}, bytes 52 to 55 are {raw}\n"
    pixel = int(cp.load(run)["input"][0, 1, 0, 1])
    told = explain(run, "--address=3", "--layout", "NHWC")
    assert told == f"address 3 in NHWC: input n=0, c=1, h=0, w=1 (int8): {pixel}, byte 3 is {pixel % 256:02x}\n"


NAMES = ", ".join(("input", "filters", "bias", "multiplier", "shift", *STAGES))
REFUSED = [
    (("--address", "48"), "--address: got 48, expected a whole number from 0 to 47, as input has 48 cells"),
    (("--address=-1",), "--address: got -1, expected a whole number from 0 to 47, as input has 48 cells"),
    (("--address", "x"), "--address: got x, expected a whole number, the place of a cell in memory"),
    (("--address", "1.5"), "--address: got 1.5, expected a whole number, the place of a cell in memory"),
    (("--address", "1", "--at", "0,0"), "--address: got 1, expected no --at beside it: a cell has one or the other"),
    (
        ("--address", "1", "--layout", "NHCW"),
        "--layout: got NHCW, expected one of NCHW, NHWC, as the axes are N,C,H,W (did you mean NHWC?)",
    ),
    (
        ("--address", "1", "--stage", "matmul", "--layout", "NHWC"),
        "--layout: got NHWC, expected nothing, as the axes are N*out_h*out_w,F",
    ),
    (
        ("--at", "0,0,0,0", "--layout", "NHWC"),
        "--layout: got NHWC, expected --address beside it, which counts cells in that order",
    ),
    (
        ("--at", "0,0", "--stage", "im2coll"),
        f"--stage: got im2coll, expected a stage: one of {NAMES} (did you mean im2col?)",
    ),
    (
        ("--at", "0,0", "--layer", "conv1", "--stage", "im2col"),
        "--layer: got conv1, expected no layer, as the run is a single convolution",
    ),
    (("--at", "0,0,0", "--stage", "im2col"), "--at: got 0,0,0, expected 2 whole numbers: n*out_h*out_w,c*kh*kw"),
    (("--at", "40,0", "--stage", "im2col"), "--at: got 40,0, expected n*out_h*out_w from 0 to 39"),
    (("--at", "0,0,0,5", "--stage", "input"), "--at: got 0,0,0,5, expected W from 0 to 2"),
    (("--all", "--stage", "im2col"), "explain: --stage: got im2col, expected none beside --all"),
    (("--all", "--address", "3"), "explain: --address: got 3, expected none beside --all"),
    (("--stage", "im2col"), "explain: the following arguments are required: --at N,F,Y,X, or --all, or --address A"),
]


@pytest.fixture(scope="module")
def archived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_run(tmp_path_factory.mktemp("runs"), *PLAIN, "quant=tflite", *NUMBERS)


@pytest.mark.parametrize(("words", "line"), REFUSED, ids=[" ".join(words) for words, _ in REFUSED])
def test_what_there_is_not_is_refused_in_a_line(words: tuple[str, ...], line: str, archived: Path) -> None:
    assert refusal(archived, *words) == line


def test_python_is_asked_alike() -> None:
    run = cp.run("experiment=lecture_3d", archive=False)
    with pytest.raises(ConfigError, match=r"--at: got nothing, expected whole numbers with commas between them"):
        cp.explain(run)
    with pytest.raises(ConfigError, match=r"--address: got True, expected a whole number"):
        cp.explain(run, address=True)
    entry = cp.explain(run, address=4, layout="NHWC")
    assert repr(entry) == f"<Entry {entry}>"
    assert isinstance(cp.explain(run, at=(0, 0, 0, 0)), Cell)
    assert isinstance(cp.explain(run, at=(0, 0), stage="matmul"), Story)


def test_the_command_says_its_options() -> None:
    told = convpipe("explain", "--help").out
    assert all(option in told for option in ("--stage NAME", "--address A", "--layout ORDER"))
