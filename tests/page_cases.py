"""What the tests of a run's page share: configs of any geometry, and pages of their runs."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from run_cases import a_run

from convpipe.archive.read import Run
from convpipe.report.page.asked import Asked
from convpipe.report.page.run_page import run_page


def any_geometry(seed: int) -> dict[str, Any]:
    """Changes to the plain run: one to three axes, strides, dilations, uneven pads, groups, modes, several images."""
    draw = random.Random(seed)
    rank = draw.choice((1, 2, 2, 3))
    kernel, stride = ([draw.randint(1, 3) for _ in range(rank)] for _ in range(2))
    dilation = [draw.randint(1, 2) for _ in range(rank)]
    pads = [[draw.randint(0, 2), draw.randint(0, 2)] for _ in range(rank)]
    spans = [(size - 1) * step + 1 for size, step in zip(kernel, dilation, strict=True)]
    spatial = [max(span, 3) + draw.randint(0, 3) for span in spans]
    groups, depth = draw.randint(1, 2), draw.randint(1, 2)
    return {
        "input.shape": [draw.randint(1, 2), groups * depth, *spatial],
        "filters.count": groups * draw.randint(1, 2),
        "filters.kernel": kernel,
        "conv.stride": stride,
        "conv.dilation": dilation,
        "conv.pad": pads,
        "conv.groups": groups,
        "conv.pad_mode": draw.choice(("constant", "constant", "reflect", "edge", "wrap")),
        "seed": seed,
    }


def a_page(folder: Path, changes: dict[str, Any] | None = None, **asked: Any) -> tuple[Run, bytes]:
    """A run that keeps its stages, and its page."""
    run = a_run(folder, {"keep": "stages", **(changes or {})})
    return run, run_page(run, Asked(**asked))
