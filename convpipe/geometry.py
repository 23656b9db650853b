"""Integer arithmetic of a convolution, and nothing else: the one home of every size formula.

Letters, as everywhere in this package: N batch, C channels, F filters, G groups; D, H, W the input's depth,
height and width (`spatial`); kd, kh, kw the kernel's; out_d, out_h, out_w the output's.
The output size is that of PyTorch and ONNX: floor((size + before + after - dilation*(kernel-1) - 1) / stride) + 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from convpipe.errors import GeometryError, GeometrySettingError, did_you_mean

Sizes = tuple[int, ...]
Pads = tuple[tuple[int, int], ...]

PAD_WORDS = ("valid", "same", "same_lower")
PAD_MODES = ("constant", "reflect", "edge", "wrap")
RANKS = (1, 2, 3)
AXES = {1: ("W",), 2: ("H", "W"), 3: ("D", "H", "W")}


def per_axis(name: str, value: Any, rank: int, low: int = 1) -> Sizes:
    """One whole number from `low` for each spatial axis, given as one for all or as a list.

    Raises:
        GeometryError: another type, another length, or a number below `low`.

    >>> per_axis("stride", 2, rank=2), per_axis("stride", [1, 3], rank=2)
    ((2, 2), (1, 3))
    """
    values = tuple(value) if isinstance(value, list | tuple) else (value,) * rank
    if len(values) != rank or not all(is_whole(entry, low) for entry in values):
        raise GeometrySettingError(
            name, value, f"a whole number from {low}, or a list of {rank} ({', '.join(AXES[rank])})"
        )
    return tuple(int(entry) for entry in values)


def pads_per_axis(value: Any, rank: int) -> Pads:
    """(before, after) for each spatial axis, of one number, one per axis, or one pair per axis.

    Raises:
        GeometryError: another type, another length, or a negative number.

    >>> pads_per_axis(1, rank=2), pads_per_axis([0, 2], rank=2), pads_per_axis([[0, 1], [2, 3]], rank=2)
    (((1, 1), (1, 1)), ((0, 0), (2, 2)), ((0, 1), (2, 3)))
    """
    values = tuple(value) if isinstance(value, list | tuple) else (value,) * rank
    pairs = [tuple(entry) if isinstance(entry, list | tuple) else (entry, entry) for entry in values]
    legal = len(pairs) == rank and all(len(pair) == 2 and all(is_whole(side, 0) for side in pair) for pair in pairs)
    if not legal:
        hint = did_you_mean(value, PAD_WORDS) if isinstance(value, str) else ""
        expected = f"a whole number from 0, {rank} of them, {rank} pairs [before, after], or {', '.join(PAD_WORDS)}"
        raise GeometrySettingError("pad", value, expected, hint)
    return tuple((int(before), int(after)) for before, after in pairs)


def is_whole(value: Any, low: int) -> bool:
    """Whether a value is a whole number from `low`; a bool is not, NumPy's integers are."""
    scalar = hasattr(value, "__index__") and not getattr(value, "shape", ())  # an array has __index__, and raises
    return scalar and not isinstance(value, bool) and value.__index__() >= low


def reach(kernel: int, dilation: int) -> int:
    """How many cells a dilated kernel spans along one axis.

    >>> reach(3, dilation=2)
    5
    """
    return dilation * (kernel - 1) + 1


