"""What can be asked: every key of a config, its sentence and schema, and conf/ held against the code."""

from __future__ import annotations

import json
import re
from dataclasses import MISSING
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import convpipe as cp
from convpipe.cli.commands import COMMANDS
from convpipe.config.help import help_text
from convpipe.config.keys import Key, keys
from convpipe.config.schema import schema
from convpipe.config.tree import GROUPS, choices_of, config_folder
from convpipe.errors import UsageError
from convpipe.ops import OPERATIONS
from convpipe.ops.kinds import registry
from convpipe.ops.kinds.operation import stands_alone
from convpipe.sources import SOURCES, Request, Source
from convpipe.sources.kinds.source import ANY
from convpipe.tensors import Array, Signature
from tests.cli_runs import convpipe
from tests.test_own_file import SAME

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is in the extra `test`")

CONF = config_folder()
KEYS = list(keys())
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
NAMING = ("source", "operation", "kind", "stages")  # the key of a file whose comment is that of the file
# Which keys of code a file's are, where its name is not that of a source.
OTHERS = {"conv/default": "", "conv/transpose": "", "cluster/dask": "", "cluster/ray": "", "config": ""}


# Keys


def test_every_key_has_a_sentence() -> None:
    for key in KEYS:
        assert re.fullmatch(r"[A-Za-z0-9\[].*\.", key.setting.says), key.name


def test_every_setting_is_a_key() -> None:
    """What a composed config has, and each setting of every source and operation, can be asked for."""
    names = {key.name for key in KEYS}
    for name in (*SOURCES.ours(), *OPERATIONS.ours()):
        assert help_text(name)
    assert {f"input.{name}" for name in ("path", "shape", "values", "entry", "mode", "split")} <= names
    for name in OPERATIONS.ours():
        if stands_alone(kind := OPERATIONS.get("", name)):
            fields = {field for field, each in kind.__dataclass_fields__.items() if "check" in each.metadata}
            assert {f"network.LAYER.{field}" for field in fields - {"operation"}} <= names, name


def test_help_knows_every_key_that_an_experiment_has() -> None:
    names = {name for experiment in EXPERIMENTS for name in leaves(composed(experiment))}
    for key, name in {re.sub(r"^network\.\w+", "network.LAYER", name): name for name in names}.items():
        assert help_text(name).startswith(key), name


@pytest.mark.parametrize("key", sorted({key.name for key in KEYS}))
def test_help_of_every_key(key: str) -> None:
    text = help_text(key)
    for line in text.splitlines():
        assert len(line) <= 100
    for found in (each for each in KEYS if each.name == key):
        assert " ".join(found.setting.says.split()) in " ".join(text.split())


def test_help_says_what_a_key_takes_and_its_default() -> None:
    assert "takes a whole number from 1; default 1" in help_text("conv.groups")
    assert "takes one of constant, reflect, edge, wrap; default constant" in help_text("conv.pad_mode")
    assert "input.path (input=csv, npy, npz, safetensors): " in help_text("input.path")
    assert "has to be given" in help_text("input.path")
    assert "default run" in help_text("name")  # which conf/config.yaml alone says
    text = help_text("network.conv1.kernel")
    assert "network.LAYER.kernel (op: conv, conv_transpose): " in text
    assert "network.LAYER.kernel (op: avg_pool, max_pool): " in text


def test_help_of_a_group_lists_its_choices() -> None:
    for group in sorted(GROUPS):
        text = help_text(group)
        for name in choices_of(group):
            assert re.search(rf"^  {name}\b", text, re.MULTILINE), (group, name)


def test_every_choice_says_what_it_is() -> None:
    for group in sorted(GROUPS):
        for name, line in choices_of(group).items():
            assert len(line) > 15, (group, name)
            assert not re.search(r"([:,;]|\b(is|of|the|and|a))$", line), (group, name)  # which goes on below


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("conv.strid", "conv.stride"),
        ("stride", "conv.stride"),
        ("max_pol", "max_pool"),
        ("randm", "random"),
        ("lecture_5d", "lecture_4d"),
        ("saturat", "saturate"),
    ],
)
def test_help_of_what_there_is_not(word: str, hint: str) -> None:
    with pytest.raises(UsageError, match=rf"^help: got {word}, expected .* \(did you mean {hint}\?\)$"):
        help_text(word)


@pytest.mark.parametrize("word", ["of", "zzz", "x"])
def test_a_hint_is_only_what_is_close(word: str) -> None:
    with pytest.raises(UsageError, match=rf"^help: got {word}, expected .* operation or a source$"):
        help_text(word)


