"""How fast cp.conv is: both lowerings beside scipy, a plain im2col in NumPy and torch where it is there. Not a test.

python tests/benchmarks/convolution.py [--threads 1] [--repeats 5]

Every shape is run by all in turn, so that other work on the machine hits all of them; each gets the best of its
repeats. GFLOP/s count a multiply-add as two. A child process without OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE does it.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
SLOWING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # some machines set them; they make OpenBLAS slower
MEASURING = "CONVPIPE_MEASURING"
# (N, C, H = W, F, kernel, stride, pad): layers of ResNet-50, of MobileNet-V2's first block, and the lecture's.
SHAPES = {
    "resnet conv1": (1, 3, 224, 64, 7, 2, 3),
    "resnet 3x3 56": (1, 64, 56, 64, 3, 1, 1),
    "resnet 1x1 28": (1, 256, 28, 128, 1, 1, 0),
    "resnet 3x3 14": (8, 256, 14, 256, 3, 1, 1),
    "resnet 3x3 7": (8, 512, 7, 512, 3, 1, 1),
    "lecture_4d": (1, 3, 5, 6, 3, 1, 1),
}
SCIPY_MOST_MACS = 300e6  # it takes seconds beyond


@dataclass(frozen=True)
class Case:
    """One shape and its arrays."""

    x: Any
    w: Any
    stride: int
    pad: int

    @property
    def output(self) -> str | None:
        """The dtype of the result: sums of int8 products do not fit int8."""
        return None if self.x.dtype.kind == "f" else "int32"

    @property
    def macs(self) -> int:
        """Multiply-adds."""
        side = (self.x.shape[2] + 2 * self.pad - self.w.shape[2]) // self.stride + 1
        return int(self.x.shape[0] * side**2 * self.w.size)


def a_case(shape: tuple[int, ...], dtype: str) -> Case:
    """Random arrays of a shape."""
    import numpy as np

    n, c, side, f, kernel, stride, pad = shape
    draw = np.random.default_rng(0)
    if dtype == "float32":
        x, w = draw.random((n, c, side, side), np.float32), draw.random((f, c, kernel, kernel), np.float32)
    else:
        x, w = (draw.integers(-8, 8, size, dtype) for size in ((n, c, side, side), (f, c, kernel, kernel)))
    return Case(x, w, stride, pad)


def plain_im2col(case: Case) -> Any:
    """The textbook: windows, copied to columns, one matrix product."""
    import numpy as np

    x = np.pad(case.x, ((0, 0), (0, 0), (case.pad, case.pad), (case.pad, case.pad)))
    windows = np.lib.stride_tricks.sliding_window_view(x, case.w.shape[2:], axis=(2, 3))
    windows = windows[:, :, :: case.stride, :: case.stride]  # (N, C, out_h, out_w, kh, kw)
    columns = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, case.w[0].size)
    n, _, out_h, out_w = windows.shape[:4]
    return (columns @ case.w.reshape(len(case.w), -1).T).reshape(n, out_h, out_w, -1).transpose(0, 3, 1, 2)


def by_scipy(case: Case) -> Any:
    """scipy.signal.correlate of every image with every filter, and strided afterwards, as it has no stride."""
    import numpy as np
    from scipy.signal import correlate

    x = np.pad(case.x, ((0, 0), (0, 0), (case.pad, case.pad), (case.pad, case.pad)))
    planes = [[correlate(image, kernel, mode="valid")[0] for kernel in case.w] for image in x]
    return np.array(planes)[:, :, :: case.stride, :: case.stride]


def by_torch(case: Case) -> Any:
    """torch's own convolution."""
    import torch

    with torch.no_grad():
        x, w = torch.from_numpy(case.x), torch.from_numpy(case.w)
        return torch.nn.functional.conv2d(x, w, stride=case.stride, padding=case.pad).numpy()


def ways(case: Case) -> dict[str, Callable[[], Any]]:
    """All that do this case."""
    import convpipe as cp

    settings = {"stride": case.stride, "pad": case.pad}
    found: dict[str, Callable[[], Any]] = {
        lowering: lambda lowering=lowering: cp.conv(case.x, case.w, **settings, lowering=lowering, dtype=case.output)
        for lowering in ("implicit", "im2col")
    }
    if case.x.dtype.kind == "f":
        found["NumPy im2col"] = lambda: plain_im2col(case)
        if find_spec("scipy") and case.macs <= SCIPY_MOST_MACS:
            found["scipy"] = lambda: by_scipy(case)
        if find_spec("torch"):
            found["torch"] = lambda: by_torch(case)
    return found


def times(case: Case, repeats: int) -> dict[str, float]:
    """The best time of each way, in turn, after one round that warms up and compares the results."""
    import numpy as np

    running = ways(case)
    expected = None
    for run in running.values():
        found = run()
        expected = found if expected is None else expected
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-2)
    best = dict.fromkeys(running, float("inf"))
    for _ in range(repeats):
        for name, run in running.items():
            start = perf_counter()
            run()
            best[name] = min(best[name], perf_counter() - start)
    return best


def measure(threads: int, repeats: int) -> None:
    """Print a line for each shape and way."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    if find_spec("torch"):
        import torch

        torch.set_num_threads(threads)
    else:
        print("torch is not installed here")
    print(
        f"Python {platform.python_version()}, NumPy {np.__version__}, {os.cpu_count()} cores, {threads} thread(s), ",
        end="",
    )
    print("load " + " ".join(f"{value:.2f}" for value in os.getloadavg()))
    print(f"{'shape':20} {'way':13} {'ms':>9} {'GFLOP/s':>8} {'/ implicit':>10}")
    with threadpool_limits(limits=threads, user_api="blas"):
        for name, shape in SHAPES.items():
            for dtype in ("float32", "int8"):
                case = a_case(shape, dtype)
                show(f"{name} {dtype}" if dtype != "float32" else name, case, times(case, repeats))


def show(name: str, case: Case, best: dict[str, float]) -> None:
    """Print what each way took."""
    for way, seconds in best.items():
        rate, ratio = 2 * case.macs / seconds / 1e9, seconds / best["implicit"]
        print(f"{name:20} {way:13} {seconds * 1e3:9.3f} {rate:8.1f} {ratio:10.2f}")


def main() -> int:
    """Measure in a child with a numeric environment that slows nothing down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    if os.environ.get(MEASURING):
        measure(given.threads, given.repeats)
        return 0
    kept = {name: value for name, value in os.environ.items() if name not in SLOWING}
    command = [sys.executable, __file__, *sys.argv[1:]]
    return subprocess.run(command, env={**kept, MEASURING: "1", "PYTHONPATH": str(CHECKOUT)}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
