"""Axes that lie otherwise than here: a matrix, an image without its batch, channels last, a transpose; told by sizes.

Nothing is turned unasked but a matrix. Errors about sizes say what was understood, and what would fit.
"""

from collections.abc import Sequence
from typing import Any

from convpipe.errors import GeometryError, GeometrySettingError
from convpipe.fields import is_whole
from convpipe.tensors import Sizes, Wanted

# Ways in which the axes of a tensor may lie, each the order for numpy.transpose that brings them here, and its words.
Turns = Sequence[tuple[Sizes, str]]

THREE_AXES = "3 axes are (N, C, W); one image is x[None]"
ONE_DIMENSIONAL = THREE_AXES.replace(";", ", a 1-D convolution;")


def image_shape(shape: Sizes) -> Sizes:
    """(1, 1, H, W) of a matrix (H, W), as that is one image, or one filter, of one channel; others as they are.

    >>> image_shape((5, 6)), image_shape((3, 5, 6))
    ((1, 1, 5, 6), (3, 5, 6))
    """
    return (1, 1, *shape) if len(shape) == 2 else shape


def turned_shape(shape: Sizes, order: Sizes) -> Sizes | None:
    """The shape after numpy.transpose; None of an array with another number of axes.

    >>> turned_shape((3, 3, 2, 8), (3, 2, 0, 1))
    (8, 2, 3, 3)
    """
    return tuple(shape[axis] for axis in order) if len(order) == len(shape) else None


def suits(shape: Sizes | None, wanted: Wanted) -> bool:
    """Whether a shape is the wanted one, where that says something.

    >>> suits((2, 3), (2, None)), suits((2, 3), (2,))
    (True, False)
    """
    there = shape is not None and len(shape) == len(wanted)
    return there and all(size in (None, have) for have, size in zip(shape or (), wanted, strict=True))


def turn_hint(shape: Sizes, wanted: Wanted, turns: Turns = ()) -> str:
    """What to do about a shape that is the wanted one in another order, or with axes of 1 beside its one axis.

    >>> turn_hint((1, 4, 1, 1), (4,))
    'one axis is enough, as reshape(-1) makes it'
    """
    for order, words in turns:
        if suits(turned_shape(shape, order), wanted) and is_likely(shape, order):
            return words
    if len(wanted) == 3 and len(shape) in (2, 4):
        return THREE_AXES
    flat = len(wanted) == 1 and len(shape) > 1 and [size for size in shape if size != 1] in ([wanted[0]], [])
    return "one axis is enough, as reshape(-1) makes it" if flat and wanted[0] else ""


def is_likely(shape: Sizes, order: Sizes) -> bool:
    """Whether filters may well lie in that order: not what a kernel of 3x3 has in common with 3 channels by chance.

    >>> is_likely((3, 3, 3, 8), (3, 2, 0, 1)), is_likely((8, 2, 3, 3), (3, 2, 0, 1))
    (True, False)
    """
    rank = len(shape) - 2
    if order[:2] == (1, 0) and rank > 0:
        return 1 not in shape[:2]  # one filter alone, or one channel for each filter, whose groups are meant
    return rank < 2 or len(set(shape[:rank])) == 1 or len(set(shape[-rank:])) > 1


def is_even(shape: Sizes) -> bool:
    """Whether filters of that shape have a kernel as wide as high, as most have.

    >>> is_even((8, 3, 3, 3)), is_even((3, 3, 3, 8))
    (True, False)
    """
    return len(set(shape[2:])) == 1


def filter_turns(rank: int, transposed: bool = False) -> Turns:
    """How filters may lie elsewhere: the kernel first, as in Keras, or the channels and filters the other way round.

    >>> filter_turns(2)[0]
    ((3, 2, 0, 1), 'filters (kh, kw, C, F), as Keras has them, are np.transpose(w, (3, 2, 0, 1)) here')
    """
    keras = (rank + 1, rank, *range(rank))
    swapped = (1, 0, *range(2, rank + 2))
    kernel = ", ".join(("kd", "kh", "kw")[-rank:]) if rank else ""
    first, other = ("C, F", "F, C") if transposed else ("F, C", "C, F")
    before = f"filters ({kernel}, {other}), as Keras has them, are np.transpose(w, {keras}) here"
    return (keras, before), (swapped, f"({other}, {kernel}) is ({first}, {kernel}) after np.swapaxes(w, 0, 1)")


def hinted(error: GeometryError, hint: str) -> GeometryError:
    """The same error with a hint; one that has a hint of its own keeps that, as does a setting that is wrong anyway."""
    if error.hint or not hint or isinstance(error, GeometrySettingError):
        return error
    return type(error)(error.key, error.got, error.expected, hint)


def rank_hint(shape: Sizes) -> str:
    """What 3 axes are taken for, where sizes do not fit."""
    return THREE_AXES if len(shape) == 3 else ""


def convolution_hint(x: Sizes, w: Sizes, groups: Any, *, transposed: bool = False) -> str:
    """What an input and filters that do not fit were taken for, and what would.

    >>> convolution_hint((3, 4, 4), (3, 3, 3), 1)
    '3 axes are (N, C, W), a 1-D convolution; one image is x[None], one filter w[None]'
    >>> convolution_hint((1, 5, 5, 3), (8, 3, 3, 3), 1)
    'an input (N, H, W, C) is np.moveaxis(x, -1, 1) here'
    """
    if len(x) == 3:
        return ONE_DIMENSIONAL + (", one filter w[None]" if len(w) == 3 else "")
    if len(x) == 4 and len(w) == 3:
        several = x[1] == 1 and w[0] != 1
        return "filters of one channel are w[:, None], (F, 1, kh, kw)" if several else "one filter is w[None]"
    if len(x) != len(w) or len(x) < 3:
        return ""
    return layout_hint(x, w, int(groups) if is_whole(groups, 1) else 1, transposed)


def layout_hint(x: Sizes, w: Sizes, groups: int, transposed: bool) -> str:
    """Which of an input and filters of the same number of axes would fit if it lay otherwise."""
    rank = len(x) - 2

    def wanted(channels: int) -> Wanted:
        depth = channels // groups if channels % groups == 0 else -1  # which no filters have
        return (*((channels, None) if transposed else (None, depth)), *(None,) * rank)

    turns = filter_turns(rank, transposed)
    letters = ", ".join(("D", "H", "W")[-rank:])
    last = f"an input (N, {letters}, C) is np.moveaxis(x, -1, 1) here"
    if suits(w, wanted(x[1])) or (not transposed and w[1] == x[1]):  # then it is the groups that do not fit
        return ""
    image_last = x[1] != 1  # a row of as many cells as there are channels is no image of channels
    keras, words = turns[0]
    turned = turned_shape(w, keras)
    if image_last and suits(w, wanted(x[-1])):
        both = suits(turned, wanted(x[-1])) and is_even(turned or ()) and not is_even(w)
        return f"{last}, and {words}" if both else last
    if image_last and suits(turned, wanted(x[-1])) and not suits(turned, wanted(x[1])) and is_likely(w, keras):
        return f"{last}, and {words}"
    return turn_hint(w, wanted(x[1]), turns)
