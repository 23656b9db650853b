"""What verify finds in a collection, what it only tells, and what it is quiet about. Damage is planted by hand."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from cli_runs import convpipe

import convpipe as cp
from convpipe.archive.collection import run_names
from convpipe.archive.format import manifest_sha256
from convpipe.archive.inputs import inputs_folder
from convpipe.errors import ArchiveError
from convpipe.files.staging import hidden_name

C = Path("runs/c")
DAY = 24 * 3600
POINTS = (
    *("-m", "experiment=lecture_4d", "name=c", "input=integers", "filters=integers", "input.shape=[1,3,5,5]"),
    *("conv.pad=0,1", "conv.dtype=int64,int8", "keep=stages", "timing.repeats=1,2"),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of a sweep that has measured them, one that stores its inputs, and a run that was set aside."""
    root = tmp_path_factory.mktemp("made")
    with chdir(root):
        np.save("x.npy", np.arange(48.0).reshape(1, 3, 4, 4))
        assert convpipe(*POINTS).code == 1  # as sums leave int8
        ok("experiment=lecture_4d", "name=c", "input=npy", "input.path=x.npy", "keep=output+inputs")
        old = next(C / name for name in run_names(C) if (C / name / "00_input.npy").exists())
        aside = C / ".aside" / f"{old.name}-{json.loads((old / 'manifest.json').read_text())['archive_id']}"
        shutil.copytree(old, aside)
    return root


@pytest.fixture(autouse=True)
def collection(made: Path, folder: Path) -> Path:
    """The same in the working directory, to be changed."""
    shutil.copytree(made, folder, dirs_exist_ok=True)
    return C


def ok(*words: str) -> str:
    answer = convpipe(*words)
    assert answer.code == 0, answer.err
    return answer.out


def first() -> Path:
    return C / run_names(C)[0]


