"""Integer arithmetic of a convolution, and nothing else: the one home of every size formula.

Letters, as everywhere in this package: N batch, C channels, F filters, G groups; D, H, W the input's depth,
height and width (`spatial`); kd, kh, kw the kernel's; out_d, out_h, out_w the output's.
The output size is that of PyTorch and ONNX: floor((size + before + after - dilation*(kernel-1) - 1) / stride) + 1.
"""

from convpipe.fields import is_whole
from convpipe.geometry.axes import (
    AXES,
    PAD_MODES,
    RANKS,
    Pads,
    axis_of,
    check_filled,
    check_pad_mode,
    input_rank,
    kernel_letters,
    out_letters,
    out_sizes,
    pads_per_axis,
    per_axis,
    reach,
    same_pads,
)
from convpipe.geometry.convolution import ConvGeometry, solve
from convpipe.geometry.layers import check_per_channel, concat_shape, dense_shape, flatten_shape, same_shape
from convpipe.geometry.pooling import PoolGeometry, pool_size, solve_pool, tap_reads, window_cells
from convpipe.geometry.transposed import solve_transposed

__all__ = [
    "AXES",
    "PAD_MODES",
    "RANKS",
    "ConvGeometry",
    "Pads",
    "PoolGeometry",
    "axis_of",
    "check_filled",
    "check_pad_mode",
    "check_per_channel",
    "concat_shape",
    "dense_shape",
    "flatten_shape",
    "input_rank",
    "is_whole",
    "kernel_letters",
    "out_letters",
    "out_sizes",
    "pads_per_axis",
    "per_axis",
    "pool_size",
    "reach",
    "same_pads",
    "same_shape",
    "solve",
    "solve_pool",
    "solve_transposed",
    "tap_reads",
    "window_cells",
]
