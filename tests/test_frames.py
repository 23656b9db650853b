"""cp.runs, JSON and Parquet: the same columns whatever is in a collection, each of one type."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cli_runs import convpipe
from run_cases import FLOATS, a_place, a_run, execute, network_spec

import convpipe as cp
from convpipe.archive.collection import refresh
from convpipe.archive.frames import every_column, frame, frame_for_file, json_rows, series
from convpipe.archive.index import note
from convpipe.archive.table import FIXED, MEASURED, SOMETIMES, Row
from convpipe.errors import ConfigError
from convpipe.report import listing

needs_arrow = pytest.mark.skipif(find_spec("pyarrow") is None, reason="needs the extra: parquet")
ALWAYS = [*FIXED, *MEASURED, *sorted(SOMETIMES)]
DTYPES = {
    "run": "str", "status": "str", "output_shape": "str", "output_sha256": "str", "seconds": "float64",
    "lowering": "str", "format": "int64", "macs": "int64", "bytes": "int64", "k": "int64", "nonfinite": "int64",
    "accuracy": "float64", "error": "str", "note": "str",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of runs of several kinds, with a failed point and a damaged run."""
    folder = tmp_path_factory.mktemp("frames") / "c"
    for changes in (
        {},
        {"seed": 4, "conv.stride": [2, 1]},
        {**FLOATS, "conv.pad": "same", "conv.pad_value": 0.5},
        {"conv.pad": [[0, 1], [1, 0]], "lowering.stages": ["pad", "implicit_gemm"]},
    ):
        a_run(folder, changes)
    execute(network_spec({"conv1": {"op": "conv", "filters": 3, "kernel": 3}}), a_place(folder, note="a network"))
    damaged = a_run(folder, {"seed": 9}).folder
    refresh(folder)
    (damaged / "manifest.json").unlink()
    started = datetime.now(UTC).isoformat()
    note(folder, [{"run": "0" * 12, "status": "failed", "seed": "7", "started": started, "error": "conv.pad: no"}])
    refresh(folder)
    return folder


def test_the_columns_are_the_same_whatever_is_there(folder: Path, tmp_path: Path) -> None:
    one = a_run(tmp_path / "c", {}).folder.parent
    refresh(one)
    alone, whole = list(cp.runs(one)), list(cp.runs(folder))
    assert set(ALWAYS) <= set(alone) <= set(whole)
    assert {"conv.stride", "conv.pad", "input.low", "lowering.stages"} <= set(alone)  # though they do not vary
    assert alone[:2] == whole[:2] == ["run", "status"]
    assert [name for name in whole if name in ALWAYS] == [name for name in alone if name in ALWAYS] == ALWAYS
    refresh(tmp_path)
    assert list(cp.runs(tmp_path)) == ALWAYS


def test_the_order_of_columns_does_not_depend_on_that_of_rows() -> None:
    rows: list[Row] = [
        {"run": f"{at:012x}", "status": "done", f"b.{at % 3}": "1", "seed": "1", f"a.{at % 2}": "", "macs": "1"}
        for at in range(9)
    ]
    found = every_column(rows)
    assert found == [*FIXED, "b.0", "b.1", "b.2", "seed", "a.0", "a.1", *MEASURED, *sorted(SOMETIMES)]
    for part in range(20):
        random.Random(part).shuffle(rows)
        assert every_column(rows) == found


def test_each_column_has_one_type(folder: Path) -> None:
    runs = cp.runs(folder)
    for name in runs:
        kinds = {type(value) for value in runs[name].dropna()} - {type(None)}
        assert len(kinds) <= 1, (name, kinds)
    assert runs["conv.stride"].dropna().tolist() == [(1,), (2, 1), (1,), (1,)]
    assert set(runs["conv.pad"]) == {"1", "same", "[[0, 1], [1, 0]]", ""}
    assert runs["lowering.stages"].dropna().map(type).eq(tuple).all()


@pytest.mark.parametrize("name", DTYPES)
def test_what_is_measured_has_its_type(name: str, folder: Path, tmp_path: Path) -> None:
    one = a_run(tmp_path / "c", {}).folder.parent
    refresh(one)
    for table in (cp.runs(one), cp.runs(folder)):
        wanted = str(pd.Series(["a"]).dtype) if DTYPES[name] == "str" else DTYPES[name]
        gaps = table[name].isna().any() and wanted == "int64"
        assert str(table[name].dtype) == ("Int64" if gaps else wanted)


