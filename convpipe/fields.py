"""Settings as frozen dataclasses: each field carries the check that makes its value legal.

    @dataclass(frozen=True)
    class Integers:
        low: int = field(whole(), default=-8)

    read(Integers, "input", {"low": 3})     # -> Integers(low=3), or a ConfigError about input.low

A check takes the key and the value and returns the value, normalised, or raises ConfigError.
"""

import dataclasses
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from operator import index
from typing import Any, TypeVar

import numpy as np

from convpipe.errors import ConfigError, did_you_mean
from convpipe.tensors import DTYPES, exact_range, full_range

Check = Callable[[str, Any], Any]
T = TypeVar("T")
LARGEST = sys.float_info.max
SIZE = re.compile(r"(.*?)\s*(?:([kmgt])(ib|b)?|b)?\s*", re.IGNORECASE)


def field(check: Check, default: Any = dataclasses.MISSING, under: Mapping[str, Any] | None = None) -> Any:
    """A dataclass field with its check; without a default the key must be given.

    Args:
        under: other defaults, by the key that the settings stand under. Where there is no `default` beside them, it
            is a setting under these keys alone, and null under others.
    """
    everywhere = under is None or default is not dataclasses.MISSING
    metadata = {"check": check, "under": under or {}, "everywhere": everywhere}
    return dataclasses.field(default=default if everywhere else None, metadata=metadata)


def settings_of(kind: type[Any], key: str) -> dict[str, tuple[Check, Any]]:
    """The settings of a `kind` that stand under a key: each one's check and default."""
    found = {}
    for entry in dataclasses.fields(kind):
        data = entry.metadata
        if "check" in data and (data["everywhere"] or key in data["under"]):
            found[entry.name] = data["check"], data["under"].get(key, entry.default)
    return found


def read(kind: type[T], key: str, values: Mapping[str, Any], beside: Sequence[str] = (), **more: Any) -> T:
    """Make a `kind` of plain config values, every one checked.

    Args:
        beside: keys that are there, too, and read by somebody else.
        more: fields that no user sets.

    Raises:
        ConfigError: a key that `kind` does not have, one that is missing, or an illegal value.
    """
    defaults = {name: default for name, (_, default) in settings_of(kind, key).items()}
    given = {**defaults, **read_given(kind, key, values, beside)}
    for name, value in given.items():
        if value is dataclasses.MISSING:
            raise ConfigError(join(key, name), None, "a value for it")
    return kind(**given, **more)


def read_given(kind: type[Any], key: str, values: Mapping[str, Any], beside: Sequence[str] = ()) -> dict[str, Any]:
    """Some settings of a `kind`, every one checked; those that are not given are left out.

    Raises:
        ConfigError: a key that `kind` does not have, or an illegal value.
    """
    known = settings_of(kind, key)
    for name in values:
        if name not in known:
            there = (*beside, *known)
            expected = f"no such key here; there are {', '.join(there)}" if there else "no settings, as there are none"
            raise ConfigError(join(key, name), values[name], expected, did_you_mean(str(name), there))
    return {name: check(join(key, name), values[name]) for name, (check, _) in known.items() if name in values}


def join(key: str, name: object) -> str:
    """A dotted config key: ``join("input", "shape")`` is ``input.shape``."""
    return f"{key}.{name}" if key else str(name)


def optional(check: Check) -> Check:
    """Null, or what `check` takes."""
    return lambda key, value: None if value is None else check(key, value)


def whole(low: int | None = None, high: int | None = None) -> Check:
    """A whole number from `low` to `high`, both included."""

    def check(key: str, value: Any) -> int:
        if not is_whole(value, low, high):
            raise ConfigError(key, value, f"a whole number{span(low, high)}")
        return int(value)

    return check


def number(low: float | None = None, high: float | None = None) -> Check:
    """A finite number from `low` to `high`, both included; 2.0 gives 2, so that equal values look equal."""

    def check(key: str, value: Any) -> int | float:
        found = int(value) if is_whole(value) else float(value) if isinstance(value, float | np.floating) else math.nan
        finite = abs(found) <= LARGEST  # which NaN is not
        if not finite or (low is not None and found < low) or (high is not None and found > high):
            raise ConfigError(key, value, f"a number{span(low, high)}")
        return int(found) if found == int(found) else found

    return check


def is_whole(value: Any, low: int | None = None, high: int | None = None) -> bool:
    """Whether a value is a whole number of that range, Python's or NumPy's; a bool and an array are not."""
    scalar = hasattr(value, "__index__") and not getattr(value, "shape", ())  # an array has __index__, and raises
    if not scalar or isinstance(value, bool):
        return False
    found = index(value)
    return (low is None or found >= low) and (high is None or found <= high)


def span(low: float | None, high: float | None) -> str:
    """The words for a range: `` from 1``, `` from 0 to 9`` or nothing."""
    return "".join([f" from {low}" if low is not None else "", f" to {high}" if high is not None else ""])


def truth(key: str, value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ConfigError(key, value, "true or false")
    return value


def text(key: str, value: Any) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ConfigError(key, value, "a text")
    return value


def choice(options: Iterable[str]) -> Check:
    """One of a closed list of names."""
    names = tuple(options)

    def check(key: str, value: Any) -> str:
        if not isinstance(value, str) or value not in names:
            raise ConfigError(key, value, f"one of {', '.join(names)}", did_you_mean(str(value), names))
        return value

    return check


def several(check: Check) -> Check:
    """A list of at least one value, each passing `check`; gives a tuple."""

    def check_all(key: str, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple) or not value:
            raise ConfigError(key, value, "a list of at least one value")
        return tuple(check(f"{key}[{position}]", entry) for position, entry in enumerate(value))

    return check_all


def one_or_several(check: Check) -> Check:
    """One value or a list of them; a list gives a tuple."""
    many = several(check)
    return lambda key, value: many(key, value) if isinstance(value, list | tuple) else check(key, value)


def anything(key: str, value: Any) -> Any:
    """Any plain value; lists become tuples. For what only the geometry, knowing the rank, can judge."""
    if isinstance(value, list | tuple):
        return tuple(anything(key, entry) for entry in value)
    return value


def size_in_bytes(key: str, value: Any) -> int:
    """A number of bytes, bare or with a unit: ``500MB``, ``2GiB``.

    >>> size_in_bytes("limits.memory", "2GiB")
    2147483648
    """
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    amount, match = math.nan, SIZE.fullmatch(value) if isinstance(value, str) else None
    if match:
        base = 1024 if (match[3] or "").lower() == "ib" else 1000
        with suppress(ValueError):
            amount = float(match[1]) * base ** " kmgt".index((match[2] or " ").lower())
    if not 1 <= amount < math.inf:
        raise ConfigError(key, value, "a size such as 500MB, 2GiB or a whole number of bytes")
    return int(amount)


def dtype_name(names: Iterable[str] = DTYPES) -> Check:
    """The name of a dtype this package computes in."""
    return choice(names)


def fits(key: str, value: int, dtype: np.dtype[Any]) -> int:
    """A whole number that `dtype` holds exactly (floats: up to the width of their mantissa)."""
    low, high = exact_range(dtype)
    if not low <= value <= high:
        raise ConfigError(key, value, f"a whole number that {dtype} holds exactly, from {low} to {high}")
    return value


def within(key: str, value: float, dtype: np.dtype[Any]) -> float:
    """A number within the range of `dtype`."""
    low, high = full_range(dtype)
    if not low <= value <= high:  # Python compares int with float exactly, NumPy would round
        raise ConfigError(key, value, f"a number that {dtype} holds, from {low:g} to {high:g}")
    return value
