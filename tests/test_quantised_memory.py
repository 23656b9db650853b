"""What the stages of a quantised convolution need beside their tensors is at most what the plan says."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import Any

import pytest
from cli_runs import job

from convpipe.execution.inputs import make_arrays
from convpipe.graph.spec import Spec
from convpipe.graph.work import plan_work
from convpipe.ops.kinds.quantised import Accumulator

ALLOWANCE = 1 << 18  # bytes of Python's own objects
ACCUMULATORS: tuple[dict[str, Any], ...] = (
    {},
    {"bits": 64},
    {"bits": 24, "overflow": "wrap"},
    {"bits": 24, "overflow": "saturate"},
    {"bits": 24, "overflow": "saturate", "every": "step"},
    {"bits": 24, "overflow": "saturate", "every": 100},
    {"bits": 64, "overflow": "saturate", "every": 100},
    {"bits": 32, "overflow": "pairs16"},
)
SIZES = {
    "many positions": ("input.shape=[1,4,64,64]", "filters.count=4", "filters.kernel=3"),
    "long filters": ("input.shape=[1,256,6,6]", "filters.count=8", "filters.kernel=3"),
    "many filters": ("input.shape=[1,16,8,8]", "filters.count=200", "filters.kernel=3"),
}
NUMBERS = ("quant.multiplier=1073741824", "quant.shift=-8", "quant.input.zero_point=5", "quant.filters.zero_point=1")


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("dtype", ["int8", "int32"])
def test_no_stage_needs_more_than_its_plan_says(sizes: str, dtype: str) -> None:
    ends = (("dtype", dtype), ("low", 0), ("high", 100))
    sources = [
        word
        for group in ("input", "filters", "bias")
        for word in (f"{group}=integers", *(f"{group}.{name}={value}" for name, value in ends))
    ]
    spec = job("quant=tflite", *NUMBERS, *sources, *SIZES[sizes], "quant.output.dtype=int8").spec
    assert spec.quant is not None
    for accumulator in ACCUMULATORS:
        hold_to_plan(replace(spec, quant=replace(spec.quant, accumulator=Accumulator(**accumulator))))


def hold_to_plan(spec: Spec) -> None:
    """Run stage by stage, and measure each."""
    work = plan_work(spec)
    tensors = make_arrays(spec, work)
    for step in work.plan.steps:
        operands = [tensors[name] for name in step.needs]
        tracemalloc.start()
        try:
            made = step.run(*operands)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        allowed = made.nbytes + step.workspace + ALLOWANCE
        assert peak <= allowed, f"{step.name} {spec.quant}: {peak:,} bytes, planned {allowed:,}"
        tensors[step.makes.name] = made
