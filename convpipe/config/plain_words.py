"""Words that are a key and plain numbers or a name, read without Hydra's grammar, and what that grammar may be given.

Its parser takes 0.2 ms for the shortest word, and the square of its length for a list: a list of 100,000 points would
take a minute, and 30,000 numbers two. What is read here is what the grammar would give, which a test holds it against.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from convpipe.errors import ConfigError
from convpipe.files.limits import MOST_BRACKETS, MOST_CHARACTERS, MOST_INNER_MARKS, MOST_MARKS, MOST_POINTS, MOST_VALUES

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

NAME = r"[A-Za-z_][A-Za-z0-9_]*"
KEY = re.compile(rf"{NAME}(?:\.{NAME})*", re.ASCII)
ONE = re.compile(rf"{NAME}|-?(?:0|[1-9][0-9]{{0,17}})", re.ASCII)
QUOTED = re.compile(r"'[A-Za-z0-9_ .,:/()-]*'")
NUMBERS = re.compile(r"[0-9-][0-9eE.,+\[\] -]*|\[[0-9eE.,+\[\] -]*\]")
# Numbers as JSON has them and the grammar has, too: not 1.0e5.0, 01 or 1_000, and none of so many digits that Python
# stops.
LONG_NUMBER = re.compile(r"[0-9.eE+-]{40}")
WORDS = ("null", "true", "false", "nan", "inf")
MARKS = re.compile(r"[\[\]{}(),:'\"\\$]")
SHORT = 200  # characters of which the grammar takes no more than a few milliseconds
TO_A_FILE = "numbers go into a .npy file, and points into a file for sweep.points"


def plain_override(key: str, value: str) -> Override | None:
    """What a word says, if it is plain: one number, name or quoted text, a list of numbers, or several of a sweep.

    Raises:
        ConfigError: they are more numbers than a word may have.
    """
    if not KEY.fullmatch(key) or any(part.lower() in WORDS for part in key.split(".")):
        return None
    from hydra.core.override_parser.types import ChoiceSweep, Override, OverrideType, Quote, QuotedString, ValueType

    kind: ValueType = ValueType.ELEMENT
    found: Any = QuotedString(value[1:-1], Quote.single) if QUOTED.fullmatch(value) else one_value(value)
    if found is None and len(value) > SHORT and NUMBERS.fullmatch(value) and not LONG_NUMBER.search(value):
        is_list = value[0] == "["
        most = MOST_VALUES if is_list else MOST_POINTS
        if value.count(",") >= most:
            raise ConfigError(key, value, f"at most {most} numbers in a word", TO_A_FILE)
        found = numbers_of(value)
        if found is not None and not is_list:
            kind, found = ValueType.SIMPLE_CHOICE_SWEEP, ChoiceSweep(list=found, simple_form=True)
    return None if found is None else Override(OverrideType.CHANGE, key, kind, found, None, f"{key}={value}")


def one_value(value: str) -> str | int | None:
    """A name or a whole number; None for anything else."""
    if not ONE.fullmatch(value) or value.lower() in WORDS:
        return None
    return int(value) if value[0] in "-0123456789" else value


def numbers_of(value: str) -> list[Any] | None:
    """The numbers of a list, or of several values of a sweep; None where JSON reads none."""
    try:
        found = json.loads(f"[{value}]")
    except (ValueError, RecursionError):
        return None
    if value[0] == "[":
        return list(found[0]) if len(found) == 1 else None
    return list(found)


def check_length(key: str, value: str) -> None:
    """A value is no more than the grammar reads in good time.

    Raises:
        ConfigError: it is.
    """
    if len(value) <= SHORT:
        return
    if len(value) > MOST_CHARACTERS:
        raise ConfigError(key, value, f"at most {MOST_CHARACTERS} characters in a word", TO_A_FILE)
    marks = depth = deepest = inner = 0
    for found in MARKS.finditer(value):
        depth += (found[0] in "[{(") - (found[0] in "]})")
        deepest, marks, inner = max(deepest, depth), marks + 1, inner + (depth > 0)
    if deepest > MOST_BRACKETS:
        raise ConfigError(key, value, f"at most {MOST_BRACKETS} brackets within each other")
    if marks > MOST_MARKS or inner > MOST_INNER_MARKS:
        most = f"{MOST_MARKS} commas, brackets and quotes in a word, {MOST_INNER_MARKS} of them within brackets"
        raise ConfigError(key, value, f"at most {most}", TO_A_FILE)
