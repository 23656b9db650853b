"""A text is a text in every table, whatever it looks like; and no cell is a formula to who opens it elsewhere."""

from __future__ import annotations

import csv
import io
import json
import shutil
import unicodedata
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from cli_runs import convpipe
from hypothesis import given, settings, strategies as st

import convpipe as cp
from convpipe.archive.cells import cell_text, plain_value, unmarked
from convpipe.archive.collection import read_results, rebuild, refresh, whole_rows
from convpipe.archive.identity import Described
from convpipe.archive.index import INDEX, note
from convpipe.archive.results import RECORD
from convpipe.archive.table import failed_row
from convpipe.archive.timings import timing_rows
from convpipe.errors import ConfigError

NAMES = [
    "1",
    "01",
    "100000",
    "1e5",
    "-7",
    "True",
    "false",
    "None",
    "nan",
    "[1]",
    "=SUM(A1)",
    "+x",
    "@x",
    "'x",
    "-x",
    "''",
]
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def formulas(table: str) -> list[str]:
    """The cells of a CSV table that a spreadsheet would work out, numbers apart."""
    cells = [cell for row in csv.reader(io.StringIO(table, newline="")) for cell in row]
    return [
        cell for cell in cells if cell.startswith(FORMULA) and isinstance(plain_value(cell), str) and cell != "-inf"
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of runs of files with such names, each with such a note."""
    root = tmp_path_factory.mktemp("texts")
    for number, name in enumerate(NAMES):
        np.save(root / "x.npy", np.full((1, 3, 4, 4), number, np.int16))
        (root / "x.npy").rename(root / name)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(root)
            cp.run("experiment=lecture_3d", input="npy", name="c", note=name, **{"input.path": name})
    return root / "runs/c"


@pytest.mark.parametrize("name", NAMES)
def test_it_is_found_as_a_text(name: str, folder: Path) -> None:
    for column in ("path", "note"):
        found = cp.runs(folder, where=f"{column} == {name!r}")
        assert found[["input.path", "note"]].values.tolist() == [[name, name]]


@pytest.mark.parametrize("number", [1, 100000, -7, True, 1e5])
def test_a_number_does_not_find_it(number: object, folder: Path) -> None:
    assert len(cp.runs(folder, where=f"path == {number!r} or note == {number!r}")) == 0


def test_it_is_one_in_every_format(folder: Path, tmp_path: Path) -> None:
    for column in ("input.path", "note"):
        assert cp.runs(folder)[column].tolist() == NAMES
        answer = convpipe("runs", str(folder), "--format", "json")
        assert [row[column] for row in json.loads(answer.out)] == NAMES
        with open(folder / "results.csv", newline="") as file:
            assert [unmarked(row[column]) for row in csv.DictReader(file)] == NAMES
    if find_spec("pyarrow"):
        import pandas as pd

        assert convpipe("runs", str(folder), "--output", str(tmp_path / "x.parquet")).code == 0
        assert pd.read_parquet(tmp_path / "x.parquet")["input.path"].tolist() == NAMES


def test_no_table_has_a_formula(folder: Path) -> None:
    assert formulas("a,=1+1\n-5,-x\n") == ["=1+1", "-x"], "this test would find them"
    assert formulas((folder / "results.csv").read_text()) == []
    assert formulas(convpipe("runs", str(folder), "--format", "csv", "--columns", "all").out) == []
    row = next(row for row in read_results(folder) if unmarked(row["note"]) == "=SUM(A1)")
    assert (row["note"], row["input.path"]) == ("'=SUM(A1)", "'=SUM(A1)")


def test_a_table_for_people_has_it_as_it_is(folder: Path) -> None:
    lines = convpipe("runs", str(folder), "--columns", "note,path").out.splitlines()
    assert [line.split() for line in lines[1:]] == [[name, name] for name in NAMES]


def test_its_row_is_the_same_from_the_index_and_from_the_run(folder: Path) -> None:
    table = (folder / "results.csv").read_bytes()
    rows = whole_rows(folder)
    assert rebuild(folder).read_bytes() == table
    assert whole_rows(folder) == rows


def test_an_error_that_begins_so_is_a_text_in_the_table(tmp_path: Path) -> None:
    note(tmp_path, [failed_row(Described({}, "0" * 12), "=HYPERLINK(1)", "now")])
    assert "'=HYPERLINK(1)" in refresh(tmp_path).read_text()
    assert cp.runs(tmp_path, where="error == '=HYPERLINK(1)'")["error"].tolist() == ["=HYPERLINK(1)"]


@pytest.mark.parametrize("text", ["01", "1e5", "1E5", "1.50", ".5", "1,000", "true", "FALSE", "7"])
def test_what_a_spreadsheet_takes_for_a_number_has_the_mark(text: str) -> None:
    assert cell_text(text) == f"'{text}"


@pytest.mark.parametrize("text", ["same", "nan", "inf", "a1", "1x1", "im2col", "2 x", "(1,2)", "수업1"])
def test_other_texts_have_none(text: str) -> None:
    assert cell_text(text) == text


@given(st.text())
@settings(derandomize=True, max_examples=300, deadline=None)
def test_any_text_comes_back_and_is_no_formula(text: str) -> None:
    cell = cell_text(text)
    assert unmarked(cell) == text
    assert (plain_value(cell) or "") == text
    assert not cell.startswith(FORMULA)


def test_lines_of_older_code_with_texts_in_quotes_are_read_anew(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "c"))
    rows = [json.loads(line) for line in (copy / INDEX).read_text().splitlines()]
    for row in rows:  # as they were: such texts quoted as Python has them, and columns missing
        text = unmarked(row["input.path"])
        row["input.path"] = repr(text) if text in ("1", "100000", "-7", "True", "[1]", "''") else text
        for column in ("macs", "bytes", "k", "min", "max", "nonfinite", "started", "note"):
            del row[column]
    (copy / INDEX).write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert whole_rows(copy) == whole_rows(folder)
    (copy / RECORD).unlink()
    assert cp.runs(copy)["input.path"].tolist() == NAMES


# Names


def test_a_name_of_a_collection_is_in_one_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    apart = unicodedata.normalize("NFD", "수업é")
    assert apart != unicodedata.normalize("NFC", apart)
    cp.run("experiment=lecture_3d", name=apart)
    cp.run("experiment=lecture_3d", "seed=1", name=unicodedata.normalize("NFC", apart))
    assert [path.name for path in Path("runs").iterdir()] == [unicodedata.normalize("NFC", apart)]
    assert len(cp.runs(f"runs/{unicodedata.normalize('NFC', apart)}")) == 2


@pytest.mark.parametrize(("letter", "most"), [("a", 200), ("é", 100), ("수", 66), ("\U0001f600", 50)])
def test_a_name_has_at_most_200_bytes(letter: str, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if letter.isalpha():
        assert cp.run("experiment=lecture_3d", name=letter * most).folder.parent.name == letter * most
    with pytest.raises(ConfigError, match=r"^name: got .*expected "):
        cp.run("experiment=lecture_3d", name=letter * (most + 1))


# What else is written as CSV


def test_labels_and_settings_of_a_sweep_are_no_formulas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    labels = ["=1+1", "7", "-x", "a"]
    points = "".join(f"{label},{seed}\n" for seed, label in enumerate(labels))
    Path("points.csv").write_text(f"label,seed\n{points}")
    answer = convpipe("-m", "experiment=lecture_3d", "sweep.points=points.csv", "name=c")
    assert answer.code == 0, answer.err
    (record,) = Path("runs/c/sweeps").glob("*.csv")
    assert formulas(record.read_text()) == []
    assert cp.runs("runs/c", points=True, sort="seed")["label"].tolist() == labels
    assert cp.runs("runs/c", points=True, where="label == '7'")["seed"].tolist() == [1]


def test_stages_named_as_numbers_are_texts_among_the_times() -> None:
    facts = {"threads": 1, "blas": "=b", "blas_kernel": "K", "cpu": "@cpu"}
    (row,) = timing_rows("ab", {"7": [0.5]}, facts, "now")
    assert row == ("ab", 1, 1, "'7", "0.500000000", "'=b K", "'@cpu", "now")
