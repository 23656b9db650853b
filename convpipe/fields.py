"""Settings as frozen dataclasses: each field carries the check that makes its value legal, and a sentence about it.

    @dataclass(frozen=True)
    class Integers:
        low: int = field(whole(), -8, "The smallest value.")

    read(Integers, "input", {"low": 3})     # -> Integers(low=3), or a ConfigError about input.low

A check is a small object: called with the key and the value it returns the value, normalised, or raises ConfigError.
It can be asked what it takes, too: `words` tell people, `schema` tells editors (as JSON Schema).
"""

import dataclasses
import math
import os
import sys
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import cache
from operator import index
from typing import Any, NamedTuple, TypeVar

import numpy as np

from convpipe.errors import ConfigError, did_you_mean, told_apart
from convpipe.tensors import DTYPES, one_for_all, scalar_of

T = TypeVar("T")
Schema = dict[str, Any]
LARGEST = sys.float_info.max


class UnknownSettingError(ConfigError):
    """A setting that is none of its group's."""


# Checks. Plain classes and no dataclasses, as every start makes them, and a dataclass takes 0.4 ms to make.


class Check:
    """What a setting may be: any plain value here, whose lists become tuples; its children ask for more."""

    below = ""  # what stands for the names, as of layers, under which the settings below it are

    def __init__(self, words: str = "any value", schema: Schema | None = None) -> None:
        self.words, self._schema = words, schema or {}

    def __call__(self, key: str, value: Any) -> Any:
        """The value, normalised.

        Raises:
            ConfigError: it is not legal.
        """
        return tuple(self(key, entry) for entry in value) if isinstance(value, list | tuple) else value

    def canonical(self, value: Any) -> Any:
        """The shortest spelling of a value that it took: the one that a run's id has."""
        return value

    def schema(self) -> Schema:
        """The JSON Schema of what it takes, as far as that can say it; that of settings is made of its kinds."""
        return self._schema

    def kinds(self) -> "Kinds":
        """The settings below it: of a group by themselves, of one of several kinds by the names of those."""
        return {}

    def refused(self, key: str, value: Any, hint: str = "") -> ConfigError:
        """The error about a value that it does not take."""
        return ConfigError(key, told_apart(value), self.words, hint)


anything = Check()


class judged(Check):
    """What a function makes of a key and a value: `words` and `schema` say what that takes."""

    def __init__(self, function: Callable[[str, Any], Any], words: str, schema: Schema | None = None) -> None:
        super().__init__(words, schema)
        self.function = function

    def __call__(self, key: str, value: Any) -> Any:
        """What the function gives."""
        return self.function(key, value)


class optional(Check):
    """Null, or what another check takes."""

    def __init__(self, check: Check) -> None:
        super().__init__(f"null, or {check.words}")
        self.check, self.below = check, check.below

    def __call__(self, key: str, value: Any) -> Any:
        """None for null."""
        return None if value is None else self.check(key, value)

    def canonical(self, value: Any) -> Any:
        """The other's."""
        return None if value is None else self.check.canonical(value)

    def schema(self) -> Schema:
        """Null beside the other's."""
        return {"anyOf": [{"type": "null"}, self.check.schema()]}

    def kinds(self) -> "Kinds":
        """The other's."""
        return self.check.kinds()


class if_given(optional):
    """Null or no settings, which is none, or what another check takes."""

    def __call__(self, key: str, value: Any) -> Any:
        """None for none."""
        return None if value is None or value == {} else self.check(key, value)


class whole(Check):
    """A whole number from `low` to `high`, both included."""

    def __init__(self, low: int | None = None, high: int | None = None) -> None:
        super().__init__(f"a whole number{span(low, high)}", {"type": "integer", **limits(low, high)})
        self.low, self.high = low, high

    def __call__(self, key: str, value: Any) -> int:
        """The number, as Python's."""
        if not is_whole(value, self.low, self.high):
            raise self.refused(key, value)
        return int(value)


class number(Check):
    """A finite number from `low` to `high`, both included; 2.0 gives 2, so that equal values look equal."""

    def __init__(self, low: float | None = None, high: float | None = None) -> None:
        super().__init__(f"a number{span(low, high)}", {"type": "number", **limits(low, high)})
        self.low, self.high = low, high

    def __call__(self, key: str, value: Any) -> int | float:
        """The number, as Python's."""
        real = scalar_of(value)
        found = int(value) if is_whole(value) else float(real) if isinstance(real, float | np.floating) else math.nan
        finite = abs(found) <= LARGEST  # which NaN is not
        below = self.low is not None and found < self.low
        if not finite or below or (self.high is not None and found > self.high):
            raise self.refused(key, value)
        shortest: int | float = self.canonical(found)
        return shortest

    def canonical(self, value: Any) -> Any:
        """A whole one without a point."""
        return int(value) if isinstance(value, float) and value.is_integer() else value


