"""Python's values as words of the command line, in Hydra's grammar: what is read back is the value itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np

from convpipe.config.tree import GROUPS, NAMING, SOURCE, WRITTEN, WRITTEN_OUT, choice, written_dtype
from convpipe.errors import ConfigError

BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")  # what needs no quotes, but for these:
WORDS = ("null", "true", "false", "nan", "inf")
PER_AXIS = ("stride", "pad", "dilation", "kernel", "output_padding")
SIZE = r"(?:0|[1-9]\d{0,17})"
PAIR = rf"\[{SIZE}, {SIZE}\]"
NUMBERS = re.compile(rf"{SIZE}|\[{SIZE}(?:, {SIZE})*\]|\[{PAIR}(?:, {PAIR})*\]", re.ASCII)
KEY = re.compile(r"[A-Za-z_]\w*", re.ASCII)  # of a dict, where the grammar has no quotes
MOST_NUMBERS = 10_000  # of an array that is written out, which takes the grammar 0.06 ms for each
EXPECTED = "None, a truth, a number, a text, or lists and dicts of such"


def words_of(overrides: Sequence[Any], settings: Mapping[str, Any], *, several: bool = False) -> list[str]:
    """Overrides and then settings, as the words that the command line would be given; the later count.

    Args:
        several: a list, or a range, is several values to sweep over, and one value with several entries is a tuple.

    Raises:
        ConfigError: a value that no config can hold.

    >>> words_of(["experiment=lecture_4d"], {"conv.stride": (2, 1)})
    ['experiment=lecture_4d', 'conv.stride=[2,1]']
    >>> words_of([], {"conv.stride": [1, (2, 1)], "seed": range(3)}, several=True)
    ['conv.stride=1,[2,1]', 'seed=0,1,2']
    """
    overrides = [str(each) if isinstance(each, PurePath) else each for each in overrides]  # a file of one's own
    for override in overrides:
        if not isinstance(override, str):
            raise ConfigError("overrides", override, "texts such as 'conv.stride=2'; keywords take Python's values")
    spelled = {name: entry for key, value in settings.items() for name, entry in spelled_out(key, value, several)}
    write = choices_text if several else value_text
    return [*overrides, *(f"{key}={write(key, value)}" for key, value in {**spelled, **dotted_of(settings)}.items())]


def dotted_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that have a point in their key: they count more than what groups are spelled out to."""
    return {key: value for key, value in settings.items() if "." in key}


def spelled_out(key: str, value: Any, several: bool) -> Iterator[tuple[str, Any]]:
    """A setting, or what it comes to: an array is numbers written out, and a group's dict a choice and settings.

    >>> dict(spelled_out("input", np.array([[[[0.5]]]]), False))
    {'input': 'values', 'input.values': array([[[[0.5]]]]), 'input.dtype': 'float64'}
    >>> dict(spelled_out("filters", {"source": "random", "count": 2}, False))
    {'filters': 'random', 'filters.count': 2}
    """
    role, _, below = key.partition(".")
    if role in WRITTEN_OUT and below in ("", WRITTEN) and are_numbers(value, several):
        yield from spelled_numbers(role, value, several and isinstance(value, list))
    elif isinstance(value, Mapping) and key == "network":
        raise ConfigError(key, "a dict", "the name of a network", "layers stand in a file: cp.run('my.yaml')")
    elif isinstance(value, Mapping) and key in GROUPS - {"experiment"}:
        yield from spelled_group(key, value)
    else:
        yield key, value


def are_numbers(value: Any, several: bool) -> bool:
    """Whether a value is an array, written out or not; of a sweep, or a list of arrays."""
    listed = isinstance(value, list | tuple) and (not several or all(isinstance(each, np.ndarray) for each in value))
    return listed or isinstance(value, np.ndarray)


def spelled_numbers(role: str, value: Any, several: bool) -> Iterator[tuple[str, Any]]:
    """Numbers as their choice, and their dtype where they have one; several arrays have one for all."""
    yield role, WRITTEN
    yield f"{role}.{WRITTEN}", value
    dtype = np.result_type(*value).name if several else written_dtype(value)
    if dtype is not None:
        yield f"{role}.dtype", dtype


