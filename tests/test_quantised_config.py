"""Quantised convolutions through YAML and words: published sets, and refusals that name a key and a way out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from cli_runs import contents, convpipe, only_run, refused
from quantised_cases import CmsisSet, cmsis_set, data

from convpipe.archive.verify import verify
from convpipe.reference import quantised, rules

SETS = (  # of every kind: dilation, groups, depthwise, 4 bits, 16 bits with both rules, no bias, large pads
    "conv_2",
    "conv_2x2_dilation_int4",
    "conv_1_x_n_3",
    "conv_out_activation_int4",
    "depthwise_2",
    "depthwise_int4_generic_5",
    "dw_int16xint8_dilation",
    "grouped_conv_3",
    "int16xint8_dilation_3",
    "int16xint8_spill2",
    "int16xint8xint32_6",
    "kernel1x1_stride_x_y_2_int4",
)


def files_of(found: CmsisSet, folder: Path) -> dict[str, Any]:
    """A config of the set, whose arrays are written as .npy files."""
    arrays = {"input": found.x, "filters": found.w, "multiplier": found.multiplier, "shift": found.shift}
    if found.bias is not None:
        arrays["bias"] = found.bias
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    facts = found.facts
    sources = {
        name: {"source": "npy", "path": f"{name}.npy"} for name in ("input", "filters", "bias") if name in arrays
    }
    quant = {
        "rule": found.rule,
        "multiplier": "multiplier.npy",
        "shift": "shift.npy",
        "input": {"zero_point": facts["input_zero_point"], "dtype": found.x.dtype.name},
        "filters": {"dtype": found.filters_dtype},
        "output": {"zero_point": facts["output_zero_point"], "dtype": found.output.dtype.name},
        "activation": [facts["low"], facts["high"]],
        "accumulator": {"bits": found.bits},
    }
    return {**sources, "conv": found.geometry, "quant": quant}


def as_words(settings: dict[str, Any], under: str = "") -> list[str]:
    """Settings as a command line has them; a source by its group."""
    words = []
    for name, value in settings.items():
        key = f"{under}{name}"
        if name == "source":
            words.append(f"{under[:-1]}={value}")
        elif isinstance(value, dict):
            words += as_words(value, f"{key}.")
        else:
            words.append(f"{key}={value}".replace(" ", "").replace("'", ""))
    return words


def check_output(folder: Path, found: CmsisSet, *words: str) -> None:
    """A verified run of these words has the published output, in the published layout."""
    answer = convpipe(*words, f"root={folder}/runs")
    assert (answer.code, answer.err) == (0, ""), answer.err
    run = verify(only_run(folder / "runs"))
    made = np.load(run.path / "output.npy")
    assert made.dtype == found.output.dtype
    height, width = found.output.shape[2:]
    assert np.array_equal(made[:, :height, :width], found.output.transpose(0, 2, 3, 1))


@data
@pytest.mark.parametrize("name", SETS[1::4])
def test_a_set_of_cmsis_nn_by_words(folder: Path, name: str) -> None:
    found = cmsis_set(name)
    settings = files_of(found, folder)
    preset = "tflite" if found.rule == "double" else "tflite_single"
    bias = [] if "bias" in settings else ["bias=none"]
    check_output(folder, found, f"quant={preset}", *bias, *as_words(settings))


@data
@pytest.mark.parametrize("name", SETS)
def test_a_set_of_cmsis_nn_by_a_file(folder: Path, name: str) -> None:
    found = cmsis_set(name)
    settings = files_of(found, folder)
    groups = {"quant": "tflite", "bias": "npy" if "bias" in settings else "none", "input": "npy", "filters": "npy"}
    defaults = [*({f"override /{group}": choice} for group, choice in groups.items()), "_self_"]
    own = {"defaults": defaults, **settings}
    (folder / "own.yaml").write_text(f"# @package _global_\n{yaml.safe_dump(own, sort_keys=False)}")
    check_output(folder, found, "own.yaml")


# Lowerings

ACCUMULATORS: tuple[dict[str, Any], ...] = (
    {"bits": 32},
    {"bits": 11, "overflow": "wrap"},
    {"bits": 11, "overflow": "saturate"},
    {"bits": 11, "overflow": "saturate", "every": "step"},
    {"bits": 11, "overflow": "saturate", "every": 4, "order": "kh,kw,C"},
    {"bits": 20, "overflow": "pairs16"},
    {"bits": 20, "overflow": "pairs16", "order": "kh,kw,C"},
)


@pytest.mark.parametrize("lowering", [(), ("lowering.order='kh,kw,C'",)], ids=["C,kh,kw", "kh,kw,C"])
@pytest.mark.parametrize("accumulator", ACCUMULATORS)
def test_an_accumulator_in_either_order_of_columns(
    folder: Path, lowering: tuple[str, ...], accumulator: dict[str, Any]
) -> None:
    bits = np.random.default_rng(7)
    x = bits.integers(0, 256, (2, 4, 5, 5)).astype(np.uint8)
    w = bits.integers(-128, 128, (4, 2, 3, 2)).astype(np.int8)
    bias = bits.integers(-300, 300, 4).astype(np.int32)
    if accumulator["overflow" if "overflow" in accumulator else "bits"] == "saturate":
        w = np.sign(w) * np.abs(w) // 30  # so that most sums are near the ends
    for name, array in (("x", x), ("w", w.astype(np.int8)), ("b", bias)):
        np.save(f"{name}.npy", array)
    geometry = {"stride": 2, "pad": 1, "groups": 2}
    held = quantised.Accumulator(**accumulator)
    sums = quantised.conv_sums(x, w, bias, input_zero=9, filter_zeros=[1, -2, 0, 5], accumulator=held, **geometry)
    expected = quantised.conv_quantized(sums, "shift", [rules.Numbers(shift=3)], dtype="int8", zero=0)
    sources = {
        name: {"source": "npy", "path": f"{name[0] if name != 'filters' else 'w'}.npy"} for name in ("filters", "bias")
    }
    settings = {
        "input": {"source": "npy", "path": "x.npy"},
        **sources,
        "conv": geometry,
        "quant": {
            "shift": 3,
            "input": {"zero_point": 9},
            "filters": {"zero_point": [1, -2, 0, 5]},
            "output": {"dtype": "int8"},
            "accumulator": accumulator,
        },
    }
    order = [word for word in as_words(settings) if not word.startswith("quant.accumulator.order")]
    if "order" in accumulator:
        order.append(f"quant.accumulator.order='{accumulator['order']}'")
    answer = convpipe("quant=shift", *order, *lowering, "keep=stages")
    assert (answer.code, answer.err) == (0, ""), answer.err
    run = verify(only_run(folder / "runs"))
    assert run.maps.tolist() == expected.tolist()
    assert np.moveaxis(run["add_bias"].reshape(2, 3, 3, 4), -1, 1).tolist() == sums.tolist()


# Refusals


def integers(role: str, low: int, high: int, **more: Any) -> list[str]:
    """A source of random integers."""
    settings = {"dtype": "int8", "low": low, "high": high + 1, **more}
    return [f"{role}=integers", *(f"{role}.{name}={value}" for name, value in settings.items())]


NUMBERS = ["quant=tflite", "quant.multiplier=1073741824", "quant.shift=-3"]
LEGAL = [*NUMBERS, *integers("input", -8, 7), *integers("filters", -8, 7)]


def test_four_bits_that_hold_all(folder: Path) -> None:
    answer = convpipe(*LEGAL, "quant.input.dtype=int4", "quant.filters.dtype=int4", "quant.output.dtype=int4")
    assert (answer.code, answer.err) == (0, ""), answer.err
    made = verify(only_run(folder / "runs")).output
    assert made.dtype == np.int8
    assert (made.min() >= -8, made.max() <= 7) == (True, True)


@pytest.mark.parametrize("role", ["input", "filters"])
@pytest.mark.parametrize(
    ("dtype", "array", "value", "span"),
    [
        ("int4", [-9, 7], -9, "-8 to 7"),
        ("int4", [-8, 8], 8, "-8 to 7"),
        ("uint4", [0, 16], 16, "0 to 15"),
    ],
)
def test_an_array_that_leaves_its_four_bits(
    folder: Path, role: str, dtype: str, array: list[int], value: int, span: str
) -> None:
    stored = {"int4": "int8", "uint4": "uint8"}[dtype]
    shape = {"input": (1, 3, 5, 5), "filters": (4, 3, 3, 3)}[role]
    np.save("array.npy", np.resize(np.array(array, stored), shape))
    other = {"input": "filters", "filters": "input"}[role]
    given = [f"{role}=npy", f"{role}.path=array.npy", f"quant.{role}.dtype={dtype}"]
    words = [*NUMBERS, *integers(other, -8, 7), *given]
    expected = f"{role}: got {value}, expected whole numbers from {span}, as quant.{role}.dtype is {dtype}"
    assert refused(folder, *words) == expected
    np.save("array.npy", np.resize(np.clip(np.array(array, stored), *map(int, span.split(" to "))), shape))
    assert convpipe(*words).code == 0


def test_a_sweep_checks_what_it_has_kept(folder: Path) -> None:
    np.save("x.npy", np.resize(np.array([-9, 9], np.int8), (1, 3, 5, 5)))
    words = [*NUMBERS, *integers("filters", -8, 7), "input=npy", "input.path=x.npy", "quant.input.dtype=int8,int4"]
    answer = convpipe("-m", *words)
    assert answer.code == 1
    assert "input: got -9, expected whole numbers from -8 to 7, as quant.input.dtype is int4" in answer.out + answer.err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["quant.input.zero_point=128"], "quant.input.zero_point: got 128, expected a whole number from -128 to 127"),
        (["quant.filters.zero_point=[1,2]"], "quant.filters.zero_point: got [1, 2], expected one, or 4, one for each"),
        (["quant.output.zero_point=[1,2]"], "quant.output.zero_point: got [1, 2], expected one whole number"),
        (["quant.shift=31"], "quant.shift: got 31, expected a whole number from -31 to 30, as the rule double has it"),
        (["quant.shift=null"], "quant.shift: got nothing, expected one, as the rule double takes it beside the other"),
        (["quant.multiplier=2147483648"], "quant.multiplier: got 2147483648, expected a number from 0 to 2147483647"),
        (["quant.multiplier=[1,2]"], "quant.multiplier: got (2,), expected one, or 4, one for each filter"),
        (
            ["quant.input.scale=1", "quant.filters.scale=1", "quant.output.scale=1"],
            "quant.multiplier: got 1073741824, expected null beside the three scales, or one of these null",
        ),
        (["quant.accumulator.bits=65"], "quant.accumulator.bits: got 65, expected a whole number from 2 to 64"),
        (["quant.input.dtype=int16"], "quant.input.dtype: got int16, expected int8, as the array is"),
        (["quant.activation=relu6"], "quant.output.scale: got nothing, expected the output's scale, which relu6 needs"),
        (["quant.activation=[5,200]"], "quant.activation[1]: got 200, expected a whole number from -128 to 127"),
        (["conv.pad=1", "conv.pad_value=1"], "conv.pad_value: got 1, expected 0, as it is quantised"),
        (["input.dtype=float32"], "input.dtype: got float32, expected "),
    ],
)
def test_settings_that_do_not_suit(folder: Path, words: list[str], expected: str) -> None:
    assert refused(folder, *LEGAL, *words).startswith(expected)
    assert refused(folder, *LEGAL, *words, "dry_run=true").startswith(expected)  # before any array exists


SCALED = [*LEGAL, "quant.multiplier=null", "quant.shift=null"]
SCALES = ("quant.input.scale", "quant.filters.scale", "quant.output.scale")


@pytest.mark.parametrize(
    ("scales", "expected"),
    [
        ([1, 1, None], "quant.output.scale: got nothing, expected the scale, as the rule double takes all three"),
        ([1, 0, 1], "quant.filters.scale: got 0, expected a number above 0"),
        (["1e9", "1e9", 1], "quant.filters.scale: got scales that make 1e+18, expected a number from 0, below 2**30"),
        ([1, "[1,2]", 1], "quant.filters.scale: got (2,), expected one, or 4, one for each filter"),
        (["[1,2]", 1, 1], "quant.input.scale: got [1.0, 2.0], expected one number"),
    ],
)
def test_scales_that_do_not_suit(folder: Path, scales: list[Any], expected: str) -> None:
    words = [f"{key}={'null' if value is None else value}" for key, value in zip(SCALES, scales, strict=True)]
    assert refused(folder, *SCALED, *words, "dry_run=true").startswith(expected)


def test_scales_are_multiplier_and_shift(folder: Path) -> None:
    by_scales = [*SCALED, "quant.input.scale=0.5", "quant.filters.scale=0.25", "quant.output.scale=2"]
    assert convpipe(*by_scales, "root=scales").code == 0
    assert convpipe(*LEGAL, "root=pair").code == 0
    runs = [verify(only_run(folder / root)) for root in ("scales", "pair")]
    assert np.array_equal(runs[0].output, runs[1].output)  # 2**-4 = 2**30 * 2**(-3 - 31)
    assert runs[0].path.name != runs[1].path.name


# Ways out that work


ADVISED = re.compile(r"(quant\.[a-z.]+=\w+)")
LARGE = [*NUMBERS, *integers("input", 127, 127), *integers("filters", 127, 127)]
TOO_LARGE = (
    ["quant.accumulator.bits=16", "quant.accumulator.overflow=error"],
    ["quant.accumulator.bits=16", "quant.accumulator.overflow=error", "quant.accumulator.every=step"],
    ["quant.accumulator.bits=17", "quant.accumulator.overflow=pairs16"],
    ["quant.overflow=error", "quant.shift=0"],
)


@pytest.mark.parametrize("words", TOO_LARGE)
def test_advice_works_when_typed(folder: Path, words: list[str]) -> None:
    said = refused(folder, *LARGE, *words)
    ways = ADVISED.findall(said)
    assert ways, said
    assert said.startswith(
        "quant.overflow: got error" if len(words) == 2 and "shift" in words[1] else "quant.accumulator.overflow: got"
    )
    for number, way in enumerate(ways):
        answer = convpipe(*LARGE, *words, way, f"root=way{number}")
        assert (answer.code, answer.err) == (0, ""), (way, answer.err)


def test_a_sum_that_its_rule_does_not_take(folder: Path) -> None:
    np.save("b.npy", np.full(4, 2**40))
    words = [*LEGAL, "bias=npy", "bias.path=b.npy", "quant.accumulator.bits=64"]
    said = refused(folder, *words)
    assert said.startswith("quant.rule: got double, expected sums that fit (the sum 10995116")
    assert said.endswith("an accumulator of so many bits, which wraps or saturates, makes others of them)")
    assert contents(folder) == {"b.npy"}
    for overflow in ("wrap", "saturate"):
        held = ["quant.accumulator.bits=32", f"quant.accumulator.overflow={overflow}"]
        assert convpipe(*words, *held, f"root={overflow}").code == 0


# Networks


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("conv1.quant.input.dtype", r"input: got -?\d+, expected whole numbers from -8 to 7, as "),
        ("conv2.quant.filters.dtype", r"conv2/filters: got -?\d+, expected whole numbers from -8 to 7, as "),
        ("dense.quant.filters.dtype", r"dense/weights: got -?\d+, expected whole numbers from -8 to 7, as "),
    ],
)
def test_arrays_of_a_network_that_leave_their_four_bits(folder: Path, setting: str, expected: str) -> None:
    words = ["experiment=quant_tiny", f"++network.{setting}=int4", "++network.conv1.quant.output.dtype=int8"]
    said = refused(folder, *words)
    assert re.match(f"{expected}network.{setting} is int4$", said), said
    small = ["input.low=-8", "input.high=8", "weights.low=-8", "weights.high=8"]
    assert convpipe(*words, *small).code == 0


def test_advice_for_a_layer_works_when_typed(folder: Path) -> None:
    held = "network.conv2.quant.accumulator"
    words = ["experiment=quant_tiny", f"++{held}.bits=9", f"++{held}.overflow=error"]
    said = refused(folder, *words)
    ways = re.findall(r"(network\.[\w.]+=\w+)", said)
    assert [way.removeprefix(f"{held}.") for way in ways] == ["bits=32", "overflow=wrap", "overflow=saturate"]
    for number, way in enumerate(ways):
        answer = convpipe(*words, f"++{way}", f"root=way{number}")
        assert (answer.code, answer.err) == (0, ""), (way, answer.err)
