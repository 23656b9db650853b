"""Training by the package's own gradients: each against differences, and the shipped file against the script."""

from __future__ import annotations

import zipfile
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runs import convpipe, only_run

import convpipe as cp
from convpipe.files import npz
from convpipe.ops.softmax import softmax
from convpipe.sources import stream
from convpipe.sources.shipped import SHIPPED_FOLDER
from convpipe.weights import train_digits as tool
from convpipe.weights.train_digits import SHAPES, Settings, Split, Weights

needs_sklearn = pytest.mark.skipif(find_spec("sklearn") is None, reason="no scikit-learn (the extra: digits)")
SHIPPED_FILE = SHIPPED_FOLDER / "digits_small.npz"
RIGHT = 445  # of the 450 test images


def some_images(count: int, dtype: str = "float32") -> Split:
    """Random images and classes, which need no scikit-learn."""
    numbers = np.random.default_rng(7)
    return Split(numbers.random((count, 1, 8, 8)).astype(dtype), numbers.integers(0, 10, count))


def shipped() -> Weights:
    return {name: npz.read_array(str(SHIPPED_FILE), name) for name in SHAPES}


# --- gradients


def loss_of(weights: Weights, split: Split) -> float:
    return tool.cross_entropy(tool.forward(weights, split.images)["dense1"], split.classes)


def difference(weights: Weights, split: Split, name: str, at: tuple[int, ...], step: float = 1e-6) -> float:
    """The slope of the loss along one weight, by a central difference."""
    ends = []
    for sign in (1, -1):
        moved = {other: array.copy() for other, array in weights.items()}
        moved[name][at] += sign * step
        ends.append(loss_of(moved, split))
    return (ends[0] - ends[1]) / (2 * step)


def wrong_slopes(
    weights: Weights, split: Split, grads: Weights, checked: int = 12
) -> list[tuple[str, tuple[int, ...]]]:
    """Of some cells of each array, those whose gradient is not the slope of the loss."""
    numbers, found = np.random.default_rng(3), []
    for name, grad in grads.items():
        for _ in range(min(checked, grad.size)):
            at = tuple(int(numbers.integers(size)) for size in grad.shape)
            if abs(difference(weights, split, name, at) - grad[at]) > 1e-7:
                found.append((name, at))
    return found


@pytest.fixture(scope="module")
def slopes() -> tuple[Weights, Split, Weights]:
    """Weights, images and the gradients in float64; biases other than 0, so that no padding cell is a tie."""
    split = some_images(5, "float64")
    numbers = np.random.default_rng(5)
    weights = {name: array.astype(np.float64) for name, array in tool.start_weights(0).items()}
    weights = {name: array + 0.1 * numbers.normal(size=array.shape) for name, array in weights.items()}
    return weights, split, tool.backward(weights, tool.forward(weights, split.images), split.classes)


def test_the_gradients_are_the_slopes_of_the_loss(slopes: tuple[Weights, Split, Weights]) -> None:
    weights, split, grads = slopes
    assert {name: grad.shape for name, grad in grads.items()} == SHAPES
    assert all(np.abs(grad).max() > 1e-4 for grad in grads.values())
    assert wrong_slopes(weights, split, grads) == []


@pytest.mark.parametrize("name", SHAPES)
def test_a_wrong_gradient_is_found(name: str, slopes: tuple[Weights, Split, Weights]) -> None:
    weights, split, grads = slopes
    found = wrong_slopes(weights, split, {name: grads[name] * 1.01 + 1e-3})
    assert found
    assert {array for array, _ in found} == {name}


def looped_max_pool_grad(x: Any, grad: Any, kernel: int) -> Any:
    """The first largest cell of each window takes the window's gradient, one cell at a time."""
    result = np.zeros(x.shape, grad.dtype)
    for n, c, row, column in product(*map(range, grad.shape)):
        cells = product(range(row * kernel, (row + 1) * kernel), range(column * kernel, (column + 1) * kernel))
        first = max(cells, key=lambda at: x[n, c, at[0], at[1]])  # max keeps the first of equals
        result[n, c, first[0], first[1]] += grad[n, c, row, column]
    return result


