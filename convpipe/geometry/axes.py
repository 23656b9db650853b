"""The spatial axes: how many there are, a value for each, how far a kernel reaches, and padding with its words."""

from collections.abc import Sequence, Sized
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from convpipe.errors import GeometryError, GeometrySettingError, did_you_mean, told_apart
from convpipe.fields import is_whole
from convpipe.geometry.layouts import THREE_AXES
from convpipe.tensors import Sizes, addressable, one_for_all

Pads = tuple[tuple[int, int], ...]
PadWord = Literal["valid", "same", "same_lower"]
PadMode = Literal["constant", "reflect", "edge", "wrap"]
PAD_WORDS: tuple[PadWord, ...] = get_args(PadWord)
PAD_MODES: tuple[PadMode, ...] = get_args(PadMode)

# How users write a value for each spatial axis.
PerAxis = int | np.integer[Any] | Sequence[int] | NDArray[np.integer[Any]]  # one for all, or one per axis
PadSizes = PerAxis | Sequence[Sequence[int]]  # or one pair [before, after] per axis
Padding = PadSizes | PadWord

RANKS = (1, 2, 3)
AXES = {1: ("W",), 2: ("H", "W"), 3: ("D", "H", "W")}
SINGLE = (int, str, bytes)
LISTS = (list, tuple, Sequence)  # the abstract one last, as to ask it takes ten times as long


def kernel_letters(rank: int) -> tuple[str, ...]:
    """kd, kh, kw: as many as there are spatial axes."""
    return tuple(f"k{letter.lower()}" for letter in AXES[rank])


def out_letters(rank: int) -> tuple[str, ...]:
    """out_d, out_h, out_w: as many as there are spatial axes."""
    return tuple(f"out_{letter.lower()}" for letter in AXES[rank])


def listed(value: Any) -> Any:
    """Sequences, but for texts, as lists, and NumPy's arrays and numbers as Python's; other values as they are.

    >>> listed(np.array([1, 2])), listed((np.int8(3), [4])), listed("same")
    ([1, 2], [3, [4]], 'same')
    """
    if isinstance(value, SINGLE):
        return value
    if isinstance(value, LISTS):
        return [listed(entry) for entry in value]
    if hasattr(value, "__array__") and not isinstance(value, np.ndarray | np.generic):  # a tensor of PyTorch, say
        try:
            value = np.asanyarray(value)
        except Exception:  # noqa: BLE001 - anything that an object's own code raises
            return value
    masked = isinstance(value, np.ma.MaskedArray)  # in whose list None stands for what is masked
    return value.tolist() if isinstance(value, np.ndarray | np.generic) and not masked else value


def spread(value: Any, rank: int) -> list[Any]:
    """A value for each of so many axes, from one for all or a list of them, which may have another length."""
    found = listed(value)
    return found if isinstance(found, list) else [found] * rank


def per_axis(name: str, value: Any, rank: int, low: int = 1) -> Sizes:
    """One whole number from `low` for each spatial axis, given as one for all or as a list.

    Raises:
        GeometryError: another type, another length, or a number below `low`.

    >>> per_axis("stride", 2, rank=2), per_axis("stride", [1, 3], rank=2)
    ((2, 2), (1, 3))
    """
    values = spread(value, rank)
    if len(values) != rank or not all(is_whole(entry, low) for entry in values):
        expected = f"a whole number from {low}, or a list of {rank} ({', '.join(AXES[rank])})"
        raise GeometrySettingError(name, told_apart(value), expected, one_image(values, rank))
    return tuple(int(entry) for entry in values)


def one_image(values: Sized, rank: int) -> str:
    """The hint where two axes are meant, or channels and two, and the input has one."""
    return THREE_AXES if rank == 1 and len(values) in (2, 3) else ""


def pads_per_axis(value: Any, rank: int) -> Pads:
    """(before, after) for each spatial axis, of one number, one per axis, or one pair per axis.

    Raises:
        GeometryError: another type, another length, or a negative number.

    >>> pads_per_axis(1, rank=2), pads_per_axis([0, 2], rank=2), pads_per_axis([[0, 1], [2, 3]], rank=2)
    (((1, 1), (1, 1)), ((0, 0), (2, 2)), ((0, 1), (2, 3)))
    """
    pairs = [spread(entry, 2) for entry in spread(value, rank)]
    legal = len(pairs) == rank and all(len(pair) == 2 and all(is_whole(side, 0) for side in pair) for pair in pairs)
    if not legal:
        hint = did_you_mean(value, PAD_WORDS) if isinstance(value, str) else one_image(pairs, rank)
        expected = f"a whole number from 0, {rank} of them, {rank} pairs [before, after], or {', '.join(PAD_WORDS)}"
        raise GeometrySettingError("pad", told_apart(value), expected, hint)
    return tuple((int(before), int(after)) for before, after in pairs)


