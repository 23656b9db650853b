"""A transposed convolution: the input gradient of a convolution, as a layer."""

from collections.abc import Mapping

from convpipe.geometry.axes import AXES, out_letters
from convpipe.geometry.convolution import ConvGeometry
from convpipe.geometry.transposed import solve_transposed
from convpipe.ops import Convolution, Form, Tensor, Wanted, anything, field, optional
from convpipe.ops.conv import Conv, per_group
from convpipe.ops.kinds.products import of_adjoint


class ConvTranspose(Conv):
    """A transposed convolution: rows ... crop."""

    quant: None = field(optional(anything), under={})  # no setting: only convolutions of the forward kind have it

    lacks = ("pad_mode", "pad_value", "quant")
    forward = False
    backward = True

    def sizes(self, tensors: Mapping[str, Tensor]) -> ConvGeometry:
        """The geometry of the convolution that it is the input gradient of."""
        return solve_transposed(
            tensors["input"].shape,
            tensors["filters"].shape,
            stride=self.stride,
            pad=self.pad,
            output_padding=self.output_padding,
            output_shape=self.output_shape,
            dilation=self.dilation,
            groups=self.groups,
        )

    def check_channels(self, channels: int) -> None:
        """Nothing: each filter has the maps of its group."""

    def filters_shape(self, channels: int, rank: int) -> Wanted:
        """(C, F/G, kernel), as far as the settings state it."""
        depth = None if self.filters is None else per_group("filters", self.filters, self.groups)
        return (channels, depth, *self.kernel_sizes(rank))

    def filter_letters(self) -> tuple[str, str]:
        """What the filters' first two axes are called."""
        return ("C", "F" if self.groups == 1 else "F/G")

    def maps(self, w: Tensor) -> int:
        """How many feature maps these filters make."""
        return w.shape[1] * self.groups

    def image_letters(self, rank: int) -> tuple[str, ...]:
        """The letters of the forward image, which is its output."""
        return ("F", *out_letters(rank))

    def notes(self, conv: Convolution) -> tuple[str, ...]:
        """Which cells of the output no tap reaches, in words."""
        axes = zip(conv.sizes.pads, AXES[conv.sizes.rank], strict=True)
        left = [f"{-after} along {letter}" for (_, after), letter in axes if after < 0]
        return (f"no tap reaches: {', '.join(left)} (cells at the end of the output)",) if left else ()

    def sum_form(self, sizes: ConvGeometry, bias: bool) -> Form:
        """Pixels times the taps that reach this cell, channel by channel."""
        return of_adjoint(sizes, "input", bias=bias, words=("channel", "pixels", "weights"))
