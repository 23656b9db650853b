"""The largest value of each window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convpipe.fields import field, truth
from convpipe.geometry.axes import Padding, PerAxis
from convpipe.geometry.pooling import solve_pool
from convpipe.ops import (
    PAD,
    Array,
    Form,
    Made,
    Operation,
    Tensor,
    checked,
    each_axis,
    images,
    like,
    padding,
    pads_as_written,
    unread_stride,
    windowed,
)
from convpipe.ops.arrays.bounds import Bounded
from convpipe.ops.arrays.floats import positive_zeros
from convpipe.ops.arrays.windows import least, tap_windows


def max_pool(
    x: ArrayLike,
    kernel: PerAxis,
    stride: PerAxis | None = None,
    pad: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
) -> Array:
    """Take the largest cell of every window.

    Args:
        x: (N, C, H, W), or with one or three spatial axes; any integer or float dtype, which the result keeps.
        kernel, stride, dilation: one number, or one per axis; the stride is the kernel where none is given.
        pad: as for `geometry.solve_pool`. Padding never wins: it counts as -inf, or the least integer there is,
            which is also what a dilated window gives whose every tap falls into the padding (as in PyTorch).
        ceil_mode: whether a last window may overhang the padded input.

    Returns:
        (N, C, out_h, out_w). A window with a NaN gives NaN. A zero is +0, since which of -0 and +0 is the larger
        differs between machines.

    Raises:
        ConfigError: an `x` that is no array of numbers, settings that are none, or sizes that do not fit.

    Source:
        torch.nn.MaxPool2d; ONNX MaxPool.

    >>> max_pool(np.arange(16).reshape(1, 1, 4, 4), kernel=2)
    array([[[[ 5,  7],
             [13, 15]]]])
    """
    x = images("x", x)
    [ceil_mode] = checked(MaxPool, ceil_mode=ceil_mode)
    sizes = solve_pool(x.shape, kernel=kernel, stride=stride, pad=pad, dilation=dilation, ceil_mode=ceil_mode)
    result = np.full(sizes.shape, least(x.dtype), x.dtype)
    for positions, cells in tap_windows(sizes):
        planes = result[positions]  # (N, C, the windows in which this tap is no padding)
        np.maximum(planes, x[cells], out=planes)
    return positive_zeros(result)


class MaxPool(Operation):
    """The largest value of each window."""

    kernel: Any = field(each_axis, says="The window's size: one number, or one per axis.")
    stride: Any = field(each_axis, None, "How far the window moves; null is its size.")
    pad: Any = field(padding, 0, PAD)
    dilation: Any = field(each_axis, 1, "Distance between the window's cells: one number, or one per axis.")
    ceil_mode: bool = field(truth, False, "Whether a last window may overhang the padded input.")

    function = staticmethod(max_pool)
    images = True

    def unread(self) -> tuple[str, ...]:
        """A stride that is the window's size."""
        return unread_stride(self.kernel, self.stride)

    @classmethod
    def as_written(cls, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """A padding that only pairs may have."""
        return pads_as_written(settings)

    def plan(self, x: Tensor) -> Made:
        """Smaller spatial axes."""
        return like(x, shape=solve_pool(x.shape, **vars(self)).shape)

    def error(self, made: Array, x: Bounded) -> Array:
        """The largest of a window; none where there is nothing but padding."""
        return np.maximum(self.run(x.error), 0)

    def form(self, x: Tensor) -> Form:
        """The largest of a window; padding is left out, as it never wins."""
        sizes = solve_pool(x.shape, **vars(self))
        return windowed("max(x)", sizes, least=least(x.dtype))
