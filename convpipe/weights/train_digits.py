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

import convpipe as cp
from convpipe.archive.write import write_file
from convpipe.errors import ConfigError, ConvpipeError
from convpipe.execution.evaluation import evaluate
from convpipe.execution.threads import blas_threads
from convpipe.fields import whole
from convpipe.files.endings import ending
from convpipe.files.npy import blocks, npy_header
from convpipe.geometry.pooling import solve_pool
from convpipe.ops.arrays.windows import tap_windows
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
class Epoch:
    """One pass over the training images: the mean loss on its way, and the weights after it."""

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
    made["conv1"] = cp.conv(images, weights["conv1.weight"], weights["conv1.bias"], pad=1)  # (N, 8, 8, 8)
    made["relu1"] = cp.relu(made["conv1"])
    made["pool1"] = cp.max_pool(made["relu1"], kernel=2)  # (N, 8, 4, 4)
    made["conv2"] = cp.conv(made["pool1"], weights["conv2.weight"], weights["conv2.bias"], pad=1)  # (N, 16, 4, 4)
    made["relu2"] = cp.relu(made["conv2"])
    made["pool2"] = cp.max_pool(made["relu2"], kernel=2)  # (N, 16, 2, 2)
    made["flatten"] = cp.flatten(made["pool2"])  # (N, 64)
    made["dense1"] = cp.dense(made["flatten"], weights["dense1.weight"], weights["dense1.bias"])
    return made


def backward(weights: Weights, made: Mapping[str, Array], classes: Array) -> Weights:
    """The gradient of the loss with respect to every weight, from what `forward` made."""
    grads = {}
    grad = cross_entropy_grad(made["dense1"], classes)
    grads["dense1.weight"], grads["dense1.bias"] = made["flatten"].T @ grad, grad.sum(axis=0)
    grad = (grad @ weights["dense1.weight"].T).reshape(made["pool2"].shape)
    for layer, before in (("2", "pool1"), ("1", "scale")):
        grad = max_pool_grad(made[f"relu{layer}"], grad, kernel=2)
        grad = grad * (made[f"conv{layer}"] > 0)  # of relu: nothing where it cut off
        w = weights[f"conv{layer}.weight"]
        grad, grads[f"conv{layer}.weight"], grads[f"conv{layer}.bias"] = cp.conv_grad(made[before], w, grad, pad=1)
    return grads


def cross_entropy(scores: Array, classes: Array) -> float:
    """The mean over the images of -log(the probability that softmax gives the right class).

    >>> round(cross_entropy(np.zeros((1, 10)), np.array([3])), 4)  # log(10)
    2.3026
    """
    return float(-cp.log_softmax(scores)[np.arange(len(classes)), classes].mean())


def cross_entropy_grad(scores: Array, classes: Array) -> Array:
    """The gradient of `cross_entropy` with respect to the scores: (softmax - 1 at the right class) / N.

    >>> cross_entropy_grad(np.zeros((1, 2)), np.array([1]))
    array([[ 0.5, -0.5]])
    """
    grad = cp.softmax(scores)
    grad[np.arange(len(classes)), classes] -= 1
    return grad / len(classes)


def max_pool_grad(x: Array, grad: Array, kernel: int) -> Array:
    """The gradient of `max_pool` with respect to x, from that of the result.

    The largest cell of a window takes it all; of equal ones the first, row by row, as in PyTorch.

    >>> max_pool_grad(np.array([[[1, 3, 4, 4]]]), np.array([[[10, 20]]]), kernel=2)
    array([[[ 0, 10, 20,  0]]])
    """
    largest, left, result = cp.max_pool(x, kernel), grad.copy(), np.zeros(x.shape, grad.dtype)
    for windows, cells in tap_windows(solve_pool(x.shape, kernel=kernel)):
        takes = np.where(x[cells] == largest[windows], left[windows], 0)
        result[cells] += takes
        left[windows] -= takes  # exactly 0 where it was taken
    return result


