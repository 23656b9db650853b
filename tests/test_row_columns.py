"""What a run's row says beside its settings: facts of its stages, its output, its time and its note."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runs import convpipe
from golden.make import GOLDEN
from run_cases import a_place, a_run, a_spec, edit_manifest, execute, network_spec, run_folders

import convpipe as cp
from convpipe.archive.collection import read_results, rebuild, refresh, whole_rows
from convpipe.archive.index import INDEX
from convpipe.archive.table import Row, run_row
from convpipe.config.read import read_spec
from convpipe.execution import batch

LATER = ("macs", "bytes", "k", "min", "max", "nonfinite", "started")


def only_row(folder: Path) -> Row:
    refresh(folder)
    (row,) = read_results(folder)
    return row


def test_sums_over_the_stages_and_the_ends_of_the_output(tmp_path: Path) -> None:
    # by hand: input (1,2,5,4), 3 filters of (2,2,2), pad 1, stride 1: an output of 6 x 5 cells
    run = a_run(tmp_path, {})
    row = only_row(tmp_path)
    cells, taps = 6 * 5, 2 * 2 * 2
    assert (row["macs"], row["k"]) == (str(cells * 3 * taps), str(taps))
    given = 1 * 2 * 5 * 4 + 3 * taps
    made = 2 * 7 * 6 + cells * taps + 3 * taps  # padded, columns, filter matrix: int16
    size = run.output.itemsize
    assert row["bytes"] == str(2 * (given + made) + size * 2 * cells * 3)  # the product and the feature map
    output = np.load(run.folder / "output.npy")
    assert (row["min"], row["max"], row["nonfinite"]) == (str(output.min()), str(output.max()), "0")


@pytest.mark.parametrize(
    ("changes", "taps"),
    [
        ({}, 8),
        ({"input.shape": [1, 4, 5, 4], "conv.groups": 2, "filters.count": 4}, 8),
        ({"lowering.stages": ["pad", "implicit_gemm"]}, 8),
        ({"filters.kernel": [2, 3]}, 12),
        ({"input.shape": [1, 2, 9], "filters.kernel": [3]}, 6),
    ],
)
def test_k_is_the_taps_of_a_sum(changes: dict[str, Any], taps: int, tmp_path: Path) -> None:
    a_run(tmp_path, changes)
    assert only_row(tmp_path)["k"] == str(taps)


def test_a_network_has_no_single_k(tmp_path: Path) -> None:
    layers = {"conv1": {"op": "conv", "filters": 3, "kernel": 3}}
    execute(network_spec(layers), a_place(tmp_path))
    row = only_row(tmp_path)
    assert (row["k"], int(row["macs"]) > 0) == ("", True)


def nonfinite_spec(tmp_path: Path, values: list[float]) -> Any:
    """A 1x1 convolution by 1, whose output is its input."""
    np.save(tmp_path / "x.npy", np.array(values, np.float32).reshape(1, 1, 2, 3))
    np.save(tmp_path / "one.npy", np.ones((1, 1, 1, 1), np.float32))
    plain = {
        "seed": 0,
        "input": {"source": "npy", "path": str(tmp_path / "x.npy")},
        "filters": {"source": "npy", "path": str(tmp_path / "one.npy")},
        "conv": {"stride": 1, "pad": 0, "dilation": 1, "groups": 1, "pad_mode": "constant", "pad_value": 0},
        "lowering": {"stages": ["pad", "im2col", "fil2col", "matmul", "reshape"]},
    }
    return read_spec(plain)


@pytest.mark.parametrize(
    ("values", "count", "said"),
    [
        ([1, 2, 3, 4, 5, 6], "0", False),
        ([1, np.nan, 3, np.inf, -np.inf, 6], "3", True),
        ([1, 2, 3, 4, 5, np.inf], "1", True),
        ([np.nan] * 6, "6", True),
    ],
)
def test_values_that_are_no_finite_number_are_counted(
    values: list[float], count: str, said: bool, tmp_path: Path
) -> None:
    run = execute(nonfinite_spec(tmp_path, values), a_place(tmp_path / "c")).run
    found = run.output
    assert np.array_equal(found.ravel(), np.array(values, np.float32), equal_nan=True)
    row = only_row(tmp_path / "c")
    assert row["nonfinite"] == count
    assert ("nonfinite" in run.manifest) is said
    # an archive from before this was noted: counted in its output
    record = json.loads((run.folder / "manifest.json").read_text())
    record.pop("nonfinite", None)
    (run.folder / "manifest.json").write_text(json.dumps(record))
    edit_manifest(run.folder)
    assert run_row(run.folder)["nonfinite"] == count


@pytest.mark.parametrize("wrong", [-1, "3", 1.5, True, None])
def test_a_manifest_that_says_nonsense_of_it_is_damaged(wrong: Any, tmp_path: Path) -> None:
    run = a_run(tmp_path)
    edit_manifest(run.folder, nonfinite=wrong)
    assert run_row(run.folder)["status"] == "damaged"


def test_when_it_started_and_its_note(tmp_path: Path) -> None:
    before = datetime.now(UTC)
    noted = execute(a_spec({"seed": 1}), a_place(tmp_path, note="the first, before lunch")).run
    plain = a_run(tmp_path, {"seed": 2})
    refresh(tmp_path)
    first, second = read_results(tmp_path)
    assert before <= datetime.fromisoformat(first["started"]) <= datetime.fromisoformat(second["started"])
    assert [first["started"], second["started"]] == [run.manifest["started"] for run in (noted, plain)]
    assert (first["note"], second["note"]) == ("the first, before lunch", "")


def test_a_point_that_failed_has_its_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = datetime.now(UTC)
    words = ["experiment=lecture_3d", "conv.dtype=int8", "input.values=[[[[100,100],[100,100]]]]", "name=c"]
    answer = convpipe("-m", *words, "filters.values=[[[[100]]]],[[[[1]]]]")
    assert answer.code == 1, answer.err
    rows = {row["status"]: row for row in read_results(tmp_path / "runs/c")}
    assert before <= datetime.fromisoformat(rows["failed"]["started"]) <= datetime.now(UTC)
    assert rows["failed"]["started"] <= rows["done"]["started"]


def test_the_time_of_a_batch_is_that_of_all_its_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # a clock that only running a slice moves: by one second an image
    now, output = [0.0], batch.pipeline.output

    def slow(plan: Any, arrays: Any, tally: Any) -> Any:
        now[0] += len(arrays["input"])
        return output(plan, arrays, tally)

    monkeypatch.setattr(batch, "perf_counter", lambda: now[0])
    monkeypatch.setattr(batch.pipeline, "output", slow)
    run = cp.run("experiment=digits_small", root=tmp_path)
    *stages, whole = run.rows
    recorded = int(stages[-1]["shape"].strip("(").split(",")[0])
    assert (whole["op"], recorded < len(run.output)) == ("batch", True)
    seconds = dict(run.manifest["seconds"])
    assert seconds.pop("output") == [len(run.output) - recorded]
    (row,) = whole_rows(run.folder.parent)
    assert float(row["seconds"]) == pytest.approx(len(run.output) - recorded + sum(map(min, seconds.values())))


def test_lines_of_older_code_are_read_anew_once(tmp_path: Path) -> None:
    for seed in (3, 1, 2):
        a_run(tmp_path, {"seed": seed})
    rebuild(tmp_path)
    today = (tmp_path / "results.csv").read_bytes()
    rows = [json.loads(line) for line in (tmp_path / INDEX).read_text().splitlines()]
    older = [{key: text for key, text in row.items() if key not in LATER} for row in rows]
    (tmp_path / INDEX).write_text("".join(json.dumps(row) + "\n" for row in reversed(older)))
    assert whole_rows(tmp_path) == rows
    assert refresh(tmp_path).read_bytes() == today
    lines = (tmp_path / INDEX).read_text().splitlines()
    assert len(lines) == 6
    assert [json.loads(line) for line in lines[3:]] == rows
    refresh(tmp_path)
    assert len((tmp_path / INDEX).read_text().splitlines()) == 6


def test_runs_of_format_1_have_what_can_be_known(tmp_path: Path) -> None:
    path = run_folders(GOLDEN / "lecture_3d")[0]
    row = run_row(path)
    run = cp.load(path)
    assert (row["started"], row["format"]) == ("", "1")
    assert row["macs"] == str(sum(int(stage["macs"]) for stage in run.rows))
    assert (row["min"], row["max"]) == (str(run.output.min()), str(run.output.max()))
