"""Two published, trained CNNs on MNIST's test images, in ../shared/data or CONVPIPE_DATA; skipped where absent."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from cli_runs import CHECKOUT, convpipe, job, only_run, refused

from convpipe import reference
from convpipe.archive.read import Run
from convpipe.archive.verify import verify
from convpipe.graph.work import plan_work
from convpipe.reference import layers as reference_layers

DATA = Path(os.environ.get("CONVPIPE_DATA") or CHECKOUT.parent / "shared" / "data")
FILES = ("mnist_t10k.npz", "simple_convnet.npz", "deep_convnet.npz")
MISSING = [name for name in FILES if not (DATA / name).is_file()]

data = pytest.mark.skipif(
    bool(MISSING), reason=f"no {', '.join(MISSING)} in {DATA} (CONVPIPE_DATA names another folder)"
)


def run(folder: Path, *words: str) -> tuple[Run, str]:
    """A run on the test images; gives its verified archive and what was printed."""
    answer = convpipe(*words, f"data={DATA}", f"root={folder}")
    assert (answer.code, answer.err) == (0, ""), answer.err
    return verify(only_run(folder)), answer.out


def confusion(run: Run) -> np.ndarray:
    """The counts of confusion.csv, [true class, answer]."""
    rows = list(csv.reader((run.path / "confusion.csv").read_text().splitlines()))
    assert rows[0] == ["class", *map(str, range(10))]
    assert [row[0] for row in rows[1:]] == [str(digit) for digit in range(10)]
    return np.array(rows[1:], int)[:, 1:]


def hold_against_labels(run: Run, correct: int) -> None:
    """So many answers are right, and the table counts every image where it belongs."""
    labels = np.load(DATA / "mnist_t10k.npz")["labels"].astype(int)
    answers = run.output.argmax(axis=1)
    assert run.output.shape == (10_000, 10)
    assert np.allclose(run.output.sum(axis=1), 1)
    assert int((answers == labels).sum()) == correct
    expected = np.zeros((10, 10), int)
    np.add.at(expected, (labels, answers), 1)
    assert np.array_equal(confusion(run), expected)


def first_image_by_the_oracle(run: Run) -> np.ndarray:
    """The first stages of the first image, from the files and the oracle: the convolution, relu, the pooling."""
    arrays = np.load(DATA / "simple_convnet.npz")
    image = np.load(DATA / "mnist_t10k.npz")[run.config["input"]["entry"]][:1] / 255
    convolved = reference.conv(image, arrays["W1"], arrays["b1"])
    return reference_layers.max_pool(np.maximum(convolved, 0), 2, stride=2).astype(float)


@data
def test_the_simple_network_is_right_9890_times(tmp_path: Path) -> None:
    words = ("experiment=digits_simple", "keep=stages")
    made, said = run(tmp_path, *words)
    assert "new: " in said
    hold_against_labels(made, 9890)
    assert all(row["file"] for row in made.rows)
    assert made.array("input").shape == (1, 1, 28, 28)
    assert made.array("conv1/im2col").shape == (24 * 24, 25)
    assert np.allclose(made.array("pool1"), first_image_by_the_oracle(made), rtol=1e-12, atol=1e-12)
    assert np.allclose(made.array("softmax"), made.output[:1], rtol=1e-12)
    assert "reproduced: " in run(tmp_path, *words)[1]


@data
def test_the_deep_network_is_right_9938_times(tmp_path: Path) -> None:
    made, _ = run(tmp_path, "experiment=digits_deep", "keep=stages")
    hold_against_labels(made, 9938)
    assert all(row["file"] for row in made.rows)
    pads = {f"conv{layer}": made.array(f"conv{layer}/pad").shape[-1] for layer in range(1, 7)}
    assert pads == {"conv1": 30, "conv2": 30, "conv3": 16, "conv4": 18, "conv5": 10, "conv6": 10}
    assert made.array("pool3").shape == (1, 64, 4, 4)
    assert made.array("softmax").shape == (1, 10)


@data
def test_the_plan_is_known_before_anything_runs(tmp_path: Path) -> None:
    answer = convpipe("experiment=digits_deep", f"data={DATA}", f"root={tmp_path}", "dry_run=true")
    assert answer.code == 0
    assert "and 9999 more images, 64 at a time, whose stages are not recorded" in answer.out
    work = plan_work(job("experiment=digits_deep", f"data={DATA}").spec)
    assert (work.batch, work.recorded, work.plan.output.shape) == (10_000, 1, (1, 10))
    assert list(tmp_path.iterdir()) == []


@data
@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            "network.conv1.filters=20",
            r"network.conv1.weights: got (30, 1, 5, 5), expected weights of the shape (20, 1, 5,",
        ),
        ("network.dense1.weights=W9", "network.dense1.weights: got W9, expected one of the arrays in "),
        (
            "network.pool1.kernel=3",
            "network.dense1.weights: got (4320, 100), expected weights of the shape (3630, 100)",
        ),
        ("labels.entry=label", "labels.entry: got label, expected one of the arrays in "),
        ("input.entry=image", "input.entry: got image, expected one of the arrays in "),
        ("weights=safetensors", "weights.path: got "),
    ],
)
def test_what_does_not_suit_the_files(change: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused(tmp_path, "experiment=digits_simple", f"data={DATA}", change).startswith(line)


@pytest.mark.parametrize("name", ["digits_simple", "digits_deep"])
def test_without_data_the_key_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused(tmp_path, f"experiment={name}") == "data: got nothing, expected a value for it"
    line = refused(tmp_path, f"experiment={name}", "data=nowhere")
    assert line.startswith(("input.path: got nowhere/", "labels.path: got nowhere/"))
    assert "expected an .npz file that can be read (No such file" in line
