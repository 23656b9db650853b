"""What a researcher tried who had never seen this project: sweeps, their tables, and the ways that they end."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runs import CHECKOUT, convpipe, refused
from sweep_cases import points

import convpipe as cp
from convpipe.errors import ConfigError

SOON = 60  # seconds, on however busy a machine

# A worker dies in mid-sentence: it says more than a pipe holds, while this thread keeps all others from listening.
IN_MID_SENTENCE = """
import multiprocessing, os, sys, time
from convpipe.errors import StorageError
from convpipe.sweeps.batches import finished
from convpipe.sweeps.executors import processes

def say_much(path):
    os.close(os.open(path, os.O_CREAT))
    time.sleep(0.2)
    return bytes(1 << 24)

sys.setswitchinterval(100)
try:
    with processes(2) as pool:
        pending = {pool.executor.submit(say_much, sys.argv[1])}
        while not os.path.exists(sys.argv[1]):
            time.sleep(0.01)
        until = time.monotonic() + 1
        while time.monotonic() < until:
            pass
        if sys.argv[2] == "interrupted":
            raise KeyboardInterrupt
        for child in multiprocessing.active_children():
            os.kill(child.pid, 9)
        list(finished(pending, pool))
except (KeyboardInterrupt, StorageError) as error:
    print(type(error).__name__, len(multiprocessing.active_children()), flush=True)
