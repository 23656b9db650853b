"""Tables that spreadsheets open: no cell is a formula, whoever wrote it, and each is read back as what it was."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from cli_runs import convpipe
from hypothesis import example, given, strategies as st

import convpipe as cp
from convpipe.archive.cells import cell_text, column_name, marked_name, plain_value, unmarked
from convpipe.archive.format import csv_bytes, csv_lines
from convpipe.archive.index import INDEX
from convpipe.archive.sweeps import point_rows
from convpipe.archive.timings import timing_rows
from convpipe.archive.write import Draft

STARTS = "=+-@\uff1d\uff0b\uff0d\uff20"
BLANKS = " \t\r\n\v\f\x00\x1b\xa0\u2009\u200b\u200e\u2060\u3000\ufeff"
FORMULAS = [f"{blank}{start}cmd|'/c calc'!A1" for start in STARTS for blank in ("", *BLANKS, " \u200b\t")]
FORMULAS += ["\tx", "\rx", "\nx", "=1+1", "-2+3", "+1", "@SUM(A1)", "-", "=", "'=1"]
texts = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(FORMULAS)
values = st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)


def is_run(cell: str) -> bool:
    """Whether a spreadsheet might work a cell out, by a rule of its own: what is left of it when blanks are gone."""
    left = "".join(mark for mark in cell if mark.isprintable() and not mark.isspace())
    number = re.fullmatch(r"-[0-9]+([.][0-9]+)?(e[-+][0-9]+)?", left)
    return cell[:1] in ("\t", "\r", "\n") or (left[:1] in tuple(STARTS) and not number)


def cells_of(table: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(table.decode(), newline="")))


@given(value=texts | values | st.lists(texts | st.integers(), max_size=3))
@example(value="=1+1")
@example(value=-1)
@example(value=["=1"])
def test_a_value_is_no_formula_and_comes_back(value: Any) -> None:
    text = cell_text(value)
    ((written,),) = cells_of(csv_lines([[text]])) or [[""]]
    assert not is_run(written)
    assert written == text
    assert plain_value(written) == (None if value == "" else value)
    if isinstance(value, str):
        assert unmarked(written) == value


@given(cell=texts)
@example(cell=" \u200b=1")
@example(cell="'=1")
def test_a_cell_of_any_table_is_no_formula_when_it_is_written(cell: str) -> None:
    ((written,),) = cells_of(csv_bytes([cell], []))
    assert not is_run(written)
    assert column_name(written) == cell
    ((head,), *_) = [[marked_name(cell)]]
    assert column_name(head) == cell
    for found in cells_of(csv_bytes(["a"], [{"a": cell}]))[1:]:
        assert not is_run(found[0])
        assert unmarked(found[0]) == unmarked(cell)


def test_lines_are_written_alike_one_by_one_and_together() -> None:
    lines = [["a", "b\rc"], ["d", "-1"], ["e,f", "\r"]]
    assert csv_lines(lines) == b"".join(csv_lines([line]) for line in lines) == b'"a","b\rc"\nd,-1\n"e,f","\'\r"\n'


@pytest.mark.parametrize("formula", ["=1+1", "\t=1", " +1", "\uff1dA1", "@x", "-A1", "\r=2"])
def test_tables_of_a_collection_hold_no_formula(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, formula: str) -> None:
    monkeypatch.chdir(tmp_path)
    run = cp.run("experiment=lecture_3d", "name=c", "timing.repeats=2", note=formula, label=formula)
    table = cp.runs("runs/c")
    assert table["note"].tolist() == [formula]
    assert cp.runs("runs/c", points=True)["label"].tolist() == [formula]
    assert [row["label"] for row in point_rows(Path("runs/c"))] == [cell_text(formula)]
    assert convpipe("runs", "runs/c", "--columns", "note,status", "--output", "x.csv").code == 0
    facts = {"threads": 1, "blas": formula, "blas_kernel": "", "cpu": formula}
    timed = csv_lines(timing_rows(run.folder.name, {formula: [0.5]}, facts, formula))
    files = [Path("runs/c/results.csv"), Path("x.csv"), *Path("runs/c/sweeps").glob("*.csv")]
    for content in (timed, *(path.read_bytes() for path in files)):
        assert not [cell for row in cells_of(content) for cell in row if is_run(cell)]
    assert [row[0] for row in cells_of(Path("x.csv").read_bytes())[1:]] == [f"'{formula}"]


def test_a_stranger_s_formulas_are_marked_when_they_are_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = cp.run("experiment=lecture_3d", "name=c")
    index = Path("runs/c", INDEX)
    cp.runs("runs/c")
    row = json.loads(index.read_text()) if index.exists() else {"run": run.folder.name, "status": "done", "started": ""}
    row |= {"lowering": "=cmd()", "conv.pad": "=A1", "=HYPERLINK(1)": "+1+1", "output_shape": "@x"}
    index.write_text(json.dumps(row) + "\n")
    for path in ("runs/c/results.csv", "runs/c/.table.json"):
        Path(path).unlink(missing_ok=True)
    failed = {"run": "0123456789ab", "status": "failed", "started": "", "error": "=1", "conv.pad": "=2", "=X": "-A1"}
    Path("runs/c/.failed.jsonl").write_text(json.dumps(failed) + "\n")
    assert convpipe("runs", "runs/c", "--columns", "all", "--output", "x.csv").code == 0
    assert convpipe("experiment=lecture_3d", "name=c", "seed=1").code == 0
    for path in ("x.csv", "runs/c/results.csv"):
        table = cells_of(Path(path).read_bytes())
        assert len(table) > 2
        assert not [cell for cells in table for cell in cells if is_run(cell)]
        assert "'=X" in table[0]
    found = cp.runs("runs/c")
    assert {"=X", "=HYPERLINK(1)"} <= set(found.columns)
    assert found[found["status"] == "failed"]["=X"].tolist() == ["-A1"]


def test_a_config_s_keys_may_be_formulas_and_are_no_columns_of_others(tmp_path: Path) -> None:
    from run_cases import a_run, reseal

    from convpipe.archive.identity import run_id
    from convpipe.archive.read import load
    from convpipe.archive.table import run_row

    run = a_run(tmp_path / "runs").folder
    path = run / "config.yaml"
    path.write_text(path.read_text() + '"=1+1": "=2"\nstatus: failed\nrun: forged\nlabel: forged\n')
    reseal(run, run_id=run_id(load(run).config))
    forged = run.with_name(load(run).manifest["run_id"])
    run.rename(forged)
    row = run_row(forged)
    assert (row["run"], row["status"], row.get("label")) == (forged.name, "done", None)
    assert row["=1+1"] == "'=2"


def test_the_stages_of_a_run_are_written_as_ever(tmp_path: Path) -> None:
    import numpy as np

    draft = Draft(tmp_path)
    draft.add("a", "b", np.array([-1.5, np.inf, -np.inf, np.nan]), kept=False)
    draft.add("b", "b", np.array([-2, 3], np.int8), kept=False)
    draft.finish({})
    _, first, second = (tmp_path / "stages.csv").read_text().splitlines()
    assert (",nan,nan," in first, ",-2,3," in second) == (True, True)