# Training


def train(split: Split, settings: Settings) -> Iterator[Epoch]:
    """Mini-batch gradient descent with momentum, one epoch at a time."""
    weights = start_weights(settings.seed)
    velocity = {name: np.zeros_like(array) for name, array in weights.items()}
    bits = stream(settings.seed, "order")
    for epoch in range(settings.epochs):
        rate = settings.rate * (1 - epoch / settings.epochs)
        losses = []
        for batch in batches(split, bits, settings.batch):
            made = forward(weights, batch.images)
            losses.append(cross_entropy(made["dense1"], batch.classes))
            grads = backward(weights, made, batch.classes)
            weights, velocity = step(weights, velocity, grads, rate, settings.momentum)
        yield Epoch(float(np.mean(losses)), weights)


def batches(split: Split, bits: np.random.PCG64, size: int) -> Iterator[Split]:
    """All images once, in an order drawn from `bits`, at most `size` at a time."""
    order = np.argsort(bits.random_raw(len(split.classes)), kind="stable")
    for rows in np.split(order, range(size, len(order), size)):
        yield Split(split.images[rows], split.classes[rows])


def step(weights: Weights, velocity: Weights, grads: Weights, rate: float, momentum: float) -> tuple[Weights, Weights]:
    """The weights after one step down the gradients, and the step, which momentum carries on."""
    velocity = {name: momentum * velocity[name] - rate * grad for name, grad in grads.items()}
    return {name: array + velocity[name] for name, array in weights.items()}, velocity


def accuracy(weights: Weights, split: Split) -> float:
    """The share of images whose largest score is that of their class."""
    return evaluate(forward(weights, split.images)["dense1"], split.classes).accuracy


def read_split(name: str) -> Split:
    """The digits ``train`` or ``test``.

    Raises:
        ConfigError: scikit-learn is not installed.
    """
    images, classes = (Digits(role=role, source="digits", split=name).array() for role in ("input", "labels"))
    return Split((images / 16).astype(np.float32), classes)  # 16 is the largest pixel


# The command


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and write the weights; gives the exit code."""
    parser = argparse.ArgumentParser("python -m convpipe.weights.train_digits", description=__doc__.partition(":")[0])
    parser.add_argument("--seed", type=int, default=Settings.seed, help=f"default {Settings.seed}")
    parser.add_argument("--epochs", type=int, default=Settings.epochs, help=f"default {Settings.epochs}")
    parser.add_argument("out", type=Path, metavar="OUT.npz", help="where the weights go")
    options = parser.parse_args(arguments)
    try:
        settings = Settings(whole(0)("seed", options.seed), whole(1)("epochs", options.epochs))
        if ending(options.out) != "npz" or not options.out.parent.is_dir():  # before a minute goes into it
            raise ConfigError("OUT.npz", options.out, "a file name that ends with .npz, in a folder that there is")
        with blas_threads(1):
            weights = shown_training(settings)
        digest = write_file(options.out, [npz_bytes(weights)])
    except ConvpipeError as error:
        print(f"train_digits: {error}", file=sys.stderr)
        return error.exit_code
    print(f"sha256 {digest}  {options.out}")
    return 0


def shown_training(settings: Settings) -> Weights:
    """Train, a printed line for each epoch; gives the last epoch's weights: nothing is chosen by the test images."""
    training, testing = read_split("train"), read_split("test")
    print(f"{len(training.classes)} images to train, {len(testing.classes)} to test; right answers in per cent")
    print("epoch    loss   train    test  seconds")
    start = time.perf_counter()
    for number, epoch in enumerate(train(training, settings), start=1):
        shares = "  ".join(f"{100 * accuracy(epoch.weights, split):6.2f}" for split in (training, testing))
        print(f"{number:5}  {epoch.loss:.4f}  {shares}  {time.perf_counter() - start:7.1f}")
    return epoch.weights


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