def test_when_a_run_started_is_a_time(folder: Path) -> None:
    started = cp.runs(folder)["started"]
    assert isinstance(started.dtype, pd.DatetimeTZDtype)
    assert str(started.dt.tz) == "UTC"
    assert (abs(started.dropna() - pd.Timestamp.now("UTC")) < timedelta(hours=1)).all()
    assert started.isna().sum() == 1  # of the damaged run
    newest = cp.runs(folder, sort="-started")["started"].dropna()
    assert newest.is_monotonic_decreasing
    texts = [row["started"] for row in json.loads(convpipe("runs", str(folder), "--format", "json").out)]
    assert [text and datetime.fromisoformat(text) for text in texts] == [
        None if pd.isna(time) else time.to_pydatetime() for time in started
    ]


def test_any_column_can_be_grouped_by(folder: Path) -> None:
    runs = cp.runs(folder)
    for name in runs:
        assert runs.groupby(name, dropna=False).size().sum() == len(runs), name
    assert runs.groupby("conv.stride").size().to_dict() == {(1,): 3, (2, 1): 1}


def test_a_lowering_is_its_name(folder: Path) -> None:
    assert set(cp.runs(folder, where="lowering == 'implicit'")["lowering"]) == {"implicit"}
    assert len(cp.runs(folder, where="lowering != 'implicit' and status == 'done'")) == 4
    assert cp.runs(folder, columns="lowering").columns.tolist() == ["lowering"]


def test_a_sweep_has_the_same_columns_and_types(tmp_path: Path) -> None:
    swept = cp.sweep("experiment=lecture_3d", root=tmp_path, seed=range(2), **{"conv.stride": [1, (2, 1)]})
    whole = cp.runs(tmp_path / "lecture_3d")
    pd.testing.assert_frame_equal(swept, whole)


def test_columns_by_words(folder: Path) -> None:
    varying = cp.runs(folder, columns="varying")
    assert list(varying) == (folder / "results.csv").read_text().partition("\n")[0].split(",")
    assert list(cp.runs(folder, columns="all")) == list(cp.runs(folder))
    assert "conv.groups" in cp.runs(folder, columns="all")
    assert "conv.dilation" in cp.runs(folder)
    for form, usual in (("csv", "varying"), ("json", "all")):
        printed = [convpipe("runs", str(folder), "--format", form, *more).out for more in ([], ["--columns", usual])]
        assert printed[0] == printed[1]
    head = convpipe("runs", str(folder), "--format", "csv", "--columns", "all").out.partition("\n")[0]
    assert head.split(",") == list(cp.runs(folder))
    with pytest.raises(ConfigError, match=r"^--columns: got alll, expected one of run, "):
        cp.runs(folder, columns="alll")


def test_a_column_that_no_run_has_is_asked_for_without_an_error(folder: Path) -> None:
    assert len(cp.runs(folder, where="accuracy > 0.5")) == 0
    assert cp.runs(folder, columns="accuracy")["accuracy"].isna().all()


# Numbers that are none


def ends(*pairs: tuple[str, str]) -> list[Row]:
    """Rows of which only the ends of the output are known."""
    return [{"run": f"{at:012x}", "status": "done", "min": low, "max": high} for at, (low, high) in enumerate(pairs)]


def test_ends_that_are_no_finite_numbers(tmp_path: Path) -> None:
    rows = ends(("nan", "nan"), ("-inf", "3.5"), ("1", "inf"), ("", ""))
    table = frame(rows, ["min", "max"])
    assert table.dtypes.astype(str).tolist() == ["float64", "float64"]
    np.testing.assert_array_equal(table["min"], [np.nan, -np.inf, 1, np.nan])
    np.testing.assert_array_equal(table["max"], [np.nan, 3.5, np.inf, np.nan])
    assert list(json_rows(rows, ["max"])) == [{"max": None}, {"max": 3.5}, {"max": None}, {"max": None}]
    found = {where: [row["run"][-1] for row in listing.chosen(rows, where, None, "run").rows] for where in WHERES}
    assert found == WHERES
    ordered = [row["max"] for row in listing.chosen(rows, None, "-max", "max").rows]
    assert ordered == ["inf", "3.5", "nan", ""]


WHERES = {
    "max > 3": ["1", "2"],
    "min < 0": ["1"],
    "max == max": ["1", "2"],
    "max == null": ["0", "3"],
    "max != 3.5": ["0", "2", "3"],
}


