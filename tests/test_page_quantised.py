"""The page of a quantised run tells its cells as `explain` does: zero points, accumulator, each step of requantize."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convpipe as cp
from convpipe.archive.read import Run
from convpipe.report.page.asked import Asked
from convpipe.report.page.run_page import run_page

OpenPage = Callable[..., Any]
PIXELS = ("input=integers", "input.shape=[1,2,4,3]", "input.dtype=int8", "input.low=-128", "input.high=127")
WEIGHTS = ("filters=integers", "filters.count=2", "filters.kernel=2", "filters.dtype=int8", "bias=integers")
PLAIN = (*PIXELS, *WEIGHTS, "bias.dtype=int32", "conv.pad=1", "quant.input.zero_point=-3", "quant.activation=relu")
ZEROS = ("quant.filters.zero_point=[1,2]",)
NUMBERS = ("quant.multiplier=[1073741824,1500000000]", "quant.shift=[-1,-3]")
SCALES = ("quant.input.scale=0.1", "quant.filters.scale=[0.01,0.3]", "quant.output.scale=0.7")
RUNS = {
    "double": ("quant=tflite", *NUMBERS, *ZEROS),
    "float": ("quant=xnnpack", *SCALES),
    "offset": ("quant=onednn", *SCALES),
    "shift": ("quant=shift", "quant.shift=[3,0]", "quant.mode=half_even"),
    "thresholds": ("quant=thresholds", "quant.thresholds=[[-90,0,900],[5,6,7]]"),
    "wrapping": ("quant=tflite", *NUMBERS, *ZEROS, "quant.accumulator.bits=10"),
    "saturating": ("quant=tflite", *NUMBERS, "quant.accumulator={bits: 10, overflow: saturate, every: 3}"),
    "channels last": (
        "quant=tflite",
        *NUMBERS,
        "quant.accumulator={bits: 10, overflow: saturate, every: step, order: 'kh,kw,C'}",
    ),
    "pairs": ("quant=tflite", *NUMBERS, *ZEROS, "quant.accumulator.overflow=pairs16"),
}
WALK = """() => [...document.querySelectorAll('.map tbody td')].map(cell => {
  cell.dispatchEvent(new PointerEvent('pointerover', {bubbles: true}));
  const later = [...document.querySelectorAll('.later')].map(line => line.textContent);
  return [document.querySelector('.live').textContent, ...later];
})"""


def wanted(run: Run, at: tuple[int, ...]) -> list[str]:
    """What explain says of a cell: the line of its sum, and those of the stages after it, without verdicts."""
    story = cp.explain(run, at=at)
    lines = str(story).splitlines()
    first = len(lines) - lines[::-1].index("")
    return [lines[first - 2], *(line.rpartition(", as stored")[0] or line for line in lines[first:])]


@pytest.mark.parametrize("name", RUNS)
def test_cells_are_told_as_explain_tells_them(name: str, page_of: OpenPage) -> None:
    run = cp.run(*PLAIN, *RUNS[name], archive=False)
    told = page_of(run_page(run, Asked())).evaluate(WALK)
    assert told == [wanted(run, (0, 0, *at)) for at in np.ndindex(run.output.shape[1:3])]
    assert any(len(lines) > 3 for lines in told)


def test_zero_points_stand_beside_pixels_and_weights(page_of: OpenPage) -> None:
    run = cp.run(*PLAIN, *RUNS["double"], archive=False)
    page = page_of(run_page(run, Asked(at=(0, 1, 1, 1))))
    blocks = page.locator(".channels .blocks").first.text_content()
    assert "+ 3 \u00d7" in blocks
    assert "\u2212 2 =" in blocks
    channel = cp.explain(run, at=(0, 1, 1, 1)).cell.channels[0]
    added = page.locator(".channels .added").first.locator("td").all_text_contents()
    assert [int(text.strip(" +")) for text in added] == channel.products
    assert "pixels are less their zero point, -3, and weights less theirs: 1, 2." in page.text_content(".scheme")


def test_the_stages_are_listed(page_of: OpenPage) -> None:
    run = cp.run(*PLAIN, *RUNS["double"], archive=False)
    table = page_of(run_page(run, Asked())).text_content("#stages")
    assert all(stage in table for stage in ("center", "center_filters", "requantize", "clamp", "multiplier"))


def test_plain_pages_carry_none_of_this() -> None:
    plain = run_page(cp.run("experiment=lecture_3d", archive=False), Asked())
    quantised = run_page(cp.run(*PLAIN, *RUNS["double"], archive=False), Asked())
    assert b"saturating" not in plain
    assert b"saturating" in quantised
    assert b"zeros" not in plain.replace(b".zeros", b"")


# Networks


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A convolution and a dense layer in int8, and the real numbers that come out."""
    folder, draw = tmp_path_factory.mktemp("network"), np.random.default_rng(0)
    np.save(folder / "x.npy", draw.integers(-128, 128, (1, 2, 3, 3)).astype(np.int8))
    arrays = {
        "c1.weight": draw.integers(-128, 128, (2, 2, 3, 3)).astype(np.int8),
        "c1.bias": draw.integers(-100, 100, 2).astype(np.int32),
        "fc.weight": draw.integers(-128, 128, (18, 3)).astype(np.int8),
        "fc.bias": draw.integers(-100, 100, 3).astype(np.int32),
    }
    np.savez(folder / "w.npz", **arrays)
    quant = {"rule": "double", "input": {"zero_point": -3}, "multiplier": 1 << 30, "shift": -8}
    layers = {
        "c1": {"op": "conv", "pad": 1, "quant": quant},
        "flat": {"op": "flatten"},
        "fc": {"op": "dense", "quant": {**quant, "output": {"zero_point": 2}}},
        "real": {"op": "dequantize", "scale": 0.3, "zero_point": 2},
    }
    settings = {
        "input": {"source": "npy", "path": str(folder / "x.npy")},
        "weights": {"source": "npz", "path": str(folder / "w.npz")},
        "network": layers,
    }
    (folder / "net.yaml").write_text(json.dumps(settings))
    return cp.run(str(folder / "net.yaml"), archive=False)


