"""Networks whose layers are quantised: dense ones, pools, joins, changes of kind; each cell against the oracle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runs import convpipe, job, refused
from quantised_networks import ANY, Layers, differing, network_run

import convpipe as cp
from convpipe.archive.verify import verify
from convpipe.config.schema import schema

HALF = {"rule": "double", "multiplier": 1073741824, "shift": -8}
ROWS = {"input": {**ANY, "shape": [3, 7]}}


def dense(**quant: Any) -> Layers:
    """A network of one dense layer of four units."""
    return {"fc": {"op": "dense", "units": 4, "quant": quant}}


# --- dense layers


@pytest.mark.parametrize(
    "quant",
    [
        HALF,
        {**HALF, "input": {"zero_point": -3}, "output": {"zero_point": 9}, "activation": "relu"},
        {**HALF, "filters": {"zero_point": [1, -2, 3, -4]}, "rule": "double_up"},
        {**HALF, "multiplier": [1073741824, 1342177280, 2000000000, 1], "shift": [-7, -8, -9, 3], "rule": "single"},
        {**HALF, "input": {"zero_point": 127}, "filters": {"zero_point": -128}, "output": {"dtype": "int16"}},
        {**HALF, "output": {"zero_point": -100, "scale": 0.1}, "activation": "relu6"},
        {**HALF, "activation": [-5, 20], "accumulator": {"bits": 14, "overflow": "wrap"}},
        {**HALF, "accumulator": {"bits": 15, "overflow": "saturate", "every": 2}},
        {"rule": None, "input": {"zero_point": 5}},
        {"rule": "shift", "shift": 7, "mode": "half_even", "overflow": "wrap"},
        {"rule": "thresholds", "thresholds": [[-900, 0, 5, 5000]], "offset": -2, "step": 3},
        {"rule": "float", "multiplier": [0.01, 0.02, 0.03, 0.004]},
        {"rule": "float_offset", "input": {"scale": 0.1}, "filters": {"scale": [0.1, 0.2, 0.3, 0.4]},
         "output": {"scale": 7.0, "zero_point": 3}},
        {"rule": "double", "input": {"scale": 0.1}, "filters": {"scale": 0.05}, "output": {"scale": 0.9}},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("more", [{}, {"bias": False, "layout": "out_in"}], ids=["bias", "turned"])
def test_a_dense_layer_is_the_oracles(quant: dict[str, Any], more: dict[str, Any], tmp_path: Path) -> None:
    layers = dense(**quant)
    layers["fc"] |= more
    run = network_run(tmp_path, layers, **ROWS)
    assert run.output.dtype == (np.int32 if quant["rule"] is None else quant.get("output", {}).get("dtype", "int8"))
    assert len(np.unique(run.output)) > 1
    assert differing(run) == []
    assert verify(run.path).path == run.path


def test_the_oracle_finds_a_wrong_layer(tmp_path: Path) -> None:
    run = network_run(tmp_path, dense(**HALF), **ROWS)
    run.config["network"]["fc"]["quant"]["input"]["zero_point"] = 1
    assert differing(run) == ["fc"]


def test_a_dense_layer_has_the_stages_of_a_convolution(tmp_path: Path) -> None:
    quant = {**HALF, "input": {"zero_point": -3}, "filters": {"zero_point": 2}}
    run = network_run(tmp_path, dense(**quant), **ROWS)
    stages = ["center", "weight_rows", "center_filters", "matmul", "add_bias", "requantize", "clamp"]
    made = [row["stage"] for row in run.rows if row["op"] != "input" and row["stage"].partition("/")[2] in stages]
    assert made == [f"fc/{stage}" for stage in stages]
    x, w = run.array("input").astype(int), run.array("fc/weights").astype(int)
    assert run.array("fc/center").tolist() == (x + 3).tolist()
    assert run.array("fc/weight_rows").tolist() == w.T.tolist()
    assert run.array("fc/center_filters").tolist() == (w.T - 2).tolist()
    assert run.array("fc/matmul").tolist() == ((x + 3) @ (w - 2)).tolist()
    assert run.array("fc/add_bias").tolist() == ((x + 3) @ (w - 2) + run.array("fc/bias")).tolist()
    assert run.array("fc/clamp").tolist() == run.output.tolist()


def test_what_does_nothing_is_left_out(tmp_path: Path) -> None:
    layers = dense(rule=None)
    layers["fc"]["bias"] = False
    run = network_run(tmp_path, layers, **ROWS)
    assert [row["stage"] for row in run.rows] == ["input", "fc/weights", "fc/weight_rows", "fc/matmul"]


def test_a_plan_says_what_a_layers_accumulator_needs(tmp_path: Path) -> None:
    network_run(tmp_path, dense(**HALF), **ROWS)
    plan = cp.plan(str(tmp_path / "net.yaml"))
    assert plan.notes == (
        f"fc: sums of up to {7 * 128 * 128:,} need 18 bits at most, before the bias; the accumulator has 32 (error)",
    )
    assert plan.macs == 3 * 7 * 4


# --- whole networks

RESIDUAL: Layers = {
    "conv1": {"op": "conv", "filters": 3, "kernel": 3, "pad": 1, "quant": {**HALF, "output": {"zero_point": 4}}},
    "conv2": {
        "op": "conv", "filters": 3, "kernel": [1, 3], "pad": [0, 1], "groups": 3,
        "quant": {**HALF, "input": {"zero_point": 4}, "multiplier": [1073741824, 1200000000, 2000000000], "shift": -6},
    },
    "left": {"op": "center", "zero_point": 4, "inputs": ["conv1"]},
    "wide": {"op": "requantize", "inputs": ["left"], "rule": "double", "multiplier": [1073741824, 1, 2147483647],
             "shift": 18, "dtype": "int32", "axis": 1},
    "right": {"op": "requantize", "inputs": ["conv2"], "rule": "double", "multiplier": 1503238553, "shift": 18,
              "dtype": "int32"},
    "add": {"op": "add", "inputs": ["wide", "right"]},
    "sum": {"op": "requantize", "rule": "double", "multiplier": 1103806595, "shift": -18, "zero_point": 2},
    "clamp": {"op": "clamp", "low": 2, "high": 90},
    "pool": {"op": "avg_pool", "kernel": 2, "pad": [[0, 1], [0, 0]], "count_include_pad": False,
             "rounding": "half_away"},
    "large": {"op": "max_pool", "kernel": [1, 2]},
    "mean": {"op": "global_avg_pool", "rounding": "half_even"},
    "flatten": {"op": "flatten"},
    "dense": {"op": "dense", "units": 5, "quant": {**HALF, "shift": -5, "input": {"zero_point": 2}}},
    "six": {"op": "relu6"},
}  # fmt: skip


def test_a_whole_network_is_the_oracles(tmp_path: Path) -> None:
    run = network_run(tmp_path, RESIDUAL)
    assert {run.array(row["stage"]).dtype.kind for row in run.rows} == {"i"}
    assert differing(run) == []


def test_quant_tiny_is_the_oracles(tmp_path: Path) -> None:
    run = cp.run("experiment=quant_tiny", root=tmp_path, record=None, keep="stages")
    assert {run.array(row["stage"]).dtype.kind for row in run.rows} == {"i"}
    assert differing(run) == []
    assert run.output.tolist() == cp.run("experiment=quant_tiny", root=tmp_path).output.tolist()
    assert convpipe("reproduce", str(run.path)).code == 0


def test_layers_of_floats_and_of_integers_follow_each_other(tmp_path: Path) -> None:
    layers: Layers = {
        "quantize": {"op": "quantize", "scale": 0.37, "zero_point": -5},
        "conv": {"op": "conv", "filters": 2, "kernel": 2, "quant": {**HALF, "input": {"zero_point": -5}}},
        "dequantize": {"op": "dequantize", "scale": 0.21, "zero_point": 7},
    }
    floats = {"input": {**ANY, "dtype": "float32", "shape": [2, 3, 4, 4]}, "weights": ANY}
    run = network_run(tmp_path, layers, **floats)
    dtypes = [run.array(stage).dtype.name for stage in ("input", "quantize", "conv/transpose", "dequantize")]
    assert dtypes == ["float32", "int8", "int8", "float32"]
    assert differing(run) == []


def test_a_network_may_mix_chains(tmp_path: Path) -> None:
    layers: Layers = {
        "whole": {"op": "conv", "filters": 2, "kernel": 2, "quant": HALF},
        "plain": {"op": "conv", "filters": 2, "kernel": 2, "dtype": "int32"},
    }
    run = network_run(tmp_path, layers, "lowering=implicit")
    stages = [row["stage"] for row in run.rows]
    assert {"whole/im2col", "whole/requantize", "plain/implicit_gemm"} <= set(stages)
    assert "whole/implicit_gemm" not in stages


# --- numbers of the file of weights


def of_file(folder: Path, **arrays: Any) -> dict[str, Any]:
    """Weights of a dense layer of three inputs and two units, and other arrays, in a file."""
    own = {"fc.weight": np.array([[1, 2], [3, 4], [5, 6]], np.int8), "fc.bias": np.array([7, 8], np.int32)}
    np.savez(folder / "w.npz", **own, **{name: np.asarray(array) for name, array in arrays.items()})
    return {"input": [[1, 2, 3]], "weights": {"source": "npz", "path": str(folder / "w.npz")}}


def test_multipliers_may_lie_beside_the_weights(tmp_path: Path) -> None:
    arrays = {"m": np.array([1 << 30, 1 << 30], np.int32), "fc.s": np.array([0, -1], np.int32)}
    layers = {"fc": {"op": "dense", "quant": {"rule": "double", "multiplier": "m", "shift": "fc.s"}}}
    run = network_run(tmp_path, layers, **of_file(tmp_path, **arrays))
    assert [run.array(f"fc/{role}").tolist() for role in ("multiplier", "shift")] == [[1 << 30] * 2, [0, -1]]
    assert run.array("fc/add_bias").tolist() == [[29, 36]]
    assert run.output.tolist() == [[15, 9]]  # 14.5 and 9
    assert run.config["network"]["fc"]["quant"]["multiplier"] == "m"
    assert differing(run) == []


def test_scales_of_the_filters_may_lie_beside_the_weights(tmp_path: Path) -> None:
    quant = {"rule": "double", "input": {"scale": 0.5}, "filters": {"scale": "sw"}, "output": {"scale": 1.0}}
    layers = {"fc": {"op": "dense", "quant": quant}}
    given = of_file(tmp_path, sw=np.array([1.0, 0.25], np.float32))
    run = network_run(tmp_path, layers, **given)
    assert [run.array(f"fc/{role}").tolist() for role in ("multiplier", "shift")] == [[1 << 30] * 2, [0, -2]]
    assert run.output.tolist() == [[15, 5]]  # 14.5 and 4.5
    floats = network_run(tmp_path, {"fc": {"op": "dense", "quant": {**quant, "rule": "float"}}}, **given)
    assert floats.output.tolist() == [[14, 4]]
    assert differing(floats) == []


# --- what a run is


def canonical(folder: Path, layers: Layers, *words: str) -> tuple[str, dict[str, Any]]:
    """The id of a run, and what its config says."""
    run = network_run(folder, layers, *words, **ROWS)
    return run.path.name, run.config


def test_equal_numbers_are_one(tmp_path: Path) -> None:
    several = {**HALF, "multiplier": [1073741824] * 4, "filters": {"zero_point": [2] * 4}}
    one = {**HALF, "filters": {"zero_point": 2}}
    assert canonical(tmp_path, dense(**one)) == canonical(tmp_path, dense(**several))
    assert canonical(tmp_path, dense(**one))[0] != canonical(tmp_path, dense(**HALF))[0]


def test_a_layer_that_is_not_quantised_does_not_say_so(tmp_path: Path) -> None:
    name, config = canonical(tmp_path, {"fc": {"op": "dense", "units": 4, "overflow": "wrap"}})
    assert "quant" not in config["network"]["fc"]
    assert canonical(tmp_path, {"fc": {"op": "dense", "units": 4, "overflow": "wrap", "quant": None}})[0] == name


@pytest.mark.parametrize("word", ["lowering=im2col", "lowering=auto"])
def test_where_all_are_quantised_the_other_chains_are_no_part_of_the_id(word: str, tmp_path: Path) -> None:
    layers: Layers = {"it": {"op": "conv", "filters": 2, "kernel": 2, "quant": HALF}}
    first, second = network_run(tmp_path, layers), network_run(tmp_path, layers, word)
    assert (first.path, first.config["lowering"]["stages"][-3:]) == (second.path, ["requantize", "clamp", "reshape"])


def test_a_run_is_made_again(tmp_path: Path) -> None:
    run = network_run(tmp_path, RESIDUAL)
    answer = convpipe("reproduce", str(run.path))
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines()[-1].startswith("reproduced: ")


# --- explained


@pytest.mark.parametrize("layer", ["conv1", "dense", "wide", "six", "clamp", "pool", "mean"])
def test_a_cell_of_a_layer_is_explained(layer: str, tmp_path: Path) -> None:
    run = network_run(tmp_path, RESIDUAL)
    at = {"dense": "0,1", "six": "0,1", "mean": "0,1,0,0"}.get(layer, "0,1,1,1")
    answer = convpipe("explain", str(run.path), "--layer", layer, "--at", at)
    assert (answer.code, answer.err) == (0, "")
    stored = run.array({"conv1": "conv1/transpose", "dense": "dense/clamp"}.get(layer, layer))
    value = stored[tuple(map(int, at.split(",")))].item()
    assert answer.out.rstrip().endswith(f"{value}, as stored")


def test_help_and_schema_know_a_layers_quant() -> None:
    text = convpipe("help", "network.LAYER.quant.rule").out
    assert text.startswith("network.LAYER.quant.rule (op: conv, dense): ")
    assert "rounding" in convpipe("help", "avg_pool").out
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is in the extra `test`")
    config = {"input": {"source": "lecture", "values": [[1]]}, "network": dense(**HALF)}
    jsonschema.validate(config, schema())
    config["network"]["fc"]["quant"]["rule"] = "trible"
    with pytest.raises(jsonschema.ValidationError, match="trible"):
        jsonschema.validate(config, schema())


# --- refused

CONV = {"op": "conv", "filters": 2, "kernel": 2}


def quantised(base: dict[str, Any], **quant: Any) -> Layers:
    """One layer, quantised by `HALF` with changes."""
    return {"it": {**base, "quant": {**HALF, **quant}}}


@pytest.mark.parametrize("base", [CONV, {"op": "dense", "units": 2}], ids=["conv", "dense"])
@pytest.mark.parametrize(
    ("quant", "line"),
    [
        ({"rule": "trible"}, "network.it.quant.rule: got trible, expected one of double, "),
        ({"input": {"zero_point": 128}}, "network.it.quant.input.zero_point: got 128, expected a whole number from"),
        ({"filters": {"zero_point": [1, 2, 3]}}, "network.it.quant.filters.zero_point: got [1, 2, 3], expected "),
        ({"output": {"zero_point": -129}}, "network.it.quant.output.zero_point: got -129, expected a whole number"),
        ({"multiplier": None}, "network.it.quant.multiplier: got nothing, expected one, as the rule double takes it"),
        ({"multiplier": [1, 2, 3]}, "network.it.quant.multiplier: got (3,), expected one, or 2, one for each filter"),
        ({"multiplier": 0.5}, "network.it.quant.multiplier: got 0.5, expected a whole number"),
        ({"shift": 31}, "network.it.quant.shift: got 31, expected a whole number from -31 to 30"),
        ({"multiplier": "m.npy"}, "network.it.quant.multiplier: got m.npy, expected numbers, or the name that they"),
        ({"thresholds": {"source": "npy"}}, "network.it.quant.thresholds: got {'source': 'npy'}, expected numbers, or"),
        ({"activation": "relu6"}, "network.it.quant.output.scale: got nothing, expected "),
        ({"accumulator": {"bits": 9}}, "network.it.quant.accumulator.overflow: got error, expected sums that fit"),
    ],
    ids=str,
)
def test_a_layers_quant_is_refused_by_its_key(
    base: dict[str, Any], quant: dict[str, Any], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"input": {**ANY, "shape": [1, 1, 4, 4]} if base is CONV else {**ANY, "shape": [2, 16]}, "weights": ANY}
    (tmp_path / "net.yaml").write_text(json.dumps({**given, "network": quantised(base, **quant)}))
    assert refused(tmp_path, "net.yaml").startswith(line)


@pytest.mark.parametrize(
    ("layers", "words", "line"),
    [
        (quantised(CONV), ["input.dtype=float32"], "network.it.inputs: got float32, expected integers, as the conv"),
        (quantised(CONV), ["weights.dtype=float32"], "network.it.weights: got float32, expected integers, as the conv"),
        (quantised(CONV, input={"dtype": "int16"}), [], "network.it.quant.input.dtype: got int16, expected int8, as"),
        (quantised({**CONV, "pad_value": 3}), [], "network.it.pad_value: got 3, expected 0, as it is quantised"),
        (quantised({**CONV, "op": "conv_transpose"}), [], "network.it.quant: got {'rule': 'double', "),
        (quantised(CONV), ["lowering=implicit"], "lowering: got implicit, expected quantized, or a list of stages, as"),
        ({"it": {"op": "requantize", "rule": "double"}}, [], "network.it.multiplier: got nothing, expected a number"),
        ({"it": {"op": "requantize", "rule": "double", "multiplier": [5, 6], "shift": 0}}, [],
         "network.it.axis: got -1, expected 1, the channels, as there are several numbers"),
        ({"it": {"op": "requantize", "rule": "double", "multiplier": "m", "shift": 0}}, [],
         "network.it.multiplier: got m, expected numbers, as those of a convolution alone may lie in a file"),
        ({"it": {"op": "requantize", "rule": "thresholds"}}, [], "network.it.thresholds: got nothing, expected a"),
        ({"it": {"op": "requantize", "rule": "shift", "shift": 1, "axis": 4}}, [], "network.it.axis: got 4, expected"),
        ({"it": {"op": "dequantize", "scale": 0}}, [], "network.it.scale: got 0, expected a number above 0"),
        ({"it": {"op": "quantize", "scale": 1, "zero_point": 128}}, [], "network.it.zero_point: got 128, expected a"),
        ({"it": {"op": "clamp", "low": 300}}, [], "network.it.low: got 300, expected "),
        ({"it": {"op": "avg_pool", "kernel": 2, "rounding": "up"}}, [], "network.it.rounding: got up, expected "),
        ({"it": {"op": "avg_pool", "kernel": 2, "pad": 1, "rounding": "zero"}}, [],
         "network.it.zero_point: got nothing, expected the integer that padding holds, as padding counts"),
    ],
    ids=str,
)  # fmt: skip
def test_a_layer_is_refused_by_its_key(
    layers: Layers, words: list[str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"input": {**ANY, "shape": [1, 1, 4, 4]}, "weights": ANY, "network": layers}
    (tmp_path / "net.yaml").write_text(json.dumps(given))
    assert refused(tmp_path, "net.yaml", *words).startswith(line)


def test_a_number_of_the_file_that_the_rule_does_not_take_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    layers = {"fc": {"op": "dense", "quant": {"rule": "double", "multiplier": "m", "shift": "s"}}}

    def line(**arrays: Any) -> str:
        given = {**of_file(tmp_path, **arrays), "network": layers}
        (tmp_path / "net.yaml").write_text(json.dumps(given))
        return refused(tmp_path, "net.yaml")

    assert line(m=[5]).startswith("network.fc.quant.shift: got s, expected one of ")
    assert line(m=[0.5], s=[0]).startswith("network.fc.quant.multiplier: got float64, expected integers, as the rule")
    assert line(m=[1, 2, 3], s=[0]).startswith("network.fc.quant.multiplier: got (3,), expected one, or 2, one for")
    assert line(m=[-1], s=[0]).startswith("network.fc.quant.multiplier: got -1, expected whole numbers from 0 to")
    assert line(m=[1], s=[31]).startswith("network.fc.quant.shift: got 31, expected whole numbers from -31 to 30")


def test_lowerings_of_float_networks_are_as_they_were() -> None:
    assert [stage.op for stage in job("experiment=tiny").spec.lowering.stages][:2] == ["pad", "im2col"]
