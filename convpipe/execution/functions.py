"""Convolution as Python functions: NCHW arrays in, NCHW arrays out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from numpy.typing import ArrayLike, DTypeLike

from convpipe.errors import ConfigError, GeometryError
from convpipe.execution import pipeline
from convpipe.fields import read, text
from convpipe.geometry.axes import Padding, PadMode, PerAxis, listed
from convpipe.geometry.columns import AS_USUAL, ORDERS, Columns, Order
from convpipe.graph import lowerings
from convpipe.graph.network import input_tensor, plan_single
from convpipe.graph.plan import Plan
from convpipe.graph.single import operation_of
from convpipe.graph.spec import LoweringSettings
from convpipe.ops.arrays.arguments import FROM_TWO_AXES, dtype_of, images, numeric
from convpipe.ops.arrays.overflow import Overflow
from convpipe.ops.kinds.convolving import Convolving, ConvSettings
from convpipe.ops.kinds.operation import Give, Weight
from convpipe.ops.kinds.stages import Stage
from convpipe.ops.transpose import channels_first
from convpipe.tensors import Array, Signature, Tensor, addressable


def conv(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    pad: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    pad_mode: PadMode = "constant",
    pad_value: float = 0,
    lowering: str = "auto",
    dtype: DTypeLike | None = None,
    overflow: Overflow = "error",
) -> Array:
    """Convolve a batch of images with filters (cross-correlation, as every deep-learning library means it).

    Args:
        x: (N, C, H, W), or with one or three spatial axes; any integer or float dtype. A matrix (H, W) is one image
            of one channel.
        w: (F, C/G, kh, kw), likewise; a matrix (kh, kw) is one filter of one channel.
        bias: (F,), added to each feature map.
        stride, dilation: one number, or one per axis.
        pad: one number, one per axis, one pair [before, after] per axis, ``valid``, ``same`` or ``same_lower``.
        groups: G, a divisor of C and F.
        pad_mode: ``constant`` (of `pad_value`), ``reflect``, ``edge`` or ``wrap``.
        lowering: ``auto``, ``im2col`` or ``implicit``; integers come out the same to the bit.
        dtype: of the result; by default that of `ops.matmul.result_dtype`. Integer sums are exact whatever it is.
        overflow: for a sum that `dtype` cannot hold though all it is made of is finite: ``error``, ``saturate``, of
            integers ``wrap``, of floats ``inf``.

    Returns:
        (N, F, out_h, out_w).

    Raises:
        ConfigError: arguments that do not fit together, named.
        ValueRangeError: a sum that does not fit, with ``overflow="error"``.

    >>> import numpy as np
    >>> image, kernel = np.arange(9).reshape(1, 1, 3, 3), np.ones((1, 1, 2, 2), int)
    >>> conv(image, kernel)
    array([[[[ 8, 12],
             [20, 24]]]])
    """
    settings, arrays = read_settings(locals()), given(x, w, bias)
    return channels_first(pipeline.output(planned(settings, arrays, text("lowering", lowering)), arrays))


def conv_transpose(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    pad: Padding = 0,
    output_padding: PerAxis = 0,
    output_shape: PerAxis | None = None,
    dilation: PerAxis = 1,
    groups: int = 1,
    dtype: DTypeLike | None = None,
    overflow: Overflow = "error",
) -> Array:
    """Convolve a batch of images with filters, transposed: the input gradient of a convolution, as a layer.

    Args:
        x: (N, C, H, W), or with one or three spatial axes; any integer or float dtype. A matrix is as in `conv`.
        w: (C, F/G, kh, kw), likewise: the filters of the convolution that this is the input gradient of.
        bias: (F,), added to each feature map.
        stride, dilation: one number, or one per axis.
        pad: what the convolution pads and this crops: one number, one per axis, one pair [before, after] per axis,
            ``valid``, or ``same`` or ``same_lower``, which give size * stride.
        output_padding: cells added at the end of each axis, fewer than the larger of stride and dilation.
        output_shape: the output's spatial sizes instead, one or one per axis, see `geometry.solve_transposed`.
        groups: G, a divisor of C.
        dtype: of the result; by default that of `ops.matmul.result_dtype`. Integer sums are exact whatever it is.
        overflow: for a sum that `dtype` cannot hold though all it is made of is finite: ``error``, ``saturate``, of
            integers ``wrap``, of floats ``inf``.

    Returns:
        (N, F, out_h, out_w), where out_h is (H - 1) * stride - pads + dilation * (kh - 1) + 1 + output_padding:
        the values and the shape of PyTorch's conv_transpose2d and ONNX's ConvTranspose. Floats lie within
        `execution.bounds.float_bound` of the true sums.

    Raises:
        ConfigError: arguments that do not fit together, named.
        ValueRangeError: a sum that does not fit, with ``overflow="error"``; also where integers leave 64 bits,
            or floats their dtype, on the way to a sum that would fit.

    >>> import numpy as np
    >>> conv_transpose(np.array([[[1, 2]]]), np.array([[[1, 10, 100]]]), stride=2).tolist()
    [[[1, 10, 102, 20, 200]]]
    """
    settings, arrays = read_settings({**locals(), "operation": "conv_transpose"}), given(x, w, bias)
    return channels_first(pipeline.output(planned(settings, arrays), arrays))


def conv_grad(
    x: ArrayLike,
    w: ArrayLike,
    grad: ArrayLike,
    *,
    stride: PerAxis = 1,
    pad: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    pad_mode: PadMode = "constant",
    pad_value: float = 0,
    dtype: DTypeLike | None = None,
    overflow: Overflow = "error",
) -> tuple[Array, Array, Array]:
    """The gradients of a loss with respect to the input, the filters and the bias of a convolution.

    Args:
        x, w, stride, pad, dilation, groups, pad_mode, pad_value: of the convolution, as in `conv`.
        grad: (N, F, out_h, out_w), the loss's gradient with respect to the convolution's output.
        dtype: of all three results; by default, for each, that of `ops.matmul.result_dtype` of the arrays that
            are multiplied for it: grad and w, x and grad, grad alone. Integer sums are exact whatever it is.
        overflow: for a sum that `dtype` cannot hold though all it is made of is finite: ``error``, ``saturate``, of
            integers ``wrap``, of floats ``inf``.

    Returns:
        grad_x (N, C, H, W), grad_w (F, C/G, kh, kw) and grad_bias (F,).

    Raises:
        ConfigError: arguments that do not fit together, named; among them a grad of another shape than the output.
        ValueRangeError: a sum that does not fit, with ``overflow="error"``; also where integers leave 64 bits,
            or floats their dtype, on the way to a sum that would fit.

    >>> import numpy as np
    >>> grads = conv_grad(np.array([[[1, 2, 3]]]), np.array([[[10, 1]]]), np.array([[[1, -1]]]))
    >>> [values.tolist() for values in grads]
    [[[[10, -9, -1]]], [[[-1, -1]]], [0]]
    """
    settings, arrays = read_settings(locals()), given(x, w) | {"grad": images("grad", grad)}
    names = ("grad_input", "grad_weights", "grad_bias")
    # all are planned, and so checked, before any runs
    plans = [planned(replace(settings, operation=name), arrays) for name in names]
    of_input, of_weights, of_bias = (pipeline.output(plan, arrays) for plan in plans)
    return of_input, of_weights, of_bias


def stages(
    x: ArrayLike,
    w: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    pad: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    pad_mode: PadMode = "constant",
    pad_value: float = 0,
    lowering: str = "im2col",
    order: Order = ORDERS[0],
    tile: Sequence[int] | None = None,
    dtype: DTypeLike | None = None,
    overflow: Overflow = "error",
) -> dict[str, Array]:
    """Every stage of a convolution of arrays in hand: what each makes, in order, by the stage's name.

    Args:
        x, w, bias, stride, pad, dilation, groups, pad_mode, pad_value, dtype, overflow: as in `conv`.
        lowering: whose stages; ``auto`` is the one that `conv` takes.
        order: how a row of the columns lies, as in `im2col`.
        tile: [rows, K, F], the size of an array that columns and filters are cut for, instead of `matmul`.

    Returns:
        Of im2col: pad (N, C, H + pads, W + pads), im2col (N*out_h*out_w, C*kh*kw), fil2col (F, C*kh*kw), matmul
        (N*out_h*out_w, F) and reshape (N, out_h, out_w, F), in the lecture's order. Nobody shares their memory.

    Raises:
        ConfigError: arguments that do not fit together, named.
        ValueRangeError: a sum that does not fit, with ``overflow="error"``.

    >>> import numpy as np
    >>> made = stages(np.arange(9).reshape(1, 1, 3, 3), np.ones((1, 1, 2, 2), int))
    >>> [*made], made["im2col"].tolist()[0], made["matmul"].tolist()
    (['pad', 'im2col', 'fil2col', 'matmul', 'reshape'], [0, 1, 3, 4], [[8], [12], [20], [24]])
    """
    settings, arrays = read_settings(locals()), given(x, w, bias)
    how = read(LoweringSettings, "", {"order": order, "tile": listed(tile)})
    plan = planned(settings, arrays, text("lowering", lowering), how.columns)
    return {result.step.name: result.array.copy() for result in pipeline.run(plan, arrays)}


def planned(
    settings: ConvSettings, arrays: Mapping[str, Array], lowering: str | None = None, columns: Columns = AS_USUAL
) -> Plan:
    """The plan of what the settings name on arrays by role, by default in its own lowering.

    Raises:
        ConfigError: arrays that do not fit.
    """
    operation = operation_of(settings, bias="bias" in arrays)
    if lowering == lowerings.QUANTIZED:
        expected = "one that makes sums; conv_quantized and stages_quantized go on to the integers of a target"
        raise ConfigError("lowering", lowering, expected)
    chain = lowerings.chain(settings.operation or "conv", lowering)

    def give(weight: Weight) -> Tensor:
        array = arrays[weight.role]
        return Tensor(weight.role, array.shape, array.dtype, weight.axes)

    return plan_of(operation, chain, arrays["input"], give, columns)


def plan_of(
    operation: Convolving, chain: Sequence[Stage], image: Array, give: Give, columns: Columns = AS_USUAL
) -> Plan:
    """The plan of an operation on an image in hand, whose arrays NumPy can make.

    Raises:
        ConfigError: arrays that do not fit.
    """
    plan = plan_single(operation, chain, input_tensor(Signature(image.shape, image.dtype)), give, columns)
    for step in plan.steps:
        if not addressable(step.makes.shape, step.makes.dtype.itemsize):
            raise GeometryError("x", f"{step.makes.name} {step.makes.shape}", "arrays of fewer than 2**63 bytes")
    return plan


def read_settings(arguments: Mapping[str, Any]) -> ConvSettings:
    """Those arguments of a function that are settings of a convolution, checked."""
    known = {entry.name: arguments[entry.name] for entry in fields(ConvSettings) if entry.name in arguments}
    dtype = known["dtype"]
    name = None if dtype is None else str(dtype_of("dtype", dtype).name)
    return read(ConvSettings, "", {**{key: listed(value) for key, value in known.items()}, "dtype": name})


def given(x: ArrayLike, w: ArrayLike, bias: ArrayLike | None = None) -> dict[str, Array]:
    """The arrays of a convolution, by role; a matrix is one image, or beside such one filter, of one channel."""
    image = images("x", x)
    named = {"input": image, "filters": (images if image.ndim == 4 else numeric)("w", w, FROM_TWO_AXES)}
    return named if bias is None else named | {"bias": numeric("bias", bias)}