def out_sizes(size: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Sizes:
    """How many positions a kernel has along each axis of an already padded image.

    >>> out_sizes((7, 7), (3, 3), (1, 2), (1, 1))
    (5, 3)
    """
    return tuple(
        (cells - reach(taps, step)) // by + 1
        for cells, taps, by, step in zip(size, kernel, stride, dilation, strict=True)
    )


def same_pads(size: int, kernel: int, stride: int, dilation: int, *, lower: bool) -> tuple[int, int]:
    """The padding that makes the output ceil(size / stride), as TensorFlow and ONNX's SAME_UPPER, SAME_LOWER.

    >>> same_pads(5, kernel=2, stride=1, dilation=1, lower=False)
    (0, 1)
    """
    total = max((-(-size // stride) - 1) * stride + reach(kernel, dilation) - size, 0)
    return (total - total // 2, total // 2) if lower else (total // 2, total - total // 2)


@dataclass(frozen=True)
class ConvGeometry:
    """Every size of one convolution, solved; `solve` is the way to make one."""

    batch: int
    channels: int
    spatial: Sizes
    filters: int
    kernel: Sizes
    stride: Sizes
    dilation: Sizes
    pads: Pads
    groups: int

    @property
    def rank(self) -> int:
        """1, 2 or 3 spatial axes."""
        return len(self.spatial)

    @property
    def padded(self) -> Sizes:
        """The spatial sizes after padding."""
        return tuple(size + before + after for size, (before, after) in zip(self.spatial, self.pads, strict=True))

    @property
    def out(self) -> Sizes:
        """The spatial sizes of the feature map: out_d, out_h, out_w."""
        return out_sizes(self.padded, self.kernel, self.stride, self.dilation)

    @property
    def unread(self) -> Sizes:
        """Cells at the end of each padded axis that no kernel position reads: the stride's remainder."""
        axes = zip(self.padded, self.out, self.kernel, self.stride, self.dilation, strict=True)
        return tuple(
            size - (out - 1) * stride - reach(kernel, dilation) for size, out, kernel, stride, dilation in axes
        )

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
    def input_shape(self) -> Sizes:
        """(N, C, H, W)."""
        return (self.batch, self.channels, *self.spatial)

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
    rank = check_ranks(input_shape, filters_shape)
    batch, channels, *spatial = input_shape
    filters, depth, *kernel = filters_shape
    check_groups(channels, filters, depth, groups)
    strides, dilations = per_axis("stride", stride, rank), per_axis("dilation", dilation, rank)
    pads = solve_pads(pad, tuple(spatial), tuple(kernel), strides, dilations)
    check_pad_mode(pad_mode, pads, tuple(spatial))
    geometry = ConvGeometry(
        batch, channels, tuple(spatial), filters, tuple(kernel), strides, dilations, pads, int(groups)
    )
    check_reach(geometry)
    return geometry


def solve_pads(pad: Any, spatial: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Pads:
    """The pads of each axis, words such as ``same`` worked out."""
    if isinstance(pad, str) and pad == "valid":
        return ((0, 0),) * len(spatial)
    if isinstance(pad, str) and pad in ("same", "same_lower"):
        axes = zip(spatial, kernel, stride, dilation, strict=True)
        return tuple(same_pads(*axis, lower=pad == "same_lower") for axis in axes)
    return pads_per_axis(pad, len(spatial))


def input_rank(input_shape: Sizes) -> int:
    """How many spatial axes (N, C, spatial...) has.

    Raises:
        GeometryError: none, or more than three.
    """
    rank = len(input_shape) - 2
    if rank not in RANKS:
        raise GeometryError("input", input_shape, "4 axes (N, C, H, W), or 3 or 5 with one or three spatial ones")
    return rank


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


def check_pad_mode(mode: str, pads: Pads, spatial: Sizes) -> None:
    """A mode there is, and pads that it can fill from an axis of that size."""
    if mode not in PAD_MODES:
        hint = did_you_mean(str(mode), PAD_MODES)
        raise GeometrySettingError("pad_mode", mode, f"one of {', '.join(PAD_MODES)}", hint)
    if mode == "constant":
        return
    for size, pair, letter in zip(spatial, pads, AXES[len(spatial)], strict=True):
        most = {"reflect": size - 1, "wrap": size, "edge": max(pair) if size else 0}[mode]
        if max(pair) > max(most, 0):
            raise GeometryError(
                "pad", list(pair), f"at most {max(most, 0)} along {letter} for {mode} padding of {size}"
            )


def check_reach(geometry: ConvGeometry) -> None:
    """The dilated kernel fits into the padded input along every axis."""
    axes = zip(AXES[geometry.rank], geometry.kernel, geometry.dilation, geometry.padded, strict=True)
    for letter, kernel, dilation, size in axes:
        if reach(kernel, dilation) > size:
            dilated = f" (with dilation {dilation} it reaches {reach(kernel, dilation)})" if dilation > 1 else ""
            expected = f"at most {size} along {letter}, the padded input's size{dilated}"
            raise GeometryError("kernel", kernel, expected)


# Transposed convolution: the input gradient of a forward convolution, and sized by that one


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
        batch, filters_shape[1] * int(groups), sizes, channels, kernel, strides, dilations, pads, int(groups)
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


def check_filled(spatial: Sizes | list[int]) -> None:
    """At least one cell along every spatial axis."""
    for size, letter in zip(spatial, AXES[len(spatial)], strict=True):
        if size < 1:
            raise GeometryError("input", tuple(spatial), f"at least 1 along {letter}")


# Pooling


@dataclass(frozen=True)
class PoolGeometry:
    """Every size of one pooling, solved; `solve_pool` is the way to make one."""

    batch: int
    channels: int
    spatial: Sizes
    kernel: Sizes
    stride: Sizes
    dilation: Sizes
    pads: Pads
    ceil_mode: bool

    @property
    def rank(self) -> int:
        """1, 2 or 3 spatial axes."""
        return len(self.spatial)

    @property
    def padded(self) -> Sizes:
        """The spatial sizes after padding; with `ceil_mode` the last window may overhang them."""
        return tuple(size + before + after for size, (before, after) in zip(self.spatial, self.pads, strict=True))

    @property
    def out(self) -> Sizes:
        """The spatial sizes of the result: out_d, out_h, out_w."""
        axes = zip(self.spatial, self.kernel, self.stride, self.dilation, self.pads, strict=True)
        return tuple(pool_size(*axis, ceil_mode=self.ceil_mode) for axis in axes)

    @property
    def unread(self) -> Sizes:
        """Cells at the end of each padded axis that no window reads: the stride's remainder."""
        axes = zip(self.padded, self.out, self.kernel, self.stride, self.dilation, strict=True)
        ends = ((size, (out - 1) * stride + reach(kernel, dilation)) for size, out, kernel, stride, dilation in axes)
        return tuple(max(size - end, 0) for size, end in ends)

    @property
    def taps(self) -> int:
        """How many cells a whole window has, kh * kw."""
        return prod(self.kernel)

    @property
    def input_shape(self) -> Sizes:
        """(N, C, H, W)."""
        return (self.batch, self.channels, *self.spatial)

    @property
    def shape(self) -> Sizes:
        """(N, C, out_h, out_w)."""
        return (self.batch, self.channels, *self.out)


def solve_pool(
    input_shape: Sizes, *, kernel: Any, stride: Any = None, pad: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> PoolGeometry:
    """Solve a pooling of (N, C, spatial...) for all its sizes, as PyTorch and ONNX do.

    Args:
        input_shape: (N, C, H, W), or with one or three spatial axes.
        kernel, stride, dilation: one number, or one per axis; the stride is the kernel where none is given.
        pad: as for `solve`; a plain number is at most half the kernel (PyTorch's rule), one side of a pair
            less than the cells that the kernel reaches, so that no window lies wholly outside the input.
        ceil_mode: whether a last window may overhang the padded input; it must start in the input or before it.

    Raises:
        GeometryError: an empty axis, a kernel larger than the padded input, or too wide a padding.

    >>> solve_pool((1, 3, 5, 5), kernel=2).shape, solve_pool((1, 3, 5, 5), kernel=2, ceil_mode=True).shape
    ((1, 3, 2, 2), (1, 3, 3, 3))
    """
    rank = input_rank(input_shape)
    batch, channels, *spatial = input_shape
    check_filled(spatial)  # what is the largest of no cells?
    kernels, dilations = per_axis("kernel", kernel, rank), per_axis("dilation", dilation, rank)
    strides = kernels if stride is None else per_axis("stride", stride, rank)
    pads = solve_pads(pad, tuple(spatial), kernels, strides, dilations)
    sizes = PoolGeometry(batch, channels, tuple(spatial), kernels, strides, dilations, pads, bool(ceil_mode))
    check_pool_pads(pad, sizes)
    check_pool_reach(sizes)
    return sizes


def pool_size(
    size: int, kernel: int, stride: int, dilation: int, pads: tuple[int, int], *, ceil_mode: bool = False
) -> int:
    """How many windows a pooling has along one axis.

    >>> pool_size(3, kernel=2, stride=2, dilation=1, pads=(1, 1), ceil_mode=True)  # a third would start at 4 of 4
    2
    """
    spare = size + sum(pads) - reach(kernel, dilation) + (stride - 1 if ceil_mode else 0)
    out = spare // stride + 1
    return out - 1 if ceil_mode and (out - 1) * stride >= size + pads[0] else out


def check_pool_pads(pad: Any, sizes: PoolGeometry) -> None:
    """Plain numbers are at most half the kernel, the sides of a pair less than what the kernel reaches."""
    given = pad if isinstance(pad, list | tuple) else (pad,) * sizes.rank
    axes = zip(given, sizes.pads, sizes.kernel, sizes.dilation, AXES[sizes.rank], strict=True)
    for entry, pair, kernel, dilation, letter in axes:
        if is_whole(entry, 0) and entry > kernel // 2:
            raise GeometryError("pad", entry, f"at most {kernel // 2} along {letter}, half the kernel of {kernel}")
        if max(pair) >= reach(kernel, dilation):
            most = reach(kernel, dilation) - 1
            raise GeometryError("pad", list(pair), f"at most {most} on a side along {letter}, less than the kernel")


def check_pool_reach(sizes: PoolGeometry) -> None:
    """There is at least one window along every axis."""
    axes = zip(AXES[sizes.rank], sizes.kernel, sizes.dilation, sizes.padded, sizes.out, strict=True)
    for letter, kernel, dilation, size, out in axes:
        if out < 1:
            dilated = f" (with dilation {dilation} it reaches {reach(kernel, dilation)})" if dilation > 1 else ""
            raise GeometryError("kernel", kernel, f"at most {size} along {letter}, the padded input's size{dilated}")


def tap_reads(size: int, before: int, offset: int, stride: int, out: int) -> tuple[slice, slice]:
    """Along one axis: the windows whose tap lies inside the input, and the cells that it reads there.

    Args:
        size, before: of the input, and of the padding before it.
        offset: how many cells after its window's start the tap lies.
        stride, out: from window to window, and how many windows there are.

    >>> tap_reads(3, before=1, offset=0, stride=1, out=4)  # the first window's first tap is padding
    (slice(1, 4, None), slice(0, 3, 1))
    """
    first = max(-((offset - before) // stride), 0)
    stop = min((size - 1 + before - offset) // stride + 1, out)
    if stop <= first:
        return slice(0, 0), slice(0, 0)
    start, end = first * stride + offset - before, (stop - 1) * stride + offset - before
    return slice(first, stop), slice(start, end + 1, stride)


def window_cells(
    size: int, pads: tuple[int, int], kernel: int, stride: int, out: int, *, include_pad: bool = True
) -> Sizes:
    """Along one axis: how many cells each undilated window holds, with its padding or only in the input.

    What overhangs the padded input never counts (PyTorch, ``count_include_pad``).

    >>> window_cells(4, (1, 0), kernel=3, stride=2, out=3), window_cells(4, (1, 0), 3, 2, 3, include_pad=False)
    ((3, 3, 1), (2, 3, 1))
    """
    low, high = (-pads[0], size + pads[1]) if include_pad else (0, size)
    starts = (position * stride - pads[0] for position in range(out))
    return tuple(min(start + kernel, high) - max(start, low) for start in starts)


# The other layers


def axis_of(axis: Any, axes: int) -> int:
    """An axis of an array of so many, a negative one counted from the end.

    >>> axis_of(-1, axes=4)
    3
    """
    if not is_whole(axis, -axes) or axis >= axes:
        raise GeometrySettingError("axis", axis, f"a whole number from {-axes} to {axes - 1}")
    return int(axis) % axes


def flatten_shape(input_shape: Sizes) -> Sizes:
    """(N, C*H*W) of (N, C, H, W).

    >>> flatten_shape((8, 16, 5, 5))
    (8, 400)
    """
    if len(input_shape) < 2:
        raise GeometryError("input", input_shape, "at least 2 axes, N and C")
    return (input_shape[0], prod(input_shape[1:]))


def dense_shape(input_shape: Sizes, weights_shape: Sizes, bias_shape: Sizes | None = None) -> Sizes:
    """(N, out) of (N, in), weights (in, out) and a bias (out,).

    >>> dense_shape((8, 400), (400, 10))
    (8, 10)
    """
    if len(input_shape) != 2:
        raise GeometryError("input", input_shape, "2 axes (N, in); a flatten layer before it makes them")
    if len(weights_shape) != 2 or weights_shape[0] != input_shape[1]:
        raise GeometryError("weights", weights_shape, f"the shape ({input_shape[1]}, out), one row per input")
    if bias_shape is not None and bias_shape != weights_shape[1:]:
        raise GeometryError("bias", bias_shape, f"the shape {weights_shape[1:]}, one value per output")
    return (input_shape[0], weights_shape[1])


def check_per_channel(name: str, shape: Sizes, input_shape: Sizes) -> None:
    """An array with one value for each channel of (N, C, ...)."""
    channels = flatten_shape(input_shape[:2])[1]
    if shape != (channels,):
        raise GeometryError(name, shape, f"the shape ({channels},), one value per channel")


def same_shape(*shapes: Sizes) -> Sizes:
    """The one shape that all of these are.

    >>> same_shape((1, 3, 5, 5), (1, 3, 5, 5))
    (1, 3, 5, 5)
    """
    if not shapes:
        raise GeometryError("tensors", None, "at least one")
    for shape in shapes:
        if shape != shapes[0]:
            raise GeometryError("tensors", shape, f"the shape {shapes[0]} of the first")
    return shapes[0]


def concat_shape(*shapes: Sizes, axis: Any = 1) -> Sizes:
    """The shape of these laid one after another along an axis; all other axes agree.

    >>> concat_shape((1, 3, 5, 5), (1, 4, 5, 5))
    (1, 7, 5, 5)
    """
    if not shapes:
        raise GeometryError("tensors", None, "at least one")
    along = axis_of(axis, len(shapes[0]))
    before, after = shapes[0][:along], shapes[0][along + 1 :]
    for shape in shapes:
        if len(shape) != len(shapes[0]) or (shape[:along], shape[along + 1 :]) != (before, after):
            raise GeometryError("tensors", shape, f"the shape {shapes[0]} of the first, but for axis {along}")
    return (*before, sum(shape[along] for shape in shapes), *after)
