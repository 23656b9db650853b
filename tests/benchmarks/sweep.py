"""What a sweep costs a run, beside stock Hydra with an empty task; workers, growth and memory. Not a test.

python tests/benchmarks/sweep.py [--points 2000] [--stock 40] [--pairs 3] [--many 20000] [--largest 10000]
    [--folder /dev/shm]

Whole processes, ours and stock Hydra's in turn on the same machine. Ours runs and archives `lecture_4d` with one
seed after another; stock Hydra composes a config of one key and calls a function that does nothing. As that takes
minutes for thousands of points, it gets fewer, and what it takes for a single one is subtracted: its start does not
count. Ours does, but hardly for the many points on which two workers are held against one.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

CHECKOUT = Path(__file__).resolve().parents[2]
SLOWING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # some machines set them; they make OpenBLAS slower
TARGETS = {"ratio to stock Hydra": 100, "ms a run": 1.2, "two workers": 1.8}
GROWTH = (100, 1_000, 10_000, 100_000)

EMPTY_APP = """\
import hydra

@hydra.main(version_base="1.3", config_path=".", config_name="config")
def main(config):
    pass

main()
"""


@dataclass(frozen=True)
class Measured:
    """One process: its wall time, what it computed, and the most memory that it, or one of its workers, held."""

    seconds: float
    processor_seconds: float  # its own and its workers': other work on the machine hardly changes it
    peak_bytes: int


def environment() -> dict[str, str]:
    """Ours, less what slows OpenBLAS down, and with this checkout's convpipe."""
    kept = {name: value for name, value in os.environ.items() if name not in SLOWING}
    return {**kept, "PYTHONPATH": str(CHECKOUT)}


def measure(command: list[str], folder: Path) -> Measured:
    """Run one process to its end."""
    start = perf_counter()
    with open(folder / "log", "wb") as log:
        child = subprocess.Popen(command, cwd=folder, env=environment(), stdout=log, stderr=log)
        _, status, usage = os.wait4(child.pid, 0)
    seconds = perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)}: exit {child.returncode}\n{(folder / 'log').read_text()}")
    return Measured(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def ours(folder: Path, points: int, workers: int = 1) -> Measured:
    """A sweep of convpipe's, into an empty collection that is removed afterwards."""
    words = ["-m", "experiment=lecture_4d", f"seed=range(0,{points})", f"workers={workers}", "name=swept"]
    found = measure([sys.executable, "-m", "convpipe", *words], folder)
    table = (folder / "runs" / "swept" / "results.csv").read_text()
    assert table.count(",done,") == points, "not all points have run"
    shutil.rmtree(folder / "runs")
    return found


def stock(folder: Path, points: int) -> Measured:
    """The same sweep by stock Hydra, of an empty task."""
    found = measure([sys.executable, "app.py", "-m", f"seed=range(0,{points})"], folder)
    shutil.rmtree(folder / "multirun")
    return found


def against_stock(folder: Path, points: int, stock_points: int, pairs: int) -> tuple[float, float, float]:
    """Seconds a run of stock Hydra, of ours, and the ratio of processor times: medians of pairs that run in turn."""
    (folder / "app.py").write_text(EMPTY_APP)
    (folder / "config.yaml").write_text("seed: 0\n")
    pair_times = []
    for pair in range(pairs + 1):
        one, many, mine = stock(folder, 1), stock(folder, stock_points), ours(folder, points)
        theirs = (many.seconds - one.seconds) / (stock_points - 1)
        computed = (many.processor_seconds - one.processor_seconds) / (stock_points - 1)
        own = mine.seconds / points
        pair_times.append((theirs, own, computed / (mine.processor_seconds / points)))
        print(f"  pair {pair}: {theirs * 1e3:.1f} ms and {own * 1e3:.3f} ms{'' if pair else ' (warms up)'}")
    theirs, own, processor = (median(column) for column in zip(*pair_times[1:], strict=True))
    return theirs, own, processor


def scaling(folder: Path, points: int, pairs: int) -> float:
    """How many times faster two workers are than one."""
    ratios = []
    for pair in range(pairs):
        one, two = ours(folder, points).seconds, ours(folder, points, workers=2).seconds
        ratios.append(one / two)
        print(f"  pair {pair}: {points / one:.0f} and {points / two:.0f} runs a second")
    return median(ratios)


def growth(folder: Path, largest: int) -> None:
    """Print the time a run and the peak memory, for ever more runs."""
    print("runs      seconds   ms a run   processor ms a run   peak MiB")
    for points in [count for count in GROWTH if count <= largest]:
        found = ours(folder, points)
        wall, processor = (value / points * 1e3 for value in (found.seconds, found.processor_seconds))
        peak = found.peak_bytes / 2**20
        print(f"{points:<9,} {found.seconds:7.2f}   {wall:8.3f}   {processor:18.3f}   {peak:8.0f}")


def report(name: str, value: float, unit: str, *, at_most: bool = False) -> None:
    """Print one figure beside its target."""
    target = TARGETS[name]
    met = "met" if (value <= target if at_most else value >= target) else "MISSED"
    print(f"{name}: {value:.2f}{unit} (target: at {'most' if at_most else 'least'} {target:g}; {met})")


def load() -> str:
    """How busy the machine is."""
    return "load " + " ".join(f"{value:.2f}" for value in os.getloadavg())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=2000)
    parser.add_argument("--stock", type=int, default=40)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--many", type=int, default=20_000)
    parser.add_argument("--largest", type=int, default=10_000)
    parser.add_argument("--folder", default="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    given = parser.parse_args()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}, {load()}")
    with tempfile.TemporaryDirectory(prefix="convpipe-sweep-", dir=given.folder) as scratch:
        folder = Path(scratch)
        print(f"stock Hydra, {given.stock} empty tasks; ours, {given.points} archived runs of lecture_4d:")
        theirs, own, processor = against_stock(folder, given.points, given.stock, given.pairs)
        print(f"two workers beside one, {given.many} runs:")
        ratio = scaling(folder, given.many, given.pairs)
        growth(folder, given.largest)
    print(f"stock Hydra: {theirs * 1e3:.1f} ms a run; ours: {own * 1e3:.3f} ms; {load()} at the end")
    report("ratio to stock Hydra", theirs / own, " times")
    print(f"in processor time, which other work disturbs less: {processor:.0f} times")
    report("ms a run", own * 1e3, " ms", at_most=True)
    report("two workers", ratio, " times")


if __name__ == "__main__":
    main()
