"""A classifier's answers beside the truth, of any run; those that are wrong are listed with both and their score."""

from __future__ import annotations

import math
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from cli_runs import convpipe, only_run

import convpipe as cp
from convpipe.errors import ArchiveError, ConfigError
from convpipe.execution.evaluation import Answer
from convpipe.report.answers import show_wrong
from convpipe.report.console import console

ROWS = [[1, 2], [5, 3], [4, 4], [0, 9]]  # as scores these answer 1, 0, 0, 1


def own(folder: Path, labels: str, rows: object = ROWS) -> str:
    """A network that answers with its input."""
    network = f"input: {{source: values, values: {rows}, dtype: float64}}\nnetwork: {{same: {{op: relu}}}}"
    (folder / "own.yaml").write_text(f"{network}\n{labels}\n")
    return str(folder / "own.yaml")


def test_every_image_has_its_answer_truth_and_score(tmp_path: Path) -> None:
    run = cp.run(own(tmp_path, "labels: [1, 1, 0, 0]"), root=tmp_path)
    expected = (Answer(0, 1, 1, 2.0), Answer(1, 1, 0, 5.0), Answer(2, 0, 0, 4.0), Answer(3, 0, 1, 9.0))
    assert cp.answers(run) == cp.answers(run.folder) == cp.answers(str(run.folder)) == expected
    assert [each.right for each in expected] == [True, False, True, False]
    held = cp.run(own(tmp_path, "labels: [1, 1, 0, 0]"), archive=False)
    assert cp.answers(held) == expected


def test_without_labels_nobody_knows_what_is_right(tmp_path: Path) -> None:
    found = cp.answers(cp.run(own(tmp_path, ""), archive=False))
    assert found[1] == Answer(1, None, 0, 5.0)
    assert {each.right for each in found} == {None}


def test_an_answer_that_there_is_not_is_wrong(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.array([[1.0, np.nan], [2.0, 1.0]]))
    text = own(tmp_path, "labels: [0, 0]")
    words = (text, "input=npy", f"input.path={tmp_path}/rows.npy", "network={same: {op: dropout}}")
    first, second = cp.answers(cp.run(*words, archive=False))
    assert (first.answer, first.right, math.isnan(first.score)) == (None, False, True)
    assert second == Answer(1, 0, 0, 2.0)


def test_maps_are_no_answers() -> None:
    with pytest.raises(ConfigError, match=r"^answers: got \(1,2,2,1\), expected an output \(N, classes\)"):
        cp.answers(cp.run(archive=False))


def test_the_labels_of_a_file_are_found_again_or_missed(tmp_path: Path) -> None:
    np.save(tmp_path / "labels.npy", np.array([0, 0, 0, 0]))
    text = own(tmp_path, f"labels: {{source: npy, path: {tmp_path}/labels.npy}}")
    run = cp.run(text, root=tmp_path)
    assert [each.right for each in cp.answers(run.folder)] == [False, True, True, False]
    (tmp_path / "labels.npy").rename(tmp_path / "gone.npy")
    with pytest.raises(ArchiveError, match=r"labels\.npy"):
        cp.answers(run.folder)


def test_a_run_lists_its_wrong_answers(tmp_path: Path) -> None:
    text = own(tmp_path, "labels: [1, 1, 0, 0]")
    lines = convpipe(text, f"root={tmp_path}/runs").out.splitlines()
    at = lines.index("wrong  truth  answer  score")
    assert lines[at - 1 : at + 4] == ["", lines[at], "  n=1      1       0      5", "  n=3      0       1      9", ""]
    repeated = convpipe("reproduce", str(only_run(tmp_path / "runs"))).out
    assert "wrong  truth  answer  score\n  n=1      1       0      5\n" in repeated


def test_where_all_is_right_nothing_is_listed(tmp_path: Path) -> None:
    out = convpipe(own(tmp_path, "labels: [1, 0, 0, 1]"), f"root={tmp_path}/runs").out
    assert "accuracy 100.00 %" in out
    assert "wrong" not in out


@pytest.mark.parametrize(("count", "last"), [(10, "n=9      1    none    nan"), (13, "and 3 more wrong answers")])
def test_of_many_the_first_are_listed(count: int, last: str) -> None:
    out = StringIO()
    show_wrong(console(out), [Answer(n, 1, None, math.nan) for n in range(count)] + [Answer(99, 1, 1, 1.0)])
    lines = out.getvalue().splitlines()
    assert lines[-1].strip() == last
    assert len(lines) == 12 + (count > 10)


def test_the_wrong_answers_of_digits_are_those_of_the_table(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    run = cp.run("experiment=digits_small", root=tmp_path)
    found = cp.answers(run)
    assert len(found) == 450
    assert sum(bool(each.right) for each in found) == run.manifest["evaluation"]["correct"]
    table = np.loadtxt(run.folder / "confusion.csv", delimiter=",", skiprows=1, dtype=int)[:, 1:]
    counts = np.zeros_like(table)
    for each in found:
        counts[each.truth, each.answer] += 1
    assert np.array_equal(counts, table)
    assert [each.score for each in found] == run.output.max(axis=1).tolist()