def test_a_dense_layer_is_told_stage_by_stage(network: Run, page_of: OpenPage) -> None:
    page = page_of(run_page(network, Asked(at=(0, 2), layer="fc")))
    story = cp.explain(network, at=(0, 2), layer="fc")
    told = [line.text_content().strip() for line in page.locator(".told p").all()]
    *earlier, last = story.stages
    expected = []
    for stage in earlier:
        expected += [f"{words}: {text}" for words, text in stage.steps]
        expected.append(f"{stage.name}[0,2] = {stage.text} = {stage.stored}")
    assert told == expected
    assert page.text_content(".story") == f"{last.name}[0,2] = {last.text} = {last.stored}"


def test_a_layer_of_one_stage_has_its_steps(network: Run, page_of: OpenPage) -> None:
    page = page_of(run_page(network, Asked(at=(0, 1), layer="real")))
    [stage] = cp.explain(network, at=(0, 1), layer="real").stages
    assert page.locator(".told .step").all_text_contents() == [f"{words}: {text}" for words, text in stage.steps]


def test_a_convolution_of_the_network_is_told_cell_by_cell(network: Run, page_of: OpenPage) -> None:
    page = page_of(run_page(network, Asked(at=(0, 1, 2, 0), layer="c1")))
    assert page.locator(".later").all_text_contents()[-1].startswith("clamp: min(max(")
    assert page.text_content(".live") == str(cp.explain(network, at=(0, 1, 2, 0), layer="c1")).splitlines()[-8]


def test_quantised_layers_are_explained_to_the_last_cell(network: Run, tmp_path: Path) -> None:
    for layer in ("c1", "fc", "real"):
        assert all(
            cell.agrees
            for at in ((0, 0), (0, 1))
            for cell in cp.explain_map(network, at=at[: 2 if layer == "c1" else 1], layer=layer)
        )
