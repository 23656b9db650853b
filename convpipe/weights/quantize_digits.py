"""Quantise the network of ``experiment=digits_small`` after its training, to the int8 of ``experiment=quant_digits``:

    python -m convpipe.weights.quantize_digits convpipe/weights/quant_digits.npz conf/network/quant_digits.yaml

made both files that are shipped: weights, biases, multipliers and shifts as integers, and the settings that say what
they stand for. The range of each layer's output is that of the float network on the training digits; scales have four
digits, so that another machine's sums make the same ones. Filters have a scale each, and the zero point 0.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import convpipe as cp
from convpipe.archive.write import write_file
from convpipe.errors import ConfigError, ConvpipeError
from convpipe.execution.evaluation import evaluate
from convpipe.execution.threads import blas_threads
from convpipe.files import npz
from convpipe.files.endings import ending
from convpipe.sources.shipped import SHIPPED_FOLDER
from convpipe.tensors import Array
from convpipe.weights.train_digits import (
    SHAPES,
    Split,
    Weights,
    accuracy,
    forward as float_forward,
    npz_bytes,
    read_split,
)

LAYERS = ("conv1", "conv2", "dense1")
CLIPPED = {"conv1": "relu1", "conv2": "relu2", "dense1": "dense1"}  # whose range a layer's output has
PIXEL = 16  # steps of the input are 1/16, as the digits' pixels are: nothing is lost on the way in
LOW, HIGH = -128, 127


@dataclass(frozen=True)
class Affine:
    """How integers stand for real numbers: (q - zero_point) * scale."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class Quantised:
    """A network of int8: its arrays by name, and how the integers before and after each layer stand for numbers."""

    arrays: Weights
    affine: Mapping[str, Affine]  # "input", and each layer's output


def affine_of(values: Array) -> Affine:
    """The integers for real numbers: 0 is one of them, and the range is that of the numbers.

    >>> affine_of(np.array([0.0, 2.55])), affine_of(np.array([-1.0, 1.55]))
    (Affine(scale=0.01, zero_point=-128), Affine(scale=0.01, zero_point=-28))
    """
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    scale = float(f"{(high - low) / (HIGH - LOW):.4g}")
    return Affine(scale, int(np.clip(np.rint(LOW - low / scale), LOW, HIGH)))


def quantised(weights: Weights, images: Array) -> Quantised:
    """A float network in int8, each layer's range from what it makes of images (N, 1, 8, 8)."""
    wide = {name: array.astype(np.float64) for name, array in weights.items()}
    made = float_forward(wide, images.astype(np.float64))
    affine, arrays = {"input": Affine(1 / PIXEL, 0)}, Weights()
    before = affine["input"]
    for layer in LAYERS:
        affine[layer] = affine_of(made[CLIPPED[layer]])
        w, bias = weights[f"{layer}.weight"], weights[f"{layer}.bias"]
        parts = layer_arrays(np.moveaxis(w, 0, -1) if w.ndim > 2 else w, bias, before.scale, affine[layer].scale)
        arrays |= {f"{layer}.{name}": array for name, array in parts.items()}
        if w.ndim > 2:
            arrays[f"{layer}.weight"] = np.ascontiguousarray(np.moveaxis(arrays[f"{layer}.weight"], -1, 0))
        before = affine[layer]
    return Quantised(arrays, affine)


def layer_arrays(w: Array, bias: Array, input_scale: float, output_scale: float) -> Weights:
    """The integers of one layer, from weights whose last axis is that of its filters."""
    most = np.abs(w).reshape(-1, w.shape[-1]).max(0)
    scales = (most.astype(np.float64) / HIGH).astype(np.float32)
    real = float(np.float32(input_scale)) * scales.astype(np.float64) / float(np.float32(output_scale))
    pairs = [cp.quantize_multiplier(each) for each in real.tolist()]
    multiplier, shift = np.array(pairs, np.int32).T
    return {
        "weight": cp.quantize(w, scales),
        "bias": cp.quantize_bias(bias, input_scale, scales),
        "multiplier": multiplier.copy(),
        "shift": shift.copy(),
    }


def forward(network: Quantised, images: Array) -> Array:
    """The scores (N, 10), int8, of images (N, 1, 8, 8) of whole numbers from 0 to 16."""
    x, zero_point = images.astype(np.int8), network.affine["input"].zero_point
    for layer in LAYERS:
        bias, multiplier, shift = (network.arrays[f"{layer}.{name}"] for name in ("bias", "multiplier", "shift"))
        w, convolves = network.arrays[f"{layer}.weight"], layer.startswith("conv")
        x = cp.conv_quantized(
            x if convolves else cp.flatten(x)[:, :, None],
            w if convolves else w.T[:, :, None],
            bias,
            rule="double",
            multiplier=multiplier,
            shift=shift,
            input_zero_point=zero_point,
            output_zero_point=network.affine[layer].zero_point,
            low=network.affine[layer].zero_point if convolves else None,
            pad=int(convolves),
        )
        x = cp.max_pool(x, kernel=2) if convolves else x
        zero_point = network.affine[layer].zero_point
    return x[:, :, 0]