def test_help_of_a_choice_names_its_groups() -> None:
    text = help_text("lecture_4d")
    for group in ("experiment", "input", "filters"):
        assert f"  {group}=lecture_4d " in text
        assert choices_of(group)["lecture_4d"].split()[-1] in text
    assert "  filters=sobel_x  Sobel: growth from left to right" in help_text("sobel_x")
    assert "a source of input" in (text := help_text("random"))
    assert "  weights=random " in text


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("saturate", ["conv.overflow", "network.LAYER.overflow"]),
        ("int8", ["conv.dtype", "input.dtype", "weights.dtype"]),
        ("reflect", ["conv.pad_mode", "network.LAYER.mode"]),
        ("same", ["conv.pad"]),
        ("stages", ["keep"]),
    ],
)
def test_help_of_a_value_names_its_keys(value: str, names: list[str]) -> None:
    found = re.search(rf"^{value}, a value of ([\w., ]+)$", " ".join(help_text(value).split()))
    assert found
    assert set(names) <= set(found[1].split(", "))


def test_the_key_that_names_a_source_or_an_operation_is_one_paragraph() -> None:
    text = " ".join(help_text("filters.source").split())
    assert text.count("filters.source") == 1
    assert "takes one of classic, csv, integers, lecture, npy, npz, pattern, random, safetensors; " in text
    text = " ".join(help_text("network.LAYER.op").split())
    assert text.count("network.LAYER.op") == 1
    assert re.search(r"takes one of add, avg_pool, .* upsample; has to be given$", text)


def test_help_of_an_operation_says_how_python_calls_it() -> None:
    assert "\n  In Python: cp.im2col(img, kh, kw, stride=1, pad=0, " in help_text("im2col")
    assert "\n  In Python: cp.conv(x, w, bias=None, *, stride=1, " in help_text("conv")
    assert "In Python" not in help_text("grad_bias")
    assert "numpy" not in "".join(help_text(name) for name in OPERATIONS.ours())


class Ramp(Source):
    """0, 1, 2 ... along an axis."""

    roles = ("input", "bias")

    def signature(self, request: Request = ANY) -> Signature:
        """Four numbers."""
        return Signature((4,), np.dtype("int64"))

    def make(self, signature: Signature, bits: np.random.PCG64, entry: str = "") -> Array:
        """They."""
        return np.arange(4)


