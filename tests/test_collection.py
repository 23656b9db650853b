"""Many runs in one folder: all of them listed, whatever their state, in the same bytes every time."""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_cases import FLOATS, a_run, contents, edit_manifest, hidden, run_folders

import convpipe as cp
from convpipe.archive.collection import read_results, rebuild, refresh
from convpipe.archive.frames import series
from convpipe.archive.index import INDEX, note, row_at
from convpipe.archive.table import FIXED, MEASURED, NOT_CONFIG, SOMETIMES, write_results
from convpipe.errors import ArchiveError, StorageError, UsageError

MEASURED_NAMES = [
    "output_shape", "output_sha256", "seconds", "lowering", "format", "macs", "bytes", "k", "min", "max", "nonfinite",
    "started",
]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of four runs, not to be changed."""
    folder = tmp_path_factory.mktemp("made") / "c"
    for changes in ({}, {"seed": 4}, {"conv.stride": [2, 1], "seed": 4}, {**FLOATS, "conv.pad": [[0, 1], [1, 0]]}):
        a_run(folder, changes)
    rebuild(folder)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(made, tmp_path / "c"))


def table(folder: Path) -> list[dict[str, str]]:
    with open(folder / "results.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_has_a_row_per_run_and_what_varies(made: Path) -> None:
    rows = table(made)
    assert {row["run"] for row in rows} == {path.name for path in made.iterdir() if path.is_dir()}
    started = [cp.load(made / row["run"]).manifest["started"] for row in rows]
    assert started == sorted(started)  # as they were made
    assert {row["status"] for row in rows} == {"done"}
    varying = [key for key in rows[0] if key not in FIXED + MEASURED]
    assert set(varying) >= {"seed", "conv.stride", "conv.pad", "input.source", "input.dtype", "filters.distribution"}
    assert not {"keep", "conv.groups", "lowering.stages", "input.shape"} & set(varying)
    assert list(rows[0])[:2] == ["run", "status"]
    assert list(rows[0])[-12:] == MEASURED_NAMES


def test_a_row_says_what_the_run_is(made: Path) -> None:
    row = next(row for row in table(made) if row["conv.stride"] == "[2, 1]")
    run = cp.load(made / row["run"])
    assert (row["seed"], row["output_shape"]) == ("4", "(1,3,5,3)")
    assert row["output_sha256"] == run.rows[-1]["sha256"]
    assert float(row["seconds"]) == pytest.approx(sum(map(min, run.manifest["seconds"].values())), abs=1e-9)


def test_a_rebuilt_table_has_the_same_bytes(folder: Path) -> None:
    before = (folder / "results.csv").read_bytes()
    (folder / "results.csv").unlink()
    assert rebuild(folder).read_bytes() == before
    (folder / "results.csv").write_bytes(b"nonsense")
    assert rebuild(folder).read_bytes() == before
    assert hidden(folder) == []


def test_a_single_run_and_none(tmp_path: Path) -> None:
    rebuild(tmp_path)
    assert table(tmp_path) == []
    assert read_results(tmp_path) == []
    assert (tmp_path / "results.csv").read_text() == ",".join(["run", "status", *MEASURED_NAMES]) + "\n"
    a_run(tmp_path)
    rebuild(tmp_path)
    assert list(table(tmp_path)[0]) == ["run", "status", *MEASURED_NAMES]


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no manifest": lambda run: (run / "manifest.json").unlink(),
    "no output": lambda run: (run / "output.npy").unlink(),
    "cut output": lambda run: (run / "output.npy").write_bytes((run / "output.npy").read_bytes()[:-1]),
    "other config": lambda run: (run / "config.yaml").write_text("seed: 1\n"),
    "other format": lambda run: edit_manifest(run, format=3),
    "other id": lambda run: edit_manifest(run, run_id="0" * 12),
    "no times": lambda run: edit_manifest(run, seconds={"pad": []}),
    "empty": lambda run: (shutil.rmtree(run), run.mkdir()),
    "other name": lambda run: run.rename(run.parent / ("f" * 12)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_runs_are_listed_as_damaged(folder: Path, damage: str) -> None:
    first = run_folders(folder)[0]
    DAMAGES[damage](first)
    rebuild(folder)
    rows = table(folder)
    assert sorted(row["status"] for row in rows) == ["damaged", "done", "done", "done"]
    (bad,) = [row for row in rows if row["status"] == "damaged"]
    assert bad["run"] == ("f" * 12 if damage == "other name" else first.name)
    assert not any(value for key, value in bad.items() if key not in FIXED)


def test_an_index_that_was_cut_short_is_mended_once(folder: Path) -> None:
    table_before, index = (folder / "results.csv").read_bytes(), folder / INDEX
    whole = index.read_bytes().splitlines()
    index.write_bytes(index.read_bytes()[:-10])
    for _ in range(3):
        assert refresh(folder).read_bytes() == table_before
        assert index.read_bytes().splitlines() == [*whole[:-1], whole[-1][:-9], whole[-1]]


def test_two_rows_on_one_line_of_an_index_count_for_nothing(folder: Path) -> None:
    table_before, index = (folder / "results.csv").read_bytes(), folder / INDEX
    whole = index.read_bytes().splitlines(keepends=True)
    index.write_bytes(whole[0][:-10] + b"".join(whole[1:]))  # as where a kill cut one short, and another was added
    assert sorted(refresh(folder).read_bytes().splitlines()) == sorted(table_before.splitlines())
    assert index.read_bytes().splitlines(keepends=True)[-2:] == whole[:2]


def test_what_is_no_run_is_not_listed(folder: Path) -> None:
    before = (folder / "results.csv").read_bytes()
    for name in (".staging-0123456789ab-1-2", "notes", "0123456789ABC", "0123456789a", "x123456789ab"):
        (folder / name).mkdir()
    (folder / "0123456789ab").write_bytes(b"a file")
    assert rebuild(folder).read_bytes() == before


def test_the_table_appears_at_once_or_not(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(folder)

    def refuse(*paths: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(StorageError, match=r"results\.csv: No space left on device"):
        rebuild(folder)
    assert contents(folder) == before


def test_processes_that_add_runs_at_once_leave_a_whole_table(folder: Path) -> None:
    # whoever publishes a run writes the table afterwards, one at a time: so the last one sees them all
    def add(seed: int) -> None:
        a_run(folder, {"seed": seed})
        refresh(folder)

    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=add, args=(seed,)) for seed in range(100, 106)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(table(folder)) == 10
    before = (folder / "results.csv").read_bytes()
    assert sorted(rebuild(folder).read_bytes().splitlines()) == sorted(before.splitlines())


def test_reading_writes_nothing_and_misses_nothing(folder: Path) -> None:
    assert len(read_results(folder)) == 4
    new = a_run(folder, {"seed": 77})
    before = contents(folder)
    assert new.path.name in {row["run"] for row in read_results(folder)}
    (folder / "results.csv").write_bytes(b"\xff\0")
    assert len(read_results(folder)) == 5
    (folder / "results.csv").unlink()
    assert len(read_results(folder)) == 5
    assert {key for key in before if key != "results.csv"} == set(contents(folder))


def test_no_collection() -> None:
    with pytest.raises(ArchiveError, match="nowhere: no such collection"):
        read_results(Path("nowhere"))
    with pytest.raises(UsageError, match=r"^runs: got nowhere, expected a folder$"):
        cp.runs("nowhere")


def test_runs_is_a_typed_table(folder: Path) -> None:
    shutil.rmtree(folder / a_run(folder, {"seed": 5}).path.name / "nothing", ignore_errors=True)
    DAMAGES["no manifest"](run_folders(folder)[0])
    runs = cp.runs(str(folder))
    assert len(runs) == 5
    assert runs["run"].str.fullmatch("[0-9a-f]{12}").all()
    assert runs["seconds"].dtype == np.float64
    assert runs["seconds"].isna().sum() == 1
    assert runs["seed"].dtype.kind in "if"
    assert runs["output_sha256"].map(type).eq(str).all()
    assert runs["input.dtype"].map(type).eq(str).all()


def test_runs_of_no_runs(tmp_path: Path) -> None:
    rebuild(tmp_path)
    runs = cp.runs(tmp_path)
    assert len(runs) == 0
    assert list(runs.columns) == ["run", "status", *MEASURED_NAMES, *sorted(SOMETIMES)]


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (["1", "2"], "i", [1, 2]),
        (["1", "2.5"], "f", [1.0, 2.5]),
        (["18446744073709551615", "0"], "u", [2**64 - 1, 0]),
        (["True", "False"], "b", [True, False]),
        (["[1, 2]", "3", ""], "O", [(1, 2), (3,), None]),
        (["same", "1"], "O", ["same", "1"]),
        (["'1", "1", "2"], "O", ["1", "1", "2"]),
        (["True", "1"], "O", ["True", "1"]),
        (["1", "same", "[2, 1]", "0.5", "True", ""], "O", ["1", "same", "[2, 1]", "0.5", "True", ""]),
        (["same", "valid", ""], "O", ["same", "valid", ""]),
        (["[1, 2]", "[[2, 1], [0, 1]]"], "O", [(1, 2), ((2, 1), (0, 1))]),
        (["same", "[2, 1]"], "O", ["same", "[2, 1]"]),
    ],
)
def test_columns_are_of_what_their_cells_are(values: list[str], kind: str, expected: list[Any]) -> None:
    column = series("conv.pad", values)
    assert column.dtype.kind == kind
    assert repr(column.tolist()) == repr(expected)  # which tells 1 from True and from 1.0


def test_a_column_of_several_kinds_finds_its_numbers(tmp_path: Path) -> None:
    for pad in (0, 1, 2, [2, 1]):
        a_run(tmp_path, {"conv.pad": pad})
    rebuild(tmp_path)
    runs = cp.runs(tmp_path)
    assert runs["conv.pad"].tolist() == [(0,), (1,), (2,), (2, 1)]
    assert runs["conv.pad"].name == "conv.pad"
    assert runs.groupby("conv.pad").size().tolist() == [1, 1, 1, 1]
    a_run(tmp_path, {"conv.pad": "same"})
    assert cp.runs(tmp_path)["conv.pad"].tolist() == ["0", "1", "2", "[2, 1]", "same"]
    assert len(cp.runs(tmp_path, where="conv.pad == 2 or conv.pad == [2, 1]")) == 2  # each is what it was set to


def test_gaps_in_columns() -> None:
    for cells in (["True", ""], ["1", ""], ["0.5", ""], ["[1]", ""]):
        assert series("conv.pad", cells).isna().tolist() == [False, True]


def test_a_run_with_a_number_for_an_id(tmp_path: Path) -> None:
    (tmp_path / ("1" * 12)).mkdir()
    assert cp.runs(tmp_path)["run"].tolist() == ["1" * 12]


def test_manifests_are_json_that_anyone_reads(made: Path) -> None:
    for path in run_folders(made):
        assert json.loads((path / "manifest.json").read_text())["status"] == "done"


# The table's columns


def plain_table(rows: list[dict[str, str]]) -> str:
    """The table that rows make, in as many passes as are plain: columns that differ in some row, then all rows."""
    whole = [row for row in rows if row["status"] != "damaged"]
    keys = list(dict.fromkeys(key for row in whole for key in row if key not in NOT_CONFIG))
    varying = [key for key in keys if len({row.get(key) for row in whole}) > 1]
    sometimes = [key for key in ("accuracy", "error") if any(key in row for row in rows)]
    columns = ["run", "status", *varying, *MEASURED_NAMES, *sometimes]
    lines = [columns, *([row.get(column, "") for column in columns] for row in rows)]
    return "".join(",".join(line) + "\n" for line in lines)


def some_rows(numbers: random.Random, count: int) -> list[dict[str, str]]:
    """Rows that mostly say the same; what differs may differ in one row alone, or be missing there."""
    rows = []
    for number in range(count):
        row = {"run": f"{number:012x}", "status": "done", "a": "1", "b.c": "2", "b.d": ""}
        if numbers.random() < 3 / count:
            row[numbers.choice(["a", "b.c", "b.d", "new", "newer"])] = numbers.choice(["", "7"])
        if numbers.random() < 1 / count:
            del row[numbers.choice(["a", "b.c"])]
        if numbers.random() < 1 / count:
            row["accuracy"] = "0.5"
        damaged = numbers.random() < 1 / count
        rows.append({"run": row["run"], "status": "damaged"} if damaged else row)
    return rows


@pytest.mark.parametrize("part", range(20))
def test_a_column_that_shows_late_is_there(part: int) -> None:
    numbers = random.Random(part)
    for _ in range(20):
        rows = some_rows(numbers, numbers.choice((1, 2, 99, 100, 101, 300)))
        written = io.StringIO()
        write_results(written, lambda rows=rows: iter(rows))  # type: ignore[misc]
        assert written.getvalue() == plain_table(rows)


def test_rows_longer_than_a_line_of_the_index(tmp_path: Path) -> None:
    (tmp_path / "0123456789ab").mkdir()
    row = {"run": "0123456789ab", "status": "done", "input.values": "9" * 100_000, "output_shape": "(1,)"}
    note(tmp_path, [row])
    with open(tmp_path / INDEX, "rb", buffering=0) as index:
        assert row_at(index, 0) == row
