"""The arguments of array functions, checked alike: whatever makes an array, and settings by their fields' checks.

A public function says in its first lines what it takes:

    x = numeric("x", x)
    [slope] = checked(LeakyRelu, slope=slope)

What only the sizes can judge, such as a stride per axis, is judged by `geometry`.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from convpipe.errors import ConfigError, GeometryError, shown
from convpipe.fields import LARGEST, is_whole, settings_of
from convpipe.geometry.axes import RANKS, listed
from convpipe.geometry.layouts import image_shape, turn_hint
from convpipe.tensors import DTYPES, MOST_AXES, Array, Sizes, scalar_of

NUMERIC = frozenset(map(np.dtype, DTYPES))  # in this machine's byte order
ANY_AXES, FROM_TWO_AXES = range(1, MOST_AXES + 1), range(2, MOST_AXES + 1)
MATRIX = (2,)
IMAGES = (*MATRIX, *(2 + rank for rank in RANKS))  # (N, C, H, W) and the like, and filters; a matrix is one of them


def numeric(name: str, values: ArrayLike, axes: Collection[int] = ANY_AXES) -> Array:
    """An argument as an array of a dtype this package computes in and of this machine's byte order.

    Args:
        name: the argument's.
        values: an array, lists, or anything with an `__array__`, such as a tensor of PyTorch.
        axes: how many it may have.

    Returns:
        The array itself where it is one; a copy only where its bytes have another order.

    Raises:
        ConfigError: bool, complex, text and other dtypes, lists that make no array, a mask, which would be lost,
            a number without axes, or another number of axes.

    >>> numeric("x", [[1, 2]]).shape
    (1, 2)
    """
    array = values if type(values) is np.ndarray and values.dtype in NUMERIC else as_numeric(name, values)
    if array.ndim not in axes:  # with all this 0.4 us for an array that is fine
        raise GeometryError(name, array.shape if array.ndim else values, f"an array of {axes_text(axes)}")
    return array


def images(name: str, values: ArrayLike, axes: Collection[int] = ANY_AXES) -> Array:
    """An argument as a batch of images, or as filters: `numeric`, a matrix as one of one channel.

    >>> images("x", [[1, 2]]).shape, images("x", [[[1, 2]]]).shape
    ((1, 1, 1, 2), (1, 1, 2))
    """
    array = numeric(name, values, axes)
    return array.reshape(image_shape(array.shape)) if array.ndim == 2 else array


def as_numeric(name: str, values: Any) -> Array:
    """Whatever an array can be made of, as one of numbers.

    Raises:
        ConfigError: as `numeric`.
    """
    try:
        array = whole_array(name, values)
    except ConfigError:
        raise
    except Exception as error:  # lists of different lengths, or anything that an object's own __array__ raises
        raise ConfigError(name, values, "an array, or lists of equal lengths", shown(error, 200)) from error
    if array.dtype.name not in DTYPES:
        raise ConfigError(name, array.dtype, f"one of {', '.join(DTYPES)}")
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def whole_array(name: str, values: Any) -> Array:
    """Whatever an array can be made of as one, of any dtype, nothing of it lost on the way.

    Raises:
        ConfigError: a mask, or lists that NumPy would take for other numbers than they are.
    """
    if isinstance(values, list | tuple):
        entries = [entry_of(name, entry) for entry in values]
        array = np.asarray(entries)
        lost = array.dtype.kind in "fO" and array.size and all(map(is_integer, leaves(values)))
        return integers(name, entries) if lost else array
    if hasattr(values, "__dlpack__") and not hasattr(values, "__array__"):
        return np.from_dlpack(values)
    array = np.asanyarray(values)  # with its mask, which asarray drops
    if isinstance(array, np.ma.MaskedArray):
        raise ConfigError(name, "an array with a mask", "one without, such as its filled(0), as masks are not kept")
    return np.asarray(array)


def entry_of(name: str, entry: Any) -> Any:
    """What a list holds: a number as it is, anything else as an array, so that neither mask nor truth is lost."""
    if type(entry) is int or type(entry) is float:
        return entry
    array = whole_array(name, entry)
    if array.dtype.kind == "b":
        raise ConfigError(name, array.dtype, f"one of {', '.join(DTYPES)}")
    return entry if array.ndim == 0 and isinstance(entry, np.generic) else array


def leaves(values: Any) -> Iterator[Any]:
    """What lists hold that is no list."""
    for entry in values:
        if isinstance(entry, list | tuple):
            yield from leaves(entry)
        else:
            yield entry


def is_integer(entry: Any) -> bool:
    """Whether a number, or an array, is one of integers."""
    return isinstance(entry, int) or np.asarray(entry).dtype.kind in "iu"


def integers(name: str, entries: list[Any]) -> Array:
    """Integers that NumPy would take for floats, as one of them needs uint64: as int64 or uint64.

    Raises:
        ConfigError: neither holds them.
    """
    found = np.asarray(entries, object)
    low, high = int(found.min()), int(found.max())
    for dtype in (np.int64, np.uint64):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return found.astype(dtype)
    raise ConfigError(name, f"whole numbers from {low} to {high}", "some that int64 or uint64 holds")


def axes_text(axes: Collection[int]) -> str:
    """The words for numbers of axes.

    >>> axes_text(ANY_AXES), axes_text(MATRIX), axes_text(IMAGES)
    ('at least 1 axis', '2 axes', '2, 3, 4 or 5 axes')
    """
    if isinstance(axes, range):
        return f"at least {axes.start} {'axis' if axes.start == 1 else 'axes'}"
    *some, last = map(str, axes)
    return f"{', '.join(some)} or {last} axes" if some else f"{last} {'axis' if last == '1' else 'axes'}"


def tensors_of(values: Iterable[ArrayLike]) -> list[Array]:
    """Any number of arrays, each of them `numeric`."""
    return [numeric(f"tensors[{position}]", each) for position, each in enumerate(values)]


def check_shape(name: str, array: Array, shape: Sizes, why: str) -> None:
    """The shape that an argument has beside the others.

    Raises:
        GeometryError: it has another.
    """
    if array.shape != shape:
        raise GeometryError(name, array.shape, f"the shape {shape}, {why}", turn_hint(array.shape, shape))


def checked(kind: type[object], **given: Any) -> list[Any]:
    """Settings of a function, each after the check of the field of that name: in Python as in YAML.

    Args:
        kind: what has the fields, as a rule the function's operation.
        given: some of them, by name.

    Returns:
        Their values in that order, normalised.

    Raises:
        ConfigError: an illegal one.
    """
    known = settings_of(kind, "")
    return [known[name].check(name, value) for name, value in given.items()]


def real(name: str, value: Any) -> int | float:
    """A number for cells: unlike one in YAML also infinity and NaN, which floats hold.

    Raises:
        ConfigError: no number.
    """
    if is_whole(value) and abs(int(value)) <= LARGEST:
        return int(value)
    found = scalar_of(value)
    if not isinstance(found, float | np.floating):
        raise ConfigError(name, value, "a number")
    return float(found)


def dtype_of(name: str, dtype: DTypeLike | None, names: Collection[str] = DTYPES) -> np.dtype[Any]:
    """A dtype in whatever way NumPy lets one write it, in this machine's byte order.

    Raises:
        ConfigError: NumPy knows none such, or this package does not compute in it.

    >>> dtype_of("dtype", np.int8), dtype_of("dtype", ">f4")
    (dtype('int8'), dtype('float32'))
    """
    try:
        found = np.dtype(dtype)
    except (TypeError, ValueError, SyntaxError, Warning) as error:  # a letter that NumPy gives up on
        raise ConfigError(name, dtype, f"one of {', '.join(names)}") from error
    if dtype is None or found.name not in names:
        raise ConfigError(name, None if dtype is None else found, f"one of {', '.join(names)}")
    return found.newbyteorder("=")


def sizes_of(name: str, shape: Any) -> Sizes:
    """A shape that was asked for.

    Raises:
        ConfigError: no list of whole numbers from 0.
    """
    found = listed(shape)
    if not isinstance(found, list) or not all(is_whole(size, 0) for size in found):
        raise ConfigError(name, shape, "a list of whole numbers from 0")
    return tuple(map(int, found))
