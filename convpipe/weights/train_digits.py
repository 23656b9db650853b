"""Train the network of ``experiment=digits_small``, by the package's own convolution and gradients:

    python -m convpipe.weights.train_digits convpipe/weights/digits_small.npz

made the file that is shipped. Every random number is drawn from a named stream of the seed, and BLAS runs on one
thread: on one machine the same command makes the same bytes. Where BLAS adds in another order, the weights differ
in their last digits at first, and more with every step.
"""

import argparse
import io
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convpipe.archive.write import write_file
from convpipe.errors import ConfigError, ConvpipeError
from convpipe.execution.evaluation import evaluate
from convpipe.execution.functions import conv, conv_grad
from convpipe.execution.runner import blas_threads
from convpipe.fields import whole
from convpipe.files.endings import ending
from convpipe.files.npy import blocks, npy_header
from convpipe.geometry.pooling import solve_pool
from convpipe.ops.arrays.windows import tap_windows
from convpipe.ops.dense import dense
from convpipe.ops.flatten import flatten
from convpipe.ops.log_softmax import log_softmax
from convpipe.ops.max_pool import max_pool
from convpipe.ops.relu import relu
from convpipe.ops.softmax import softmax
from convpipe.sources import read_source, stream
from convpipe.sources.digits import Digits
from convpipe.tensors import Array, Signature

Weights = dict[str, Array]  # by the names that conf/network/digits_small.yaml gives them

SHAPES = {
    "conv1.weight": (8, 1, 3, 3),
    "conv1.bias": (8,),
    "conv2.weight": (16, 8, 3, 3),
    "conv2.bias": (16,),
    "dense1.weight": (64, 10),
    "dense1.bias": (10,),
}
LARGEST_PIXEL = 16


@dataclass(frozen=True)
class Settings:
    """How to train. The step shrinks from `rate` in the first epoch to `rate` / `epochs` in the last."""

    seed: int = 0
    epochs: int = 20
    batch: int = 32
    rate: float = 0.05
    momentum: float = 0.9


@dataclass(frozen=True)
class Split:
    """Images (N, 1, 8, 8), float32 from 0 to 1, and their classes (N,)."""

    images: Array
    classes: Array


@dataclass(frozen=True)
class State:
    """Where training stands: the weights, and the step that momentum carries on."""

    weights: Weights
    velocity: Weights


@dataclass(frozen=True)
class Epoch:
    """One pass over the training images: the mean loss on its way, and the weights after it."""

    number: int
    loss: float
    weights: Weights


# The network


def start_weights(seed: int) -> Weights:
    """Normal numbers of variance 2/fan-in, each array from the stream of its name; every bias 0."""
    source = read_source("weights", {"source": "random"})
    return {
        name: np.zeros(shape, np.float32)
        if name.endswith("bias")
        else source.make(Signature(shape, np.dtype(np.float32)), stream(seed, name))
        for name, shape in SHAPES.items()
    }


def forward(weights: Weights, images: Array) -> dict[str, Array]:
    """What each layer makes of images (N, 1, 8, 8), by the layer's name; the last are the scores (N, 10)."""
    made = {"scale": images}
    made["conv1"] = conv(images, weights["conv1.weight"], weights["conv1.bias"], pad=1)  # (N, 8, 8, 8)
    made["relu1"] = relu(made["conv1"])
    made["pool1"] = max_pool(made["relu1"], kernel=2)  # (N, 8, 4, 4)
    made["conv2"] = conv(made["pool1"], weights["conv2.weight"], weights["conv2.bias"], pad=1)  # (N, 16, 4, 4)
    made["relu2"] = relu(made["conv2"])
    made["pool2"] = max_pool(made["relu2"], kernel=2)  # (N, 16, 2, 2)
    made["flatten"] = flatten(made["pool2"])  # (N, 64)
    made["dense1"] = dense(made["flatten"], weights["dense1.weight"], weights["dense1.bias"])
    return made


