"""The shapes of arrays whose numbers are drawn: settings state them, or their place does."""

from math import prod
from typing import Any

import numpy as np

from convpipe.errors import ConfigError, GeometryError
from convpipe.geometry.axes import per_axis
from convpipe.sources.kinds.source import Request
from convpipe.tensors import Signature, Sizes

SHAPE = "[N, C, H, W], or with one or three spatial sizes; [H, W] is one image of one channel, or N rows of a network."
COUNT = "F, how many filters; more of them begin with the same ones."
KERNEL = "[kh, kw], or one number for every axis."


def drawn(role: str, request: Request, dtype: str, shape: Sizes | None, count: int | None, kernel: Any) -> Signature:
    """The signature of an input of a `shape`, of `count` filters, or of what else is asked for.

    Raises:
        ConfigError: no such array can exist, or its place leaves a size to the source.

    >>> drawn("input", Request(), "int16", (1, 3, 8, 8), None, None)
    Signature(shape=(1, 3, 8, 8), dtype=dtype('int16'))
    """
    if shape is not None:
        return signature(f"{role}.shape", shape, dtype)
    if count is not None:
        return signature(f"{role}.kernel", bank(request, count, kernel), dtype)
    key, wanted = request.key or role, request.shape or ()
    if None in wanted:
        expected = "a layer that states its sizes (filters and kernel, or units)"
        raise ConfigError(key, f"({', '.join('?' if size is None else str(size) for size in wanted)})", expected)
    return signature(key, tuple(size for size in wanted if size is not None), dtype)


def longer(key: str, shape: Sizes | None) -> str:
    """A shape with one more axis in front, as it is typed.

    >>> longer("input.shape", (3, 8, 8))
    'input.shape=[1,3,8,8]'
    """
    return f"{key}=[{','.join(map(str, (1, *(shape or ()))))}]"


def signature(key: str, shape: Sizes, dtype: str) -> Signature:
    """The signature of an array that could exist.

    Raises:
        ConfigError: a shape of more bytes than memory can address, which NumPy refuses even where another size is 0.
    """
    made = Signature(tuple(shape), np.dtype(dtype))
    if prod(max(size, 1) for size in made.shape) * made.dtype.itemsize >= 2**63:
        raise ConfigError(key, list(shape), "a shape of fewer than 2**63 bytes")
    return made


def bank(request: Request, count: int, kernel: Any) -> Sizes:
    """The shape (F, C/G, kernel...) of `count` filters, or (C, F/G, kernel...) of a transposed convolution's.

    One kernel size stands for every axis.

    Raises:
        GeometryError: a kernel of another rank, or groups that do not divide the filters.

    >>> bank(Request((None, 2, None, None), groups=2), 6, 3), bank(Request((4, None, None, None), groups=2), 6, 3)
    ((6, 2, 3, 3), (4, 3, 3, 3))
    """
    first, depth, *spatial = request.shape or (None, None)
    try:
        sizes = per_axis("kernel", kernel, len(spatial))
    except GeometryError as error:
        raise error.at({"kernel": "filters.kernel"}) from None
    if depth is not None:
        return (count, depth, *sizes)
    if first is None or count % request.groups:
        raise GeometryError("groups", request.groups, f"a divisor of the {count} filters")
    return (first, count // request.groups, *sizes)
