"""Where a kernel lies on the spatial axes of a batch: what the sizes of convolution and pooling have in common."""

from dataclasses import dataclass
from functools import cached_property

from convpipe.errors import GeometryError
from convpipe.geometry.axes import AXES, Pads, out_sizes, reach
from convpipe.tensors import Sizes


@dataclass(frozen=True)
class Windows:
    """A batch (N, C, spatial...) and the windows that a kernel has on it."""

    batch: int
    channels: int
    spatial: Sizes
    kernel: Sizes
    stride: Sizes
    dilation: Sizes
    pads: Pads

    @property
    def rank(self) -> int:
        """1, 2 or 3 spatial axes."""
        return len(self.spatial)

    @property
    def input_shape(self) -> Sizes:
        """(N, C, H, W)."""
        return (self.batch, self.channels, *self.spatial)

    @cached_property
    def padded(self) -> Sizes:
        """The spatial sizes after padding."""
        return tuple(size + before + after for size, (before, after) in zip(self.spatial, self.pads, strict=True))

    @cached_property
    def out(self) -> Sizes:
        """How many windows there are along each axis: out_d, out_h, out_w."""
        return out_sizes(self.padded, self.kernel, self.stride, self.dilation)

    @property
    def unread(self) -> Sizes:
        """Cells at the end of each padded axis that no window reads: the stride's remainder."""
        axes = zip(self.padded, self.out, self.kernel, self.stride, self.dilation, strict=True)
        ends = ((size, (out - 1) * stride + reach(kernel, dilation)) for size, out, kernel, stride, dilation in axes)
        return tuple(max(size - end, 0) for size, end in ends)


def check_reach(windows: Windows) -> None:
    """The dilated kernel fits into the padded input along every axis: there is at least one window."""
    axes = zip(AXES[windows.rank], windows.kernel, windows.dilation, windows.padded, windows.out, strict=True)
    for letter, kernel, dilation, size, out in axes:
        if out < 1:
            dilated = f" (with dilation {dilation} it reaches {reach(kernel, dilation)})" if dilation > 1 else ""
            raise GeometryError("kernel", kernel, f"at most {size} along {letter}, the padded input's size{dilated}")
