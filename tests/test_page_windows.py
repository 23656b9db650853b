"""The page's map from windows to pixels is an im2col of indices, made here by NumPy from the config's own numbers."""

from __future__ import annotations

import json
import shutil
import subprocess
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_cases import any_geometry
from run_cases import a_spec

from convpipe.graph.work import plan_work
from convpipe.report.page.convolutions import convolutions, cropped

CASES = [any_geometry(seed) for seed in range(120)]
SCRIPT = Path(__file__).parent / "page" / "windows.mjs"

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="node runs the modules and is not installed")


def facts_of(changes: dict[str, Any], at: tuple[int, ...] | None = None) -> dict[str, Any]:
    """What a page is told of a run's convolution, or of a part of it."""
    spec = a_spec(changes)
    [shown] = convolutions(spec, plan_work(spec))
    return (shown if at is None else cropped(shown, at)).facts


def answers(facts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the modules say of convolutions."""
    answer = subprocess.run(
        ["node", str(SCRIPT)], input=json.dumps(facts), capture_output=True, text=True, timeout=120, check=True
    )
    return list(json.loads(answer.stdout))


def index_columns(changes: dict[str, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The column matrix of an image that holds its own flat indices, and which of them are padding."""
    batch, channels, *spatial = changes["input.shape"]
    pads, stride, dilation, kernel = (
        changes[key] for key in ("conv.pad", "conv.stride", "conv.dilation", "filters.kernel")
    )
    inside = np.pad(np.ones(spatial, bool), pads)
    image = np.arange(batch * channels * inside.size).reshape(batch, channels, *inside.shape)
    outs = [
        range(0, size - (taps - 1) * step, move)
        for size, taps, step, move in zip(inside.shape, kernel, dilation, stride, strict=True)
    ]
    windows = [
        image[
            (n, slice(None), *(slice(s, s + (t - 1) * d + 1, d) for s, t, d in zip(at, kernel, dilation, strict=True)))
        ]
        for n in range(batch)
        for at in product(*outs)
    ]
    return np.array([window.ravel() for window in windows]), ~inside.ravel()


def test_every_entry_of_the_column_matrix_is_the_right_pixel() -> None:
    for changes, told in zip(CASES, answers([facts_of(changes) for changes in CASES]), strict=True):
        columns, padding = index_columns(changes)
        np.testing.assert_array_equal(told["rows"], columns, err_msg=str(changes))
        assert told["numbers"] == list(range(len(columns)))
        assert told["padding"] == padding.tolist()
        first_channel = columns[: len(columns) // changes["input.shape"][0], : np.prod(changes["filters.kernel"])]
        assert told["copies"] == np.bincount(first_channel.ravel(), minlength=padding.size).tolist()


def test_the_cases_are_of_every_kind() -> None:
    ranks = {len(changes["filters.kernel"]) for changes in CASES}
    assert ranks == {1, 2, 3}
    assert {changes["conv.groups"] for changes in CASES} == {1, 2}
    assert {changes["conv.pad_mode"] for changes in CASES} == {"constant", "reflect", "edge", "wrap"}
    assert any(before != after for changes in CASES for before, after in changes["conv.pad"])


def test_a_part_of_it_has_the_numbers_of_the_whole() -> None:
    changes = {"input.shape": [2, 1, 30, 40], "filters.kernel": [3, 3], "conv.pad": 1}
    [told] = answers([facts_of(changes, (1, 0, 10, 20))])
    rows = [(1 * 30 + y) * 40 + x for y in range(4, 16) for x in range(14, 26)]
    assert told["numbers"] == rows
    whole, _ = index_columns({**changes, "conv.pad": [[1, 1], [1, 1]], "conv.stride": [1, 1], "conv.dilation": [1, 1]})
    np.testing.assert_array_equal(told["rows"], whole[rows])