"""


@pytest.mark.parametrize(("why", "error"), [("interrupted", "KeyboardInterrupt"), ("lost", "StorageError")])
def test_a_sweep_ends_though_a_worker_dies_in_mid_sentence(why: str, error: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", IN_MID_SENTENCE, str(tmp_path / "begun"), why]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SOON, check=False)
    assert (ended.stdout, ended.stderr, ended.returncode) == (f"{error} 0\n", "", 0)


# Points that are listed say how to execute as axes do.


def test_threads_of_a_list_of_points_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.csv").write_text("threads,seed\n1,0\n2,0\n2,1\n")
    answer = convpipe("-m", "name=m", "sweep.points=p.csv", "timing.repeats=2")
    assert answer.out.splitlines()[-1].endswith("0 failed, 3 measured (timings.csv): runs/m")
    found = [(row["threads"], row["repeat"]) for row in rows_of("runs/m/timings.csv") if row["stage"] == "matmul"]
    assert found == [("1", "1"), ("1", "2"), *[("2", "1"), ("2", "2")] * 2]
    refusal = refused(tmp_path, "-m", "name=m", "sweep.points=p.csv", "workers=2")
    assert refusal.startswith("workers: got 2, expected 1 beside several values of threads or repeats")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("keep,seed\noutput,0\nstages,0\n", "no rows for each value of keep, "),
        ("keep,seed\nstages,0\n,0\n", "no rows for each value of keep, "),  # the other has its default
        ("pictures,limits.memory\nauto,1GiB\nnone,2GiB\n", "no rows for each value of pictures, limits.memory, "),
        ("keep,seed\nstages,0\nstages,1\n", ""),
        ("threads,seed\n2,0\n2,1\n", ""),
    ],
)
def test_what_gives_no_rows_is_said_of_listed_points_too(
    table: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.csv").write_text(table)
    lines = convpipe("-m", "name=m", "sweep.points=p.csv").out.splitlines()
    assert ([line for line in lines if "no rows" in line] or [""])[0].startswith(said)
    assert bool(said) == any("no rows" in line for line in lines)
    assert not Path("runs/m/timings.csv").exists()


# What only a sweep looks at is not passed over in silence.


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        (["where=conv.stride > 5"], "where"),
        (["workers=2", "invalid=skip", "on_error=stop", "reuse=same-config"], "workers, invalid, on_error, reuse"),
        (["retry=failed"], "retry"),
        (["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"], "hydra/launcher, hydra.launcher.n_jobs"),
        (["workers=1", "retry=all", "replace=true", "invalid=error", "hydra/launcher=basic", "threads=2"], ""),
    ],
)
def test_a_single_run_says_what_it_passes_over(
    words: list[str], keys: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = convpipe(*words)
    said = [line for line in answer.out.splitlines() if "passed over" in line]
    assert (answer.code, said) == (0, [f"{keys}: of sweeps alone (-m), passed over by a single run"] * bool(keys))
    assert "passed over" not in convpipe("-m", *words).out
    if keys:
        with pytest.warns(UserWarning, match=re.escape(f"{keys}: of sweeps alone (cp.sweep), passed over")):
            cp.run(*words, archive=False)


def test_a_sweep_that_is_run_as_one_says_that_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = [line for line in convpipe("experiment=grid", "workers=2").out.splitlines() if "sweep" in line]
    assert said == ["this is one run of a sweep of 144 points; all of them: convpipe -m experiment=grid workers=2"]


# Tables: several columns to sort by, in every form that names of columns have; and a line where it is none.


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert convpipe("-m", "name=c", "conv.stride=1,2", "seed=0,1,2").code == 0
    return tmp_path


STRIDE_DOWN = [(2, 0), (2, 1), (2, 2), (1, 0), (1, 1), (1, 2)]
SEED_DOWN = [(1, 2), (2, 2), (1, 1), (2, 1), (1, 0), (2, 0)]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("-stride,seed", STRIDE_DOWN),
        (" -conv.stride , seed", STRIDE_DOWN),
        (["-stride", "seed"], STRIDE_DOWN),
        (("-seed", "conv.stride"), SEED_DOWN),
        (np.array(["-seed", "stride"]), SEED_DOWN),
    ],
)
def test_several_columns_to_sort_by(sort: Any, expected: list[tuple[int, int]], table: Path) -> None:
    rows = cp.runs("runs/c", sort=sort, columns=("conv.stride", "seed"))
    assert list(rows.itertuples(index=False, name=None)) == expected
    if isinstance(sort, str):
        answer = convpipe("runs", "c", "--sort", sort, "--columns", "stride,seed", "--format", "csv")
        assert answer.out.splitlines()[1:] == [f"{stride},{seed}" for stride, seed in expected]


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"sort": 1}, "sort: got 1, expected names of columns"),
        ({"sort": ["seed", 1]}, "sort: got .*, expected names of columns"),
        ({"sort": b"seed"}, "sort: got .*, expected names of columns"),
        ({"columns": 3}, "columns: got 3, expected names of columns"),
        ({"columns": [1]}, "columns: got .*, expected names of columns"),
        ({"columns": None}, "columns: got nothing, expected names of columns"),
        ({"where": True}, "where: got [Tt]rue, expected an expression as a text"),
        ({"where": ["seed == 1"]}, "where: got .*, expected an expression as a text"),
        ({"where": np.array([True, False])}, "where: got .*, expected an expression as a text"),
        ({"sort": "seed,nothing"}, "--sort: got nothing, expected one of "),
        ({"sort": "seed,"}, "--sort: got nothing, expected one of "),
    ],
)
def test_what_is_no_name_and_no_expression_is_refused(settings: dict[str, Any], match: str, table: Path) -> None:
    with pytest.raises(ConfigError, match=match) as refusal:
        cp.runs("runs/c", **settings)
    assert "\n" not in str(refusal.value)


# Expressions as data frames have them.


@pytest.mark.parametrize(
    ("text", "hint", "meant", "count"),
    [
        ("(seed == 1) & (stride == 2)", "(not &; write and)", "(seed == 1) and (stride == 2)", 1),
        ("(seed == 1) | (seed == 2)", "(not |; write or)", "(seed == 1) or (seed == 2)", 4),
        ("~(seed == 1)", "(not ~; write not)", "not (seed == 1)", 4),
        ("note is None", "(not is; write == or !=)", "note == None", 6),
        ("note is not None", "(not is; write == or !=)", "note != None", 0),
        ("seed = 1", "(not =; write ==)", "seed == 1", 2),
        ("max == inf", "(no inf here; nonfinite > 0 holds for outputs with NaN or infinities)", "nonfinite > 0", 0),
        ("min == nan", "(no nan here; nonfinite > 0 holds for outputs with NaN or infinities)", "nonfinite > 0", 0),
    ],
)
def test_an_expression_of_data_frames_is_told_what_to_write(
    text: str, hint: str, meant: str, count: int, table: Path
) -> None:
    with pytest.raises(ConfigError, match=re.escape(hint)):
        cp.runs("runs/c", where=text)
    assert len(cp.runs("runs/c", where=meant)) == count
    assert refused(table, "runs", "c", "--where", text).endswith(hint)


# What data frames write is a list of points, or settings, again.


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("p.csv", 'conv.stride,conv.pad\n"(2, 1)",same\n"(1,)","[1, 0]"\n"( 2 )","((1, 0), (0, 2))"\n',
         ["conv.stride=[2, 1] conv.pad=same", "conv.stride=1 conv.pad=[1, 0]",
          "conv.stride=2 conv.pad=[[1, 0], [0, 2]]"]),
        ("p.tsv", "conv.stride\tseed\n(2,1)\t3\n", ["conv.stride=[2,1] seed=3"]),
        ("p.json", '[{"conv.stride":[2,1],"label":"x"},{"conv.pad":1,"seed":2}]',
         ["conv.stride=[2,1] label='x'", "conv.pad=1 seed=2"]),
        ("p.json", '[\n {"conv": {"stride": 2, "pad": 1}, "note": "a: \\"b\\""}\n]\n',
         ["conv.stride=2 conv.pad=1 note='a: \"b\"'"]),
        ("p.csv", "label,seed\n(2),1\n", ["label='(2)' seed=1"]),  # a label is a text as it is
    ],
)  # fmt: skip
def test_what_data_frames_write_is_a_list_of_points(
    name: str, content: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / name).write_text(content)
    (tmp_path / "sub" / "my.yaml").write_text(f"sweep.points: {name}\n")
    monkeypatch.chdir(tmp_path)
    assert points(f"sweep.points=sub/{name}") == expected
    answer = convpipe("-m", "sub/my.yaml", "dry_run=true")  # where it stands in a file, it lies beside that
    count = f"{len(expected)} point{'s' * (len(expected) > 1)}"
    assert (answer.err, answer.out.splitlines()[0]) == ("", f"{count}, 0 of them already done, {len(expected)} to run")


@pytest.mark.parametrize(
    ("content", "end"),
    [
        (",seed\n0,1\n", "(pandas writes a first column without a name, unless to_csv has index=False)"),
        ("seed,,\n1,2,3\n", "expected keys, each of them once"),
        (",,seed\n1,2,3\n", "expected keys, each of them once"),
    ],
)
def test_a_column_without_a_name(content: str, end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.csv").write_text(content)
    assert refused(tmp_path, "-m", "sweep.points=p.csv").endswith(end)


@pytest.mark.parametrize("written", ["[{seed: 1}, {seed: 2}]", "{seed: [1, 2]}", "[p.csv]"])
def test_points_that_stand_in_an_experiment(written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.yaml").write_text(f"sweep: {{points: {written}}}\n")
    for words in (["-m", "my.yaml"], ["my.yaml"]):
        refusal = refused(tmp_path, *words)
        assert refusal.startswith("sweep.points: got ")
        assert refusal.endswith("a file of points, or the name of a list (points go into a .yaml file of theirs)")


def test_a_table_of_runs_gives_the_same_runs_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    keys = ["conv.stride", "conv.pad", "conv.dilation", "filters.kernel"]
    made = cp.sweep("experiment=lecture_4d", name="c", **{
        "conv.stride": [1, (2, 1)], "conv.pad": [1, "same", (1, 0), ((1, 0), (0, 2))], "conv.dilation": [1, (1, 2)],
        "filters.kernel": [2, (2, 1)], "invalid": "skip",
    })  # fmt: skip
    assert len(made) == 32
    made[keys].to_csv("again.csv", index=False)
    assert convpipe("-m", "experiment=lecture_4d", "name=c", "sweep.points=again.csv").out == (
        "0 done, 32 there before, 0 failed: runs/c\n"
    )
    convpipe("runs", "c", "--columns", ",".join(keys), "--output", "ours.csv")
    assert convpipe("-m", "experiment=lecture_4d", "name=c", "sweep.points=ours.csv").out == (
        "0 done, 32 there before, 0 failed: runs/c\n"
    )
    for row in made.sample(8, random_state=1).to_dict("records"):
        again = cp.run("experiment=lecture_4d", name="c", **{key: row[key] for key in keys})
        assert again.manifest["run_id"] == row["run"]


@pytest.mark.parametrize("value", ["01", "[01, 2]", "9" * 20, "[1,]", "(1,)", "[[1, 2], 3]", "[1", "1.0"])
def test_a_text_that_is_no_number_per_axis_stays_one(value: str) -> None:
    with pytest.raises(ConfigError, match=f"^conv.stride: got '?{re.escape(value)}'?, expected a whole number from 1"):
        cp.plan(**{"conv.stride": value})


def test_one_value_of_another_key_stays_a_list(tmp_path: Path) -> None:
    run = cp.run("bias=values", archive=False, **{"bias.values": (3,), "bias.dtype": "int16"})
    assert run.maps.tolist() == (cp.run(archive=False).maps + 3).tolist()


# Nothing to show is said, too.


def test_a_collection_without_sweeps_has_no_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert convpipe("name=c").code == 0
    assert convpipe("runs", "c", "--points").out == "no points: the collection has no sweep on record\n"
    assert convpipe("runs", "c", "--points", "--format", "json").out == "[]\n"
    assert len(cp.runs("runs/c", points=True)) == 0
    convpipe("name=c", "label=mine")
    assert convpipe("runs", "c", "--points", "--columns", "label").out == "label\nmine\n"


def test_a_file_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert convpipe("name=c").code == 0
    for form in ((), ("--format", "json"), ("--format", "parquet")):
        assert refused(tmp_path, "runs", "c", "--output=", *form) == "runs: --output: got nothing, expected a file"


def test_one_point_in_one_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    answer = convpipe("-m", "seed=7", "name=c", "hydra/launcher=basic")
    assert answer.out.splitlines()[-1] == "1 done, 0 there before, 0 failed: runs/c (1 point in 1 job)"


# Lines that say what to type.


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (["seed=[1,2],[3]"], "seed=[1,2]: seed: got [1, 2], expected a whole number from 0 to 18446744073709551615"),
        (["workers=[1],[2]"], "workers: got [1],[2], expected one value for the whole sweep"),
        (["sweep.points=vgg16"], "(input=integers, pattern, random have it)"),
        (["input={source: npy, path: x.npy}"], "(input=NAME chooses, and input.KEY=VALUE sets what that has)"),
        (["filters={source: random, count: 2}", "seed=1,2"],
         "(filters=NAME chooses, and filters.KEY=VALUE sets what that has)"),
    ],
)  # fmt: skip
def test_lines_that_say_what_to_type(
    words: list[str], refusal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refusal in refused(tmp_path, "-m", *words)


def test_one_point_of_a_dry_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert convpipe("-m", "seed=1", "dry_run=true").out.startswith("1 point, 0 of them already done, 1 to run\n")


def rows_of(path: str) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
