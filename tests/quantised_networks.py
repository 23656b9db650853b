"""The oracle of a whole quantised network: each layer of an archived run again, cell by cell, in Python integers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

import convpipe as cp
from convpipe.reference import layers as oracle, quantised, rules
from convpipe.reference.quantised import Accumulator
from convpipe.reference.rules import Numbers

Layers = dict[str, dict[str, Any]]
ANY = {"source": "integers", "dtype": "int8", "low": -128, "high": 128}


def network_run(folder: Path, layers: Layers, *words: str, **config: Any) -> cp.Run:
    """A run of a network on integers, its weights integers too, where no other source is given; every stage is kept."""
    given = {"input": {**ANY, "shape": [2, 3, 5, 4]}, "weights": ANY, "network": layers, **config}
    (folder / "net.yaml").write_text(json.dumps({key: value for key, value in given.items() if value is not None}))
    return cp.run(str(folder / "net.yaml"), *words, root=folder / "runs", keep="stages")


def differing(run: cp.Run) -> list[str]:
    """The layers of a run that are not what the oracle makes of their inputs; each has been compared."""
    found, before = [], "input"
    for name, layer in run.config["network"].items():
        inputs = [layer_output(run, each) for each in layer.get("inputs") or [before]]
        made, expected = layer_output(run, name), np.asarray(layer_expected(run, name, layer, inputs))
        assert made.shape == expected.shape, (name, made.shape, expected.shape)
        if not all(a == b for a, b in zip(made.ravel().tolist(), expected.ravel().tolist(), strict=True)):
            found.append(name)
        before = name
    return found


def layer_output(run: cp.Run, name: str) -> np.ndarray:
    """What a layer made: its last stage."""
    rows = [row["stage"] for row in run.rows if row["stage"].partition("/")[0] == name]
    return run.array(rows[-1]) if name != "input" else run.array("input")


def layer_expected(run: cp.Run, name: str, layer: Mapping[str, Any], inputs: list[np.ndarray]) -> Any:
    """A layer by the oracle."""
    x, op = inputs[0], layer["op"]
    if op in ("conv", "dense"):
        return product_expected(run, name, layer, x)
    own = {key: value for key, value in layer.items() if key not in ("op", "inputs")}
    if op in ("avg_pool", "max_pool"):
        return getattr(oracle, op)(x, **{key: each for key, each in own.items() if key != "overflow"})
    if op == "global_avg_pool":
        return oracle.avg_pool(x, x.shape[2:], rounding=own["rounding"])
    if op == "requantize":
        return requantized(x, own)
    return {
        "flatten": lambda: oracle.flatten(x),
        "add": lambda: oracle.add(*inputs),
        "center": lambda: oracle.each(x, lambda cell: cell - own["zero_point"]),
        "clamp": lambda: oracle.clip(x, own.get("low"), own.get("high")),
        "relu6": lambda: oracle.clip(x, 0, 6),
        "quantize": lambda: oracle.each(x, lambda cell: rules.quantize(cell, **affine(own), dtype=own["dtype"])),
        "dequantize": lambda: oracle.each(x, lambda cell: rules.dequantize(cell, **affine(own))),
    }[op]()


def affine(own: Mapping[str, Any]) -> dict[str, Any]:
    """What a layer says of scale and zero point, as the rules call it."""
    return {"scale": Fraction(own["scale"]), "zero": own["zero_point"]}


def product_expected(run: cp.Run, name: str, layer: Mapping[str, Any], x: np.ndarray) -> Any:
    """A convolution, or a dense layer as one of images of one cell."""
    quant, convolves = layer["quant"], layer["op"] == "conv"
    given = {row["stage"] for row in run.rows}
    w = run.array(f"{name}/{'filters' if convolves else 'weights'}")
    if not convolves:
        x, w = x[:, :, None], (w if layer["layout"] == "out_in" else w.T)[:, :, None]
    bias = run.array(f"{name}/bias") if f"{name}/bias" in given else None
    zeros = quant["filters"]["zero_point"]
    sums = quantised.conv_sums(
        x, w, bias,
        input_zero=quant["input"]["zero_point"],
        filter_zeros=zeros if isinstance(zeros, list) else [zeros],
        accumulator=Accumulator(**quant["accumulator"]),
        **{key: layer[key] for key in ("stride", "pad", "dilation", "groups") if convolves},
    )  # fmt: skip
    made = sums if quant.get("rule") is None else narrowed(run, name, quant, sums, x.dtype.name)
    return made if convolves else made[:, :, 0]


def narrowed(run: cp.Run, name: str, quant: Mapping[str, Any], sums: np.ndarray, dtype: str) -> np.ndarray:
    """Sums as the output's integers, by the numbers that the run has on record."""
    out = quant["output"]
    dtype, zero = out.get("dtype") or dtype, out["zero_point"]
    low, high = rules.activation_range(
        quant["activation"], out.get("scale") and Fraction(out["scale"]), zero, dtype, quant["activation_rounding"]
    )
    return quantised.conv_quantized(
        sums, quant["rule"], channels_of(run, name, quant), zero=zero, dtype=dtype, low=low, high=high,
        overflow=quant["overflow"],
    )  # fmt: skip


def channels_of(run: cp.Run, name: str, quant: Mapping[str, Any]) -> list[Numbers]:
    """What the rule works with, channel by channel."""
    roles = ("multiplier", "shift", "filter_scale", "thresholds")
    there = {row["stage"] for row in run.rows}
    lists = {role: run.array(f"{name}/{role}").tolist() for role in roles if f"{name}/{role}" in there}
    own = {key: quant[key] for key in ("mode", "offset", "step")}
    if "filter_scale" in lists:
        own |= {f"{end}_scale": Fraction(quant[end]["scale"]) for end in ("input", "output")}
    count = max(map(len, lists.values()))
    return [Numbers(**own, **{role: each[f % len(each)] for role, each in lists.items()}) for f in range(count)]


def requantized(x: np.ndarray, own: Mapping[str, Any]) -> np.ndarray:
    """A requantize layer, its numbers along an axis."""
    lists = {key: own[key] if isinstance(own[key], list) else [own[key]] for key in ("multiplier", "shift")}
    made = np.empty(x.shape, object)
    for index in np.ndindex(x.shape):
        channel = index[own["axis"]]
        numbers = Numbers(**{key: each[channel % len(each)] for key, each in lists.items()}, mode=own["mode"])
        cell = int(x[index])
        made[index] = rules.requantize(cell, own["rule"], numbers, own["zero_point"], own["dtype"])
    return made
