"""From a spec to all that is to be computed: one convolution, or a network whose batch may run in slices."""

from dataclasses import dataclass, fields
from operator import attrgetter

from convpipe.errors import ConfigError
from convpipe.graph.making import making_peak
from convpipe.graph.memo import Memo
from convpipe.graph.network import network_input, plan_network, resized
from convpipe.graph.plan import Plan, readable
from convpipe.graph.single import in_words_of, plan_run
from convpipe.graph.spec import Spec
from convpipe.sources import Request, Source
from convpipe.tensors import Sizes, Tensor

# Of a network's batch, after the recorded images. Fixed, as BLAS may round the same image otherwise in another slice.
SLICE = 64

planned_parts = attrgetter(*(entry.name for entry in fields(Spec) if entry.name != "seed"))


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

    @property
    def wanted_slice(self) -> int:
        """How many images run at a time where memory allows it."""
        return min(SLICE, self.batch - self.recorded)

    def __str__(self) -> str:
        if self.batch == self.recorded:
            return str(self.plan)
        rest = self.batch - self.recorded
        fewer = f" (not {self.wanted_slice}, as limits.memory allows no more: floats may differ in their last bits)"
        times = f"{self.slice} at a time{'' if self.slice == self.wanted_slice else fewer}"
        more = f"and {rest} more images, {times}, whose stages are not recorded"
        whole = f"{self.macs:,} multiply-adds for all {self.batch} images, {readable(self.peak_bytes)} at the peak"
        return f"{self.plan}\n{more}\n{whole}"


def plan_work(spec: Spec, memory: int | None = None) -> Work:
    """Plan what a spec asks for, in slices that fit into `memory` bytes.

    Raises:
        ConfigError: settings that do not fit together.
    """
    return whole_work(plan_run(spec)) if spec.network is None else network_work(spec, memory)


def checked_work(spec: Spec, memory: int, memo: Memo | None = None) -> Work:
    """The work of a spec, which fits into memory; where only the seed differs from the last, so does nothing of it.

    Raises:
        ConfigError: settings that do not fit together, or a footprint over `memory`.
    """

    def make() -> Work:
        work = plan_work(spec, memory)
        check_memory(work, spec, memory)
        return work

    things = (memory, *planned_parts(spec))
    work: Work = (memo or Memo()).of_same("work", things, make)
    return work


def check_memory(work: Work, spec: Spec, memory: int) -> None:
    """The work fits into the memory it may use.

    Raises:
        ConfigError: it does not.
    """
    if work.peak_bytes > memory:
        hint = "record=1 runs a big batch in slices" if spec.network is not None and spec.record is None else ""
        expected = f"at least {readable(work.peak_bytes)}, this run's peak"
        raise ConfigError("limits.memory", readable(memory), expected, hint)
    making = making_peak(spec, work.plan.given, work.batch)
    if making > memory:
        expected = f"at least {readable(making)}, to make the arrays this run starts from"
        raise ConfigError("limits.memory", readable(memory), expected)


def whole_work(plan: Plan) -> Work:
    """Work that is one plan."""
    batch = plan.given[0].shape[0] if plan.given[0].shape else 0
    return Work(plan, batch, batch, 0, 0, 0)


def network_work(spec: Spec, memory: int | None) -> Work:
    """A network's work: recorded images first, the others in the largest slices that fit."""
    given = images_of(spec)
    batch = given.shape[0]
    if spec.labels is not None:
        check_labels(spec.labels, batch)
    if spec.record is None or spec.record >= batch:
        if spec.record is not None and spec.record > batch:
            raise ConfigError("record", spec.record, f"at most {batch}, the images there are")
        return whole_work(plan_answers(spec, given, batch))
    plan = plan_answers(spec, given, spec.record)
    ends = plan.given[0].bytes // spec.record + plan.output.bytes // spec.record
    size = min(SLICE, batch - spec.record)
    while True:
        peak = plan_images(spec, given, size).peak_bytes
        if memory is None or batch * ends + peak <= memory or size == 1:
            return Work(plan, batch, spec.record, size, batch * ends, peak)
        size = -(-size // 2)


def images_of(spec: Spec) -> Tensor:
    """The whole batch that a network has for its input.

    Raises:
        ConfigError: an input of another number of axes.
    """
    assert spec.network is not None
    try:
        return network_input(spec.input.signature(), spec.network)
    except ConfigError as error:
        raise in_words_of(error, spec.input) from error


def check_labels(labels: Source, images: int) -> None:
    """There is one whole number for each image.

    Raises:
        ConfigError: other labels.
    """
    found = labels.signature(Request((images,)))
    if found.dtype.kind not in "iu":
        raise ConfigError("labels", found.dtype, "whole numbers, the class of each image")


def plan_answers(spec: Spec, given: Tensor, images: int) -> Plan:
    """The network's plan, whose output suits the labels, if there are any.

    Raises:
        ConfigError: labels, and an output that is not one number for each class.
    """
    plan = plan_images(spec, given, images)
    if spec.labels is not None and not are_scores(plan.output.shape):
        expected = f"labels=none, as the network's output {plan.output.shape} is not (N, classes)"
        raise ConfigError("labels", "settings", expected)
    return plan


def are_scores(shape: Sizes) -> bool:
    """Whether an output is one number for each class: (N, classes), or with axes of one cell behind them.

    >>> are_scores((8, 10)), are_scores((8, 10, 1, 1)), are_scores((8, 10, 2, 2))
    (True, True, False)
    """
    return len(shape) >= 2 and all(size == 1 for size in shape[2:])


def plan_images(spec: Spec, given: Tensor, images: int) -> Plan:
    """The network's plan for that many images."""
    assert spec.network is not None
    try:
        lowering, given = spec.lowering, resized(given, images)
        return plan_network(spec.network, given, spec.weights, lowering.stages, lowering.columns)
    except ConfigError as error:
        raise in_words_of(error, spec.input) from error
