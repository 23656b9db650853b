"""Integer arithmetic of a convolution, and nothing else: the one home of every size formula.

Letters, as everywhere in this package: N batch, C channels, F filters, G groups; D, H, W the input's depth,
height and width (`spatial`); kd, kh, kw the kernel's; out_d, out_h, out_w the output's.
The output size is that of PyTorch and ONNX: floor((size + before + after - dilation*(kernel-1) - 1) / stride) + 1.
"""

from __future__ import annotations

from convpipe.geometry.axes import (
    AXES,
    PAD_MODES,
    PAD_WORDS,
    RANKS,
    Pads,
    axis_of,
    check_filled,
    check_pad_mode,
    input_rank,
    is_whole,
    kernel_letters,
    out_letters,
    out_sizes,
    pads_per_axis,
    per_axis,
    reach,
    same_pads,
    solve_pads,
)
from convpipe.geometry.convolution import ConvGeometry, check_groups, check_ranks, check_reach, solve
from convpipe.geometry.layers import check_per_channel, concat_shape, dense_shape, flatten_shape, same_shape
from convpipe.geometry.pooling import (
    PoolGeometry,
    check_pool_pads,
    check_pool_reach,
    pool_size,
    solve_pool,
    tap_reads,
    window_cells,
)
from convpipe.geometry.transposed import (
    TransposedAxis,
    check_output_padding,
    check_transposed_groups,
    crop,
    padded_crop,
    same_crop,
    solve_transposed,
    wanted_crop,
)

__all__ = [
    "AXES",
    "PAD_MODES",
    "PAD_WORDS",
    "RANKS",
    "ConvGeometry",
    "Pads",
    "PoolGeometry",
    "TransposedAxis",
    "axis_of",
    "check_filled",
    "check_groups",
    "check_output_padding",
    "check_pad_mode",
    "check_per_channel",
    "check_pool_pads",
    "check_pool_reach",
    "check_ranks",
    "check_reach",
    "check_transposed_groups",
    "concat_shape",
    "crop",
    "dense_shape",
    "flatten_shape",
    "input_rank",
    "is_whole",
    "kernel_letters",
    "out_letters",
    "out_sizes",
    "padded_crop",
    "pads_per_axis",
    "per_axis",
    "pool_size",
    "reach",
    "same_crop",
    "same_pads",
    "same_shape",
    "solve",
    "solve_pads",
    "solve_pool",
    "solve_transposed",
    "tap_reads",
    "wanted_crop",
    "window_cells",
]
