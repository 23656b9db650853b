"""The command line in a process of its own that may take little: memory by RLIMIT_DATA, time by a generous limit.

What a stranger's file may cost is aimed at 2 s and 300 MiB. A test sets the memory hard, and the time with tenfold
room, so that a slow machine fails none.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

SECONDS = 20
DATA_BYTES = 300 << 20
CONVPIPE = (sys.executable, "-m", "convpipe")


def limited(
    words: Sequence[str],
    folder: Path,
    *,
    data_bytes: int = DATA_BYTES,
    seconds: float = SECONDS,
    environment: Mapping[str, str] | None = None,
    command: Sequence[str] = CONVPIPE,
) -> subprocess.CompletedProcess[str]:
    """What `convpipe *words` says and gives in a folder, within limits; a process that takes longer is killed.

    Raises:
        AssertionError: it took longer.
    """

    def limits() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (data_bytes, data_bytes))

    process = subprocess.Popen(
        [*command, *words],
        cwd=folder,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="backslashreplace",
        preexec_fn=limits,
        start_new_session=True,
    )
    try:
        out, told = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired as late:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise AssertionError(f"convpipe {' '.join(words)[:200]}: no end after {seconds} s") from late
    return subprocess.CompletedProcess(process.args, process.returncode, out, told)
