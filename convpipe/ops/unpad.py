"""The padding of a batch taken back: the adjoint of `pad`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from convpipe.fields import is_whole
from convpipe.geometry.axes import PadMode, Pads, check_pad_mode, listed
from convpipe.ops import Array, GeometryError, Made, Sizes, Tensor, UnpadStage, check_shape, checked, images, numeric
from convpipe.ops.arrays.adjoints import between_overflow, copies, holds, unpad_image
from convpipe.ops.arrays.arguments import IMAGES
from convpipe.ops.arrays.sums import Overflow, fitted, largest, target_dtype
from convpipe.ops.pad import Pad


class Unpad(UnpadStage):
    """padded_sums -> grad_input."""

    result = "grad_input"
    called = "gradient of the input"

    def plan(self, x: Tensor) -> Made:
        """(N, C, H, W)."""
        return Made(self.conv.sizes.input_shape, self.target, x.axes, workspace=self.memory)

    def run(self, x: Array) -> Array:
        """`unpad`."""
        conv = self.conv
        return unpad(x, pads=conv.sizes.pads, mode=conv.operation.pad_mode, dtype=self.target, overflow=self.overflow)


def unpad(
    padded: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    pads: Sequence[Sequence[int]],
    mode: PadMode = "constant",
    dtype: DTypeLike | None = None,
    overflow: Overflow = "error",
) -> Array:
    """Take the padding of a batch back: the adjoint of `pad`.

    Args:
        padded: (N, C, H + pads, W + pads), or with one or three spatial axes; integers or floats.
        bias: (C,), added to every cell before anything is rounded or checked.
        pads: (before, after) for each spatial axis; with ``constant`` a negative one adds cells that are zero.
        mode: ``constant`` crops; for ``reflect``, ``edge`` and ``wrap`` every padded cell is added to the cell
            that it was copied from.
        dtype: of the result; by default that of `padded`.
        overflow: for an exact sum that `dtype` cannot hold: ``error``, ``wrap`` or ``saturate``.

    Returns:
        (N, C, H, W). Integers are summed exactly; floats in the dtype of `padded`, and rounded at the end.

    Raises:
        ConfigError: arguments that are no arrays of numbers or do not fit together, named.
        ValueRangeError: with ``overflow="error"``, a sum that does not fit.

    >>> unpad(np.array([[[10, 1, 2, 3]]]), pads=((1, 0),), mode="edge").tolist()
    [[[11, 2, 3]]]
    """
    padded = images("padded", padded, IMAGES)
    bias = None if bias is None else per_channel(numeric("bias", bias), padded)
    [mode], [overflow] = checked(Pad, mode=mode), checked(Unpad, overflow=overflow)
    return unpadded(padded, bias, pairs_of(pads, mode, padded.shape), mode, target_dtype(dtype, padded.dtype), overflow)


def per_channel(bias: Array, padded: Array) -> Array:
    """The bias, a value for each channel, which the dtype of the sums holds.

    Raises:
        GeometryError: it has another shape, or floats beside integers.
    """
    check_shape("bias", bias, padded.shape[1:2], "one value per channel")
    if bias.dtype.kind == "f" and padded.dtype.kind != "f":
        raise GeometryError("bias", bias.dtype, f"an integer dtype, as the sums are {padded.dtype}")
    return bias


def pairs_of(pads: Sequence[Sequence[int]], mode: str, shape: Sizes) -> Pads:
    """The pads as pairs, of a mode that a batch of that shape may have been padded with.

    Raises:
        GeometryError: others.
    """
    rank, found = len(shape) - 2, listed(pads)
    legal = isinstance(found, list) and len(found) == rank and all(map(is_pair, found))
    if not legal:
        raise GeometryError("pads", pads, f"{rank} pairs [before, after]")
    pairs = tuple((int(before), int(after)) for before, after in found)
    if mode != "constant" and min(map(min, pairs)) < 0:
        raise GeometryError("pads", pads, f"numbers from 0 for {mode} padding")
    if min(inner(shape, pairs)) < 0:
        raise GeometryError("pads", pads, f"no more than the cells that there are, {shape[2:]}")
    try:
        check_pad_mode(mode, pairs, inner(shape, pairs))
    except GeometryError as error:
        raise error.at({"pad": "pads"}) from error
    return pairs


def is_pair(entry: Any) -> bool:
    """Whether that is [before, after]."""
    return isinstance(entry, list) and len(entry) == 2 and all(map(is_whole, entry))


def inner(shape: Sizes, pads: Pads) -> Sizes:
    """The spatial sizes without their padding."""
    return tuple(size - sum(pair) for size, pair in zip(shape[2:], pads, strict=True))


def unpadded(
    padded: Array, bias: Array | None, pads: Pads, mode: str, target: np.dtype[Any], overflow: Overflow
) -> Array:
    """`unpad` of arguments that are checked, an image at a time."""
    spatial = inner(padded.shape, pads)
    terms = prod(copies(size, pair, mode) for size, pair in zip(spatial, pads, strict=True))
    extra = 0 if bias is None or bias.dtype.kind == "f" else largest(bias)
    exact = between_overflow(target, overflow) == "wrap" or holds(padded, terms, extra)
    wide = padded.dtype if exact else np.dtype(object)
    offsets = None if bias is None else bias.astype(wide).reshape(-1, *(1 for _ in spatial))
    result = np.empty((*padded.shape[:2], *spatial), target)
    # Python's integers are large: of those, one channel at a time
    parts = [slice(None)] if exact else [slice(channel, channel + 1) for channel in range(padded.shape[1])]
    for (image, planes), part in product(zip(padded, result, strict=True), parts):
        sums = unpad_image(image[part].astype(wide, copy=False), pads, mode)
        if offsets is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                sums = sums + offsets[part]
        planes[part] = fitted(sums, target, overflow)
    return result
