"""What a sweep leaves beside its runs: its points and their labels, its command, and what it has measured."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
from cli_runs import contents as paths, convpipe, refused
from run_cases import contents, hidden
from sweep_cases import events, last_line, swept

import convpipe as cp
from convpipe.archive.collection import run_names
from convpipe.archive.sweeps import point_rows
from convpipe.archive.verify import verify
from convpipe.errors import ArchiveError
from convpipe.sweeps.outcomes import There

SMALL = ("root=r", "name=c", "experiment=lecture_3d")
C = Path("r/c")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def records(folder: Path = C) -> list[Path]:
    return sorted((folder / "sweeps").glob("*.csv"))


def last_record(folder: Path = C) -> tuple[list[dict[str, str]], dict[str, Any]]:
    path = max(records(folder), key=lambda each: each.stat().st_mtime_ns)
    rows = sorted(table(path), key=lambda row: int(row["point"]))
    return rows, json.loads(path.with_suffix(".json").read_bytes())


# Points and labels


def test_a_record_has_every_point_and_the_command(folder: Path) -> None:
    swept(*SMALL, "seed=1,2", "label=a,b", "note=hello")
    rows, facts = last_record()
    assert [list(row) for row in rows] == [["point", "label", "settings", "run", "status"]] * 4
    assert [(row["point"], row["label"], row["settings"], row["status"]) for row in rows] == [
        ("1", "a", "seed=1 label=a", "done"),
        ("2", "b", "seed=1 label=b", "equal"),
        ("3", "a", "seed=2 label=a", "done"),
        ("4", "b", "seed=2 label=b", "equal"),
    ]
    assert rows[0]["run"] == rows[1]["run"] != rows[2]["run"] == rows[3]["run"]
    assert facts["command"] == ["convpipe", "-m", *SMALL, "seed=1,2", "label=a,b", "note=hello"]
    assert (facts["complete"], facts["counts"], facts["of"], facts["points"]) == (True, {"done": 2, "equal": 2}, 4, 4)
    assert facts["note"] == "hello"
    assert facts["versions"].keys() == {"convpipe", "python", "numpy", "hydra", "omegaconf"}
    assert re.fullmatch(r"\d{8}T\d{9}Z-\d+(-\d+)?", records()[0].stem)
    assert hidden(C) == []


def test_a_point_of_the_record_is_what_one_types(folder: Path) -> None:
    swept(*SMALL, "seed=1,2", "conv.pad=0,[[0,1],[2,1]]")
    for row in last_record()[0]:
        assert convpipe(*SMALL, *row["settings"].split()).out.splitlines()[-1] == f"reproduced: r/c/{row['run']}"


def test_labels_change_no_run_and_a_repeat_changes_no_manifest(folder: Path) -> None:
    swept(*SMALL, "seed=1,2", "label=a")
    before = {name: content for name, content in contents(C).items() if "/" in name and not name.startswith("sweeps")}
    assert not any(b'"label"' in content for content in before.values())
    answer = swept(*SMALL, "seed=1,2", "label=other")
    assert last_line(answer) == "0 done, 2 there before, 0 failed: r/c"
    after = {name: content for name, content in contents(C).items() if "/" in name and not name.startswith("sweeps")}
    assert after == before
    assert [row["label"] for row in point_rows(C)] == ["a", "a", "other", "other"]
    assert {row["status"] for row in last_record()[0]} == {"there"}


def test_a_list_of_points_has_labels(folder: Path) -> None:
    Path("layers.csv").write_text("label,conv.pad,conv.stride\nfirst,1,1\nsecond,1,2\nthird,1,1\n")
    answer = swept(*SMALL, "sweep.points=layers.csv", "seed=range(0,3)")
    assert last_line(answer) == "6 done, 0 there before, 0 failed, 3 equal to another point: r/c"
    rows, _ = last_record()
    assert [row["label"] for row in rows] == [name for name in ("first", "second", "third") for _ in range(3)]
    assert len(run_names(C)) == 6
    swept(*SMALL, "sweep.points=layers.csv", "seed=range(0,3)")
    assert [row["run"] for row in last_record()[0]] == [row["run"] for row in rows]


def test_points_are_listed_with_their_runs(folder: Path) -> None:
    Path("layers.csv").write_text("label,conv.pad,conv.stride\n1,1,1\n=x,1,2\nthird,1,1\n")
    words = (*SMALL, "sweep.points=layers.csv", "filters=integers", "filters.kernel=3,9", "invalid=skip")
    for _ in range(2):
        swept(*words)
    found = cp.runs(C, points=True)
    assert found.columns[:6].tolist() == ["run", "status", "sweep", "point", "label", "outcome"]
    assert found["label"].tolist() == ["1", "1", "=x", "=x", "third", "third"]
    assert found["point"].tolist() == [1, 2, 3, 4, 5, 6]
    assert found["outcome"].tolist() == ["there", "impossible"] * 3  # as the last sweep has them
    assert found["sweep"].nunique() == 1
    assert found["run"][0] == found["run"][4] != found["run"][2]
    assert found["k"].tolist()[::2] == [27, 27, 27]
    where = ("--where", "label == '1' and outcome != 'impossible'")
    listed = convpipe("runs", "r/c", "--points", *where, "--columns", "label,run")
    assert listed.out.splitlines()[1].split() == ["1", found["run"][0]]
    assert len(cp.runs(C)) == 2


def test_layers_and_seeds_go_together(folder: Path) -> None:
    answer = swept("root=r", "experiment=alexnet", "seed=range(0,2)")
    assert last_line(answer) == "10 done, 0 there before, 0 failed: r/alexnet"
    assert [row["label"] for row in last_record(Path("r/alexnet"))[0]][::2] == [f"conv{n}" for n in range(1, 6)]


def test_a_single_run_with_a_label_is_on_record(folder: Path) -> None:
    assert convpipe(*SMALL, "label=mine").code == 0
    rows, facts = last_record()
    assert [(row["label"], row["status"], row["run"]) for row in rows] == [("mine", "done", run_names(C)[0])]
    assert facts["command"] == ["convpipe", *SMALL, "label=mine"]
    cp.run(*SMALL, label="again")
    assert {row["label"] for row in point_rows(C)} == {"mine", "again"}
    assert convpipe(*SMALL).code == 0
    assert len(records()) == 2  # nothing is to be said of a run without one


def test_impossible_failed_and_known_failures_are_on_record(folder: Path) -> None:
    words = (*SMALL, "filters.kernel=2,9", "filters=integers", "conv.dtype=int32,uint8", "invalid=skip")
    swept(*words, code=1)
    rows, facts = last_record()
    assert [row["status"] for row in rows] == ["done", "failed", "impossible", "impossible"]
    assert [bool(row["run"]) for row in rows] == [True, True, False, False]
    assert (facts["of"], facts["counts"]) == (4, {"done": 1, "failed": 1})
    swept(*words, code=1)
    assert [row["status"] for row in last_record()[0]] == ["there", "failed before", "impossible", "impossible"]


def test_a_sweep_that_stops_says_that_it_is_not_complete(folder: Path) -> None:
    swept(*SMALL, "conv.dtype=uint8,int32", "on_error=stop", code=1)
    rows, facts = last_record()
    assert [row["status"] for row in rows] == ["failed"]
    assert (facts["complete"], facts["of"]) == (False, 2)
    found = events(*SMALL, "seed=range(0,50)")
    for _ in range(5):
        next(found)
    found.close()  # as Ctrl-C does
    rows, facts = last_record()
    assert 0 < len(rows) < 50
    assert facts["complete"] is False
    assert hidden(C) == []


def test_nothing_is_recorded_of_a_dry_run_or_of_what_is_refused(folder: Path) -> None:
    assert convpipe("-m", *SMALL, "seed=1,2", "dry_run=true").code == 0
    refused(folder, "-m", *SMALL, "seed=1,-1")
    assert paths(folder) == set()


def test_two_sweeps_in_a_second_have_a_record_each(folder: Path) -> None:
    for _ in range(3):
        swept(*SMALL, "seed=1,2")
    assert len(records()) == 3
    assert len(list(point_rows(C))) == 6


def test_a_record_that_is_none_is_passed_over(folder: Path) -> None:
    swept(*SMALL, "seed=1,2")
    (C / "sweeps" / "a.csv").write_text("point,label\n1,x\n")
    (C / "sweeps" / "b.csv").write_bytes(b"\xff\xfe")
    (C / "sweeps" / "c.csv").write_text("point,label,settings,run,status\nx,,,,\n1,,,\n")
    assert len(list(point_rows(C))) == 2
    with pytest.raises(ArchiveError, match=r"3 of 4 records of sweeps are damaged: r/c/sweeps/a\.csv: got something"):
        cp.verify(C)


# Several experiments


def test_experiments_with_points_of_their_own_run_in_one_command(folder: Path) -> None:
    answer = swept("root=r", "experiment=grid,seeds,lecture_3d", "seed=1,2")
    assert last_line(answer) == "280 done, 0 there before, 0 failed, 12 impossible: r/grid, r/seeds, r/lecture_3d"
    assert {path.name for path in Path("r").iterdir()} == {"grid", "seeds", "lecture_3d"}
    grid, _ = last_record(Path("r/grid"))
    seeds, _ = last_record(Path("r/seeds"))
    last, _ = last_record(Path("r/lecture_3d"))
    numbers = [int(row["point"]) for row in (*grid, *seeds, *last)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert grid[0]["settings"].startswith("experiment=grid conv.stride=1 ")
    assert len(last) == 2


def test_each_is_what_it_is_alone(folder: Path) -> None:
    swept("root=together", "experiment=grid,seeds")
    swept("root=alone", "experiment=grid")
    swept("root=alone", "experiment=seeds")
    for name in ("grid", "seeds"):
        assert run_names(Path("together", name)) == run_names(Path("alone", name))


def test_files_of_ones_own_are_called_by_their_names(folder: Path) -> None:
    Path("a.yaml").write_text("experiment: lecture_3d\nname: c\nhydra: {sweeper: {params: {seed: '1,2'}}}\n")
    Path("b 수.yaml").write_text("experiment: lecture_3d\nname: c\nconv: {pad: 1}\n")
    answer = swept("root=r", "experiment=a.yaml,b 수.yaml")
    assert "_own_" not in answer.out
    settings = [row["settings"] for row in last_record()[0]]
    marked = "''experiment=b 수.yaml'"  # a text that begins with the mark has one more
    assert settings == ["experiment=a.yaml seed=1", "experiment=a.yaml seed=2", marked]
    swept("root=s", "experiment=b 수.yaml,lecture_4d", "name=c")
    assert [row["settings"] for row in last_record(Path("s/c"))[0]] == [marked, "experiment=lecture_4d"]
    said = convpipe("-m", "root=r", "experiment=a.yaml,b 수.yaml", "conv.stride=0").err
    assert said.startswith("convpipe: experiment=a.yaml seed=1: conv.stride: got 0")


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (("experiment=grid,seeds", "sweep.sample=3"), r"sweep\.sample: got 3, expected none beside several of these"),
        (("experiment=grid,seeds", "sweep.zip=[[experiment,seed]]", "seed=1,2"), r"sweep\.zip: got .*no experiment"),
        (("experiment=grid,nothing",), r"experiment: got nothing, expected one of"),
        (("experiment=resnet50,vgg16", "limits.runs=60"), r"limits\.runs: got 60, expected at least 66"),
    ],
)  # fmt: skip
def test_what_does_not_go_with_several(words: tuple[str, ...], match: str, folder: Path) -> None:
    assert re.search(match, refused(folder, "-m", "root=r", *words))


def test_experiments_without_points_are_an_axis(folder: Path) -> None:
    words = ("experiment=lecture_3d,lecture_4d", "seed=1,2", "sweep.zip=[[experiment,seed]]")
    assert last_line(swept("root=r", *words)) == "2 done, 0 there before, 0 failed: r/lecture_3d, r/lecture_4d"


def test_a_single_run_of_a_sweep_says_how_to_run_all(folder: Path) -> None:
    answer = convpipe("experiment=alexnet", "root=r")
    assert answer.code == 0
    said = re.search(r"this is one run of a sweep of 5 points; all of them: convpipe (.*)\n", answer.out)
    assert said
    assert said[1] == "-m experiment=alexnet root=r"
    assert last_line(convpipe(*said[1].split())) == "4 done, 1 there before, 0 failed: r/alexnet"
    assert "144 points" in convpipe("experiment=grid", "root=r").out
    assert "sweep of" not in convpipe("experiment=lecture_3d", "root=r").out
    with pytest.warns(UserWarning, match="one run of a sweep; cp.sweep runs all its points"):
        cp.run("experiment=alexnet", root="r")


# Notes


def test_a_note_is_of_new_runs(folder: Path) -> None:
    assert convpipe(*SMALL, "note=first try").code == 0
    run = verify(C / run_names(C)[0])
    assert run.manifest["note"] == "first try"
    before = (run.folder / "manifest.json").read_bytes()
    answer = convpipe(*SMALL, "note=second")
    assert "the run was there before, and keeps its own note: first try" in answer.out
    assert (run.folder / "manifest.json").read_bytes() == before
    assert "note" not in convpipe(*SMALL, "note=first try").out
    assert "has no note, and gets none" not in convpipe(*SMALL, "seed=5", "note=x").out
    long = convpipe(*SMALL, f"note={'x' * 1001}")
    assert (long.code, "expected a text of at most 1000 characters" in long.err) == (2, True)


def test_a_sweep_says_that_runs_which_are_there_keep_their_notes(folder: Path) -> None:
    assert "note" not in swept(*SMALL, "seed=1,2", "note=first").out
    said = "the note is of new runs: 2 that were there keep theirs, and the sweep's record has it"
    assert said in swept(*SMALL, "seed=1,2,3", "note=second").out.splitlines()
    assert cp.runs(C, sort="seed")["note"].tolist() == ["first", "first", "second"]
    assert last_record()[1]["note"] == "second"
    assert "the note is" not in swept(*SMALL, "seed=1,2,3").out


# Measuring


def test_threads_are_measured_run_after_run(folder: Path) -> None:
    swept(*SMALL, "seed=1,2")
    before = {name: content for name, content in contents(C).items() if "/" in name and not name.startswith("sweeps")}
    answer = swept(*SMALL, "seed=1,2", "threads=1,2", "timing.repeats=3")
    assert last_line(answer) == "0 done, 0 there before, 4 reproduced, 0 failed, 4 measured (timings.csv): r/c"
    assert contents(C).items() >= before.items()
    rows = table(C / "timings.csv")
    assert list(rows[0]) == ["run", "threads", "repeat", "stage", "seconds", "blas", "cpu", "measured"]
    stages = ["pad", "im2col", "fil2col", "matmul", "reshape"]
    assert {(row["run"], row["threads"], row["repeat"], row["stage"]) for row in rows} == {
        (run, threads, repeat, stage)
        for run in run_names(C) for threads in "12" for repeat in "123" for stage in stages
    }  # fmt: skip
    assert len(rows) == 2 * 2 * 3 * 5
    assert all(float(row["seconds"]) > 0 and row["blas"] and row["cpu"] for row in rows)
    swept(*SMALL, "seed=1,2", "threads=1,2", "timing.repeats=3")
    assert len(table(C / "timings.csv")) == 2 * len(rows)  # measured again


def test_new_runs_are_measured_too(folder: Path) -> None:
    answer = swept(*SMALL, "threads=1,2", "timing.repeats=2")
    assert last_line(answer) == "1 done, 0 there before, 1 reproduced, 0 failed, 2 measured (timings.csv): r/c"
    assert len(table(C / "timings.csv")) == 2 * 2 * 5


def test_more_repeats_than_a_run_was_timed_with_measure_it(folder: Path) -> None:
    swept(*SMALL, "seed=1,2")
    assert last_line(swept(*SMALL, "seed=1,2,3", "timing.repeats=4")).startswith("1 done, 0 there before, 2 repro")
    assert len(table(C / "timings.csv")) == 2 * 4 * 5  # the new one's are in its manifest
    assert last_line(swept(*SMALL, "seed=1,2,3", "timing.repeats=4")).startswith("0 done, 3 there before, 0 failed")
    assert last_line(swept(*SMALL, "seed=1,2,3", "timing.repeats=4", "threads=2")).endswith(
        "3 measured (timings.csv): r/c"
    )


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (("threads=1,2", "workers=2"), r"workers: got 2, expected 1 beside several values of threads"),
        (("timing.repeats=1,2", "workers=2"), r"workers: got 2, expected 1 beside several values of threads or rep"),
        (("threads=1,2", "hydra/launcher=basic"), r"threads: got several values, expected one beside a cluster or"),
    ],
)
def test_nothing_runs_beside_what_is_measured(words: tuple[str, ...], match: str, folder: Path) -> None:
    assert re.search(match, refused(folder, "-m", *SMALL, *words))


@pytest.mark.parametrize(("words", "said"), [("keep=output,stages", "keep"), ("pictures=none,auto", "pictures")])
def test_other_axes_of_how_to_execute_say_so(words: str, said: str, folder: Path) -> None:
    answer = swept(*SMALL, words)
    assert (
        f"no rows for each value of {said}, as a run is what it computes; of how to execute, threads are what"
        in answer.out
    )
    assert "no rows" not in swept(*SMALL, words.replace(",", "x").split("x")[0]).out


def test_points_that_are_equal_are_not_there_before(folder: Path) -> None:
    found = [event for event in events(*SMALL, "seed=1,1") if isinstance(event, There)]
    assert [event.equal for event in found] == [True]
    found = [event for event in events(*SMALL, "seed=1,1") if isinstance(event, There)]
    assert [event.equal for event in found] == [False, False]
