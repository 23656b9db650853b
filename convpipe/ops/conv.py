"""A convolution (cross-correlation, as every deep-learning library means it)."""

from collections.abc import Mapping
from typing import Any, ClassVar

from convpipe.fields import field, group, if_given, one_or_several, optional, text, whole
from convpipe.geometry.axes import input_rank, kernel_letters, one_image
from convpipe.geometry.convolution import ConvGeometry
from convpipe.geometry.layouts import filter_turns
from convpipe.ops import (
    BIAS,
    STAGES,
    WEIGHTS,
    ConfigError,
    Convolution,
    Convolving,
    Form,
    Give,
    Tensor,
    Wanted,
    Weight,
    bias_name,
    bias_of,
    stage_list,
    variables,
)
from convpipe.ops.kinds.products import of_convolution
from convpipe.ops.kinds.quantised import QUANT, QUANTITIES, Quant
from convpipe.ops.kinds.suiting import asked, check_quant, sums_note

KERNEL = "The kernel's size, one number or one per axis; null is as the weights have it."


class Conv(Convolving):
    """A convolution: pad ... reshape, or the stages of another lowering."""

    filters: int | None = field(optional(whole(1)), None, "F, how many filters; null is as many as the weights have.")
    kernel: Any = field(optional(one_or_several(whole(1))), None, KERNEL)
    weights: str | None = field(optional(text), None, WEIGHTS)
    bias: bool | str = field(bias_name, True, BIAS)
    stages: Any = field(stage_list, None, STAGES)
    quant: Quant | None = field(if_given(group(Quant)), None, QUANT, later=True)

    given = ("input", "filters", "bias", *QUANTITIES)
    idle: ClassVar[tuple[str, ...]] = ("filters",)
    lacks: ClassVar[tuple[str, ...]] = ("output_padding", "output_shape")
    forward = True
    backward = False

    def ask(self, give: Give, x: Tensor) -> dict[str, Tensor]:
        """The filters, and the bias if there is one."""
        rank = input_rank(x.shape)
        axes = (*self.filter_letters(), *kernel_letters(rank))
        wanted = self.filters_shape(x.shape[1], rank)
        turns = filter_turns(rank, transposed=self.backward)
        w = give(Weight("filters", wanted, axes, "weight", self.weights, "weights", turns))
        return {"filters": w, **bias_of(give, self.bias, self.maps(w)), **asked(give, self.quant, self.maps(w))}

    def solve(self, tensors: Mapping[str, Tensor]) -> Convolution:
        """Its sizes and dtypes; of a quantised one they suit what integers it has.

        Raises:
            GeometryError: sizes, dtypes or settings that do not fit together.
        """
        if self.quant is not None:
            check_quant(self, self.quant, {**tensors, "filters": self.filters_of(tensors)})
        return super().solve(tensors)

    def filters_of(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Of all its tensors the filters, the first axis of which counts them."""
        return tensors["filters"]

    def notes(self, conv: Convolution) -> tuple[str, ...]:
        """What a stride leaves out, and how wide the sums of a quantised one may be."""
        width = () if self.quant is None else (sums_note(self.quant, conv.sizes.taps, *conv.operands[:2]),)
        return (*super().notes(conv), *width)

    def filters_shape(self, channels: int, rank: int) -> Wanted:
        """(F, C/G, kernel), as far as the settings state it."""
        return (self.filters, channels // self.groups, *self.kernel_sizes(rank))

    def check_channels(self, channels: int) -> None:
        """The groups divide the channels, from which the shape of the filters follows.

        Raises:
            ConfigError: they do not.
        """
        per_group("input channels", channels, self.groups)

    def filter_letters(self) -> tuple[str, str]:
        """What the filters' first two axes are called."""
        return ("F", "C" if self.groups == 1 else "C/G")

    def maps(self, w: Tensor) -> int:
        """How many feature maps these filters make."""
        return w.shape[0]

    def kernel_sizes(self, rank: int) -> Wanted:
        """The kernel's size along each axis, None where no setting states it."""
        kernel = self.kernel if isinstance(self.kernel, tuple) else (self.kernel,) * rank
        if len(kernel) != rank:
            raise ConfigError("kernel", list(kernel), f"one number, or {rank}", one_image(kernel, rank))
        return kernel

    def sum_form(self, sizes: ConvGeometry, bias: bool) -> Form:
        """Pixels times weights, channel by channel."""
        n, f, *out = variables(sizes.rank + 2)
        return of_convolution(sizes, n, f, out, bias=bias)


def per_group(what: str, count: int, groups: int) -> int:
    """How many channels or filters each group has."""
    if count % groups:
        raise ConfigError("groups", groups, f"a divisor of the {count} {what}")
    return count // groups
