"""The plan of a run: every stage with its shape, dtype, bytes and multiply-adds, before any array exists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from convpipe import geometry, lowerings
from convpipe.errors import ConfigError, GeometryError
from convpipe.geometry import AXES, ConvGeometry
from convpipe.graph.spec import ConvSettings, Spec
from convpipe.graph.step import Step
from convpipe.lowerings import Convolution
from convpipe.lowerings.stages import kernel_letters, out_letters
from convpipe.ops.padding import exactly
from convpipe.sources import FilterSource, Signature
from convpipe.tensors import Tensor

# What the geometry calls a parameter, and what the user typed to set it.
CONFIG_KEYS = {
    **{name: f"conv.{name}" for name in ("stride", "pad", "dilation", "groups", "pad_mode", "pad_value", "dtype")},
    **{name: f"conv.{name}" for name in ("operation", "output_padding", "output_shape")},
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

    @cached_property
    def macs(self) -> int:
        """Multiply-adds of all steps."""
        return sum(step.macs for step in self.steps)

    @cached_property
    def bytes(self) -> int:
        """All arrays of the plan together."""
        return sum(tensor.bytes for tensor in self.given) + sum(step.makes.bytes for step in self.steps)

    @cached_property
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
    """Plan the single convolution that a spec asks for.

    Raises:
        ConfigError: settings that do not fit together, under the keys their user typed.
    """
    given = spec.input.signature()
    assert spec.conv is not None
    assert spec.filters is not None
    try:
        return plan_operation(spec, spec.conv, spec.filters, given)
    except GeometryError as error:
        raise error.at(CONFIG_KEYS) from error


def plan_operation(spec: Spec, conv: ConvSettings, source: FilterSource, given: Signature) -> Plan:
    """Plan a convolution, a transposed one or a gradient: `conv.operation`."""
    rank, stages = geometry.input_rank(given.shape), spec.lowering.stages
    if conv.operation == "conv_transpose":
        filters = transposed_filters(source, given.shape[1], conv.groups, rank)
        bias = bias_signature(spec, filters.shape[1] * conv.groups)
        return plan_transposed(given, filters, conv, stages, bias)
    filters = source.signature(channels=given.shape[1], groups=conv.groups, rank=rank)
    if conv.operation is None:
        return plan_convolution(given, filters, conv, stages, bias_signature(spec, filters.shape[0]))
    if spec.grad is None:
        raise ConfigError("grad", None, f"a source such as integers, as {conv.operation} starts from it")
    sizes = forward_sizes(given, filters, conv)
    grad = spec.grad.signature((sizes.batch, sizes.filters, *sizes.out))
    return plan_gradient(given, filters, grad, conv, stages)


def bias_signature(spec: Spec, filters: int) -> Signature | None:
    """The bias's signature, if there is one."""
    return None if spec.bias is None else spec.bias.signature((filters,))


def transposed_filters(source: FilterSource, channels: int, groups: int, rank: int) -> Signature:
    """The signature (C, F/G, kernel...) of a source's filters; of one that is told a count, F is the count."""
    count: int | None = getattr(source, "count", None)
    if count is None:
        return source.signature(channels=channels, groups=groups, rank=rank)
    if count % groups:
        raise GeometryError("groups", groups, f"a divisor of the {count} filters")
    forward = source.signature(channels=count, groups=groups, rank=rank)
    return Signature((channels, *forward.shape[1:]), forward.dtype)


def plan_convolution(
    x: Signature, w: Signature, conv: ConvSettings, stages: Sequence[str], bias: Signature | None = None
) -> Plan:
    """Plan one convolution of an input with filters.

    Raises:
        GeometryError: sizes that do not fit.
        ConfigError: a chain of stages that is not whole.
    """
    check_unused(conv, operation=None, output_padding=0, output_shape=None)
    sizes = forward_sizes(x, w, conv)
    check_pad_value(conv, sizes, x.dtype)
    convolution = convolution_of(sizes, conv, input=x.dtype, filters=w.dtype, bias=None if bias is None else bias.dtype)
    given = given_tensors(sizes, x, w, bias)
    return Plan(given, lowerings.lower(convolution, stages), unread_notes(sizes))


