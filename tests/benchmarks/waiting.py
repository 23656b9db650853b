"""How long a person waits: for a list of ten thousand runs, for a refusal, and for the end after Ctrl-C. Not a test.

python tests/benchmarks/waiting.py [--repeats 5] [--runs 10000] [--folder /dev/shm]

Whole processes, from their start to their end, or from the signal to their end.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

CHECKOUT = Path(__file__).resolve().parents[2]
SLOWING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # some machines set them; they make OpenBLAS slower
TARGETS = {"a list": 1.0, "a refusal": 2.0, "the end": 2.0}  # seconds
SWEEP = ("-m", "experiment=lecture_4d")
LONG = ("-m", "experiment=lecture_4d", "input=random", "input.shape=[1,3,256,256]", "timing.repeats=10000")
FOREVER = 600  # seconds


def start(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    """`convpipe` in a process of its own, with this checkout's code."""
    kept = {name: value for name, value in os.environ.items() if name not in SLOWING}
    return subprocess.Popen(
        [sys.executable, "-m", "convpipe", *words],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def whole(folder: Path, code: int, *words: str) -> float:
    """Seconds of a process that ends by itself, with that exit code."""
    began = time.perf_counter()
    running = start(folder, *words)
    found = running.wait(FOREVER)
    seconds = time.perf_counter() - began
    if found != code:
        raise SystemExit(f"convpipe {' '.join(words)}: exit {found}, expected {code}")
    return seconds


def after_interrupt(folder: Path, fewest: int, *words: str) -> float:
    """Seconds from Ctrl-C to the end of a sweep, sent once so many entries are in its collection."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        collection = Path(place) / "runs" / "swept"
        running = start(Path(place), *words, "name=swept")
        while not (collection.is_dir() and len(os.listdir(collection)) >= fewest):
            if running.poll() is not None:
                raise SystemExit(f"convpipe {' '.join(words)}: ended with exit {running.returncode} before the signal")
            time.sleep(0.001)
        began = time.perf_counter()
        running.send_signal(signal.SIGINT)
        found = running.wait(FOREVER)
        seconds = time.perf_counter() - began
    if found != 128 + signal.SIGINT:
        raise SystemExit(f"convpipe {' '.join(words)}: exit {found} after the signal")
    return seconds


def report(what: str, kind: str, repeats: int, measured: Callable[[], float]) -> None:
    """Print how long something took, beside its target."""
    times = [measured() for _ in range(repeats)]
    target = TARGETS[kind]
    met = "met" if max(times) <= target else "MISSED"
    print(f"{what:46} {median(times):6.2f} {max(times):6.2f}   {target:g} {met}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--folder", default="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    given = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # even where a shell's & let it be ignored
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}, ", end="")
    print("load " + " ".join(f"{value:.2f}" for value in os.getloadavg()))
    print(f"{'seconds':46} median  worst   target")
    with tempfile.TemporaryDirectory(prefix="convpipe-waiting-", dir=given.folder) as scratch:
        measure(Path(scratch), given.runs, given.repeats)


def measure(folder: Path, runs: int, repeats: int) -> None:
    """A line for each wait."""

    def line(what: str, kind: str, measured: Callable[[], float]) -> None:
        report(what, kind, repeats, measured)

    whole(folder, 0, *SWEEP, f"seed=range(0,{runs})", "name=many")
    where = ("--where", "seed > 100 and seed < 2000", "--sort=-seconds")
    line(f"list of {runs:,} runs", "a list", lambda: whole(folder, 0, "runs", "runs/many"))
    line("  with --where and --sort", "a list", lambda: whole(folder, 0, "runs", "runs/many", *where))
    vast = ("-m", "seed=range(0,1000000000)", "conv.stride=range(1,1000000000)")
    large = ("input=random", "input.shape=[1,1,1000000,1000000]")
    line("refusal of too many points", "a refusal", lambda: whole(folder, 2, *vast))
    line("refusal of too large a run", "a refusal", lambda: whole(folder, 2, *large))
    for workers in (1, 2):
        many = (*SWEEP, "seed=range(0,20000)", f"workers={workers}")
        long = (*LONG, "seed=range(0,9)", f"workers={workers}")
        line(f"end of a sweep, {workers} worker(s)", "the end", lambda many=many: after_interrupt(folder, 20, *many))
        line(
            f"  during a long run, {workers} worker(s)", "the end", lambda long=long: after_interrupt(folder, 1, *long)
        )


if __name__ == "__main__":
    main()