def backward(weights: Weights, made: Mapping[str, Array], classes: Array) -> Weights:
    """The gradient of the loss with respect to every weight, from what `forward` made."""
    grads = {}
    grad = cross_entropy_grad(made["dense1"], classes)
    grad, grads["dense1.weight"], grads["dense1.bias"] = dense_grad(made["flatten"], weights["dense1.weight"], grad)
    grad = grad.reshape(made["pool2"].shape)
    for layer, before in (("2", "pool1"), ("1", "scale")):
        grad = max_pool_grad(made[f"relu{layer}"], grad, kernel=2)
        grad = relu_grad(made[f"conv{layer}"], grad)
        w = weights[f"conv{layer}.weight"]
        grad, grads[f"conv{layer}.weight"], grads[f"conv{layer}.bias"] = conv_grad(made[before], w, grad, pad=1)
    return grads


def cross_entropy(scores: Array, classes: Array) -> float:
    """The mean over the images of -log(the probability that softmax gives the right class).

    >>> round(cross_entropy(np.zeros((1, 10)), np.array([3])), 4)  # log(10)
    2.3026
    """
    return float(-log_softmax(scores)[np.arange(len(classes)), classes].mean())


def cross_entropy_grad(scores: Array, classes: Array) -> Array:
    """The gradient of `cross_entropy` with respect to the scores: (softmax - 1 at the right class) / N.

    >>> cross_entropy_grad(np.zeros((1, 2)), np.array([1]))
    array([[ 0.5, -0.5]])
    """
    grad = softmax(scores)
    grad[np.arange(len(classes)), classes] -= 1
    return grad / len(classes)


def dense_grad(x: Array, weights: Array, grad: Array) -> tuple[Array, Array, Array]:
    """The gradients of ``x @ weights + bias`` with respect to x, weights and bias, from that of the result."""
    return grad @ weights.T, x.T @ grad, grad.sum(axis=0)


def relu_grad(x: Array, grad: Array) -> Array:
    """The gradient of relu with respect to x, from that of the result: nothing where x <= 0.

    >>> relu_grad(np.array([-1, 0, 2]), np.array([5, 6, 7]))
    array([0, 0, 7])
    """
    return grad * (x > 0)


def max_pool_grad(x: Array, grad: Array, kernel: int) -> Array:
    """The gradient of `max_pool` with respect to x, from that of the result.

    The largest cell of a window takes it all; of equal ones the first, row by row, as in PyTorch.

    >>> max_pool_grad(np.array([[[1, 3, 4, 4]]]), np.array([[[10, 20]]]), kernel=2)
    array([[[ 0, 10, 20,  0]]])
    """
    largest, left, result = max_pool(x, kernel), grad.copy(), np.zeros(x.shape, grad.dtype)
    for windows, cells in tap_windows(solve_pool(x.shape, kernel=kernel)):
        takes = np.where(x[cells] == largest[windows], left[windows], 0)
        result[cells] += takes
        left[windows] -= takes  # exactly 0 where it was taken
    return result


# Training


def train(split: Split, settings: Settings) -> Iterator[Epoch]:
    """Mini-batch gradient descent with momentum, one epoch at a time."""
    weights = start_weights(settings.seed)
    state = State(weights, {name: np.zeros_like(array) for name, array in weights.items()})
    bits = stream(settings.seed, "order")
    for number in range(1, settings.epochs + 1):
        rate = settings.rate * (1 - (number - 1) / settings.epochs)
        losses = []
        for batch in batches(split, bits, settings.batch):
            state, loss = stepped(state, batch, rate, settings.momentum)
            losses.append(loss)
        yield Epoch(number, float(np.mean(losses)), state.weights)