def test_help_of_a_group_lists_what_installed_packages_bring(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [EntryPoint("ramp", f"{__name__}:Ramp", ""), EntryPoint("gone", "nowhere:Gone", "")]
    monkeypatch.setattr(registry, "installed", lambda group: entries)
    for group in Ramp.roles:
        text = help_text(group)
        assert re.search(rf"\n  ramp  +0, 1, 2 \.\.\. along an axis\. \({__name__}:Ramp\)\n", text)
        assert "gone" not in text
        assert "ramp" not in schema()["properties"][group]["then"]["enum"]  # which a file cannot say
        assert "ramp" in schema()["$defs"][f"{group}.source"]["then"]["enum"]
    assert not re.search(r"\n  ramp\b", help_text("filters"))
    assert "ramp" in help_text("input.source")
    assert "takes one of add" in help_text("network.LAYER.op")  # whatever is broken


# conf/ against the code


def base_files() -> list[Path]:
    """The files of conf that have all settings of a source, or of conv and its like."""
    found = [path for path in sorted(CONF.rglob("*.yaml")) if source_of(path) == path.stem]
    return found + [CONF / f"{name}.yaml" for name in OTHERS]


def source_of(path: Path) -> Any:
    return (yaml.safe_load(path.read_text()) or {}).get("source")


def commented(path: Path) -> dict[str, tuple[Any, str]]:
    """Each key of a config file with its value and the comment right above it."""
    found: dict[str, tuple[Any, str]] = {}
    comment: list[str] = []
    stack: list[str] = []
    values = yaml.safe_load(path.read_text())
    for line in path.read_text().splitlines():
        match = re.match(r"( *)(\w+):", line)
        if line.lstrip().startswith("#"):
            comment.append(line.strip(" #"))
        elif match:
            stack = [*stack[: len(match[1]) // 2], match[2]]
            found[".".join(stack)] = (value_at(values, stack), " ".join(comment))
            comment = []
        else:
            comment = []
    return found


def value_at(values: Any, parts: list[str]) -> Any:
    for part in parts:
        values = values[part]
    return values


def key_of(path: Path, name: str) -> Key:
    """The key that a file's is."""
    group = "" if path.parent == CONF else f"{path.parent.name}."
    kind = OTHERS.get(f"{group[:-1]}/{path.stem}", path.stem) if group else ""
    (found,) = [key for key in KEYS if key.name == f"{group}{name}" and key.kind in (kind, "")]
    return found


@pytest.mark.parametrize("path", base_files(), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_config_file_says_what_the_code_says(path: Path) -> None:
    entries = commented(path)
    for name, (value, comment) in entries.items():
        if name.split(".")[0] in ("defaults", "hydra") or name in NAMING:
            continue
        key = key_of(path, name)
        assert comment == key.setting.says, name
        if not isinstance(value, dict) and path.parent != CONF:
            check_default(key, value)
    assert set(entries) - {"defaults"}


def check_default(key: Key, value: Any) -> None:
    """A file's value is the code's default, or one where the code has none."""
    default = key.setting.default
    if default is MISSING:
        return
    if default is not None:
        assert value == (list(default) if isinstance(default, tuple) else default), key.name


def test_a_main_config_s_values_are_the_codes_defaults() -> None:
    for name, (value, _) in commented(CONF / "config.yaml").items():
        if name.split(".")[0] not in ("defaults", "hydra") and not isinstance(value, dict):
            check_default(key_of(CONF / "config.yaml", name), value)


def test_a_wrong_comment_is_found(tmp_path: Path) -> None:
    path = tmp_path / "bias" / "integers.yaml"
    path.parent.mkdir()
    path.write_text("# head\nsource: integers\n# The largest value.\nlow: -8\n")
    assert commented(path)["low"] == (-8, "The largest value.") != (-8, key_of(path, "low").setting.says)
    with pytest.raises(AssertionError, match=r"bias\.low"):
        check_default(key_of(path, "low"), -7)


# The schema


def composed(experiment: str) -> dict[str, Any]:
    """What --cfg job shows of an experiment."""
    extra = ["data=DIR"] if experiment in ("digits_deep", "digits_simple") else []
    found: dict[str, Any] = yaml.safe_load(convpipe("--cfg", "job", f"experiment={experiment}", *extra).out)
    return found


def leaves(config: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for name, value in config.items():
        inside = leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else [f"{prefix}{name}"]
        found += inside
    return found


VALIDATOR = jsonschema.Draft202012Validator(schema())


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    assert json.loads(json.dumps(schema())) == schema()


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_the_schema_takes_every_experiment_as_file_and_composed(experiment: str) -> None:
    VALIDATOR.validate(composed(experiment))
    VALIDATOR.validate(yaml.safe_load((CONF / "experiment" / f"{experiment}.yaml").read_text()))


@pytest.mark.parametrize(
    "wrong",
    [
        {"sed": 1},
        {"seed": -1},
        {"seed": "abc"},
        {"conv": {"strid": 1}},
        {"conv": {"groups": 0}},
        {"conv": {"pad_mode": "mirror"}},
        {"input": "rando"},
        {"input": {"source": "random", "values": [1]}},
        {"input": {"source": "nope"}},
        {"filters": {"source": "image", "path": "x.png"}},
        {"network": {"a": {"op": "max_pol", "kernel": 2}}},
        {"network": {"a": {"op": "relu", "slope": 2}}},
        {"limits": {"memory": []}},
        {"keep": "all"},
        {"experiment": "tinu"},
        {"conv.strid": 1},
        {"network.a.kernl": 3},
        {"hydra": {"run": {"dir": "x"}}},
        {"hydra.run.dir": "x"},
        {"defaults": [5]},
    ],
    ids=str,
)
def test_the_schema_refuses(wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError, match=r"not valid|unexpected|is not|does not match"):
        VALIDATOR.validate(wrong)


@pytest.mark.parametrize(
    "right",
    [
        {"input": "random"},
        {"input": {"source": "random", "shape": [1, 1, 4, 4]}, "filters": "sobel_x"},
        {"input": {"path": "${data}/x.npy"}, "data": "here"},
        {"conv": {"pad": [[1, 0], [0, 1]], "stride": [2, 1]}},
        {"conv": {"stride": ["${seed}", 1]}},
        {"conv.stride": 2, "network.a.kernel": 3, "network.a": {"op": "relu"}, "limits.memory": "2GiB"},
        {"hydra.sweeper.params": {"seed": "1,2"}, "hydra.sweeper.params.seed": "1,2"},
        {"conv.stride": 2, "network.conv1.stride": 2, "limits.memory": "2GB", "network.a": {"op": "relu"}},
        {"input": [[[[1, 2]]]], "filters": [[[[1.5]]]], "bias": [1], "grad": [1], "labels": [1, 2]},
        {"input": "npy", "input.path": "x.npy", "filters": {}, "bias": None},
        {"input": {"source": "values", "values": [1], "dtype": "int8"}, "filters": "values", "filters.values": [[1]]},
        {"conv": "${x}", "input": {"source": "${x}", "path": "y"}},
        {"input": {"source": "lecture_2x2", "dtype": "int8"}, "filters": {"source": "gaussian"}},
        {"network": {"conv1": {"stride": 2}}},
        {"experiment": None},
        {"lowering": {"stages": ["pad", {"clip": {"low": 0}}]}},
        {"network": {"a": {"op": "conv", "filters": 2, "kernel": 3}, "b": {"op": "relu", "inputs": ["a"]}}},
    ],
    ids=str,
)
def test_the_schema_takes(right: dict[str, Any]) -> None:
    VALIDATOR.validate(right)


@pytest.mark.parametrize("text", [text for text, _ in SAME.values()], ids=SAME)
def test_the_schema_takes_what_a_file_of_ones_own_may_say(text: str) -> None:
    VALIDATOR.validate(yaml.safe_load(text))


def test_a_layer_by_its_name_is_told_of_as_any() -> None:
    assert help_text("network.conv1") == help_text("network")


# From Python


def test_functions_can_be_asked_for_too() -> None:
    """What the contents list, commands among them, Python's help knows as well."""
    for name in (*COMMANDS, "plan", "run", "sweep", "load"):
        assert len(cp.help(name).splitlines()) > 1, name
    assert cp.help("verify").startswith("convpipe.verify(path: ")
    assert "where: " in cp.help("runs").splitlines()[0]  # the one that cp.runs is


@pytest.mark.parametrize("word", [5, b"a", ["conv"], cp.run])
def test_help_takes_a_word(word: Any) -> None:
    with pytest.raises(UsageError, match=r"^help: got .*, expected a word as a text"):
        cp.help(word)


def test_a_line_about_a_long_word_is_short() -> None:
    with pytest.raises(UsageError, match=r"^help: got x{77}\.\.\., expected a page"):
        cp.help("x" * 10_000)


@pytest.mark.parametrize(
    ("wrong", "path", "line"),
    [
        ({"conv": {"strides": 2}}, ["conv"], r"\('strides' was unexpected\)"),
        ({"limits": {"memry": 2}}, ["limits"], r"\('memry' was unexpected\)"),
        ({"input": {"pth": "x"}}, ["input"], r"\('pth' was unexpected\)"),
        ({"input": {"source": "random", "path": "x"}}, ["input"], r"\('path' was unexpected\)"),
        ({"input": {"source": "values", "low": 1}}, ["input"], r"\('low' was unexpected\)"),
        ({"network": {"a": {"op": "relu", "slope": 2}}}, ["network", "a"], r"\('slope' was unexpected\)"),
        ({"network": {"a": {"kernl": 2}}}, ["network", "a"], r"\('kernl' was unexpected\)"),
        ({"input": "rando"}, ["input"], r"'rando' is not one of \['csv', "),
        ({"input": {"source": "nope"}}, ["input", "source"], r"'nope' is not one of \['csv', "),
        ({"network": {"a": {"op": "nope"}}}, ["network", "a", "op"], r"'nope' is not one of \['add', "),
        ({"limits": "x"}, ["limits"], r"'x' is not of type 'object'"),
        ({"weights": [1]}, ["weights"], r"\[1\] is not of type 'object', 'string', 'null'"),
        ({"input": None}, ["input"], r"None is not of type 'object', 'string', 'array'"),
        ({"conv.strid": 2}, [], r"'conv\.strid' does not match any"),
        ({"network.a.strid": 2}, [], r"'network\.a\.strid' does not match any"),
    ],
    ids=str,
)
def test_the_schema_names_what_is_wrong(wrong: dict[str, Any], path: list[str], line: str) -> None:
    error = jsonschema.exceptions.best_match(VALIDATOR.iter_errors(wrong))
    assert list(error.absolute_path) == path
    assert re.search(line, error.message)


@pytest.mark.parametrize("wrong", [{"conv.stride": "x"}, {"network.a.groups": 0}, {"network.a": 3}, {"input.low": []}])
def test_the_schema_knows_what_a_dotted_key_takes(wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError, match=r"is not"):
        VALIDATOR.validate(wrong)


def test_what_the_schema_refers_to_is_there_and_once() -> None:
    text = json.dumps(schema())
    assert set(re.findall(r'"#/\$defs/([^"]+)"', text)) == set(schema()["$defs"])
    assert len(text) < 180_000
