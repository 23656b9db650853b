"""Clocks that are wrong: nothing that is written, skipped or compared depends on what time it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_runs import CHECKOUT, convpipe
from surroundings import LONG, by_script, one_line

import convpipe as cp

# Seconds since 1970: before it, at its start, where 32 bits end, signed and not, and the last years of Python's clock.
TIMES = {"1901": -2_177_452_800, "1969": -1, "1970": 0, "2038": 2**31, "2106": 2**32, "2261": 9_190_000_000}
CHOSEN_TIMES = TIMES if LONG else {name: TIMES[name] for name in ("1969", "2261")}

# A process whose clock is elsewhere. `step`, where it is given, is added at each look at it.
ELSEWHEN = """\
import sys, time, datetime
seconds, step = float(sys.argv.pop(1)), float(sys.argv.pop(1))
looks = 0

def now():
    global looks
    looks += 1
    return seconds + step * looks

class Elsewhen(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(0, tz) + datetime.timedelta(seconds=now())

time.time, time.time_ns = now, lambda: int(now() * 1e9)
datetime.datetime = Elsewhen
from convpipe.__main__ import run
run()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a collection of two runs of today."""
    monkeypatch.chdir(tmp_path)
    cp.sweep("experiment=lecture_3d", seed=[0, 1])
    return tmp_path


def check(folder: Path, seconds: int, *words: str, step: float = 0.0) -> None:
    """A command that ends well at another time."""
    assert by_script(ELSEWHEN, [str(seconds), str(step), *words], folder) == (0, "", [])


@pytest.mark.parametrize("year", CHOSEN_TIMES)
def test_a_collection_grows_at_any_time(year: str, folder: Path) -> None:
    seconds = TIMES[year]
    check(folder, seconds, "-m", "seed=0,1,2,3", "timing.repeats=2", "threads=1,2")
    check(folder, seconds, "-m", "seed=0,1,2,3", "timing.repeats=2", "threads=1,2")
    check(folder, seconds, "seed=4", "label=a")
    check(folder, seconds, "page", "runs/lecture_3d")
    found = cp.runs("lecture_3d", sort="-started")
    assert len(found) == 5
    texts = [json.loads(path.read_text())["started"] for path in folder.glob("runs/lecture_3d/*/manifest.json")]
    assert sum(text.startswith(year) for text in texts) == 3
    assert sum(path.name.startswith(year) for path in folder.glob("runs/lecture_3d/sweeps/*.json")) == 3
    assert sorted(cp.runs("lecture_3d")["seed"]) == [0, 1, 2, 3, 4]
    times = found["started"].dropna()
    assert len(times) == 5
    assert list(times) == sorted(times, reverse=True)
    for words in (["verify", "runs"], ["runs", "lecture_3d", "--sort", "-started"], ["runs"], ["-m", "seed=0,1,2,3"]):
        answer = convpipe(*words)
        assert (answer.code, answer.err) == (0, ""), words


@pytest.mark.parametrize("step", [-3600.0, 0.0, 90_000_000.0], ids=["back", "still", "forward"])
@pytest.mark.parametrize("workers", ["workers=1", "workers=2"] if LONG else ["workers=2"])
def test_a_clock_that_steps_during_a_sweep(step: float, workers: str, folder: Path) -> None:
    check(folder, 1_483_228_800, "-m", "seed=range(0,9)", "name=c", workers, step=step)
    assert sorted(cp.runs("c")["seed"]) == list(range(9))
    assert convpipe("-m", "seed=range(0,9)", "name=c").out.rstrip().endswith("0 done, 9 there before, 0 failed: runs/c")
    assert convpipe("verify", "runs").code == 0


@pytest.mark.parametrize("year", TIMES)
def test_files_of_any_age(year: str, folder: Path) -> None:
    np.save("x.npy", np.ones((1, 3, 4, 4), np.int16))
    reading = ["input=npy", "input.path=x.npy", "name=c", "keep=output+inputs"]
    for path in (folder / "x.npy", *(folder / "runs").rglob("*")):
        os.utime(path, (TIMES[year], TIMES[year]))
    for words in (
        reading,
        reading,
        ["-m", *reading, "seed=1,2"],
        ["verify", "runs"],
        ["-m", "seed=0,1,2"],
        ["page", "c"],
    ):
        answer = convpipe(*words)
        assert (answer.code, answer.err) == (0, ""), words
    before = set(cp.runs("c")["run"])
    np.save("x.npy", np.full((1, 3, 4, 4), 2, np.int16))
    os.utime("x.npy", (TIMES[year], TIMES[year]))  # the same size and time, and something else in it
    assert convpipe(*reading).code == 0
    assert len(set(cp.runs("c")["run"]) - before) == 1


def test_a_time_that_python_cannot_tell_is_one_line(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NO_TIME],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4
    assert "the clock" in one_line(done.stderr)


NO_TIME = """\
import time

def beyond():
    raise OverflowError("timestamp too large to convert to C _PyTime_t")

time.time = beyond
from convpipe.__main__ import run
run()
"""
