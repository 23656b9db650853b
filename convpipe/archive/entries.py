"""What each entry of a manifest may be, declared once for all who read one: whole, or a single line of it.

A manifest may come from a stranger. What is read of it is of the type that is declared here, however deep it stands;
what is not declared is never read.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from convpipe.archive.format import COUNTED, FILE_NAME, MAP_NAME, MOST_THREADS, PICTURE
from convpipe.archive.identity import RUN_ID
from convpipe.archive.keep import Keep
from convpipe.errors import ArchiveError, shown

DEEPEST = 8  # levels of a manifest: ours have three
HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
DATE = re.compile(r"[0-9T:.+Z-]{1,40}", re.ASCII)


class Wrong(NamedTuple):
    """What is wrong with a value: the key below which it stands, the value, and what was expected."""

    key: str
    got: object
    expected: str


class Kind(Protocol):
    """What a value may be."""

    def wrong(self, key: str, value: Any) -> Wrong | None:
        """What is wrong with a value, if anything is."""


@dataclass(frozen=True)
class Plain:
    """A value of one piece."""

    words: str
    legal: Callable[[Any], object]

    def wrong(self, key: str, value: Any) -> Wrong | None:
        """Said of the value itself."""
        return None if self.legal(value) else Wrong(key, value, self.words)


@dataclass(frozen=True)
class ListOf:
    """A list of such; its words are said of the whole list."""

    words: str
    legal: Callable[[Any], object]
    least: int = 0

    def wrong(self, key: str, value: Any) -> Wrong | None:
        """Said of the whole list."""
        good = isinstance(value, list) and len(value) >= self.least and all(map(self.legal, value))
        return None if good else Wrong(key, value, f"a list of {self.words}")


@dataclass(frozen=True)
class Named:
    """Values of one kind by names, which may have a form of their own."""

    each: Kind
    name: re.Pattern[str] | None = None

    def wrong(self, key: str, value: Any) -> Wrong | None:
        """Said of the first entry that is wrong."""
        if not isinstance(value, dict):
            return Wrong(key, value, "a dict")
        for name, entry in value.items():
            if self.name and not self.name.fullmatch(name):
                return Wrong(f"{key} of", name, "a name of a file such as runs have")
            if found := self.each.wrong(f"{key}.{shown(name)}", entry):
                return found
        return None


@dataclass(frozen=True)
class Entries:
    """Values by declared names, each of a kind of its own; other names are nobody's, or of one kind, too."""

    needed: Mapping[str, Kind] = field(default_factory=dict)
    others: Mapping[str, Kind] = field(default_factory=dict)
    rest: Kind | None = None

    def wrong(self, key: str, value: Any) -> Wrong | None:
        """Said of the first entry that is wrong; of a needed one that is missing, that it is nothing."""
        if not isinstance(value, dict):
            return Wrong(key, value, "a dict")
        prefix = f"{key}." if key else ""
        kinds = {**self.needed, **{name: self.others.get(name, self.rest) for name in value if name not in self.needed}}
        found = (kind.wrong(f"{prefix}{shown(name)}", value.get(name)) for name, kind in kinds.items() if kind)
        return next(filter(None, found), None)


def is_text(value: Any) -> bool:
    """Whether a value is a text."""
    return isinstance(value, str)


def like(form: re.Pattern[str]) -> Callable[[Any], object]:
    """What tells whether a value is a text of a form."""
    return lambda value: isinstance(value, str) and form.fullmatch(value)


def is_seconds(value: Any) -> bool:
    """Whether a value is a number that a clock can have measured; 1e999 of a file is infinite."""
    return isinstance(value, int | float) and -sys.float_info.max <= value <= sys.float_info.max


def is_fact(value: Any) -> bool:
    """Whether a value is a text, a number or a truth."""
    return isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value))


def whole(low: int, high: int = sys.maxsize) -> Plain:
    """A whole number in a range."""
    return Plain(f"a whole number from {low} to {high}", lambda value: type(value) is int and low <= value <= high)