# The settings

HEAD = """\
# @package _global_
# The CNN of digits_small in int8: 1,898 weights, whose integers, multipliers and shifts come with the package.
# Written by python -m convpipe.weights.quantize_digits. The softmax is left out, as it changes no answer.
defaults:
  - override /filters: none
  - override /conv: none
  - override /weights: shipped
weights:
  name: quant_digits
network:
"""
POOLS = {"conv1": "  pool1: {op: max_pool, kernel: 2}\n", "conv2": "  pool2: {op: max_pool, kernel: 2}\n"}
SIZES = {
    "conv1": "op: conv\n    filters: 8\n    kernel: 3\n    pad: 1",
    "conv2": "op: conv\n    filters: 16\n    kernel: 3\n    pad: 1",
    "dense1": "op: dense\n    units: 10",
}


def config_text(network: Quantised) -> str:
    """The network as conf/network has it."""
    names = ("input", *LAYERS)
    pairs = zip(names, LAYERS, strict=False)
    return HEAD + "".join(layer_text(layer, network.affine[before], network.affine[layer]) for before, layer in pairs)


def layer_text(layer: str, before: Affine, after: Affine) -> str:
    """One layer, and the pool behind it."""
    flat = "  flatten: {op: flatten}\n" if layer == "dense1" else ""
    activation = "" if layer == "dense1" else "      activation: relu\n"
    return (
        f"{flat}  {layer}:\n    {SIZES[layer]}\n    quant:\n"
        "      rule: double\n"
        f"      input: {affine_text(before)}\n"
        f"      output: {affine_text(after)}\n"
        f"      multiplier: {layer}.multiplier\n      shift: {layer}.shift\n"
        f"{activation}      accumulator: {{overflow: wrap}}\n{POOLS.get(layer, '')}"
    )


def affine_text(affine: Affine) -> str:
    """Scale and zero point."""
    return f"{{scale: {affine.scale}, zero_point: {affine.zero_point}}}"


# The command


def main(arguments: Sequence[str] | None = None) -> int:
    """Quantise and write both files; gives the exit code."""
    parser = argparse.ArgumentParser(
        "python -m convpipe.weights.quantize_digits", description=__doc__.partition(":")[0]
    )
    parser.add_argument("weights", type=Path, metavar="OUT.npz", help="where the integers go")
    parser.add_argument("config", type=Path, metavar="OUT.yaml", help="where the settings go")
    options = parser.parse_args(arguments)
    try:
        for name, path, end in (("OUT.npz", options.weights, "npz"), ("OUT.yaml", options.config, "yaml")):
            if ending(path) != end or not path.parent.is_dir():
                expected = f"a file name that ends with .{end}, in a folder that there is"
                raise ConfigError(name, path, expected)
        with blas_threads(1):
            network = shown_quantising()
        contents = {options.weights: npz_bytes(network.arrays), options.config: config_text(network).encode()}
        digests = {path: write_file(path, [content]) for path, content in contents.items()}
    except ConvpipeError as error:
        print(f"quantize_digits: {error}", file=sys.stderr)
        return error.exit_code
    for path, digest in digests.items():
        print(f"sha256 {digest}  {path}")
    return 0


def shown_quantising() -> Quantised:
    """Quantise the shipped network by the training digits; prints both accuracies, which nothing is chosen by."""
    weights = {name: npz.read_array(str(SHIPPED_FOLDER / "digits_small.npz"), name) for name in SHAPES}
    splits = {name: read_split(name) for name in ("train", "test")}
    network = quantised(weights, splits["train"].images)
    print("right answers in per cent\n         train    test")
    floats = [accuracy(weights, split) for split in splits.values()]
    integers = [whole_accuracy(network, split) for split in splits.values()]
    for name, shares in (("float32", floats), ("int8", integers)):
        print(f"{name:<7}" + "".join(f"  {100 * share:6.2f}" for share in shares))
    return network


def whole_accuracy(network: Quantised, split: Split) -> float:
    """The share of images whose largest score is that of their class; the first of equal ones counts."""
    pixels = np.rint(split.images * PIXEL)
    return evaluate(forward(network, pixels), split.classes).accuracy


if __name__ == "__main__":
    sys.exit(main())
