"""Convolutions, transposed ones and gradients: operations that expand to a chain of stages, and those stages."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from convpipe.errors import GeometryError, ValueRangeError
from convpipe.fields import choice, dtype_name, field, judged, number, optional, text, whole
from convpipe.geometry import convolution
from convpipe.geometry.axes import AXES, PAD_MODES, PadMode
from convpipe.geometry.columns import AS_USUAL, Columns, Order, Patch
from convpipe.geometry.convolution import ConvGeometry
from convpipe.ops.arrays.accumulating import in_accumulator
from convpipe.ops.arrays.overflow import OVERFLOW, OVERFLOWS, Overflow
from convpipe.ops.arrays.sums import target_dtype
from convpipe.ops.arrays.taps import exactly
from convpipe.ops.kinds.forms import Form
from convpipe.ops.kinds.operation import (
    PAD,
    PAD_MODE,
    Give,
    Operation,
    each_axis,
    op_name,
    padding,
    solved,
    unread_padding,
)
from convpipe.ops.kinds.quantised import QUANTITIES, Accumulator, Quant
from convpipe.tensors import Array, Tensor, one_for_all

# What settings say where an operation has none of them.
IDLE = {"pad_mode": "constant", "pad_value": 0, "output_padding": 0, "output_shape": None, "quant": None}

# Sentences about settings that several kinds have.
DTYPE = "The result's dtype; null is wide enough for each operand, as NumPy's rules have it."
CROPPED = PAD.replace("the input", "the input, which a transposed convolution crops")
OUTPUT_PADDING = "Cells added at the end of each axis; fewer than the larger of stride and dilation."
OUTPUT_SHAPE = "The output's size instead: output_padding, or the pad where that is 0, follow from it."


@dataclass(frozen=True)
class Convolution:
    """A convolution, or its adjoint, solved: what its stages take from it. No array exists yet.

    The sizes of a transposed convolution are those of `geometry.solve_transposed`: the forward convolution's.
    """

    operation: Convolving
    sizes: ConvGeometry
    operands: tuple[np.dtype[Any], ...]  # of the tensors that meet in the product, perhaps with the bias
    output: np.dtype[Any]  # of the result, where no stage on the way changes it
    columns: Columns = AS_USUAL

    @property
    def order(self) -> Order:
        """In which order the columns lie."""
        return self.columns.order

    @property
    def patch(self) -> Patch:
        """What a row of the columns holds."""
        return Patch(self.sizes.channels, self.sizes.kernel, self.sizes.groups, self.order)

    @property
    def quant(self) -> Quant | None:
        """How its sums become integers of a target, if they do."""
        found: Quant | None = getattr(self.operation, "quant", None)
        return found

    @property
    def output_dtype(self) -> str:
        """The integers that come out of a quantised one: by default those that go in."""
        assert self.quant is not None
        return self.quant.output.dtype or self.quant.input.dtype or self.operands[0].name


class ConvStage(Operation):
    """A stage that only a convolution can have, as it needs its sizes."""

    conv: Convolution = solved()

    linear = True

    @classmethod
    def of(cls, conv: Convolution) -> dict[str, Any]:
        """The convolution itself."""
        return {"conv": conv}


class SumStage(ConvStage):
    """A stage whose sums are the convolution's result, in its dtype and after its rule for what does not fit.

    Of a quantised convolution they are those of an accumulator.
    """

    dtype: str | None = field(optional(dtype_name), None, DTYPE)
    overflow: Overflow = field(choice(OVERFLOWS), "error", OVERFLOW)

    varies = True
    ruled_by = "quant.accumulator"

    @classmethod
    def of(cls, conv: Convolution) -> dict[str, Any]:
        """The convolution, its dtype and its rule, or its accumulator."""
        if conv.quant is None:
            return {"conv": conv, "dtype": conv.operation.dtype, "overflow": conv.operation.overflow}
        held = conv.quant.accumulator
        plain = held.overflow if held.is_plain else "error"
        return {"conv": conv, "dtype": held.dtype.name, "overflow": plain}

    @property
    def accumulator(self) -> Accumulator | None:
        """What its sums are made in, where a dtype and a rule for what does not fit do not say that."""
        quant = self.conv.quant
        return None if quant is None or quant.accumulator.is_plain else quant.accumulator

    def too_wide(self, error: ValueRangeError) -> ValueRangeError:
        """The error of a sum that does not fit; of a quantised convolution it says what helps there."""
        quant = self.conv.quant
        if quant is None:
            return error
        return in_accumulator(error, quant.accumulator, 64 if quant.kind is None else quant.kind.bits)

    @property
    def target(self) -> np.dtype[Any]:
        """The dtype of a result whose operands were multiplied stages before."""
        return self.conv.output if self.dtype is None else target_dtype(self.dtype, *self.conv.operands)


def check_padded(conv: Convolution, x: Tensor) -> None:
    """What a stage unfolds is the padded image.

    Raises:
        GeometryError: another tensor, or one of another shape, which some stage has made of that.
    """
    if not conv.operation.forward:
        raise GeometryError("x", "a gradient", "the padded input of a convolution")
    if x.shape != conv.sizes.padded_shape:
        raise GeometryError("x", x.shape, f"the padded input's shape {conv.sizes.padded_shape}")


def named_operation(key: str, value: Any) -> str | None:
    """The name of an operation; a convolution is None, so that a run which names it is no other run."""
    name = optional(text)(key, value)
    return None if name is None or name == "conv" else str(name)


operation_name = judged(named_operation, "null, or the name of a convolution", {"type": ["string", "null"]})


@dataclass(frozen=True)
class ConvSettings:
    """How filters meet the input; what only the rank can judge is judged by `geometry`."""

    stride: Any = field(each_axis, 1, "How far the kernel moves: one number, or one per axis: [2,1].")
    pad: Any = field(padding, 0, CROPPED)
    dilation: Any = field(each_axis, 1, "Distance between the kernel's taps: one number, or one per axis.")
    groups: int = field(whole(1), 1, "Filters of group g see only the channels of group g.")
    pad_mode: PadMode = field(choice(PAD_MODES), "constant", PAD_MODE)
    pad_value: float = field(number(), 0, "What a constant padding holds.")
    dtype: str | None = field(optional(dtype_name), None, DTYPE)
    overflow: Overflow = field(choice(OVERFLOWS), "error", OVERFLOW)
    operation: str | None = field(operation_name, None, "Which operation it is; null is conv.")
    output_padding: Any = field(each_axis, None, OUTPUT_PADDING)
    output_shape: Any = field(each_axis, None, OUTPUT_SHAPE)

    def unread(self) -> tuple[str, ...]:
        """What padding holds, where nothing is padded with it; and no cells that are added to an output."""
        no_mode, no_value = unread_padding(self.pad, self.pad_mode)
        none_added = self.output_padding is not None and one_for_all(self.output_padding) == 0
        return ("pad_mode",) * no_mode + ("pad_value",) * no_value + ("output_padding",) * none_added


class Convolving(ConvSettings, Operation):
    """An operation that expands to the chain of its lowering."""

    operation: None = field(operation_name, under={})  # no setting of a layer, whose op says what it does

    stage = False
    images = True

    given: ClassVar[tuple[str, ...]]  # the tensors that it computes with, by role, the main one first
    idle: ClassVar[tuple[str, ...]] = ()  # those that a chain may leave unread, as their sizes count
    lacks: ClassVar[tuple[str, ...]]  # settings that it does not have
    forward: ClassVar[bool] = False  # whether its main tensor is the image that filters meet
    backward: ClassVar[bool] = True  # whether it starts from the gradient of a result
    # where the config of a run sets what sizes complain of, if not in conv
    keys: ClassVar[Mapping[str, str]] = {"input": "input.shape", "kernel": "filters.kernel", "channels": "filters"}

    @abstractmethod
    def ask(self, give: Give, x: Tensor) -> dict[str, Tensor]:
        """The tensors beside the input `x`, asked for by role and shape."""

    def run(self, *arrays: Array) -> Array:
        """Nothing: its stages run."""
        raise TypeError(f"{type(self).__name__} expands to stages")

    @abstractmethod
    def sum_form(self, sizes: ConvGeometry, bias: bool) -> Form:
        """How a cell of its result comes about: image, filter and position, whichever order the result lies in.

        What it reads is named by role; `padded` is what its `pad` stage makes.
        """

    def form(self, x: Tensor, **sides: Tensor) -> Form:
        """`sum_form`, given all of its tensors."""
        return self.sum_form(self.solve({"input": x, **sides}).sizes, "bias" in sides)

    def solve(self, tensors: Mapping[str, Tensor]) -> Convolution:
        """Its sizes and dtypes, given all of its tensors by role.

        Raises:
            GeometryError: sizes, dtypes or settings that do not fit together.
        """
        self.check_unused()
        sizes = self.sizes(tensors)
        operands = tuple(tensors[role].dtype for role in self.given if role in tensors and role not in QUANTITIES)
        return Convolution(self, sizes, operands, target_dtype(self.dtype, *operands))

    def sizes(self, tensors: Mapping[str, Tensor]) -> ConvGeometry:
        """The geometry of the convolution that it is, or is a gradient of."""
        sizes = self.forward_sizes(tensors["input"], tensors["filters"])
        if self.pad_mode == "constant" and any(map(any, sizes.pads)):
            exactly(self.pad_value, tensors["input"].dtype)
        return sizes

    def image_letters(self, rank: int) -> tuple[str, ...]:
        """The letters of the forward image; of a transposed one, that is its output."""
        return ("C", *AXES[rank])

    def forward_sizes(self, x: Tensor, w: Tensor) -> ConvGeometry:
        """The geometry of a convolution of these settings."""
        return convolution.solve(
            x.shape,
            w.shape,
            stride=self.stride,
            pad=self.pad,
            dilation=self.dilation,
            groups=self.groups,
            pad_mode=self.pad_mode,
        )

    def check_unused(self) -> None:
        """Settings that it does not have are left at their values; null is as good."""
        for name in self.lacks:
            got, idle = getattr(self, name), IDLE[name]
            if got is not None and got != idle:
                expected = "nothing" if idle is None else idle
                raise GeometryError(name, got, f"{expected}, as {op_name(type(self))} has no {name}")

    def notes(self, conv: Convolution) -> tuple[str, ...]:
        """What a stride that does not divide leaves out, in words."""
        sizes = conv.sizes
        left = [f"{n} along {letter}" for n, letter in zip(sizes.unread, AXES[sizes.rank], strict=True) if n]
        cells = "cells at the end of the padded input"
        return (f"never read, as the stride does not divide: {', '.join(left)} ({cells})",) if left else ()
