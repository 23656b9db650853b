"""The command line as a process: what it starts with, and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_runs import CHECKOUT

from convpipe.execution import provenance

# What atexit calls runs after all else, which an end in a hurry would leave out.
CODE = """\
import atexit, sys
from convpipe.__main__ import run

@atexit.register
def show():
    from threadpoolctl import threadpool_info
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas" and "numpy" in pool["filepath"]]
    print("at the end:", *(pool["num_threads"] for pool in pools), file=sys.stderr)

run()
"""


@pytest.mark.parametrize("asked", [None, 2])
def test_blas_starts_with_one_thread_unless_told_otherwise(asked: int | None, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    environment.pop("OPENBLAS_NUM_THREADS", None)
    if asked:
        environment["OPENBLAS_NUM_THREADS"] = str(asked)
    done = subprocess.run(
        [sys.executable, "-c", CODE, "threads=2"], cwd=tmp_path, env=environment, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stderr == f"at the end: {min(asked or 1, provenance.processors())}\n"
    assert "\nnew: runs/lecture_3d/" in done.stdout
