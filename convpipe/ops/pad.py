"""Padding of the spatial axes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from convpipe.fields import choice, field, is_whole, number
from convpipe.geometry.axes import (
    PAD_MODES,
    PadMode,
    Pads,
    PadSizes,
    check_addressable,
    check_pad_mode,
    input_rank,
    listed,
    pads_per_axis,
)
from convpipe.ops import (
    PAD,
    PAD_MODE,
    Array,
    Convolution,
    Form,
    GeometryError,
    Made,
    Operation,
    Read,
    Sizes,
    Tensor,
    checked,
    images,
    like,
    padding,
    unread_padding,
    variables,
)
from convpipe.ops.arrays.arguments import real
from convpipe.ops.arrays.bounds import Bounded
from convpipe.ops.arrays.taps import exactly, interior


def pad(x: ArrayLike, pad: PadSizes = 1, mode: PadMode = "constant", value: float = 0) -> Array:
    """Pad the spatial axes of a batch.

    Args:
        x: (N, C, H, W), or with one or three spatial axes; any integer or float dtype, which the result keeps. A
            matrix is one image of one channel; a row of numbers is padded as numpy.pad does, and stays a row.
        pad: cells on every side, one number per axis, or one pair [before, after] per axis; as in numpy.pad, a batch
            may have pairs for N and C, too, which are [0, 0], and a row one bare pair.
        mode: ``constant``, ``reflect``, ``edge`` or ``wrap``, as in numpy.pad.
        value: what ``constant`` fills with: for integers one that their dtype holds, for floats rounded to theirs.

    Returns:
        (N, C, H + pads, W + pads); `x` itself, not a copy, where there is nothing to pad.

    Raises:
        ConfigError: an `x` that is no array of numbers, or a pad, mode or value that it cannot take.

    >>> pad(np.array([[[[1, 2], [3, 4]]]]), [[0, 0], [1, 1]])
    array([[[[0, 1, 2, 0],
             [0, 3, 4, 0]]]])
    """
    x, value = images("x", x), real("value", value)
    [mode] = checked(Pad, mode=mode)
    if x.ndim == 1:
        row: Array = padded(x[None, None], solved_pads((1, 1, *x.shape), row_pads(pad), mode), mode, value)[0, 0]
        return row
    return padded(x, solved_pads(x.shape, spatial_pads(pad, x.ndim), mode), mode, value)


def row_pads(pad: Any) -> Any:
    """The pads of a row of numbers, a bare pair as one for its axis.

    >>> row_pads((1, 2)), row_pads([(1, 2)]), row_pads(1)
    ([[1, 2]], [(1, 2)], 1)
    """
    found = listed(pad)
    return [found] if isinstance(found, list) and len(found) == 2 and all(map(is_whole, found)) else pad


def spatial_pads(pad: Any, axes: int) -> Any:
    """The pads of the spatial axes, where there is a pair for every axis and those of N and C pad nothing.

    >>> spatial_pads([(0, 0), (0, 0), (1, 1), (2, 2)], axes=4)
    [[1, 1], [2, 2]]
    """
    found = listed(pad)
    every = isinstance(found, list) and len(found) == axes and found[:2] == [[0, 0], [0, 0]]
    return found[2:] if every else pad


def padded(x: Array, pads: Pads, mode: str, value: float, key: str = "value") -> Array:
    """`pad` of an array whose pads are solved; `key` is what the value is called."""
    if not any(map(any, pads)):
        return x
    if mode != "constant":
        return np.pad(x, ((0, 0), (0, 0), *pads), mode=mode)  # type: ignore[call-overload,no-any-return]
    # zeros and one assignment: 1 us against 18 us for numpy.pad on a small array
    spatial = x.shape[2:]
    shape = (*x.shape[:2], *(size + sum(pair) for size, pair in zip(spatial, pads, strict=True)))
    check_addressable("pad", pads, shape, x.itemsize)
    result = np.full(shape, exactly(value, x.dtype, key), x.dtype) if value else np.zeros(shape, x.dtype)
    result[interior(pads, spatial)] = x
    return result


def solved_pads(shape: Sizes, pad: Any, mode: str) -> Pads:
    """(before, after) for each spatial axis of (N, C, H, W).

    Raises:
        GeometryError: a pad or mode that the shape cannot take.
    """
    rank, spatial = input_rank(shape), shape[2:]
    if isinstance(pad, str):
        raise GeometryError("pad", pad, "numbers, as a word can be worked out only with a kernel")
    pads = pads_per_axis(pad, rank)
    check_pad_mode(mode, pads, spatial)
    return pads


class Pad(Operation):
    """x -> padded; as a stage with the convolution's padding."""

    function = staticmethod(pad)  # before the field of that name

    pad: Any = field(padding, 1, PAD)
    mode: str = field(choice(PAD_MODES), "constant", PAD_MODE)
    value: float = field(number(), 0, "What a constant padding holds.")

    result = "padded"
    linear = True
    images = True

    @classmethod
    def of(cls, conv: Convolution) -> dict[str, Any]:
        """The convolution's padding, whose zeros are those of its input."""
        value = conv.operation.pad_value if conv.quant is None else conv.quant.input.zero_point
        return {"pad": conv.sizes.pads, "mode": conv.operation.pad_mode, "value": value}

    def run(self, x: Array) -> Array:
        """`pad`, whose settings were checked when it was planned."""
        return padded(x, solved_pads(x.shape, self.pad, self.mode), self.mode, self.value)

    def unread(self) -> tuple[str, ...]:
        """Its mode and its value, where nothing is padded with them."""
        no_mode, no_value = unread_padding(self.pad, self.mode)
        return ("mode",) * no_mode + ("value",) * no_value

    def plan(self, x: Tensor) -> Made:
        """Larger spatial axes."""
        pads = solved_pads(x.shape, self.pad, self.mode)
        if self.mode == "constant" and any(map(any, pads)):
            exactly(self.value, x.dtype, "value")
        spatial = (size + sum(pair) for size, pair in zip(x.shape[2:], pads, strict=True))
        return like(x, shape=(*x.shape[:2], *spatial), workspace=0)

    def error(self, made: Array, x: Bounded) -> Array:
        """Moved, and none in a constant padding."""
        return replace(self, value=0).run(x.error)

    def form(self, x: Tensor) -> Form:
        """The cell that lies there, or that its mode has there, or the value of a constant padding."""
        pads = ((0, 0), (0, 0), *solved_pads(x.shape, self.pad, self.mode))
        own = variables(len(x.shape))
        places = tuple(place - before for place, (before, _) in zip(own, pads, strict=True))
        if self.mode != "constant":
            return Form("x", len(own), (Read("x", 0, places, x.shape, mode=self.mode),))
        filling = (("padding", exactly(self.value, x.dtype, "value").item()),) if any(map(any, pads)) else ()
        return Form("x", len(own), (Read("x", 0, places, x.shape, pads),), constants=filling)