def aside() -> Path:
    return next((C / ".aside").iterdir())


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def edit_cell(name: str, column: str, value: str) -> Callable[[], None]:
    def change() -> None:
        table = list(csv.reader((C / name).read_text().splitlines()))
        table[1][table[0].index(column)] = value
        with open(C / name, "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(table)

    return change


def edit_error() -> None:
    edit(C / "results.csv", "int8", "int9")


def swap(one: Path, other: Path) -> None:
    one.rename("kept")
    other.rename(one)
    Path("kept").rename(other)


def sweep_file(ending: str) -> Path:
    return sorted((C / "sweeps").glob(f"*{ending}"))[0]


DAMAGE: dict[str, tuple[Callable[[], object], str]] = {
    "a run renamed": (lambda: first().rename(C / "aaaaaaaaaaaa"), r"got a folder named aaaaaaaaaaaa, expected \w{12}"),
    "a run renamed to a word": (lambda: first().rename(C / "best"), r"got a folder named best, expected \w{12}"),
    "a run twice": (lambda: shutil.copytree(first(), C / "bbbbbbbbbbbb"), "got a folder named bbbbbbbbbbbb"),
    "two runs swapped": (lambda: swap(first(), C / run_names(C)[1]), "2 of 3 runs are damaged"),
    "a run set aside renamed": (
        lambda: aside().rename(C / ".aside" / "x"),
        "got a folder named x, .*replaced",
    ),
    "a run set aside changed": (lambda: (aside() / "output.npy").write_bytes(b""), "expected .*may be removed"),
    "a row's output": (edit_cell("results.csv", "output_sha256", "0" * 64), "results.csv: row .*got output_sha256 000"),
    "a row's setting": (edit_cell("results.csv", "conv.pad", "7"), r"results.csv: row .*got conv\.pad 7, expected"),
    "a row's time": (edit_cell("results.csv", "seconds", "0.000000001"), "results.csv: row .*got seconds"),
    "a row's status": (edit_cell("results.csv", "status", "damaged"), "got status damaged, expected done, as the run"),
    "a column's name": (lambda: edit(C / "results.csv", "conv.pad", "conv.dap"), r"got .*conv\.dap"),
    "a table cut short": (lambda: os.truncate(C / "results.csv", 300), "results.csv: its last line is cut short"),
    "a table that is empty": (
        lambda: (C / "results.csv").write_bytes(b""),
        "results.csv: got nothing",
    ),
    "a row twice": (
        lambda: (C / "results.csv").write_bytes(
            b"".join([*(lines := (C / "results.csv").read_bytes().splitlines(keepends=True)), lines[-1]])
        ),
        "is the second of run",
    ),
    "a table of bytes": (lambda: (C / "results.csv").write_bytes(b"\xff\xfe\n"), "results.csv: not readable"),
    "a table that is a link": (
        lambda: ((C / "results.csv").rename("t"), (C / "results.csv").symlink_to(Path("t").resolve())),
        "results.csv: not readable",
    ),
    "a table that is a pipe": (
        lambda: ((C / "results.csv").unlink(), os.mkfifo(C / "results.csv")),
        "results.csv: not readable: a pipe",
    ),
    "a line of the index": (lambda: edit(C / ".index.jsonl", '"macs": "', '"macs": "1'), "row .*got macs"),
    "a column of the index": (lambda: edit(C / ".index.jsonl", '"macs"', '"scam"'), "other columns than the run"),
    "no JSON in the index": (lambda: edit(C / ".index.jsonl", '"macs": ', '"macs"; '), "line 1 is none of a run"),
    "a failure's cause": (
        edit_error,
        r"results.csv: row .*got conv\.dtype int9, expected int8, as .failed.jsonl",
    ),
    "a failure that is called done": (
        lambda: edit(C / ".failed.jsonl", '"status": "failed"', '"status": "done"'),
        "failed.jsonl: line 1 is none of a run",
    ),
    "a failure with results": (
        lambda: edit(C / ".failed.jsonl", '"error": ', '"min": "1", "error": '),
        "failed.jsonl: line 1 is none of a run",
    ),
    "a failure that is called done in the table": (
        lambda: edit(C / "results.csv", ",failed,", ",done,"),
        "got status done, expected failed, as .failed.jsonl says",
    ),
    "no failure": (lambda: (C / ".failed.jsonl").write_text("x}\n"), "failed.jsonl: line 1 is none of a run"),
    "what is known of the table": (lambda: edit(C / ".table.json", '"runs": 3', '"runs": 4'), ".table.json: damaged"),
    "an input": (lambda: next((C / "inputs").iterdir()).write_bytes(b"x"), "inputs/.*got sha256"),
    "an input renamed": (
        lambda: next((C / "inputs").iterdir()).rename(C / "inputs" / ("a" * 64)),
        f"inputs/{'a' * 64}: got sha256",
    ),
    "an input gone": (lambda: next((C / "inputs").iterdir()).unlink(), "got no inputs/"),
    "a point of a sweep": (lambda: edit(sweep_file(".csv"), "conv.pad=0", "conv.pad=1"), "got points, table_sha256"),
    "a fact of a sweep": (lambda: edit(sweep_file(".json"), '"points": 8', '"points": 7'), "got points, table_sha256"),
    "no fact of a sweep": (lambda: sweep_file(".json").write_text("{"), r"\.json: not readable"),
    "no point of a sweep": (lambda: sweep_file(".csv").write_text("a,b\n"), "got something else than points"),
    "a time": (lambda: edit(C / "timings.csv", ",pad,0.", ",pad,x."), "timings.csv: row 1: got"),
    "times of other columns": (lambda: edit(C / "timings.csv", "run,threads", "threads,run"), "got other columns"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_it_is_found(kind: str) -> None:
    change, match = DAMAGE[kind]
    assert convpipe("verify", "runs").code == 0
    change()
    with pytest.raises(ArchiveError, match=match):
        cp.verify("runs")
    answer = convpipe("verify", "runs")
    assert answer.code == 3
    assert answer.err.splitlines()[-1].startswith("convpipe: ")


TOLD: dict[str, tuple[Callable[[], object], str]] = {
    "a file of the system": (
        lambda: (C / ".DS_Store").write_bytes(b"x"),
        "runs/c: no part of the collection: .DS",
    ),
    "a file of a user": (lambda: (C / "todo.txt").write_bytes(b"x"), "runs/c: no part of the collection: todo.txt"),
    "a file of the system in a run": (
        lambda: (first() / "._output.npy").write_bytes(b"x"),
        r"runs/c/\w{12}: no part of the run: \._output\.npy",
    ),
    "a run that is gone": (
        lambda: shutil.rmtree(first()),
        r"results\.csv: runs that are gone \(runs --rebuild makes it anew\): \w{12}",
    ),
    "a run that is not listed": (
        lambda: edit(C / "results.csv", (C / "results.csv").read_text().splitlines(keepends=True)[-1], ""),
        r"results\.csv: runs that are not listed .*: \w{12}",
    ),
    "failures that are gone": (
        lambda: (C / ".failed.jsonl").unlink(),
        r"results\.csv: failed points that are in no list: \w{12}, \w{12}$",
    ),
    "a failure that is not listed": (
        lambda: (C / ".failed.jsonl").write_text(
            (text := (C / ".failed.jsonl").read_text())
            + re.sub(r'"run": "\w+"', '"run": "aaaaaaaaaaaa"', text, count=1)
        ),
        r"failed\.jsonl: failed points that results\.csv lacks: aaaaaaaaaaaa$",
    ),
    "a sweep without facts": (lambda: sweep_file(".json").unlink(), "the facts of this sweep are gone"),
    "a link to a run": (
        lambda: (C / "aaaaaaaaaaaa").symlink_to(first().name),
        "runs/c: links, which are not followed: aaaaaaaaaaaa",
    ),
    "a link to anywhere": (lambda: (C / "etc").symlink_to("/etc"), "runs/c: links, which are not followed: etc"),
    "a sweep without points": (lambda: sweep_file(".csv").unlink(), r"the points of this sweep are gone"),
    "a line that a kill cut short": (
        lambda: (C / ".index.jsonl").write_bytes((C / ".index.jsonl").read_bytes() + b'{"run": "01'),
        r"\.index\.jsonl: its last line was cut short",
    ),
}


@pytest.mark.parametrize("kind", TOLD)
def test_it_is_told_and_no_damage(kind: str) -> None:
    change, match = TOLD[kind]
    assert convpipe("verify", "runs").err == ""
    change()
    answer = convpipe("verify", "runs")
    assert answer.code == 0
    assert re.search(rf"^note: .*{match}", answer.err, re.MULTILINE), answer.err
    notes: list[str] = []
    cp.verify("runs", on_note=notes.append)
    assert [f"note: {note}" for note in notes] == answer.err.splitlines()


def test_a_table_that_contradicts_is_made_anew_as_the_message_says() -> None:
    edit_cell("results.csv", "macs", "7")()
    with pytest.raises(ArchiveError, match="runs --rebuild makes it anew"):
        cp.verify("runs")
    ok("runs", "--rebuild", "runs/c")
    assert convpipe("verify", "runs").code == 0


def test_pages_are_known_and_not_judged() -> None:
    ok("page", str(first()))
    ok("page", "runs/c")
    (C / "index.html").write_text("anything")
    assert convpipe("verify", "runs").err == ""


# What is half done


def half_done(age: float) -> Path:
    staging = C / hidden_name("run")
    staging.mkdir()
    (staging / "00_input.npy").write_bytes(b"half")
    then = time.time() - age
    os.utime(staging, (then, then))
    return staging


def test_what_is_half_done_is_passed_over_for_a_day() -> None:
    staging = half_done(DAY - 60)
    assert convpipe("verify", "--tidy", "runs").err == ""
    assert staging.exists()


def test_what_is_half_done_for_longer_is_told_and_removed_if_asked_to() -> None:
    staging = half_done(3 * DAY + 60)
    answer = convpipe("verify", "runs")
    assert (answer.code, answer.err) == (0, f"note: {staging}: half done 3 days ago; --tidy removes it\n")
    assert staging.exists()
    answer = convpipe("verify", "--tidy", "runs")
    assert (answer.code, answer.err) == (0, f"note: {staging}: half done 3 days ago; removed\n")
    assert not staging.exists()
    assert convpipe("verify", "runs").err == ""


def test_what_a_hidden_link_leads_to_is_not_removed() -> None:
    Path("mine").mkdir()
    Path("mine/kept").write_text("")
    link = C / hidden_name("run")
    link.symlink_to(Path("mine").resolve())
    os.utime(link, (0, 0), follow_symlinks=False)
    convpipe("verify", "--tidy", "runs")
    assert not link.is_symlink()
    assert Path("mine/kept").exists()


# Links


def test_a_link_to_a_collection_is_followed_one_level() -> None:
    C.rename("elsewhere")
    C.symlink_to(Path("elsewhere").resolve())
    Path("elsewhere/inner").symlink_to(Path("elsewhere").resolve())
    answer = convpipe("verify", "runs")
    assert answer.code == 0
    assert len(re.findall(r"^ok ", answer.out, re.MULTILINE)) == 4  # with the one set aside
    assert answer.err.splitlines()[0] == f"note: runs/c: a link to {Path('elsewhere').resolve()}, followed one level"
    assert "runs/c: links, which are not followed: inner" in answer.err
    (Path("elsewhere") / run_names(Path("elsewhere"))[0] / "output.npy").write_bytes(b"")
    assert convpipe("verify", "runs").code == 3


def test_a_link_to_a_folder_of_collections_is_not_followed() -> None:
    Path("others").mkdir()
    shutil.copytree(C, "others/d")
    Path("runs/more").symlink_to(Path("others").resolve())
    answer = convpipe("verify", "runs")
    assert answer.err == "note: runs: links, which are not followed: more\n"
    assert "others" not in answer.out
    assert "d" not in {row.split()[0] for row in ok("runs").splitlines()}


@pytest.mark.parametrize("name", ["foo", "sweeps", "inputs", "results.csv", "aaaaaaaaaaaa", "index.html", ".x"])
@pytest.mark.parametrize("within", [Path("runs"), C])
def test_a_link_to_itself_hides_nothing(within: Path, name: str) -> None:
    shutil.rmtree(within / name, ignore_errors=True)
    (within / name).unlink(missing_ok=True)
    (within / name).symlink_to(name)
    whole = convpipe("verify", "runs")
    damaged = {(C, "inputs"), (C, "results.csv"), (Path("runs"), "results.csv")}
    assert whole.code == (3 if (within, name) in damaged else 0)
    assert convpipe("runs", "runs").code == 0
    assert convpipe("page", "runs/c").code == 0
    (first() / "output.npy").write_bytes(b"")
    answer = convpipe("verify", "runs")
    assert answer.code == 3
    assert f"{first()}/output.npy: got 0 bytes" in answer.err


def test_inputs_are_not_read_through_a_link() -> None:
    (C / "inputs").rename("out")
    (C / "inputs").symlink_to(Path("out").resolve())
    Path("x.npy").unlink()
    answer = convpipe("verify", "runs")
    assert answer.code == 3
    assert "got no inputs/" in answer.err
    run = next(C / name for name in run_names(C) if "npy" in (C / name / "config.yaml").read_text())
    assert inputs_folder(cp.load(run)) is None


def test_links_in_a_circle_end() -> None:
    for name in "pq":
        Path("runs", name).mkdir()
        for other in "pqrst":
            Path("runs", name, other).symlink_to(Path("runs").resolve())
    assert convpipe("verify", "runs").code == 0
    assert convpipe("runs", "runs").code == 0


def test_folders_within_each_other_end() -> None:
    deep = Path("runs", *("d" for _ in range(1500)))
    for depth in range(0, 1500, 250):  # a path may have 4,096 bytes
        Path(*deep.parts[: depth + 251]).mkdir(parents=True, exist_ok=True)
    try:
        assert convpipe("verify", "runs").code == 0
    finally:
        subprocess.run(["rm", "-rf", "runs/d"], check=True)  # as pytest's own removal goes no deeper than Python can


# Names


def test_a_run_of_its_own_may_have_any_name_but_that_of_another() -> None:
    name = first().name
    shutil.copytree(first(), "moved")
    answer = convpipe("verify", "moved")
    assert (answer.code, answer.err) == (0, f"note: moved: named moved, expected {name}, the run's id\n")
    assert convpipe("verify", ".").code == 0
    Path("moved").rename("0123456789ab")
    assert convpipe("verify", "0123456789ab").code == 3
    assert convpipe("verify", ".").code == 3


# Whose hash it is


def test_a_manifest_in_another_spelling_with_its_own_hash_is_whole() -> None:
    path = first() / "manifest.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record, indent=4))
    assert manifest_sha256(record) == record["sha256"]
    assert convpipe("verify", str(first())).code == 0


def test_older_books_are_no_damage() -> None:
    """Those of code without the newer columns, which wrote the time of one image alone."""
    newer = ("started", "macs", "bytes", "k", "min", "max", "nonfinite")
    lines = [json.loads(line) for line in (C / ".index.jsonl").read_text().splitlines()]
    older = [{**{key: row[key] for key in row if key not in newer}, "seconds": "0.1"} for row in lines]
    (C / ".index.jsonl").write_text("".join(json.dumps(row) + "\n" for row in older))
    table = list(csv.reader((C / "results.csv").read_text().splitlines()))
    kept = [place for place, column in enumerate(table[0]) if column not in newer]
    with open(C / "results.csv", "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([row[place] for place in kept] for row in table)
    (C / ".table.json").unlink()
    assert convpipe("verify", "runs").code == 0
    (C / ".index.jsonl").write_text("".join(json.dumps({**row, "conv.stride": "5"}) + "\n" for row in older))
    assert convpipe("verify", "runs").code == 3


def test_what_is_half_done_and_deep_is_no_trouble() -> None:
    staging = half_done(2 * DAY)
    for depth in range(0, 1500, 250):
        Path(staging, *("d" for _ in range(depth + 251))).mkdir(parents=True, exist_ok=True)
    os.utime(staging, (0, 0))
    try:
        answer = convpipe("verify", "--tidy", "runs")
        assert answer.code == 0
        assert "half done" in answer.err
    finally:
        subprocess.run(["rm", "-rf", str(staging)], check=True)


def test_no_point_that_failed_becomes_a_run() -> None:
    """A list of failures with results in it is passed over, whatever comes after."""
    edit(C / ".failed.jsonl", '"status": "failed"', '"status": "done", "min": "-1"')
    ok("-m", *POINTS[1:6], "seed=9")
    assert list(cp.runs(C).query("status == 'done'")["run"]) == sorted(
        run_names(C), key=lambda name: json.loads((C / name / "manifest.json").read_text())["started"]
    )
    ok("runs", "--rebuild", "runs/c")
    assert sorted(cp.runs(C).query("status == 'done'")["run"]) == run_names(C)


def test_points_that_are_not_those_of_the_sweep_are_not_shown() -> None:
    assert len(cp.runs(C, points=True)) == 8
    edit(sweep_file(".csv"), "conv.pad=0", "conv.pad=7")
    assert len(cp.runs(C, points=True)) == 0
    sweep_file(".json").unlink()
    assert len(cp.runs(C, points=True)) == 8


def test_failures_of_too_many_columns_are_passed_over() -> None:
    """Each brings other columns: all of them would make a table of four hundred million cells."""
    rows = [
        {"run": f"{number:012x}", "status": "failed", "started": "", "error": "x"}
        | {f"c{number}.{column}": "1" for column in range(100)}
        for number in range(2000)
    ]
    (C / ".failed.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = cp.runs(C)
    assert found.shape[1] < 1500
    assert found.shape[0] > 3
    assert set(run_names(C)) < set(found["run"])


def test_a_collection_that_may_not_be_read_is_named_and_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(C, "runs/a")
    scandir = os.scandir

    def refusing(path: str | Path) -> object:
        if str(path) == "runs/a":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    answer = convpipe("verify", "runs")
    assert answer.code == 3
    assert answer.err == "convpipe: runs/a: Permission denied\n"
    assert len(re.findall("^ok runs/c/", answer.out, re.MULTILINE)) == 4
