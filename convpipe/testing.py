"""Conformance checks: what every operation and every source keeps to, ours and those of installed packages.

check_operation(Cube, {}, np.arange(-8, 8).reshape(2, 2, 2, 2), oracle=lambda x: x**3)
"""

import dataclasses
import itertools
import shutil
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from convpipe.fields import read
from convpipe.geometry.axes import AXES
from convpipe.ops import Form, Made, Operation
from convpipe.ops.kinds.formulas import as_float, short
from convpipe.ops.kinds.operation import workspace_of
from convpipe.sources import Request, Source, stream
from convpipe.sources.kinds.source import Stored
from convpipe.tensors import Array, Tensor

ALLOWANCE = 1 << 18  # bytes of Python's own objects
MOST_CELLS = 64  # whose forms are worked out
NO_SETTINGS = ("role", "elsewhere")  # fields of every source that no user sets


def check_operation(
    kind: type[Operation],
    settings: Mapping[str, Any],
    *mains: Array,
    oracle: Callable[..., Any] | None = None,
    **sides: Array,
) -> Array:
    """Hold an operation to what the planner and the archive rely on; gives its result.

    Args:
        kind: its class.
        settings: as YAML would have them.
        mains: its main tensors, the first axis N; `sides`: those by role.
        oracle: a slow and plain way to the result, called with the same arrays and with the settings given. Whole
            numbers have to agree exactly; other floats to 8 roundings of the result's dtype, relative to the largest.

    Raises:
        AssertionError: what does not hold, in words.
        ConfigError: settings or arrays that the operation refuses.

    >>> from convpipe.ops.relu import Relu
    >>> check_operation(Relu, {}, np.array([[-1, 2]]), oracle=lambda x: x * (x > 0))
    array([[0, 2]])
    """
    operation = read(kind, kind.__name__, settings)
    check_settings(operation)
    tensors = [Tensor(f"x{at}", x.shape, x.dtype, letters(x)) for at, x in enumerate(mains)]
    by_role = {role: Tensor(role, side.shape, side.dtype, letters(side)) for role, side in sides.items()}
    made = operation.plan(*tensors, **by_role)
    before = [array.copy() for array in (*mains, *sides.values())]
    result = operation.run(*mains, **sides)
    check_made(made, result)
    for array, copy in zip((*mains, *sides.values()), before, strict=True):
        assert np.array_equal(array, copy, equal_nan=array.dtype.kind == "f"), "it changed an array that it read"
    for order, turned in orders(mains):
        check_same(operation.run(*turned, **sides), result, f"of arrays that lie in {order} order")
    if made.axes[:1] == ("N",):
        alone = [operation.run(*(x[at : at + 1] for x in mains), **sides) for at in range(len(mains[0]))]
        check_same(np.concatenate(alone) if alone else result, result, "of each image alone")
    check_memory(operation, made, mains, sides, workspace_of(made, (*tensors, *by_role.values())))
    check_form(operation.form(*tensors, **by_role), result, mains, sides)
    if oracle is not None:
        check_oracle(result, np.asarray(oracle(*mains, **sides, **settings)))
    return result


def check_source(kind: type[Source], role: str, settings: Mapping[str, Any], request: Request | None = None) -> Array:
    """Hold a source to what the planner and the archive rely on; gives its array.

    Args:
        kind: its class.
        role: the group of the config that it stands in.
        settings: as YAML would have them, `source` among them.
        request: what its place asks for, by default an input of any shape.

    Raises:
        AssertionError: what does not hold, in words.
        ConfigError: settings or a request that the source refuses.

    >>> from convpipe.sources.integers import Integers
    >>> check_source(Integers, "bias", {"source": "integers"}, Request((3,))).shape
    (3,)
    """
    assert role in kind.roles, f"it is for {', '.join(kind.roles)}"
    source, asked = read(kind, role, settings, role=role), request or Request()
    check_settings(source)
    signature = source.signature(asked)
    array, again = (source.make(signature, stream(0, "test"), asked.entry) for _ in range(2))
    assert array.shape == signature.shape, f"it made the shape {array.shape}, promised was {signature.shape}"
    assert array.dtype == signature.dtype, f"it made {array.dtype}, promised was {signature.dtype}"
    assert type(array) is np.ndarray, f"it made a {type(array).__name__}"
    assert array.flags.c_contiguous, "its array is not C-ordered"
    assert array.flags.writeable, "its array cannot be written"
    assert array.dtype.isnative, f"its array has the byte order {array.dtype.byteorder}"
    check_same(again, array, "a second time")
    if role == "filters":
        labels = source.labels(signature, [f"c{channel}" for channel in range(array.shape[1] * asked.groups)])
        assert len(labels) in (0, len(array)), f"it has {len(labels)} labels for {len(array)} filters"
    assert not np.shares_memory(array, again), "two of its arrays share memory"
    if isinstance(source, Stored):
        check_elsewhere(source, asked, array)
    return array


