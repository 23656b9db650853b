"""From a spec to all that is to be computed: one convolution, or a network whose batch may run in slices."""

from __future__ import annotations

from dataclasses import dataclass

from convpipe.errors import ConfigError
from convpipe.network import plan_network, resized
from convpipe.plan import Plan, plan_run, readable
from convpipe.sources import Signature
from convpipe.spec import Spec

# Of a network's batch, after the recorded images. Fixed, as BLAS may round the same image otherwise in another slice.
SLICE = 64


@dataclass(frozen=True)
class Work:
    """The plan of the recorded images, and how the rest of the batch runs: `slice` images at a time."""

    plan: Plan
    batch: int
    recorded: int
    slice: int
    batch_bytes: int  # the whole input and output
    slice_peak: int

    @property
    def peak_bytes(self) -> int:
        """The most that is in memory at once."""
        return self.batch_bytes + max(self.plan.peak_bytes, self.slice_peak)

    @property
    def macs(self) -> int:
        """Multiply-adds for the whole batch."""
        return self.plan.macs * self.batch // max(self.recorded, 1)

    def __str__(self) -> str:
        if self.batch == self.recorded:
            return str(self.plan)
        rest = self.batch - self.recorded
        more = f"and {rest} more images, {self.slice} at a time, whose stages are not recorded"
        whole = f"{self.macs:,} multiply-adds for all {self.batch} images, {readable(self.peak_bytes)} at the peak"
        return f"{self.plan}\n{more}\n{whole}"


def plan_work(spec: Spec, memory: int | None = None) -> Work:
    """Plan what a spec asks for, in slices that fit into `memory` bytes.

    Raises:
        ConfigError: settings that do not fit together.
    """
    return whole_work(plan_run(spec)) if spec.network is None else network_work(spec, memory)


def check_memory(work: Work, spec: Spec, memory: int) -> None:
    """The work fits into the memory it may use.

    Raises:
        ConfigError: it does not.
    """
    if work.peak_bytes > memory:
        hint = "record=1 runs a big batch in slices" if spec.network is not None and spec.record is None else ""
        expected = f"at least {readable(work.peak_bytes)}, this run's peak"
        raise ConfigError("limits.memory", readable(memory), expected, hint)


def whole_work(plan: Plan) -> Work:
    """Work that is one plan."""
    batch = plan.given[0].shape[0] if plan.given[0].shape else 0
    return Work(plan, batch, batch, 0, 0, 0)


def network_work(spec: Spec, memory: int | None) -> Work:
    """A network's work: recorded images first, the others in the largest slices that fit."""
    given = spec.input.signature()
    batch = given.shape[0] if given.shape else 0
    if spec.labels is not None:
        spec.labels.check(batch)
    if spec.record is None or spec.record >= batch:
        if spec.record is not None and spec.record > batch:
            raise ConfigError("record", spec.record, f"at most {batch}, the images there are")
        return whole_work(plan_images(spec, given, batch))
    plan = plan_images(spec, given, spec.record)
    ends = plan.given[0].bytes // spec.record + plan.output.bytes // spec.record
    size = min(SLICE, batch - spec.record)
    while True:
        peak = plan_images(spec, given, size).peak_bytes
        if memory is None or batch * ends + peak <= memory or size == 1:
            return Work(plan, batch, spec.record, size, batch * ends, peak)
        size = -(-size // 2)


def plan_images(spec: Spec, given: Signature, images: int) -> Plan:
    """The network's plan for that many images."""
    assert spec.network is not None
    return plan_network(spec.network, resized(given, images), spec.weights, spec.lowering.stages)
