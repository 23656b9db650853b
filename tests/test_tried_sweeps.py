"""What a researcher tried who had never seen this project: sweeps, their tables, and the ways that they end."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_runs import CHECKOUT, convpipe, refused

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


def rows_of(path: str) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