def test_whole_ends_are_whole() -> None:
    assert frame(ends(("-1", "9007199254740993")), ["max"])["max"].tolist() == [9007199254740993]
    assert str(frame(ends(("-1", "3"), ("", "")), ["max"])["max"].dtype) == "Int64"


# Files


MIXED: list[tuple[str, Sequence[str], list[Any]]] = [
    ("lists", ["[1, 2]", "3", ""], [[1, 2], [3], None]),
    ("lists of lists", ["[[1, 2], [3, 4]]", "[[5]]"], [[[1, 2], [3, 4]], [[5]]]),
    ("lists of numbers", ["[1, 2.5]"], [[1.0, 2.5]]),
    ("lists of texts", ["['a', 'b']", ""], [["a", "b"], None]),
    ("lists of different depth", ["[1, 2]", "[[1], [2]]"], ["[1, 2]", "[[1], [2]]"]),
    ("lists of numbers and texts", ["['a', 1]"], ["['a', 1]"]),
    ("lists beside texts", ["[1]", "same"], ["[1]", "same"]),
    ("truths", ["True", "False"], [True, False]),
    ("truths with gaps", ["True", ""], [True, None]),
    ("truths beside numbers", ["True", "1"], ["True", "1"]),
    ("numbers beside texts", ["1", "'1"], ["1", "1"]),
    ("no number of 64 bits", [str(2**64)], [str(2**64)]),
]


@needs_arrow
@pytest.mark.parametrize(("cells", "values"), [case[1:] for case in MIXED], ids=[case[0] for case in MIXED])
def test_parquet_has_lists_and_one_type_a_column(cells: list[str], values: list[Any], tmp_path: Path) -> None:
    rows = [{"run": f"{at:012x}", "x.y": cell} for at, cell in enumerate(cells)]
    frame_for_file(rows, ["x.y"]).to_parquet(tmp_path / "x.parquet")
    found = pd.read_parquet(tmp_path / "x.parquet")["x.y"]
    assert [None if value is None or value is pd.NA else plain(value) for value in found] == values


def plain(value: Any) -> Any:
    """Arrays as lists, and what is in them, too."""
    return [plain(entry) for entry in value] if isinstance(value, np.ndarray | list) else value


@needs_arrow
def test_parquet_comes_back_as_what_the_function_gives(folder: Path, tmp_path: Path) -> None:
    assert convpipe("runs", str(folder), "--output", str(tmp_path / "x.parquet")).code == 0
    found, runs = pd.read_parquet(tmp_path / "x.parquet"), cp.runs(folder)
    assert list(found) == list(runs)
    for name in runs:
        if runs[name].dtype == object and not isinstance(runs[name].dropna().iloc[0], str):
            assert [value if value is None else plain(value) for value in found[name]] == [
                value if value is None else json.loads(json.dumps(value)) for value in runs[name]
            ]
        else:
            pd.testing.assert_series_equal(found[name], runs[name])


@pytest.mark.parametrize("form", ["csv", "json", "txt", *(["parquet"] if find_spec("pyarrow") else [])])
def test_a_file_is_there_whole_or_as_it_was(
    form: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / f"x.{form}"
    target.write_bytes(b"before")
    real = os.replace

    def full(*paths: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    answer = convpipe("runs", str(folder), "--output", str(target))
    assert (answer.code, answer.err) == (4, f"convpipe: {target}: No space left on device; nothing was kept\n")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {target.name: b"before"}
    monkeypatch.setattr(os, "replace", real)
    assert convpipe("runs", str(folder), "--output", str(target)).code == 0
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
    assert len(target.read_bytes()) > 100


def test_a_link_stays_one_and_a_pipe_a_pipe(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_bytes(b"")
    (tmp_path / "link.csv").symlink_to("real.csv")
    assert convpipe("runs", str(folder), "--output", str(tmp_path / "link.csv")).code == 0
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text() == (folder / "results.csv").read_text()
    pipe = tmp_path / "pipe.csv"  # no device of the machine's, which broken code would put a file in the place of
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert convpipe("runs", str(folder), "--output", str(pipe)).code == 0
        assert os.read(reading, 1 << 20) == (folder / "results.csv").read_bytes()
    finally:
        os.close(reading)
    assert pipe.is_fifo()


def test_a_name_that_is_no_unicode_is_a_text(tmp_path: Path) -> None:
    column = series("input.path", ["\udcff.npy", "a"])
    assert column.tolist() == ["\udcff.npy", "a"]
