"""What one run costs in a large collection, beside one in an empty collection. Not a test.

python tests/benchmarks/collection.py [--runs 100000] [--pairs 5] [--folder /dev/shm]

The collection is made by a sweep, which takes a minute or two. Then single runs of another seed go into it and into a
collection of their own, in turn; processor times, which other work on the machine disturbs least. The table of the
large one has to have its new row each time.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

CHECKOUT = Path(__file__).resolve().parents[2]
SLOWING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # some machines set them; they make OpenBLAS slower
TARGET = 0.2  # seconds more


def processor_seconds(folder: Path, *words: str) -> float:
    """The processor time of one command, its workers' included."""
    kept = {name: value for name, value in os.environ.items() if name not in SLOWING}
    command = [sys.executable, "-m", "convpipe", *words]
    child = subprocess.Popen(command, cwd=folder, env={**kept, "PYTHONPATH": str(CHECKOUT)}, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)}: exit {child.returncode}")
    return usage.ru_utime + usage.ru_stime


def rows(folder: Path, name: str) -> int:
    """How many rows a collection's table has."""
    return (folder / "runs" / name / "results.csv").read_bytes().count(b"\n") - 1


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--folder", default="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="convpipe-collection-", dir=given.folder) as scratch:
        folder = Path(scratch)
        words = ("experiment=lecture_4d", "name=large")
        processor_seconds(folder, "-m", *words, f"seed=range(0,{given.runs})", "workers=2")
        more = []
        for pair in range(given.pairs):
            seed = f"seed={given.runs + pair}"
            small = processor_seconds(folder, "experiment=lecture_4d", f"name=small{pair}", seed)
            large = processor_seconds(folder, *words, seed)
            assert rows(folder, "large") == given.runs + pair + 1, "the table lacks the new run"
            more.append(large - small)
            print(f"  pair {pair}: {small:.3f} s and {large:.3f} s")
    found = median(more)
    met = "met" if found <= TARGET else "MISSED"
    print(f"a run into {given.runs:,}: {found:.3f} s more than into none (target: at most {TARGET} s; {met})")


if __name__ == "__main__":
    main()
