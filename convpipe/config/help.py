"""What `convpipe help` tells: a page of the manual, a key of the config, a group's choices, an operation, a source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING
from functools import cache
from itertools import groupby
from pathlib import Path
from textwrap import wrap
from typing import Any

from convpipe.config.keys import Key, as_listed, is_group, keys, kinds_text, place_of
from convpipe.config.tree import choices_of
from convpipe.errors import UsageError, did_you_mean, shown
from convpipe.fields import Setting, settings_of
from convpipe.files.yaml import yaml_value
from convpipe.ops import OPERATIONS
from convpipe.sources import SOURCES

WIDTH = 100
MANUAL = Path(__file__).resolve().parents[1] / "manual"


class Page(str):
    """A text that shows itself as it is, in an interactive session too."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def help_text(word: str | None = None) -> Page:
    """All that is known of a word; without one, what there is to ask for.

    Raises:
        UsageError: nothing is known of it.
    """
    if word is None:
        return Page(contents())
    if not isinstance(word, str):
        raise UsageError(f"help: got {shown(word)}, expected a word as a text, such as 'conv.pad'")
    if word in topics():
        return Page(page(word))
    parts = [list(part) for part in (of_key(as_listed(word)), of_operation(word), of_source(word))]
    found = ["\n".join(part) for part in parts if part]
    if not found:
        raise unknown(word)
    return Page("\n\n".join(found))


def unknown(word: str) -> UsageError:
    """Nothing is known of a word, but perhaps of one like it."""
    known = (*topics(), *operations_and_sources(), *dict.fromkeys(key.name for key in keys()))
    hint = place_of(word) or did_you_mean(word, known)
    expected = "a page, a command, a key such as conv.pad, an operation or a source"
    return UsageError(f"help: got {shown(word)}, expected {expected}{f' ({hint})' if hint else ''}")


def operations_and_sources() -> tuple[str, ...]:
    """The names of both."""
    return (*OPERATIONS.names(), *SOURCES.names())


# Pages


@cache
def topics() -> tuple[str, ...]:
    """The pages of the manual, in their order: a number stands before each name."""
    return tuple(path.stem.partition("_")[2] for path in pages())


def pages() -> list[Path]:
    """The files of the manual."""
    return sorted(MANUAL.glob("*.md"))


def page(topic: str) -> str:
    """A page of the manual, as it is."""
    return pages()[topics().index(topic)].read_text(encoding="utf-8").rstrip("\n")


def contents() -> str:
    """The pages that there are, and what else can be asked for."""
    titles = {topic: page(topic).partition("\n")[0].lstrip("# ") for topic in topics()}
    more = {
        "help COMMAND": "a command, such as verify",
        "help KEY": "a key of a config, such as conv.pad or network.LAYER.kernel",
        "help GROUP": "the choices and keys of a group, such as input",
        "help OPERATION": "the settings of a stage or layer, such as max_pool",
        "help SOURCE": "where arrays come from, such as random",
    }
    lines = ["convpipe help TOPIC", *listing(titles), "", "Or ask for", *listing(more)]
    return "\n".join(lines)


# Keys


def of_key(name: str) -> Iterator[str]:
    """A key: its sentence, what it takes and its default; of a group also what is in it."""
    found = [key for key in keys() if key.name == name]
    for (says, takes, default), same in groupby(sorted(found, key=facts), key=facts):
        of = [key.kind for key in same if key.kind]
        yield from wrap(f"{name}{f' ({kinds_text(name, of)})' if of else ''}: {says}", WIDTH, subsequent_indent="  ")
        if not is_group(name):
            yield from wrap(f"  takes {takes}; {default}", WIDTH, subsequent_indent="    ")
    if found and is_group(name):
        yield from of_group(name)


def facts(key: Key) -> tuple[str, str, str]:
    """What a key is, takes, and is by default, in words."""
    return key.setting.says, key.setting.check.words, default_text(key.default)


def default_text(default: Any) -> str:
    """A default in words."""
    if default is MISSING:
        return "has to be given"
    if isinstance(default, str):
        return f"default {default}"
    return f"default {yaml_value(default)}" if is_plain(default) else "has defaults of its own"


def is_plain(value: Any) -> bool:
    """Whether YAML has a form for a value."""
    return value is None or isinstance(value, int | float | list | tuple)


def of_group(name: str) -> Iterator[str]:
    """A group's choices and keys."""
    yield from ("", f"Choices: {name}=NAME", *listing(choices_of(name)))
    below = {key.name: key.setting.says for key in keys() if key.name.startswith(f"{name}.")}
    if name == "network":
        yield from ("", "A layer's keys are op, inputs, and the settings of its operation: convpipe help max_pool")
    elif below:
        yield from ("", "Keys", *listing(below))


def listing(entries: Mapping[str, str]) -> Iterator[str]:
    """Names and sentences, in two columns."""
    width = max(map(len, entries), default=0) + 2
    for name, sentence in entries.items():
        yield from wrap(sentence, WIDTH, initial_indent=f"  {name:<{width}}", subsequent_indent=" " * (width + 2)) or [
            f"  {name}"
        ]


# Operations and sources


def of_operation(name: str) -> Iterator[str]:
    """An operation: what it does, and its settings."""
    if name not in OPERATIONS.names():
        return
    kind = OPERATIONS.get("help", name)
    yield from wrap(f"{name}, an operation: {sentence(kind)}", WIDTH, subsequent_indent="  ")
    yield from settings_lines(settings_of(kind, ""))


def of_source(name: str) -> Iterator[str]:
    """A source: what it gives, where, and its settings."""
    if name not in SOURCES.names():
        return
    kind = SOURCES.get("help", name)
    yield from wrap(f"{name}, a source of {', '.join(kind.roles)}: {sentence(kind)}", WIDTH, subsequent_indent="  ")
    settings = {each: setting for role in kind.roles for each, setting in settings_of(kind, role).items()}
    yield from settings_lines({each: setting for each, setting in settings.items() if each != "source"})


def sentence(kind: type[Any]) -> str:
    """The first sentence about a class."""
    return " ".join((kind.__doc__ or "").split("\n\n")[0].split())


def settings_lines(settings: Mapping[str, Setting]) -> Iterator[str]:
    """Settings, each with its sentence and its default."""
    return listing({name: f"{each.says} ({default_text(each.default)})" for name, each in settings.items()})
