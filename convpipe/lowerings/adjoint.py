"""The stages of a transposed convolution and of the three gradients.

All of them see the forward convolution's geometry. A transposed convolution *is* the input gradient of that: what
it is given as `input` is, to the forward convolution, the gradient of its output.
"""

from __future__ import annotations

from functools import partial
from math import prod
from typing import Any

import numpy as np

from convpipe.geometry import AXES
from convpipe.graph.step import Step
from convpipe.lowerings.convolution import Convolution, OperationName
from convpipe.lowerings.stages import Stage, im2col, kernel_letters, out_letters, pad
from convpipe.ops import adjoint
from convpipe.ops.matmul import workspace as matmul_workspace
from convpipe.tensors import Sizes, Tensor

Letters = tuple[str, ...]


def rows(conv: Convolution) -> Step:
    """grad, or a transposed convolution's input -> row_matrix."""
    source = "input" if conv.operation == "conv_transpose" else "grad"
    made = Tensor("row_matrix", conv.geometry.product_shape, getattr(conv, source), (positions(conv), depth(conv)))
    return Step("rows", "rows", (source,), made, adjoint.rows)


def fil2row(conv: Convolution) -> Step:
    """filters -> tap_matrix."""
    sizes = conv.geometry
    shape = (sizes.columns_shape[1], sizes.filters // sizes.groups)
    axes = (taps(conv), depth(conv) if sizes.groups == 1 else f"{depth(conv)}/G")
    made = Tensor("tap_matrix", shape, conv.filters, axes)
    return Step("fil2row", "fil2row", ("filters",), made, partial(adjoint.fil2row, groups=sizes.groups))


def matmul_rows(conv: Convolution) -> Step:
    """row_matrix, tap_matrix -> tap_columns."""
    sizes, operands = conv.geometry, factors(conv)
    between = adjoint.between_dtype(conv.output, *conv.operands)
    made = Tensor("tap_columns", sizes.columns_shape, between, (positions(conv), taps(conv)))
    overflow = adjoint.between_overflow(conv.output, conv.overflow)
    run = partial(adjoint.matmul_rows, groups=sizes.groups, dtype=between, overflow=overflow)
    group = (sizes.taps, sizes.filters // sizes.groups)
    workspace = matmul_workspace(sizes.positions, group, between, *operands)
    return Step("matmul_rows", "matmul_rows", ("row_matrix", "tap_matrix"), made, run, sizes.macs, workspace)


def col2im(conv: Convolution) -> Step:
    """tap_columns -> padded_sums."""
    sizes = conv.geometry
    between = adjoint.between_dtype(conv.output, *conv.operands)
    made = Tensor("padded_sums", sizes.padded_shape, between, ("N", *image_letters(conv)))
    run = partial(
        adjoint.fold_exactly,
        padded_shape=sizes.padded_shape,
        kernel=sizes.kernel,
        stride=sizes.stride,
        dilation=sizes.dilation,
        overflow=adjoint.between_overflow(conv.output, conv.overflow),
    )
    kernel = prod(sizes.kernel)
    parts, padded = prod(sizes.out) * kernel, prod(sizes.padded)
    workspace = adjoint.fold_workspace(parts, padded, sizes.filters // sizes.groups, kernel, *factors(conv))
    return Step("col2im", "col2im", ("tap_columns",), made, run, workspace=workspace)


def unpad(conv: Convolution) -> Step:
    """padded_sums -> grad_input."""
    sizes = conv.geometry
    made = Tensor("grad_input", sizes.input_shape, conv.output, ("N", *image_letters(conv)))
    run = partial(adjoint.unpad, pads=sizes.pads, mode=conv.pad_mode, dtype=conv.output, overflow=conv.overflow)
    return Step("unpad", "unpad", ("padded_sums",), made, run, workspace=unpad_workspace(conv))


def crop(conv: Convolution) -> Step:
    """padded_sums and perhaps bias -> feature_map."""
    sizes = conv.geometry
    shape: Sizes = (sizes.batch, *sizes.spatial, sizes.channels)
    made = Tensor("feature_map", shape, conv.output, ("N", *image_letters(conv)[1:], "F"))
    needs = ("padded_sums",) if conv.bias is None else ("padded_sums", "bias")
    run = partial(adjoint.crop, pads=sizes.pads, dtype=conv.output, overflow=conv.overflow)
    return Step("crop", "crop", needs, made, run, workspace=unpad_workspace(conv))


def matmul_columns(conv: Convolution) -> Step:
    """row_matrix, columns -> grad_filter_matrix."""
    sizes = conv.geometry
    axes = ("F", "*".join(("C" if sizes.groups == 1 else "C/G", *kernel_letters(sizes.rank))))
    made = Tensor("grad_filter_matrix", sizes.filter_matrix_shape, conv.output, axes)
    run = partial(adjoint.matmul_columns, groups=sizes.groups, dtype=conv.output, overflow=conv.overflow)
    group = sizes.filters // sizes.groups
    workspace = adjoint.columns_workspace(sizes.positions, group, sizes.taps, conv.output, *conv.operands)
    return Step("matmul_columns", "matmul_columns", ("row_matrix", "columns"), made, run, sizes.macs, workspace)


def col2fil(conv: Convolution) -> Step:
    """grad_filter_matrix -> grad_weights."""
    sizes = conv.geometry
    axes = ("F", "C" if sizes.groups == 1 else "C/G", *kernel_letters(sizes.rank))
    made = Tensor("grad_weights", sizes.filters_shape, conv.output, axes)
    run = partial(adjoint.col2fil, shape=sizes.filters_shape)
    return Step("col2fil", "col2fil", ("grad_filter_matrix",), made, run)


def sum_rows(conv: Convolution) -> Step:
    """row_matrix -> grad_bias."""
    sizes, (operand,) = conv.geometry, conv.operands
    made = Tensor("grad_bias", (sizes.filters,), conv.output, ("F",))
    run = partial(adjoint.sum_rows, dtype=conv.output, overflow=conv.overflow)
    workspace = adjoint.sum_workspace(sizes.positions, sizes.filters, conv.output, operand)
    return Step("sum_rows", "sum_rows", ("row_matrix",), made, run, workspace=workspace)


def unpad_workspace(conv: Convolution) -> int:
    """What taking the padding back may need beside its result."""
    sizes = conv.geometry
    repeats = prod(
        adjoint.copies(size, pair, conv.pad_mode) for size, pair in zip(sizes.spatial, sizes.pads, strict=True)
    )
    terms = sizes.filters // sizes.groups * prod(sizes.kernel) * repeats
    between = adjoint.between_dtype(conv.output, *conv.operands)
    cells = sizes.channels * max(prod(sizes.padded), prod(sizes.spatial))
    return adjoint.unpad_workspace(cells, sizes.channels, terms, between, *conv.operands)


def factors(conv: Convolution) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """The dtypes of what is multiplied: of the rows and of the filters."""
    first = conv.input if conv.grad is None else conv.grad
    return first, conv.filters


def positions(conv: Convolution) -> str:
    """The letters of the forward output's positions: a transposed convolution's input cells."""
    rank = conv.geometry.rank
    return "*".join(("N", *(AXES[rank] if conv.operation == "conv_transpose" else out_letters(rank))))


def depth(conv: Convolution) -> str:
    """The letter of the forward filters: a transposed convolution's input channels."""
    return "C" if conv.operation == "conv_transpose" else "F"


def taps(conv: Convolution) -> str:
    """The letters of every tap of every forward channel."""
    return "*".join((image_letters(conv)[0], *kernel_letters(conv.geometry.rank)))


def image_letters(conv: Convolution) -> Letters:
    """The letters of the forward image, C, H, W: a transposed convolution's output."""
    rank = conv.geometry.rank
    return ("F", *out_letters(rank)) if conv.operation == "conv_transpose" else ("C", *AXES[rank])


SPREADING: dict[str, Stage] = {"rows": rows, "fil2row": fil2row, "matmul_rows": matmul_rows, "col2im": col2im}

# The stages of each operation, in the order of its chain.
STAGES: dict[OperationName, dict[str, Stage]] = {
    "conv_transpose": SPREADING | {"crop": crop},
    "grad_input": SPREADING | {"unpad": unpad},
    "grad_weights": {
        "pad": pad,
        "im2col": im2col,
        "rows": rows,
        "matmul_columns": matmul_columns,
        "col2fil": col2fil,
    },
    "grad_bias": {"rows": rows, "sum_rows": sum_rows},
}
