"""Integer arithmetic of a convolution, and nothing else: the one home of every size formula.

Letters, as everywhere in this package: N batch, C channels, F filters, G groups; D, H, W the input's depth,
height and width (`spatial`); kd, kh, kw the kernel's; out_d, out_h, out_w the output's.
The output size is that of PyTorch and ONNX: floor((size + before + after - dilation*(kernel-1) - 1) / stride) + 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from convpipe.errors import GeometryError, did_you_mean

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
        raise GeometryError(name, value, f"a whole number from {low}, or a list of {rank} ({', '.join(AXES[rank])})")
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
        raise GeometryError("pad", value, expected, hint)
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
        axes = zip(self.padded, self.kernel, self.stride, self.dilation, strict=True)
        return tuple((size - reach(kernel, dilation)) // stride + 1 for size, kernel, stride, dilation in axes)

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
        raise GeometryError("groups", groups, "a whole number from 1")
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
        raise GeometryError("pad_mode", mode, f"one of {', '.join(PAD_MODES)}", hint)
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
