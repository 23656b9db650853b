"""Arrays written out number by number, as the lecture's are."""

import math
from typing import Any

import numpy as np

from convpipe.errors import ConfigError, told_apart
from convpipe.fields import dtype_name, field, judged
from convpipe.ops.arrays.sums import FLOAT64_EXACT
from convpipe.sources.kinds.bank import Kernels
from convpipe.sources.kinds.ranges import fits, within
from convpipe.sources.kinds.source import ANY, ARRAYS, Request
from convpipe.tensors import MOST_AXES, Array, Signature, Sizes


def nested(key: str, value: Any, axes: int = 0) -> Any:
    """Lists of lists of numbers, each of one shape throughout, as tuples."""
    if not isinstance(value, list | tuple):
        if axes == 0:
            raise ConfigError(key, told_apart(value), "a list of numbers, or of lists")
        return finite(key, value)
    if not value:
        raise ConfigError(key, "an empty list", "at least one value")
    if axes == MOST_AXES:
        raise ConfigError(key, value, f"at most {MOST_AXES} lists within each other")
    entries = tuple(nested(f"{key}[{place}]", entry, axes + 1) for place, entry in enumerate(value))
    for place, entry in enumerate(entries):
        if shape_of(entry) != shape_of(entries[0]):
            raise ConfigError(f"{key}[{place}]", value[place], f"{as_words(shape_of(entries[0]))}, as in {key}[0]")
    return entries


def finite(key: str, value: Any) -> int | float:
    """A number that is neither a bool, nor infinite, nor NaN; whole ones of any size."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(key, told_apart(value), "a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(key, value, "a finite number")
    return value


def shape_of(values: Any) -> Sizes:
    """The shape of evenly nested tuples.

    >>> shape_of(((1, 2, 3), (4, 5, 6)))
    (2, 3)
    """
    return (len(values), *shape_of(values[0])) if isinstance(values, tuple) else ()


def as_words(shape: Sizes) -> str:
    """A shape for an error line."""
    return f"a list of shape {list(shape)}" if shape else "a number"


def check_holds(key: str, values: Any, dtype: np.dtype[Any]) -> None:
    """Integer dtypes hold a number exactly or not at all; float dtypes may round it but not to infinity."""
    if isinstance(values, tuple):
        for place, entry in enumerate(values):
            check_holds(f"{key}[{place}]", entry, dtype)
    elif dtype.kind == "f":
        within(key, values, dtype)
    elif isinstance(values, int):
        fits(key, values, dtype)
    else:
        role, _, _ = key.partition(".")
        hint = f"{role}.dtype=float64 takes it" if role in ARRAYS else ""
        raise ConfigError(key, values, f"a whole number, as the dtype is {dtype}", hint)


VALUES = (
    "The numbers as nested lists: [N, C, H, W] of an input, [F, C, kh, kw] of filters, one list of others; "
    "a matrix is one image, or one filter, of one channel."
)


class Written(judged):
    """Nested lists of numbers."""

    def canonical(self, value: Any) -> Any:
        """Whole numbers without a point, as the dtype says what they are; but -0.0 is another number than 0."""
        if isinstance(value, tuple | list):
            return tuple(map(self.canonical, value))
        is_whole = abs(value) < FLOAT64_EXACT and value == int(value)
        return int(value) if is_whole and (value or math.copysign(1, value) > 0) else value


values_written = Written(nested, "a list of numbers, or of lists", {"type": "array", "minItems": 1})


class Lecture(Kernels):
    """Numbers as nested lists; every list of one depth is equally long."""

    roles = (*ARRAYS, "labels")

    values: tuple[Any, ...] = field(values_written, says=VALUES)
    dtype: str = field(dtype_name, "int16", "Any integer or float dtype that holds the values.")

    def __post_init__(self) -> None:
        check_holds(self.key("values"), self.values, np.dtype(self.dtype))

    def one_more_axis(self) -> str:
        """One more list."""
        return f"{self.key('values')} in one more pair of brackets"

    def signature(self, request: Request = ANY) -> Signature:
        """The shape of the lists."""
        shape = shape_of(self.values)
        if self.channels is not None:
            return self.bank(shape, self.dtype, request, "values")
        return self.stated(shape, self.dtype, request, "values")

    def make(self, signature: Signature, bits: np.random.PCG64, entry: str = "") -> Array:
        """The array of the numbers."""
        found = np.array(self.values, signature.dtype)
        return found if self.channels is None else self.banked(found, signature, "values")