def check_elsewhere(source: Stored, request: Request, array: Array) -> None:
    """A source that reads a file reads it anywhere and by any name, as archives store what was read."""
    with TemporaryDirectory() as folder:
        found = source.at(shutil.copy(source.file, f"{folder}/{'0123456789abcdef' * 4}"))
        assert found.file.startswith(folder), f"its file is {found.file}, where it is no more"
        made = found.make(found.signature(request), stream(0, "test"), request.entry)
    check_same(made, array, "from another place")


def letters(x: Array) -> tuple[str, ...]:
    """What the axes of a test's array are called: N, C and as many spatial ones as there are."""
    return ("N", "C", *AXES.get(x.ndim - 2, ()))[: x.ndim]


def check_settings(operation: Operation | Source) -> None:
    """Settings are checked, frozen, and equal ones make equal objects; the class says what it does."""
    kind = type(operation)
    assert (kind.__doc__ or "").strip(), f"{kind.__name__} has no docstring"
    assert dataclasses.replace(operation) == operation, "equal settings make objects that differ"
    assert hash(dataclasses.replace(operation)) == hash(operation), "equal settings make objects that differ"
    for entry in dataclasses.fields(operation):
        checked = "check" in entry.metadata or entry.name in NO_SETTINGS
        assert checked, f"the field {entry.name} has no check: use convpipe.fields.field"


def check_made(made: Made, result: Array) -> None:
    """What was planned was made."""
    assert result.shape == made.shape, f"it made the shape {result.shape}, planned was {made.shape}"
    assert result.dtype == made.dtype, f"it made {result.dtype}, planned was {made.dtype}"
    assert len(made.axes) == result.ndim, f"it planned the axes {made.axes} for the shape {result.shape}"


def orders(mains: tuple[Array, ...]) -> Iterator[tuple[str, list[Array]]]:
    """The same arrays lying in memory in other ways."""
    yield "Fortran's", [np.asfortranarray(x) for x in mains]
    yield "backward", [np.flip(np.flip(x).copy()) for x in mains]
    unwritable = [x.copy() for x in mains]
    for x in unwritable:
        x.flags.writeable = False
    yield "read-only", unwritable


def check_same(found: Array, result: Array, of: str) -> None:
    """Another way to the same bits."""
    assert found.shape == result.shape, f"{of} it makes the shape {found.shape}, else {result.shape}"
    assert found.tobytes() == result.tobytes(), f"{of} it makes other values"


def check_form(form: Form | None, result: Array, mains: tuple[Array, ...], sides: Mapping[str, Array]) -> None:
    """What an operation says of its cells comes to those, if it says anything: to some of them, evenly spread."""
    if form is None:
        return
    sizes = np.abs(result[np.isfinite(result)].astype(np.float64))
    unit = float(np.finfo(result.dtype).eps) if result.dtype.kind == "f" else 0.0
    bound = 8 * max(1.0, float(sizes.max(initial=0))) * unit

    def value_at(source: int | str, cell: tuple[int, ...]) -> Any:
        return (mains[source] if isinstance(source, int) else sides[source])[cell].item()

    for at in itertools.islice(np.ndindex(result.shape), 0, None, max(1, result.size // MOST_CELLS)):
        told, made = form.value(at, value_at), result[at].item()
        same = told == made if not bound else np.isclose(as_float(told), made, rtol=0, atol=bound, equal_nan=True)
        assert same, f"its form comes to {short(told)} at {at}, it made {short(made)}"


def check_memory(
    operation: Operation, made: Made, mains: tuple[Array, ...], sides: Mapping[str, Array], promise: int
) -> None:
    """It allocates no more than its result and what it promised beside that."""
    tracemalloc.start()
    try:
        operation.run(*mains, **sides)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    size = Tensor("", made.shape, made.dtype).bytes
    assert peak <= size + promise + ALLOWANCE, f"it took {peak} bytes; result and promise are {size + promise}"


def check_oracle(result: Array, expected: Array) -> None:
    """The oracle's values: exactly for whole numbers, within a few roundings for floats."""
    assert result.shape == expected.shape, f"it made the shape {result.shape}, the oracle {expected.shape}"
    if result.dtype.kind in "iu":
        assert result.tolist() == expected.tolist(), f"it made {result.tolist()}, the oracle {expected.tolist()}"
        return
    wide = expected.astype(np.float64)
    scale = max(1.0, float(np.max(np.abs(wide), initial=0, where=np.isfinite(wide))))
    bound = 8 * scale * float(np.finfo(result.dtype).eps)
    assert np.allclose(result.astype(np.float64), wide, rtol=0, atol=bound, equal_nan=True), "not the oracle's values"