def plan_transposed(
    x: Signature, w: Signature, conv: ConvSettings, stages: Sequence[str], bias: Signature | None = None
) -> Plan:
    """Plan one transposed convolution of an input with filters (C, F/G, kernel...).

    Raises:
        GeometryError: sizes that do not fit.
        ConfigError: a chain of stages that is not whole.
    """
    check_unused(conv, pad_mode="constant", pad_value=0)
    sizes = geometry.solve_transposed(
        x.shape,
        w.shape,
        stride=conv.stride,
        pad=conv.pad,
        output_padding=conv.output_padding,
        output_shape=conv.output_shape,
        dilation=conv.dilation,
        groups=conv.groups,
    )
    convolution = convolution_of(sizes, conv, input=x.dtype, filters=w.dtype, bias=None if bias is None else bias.dtype)
    depth = "F" if sizes.groups == 1 else "F/G"
    given = [
        Tensor("input", x.shape, x.dtype, ("N", "C", *AXES[sizes.rank])),
        Tensor("filters", w.shape, w.dtype, ("C", depth, *kernel_letters(sizes.rank))),
    ]
    if bias is not None:
        given.append(Tensor("bias", bias.shape, bias.dtype, ("F",)))
    return Plan(tuple(given), lowerings.lower(convolution, stages), unreached_notes(sizes))


def plan_gradient(x: Signature, w: Signature, grad: Signature, conv: ConvSettings, stages: Sequence[str]) -> Plan:
    """Plan one gradient of a convolution: the one that `conv.operation` names.

    Args:
        x, w: of the convolution, whether or not this gradient reads them.
        grad: the gradient of its output, (N, F, out_h, out_w).

    Raises:
        GeometryError: sizes that do not fit.
        ConfigError: a chain of stages that is not whole.
    """
    check_unused(conv, output_padding=0, output_shape=None)
    sizes = forward_sizes(x, w, conv)
    check_pad_value(conv, sizes, x.dtype)
    check_grad_shape(sizes, grad)
    convolution = convolution_of(sizes, conv, input=x.dtype, filters=w.dtype, grad=grad.dtype)
    letters = ("N", "F", *out_letters(sizes.rank))
    tensors = {tensor.name: tensor for tensor in given_tensors(sizes, x, w, None)}
    tensors["grad"] = Tensor("grad", grad.shape, grad.dtype, letters)
    given = tuple(tensors[name] for name in convolution.given)
    return Plan(given, lowerings.lower(convolution, stages), unread_notes(sizes))


def forward_sizes(x: Signature, w: Signature, conv: ConvSettings) -> ConvGeometry:
    """The geometry of a convolution."""
    return geometry.solve(
        x.shape,
        w.shape,
        stride=conv.stride,
        pad=conv.pad,
        dilation=conv.dilation,
        groups=conv.groups,
        pad_mode=conv.pad_mode,
    )


def convolution_of(sizes: ConvGeometry, conv: ConvSettings, **dtypes: np.dtype[Any] | None) -> Convolution:
    """A convolution, or its adjoint, of tensors of these dtypes (input, filters, bias, grad)."""
    convolution = Convolution(
        geometry=sizes,
        dtype=None if conv.dtype is None else np.dtype(conv.dtype),
        overflow=conv.overflow,  # type: ignore[arg-type]
        pad_mode=conv.pad_mode,
        pad_value=conv.pad_value,
        operation=conv.operation or "conv",  # type: ignore[arg-type]
        **dtypes,  # type: ignore[arg-type]
    )
    check_output_dtype(convolution)
    return convolution


def check_unused(conv: ConvSettings, **values: Any) -> None:
    """Settings that the operation does not have are left at these values; null is as good."""
    for name, value in values.items():
        got = getattr(conv, name)
        if got is not None and got != value:
            expected = f"{'nothing' if value is None else value}, as {conv.operation or 'conv'} has no {name}"
            raise GeometryError(name, got, expected)


def check_grad_shape(sizes: ConvGeometry, grad: Signature) -> None:
    """The gradient of the output has the output's shape."""
    expected = (sizes.batch, sizes.filters, *sizes.out)
    if grad.shape != expected:
        raise GeometryError("grad", grad.shape, f"the shape {expected} of the convolution's output")


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


def unreached_notes(sizes: ConvGeometry) -> tuple[str, ...]:
    """Which cells of a transposed convolution's output no tap reaches, in words."""
    axes = zip(sizes.pads, AXES[sizes.rank], strict=True)
    left = [f"{-after} along {letter}" for (_, after), letter in axes if after < 0]
    return (f"no tap reaches: {', '.join(left)} (cells at the end of the output)",) if left else ()
