"""The stages a convolution can be made of: what each needs, what it makes, and what that costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from convpipe import ops
from convpipe.errors import ConfigError, did_you_mean
from convpipe.geometry import AXES
from convpipe.graph.step import Step
from convpipe.lowerings.convolution import Convolution
from convpipe.ops.implicit import implicit_gemm, workspace as implicit_workspace
from convpipe.ops.matmul import workspace as matmul_workspace
from convpipe.tensors import Tensor

Stage = Callable[[Convolution], Step]


def pad(conv: Convolution) -> Step:
    """x -> padded."""
    sizes = conv.geometry
    made = Tensor("padded", sizes.padded_shape, conv.input, ("N", "C", *AXES[sizes.rank]))
    run = partial(ops.pad, pad=sizes.pads, mode=conv.pad_mode, value=conv.pad_value)
    return Step("pad", "pad", ("input",), made, run)


def im2col(conv: Convolution) -> Step:
    """padded -> columns."""
    sizes = conv.geometry
    axes = ("*".join(("N", *out_letters(sizes.rank))), "*".join(("C", *kernel_letters(sizes.rank))))
    made = Tensor("columns", sizes.columns_shape, conv.input, axes)
    run = partial(ops.unfold, kernel=sizes.kernel, stride=sizes.stride, dilation=sizes.dilation)
    return Step("im2col", "im2col", ("padded",), made, run)


def fil2col(conv: Convolution) -> Step:
    """filters -> filter_matrix."""
    sizes = conv.geometry
    depth = "C" if sizes.groups == 1 else "C/G"
    axes = ("F", "*".join((depth, *kernel_letters(sizes.rank))))
    made = Tensor("filter_matrix", sizes.filter_matrix_shape, conv.filters, axes)
    return Step("fil2col", "fil2col", ("filters",), made, ops.fil2col)


def matmul(conv: Convolution) -> Step:
    """columns, filter_matrix and perhaps bias -> product."""
    sizes = conv.geometry
    made = Tensor("product", sizes.product_shape, conv.output, ("*".join(("N", *out_letters(sizes.rank))), "F"))
    needs = ("columns", "filter_matrix") if conv.bias is None else ("columns", "filter_matrix", "bias")
    run = partial(ops.matmul, groups=sizes.groups, dtype=conv.output, overflow=conv.overflow)
    group = (sizes.filters // sizes.groups, sizes.taps)
    workspace = matmul_workspace(sizes.positions, group, conv.output, *conv.operands)
    return Step("matmul", "matmul", needs, made, run, sizes.macs, workspace)


def reshape(conv: Convolution) -> Step:
    """product -> feature_map."""
    made = feature_map(conv)
    return Step("reshape", "reshape", ("product",), made, partial(ops.reshape, shape=made.shape))


def implicit(conv: Convolution) -> Step:
    """padded, filters and perhaps bias -> feature_map, the columns made and used tile by tile."""
    sizes = conv.geometry
    needs = ("padded", "filters") if conv.bias is None else ("padded", "filters", "bias")
    run = partial(
        implicit_gemm,
        stride=sizes.stride,
        dilation=sizes.dilation,
        groups=sizes.groups,
        dtype=conv.output,
        overflow=conv.overflow,
    )
    workspace = implicit_workspace(sizes, conv.output, *conv.operands)
    return Step("implicit_gemm", "implicit_gemm", needs, feature_map(conv), run, sizes.macs, workspace)


def feature_map(conv: Convolution) -> Tensor:
    """The result of every lowering, in the lecture's order."""
    sizes = conv.geometry
    return Tensor("feature_map", sizes.feature_map_shape, conv.output, ("N", *out_letters(sizes.rank), "F"))


def kernel_letters(rank: int) -> tuple[str, ...]:
    """kd, kh, kw: as many as there are spatial axes."""
    return tuple(f"k{letter.lower()}" for letter in AXES[rank])


def out_letters(rank: int) -> tuple[str, ...]:
    """out_d, out_h, out_w: as many as there are spatial axes."""
    return tuple(f"out_{letter.lower()}" for letter in AXES[rank])


STAGES: dict[str, Stage] = {
    "pad": pad,
    "im2col": im2col,
    "fil2col": fil2col,
    "matmul": matmul,
    "reshape": reshape,
    "implicit_gemm": implicit,
}


def get_stage(key: str, name: str, stages: Mapping[str, Stage] = STAGES) -> Stage:
    """A stage by its name in YAML, of a convolution or of the operation whose `stages` are given.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in stages:
        raise ConfigError(key, name, f"one of {', '.join(stages)}", did_you_mean(str(name), stages))
    return stages[name]