def shortest_pads(value: Any) -> Any:
    """The shortest way to write a padding: what is valid is 0, a pair of equal sides one number, equal axes one.

    >>> shortest_pads("valid"), shortest_pads([[0, 0], [0, 0]]), shortest_pads([[1, 1], [0, 2]]), shortest_pads("same")
    (0, 0, [1, [0, 2]], 'same')
    """
    found = 0 if value == "valid" else listed(value)
    if not isinstance(found, list):
        return found
    sides = [one_for_all(entry) for entry in found]
    return sides if any(isinstance(side, list) for side in sides) else one_for_all(sides)


def reach(kernel: int, dilation: int) -> int:
    """How many cells a dilated kernel spans along one axis.

    >>> reach(3, dilation=2)
    5
    """
    return dilation * (kernel - 1) + 1


def out_sizes(size: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Sizes:
    """How many positions a kernel has along each axis of an already padded image.

    >>> out_sizes((7, 7), (3, 3), (1, 2), (1, 1))
    (5, 3)
    """
    return tuple(
        (cells - reach(taps, step)) // by + 1
        for cells, taps, by, step in zip(size, kernel, stride, dilation, strict=True)
    )


def same_pads(size: int, kernel: int, stride: int, dilation: int, *, lower: bool) -> tuple[int, int]:
    """The padding that makes the output ceil(size / stride), as TensorFlow and ONNX's SAME_UPPER, SAME_LOWER.

    >>> same_pads(5, kernel=2, stride=1, dilation=1, lower=False)
    (0, 1)
    """
    total = max((-(-size // stride) - 1) * stride + reach(kernel, dilation) - size, 0)
    return (total - total // 2, total // 2) if lower else (total // 2, total - total // 2)


def solve_pads(pad: Any, spatial: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Pads:
    """The pads of each axis, words such as ``same`` worked out."""
    if isinstance(pad, str) and pad == "valid":
        return ((0, 0),) * len(spatial)
    if isinstance(pad, str) and pad in ("same", "same_lower"):
        axes = zip(spatial, kernel, stride, dilation, strict=True)
        return tuple(same_pads(*axis, lower=pad == "same_lower") for axis in axes)
    return pads_per_axis(pad, len(spatial))


def input_rank(input_shape: Sizes) -> int:
    """How many spatial axes (N, C, spatial...) has.

    Raises:
        GeometryError: none, or more than three.
    """
    rank = len(input_shape) - 2
    if rank not in RANKS:
        expected = "4 axes (N, C, H, W), or 3 or 5 with one or three spatial ones"
        raise GeometryError("input", input_shape, expected, "a row alone is x[None]" if rank == -1 else "")
    return rank


def check_pad_mode(mode: str, pads: Pads, spatial: Sizes) -> None:
    """A mode there is, and pads that it can fill from an axis of that size."""
    if mode not in PAD_MODES:
        hint = did_you_mean(str(mode), PAD_MODES)
        raise GeometrySettingError("pad_mode", mode, f"one of {', '.join(PAD_MODES)}", hint)
    if mode == "constant":
        return
    for size, pair, letter in zip(spatial, pads, AXES[len(spatial)], strict=True):
        most = {"reflect": size - 1, "wrap": size, "edge": max(pair) if size else 0}[mode]
        if max(pair) > max(most, 0):
            raise GeometryError(
                "pad", list(pair), f"at most {max(most, 0)} along {letter} for {mode} padding of {size}"
            )


def check_filled(spatial: Sizes | list[int]) -> None:
    """At least one cell along every spatial axis."""
    for size, letter in zip(spatial, AXES[len(spatial)], strict=True):
        if size < 1:
            raise GeometryError("input", tuple(spatial), f"at least 1 along {letter}")


def check_addressable(key: str, got: Any, shape: Sizes, itemsize: int) -> None:
    """What a setting leads to is an array that could exist: NumPy refuses others in words of its own.

    >>> check_addressable("pad", 1, (2, 3), itemsize=8)
    """
    if not addressable(shape, itemsize):
        raise GeometryError(key, got, "an array of fewer than 2**63 bytes to come of it")


def axis_of(axis: Any, axes: int) -> int:
    """An axis of an array of so many, a negative one counted from the end.

    >>> axis_of(-1, axes=4)
    3
    """
    if not is_whole(axis, -axes, axes - 1):
        raise GeometrySettingError("axis", axis, f"a whole number from {-axes} to {axes - 1}")
    return int(axis) % axes
