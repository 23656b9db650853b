"""The mean of each window."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convpipe.fields import field, truth
from convpipe.geometry.axes import Padding, PerAxis
from convpipe.geometry.pooling import solve_pool
from convpipe.ops import PAD, Array, Made, Operation, Tensor, checked, each_axis, images, like, padding
from convpipe.ops.arrays.floats import computing_float, result_float
from convpipe.ops.arrays.windows import divisors, tap_windows


def avg_pool(
    x: ArrayLike,
    kernel: PerAxis,
    stride: PerAxis | None = None,
    pad: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """Take the mean of every window.

    Args:
        x: (N, C, H, W), or with one or three spatial axes. Floats keep their dtype (float16 is summed in
            float32, which takes twice the result's bytes beside it); integers are summed in float64, exactly
            while the sums stay within 2**53, and give float64.
        kernel, stride, pad, ceil_mode: as for `max_pool`.
        count_include_pad: whether a sum is divided by all the cells of its window, padding among them, or only by
            those in the input. What overhangs the padded input is never counted.

    Returns:
        (N, C, out_h, out_w): the taps summed in C order, then divided once. NaN and infinity as IEEE says.

    Raises:
        ConfigError: an `x` that is no array of numbers, settings that are none, or sizes that do not fit.

    Source:
        torch.nn.AvgPool2d; ONNX AveragePool.

    >>> avg_pool(np.arange(16).reshape(1, 1, 4, 4), kernel=2)
    array([[[[ 2.5,  4.5],
             [10.5, 12.5]]]])
    """
    x = images("x", x)
    ceil_mode, include_pad = checked(AvgPool, ceil_mode=ceil_mode, count_include_pad=count_include_pad)
    sizes = solve_pool(x.shape, kernel=kernel, stride=stride, pad=pad, ceil_mode=ceil_mode)
    sums = np.zeros(sizes.shape, computing_float(x.dtype))
    with np.errstate(all="ignore"):
        for positions, cells in tap_windows(sizes):
            sums[positions] += x[cells]
        sums /= divisors(sizes, include_pad, sums.dtype)
        return sums.astype(result_float(x.dtype), copy=False)


class AvgPool(Operation):
    """The mean of each window."""

    kernel: Any = field(each_axis, says="The window's size: one number, or one per axis.")
    stride: Any = field(each_axis, None, "How far the window moves; null is its size.")
    pad: Any = field(padding, 0, PAD)
    ceil_mode: bool = field(truth, False, "Whether a last window may overhang the padded input.")
    count_include_pad: bool = field(truth, True, "Whether cells of the padding count in the mean, as zeros.")

    function = staticmethod(avg_pool)
    images = True

    def plan(self, x: Tensor) -> Made:
        """Smaller spatial axes, in floats."""
        sized = {name: value for name, value in vars(self).items() if name != "count_include_pad"}
        return like(x, shape=solve_pool(x.shape, **sized).shape, dtype=result_float(x.dtype))
