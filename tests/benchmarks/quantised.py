"""What the quantised layers of ResNet-50 cost, beside the same layers as exact sums. Not a test.

python tests/benchmarks/quantised.py [--pairs 7] [--folder /dev/shm]

Both lists run as sweeps in this process, in turn, each into a collection of its own.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import warnings
from pathlib import Path
from statistics import median
from time import perf_counter

import convpipe as cp

SLOWING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # some machines set them; they make OpenBLAS slower
TARGET = 1.5  # times the exact sums


def seconds(experiment: str, root: Path) -> float:
    """How long the sweep of an experiment takes, in an empty root."""
    with tempfile.TemporaryDirectory(dir=root) as folder:
        begun = perf_counter()
        cp.sweep(f"experiment={experiment}", root=folder)
        return perf_counter() - begun


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--folder", default="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in SLOWING:  # before NumPy is imported, which convpipe does when it is used
        os.environ.pop(name, None)
    ratios = []
    with tempfile.TemporaryDirectory(prefix="convpipe-quantised-", dir=given.folder) as scratch:
        seconds("resnet50", Path(scratch))
        for pair in range(given.pairs):
            exact, quantised = (seconds(name, Path(scratch)) for name in ("resnet50", "resnet50_quant"))
            ratios.append(quantised / exact)
            print(f"  pair {pair}: {exact:.3f} s and {quantised:.3f} s, {ratios[-1]:.2f} times")
    print(f"{median(ratios):.2f} times, where at most {TARGET} is wanted")


if __name__ == "__main__":
    main()
