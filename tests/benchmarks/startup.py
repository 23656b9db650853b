"""What a default run costs beside an empty Hydra app: whole processes, in pairs. Not a test; run it by hand.

python tests/benchmarks/startup.py [pairs]
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

CHECKOUT = Path(__file__).resolve().parents[2]
TARGET_RATIO = 1.5
FEWEST_PAIRS = 10
# Some machines set these: they make OpenBLAS slower, or Python compile a checkout's modules anew at each start.
SLOWING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "PYTHONDONTWRITEBYTECODE")

EMPTY_APP = """\
import hydra

@hydra.main(version_base="1.3", config_path=".", config_name="config")
def main(config):
    pass

main()
"""


def environment() -> dict[str, str]:
    """Ours, less what slows a start down, and with this checkout's convpipe."""
    kept = {name: value for name, value in os.environ.items() if name not in SLOWING}
    return {**kept, "PYTHONPATH": str(CHECKOUT)}


def seconds(command: list[str], folder: Path) -> float:
    """The wall time of one process."""
    start = perf_counter()
    subprocess.run(command, cwd=folder, env=environment(), check=True, stdout=subprocess.DEVNULL)
    return perf_counter() - start


def measure(folder: Path, pairs: int) -> list[tuple[float, float]]:
    """Times of (empty app, default run), pair by pair; which goes first alternates. A pair before warms the caches."""
    (folder / "app.py").write_text(EMPTY_APP)
    (folder / "config.yaml").write_text("key: 1\n")
    empty_app = [sys.executable, "app.py"]
    times = []
    for pair in range(pairs + 1):
        default_run = [sys.executable, "-m", "convpipe", f"root=runs{pair}"]
        if pair % 2:
            ours, theirs = seconds(default_run, folder), seconds(empty_app, folder)
        else:
            theirs, ours = seconds(empty_app, folder), seconds(default_run, folder)
        times.append((theirs, ours))
    return times[1:]


def main() -> int:
    """Measure and print; gives 1 where the target is missed."""
    pairs = max(FEWEST_PAIRS, int(sys.argv[1]) if len(sys.argv) > 1 else 20)
    with tempfile.TemporaryDirectory(prefix="convpipe-startup-") as folder:
        times = measure(Path(folder), pairs)
    ratio = median(ours / theirs for theirs, ours in times)
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}, {pairs} pairs")
    print(f"empty Hydra app  {median(theirs for theirs, _ in times):.3f} s")
    print(f"default run      {median(ours for _, ours in times):.3f} s")
    print(f"ratio            {ratio:.2f} (median of the pairs; target: at most {TARGET_RATIO:g})")
    return int(ratio > TARGET_RATIO)


if __name__ == "__main__":
    sys.exit(main())
