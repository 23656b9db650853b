"""The shapes of operations that have no window: flattened, multiplied, joined."""

from math import prod
from typing import Any

from convpipe.errors import GeometryError
from convpipe.geometry.axes import axis_of
from convpipe.geometry.layouts import turn_hint
from convpipe.tensors import Sizes


def flatten_shape(input_shape: Sizes) -> Sizes:
    """(N, C*H*W) of (N, C, H, W).

    >>> flatten_shape((8, 16, 5, 5))
    (8, 400)
    """
    if len(input_shape) < 2:
        raise GeometryError("input", input_shape, "at least 2 axes, N and C")
    return (input_shape[0], prod(input_shape[1:]))


def dense_shape(input_shape: Sizes, weights_shape: Sizes, bias_shape: Sizes | None = None) -> Sizes:
    """(N, out) of (N, in), weights (in, out) and a bias (out,).

    >>> dense_shape((8, 400), (400, 10))
    (8, 10)
    """
    if len(input_shape) != 2:
        raise GeometryError("input", input_shape, "2 axes (N, in); a flatten layer before it makes them")
    if len(weights_shape) != 2 or weights_shape[0] != input_shape[1]:
        turned = len(weights_shape) == 2 and weights_shape[1] == input_shape[1]
        hint = "that is the transpose, as PyTorch has it: weights.T" if turned else ""
        raise GeometryError("weights", weights_shape, f"the shape ({input_shape[1]}, out), one row per input", hint)
    if bias_shape is not None and bias_shape != weights_shape[1:]:
        hint = turn_hint(bias_shape, weights_shape[1:])
        raise GeometryError("bias", bias_shape, f"the shape {weights_shape[1:]}, one value per output", hint)
    return (input_shape[0], weights_shape[1])


def check_per_channel(name: str, shape: Sizes, input_shape: Sizes) -> None:
    """An array with one value for each channel of (N, C, ...)."""
    channels = flatten_shape(input_shape[:2])[1]
    if shape != (channels,):
        hint = turn_hint(shape, (channels,))
        raise GeometryError(name, shape, f"the shape ({channels},), one value per channel", hint)


def same_shape(*shapes: Sizes) -> Sizes:
    """The one shape that all of these are.

    >>> same_shape((1, 3, 5, 5), (1, 3, 5, 5))
    (1, 3, 5, 5)
    """
    if not shapes:
        raise GeometryError("tensors", None, "at least one")
    for shape in shapes:
        if shape != shapes[0]:
            raise GeometryError("tensors", shape, f"the shape {shapes[0]} of the first")
    return shapes[0]


def concat_shape(*shapes: Sizes, axis: Any = 1) -> Sizes:
    """The shape of these laid one after another along an axis; all other axes agree.

    >>> concat_shape((1, 3, 5, 5), (1, 4, 5, 5))
    (1, 7, 5, 5)
    """
    if not shapes:
        raise GeometryError("tensors", None, "at least one")
    along = axis_of(axis, len(shapes[0]))
    before, after = shapes[0][:along], shapes[0][along + 1 :]
    for shape in shapes:
        if len(shape) != len(shapes[0]) or (shape[:along], shape[along + 1 :]) != (before, after):
            raise GeometryError("tensors", shape, f"the shape {shapes[0]} of the first, but for axis {along}")
    return (*before, sum(shape[along] for shape in shapes), *after)
