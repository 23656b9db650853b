"""Every size of a pooling: how many windows it has, and which cells each of them holds."""

from dataclasses import dataclass
from math import prod
from typing import Any

from convpipe.errors import GeometryError
from convpipe.fields import is_whole
from convpipe.geometry.axes import AXES, check_filled, input_rank, per_axis, reach, solve_pads, spread
from convpipe.geometry.layouts import hinted, rank_hint
from convpipe.geometry.windows import Windows, check_reach
from convpipe.tensors import Sizes


@dataclass(frozen=True)
class PoolGeometry(Windows):
    """Every size of one pooling, solved; `solve_pool` is the way to make one."""

    ceil_mode: bool  # whether the last window may overhang the padded input

    @property
    def out(self) -> Sizes:
        """The spatial sizes of the result: out_d, out_h, out_w."""
        axes = zip(self.spatial, self.kernel, self.stride, self.dilation, self.pads, strict=True)
        return tuple(pool_size(*axis, ceil_mode=self.ceil_mode) for axis in axes)

    @property
    def taps(self) -> int:
        """How many cells a whole window has, kh * kw."""
        return prod(self.kernel)

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
    try:
        return solved(input_shape, kernel, stride, pad, dilation, ceil_mode)
    except GeometryError as error:
        raise hinted(error, rank_hint(input_shape)) from error


def solved(input_shape: Sizes, kernel: Any, stride: Any, pad: Any, dilation: Any, ceil_mode: bool) -> PoolGeometry:
    """`solve_pool`, whose errors say nothing yet of what the axes were taken for."""
    rank = input_rank(input_shape)
    batch, channels, *spatial = input_shape
    check_filled(spatial)  # what is the largest of no cells?
    kernels, dilations = per_axis("kernel", kernel, rank), per_axis("dilation", dilation, rank)
    strides = kernels if stride is None else per_axis("stride", stride, rank)
    pads = solve_pads(pad, tuple(spatial), kernels, strides, dilations)
    sizes = PoolGeometry(batch, channels, tuple(spatial), kernels, strides, dilations, pads, bool(ceil_mode))
    check_pool_pads(pad, sizes)
    check_reach(sizes)
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
    axes = zip(spread(pad, sizes.rank), sizes.pads, sizes.kernel, sizes.dilation, AXES[sizes.rank], strict=True)
    for entry, pair, kernel, dilation, letter in axes:
        if is_whole(entry, 0) and entry > kernel // 2:
            raise GeometryError("pad", entry, f"at most {kernel // 2} along {letter}, half the kernel of {kernel}")
        if max(pair) >= reach(kernel, dilation):
            most = reach(kernel, dilation) - 1
            raise GeometryError("pad", list(pair), f"at most {most} on a side along {letter}, less than the kernel")


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
    size: int,
    pads: tuple[int, int],
    kernel: int,
    stride: int,
    out: int,
    *,
    dilation: int = 1,
    include_pad: bool = True,
) -> Sizes:
    """Along one axis: how many cells each window holds, with its padding or only in the input.

    What overhangs the padded input never counts (PyTorch, ``count_include_pad``).

    >>> window_cells(4, (1, 0), kernel=3, stride=2, out=3), window_cells(4, (1, 0), 3, 2, 3, include_pad=False)
    ((3, 3, 1), (2, 3, 1))
    """
    low, high = (-pads[0], size + pads[1]) if include_pad else (0, size)
    starts = (position * stride - pads[0] for position in range(out))

    def before(start: int, end: int) -> int:  # how many taps of a window lie before a cell
        return min(max(-((start - end) // dilation), 0), kernel)

    return tuple(before(start, high) - before(start, low) for start in starts)