def batches(split: Split, bits: np.random.PCG64, size: int) -> Iterator[Split]:
    """All images once, in an order drawn from `bits`, at most `size` at a time."""
    order = np.argsort(bits.random_raw(len(split.classes)), kind="stable")
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        yield Split(split.images[rows], split.classes[rows])


def stepped(state: State, batch: Split, rate: float, momentum: float) -> tuple[State, float]:
    """The state after one step down the gradient of a batch, and the batch's loss before it."""
    made = forward(state.weights, batch.images)
    grads = backward(state.weights, made, batch.classes)
    velocity = {name: momentum * state.velocity[name] - rate * grad for name, grad in grads.items()}
    weights = {name: array + velocity[name] for name, array in state.weights.items()}
    return State(weights, velocity), cross_entropy(made["dense1"], batch.classes)


def accuracy(weights: Weights, split: Split) -> float:
    """The share of images whose largest score is that of their class."""
    return evaluate(forward(weights, split.images)["dense1"], split.classes).accuracy


def read_split(name: str) -> Split:
    """The digits ``train`` or ``test``.

    Raises:
        ConfigError: scikit-learn is not installed.
    """
    images, classes = (Digits(role=role, source="digits", split=name).array() for role in ("input", "labels"))
    return Split((images / LARGEST_PIXEL).astype(np.float32), classes)


# The command


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and write the weights; gives the exit code."""
    options = parsed(arguments)
    try:
        seed, epochs = whole(0)("seed", options.seed), whole(1)("epochs", options.epochs)
        check_place(options.out)
        with blas_threads(1):
            weights = shown_training(Settings(seed, epochs))
        digest = write_file(options.out, [npz_bytes(weights)])
    except ConvpipeError as error:
        print(f"train_digits: {error}", file=sys.stderr)
        return error.exit_code
    print(f"sha256 {digest}  {options.out}")
    return 0


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line's settings."""
    usual = Settings()
    parser = argparse.ArgumentParser("python -m convpipe.weights.train_digits", description=__doc__.partition(":")[0])
    parser.add_argument("--seed", type=int, default=usual.seed, help=f"default {usual.seed}")
    parser.add_argument("--epochs", type=int, default=usual.epochs, help=f"default {usual.epochs}")
    parser.add_argument("out", type=Path, metavar="OUT.npz", help="where the weights go")
    return parser.parse_args(arguments)


def check_place(out: Path) -> None:
    """There is a folder for the file, before a minute goes into it.

    Raises:
        ConfigError: there is none, or the name is not that of an .npz file.
    """
    if ending(out) != "npz" or not out.parent.is_dir():
        raise ConfigError("OUT.npz", out, "a file name that ends with .npz, in a folder that there is")


def shown_training(settings: Settings) -> Weights:
    """Train, a printed line for each epoch; gives the last epoch's weights: nothing is chosen by the test images."""
    training, testing = read_split("train"), read_split("test")
    print(f"{len(training.classes)} images to train, {len(testing.classes)} to test; right answers in per cent")
    print("epoch    loss   train    test  seconds")
    weights, start = {}, time.perf_counter()
    for epoch in train(training, settings):
        weights = epoch.weights
        shares = [100 * accuracy(weights, split) for split in (training, testing)]
        seconds = time.perf_counter() - start
        print(f"{epoch.number:5}  {epoch.loss:.4f}  {shares[0]:6.2f}  {shares[1]:6.2f}  {seconds:7.1f}")
    return weights


def npz_bytes(weights: Weights) -> bytes:
    """An .npz file of these arrays: equal arrays make equal bytes, whatever the day, the system and NumPy's version."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as file:
        for name, array in weights.items():
            entry = zipfile.ZipInfo(f"{name}.npy")  # of the year 1980, where zip's calendar starts
            entry.create_system = 3  # Unix, on Windows too
            file.writestr(entry, npy_header(array.shape, array.dtype) + b"".join(blocks(array)))
    return content.getvalue()


if __name__ == "__main__":
    sys.exit(main())