class choice(Check):
    """One of a closed list of names; the name inf is also taken as the number that Hydra's grammar makes of it."""

    def __init__(self, options: Iterable[str]) -> None:
        self.names = tuple(options)
        words = (" or " if any("," in name for name in self.names) else ", ").join(self.names)
        super().__init__(f"one of {words}", {"enum": list(self.names)})

    def __call__(self, key: str, value: Any) -> str:
        """The name."""
        found = "inf" if isinstance(value, float) and value == math.inf else value
        if not isinstance(found, str) or found not in self.names:
            raise self.refused(key, value, did_you_mean(str(value), self.names))
        return str(found)


class several(Check):
    """A list of at least one value, each passing `check`; gives a tuple."""

    def __init__(self, check: Check) -> None:
        super().__init__(f"a list, in it {check.words}")
        self.check = check

    def __call__(self, key: str, value: Any) -> tuple[Any, ...]:
        """The values."""
        if not isinstance(value, list | tuple) or not value:
            raise ConfigError(key, told_apart(value), "a list of at least one value")
        return tuple(self.check(f"{key}[{position}]", entry) for position, entry in enumerate(value))

    def schema(self) -> Schema:
        """A list's."""
        return {"type": "array", "items": self.check.schema(), "minItems": 1}


class one_or_several(Check):
    """One value or a list of them; a list gives a tuple."""

    def __init__(self, check: Check) -> None:
        super().__init__(f"{check.words}, or a list of them")
        self.check, self.many = check, several(check)

    def __call__(self, key: str, value: Any) -> Any:
        """The value or the values."""
        return self.many(key, value) if isinstance(value, list | tuple) else self.check(key, value)

    def canonical(self, value: Any) -> Any:
        """One value for a list of equal ones; what it is for says how many there would be."""
        return one_for_all(value)

    def schema(self) -> Schema:
        """Either's."""
        return {"anyOf": [self.check.schema(), self.many.schema()]}


class group(Check):
    """A group of settings, of one kind."""

    def __init__(self, kind: type[Any]) -> None:
        super().__init__("a group of settings")
        self.kind = kind

    def __call__(self, key: str, value: Any) -> Any:
        """The settings, every one checked."""
        return read(self.kind, key, mapping(key, value))

    def kinds(self) -> "Kinds":
        """One kind, without a name."""
        return {"": settings_of(self.kind, "")}


class alternatives(judged):
    """Settings of one of several kinds, read by a function; a setting that all have names the kind."""

    def __init__(self, function: Callable[[str, Any], Any], words: str, kinds: Callable[[], "Kinds"]) -> None:
        super().__init__(function, words)
        self.found = kinds

    def kinds(self) -> "Kinds":
        """All of them."""
        return self.found()


def truth_of(key: str, value: Any) -> bool:
    """True or false, Python's or NumPy's, and nothing that counts as such."""
    if not isinstance(scalar_of(value), bool | np.bool_):
        raise truth.refused(key, value)
    return bool(value)


def text_of(key: str, value: Any) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value:
        raise text.refused(key, value)
    return value


def path_of(key: str, value: Any) -> str:
    """A text that a file system takes; `~` in front is the home folder, `~NAME` that of another, as in a shell."""
    found = os.path.expanduser(text_of(key, value))
    if "\0" in found:
        raise path.refused(key, value, "none has the character 0 in it")
    if found.startswith("~"):
        name = found.split("/")[0]
        raise path.refused(key, value, f"{name} is nobody's home; a file that is called so is ./{found}")
    return found


truth = judged(truth_of, "true or false", {"type": "boolean"})
text = judged(text_of, "a text", {"type": "string", "minLength": 1})
path = judged(path_of, "a path", {"type": "string", "minLength": 1})
dtype_name = choice(DTYPES)  # what this package computes in


def mapping(key: str, value: Any) -> Mapping[str, Any]:
    """A group of settings."""
    if not isinstance(value, Mapping):
        raise ConfigError(key, value, "a group of settings")
    return value