@pytest.mark.parametrize("dtype", ["int16", "float32"])
@pytest.mark.parametrize(("size", "kernel"), [(4, 2), (5, 2), (6, 3), (3, 1), (4, 4)])
def test_max_pool_grad_is_the_loops_with_many_ties(size: int, kernel: int, dtype: str) -> None:
    numbers = np.random.default_rng(size)
    x = numbers.integers(-1, 2, (3, 2, size, size)).astype(dtype)
    grad = numbers.integers(1, 99, (3, 2, size // kernel, size // kernel)).astype(dtype)
    kept = grad.copy()
    np.testing.assert_array_equal(tool.max_pool_grad(x, grad, kernel), looped_max_pool_grad(x, grad, kernel))
    np.testing.assert_array_equal(grad, kept)


def test_max_pool_grad_gives_a_tie_to_the_first() -> None:
    x = np.array([[[[1, 2], [2, 2]]]])
    assert tool.max_pool_grad(x, np.array([[[[9]]]]), 2).tolist() == [[[[0, 9], [0, 0]]]]


# --- training


def test_weights_start_from_the_streams_of_their_names() -> None:
    weights, others = tool.start_weights(0), tool.start_weights(1)
    assert {name: array.shape for name, array in weights.items()} == SHAPES
    assert {array.dtype for array in weights.values()} == {np.dtype(np.float32)}
    for name, array in weights.items():
        assert array.any() == name.endswith("weight")
        assert (array != others[name]).any() == name.endswith("weight")


def test_a_step_without_momentum_goes_down_the_gradient() -> None:
    weights, batch = tool.start_weights(0), some_images(4)
    grads = tool.backward(weights, tool.forward(weights, batch.images), batch.classes)
    velocity = {name: np.ones_like(array) for name, array in weights.items()}
    after, _ = tool.step(weights, velocity, grads, rate=0.5, momentum=0)
    for name, array in after.items():
        np.testing.assert_array_equal(array, weights[name] - np.float32(0.5) * grads[name])
        assert array.dtype == np.float32


def test_momentum_carries_the_last_step_on() -> None:
    weights = tool.start_weights(0)
    velocity = {name: np.full_like(array, 2) for name, array in weights.items()}
    after, carried = tool.step(weights, velocity, weights, rate=0, momentum=0.25)
    assert {float(value) for array in carried.values() for value in array.flat} == {0.5}
    for name, array in after.items():
        np.testing.assert_array_equal(array, weights[name] + np.float32(0.5))


def test_an_epochs_loss_is_of_before_its_steps() -> None:
    batch = some_images(4)
    (epoch,) = tool.train(batch, Settings(epochs=1, batch=4, rate=0.5))
    assert epoch.loss == pytest.approx(loss_of(tool.start_weights(0), batch), rel=1e-6)
    assert epoch.loss != pytest.approx(loss_of(epoch.weights, batch), rel=1e-3)


def test_a_few_epochs_lower_the_loss() -> None:
    losses = [epoch.loss for epoch in tool.train(some_images(24), Settings(epochs=6, batch=8, rate=0.02))]
    assert losses[-1] < losses[0] - 0.2


def test_every_image_comes_once_in_an_epoch_in_an_order_of_its_own() -> None:
    split, bits = Split(np.arange(10), np.arange(10)), stream(0, "order")
    orders = [[batch.images.tolist() for batch in tool.batches(split, bits, 4)] for _ in range(2)]
    assert [[len(rows) for rows in order] for order in orders] == [[4, 4, 2]] * 2
    flat = [[image for rows in order for image in rows] for order in orders]
    assert [sorted(order) for order in flat] == [list(range(10))] * 2
    assert flat[0] != flat[1]


def test_the_same_seed_makes_the_same_bytes() -> None:
    def bytes_of(seed: int) -> bytes:
        *_, last = tool.train(some_images(16), Settings(seed=seed, epochs=2, batch=8))
        return tool.npz_bytes(last.weights)

    assert bytes_of(0) == bytes_of(0)
    assert bytes_of(0) != bytes_of(1)


# --- the file


def test_the_file_is_an_npz_of_no_day(tmp_path: Path) -> None:
    weights = tool.start_weights(0)
    path = tmp_path / "weights.npz"
    path.write_bytes(tool.npz_bytes(weights))
    with np.load(path) as read:
        assert {name: read[name].shape for name in read} == SHAPES
        for name in read:
            np.testing.assert_array_equal(read[name], weights[name])
    with zipfile.ZipFile(path) as file:
        assert {(entry.date_time, entry.create_system) for entry in file.infolist()} == {((1980, 1, 1, 0, 0, 0), 3)}


def test_the_shipped_file_is_one_that_the_script_writes() -> None:
    weights = shipped()
    assert {name: array.shape for name, array in weights.items()} == SHAPES
    assert {array.dtype for array in weights.values()} == {np.dtype(np.float32)}
    assert SHIPPED_FILE.read_bytes() == tool.npz_bytes(weights)


@needs_sklearn
def test_the_shipped_weights_accuracy() -> None:
    assert tool.accuracy(shipped(), tool.read_split("test")) == RIGHT / 450
    assert tool.accuracy(shipped(), tool.read_split("train")) == 1


@needs_sklearn
def test_the_shipped_weights_come_after_the_scripts_first_epoch() -> None:
    first = next(tool.train(tool.read_split("train"), Settings()))
    assert first.loss == pytest.approx(1.4953876, abs=1e-5)  # four BLAS kernels differ by 4e-8


@needs_sklearn
def test_the_script_trains_the_network_of_the_config(tmp_path: Path) -> None:
    assert convpipe("experiment=digits_small", f"root={tmp_path}").code == 0
    scores = tool.forward(shipped(), tool.read_split("test").images)["dense1"]
    np.testing.assert_allclose(cp.load(only_run(tmp_path)).output, softmax(scores), atol=1e-5)


# --- the command


@needs_sklearn
def test_the_command_prints_a_table_and_writes_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "mine.npz"
    assert tool.main(["--epochs", "1", "--seed", "3", str(out)]) == 0
    counts, head, row, digest = capsys.readouterr().out.splitlines()
    assert counts.startswith("1347 images to train, 450 to test")
    assert head.split() == ["epoch", "loss", "train", "test", "seconds"]
    assert len(row.split()) == 5
    assert len(row) == len(head)
    assert digest.startswith("sha256 ")
    assert digest.endswith(str(out))
    assert {name: npz.read_array(str(out), name).shape for name in SHAPES} == SHAPES


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["none/x.npz"],
            "OUT.npz: got none/x.npz, expected a file name that ends with .npz, in a folder that there is",
        ),
        (["x.npy"], "OUT.npz: got x.npy, expected a file name that ends with .npz, in a folder that there is"),
        (["--epochs", "0", "x.npz"], "epochs: got 0, expected a whole number from 1"),
        (["--seed", "-1", "x.npz"], "seed: got -1, expected a whole number from 0"),
    ],
)
def test_a_wrong_command_is_one_line(
    words: list[str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert tool.main(words) == 2
    assert capsys.readouterr() == ("", f"train_digits: {line}\n")
    assert list(tmp_path.iterdir()) == []
