"""What a researcher tried who had never seen this project: sweeps, their tables, and the ways that they end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_runs import CHECKOUT

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
