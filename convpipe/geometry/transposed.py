"""Every size of a transposed convolution: the input gradient of a forward one, and sized by that."""

from dataclasses import dataclass
from typing import Any

from convpipe.errors import GeometryError, GeometrySettingError
from convpipe.fields import is_whole
from convpipe.geometry.axes import AXES, check_filled, pads_per_axis, per_axis, reach
from convpipe.geometry.convolution import ConvGeometry, check_ranks
from convpipe.geometry.layouts import convolution_hint, hinted
from convpipe.tensors import Sizes


def solve_transposed(
    input_shape: Sizes,
    filters_shape: Sizes,
    *,
    stride: Any = 1,
    pad: Any = 0,
    output_padding: Any = 0,
    output_shape: Any = None,
    dilation: Any = 1,
    groups: Any = 1,
) -> ConvGeometry:
    """Solve a transposed convolution of (N, C, spatial...) with (C, F/G, kernel...).

    What comes back is the forward convolution that it is the input gradient of: `input_shape` is that of the
    transposed convolution's output and `out` is its input's spatial size. The taps reach
    (size - 1) * stride + dilation * (kernel - 1) + 1 cells of the padded output; `pads` crop it to the output's
    size, and where the output has cells beyond, those are never read and the pad after them is negative.

    The output size is PyTorch's and ONNX's ConvTranspose's: what the taps reach, less the pads, plus
    output_padding. Of the words for `pad`, ``same`` and ``same_lower`` give size * stride. An `output_shape` (its
    spatial sizes) is reached by an output_padding, or from ``pad=0`` by the pads that ONNX works out, of which an
    odd one goes to the start.

    Raises:
        GeometryError: ranks, channels or groups that do not fit, an output_padding not below both stride and
            dilation, an output_shape out of reach, or a padding that crops everything.

    >>> sizes = solve_transposed((1, 8, 5, 5), (8, 4, 3, 3), stride=2, pad=1, output_padding=1)
    >>> sizes.input_shape, sizes.out, sizes.pads
    ((1, 4, 10, 10), (5, 5), ((1, 0), (1, 0)))
    """
    try:
        return solved(input_shape, filters_shape, stride, pad, output_padding, output_shape, dilation, groups)
    except GeometryError as error:
        raise hinted(error, convolution_hint(input_shape, filters_shape, groups, transposed=True)) from error


def solved(
    input_shape: Sizes,
    filters_shape: Sizes,
    stride: Any,
    pad: Any,
    output_padding: Any,
    output_shape: Any,
    dilation: Any,
    groups: Any,
) -> ConvGeometry:
    """`solve_transposed`, whose errors say nothing yet of what the axes were taken for."""
    rank = check_ranks(input_shape, filters_shape)
    batch, channels, *spatial = input_shape
    check_transposed_groups(channels, filters_shape, groups)
    check_filled(spatial)
    kernel = tuple(filters_shape[2:])
    strides, dilations = per_axis("stride", stride, rank), per_axis("dilation", dilation, rank)
    rows = zip(AXES[rank], spatial, kernel, strides, dilations, strict=True)
    axes = [TransposedAxis(*row) for row in rows]
    sizes, starts = crop(axes, pad, output_padding, output_shape)
    pads = tuple((start, axis.full - size - start) for axis, size, start in zip(axes, sizes, starts, strict=True))
    return ConvGeometry(
        batch, filters_shape[1] * int(groups), sizes, kernel, strides, dilations, pads, channels, int(groups)
    )


@dataclass(frozen=True)
class TransposedAxis:
    """One spatial axis of a transposed convolution's input, and how far its taps reach in the output."""

    letter: str
    size: int
    kernel: int
    stride: int
    dilation: int

    @property
    def full(self) -> int:
        """The cells that taps reach, before any are cropped."""
        return (self.size - 1) * self.stride + reach(self.kernel, self.dilation)

    @property
    def room(self) -> int:
        """What an output_padding must be less than: PyTorch's rule."""
        return max(self.stride, self.dilation)


