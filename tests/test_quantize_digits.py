"""The digits network in int8: the tool's numbers by hand, both shipped files, and the network of the config."""

from __future__ import annotations

from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from cli_runs import convpipe, only_run
from quantised_networks import differing

import convpipe as cp
from convpipe.config.tree import config_folder
from convpipe.files import npz
from convpipe.reference import rules
from convpipe.sources.shipped import SHIPPED_FOLDER
from convpipe.weights import quantize_digits as tool
from convpipe.weights.train_digits import SHAPES, read_split

needs_sklearn = pytest.mark.skipif(find_spec("sklearn") is None, reason="no scikit-learn (the extra: digits)")
SHIPPED_FILE = SHIPPED_FOLDER / "quant_digits.npz"
CONFIG = config_folder() / "network" / "quant_digits.yaml"
RIGHT = 445  # of the 450 test images, as many as in float32
NAMES = [f"{layer}.{part}" for layer in tool.LAYERS for part in ("weight", "bias", "multiplier", "shift")]


def small_weights() -> dict[str, np.ndarray]:
    """Weights of the network's shapes, drawn."""
    numbers = np.random.default_rng(2)
    return {name: numbers.normal(0, 0.3, shape).astype(np.float32) for name, shape in SHAPES.items()}


# --- the numbers


@pytest.mark.parametrize(
    ("low", "high", "scale", "zero_point"),
    [(0, 2.55, 0.01, -128), (-2.55, 0, 0.01, 127), (1, 2.55, 0.01, -128), (-1, 1.55, 0.01, -28), (-10, 7, 0.06667, 22)],
)
def test_a_range_has_0_in_it_and_a_short_scale(low: float, high: float, scale: float, zero_point: int) -> None:
    assert tool.affine_of(np.array([low, high])) == tool.Affine(scale, zero_point)


def test_the_last_bits_of_a_range_do_not_count() -> None:
    values = np.array([-3.7, 5.2])
    assert tool.affine_of(values) == tool.affine_of(np.nextafter(values, 9))


def test_a_layers_integers_by_hand() -> None:
    w = np.array([[0.5, -2.0], [0.25, 1.0], [-0.5, 0.3]], np.float32)  # two filters of three taps
    bias = np.array([0.1, -0.2], np.float32)
    made = tool.layer_arrays(w, bias, input_scale=0.25, output_scale=0.125)
    scales = [rules.to_float(Fraction(most) / 127) for most in (Fraction(1, 2), Fraction(2))]
    steps = [[round(Fraction(cell.item()) / scales[f]) for f, cell in enumerate(row)] for row in w]
    assert made["weight"].tolist() == steps
    assert np.abs(made["weight"]).max(0).tolist() == [127, 127]
    assert made["bias"].tolist() == [
        rules.quantize_bias(Fraction(each.item()), Fraction(1, 4), scale)
        for each, scale in zip(bias, scales, strict=True)
    ]
    pairs = [rules.multiplier_of(Fraction(1, 4), scale, Fraction(1, 8)) for scale in scales]
    assert list(zip(made["multiplier"].tolist(), made["shift"].tolist(), strict=True)) == pairs
    assert {array.dtype.name for array in made.values()} == {"int8", "int32"}


def test_filters_have_a_scale_each() -> None:
    weights = small_weights()
    network = tool.quantised(weights, np.random.default_rng(3).random((20, 1, 8, 8)).astype(np.float32))
    assert list(network.arrays) == NAMES
    for layer in tool.LAYERS:
        w = network.arrays[f"{layer}.weight"]
        assert w.shape == SHAPES[f"{layer}.weight"]
        filters = w.reshape(len(w), -1) if w.ndim > 2 else w.T
        assert np.abs(filters).max(1).tolist() == [127] * len(filters)
        assert network.arrays[f"{layer}.multiplier"].shape == (len(filters),)


def test_integers_are_near_the_floats() -> None:
    weights, images = small_weights(), np.random.default_rng(3).integers(0, 17, (20, 1, 8, 8))
    network = tool.quantised(weights, (images / 16).astype(np.float32))
    scores = tool.float_forward(weights, (images / 16).astype(np.float32))["dense1"]
    out = network.affine["dense1"]
    made = (tool.forward(network, images).astype(float) - out.zero_point) * out.scale
    assert np.abs(made - scores).max() < 0.03 * np.ptp(scores)


# --- the shipped files


def test_the_shipped_file_holds_integers() -> None:
    with np.load(SHIPPED_FILE) as read:
        assert list(read) == NAMES
        assert {name: read[name].dtype.name for name in read if name.endswith("weight")} == {
            f"{layer}.weight": "int8" for layer in tool.LAYERS
        }
        assert {read[name].dtype.name for name in read if not name.endswith("weight")} == {"int32"}


@needs_sklearn
def test_the_command_makes_the_shipped_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights, config = tmp_path / "mine.npz", tmp_path / "mine.yaml"
    assert tool.main([str(weights), str(config)]) == 0
    assert weights.read_bytes() == SHIPPED_FILE.read_bytes()
    assert config.read_text() == CONFIG.read_text()
    title, head, floats, integers, *digests = capsys.readouterr().out.splitlines()
    assert (title, head.split()) == ("right answers in per cent", ["train", "test"])
    assert floats.split() == ["float32", "100.00", "98.89"]
    assert integers.split() == ["int8", "100.00", "98.89"]
    assert [line.split()[0] for line in digests] == ["sha256"] * 2
    assert [line.split()[-1] for line in digests] == [str(weights), str(config)]


# --- the network of the config


@needs_sklearn
def test_the_network_of_the_config_is_the_tools(tmp_path: Path) -> None:
    answer = convpipe("experiment=quant_digits", f"root={tmp_path}")
    assert (answer.code, answer.err) == (0, "")
    assert f"accuracy {100 * RIGHT / 450:.2f} % ({RIGHT} of 450)" in answer.out
    weights = {name: npz.read_array(str(SHIPPED_FOLDER / "digits_small.npz"), name) for name in SHAPES}
    network = tool.quantised(weights, read_split("train").images)
    expected = tool.forward(network, np.rint(read_split("test").images * 16))
    made = cp.load(only_run(tmp_path)).output
    assert made.dtype == np.int8
    assert made.tolist() == expected.tolist()


@needs_sklearn
def test_its_cells_are_the_oracles(tmp_path: Path) -> None:
    run = cp.run("experiment=quant_digits", root=tmp_path, keep="stages")  # of the first image
    arrays = {row["stage"]: run.array(row["stage"]) for row in run.rows}
    assert {"conv1/center_filters", "conv1/center"} & arrays.keys() == set()  # both zero points are 0
    assert {"conv2/center", "dense1/center", "conv1/clamp", "dense1/clamp"} <= arrays.keys()
    assert {array.dtype.kind for array in arrays.values()} == {"i"}
    assert differing(run) == []


# --- a wrong command


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["none/x.npz", "x.yaml"],
            "OUT.npz: got none/x.npz, expected a file name that ends with .npz, in a folder that",
        ),
        (["x.npz", "x.yml"], "OUT.yaml: got x.yml, expected a file name that ends with .yaml, in a folder that there"),
        (["x.yaml", "x.npz"], "OUT.npz: got x.yaml, expected a file name that ends with .npz, in a folder that there"),
    ],
)
def test_a_wrong_command_is_one_line(
    words: list[str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert tool.main(words) == 2
    printed, complaint = capsys.readouterr()
    assert printed == ""
    assert complaint.startswith(f"quantize_digits: {line}")
    assert complaint.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