def spelled_group(group: str, value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """A group's choice, where its settings name one, and its settings."""
    chosen = next(iter(choice(group, value)), None)
    if chosen is not None:
        yield group, chosen
    said = NAMING.get(group, SOURCE) if chosen is not None else None
    yield from ((f"{group}.{name}", entry) for name, entry in value.items() if name != said)


def choices_text(key: str, value: Any) -> str:
    """The values that a list has for a sweep, or one value."""
    if isinstance(value, np.ndarray) and value.ndim == 1 and key.partition(".")[2] != WRITTEN:
        value = plain(key, value)  # several values, as a list of them
    if not isinstance(value, list | range):
        return value_text(key, value)
    if not value:
        raise ConfigError(key, value, "at least one value to sweep over")
    if isinstance(value, range) and value[MOST_NUMBERS:]:
        return f"range({value.start},{value.stop},{value.step})"
    return ",".join(value_text(key, entry) for entry in value)


def value_text(key: str, value: Any) -> str:
    """One value.

    Raises:
        ConfigError: no config can hold it.

    >>> [value_text("x", value) for value in (None, True, -0.5, "same", "it's", {"low": [0]})]
    ['null', 'true', '-0.5', 'same', "'it\\\\'s'", '{low:[0]}']
    """
    try:
        return "".join(tokens(key, plain(key, value)))
    except RecursionError as error:
        raise ConfigError(key, f"a {type(value).__name__}", "fewer lists or dicts within each other") from error


def of_a_frame(value: Any) -> Any:
    """A number, or one per axis, as columns of data frames have it: in a tuple of one, or, beside texts, in a text.

    >>> [of_a_frame(value) for value in ((2,), "3", "[1, 0]", "same", (2, 1), [2])]
    [2, 3, [1, 0], 'same', (2, 1), [2]]
    """
    if isinstance(value, tuple) and len(value) == 1 and isinstance(value[0], int):
        return value[0]
    return json.loads(value) if isinstance(value, str) and NUMBERS.fullmatch(value) else value


def plain(key: str, value: Any) -> Any:
    """NumPy's values, and paths, as Python's own."""
    if key.rpartition(".")[2] in PER_AXIS:
        value = of_a_frame(value)
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, range):
        if value[MOST_NUMBERS:]:  # len() is not for those of more than 2**63
            raise ConfigError(key, value, f"at most {MOST_NUMBERS} written out")
        return list(value)
    if not isinstance(value, np.ndarray | np.generic):
        return value
    if value.size > MOST_NUMBERS:
        expected = f"at most {MOST_NUMBERS} written out"
        raise ConfigError(key, f"an array of {value.size} numbers", expected, "save it and take the source npy")
    return value.tolist()


def tokens(key: str, value: Any) -> Iterator[str]:
    """The pieces of a value's text."""
    if value is None or isinstance(value, bool):
        yield {None: "null", True: "true", False: "false"}[value]
    elif isinstance(value, int | float):
        yield number_text(key, value)
    elif isinstance(value, str):
        yield value if BARE.fullmatch(value) and value.lower() not in WORDS else quoted(value)
    elif isinstance(value, Mapping):
        entries = [f"{dict_key(key, name)}:{value_text(f'{key}.{name}', entry)}" for name, entry in value.items()]
        yield f"{{{','.join(entries)}}}"
    elif isinstance(value, list | tuple):
        yield f"[{','.join(value_text(key, entry) for entry in value)}]"
    else:
        raise ConfigError(key, f"a {type(value).__name__}", EXPECTED)


def number_text(key: str, value: int | float) -> str:
    """A number as Python writes it, an IntEnum's too."""
    try:
        return int.__repr__(value) if isinstance(value, int) else float.__repr__(value)
    except ValueError as error:
        raise ConfigError(key, "a number of thousands of digits", EXPECTED) from error


def dict_key(key: str, name: Any) -> str:
    """The key of a dict's entry."""
    if not isinstance(name, str) or not KEY.fullmatch(name) or name.lower() in WORDS:
        raise ConfigError(key, name, "a dict whose keys are names")
    return name


def quoted(text: str) -> str:
    r"""A text in quotes, in which a backslash is only one more character but before a quote or an interpolation.

    >>> print(quoted("a b"), quoted("C:\\x"), quoted("it's"), quoted("a\\"), quoted("${x}"))
    'a b' 'C:\x' 'it\'s' 'a\\' '\${x}'
    """
    return quoted_text(re.sub(r"(?<!\\)(\\*)\$\{", r"\1\1\\${", text))  # OmegaConf would look it up


def quoted_text(text: str) -> str:
    """A text in quotes, whose references to other keys stay such."""
    return "'" + re.sub(r"(?<!\\)(\\*)('|\Z)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), text) + "'"
