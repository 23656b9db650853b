"""The plan of a run: every stage with its shape, dtype, bytes and multiply-adds, before any array exists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convpipe import geometry, lowerings
from convpipe.errors import ConfigError, GeometryError
from convpipe.geometry import AXES, ConvGeometry
from convpipe.lowerings import Convolution
from convpipe.lowerings.stages import kernel_letters
from convpipe.ops.padding import exactly
from convpipe.sources import Signature
from convpipe.spec import ConvSettings, Spec
from convpipe.step import Step, Tensor

# What the geometry calls a parameter, and what the user typed to set it.
CONFIG_KEYS = {
    **{name: f"conv.{name}" for name in ("stride", "pad", "dilation", "groups", "pad_mode", "pad_value", "dtype")},
    "input": "input.shape",
    "filters": "filters",
    "kernel": "filters.kernel",
    "channels": "filters",
}
UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


@dataclass(frozen=True)
class Plan:
    """Given tensors and the steps that follow; printing it gives an aligned table."""

    given: tuple[Tensor, ...]
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()

    @property
    def output(self) -> Tensor:
        """What the last step makes."""
        return self.steps[-1].makes

    @property
    def macs(self) -> int:
        """Multiply-adds of all steps."""
        return sum(step.macs for step in self.steps)

    @property
    def bytes(self) -> int:
        """All arrays of the plan together."""
        return sum(tensor.bytes for tensor in self.given) + sum(step.makes.bytes for step in self.steps)

    @property
    def peak_bytes(self) -> int:
        """The most that is in memory at once, each tensor dropped after its last use (views counted as copies)."""
        last_use = last_uses(self.steps)
        live = {tensor.name: tensor.bytes for tensor in self.given}
        peak = sum(live.values())
        for position, step in enumerate(self.steps):
            live[step.makes.name] = step.makes.bytes
            peak = max(peak, sum(live.values()) + step.workspace)
            live = {
                name: size
                for name, size in live.items()
                if last_use.get(name, -1) > position or name == self.output.name
            }
        return peak

    def __str__(self) -> str:
        rows = [("stage", "makes", "shape", "axes", "dtype", "bytes", "macs")]
        rows += [("-", tensor.name, *described(tensor), "-") for tensor in self.given]
        rows += [
            (step.name, step.makes.name, *described(step.makes), f"{step.macs:,}" if step.macs else "-")
            for step in self.steps
        ]
        totals = (
            f"{self.macs:,} multiply-adds, {readable(self.bytes)} in arrays, {readable(self.peak_bytes)} at the peak"
        )
        return "\n".join([*aligned(rows), *self.notes, totals])


def last_uses(steps: Sequence[Step]) -> dict[str, int]:
    """The position of the last step that reads each tensor."""
    return {name: position for position, step in enumerate(steps) for name in step.needs}


def described(tensor: Tensor) -> tuple[str, str, str, str]:
    """A tensor's shape, axes, dtype and bytes, as texts."""
    return shape_text(tensor.shape), shape_text(tensor.axes), str(tensor.dtype), f"{tensor.bytes:,}"


def shape_text(sizes: Sequence[object]) -> str:
    """Sizes in brackets, without blanks.

    >>> shape_text((25, 27))
    '(25,27)'
    """
    return f"({','.join(map(str, sizes))})"


def readable(count: int) -> str:
    """A number of bytes for people.

    >>> readable(512), readable(3 * 1024**2)
    ('512 B', '3.0 MiB')
    """
    power = min(max(count.bit_length() - 1, 0) // 10, len(UNITS) - 1)
    return f"{count} B" if power == 0 else f"{count / 1024**power:,.1f} {UNITS[power]}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines whose columns stand under each other, numbers (the last two columns) to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if at >= len(row) - 2 else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def plan_run(spec: Spec) -> Plan:
    """Plan what a spec asks for.

    Raises:
        ConfigError: settings that do not fit together, under the keys their user typed.
    """
    given = spec.input.signature()
    try:
        rank = geometry.input_rank(given.shape)
        filters = spec.filters.signature(channels=given.shape[1], groups=spec.conv.groups, rank=rank)
        return plan_convolution(given, filters, spec.conv, spec.lowering.stages)
    except GeometryError as error:
        raise error.at(CONFIG_KEYS) from error


def plan_convolution(
    x: Signature, w: Signature, conv: ConvSettings, stages: Sequence[str], bias: Signature | None = None
) -> Plan:
    """Plan one convolution of an input with filters.

    Raises:
        GeometryError: sizes that do not fit.
        ConfigError: a chain of stages that is not whole.
    """
    sizes = geometry.solve(
        x.shape,
        w.shape,
        stride=conv.stride,
        pad=conv.pad,
        dilation=conv.dilation,
        groups=conv.groups,
        pad_mode=conv.pad_mode,
    )
    check_pad_value(conv, sizes, x.dtype)
    convolution = Convolution(
        geometry=sizes,
        input=x.dtype,
        filters=w.dtype,
        bias=None if bias is None else bias.dtype,
        dtype=None if conv.dtype is None else np.dtype(conv.dtype),
        overflow=conv.overflow,  # type: ignore[arg-type]
        pad_mode=conv.pad_mode,
        pad_value=conv.pad_value,
    )
    check_output_dtype(convolution)
    given = given_tensors(sizes, x, w, bias)
    return Plan(given, lowerings.lower(convolution, stages), unread_notes(sizes))


def given_tensors(sizes: ConvGeometry, x: Signature, w: Signature, bias: Signature | None) -> tuple[Tensor, ...]:
    """Input, filters and perhaps bias, with their axes' letters."""
    depth = "C" if sizes.groups == 1 else "C/G"
    tensors = [
        Tensor("input", x.shape, x.dtype, ("N", "C", *AXES[sizes.rank])),
        Tensor("filters", w.shape, w.dtype, ("F", depth, *kernel_letters(sizes.rank))),
    ]
    if bias is not None:
        tensors.append(Tensor("bias", bias.shape, bias.dtype, ("F",)))
    return tuple(tensors)


def check_pad_value(conv: ConvSettings, sizes: ConvGeometry, dtype: np.dtype[Any]) -> None:
    """The padding value is one that the input's dtype can hold."""
    if conv.pad_mode == "constant" and any(map(any, sizes.pads)):
        exactly(conv.pad_value, dtype)


def check_output_dtype(conv: Convolution) -> None:
    """An integer feature map is asked only of integers, whose sums are exact."""
    if conv.output.kind in "iu" and any(dtype.kind == "f" for dtype in conv.operands):
        raise GeometryError("dtype", conv.output, "a float dtype, as the input or the filters are floats")


def unread_notes(sizes: ConvGeometry) -> tuple[str, ...]:
    """What a stride that does not divide leaves out, in words."""
    left = [f"{cells} along {letter}" for cells, letter in zip(sizes.unread, AXES[sizes.rank], strict=True) if cells]
    return (
        (f"never read, as the stride does not divide: {', '.join(left)} (cells at the end of the padded input)",)
        if left
        else ()
    )


def check_memory(plan: Plan, limit: int) -> None:
    """The plan fits into the memory it may use.

    Raises:
        ConfigError: it does not.
    """
    if plan.peak_bytes > limit:
        raise ConfigError("limits.memory", readable(limit), f"at least {readable(plan.peak_bytes)}, this run's peak")