def is_whole(value: Any, low: int | None = None, high: int | None = None) -> bool:
    """Whether a value is a whole number of that range, Python's or NumPy's; a bool and an array are not.

    Without an end the range has the numbers that floats reach: one of thousands of digits is a size of nothing.
    """
    is_int = type(value) is int  # as most are
    if not is_int and (isinstance(value, bool) or not hasattr(value, "__index__") or getattr(value, "shape", False)):
        return False
    try:
        found = index(value)
    except TypeError:  # an array without axes, of what is no integer, has __index__, too
        return False
    return (low is None or found >= low) and (found <= high if high is not None else -LARGEST <= found <= LARGEST)


def span(low: float | None, high: float | None) -> str:
    """The words for a range: `` from 1``, `` from 0 to 9`` or nothing."""
    return "".join([f" from {low}" if low is not None else "", f" to {high}" if high is not None else ""])


def limits(low: float | None, high: float | None) -> Schema:
    """A range as JSON Schema has it."""
    return {name: value for name, value in (("minimum", low), ("maximum", high)) if value is not None}


# Fields


def field(
    check: Check,
    default: Any = dataclasses.MISSING,
    says: str = "",
    *,
    under: Mapping[str, Any] | None = None,
    later: bool = False,
    identity: bool = True,
) -> Any:
    """A dataclass field with its check; without a default the key must be given.

    Args:
        says: one sentence that tells a user what the setting is.
        under: other defaults, by the key that the settings stand under. Where there is no `default` beside them, it
            is a setting under these keys alone, and null under others.
        later: whether runs were archived before there was this setting: at its default it is no part of a run's id.
        identity: whether it says what is computed; where a file lies, say, is no part of a run's id.
    """
    everywhere = under is None or default is not dataclasses.MISSING
    facts = {"check": check, "says": says, "under": under or {}, "everywhere": everywhere}
    more = {"later": later, "identity": identity}
    return dataclasses.field(default=default if everywhere else None, metadata=facts | more)


class Setting(NamedTuple):
    """One setting of a kind: what it takes, its default (MISSING: it must be given), and a sentence about it."""

    check: Check
    default: Any
    says: str


Kinds = Mapping[str, Mapping[str, Setting]]  # settings by their names, of each kind by its name


def settings_of(kind: type[Any], key: str) -> Mapping[str, Setting]:
    """The settings of a `kind` that stand under a key."""
    return found_settings(kind, key)  # type: ignore[arg-type]  # a class is hashable


@cache
def found_settings(kind: Hashable, key: str) -> Mapping[str, Setting]:
    """The same, looked for once: each point of a sweep asks."""
    found = {}
    for entry, data in ((each, each.metadata) for each in dataclasses.fields(kind)):  # type: ignore[arg-type]
        if "check" in data and (data["everywhere"] or key in data["under"]):
            found[entry.name] = Setting(data["check"], data["under"].get(key, entry.default), data["says"])
    return found


def read(kind: type[T], key: str, values: Mapping[str, Any], beside: Sequence[str] = (), **more: Any) -> T:
    """Make a `kind` of plain config values, every one checked.

    Args:
        beside: keys that are there, too, and read by somebody else.
        more: fields that no user sets.

    Raises:
        ConfigError: a key that `kind` does not have, one that is missing, or an illegal value.
    """
    defaults = {name: each.default for name, each in settings_of(kind, key).items()}
    given = {**defaults, **read_given(kind, key, values, beside)}
    for name, value in given.items():
        if value is dataclasses.MISSING:
            raise ConfigError(join(key, name), None, "a value for it")
    return kind(**given, **more)


def read_given(kind: type[Any], key: str, values: Mapping[str, Any], beside: Sequence[str] = ()) -> dict[str, Any]:
    """Some settings of a `kind`, every one checked; those that are not given are left out.

    Raises:
        UnknownSettingError: a key that `kind` does not have.
        ConfigError: an illegal value.
    """
    known = settings_of(kind, key)
    check_names(kind, key, values, beside)
    return {name: each.check(join(key, name), values[name]) for name, each in known.items() if name in values}


def check_names(kind: type[Any], key: str, values: Mapping[str, Any], beside: Sequence[str] = ()) -> None:
    """The names are ones that a `kind` has under that key.

    Raises:
        ConfigError: one is not.
    """
    known = settings_of(kind, key)
    for name in values:
        if name not in known:
            there, of = (*beside, *known), f" of {key}" if key else ""
            expected = f"one of the keys{of}: {', '.join(there)}" if there else f"nothing below {key}"
            hint = did_you_mean(str(name), there, join(key, ""))
            raise UnknownSettingError(join(key, name), values[name], expected, hint)


def join(key: str, name: object) -> str:
    """A dotted config key: ``join("input", "shape")`` is ``input.shape``."""
    return f"{key}.{name}" if key else str(name)
