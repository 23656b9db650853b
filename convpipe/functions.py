"""Convolution as Python functions: NCHW arrays in, NCHW arrays out."""

from __future__ import annotations

from typing import Any

import numpy as np

from convpipe import lowerings, ops, pipeline
from convpipe.errors import ConfigError
from convpipe.fields import DTYPES, read
from convpipe.plan import plan_convolution
from convpipe.sources import Signature
from convpipe.spec import ConvSettings
from convpipe.step import Array


def conv(
    x: Any,
    w: Any,
    bias: Any = None,
    *,
    stride: Any = 1,
    pad: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    pad_mode: str = "constant",
    pad_value: float = 0,
    lowering: str = "auto",
    dtype: Any = None,
    overflow: str = "error",
) -> Array:
    """Convolve a batch of images with filters (cross-correlation, as every deep-learning library means it).

    Args:
        x: (N, C, H, W), or with one or three spatial axes; any integer or float dtype.
        w: (F, C/G, kh, kw), likewise.
        bias: (F,), added to each feature map.
        stride, dilation: one number, or one per axis.
        pad: one number, one per axis, one pair [before, after] per axis, ``valid``, ``same`` or ``same_lower``.
        groups: G, a divisor of C and F.
        pad_mode: ``constant`` (of `pad_value`), ``reflect``, ``edge`` or ``wrap``.
        lowering: ``auto``, ``im2col`` or ``implicit``; integers come out the same to the bit.
        dtype: of the result; by default that of `ops.matmul.result_dtype`. Integer sums are exact whatever it is.
        overflow: for an exact sum that `dtype` cannot hold: ``error``, ``wrap`` or ``saturate``.

    Returns:
        (N, F, out_h, out_w).

    Raises:
        ConfigError: arguments that do not fit together, named.
        ValueRangeError: a sum that does not fit, with ``overflow="error"``.

    >>> image, kernel = np.arange(9).reshape(1, 1, 3, 3), np.ones((1, 1, 2, 2), int)
    >>> conv(image, kernel)
    array([[[[ 8, 12],
             [20, 24]]]])
    """
    arrays = {"input": numeric("x", x), "filters": numeric("w", w)}
    if bias is not None:
        arrays["bias"] = checked_bias(numeric("bias", bias), arrays["filters"])
    settings = read(
        ConvSettings,
        "",
        {
            "stride": stride,
            "pad": pad,
            "dilation": dilation,
            "groups": groups,
            "pad_mode": pad_mode,
            "pad_value": pad_value,
            "dtype": None if dtype is None else np.dtype(dtype).name,
            "overflow": overflow,
        },
    )
    signatures = [Signature(array.shape, array.dtype) for array in arrays.values()]
    plan = plan_convolution(signatures[0], signatures[1], settings, lowerings.get(lowering), *signatures[2:])
    return ops.channels_first(pipeline.output(plan, arrays))


def numeric(name: str, values: Any) -> Array:
    """An argument as an array of a dtype this package computes in, not copied where it is one.

    Raises:
        ConfigError: bool, complex, text and other dtypes.
    """
    array = np.asarray(values)
    if array.dtype.name not in DTYPES:
        raise ConfigError(name, array.dtype, f"one of {', '.join(DTYPES)}")
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def checked_bias(bias: Array, filters: Array) -> Array:
    """A bias with one value per filter."""
    if bias.shape != filters.shape[:1]:
        raise ConfigError("bias", bias.shape, f"the shape {filters.shape[:1]}, one value per filter")
    return bias
