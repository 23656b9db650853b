"""Every size of one convolution, solved."""

from dataclasses import dataclass
from math import prod
from typing import Any

from convpipe.errors import GeometryError, GeometrySettingError
from convpipe.fields import is_whole
from convpipe.geometry.axes import AXES, check_pad_mode, input_rank, out_letters, per_axis, solve_pads
from convpipe.geometry.layouts import convolution_hint, hinted
from convpipe.geometry.windows import Windows, check_reach
from convpipe.tensors import Sizes


@dataclass(frozen=True)
class ConvGeometry(Windows):
    """Every size of one convolution, solved; `solve` is the way to make one."""

    filters: int
    groups: int

    @property
    def taps(self) -> int:
        """K: how many products one output cell sums, C/G * kh * kw."""
        return self.channels // self.groups * prod(self.kernel)

    @property
    def positions(self) -> int:
        """How many kernel positions there are, N * out_h * out_w."""
        return self.batch * prod(self.out)

    @property
    def macs(self) -> int:
        """Multiply-adds of the whole convolution."""
        return self.positions * self.filters * self.taps

    @property
    def filters_shape(self) -> Sizes:
        """(F, C/G, kh, kw)."""
        return (self.filters, self.channels // self.groups, *self.kernel)

    @property
    def padded_shape(self) -> Sizes:
        """(N, C, H + pads, W + pads)."""
        return (self.batch, self.channels, *self.padded)

    @property
    def columns_shape(self) -> Sizes:
        """(N*out_h*out_w, C*kh*kw)."""
        return (self.positions, self.channels * prod(self.kernel))

    @property
    def filter_matrix_shape(self) -> Sizes:
        """(F, C/G*kh*kw)."""
        return (self.filters, self.taps)

    @property
    def product_shape(self) -> Sizes:
        """(N*out_h*out_w, F)."""
        return (self.positions, self.filters)

    @property
    def depth_letter(self) -> str:
        """What the second axis of the filters is called."""
        return "C" if self.groups == 1 else "C/G"

    @property
    def feature_map_axes(self) -> tuple[str, ...]:
        """What the axes of the feature map are called."""
        return ("N", *out_letters(self.rank), "F")

    @property
    def feature_map_shape(self) -> Sizes:
        """(N, out_h, out_w, F), the lecture's order."""
        return (self.batch, *self.out, self.filters)


def solve(
    input_shape: Sizes,
    filters_shape: Sizes,
    *,
    stride: Any = 1,
    pad: Any = 0,
    dilation: Any = 1,
    groups: Any = 1,
    pad_mode: str = "constant",
) -> ConvGeometry:
    """Solve a convolution of (N, C, spatial...) with (F, C/G, kernel...) for all its sizes.

    Raises:
        GeometryError: ranks, channels or groups that do not fit, a kernel larger than the padded input,
            or a padding that its mode cannot take.

    >>> solve((1, 3, 5, 5), (6, 3, 3, 3), pad=1).feature_map_shape
    (1, 5, 5, 6)
    """
    try:
        return solved(input_shape, filters_shape, stride, pad, dilation, groups, pad_mode)
    except GeometryError as error:
        raise hinted(error, convolution_hint(input_shape, filters_shape, groups)) from error


def solved(
    input_shape: Sizes, filters_shape: Sizes, stride: Any, pad: Any, dilation: Any, groups: Any, pad_mode: str
) -> ConvGeometry:
    """`solve`, whose errors say nothing yet of what the axes were taken for."""
    rank = check_ranks(input_shape, filters_shape)
    batch, channels, *spatial = input_shape
    filters, depth, *kernel = filters_shape
    check_groups(channels, filters, depth, groups)
    strides, dilations = per_axis("stride", stride, rank), per_axis("dilation", dilation, rank)
    pads = solve_pads(pad, tuple(spatial), tuple(kernel), strides, dilations)
    check_pad_mode(pad_mode, pads, tuple(spatial))
    geometry = ConvGeometry(
        batch, channels, tuple(spatial), tuple(kernel), strides, dilations, pads, filters, int(groups)
    )
    check_reach(geometry)
    return geometry


def check_ranks(input_shape: Sizes, filters_shape: Sizes) -> int:
    """The number of spatial axes that input and filters agree on."""
    rank = input_rank(input_shape)
    if len(filters_shape) != len(input_shape):
        expected = f"{len(input_shape)} axes (F, C and the kernel's), as the input {input_shape} has"
        raise GeometryError("filters", filters_shape, expected)
    for size, letter in zip(filters_shape[2:], AXES[rank], strict=True):
        if size < 1:
            raise GeometryError("kernel", filters_shape[2:], f"at least 1 along {letter}")
    return rank


def check_groups(channels: int, filters: int, depth: int, groups: Any) -> None:
    """Groups divide channels and filters, and a filter has its group's channels."""
    if not is_whole(groups, 1):
        raise GeometrySettingError("groups", groups, "a whole number from 1")
    if channels % groups or filters % groups:
        expected = f"a divisor of both the {channels} input channels and the {filters} filters"
        raise GeometryError("groups", groups, expected)
    if depth != channels // groups:
        expected = f"{channels // groups} channels in each filter ({channels} input channels, {groups} groups)"
        raise GeometryError("channels", depth, expected)
