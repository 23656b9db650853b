"""The padding of a batch taken back: the adjoint of `pad`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from convpipe.fields import is_whole
from convpipe.geometry.axes import PadMode, Pads, check_addressable, check_pad_mode, listed
from convpipe.ops import (
    Array,
    Form,
    GeometryError,
    Made,
    Read,
    Sizes,
    Tensor,
    UnpadStage,
    check_shape,
    checked,
    formula,
    images,
    numeric,
    variables,
)
from convpipe.ops.arrays.adjoints import copies, holds, unpad_image
from convpipe.ops.arrays.arguments import IMAGES
from convpipe.ops.arrays.floats import TILE_CELLS
from convpipe.ops.arrays.overflow import SUM_SHIFT, Overflow, check_rule, narrowed, scaled, settled
from convpipe.ops.arrays.sums import largest, target_dtype
from convpipe.ops.kinds.places import Copies
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

    def form(self, x: Tensor) -> Form:
        """The cell without its padding, and those that were copied from it."""
        sizes, mode = self.conv.sizes, self.conv.operation.pad_mode
        n, channel, *own = variables(len(x.shape))
        if mode == "constant":
            return Form("x", len(x.shape), (self.cropped(x, n, channel, own),))
        axes = enumerate(zip(sizes.padded, sizes.pads, sizes.spatial, strict=True))
        loops = tuple(Copies(padded, mode, before, size, 2 + axis) for axis, (padded, (before, _), size) in axes)
        places = (n, channel, *variables(sizes.rank, len(x.shape)))
        return Form(formula("sum(x)"), len(x.shape), (Read("x", 0, places, x.shape),), loops)


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
        overflow: as in `matmul`, for a sum that `dtype` cannot hold.

    Returns:
        (N, C, H, W). Integers are summed exactly; floats in float64, and rounded at the end.

    Raises:
        ConfigError: arguments that are no arrays of numbers or do not fit together, named.
        ValueRangeError: with ``overflow="error"``, a sum that does not fit.

    >>> unpad(np.array([[[10, 1, 2, 3]]]), pads=((1, 0),), mode="edge").tolist()
    [[[11, 2, 3]]]
    """
    padded = images("padded", padded, IMAGES)
    bias = None if bias is None else per_channel(numeric("bias", bias), padded)
    [mode], [overflow] = checked(Pad, mode=mode), checked(Unpad, overflow=overflow)
    target = target_dtype(dtype, padded.dtype)
    check_rule(overflow, target)
    pairs = pairs_of(pads, mode, padded.shape)
    if padded.dtype.kind == "f":
        return unpadded_floats(padded, bias, pairs, mode, target, overflow)
    return unpadded(padded, bias, pairs, mode, target, overflow)


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
    check_addressable("pads", pads, (*shape[:2], *inner(shape, pairs)), itemsize=8)
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
    """`unpad` of integers that are checked, an image at a time."""
    spatial = inner(padded.shape, pads)
    terms = prod(copies(size, pair, mode) for size, pair in zip(spatial, pads, strict=True))
    wide = exact_dtype(padded, bias, terms, overflow)
    exact = wide.kind != "O"
    offsets = None if bias is None else as_planes(bias.astype(wide), spatial)
    result = np.empty((*padded.shape[:2], *spatial), target)
    # Python's integers are large: of those, one channel at a time
    parts = [slice(None)] if exact else [slice(channel, channel + 1) for channel in range(padded.shape[1])]
    for (image, planes), part in product(zip(padded, result, strict=True), parts):
        sums = unpad_image(image[part].astype(wide, copy=False), pads, mode)
        planes[part] = narrowed(sums if offsets is None else sums + offsets[part], target, overflow)
    return result


def exact_dtype(padded: Array, bias: Array | None, terms: int, overflow: Overflow) -> np.dtype[Any]:
    """The dtype in which sums of so many integers and the bias are right, or right modulo 2**64 where they may wrap.

    >>> exact_dtype(np.ones(2, np.uint8), np.array([-1]), 1, "error")
    dtype('O')
    """
    extra, lowest = (0, 0) if bias is None or not bias.size else (largest(bias), int(bias.min()))
    if holds(padded, terms, extra) and (lowest >= 0 or padded.dtype.kind == "i"):
        return padded.dtype
    if overflow == "wrap":
        return padded.dtype if padded.itemsize == 8 else np.dtype(np.uint64)
    return np.dtype(object)


def unpadded_floats(
    padded: Array, bias: Array | None, pads: Pads, mode: str, target: np.dtype[Any], overflow: Overflow
) -> Array:
    """`unpad` of floats that are checked, some channels of an image at a time."""
    spatial, channels = inner(padded.shape, pads), padded.shape[1]
    offsets = as_planes(np.zeros(channels) if bias is None else bias.astype(np.float64), spatial)
    cropped = bias is None and mode == "constant"
    result = np.empty((*padded.shape[:2], *spatial), target)
    size = max(1, TILE_CELLS // max(1, prod(padded.shape[2:])))
    parts = [slice(None)] if cropped else [slice(start, start + size) for start in range(0, channels, size)]
    for (image, planes), part in product(zip(padded, result, strict=True), parts):
        if cropped:
            planes[...] = narrowed(unpad_image(image, pads, mode), target, overflow)
        else:
            planes[part] = summed(image[part], offsets[part], pads, mode, target, overflow)
    return result


def summed(image: Array, offsets: Array, pads: Pads, mode: str, target: np.dtype[Any], overflow: Overflow) -> Array:
    """One image of floats without its padding, each cell plus its channel's offset, added up in float64."""

    def operands() -> Array:
        odd = unpad_image((~np.isfinite(image)).astype(np.int64), pads, mode)
        finite: Array = (odd == 0) & np.isfinite(offsets)
        return finite

    def sums(power: int) -> Array:
        with np.errstate(all="ignore"):
            return unpad_image(scaled(image, power), pads, mode) + scaled(offsets, power)

    return settled(sums(0), target, overflow, operands, lambda: scaled(sums(-SUM_SHIFT), SUM_SHIFT))


def as_planes(bias: Array, spatial: Sizes) -> Array:
    """(C,) as (C, 1, 1)."""
    return bias.reshape(-1, *(1 for _ in spatial))
