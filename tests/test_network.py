"""Networks: graphs of layers, what each may read, weights by name, and what the plan says of all of it."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from conv_cases import integers
from network_cases import RESIDUAL, Settings, given, layers_of, output, planned, results, weights_of
from run_cases import plain_config

from convpipe import reference
from convpipe.archive.identity import run_id
from convpipe.config.compose import of_layer
from convpipe.config.read import read_spec
from convpipe.errors import ConfigError
from convpipe.files.yaml import config_yaml, read_yaml
from convpipe.graph.network import path_between
from convpipe.graph.spec import describe
from convpipe.reference import layers as reference_layers

SHAPE = (2, 3, 6, 6)
CONV: Settings = {"op": "conv", "filters": 2, "kernel": 3, "pad": "same"}


def network_config(layers: dict[str, Settings], **changes: Any) -> dict[str, Any]:
    """The plain config of a run of a network."""
    base = plain_config({"input.shape": list(SHAPE)})
    del base["filters"], base["conv"]
    return {**base, "network": layers, "weights": {"source": "integers"}, **changes}


def identity(layers: dict[str, Settings], **changes: Any) -> str:
    return run_id(describe(read_spec(network_config(layers, **changes))).config)


# Graphs


def test_a_residual_network_is_the_oracles() -> None:
    plan = planned(RESIDUAL, SHAPE)
    x = integers(SHAPE, "int16", "small", 1)
    arrays = given(plan, x)
    first = reference_layers.relu(reference.conv(x, arrays["conv1/filters"], arrays["conv1/bias"], pad=1))
    second = reference.conv(first.astype(np.float64), arrays["conv2/filters"], arrays["conv2/bias"], pad=1)
    pooled = reference_layers.max_pool(first.astype(np.float64) + second, 2)
    rows = reference_layers.flatten(pooled.astype(np.float64))
    expected = reference_layers.dense(rows, arrays["dense/weights"], arrays["dense/bias"])
    assert np.array_equal(output(plan, arrays), expected.astype(np.float64))


def test_branches_meet_and_an_earlier_layer_is_read_again() -> None:
    layers: dict[str, Settings] = {
        "stem": CONV,
        "left": {"op": "conv", "filters": 3, "kernel": 1},
        "right": {"op": "conv", "filters": 4, "kernel": 3, "pad": 1, "inputs": ["stem"]},
        "far": {"op": "relu", "inputs": ["input"]},
        "all": {"op": "concat", "inputs": ["right", "left", "far", "stem"]},
        "twice": {"op": "add", "inputs": ["all", "all"]},
    }
    plan = planned(layers, SHAPE)
    made = {result.step.makes.name: result.array for result in results(plan, given(plan, np.ones(SHAPE, np.int16)))}
    parts = [made[name] for name in ("right", "left", "far", "stem")]
    assert made["all"].shape == (2, 12, 6, 6)
    assert np.array_equal(made["twice"], 2 * np.concatenate(parts, axis=1))


def test_one_layer_and_an_empty_batch() -> None:
    assert output(planned({"a": {"op": "relu"}}, SHAPE), {"input": np.ones(SHAPE, np.int16)}).sum() == 216
    plan = planned(RESIDUAL, (0, 3, 6, 6))
    assert output(plan, given(plan, np.ones((0, 3, 6, 6), np.int16))).shape == (0, 5)


@pytest.mark.parametrize("shape", [(2, 3, 7), (2, 3, 4, 5), (1, 2, 4, 4, 4)])
def test_networks_of_every_rank(shape: tuple[int, ...]) -> None:
    plan = planned(RESIDUAL, shape)
    assert output(plan, given(plan, integers(shape, "int16", "small", 1))).shape == (shape[0], 5)


@pytest.mark.parametrize(
    ("layers", "line"),
    [
        (
            {"relu1": {"op": "relu"}, "b": {"op": "relu", "inputs": ["relu"]}},
            "network.b.inputs: got relu, expected one of input, relu1 (did you mean relu1?)",
        ),
        (
            {"a": {"op": "relu", "inputs": ["c"]}, "b": {"op": "relu", "inputs": ["input"]}, "c": {"op": "relu"}},
            "network.a.inputs: got c, expected a layer before this one (c comes after a)",
        ),
        (
            {"a": {"op": "relu", "inputs": ["b"]}, "b": {"op": "relu"}},
            "network.a.inputs: got b, expected a layer before this one (a cycle: b -> a -> b)",
        ),
        (
            {
                "a": {"op": "add", "inputs": ["input", "d"]},
                "b": {"op": "relu", "inputs": ["input"]},
                "c": {"op": "add", "inputs": ["b", "a"]},
                "d": {"op": "relu"},
            },
            "network.a.inputs: got d, expected a layer before this one (a cycle: d -> c -> a -> d)",
        ),
        (
            {"a": {"op": "relu", "inputs": ["a"]}},
            "network.a.inputs: got a, expected a layer before this one (a cycle: a -> a)",
        ),
        (
            {"a": {"op": "relu"}, "b": {"op": "relu", "inputs": ["input"]}},
            "network.a: got relu, expected a later layer that reads it, and none does",
        ),
        (
            {"a": CONV, "b": {"op": "relu", "inputs": ["input"]}},
            "network.a: got conv, expected a later layer that reads it, and none does",
        ),
        ({"input": {"op": "relu"}}, "network.input: got input, expected a layer name of at most 100 letters"),
        ({"output": {"op": "relu"}}, "network.output: got output, expected a layer name of at most 100 letters"),
        ({"a/b": {"op": "relu"}}, "network.a/b: got a/b, expected a layer name of"),
        ({"": {"op": "relu"}}, "network.: got nothing, expected a layer name of"),
        ({"1st": {"op": "relu"}}, "network.1st: got 1st, expected a layer name of"),
        ({"é": {"op": "relu"}}, "network.é: got é, expected a layer name of"),
        ({"a" * 101: {"op": "relu"}}, f"network.{'a' * 101}: got {'a' * 77}..., expected a layer name of"),
        ({"a": None}, "network.a: got nothing, expected a group of settings"),
        ({"a": "relu"}, "network.a: got relu, expected a group of settings"),
        ({"a": {"kernel": 3}}, "network.a.op: got nothing, expected the kind of a new layer, or another layer's name"),
        (
            {"conv1": CONV, "conv": {"stride": 3}},
            "network.conv.op: got nothing, expected the kind of a new layer, or another layer's name (did you mean con",
        ),
    ],
)
def test_a_graph_that_cannot_be_is_one_line(layers: Any, line: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(line)}[^\n]*$"):
        planned(layers, SHAPE)


def test_ways_between_layers() -> None:
    layers = layers_of({"a": {"op": "relu"}, "b": {"op": "relu"}, "c": {"op": "add", "inputs": ["a", "b"]}})
    assert path_between(layers, "c", "a") in (("c", "a"), ("c", "b", "a"))
    assert path_between(layers, "a", "c") == ()


@pytest.mark.parametrize("shape", [(3,), (1, 2, 3, 3, 3, 3)])
def test_an_input_that_is_no_image(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"^input\.shape: got \(.*\), expected 4 axes"):
        planned({"a": {"op": "relu"}}, shape)


# Weights


def saved(path: Any, **arrays: np.ndarray[Any, Any]) -> Any:
    np.savez(path, **arrays)
    return weights_of("npz", path=str(path))


def test_weights_go_by_their_usual_names(tmp_path: Any) -> None:
    source = saved(
        tmp_path / "w.npz",
        **{
            "c.weight": np.ones((2, 3, 1, 1), np.float32),
            "c.bias": np.array([1, 2], np.float32),
            "n.weight": np.array([2, 2], np.float32),
            "n.bias": np.array([0, 1], np.float32),
            "n.running_mean": np.array([4, 5], np.float32),
            "n.running_var": np.array([4, 1], np.float32),
            "d.weight": np.arange(4, dtype=np.float32).reshape(2, 2),
        },
    )
    layers: dict[str, Settings] = {
        "c": {"op": "conv"},
        "n": {"op": "batch_norm", "epsilon": 0},
        "p": {"op": "global_max_pool"},
        "f": {"op": "flatten"},
        "d": {"op": "dense", "bias": False, "layout": "out_in"},
    }
    layers["c"]["kernel"] = 1
    plan = planned(layers, (1, 3, 2, 2), "float32", source)
    assert [tensor.origin for tensor in plan.given[1:]] == [
        "c.weight", "c.bias", "n.weight", "n.bias", "n.running_mean", "n.running_var", "d.weight",
    ]  # fmt: skip
    got = output(plan, given(plan, np.ones((1, 3, 2, 2), np.float32), source))
    assert got.tolist() == [[1.0, 3.0]]  # conv 4, 5; normalised 0, 1; [[0, 1], [2, 3]] @ (0, 1)


def test_sizes_may_be_left_to_the_file(tmp_path: Any) -> None:
    source = saved(tmp_path / "w.npz", k=np.ones((4, 3, 2, 3)), m=np.ones((5, 100)), b=np.ones(5))
    layers: dict[str, Settings] = {
        "c": {"op": "conv", "weights": "k", "bias": False, "stride": 2, "pad": [[1, 1], [2, 2]]},
        "f": {"op": "flatten"},
        "d": {"op": "dense", "weights": "m", "bias": "b", "layout": "out_in"},
    }
    with pytest.raises(
        ConfigError, match=r"^network\.d\.weights: got \(5, 100\), expected weights of the shape \(any, 64"
    ):
        planned(layers, SHAPE, weights=source)
    layers["c"]["pad"] = [[2, 2], [2, 2]]
    with pytest.raises(ConfigError, match=r"\(any, 80\)$"):
        planned(layers, SHAPE, weights=source)
    layers["c"] |= {"pad": [[2, 3], [3, 3]]}
    assert planned(layers, SHAPE, weights=source).output.shape == (2, 5)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({}, "network.c.weights: got (2, 3, 3, 3), expected weights of the shape (4, 3, 5, 5)"),
        ({"filters": 2, "kernel": 3, "bias": "bb"}, "network.c.bias: got (3,), expected weights of the shape (2,)"),
        ({"weights": "k5"}, "network.c.weights: got k5, expected one of the arrays in "),
        ({"weights": "k5"}, r": k, bb \(did you mean k\?\)"),
        ({"weights": None}, "network.c.weights: got c.weight, expected one of the arrays in "),
        ({"filters": 2, "kernel": 3, "bias": True}, "network.c.bias: got c.bias, expected one of the arrays in "),
        (
            {"filters": 2, "kernel": 3, "groups": 3, "weights": "k"},
            "network.c.weights: got (2, 3, 3, 3), expected weights of the shape (2, 1, 3, 3)",
        ),
    ],
)
def test_weights_that_do_not_suit_name_the_layer(change: Settings, line: str, tmp_path: Any) -> None:
    source = saved(tmp_path / "w.npz", k=np.ones((2, 3, 3, 3)), bb=np.ones(3))
    layer = {"op": "conv", "filters": 4, "kernel": 5, "weights": "k", "bias": "bb", **change}
    pattern = line if line.startswith(":") else "^" + re.escape(line)
    with pytest.raises(ConfigError, match=pattern):
        planned({"c": layer}, SHAPE, weights=source)


def test_layers_with_weights_need_a_source() -> None:
    spec = read_spec(network_config({"c": CONV}, weights=None))
    from convpipe.graph.work import plan_work

    with pytest.raises(ConfigError, match=r"^weights: got nothing, expected a source of weights, as the layer c has"):
        plan_work(spec)


def test_weights_come_each_from_a_stream_of_its_own() -> None:
    plan = planned(RESIDUAL, SHAPE)
    before = given(plan, np.ones(SHAPE))
    more = {"new": {"op": "conv", "filters": 3, "kernel": 1}, **RESIDUAL}
    after = given(planned(more, SHAPE), np.ones(SHAPE))
    assert set(after) - set(before) == {"new/filters", "new/bias"}
    assert all(np.array_equal(before[name], after[name]) for name in before)
    names = [name for name in before if name != "input" and before[name].size > 20]
    assert len({before[name][..., :4].tobytes() for name in names}) == len(names)


# What the plan says


def test_the_plan_shows_the_whole_network() -> None:
    text = str(planned(RESIDUAL | {"dense": {"op": "dense", "units": 5}}, (1, 3, 7, 7)))
    for stage in ("conv1/im2col", "conv1/transpose", "relu1", "add", "pool", "flatten", "dense"):
        assert re.search(rf"^{stage} +", text, re.MULTILINE), stage
    assert re.search(r"^- +conv1/filters +\(4,3,3,3\) +\(F,C,kh,kw\) +float32 +432 +-$", text, re.MULTILINE)
    assert "multiply-adds" in text.splitlines()[-1]


def test_multiply_adds_of_every_layer_that_has_some() -> None:
    macs = {step.name: step.macs for step in planned(RESIDUAL, SHAPE).steps if step.macs}
    assert macs == {"conv1/matmul": 2 * 36 * 4 * 27, "conv2/matmul": 2 * 36 * 4 * 36, "dense": 2 * 36 * 5}


def test_notes_are_under_their_layers() -> None:
    layers = {"a": {**CONV, "pad": 0, "stride": 2}, "b": {**CONV, "pad": 0, "kernel": 2, "stride": 3}}
    notes = planned(layers, (1, 3, 8, 9)).notes
    assert [note.partition(":")[0] for note in notes] == ["a", "b"]


# Identity


def test_the_order_of_layers_matters_and_that_of_keys_does_not() -> None:
    layers: dict[str, Settings] = {"a": {"op": "relu"}, "b": {"op": "dropout", "rate": 0.5}}
    turned = {"b": layers["b"], "a": layers["a"]}
    shuffled = {"a": layers["a"], "b": {"rate": 0.5, "op": "dropout"}}
    assert identity(layers) != identity(turned)
    assert identity(layers) == identity(shuffled)
    assert identity({"a": {"op": "relu"}, "b": {"op": "dropout"}}) == identity(layers)  # a default, written out
    assert identity({"a": {"op": "relu"}, "b": {"op": "dropout", "inputs": ["a"]}}) == identity(layers)


@pytest.mark.parametrize("change", [{"stride": 2}, {"bias": False}, {"weights": "W1"}])
def test_every_setting_of_a_layer_is_its_identity(change: Settings) -> None:
    assert identity({"a": CONV}) != identity({"a": CONV | change})


def test_a_network_survives_the_archives_config() -> None:
    layers = {
        "z": CONV,
        "b": {"op": "relu"},
        "a": {"op": "add", "inputs": ["z", "b"]},
        "c": {"op": "max_pool", "kernel": 2},
    }
    spec = read_spec(network_config(layers))
    again = read_spec(read_yaml(config_yaml(describe(spec).config)))
    assert again == spec
    assert list(again.network or {}) == list(layers)
    assert run_id(describe(again).config) == run_id(describe(spec).config)


def test_a_spec_without_a_network_is_the_run_it_was() -> None:
    spec = read_spec(plain_config())
    assert "network" not in describe(spec).config
    assert run_id(describe(spec).config) == run_id(
        describe(read_spec({**plain_config(), "network": None, "weights": {}})).config
    )


def test_of_layer_reaches_only_settings_of_layers() -> None:
    lines = ["network.a.stride=2", "network=tiny", "network.a={op: relu}", "~network.a", "+network.a.b=1", "conv.pad=1"]
    assert [of_layer(line) for line in lines] == ["++network.a.stride=2", *lines[1:]]