def crop(axes: list[TransposedAxis], pad: Any, output_padding: Any, output_shape: Any) -> tuple[Sizes, Sizes]:
    """The output's size along each axis, and how many of the cells that taps reach are cropped before it."""
    rank = len(axes)
    grown = per_axis("output_padding", 0 if output_padding is None else output_padding, rank, low=0)
    wanted = None if output_shape is None else per_axis("output_shape", output_shape, rank)
    check_output_padding(axes, pad, grown, sized=wanted is not None)
    if isinstance(pad, str) and pad in ("same", "same_lower"):
        sizes = wanted or tuple(axis.size * axis.stride for axis in axes)
        return sizes, tuple(same_crop(*row, lower=pad == "same_lower") for row in zip(axes, sizes, strict=True))
    pads = ((0, 0),) * rank if isinstance(pad, str) and pad == "valid" else pads_per_axis(pad, rank)
    if wanted is None:
        rows = zip(axes, pads, grown, strict=True)
        return tuple(padded_crop(*row) for row in rows), tuple(before for before, _ in pads)
    free = not isinstance(pad, str) and not any(map(any, pads))
    return wanted, tuple(wanted_crop(*row, free=free) for row in zip(axes, pads, wanted, strict=True))


def same_crop(axis: TransposedAxis, size: int, *, lower: bool) -> int:
    """How much is cropped at the start for ``same``: half, an odd cell at the end unless `lower`.

    >>> same_crop(TransposedAxis("W", 4, kernel=5, stride=2, dilation=1), 8, lower=False)
    1
    """
    if size >= axis.full + axis.room:
        expected = f"1 to {axis.full + axis.room - 1} along {axis.letter} (for {axis.size} input cells)"
        raise GeometryError("output_shape", size, expected)
    total = max(axis.full - size, 0)
    return total - total // 2 if lower else total // 2


def padded_crop(axis: TransposedAxis, pair: tuple[int, int], grown: int) -> int:
    """The output's size for a given padding and output_padding."""
    size = axis.full - sum(pair) + grown
    if size < 1:
        most = axis.full + grown - 1
        expected = f"at most {most} cells in all along {axis.letter}, as it crops the {most + 1} there are"
        raise GeometryError("pad", list(pair), expected)
    return size


def wanted_crop(axis: TransposedAxis, pair: tuple[int, int], size: int, *, free: bool) -> int:
    """How much is cropped at the start for an output of `size`; `free` leaves the padding to that."""
    least = axis.full - sum(pair)
    if least <= size < least + axis.room:
        return pair[0]
    if free and size < least:
        return least - size - (least - size) // 2
    given = "" if free else f" with the padding {list(pair)}"
    expected = f"{1 if free else max(least, 1)} to {least + axis.room - 1} along {axis.letter}{given}"
    raise GeometryError("output_shape", size, expected)


def check_output_padding(axes: list[TransposedAxis], pad: Any, grown: Sizes, *, sized: bool) -> None:
    """An output_padding that is in range, and none where something else says the size."""
    if any(grown) and (sized or pad in ("same", "same_lower")):
        other = "output_shape" if sized else f"pad={pad}"
        raise GeometryError("output_padding", list(grown), f"0 beside {other}, which says the output's size")
    for axis, cells in zip(axes, grown, strict=True):
        if cells >= axis.room:
            expected = f"less than {axis.room} along {axis.letter}, the larger of stride and dilation"
            raise GeometryError("output_padding", cells, expected)


def check_transposed_groups(channels: int, filters_shape: Sizes, groups: Any) -> None:
    """The filters begin with the input's channels, which the groups divide."""
    if not is_whole(groups, 1):
        raise GeometrySettingError("groups", groups, "a whole number from 1")
    if filters_shape[0] != channels:
        expected = f"{channels} along the first axis (C, F/G, kernel), as the input has {channels} channels"
        raise GeometryError("filters", filters_shape, expected)
    if channels % groups:
        raise GeometryError("groups", groups, f"a divisor of the {channels} input channels")