TEXT = Plain("a text", is_text)
DICT = Plain("a dict", lambda value: isinstance(value, dict))
SHA256 = Plain("a SHA-256, 64 hex digits", like(HASH))
CODE = Plain(f"{SHA256.words}, or nothing where it is unknown", lambda value: value == "" or SHA256.legal(value))
BYTES = Plain("a number of bytes", lambda value: type(value) is int and 0 <= value <= sys.maxsize)
TEXTS_BY_NAME = Named(ListOf("texts", is_text))
NEEDED: Mapping[str, Kind] = {
    "archive_id": SHA256,
    "run_id": Plain("12 hex digits", like(RUN_ID)),
    "status": Plain("done", lambda value: value == "done"),
    "seconds": Named(ListOf("finite numbers", is_seconds, least=1)),
    "axes": Named(ListOf("texts", is_text, least=1)),
    "provenance": Entries(others={"threads": whole(1, MOST_THREADS)}, rest=Plain("a text or a number", is_fact)),
}
SOMETIMES: Mapping[str, Kind] = {
    "evaluation": Entries({"images": whole(0), "correct": whole(0)}),
    "nonfinite": whole(0),
    "counts": Named(Entries({name: whole(0) for name in COUNTED})),
    "note": TEXT,
    "folder": TEXT,
    "given": Named(TEXT),
    "pictures": Named(SHA256, PICTURE),
    "input_bytes": Named(BYTES),
    "names": Named(ListOf("names", like(MAP_NAME))),
    "agrees": ListOf("texts", is_text),
    "drawn": ListOf("texts", is_text),
    "slice": whole(0),
    "operations": Named(TEXT),
    "sources": Named(TEXT),
}
FORMATS: Mapping[int, Entries] = {
    1: Entries(NEEDED, {key: SOMETIMES[key] for key in ("evaluation", "nonfinite")}),
    2: Entries(
        {
            **NEEDED,
            "code": CODE,
            "started": Plain("a date and time", like(DATE)),
            "keep": Plain(f"one of {', '.join(Keep)}", lambda value: is_text(value) and value in set(Keep)),
            "lowering": TEXT,
            "paths": Named(TEXT),
            "sizes": Named(BYTES, FILE_NAME),
            "wiring": TEXTS_BY_NAME,
            "sha256": SHA256,
        },
        SOMETIMES,
    ),
}


def check_manifest(where: object, manifest: Any) -> None:
    """A manifest says what one of its format does.

    Raises:
        ArchiveError: it does not; it names the first entry that is wrong.
    """
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if type(found) is not int or found not in FORMATS:
        raise ArchiveError(f"{where}: got format {shown(found)}, expected one of {', '.join(map(str, FORMATS))}")
    refuse(where, FORMATS[found].wrong("", manifest))
    check_depth(where, manifest)


def check_entry(where: object, form: int, key: str, value: Any) -> None:
    """One entry of a manifest is what one of that format is; the same of what is read alone.

    Raises:
        ArchiveError: it is not.
    """
    kind = FORMATS[form].needed.get(key) or FORMATS[form].others.get(key)
    if kind is not None:
        refuse(where, kind.wrong(key, value))


def refuse(where: object, wrong: Wrong | None) -> None:
    """Say what is wrong, if anything is."""
    if wrong is not None:
        raise ArchiveError(f"{where}: got {wrong.key} {shown(wrong.got)}, expected {wrong.expected}")


def check_depth(where: object, value: Any) -> None:
    """What is nested is so by a few levels, and its numbers are such as JSON has, what nobody reads included.

    So to hash or to write it again can neither run out of stack nor fail.
    """
    level, depth = [value], 0
    while level:
        if depth > DEEPEST:
            raise ArchiveError(f"{where}: got more than {DEEPEST} levels, expected a manifest")
        for entry in level:
            if isinstance(entry, float) and not math.isfinite(entry):
                raise ArchiveError(f"{where}: got the number {entry}, expected finite ones")
        level = [inner for outer in level for inner in within(outer)]
        depth += 1


def within(value: Any) -> Iterator[Any]:
    """What a value holds."""
    if isinstance(value, dict):
        return iter(value.values())
    return iter(value if isinstance(value, list) else ())
