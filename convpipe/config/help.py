"""What `convpipe help` tells: a page of the manual, a key of the config, a group's choices, an operation, a source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING
from functools import cache
from importlib import import_module
from inspect import Parameter, Signature, signature
from itertools import groupby
from pathlib import Path
from textwrap import wrap
from typing import Any

from convpipe.config.keys import (
    Key,
    as_listed,
    is_group,
    keys,
    keys_with_value,
    kinds_text,
    named_choices,
    place_of,
    values_of_check,
)
from convpipe.config.tree import GROUPS, choices_of
from convpipe.errors import UsageError, nearest, shown
from convpipe.fields import Setting, settings_of
from convpipe.files.yaml import yaml_value
from convpipe.ops import OPERATIONS
from convpipe.ops.kinds.registry import origins
from convpipe.sources import SOURCES

WIDTH = 100
CLOSE = 0.75  # how near a word has to be for a hint: strid is, to stride
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
    ways = (of_key(as_listed(word)), of_operation(word), of_source(word), of_choice(word), of_value(word))
    found = ["\n".join(part) for part in map(list, ways) if part]
    if not found:
        raise unknown(word)
    return Page("\n\n".join(found))


def unknown(word: str) -> UsageError:
    """Nothing is known of a word, but perhaps of one like it."""
    known = {*topics(), *operations_and_sources(), *(name for group in GROUPS for name in choices_of(group))}
    for key in keys():
        known |= {key.name, *values_of_check(key.setting.check)}
    near = nearest(word, known, CLOSE)
    hint = place_of(word) or (f"did you mean {near}?" if near else "")
    expected = "a page, a command, a key such as conv.pad, a choice, a value, an operation or a source"
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
        "help NAME": "which groups have a choice, or which keys a value, such as lecture_4d or saturate",
        "help OPERATION": "the settings of a stage or layer, such as max_pool",
        "help SOURCE": "where arrays come from, such as random",
    }
    lines = ["convpipe help TOPIC", *listing(titles), "", "Or ask for", *listing(more)]
    return "\n".join(lines)


# Keys


def of_key(name: str) -> Iterator[str]:
    """A key: its sentence, what it takes and its default; of a group also what is in it."""
    found = [key for key in keys() if key.name == name]
    if found and all(key.names_its_kind for key in found):
        yield from of_naming_key(found)
        return
    for (says, takes, default), same in groupby(sorted(found, key=facts), key=facts):
        of = [key.kind for key in same if key.kind]
        yield from wrap(f"{name}{f' ({kinds_text(name, of)})' if of else ''}: {says}", WIDTH, subsequent_indent="  ")
        if not is_group(name):
            yield from wrap(f"  takes {takes}; {default}", WIDTH, subsequent_indent="    ")
    if found and is_group(name):
        yield from of_group(name)


def of_naming_key(found: Sequence[Key]) -> Iterator[str]:
    """The key that says which source or operation it is: one for all of them."""
    name, group = found[0].name, found[0].name.partition(".")[0]
    given = "has to be given" if group == "network" else f"each choice, as by {group}=NAME, sets it"
    yield from wrap(f"{name}: {found[0].setting.says}", WIDTH, subsequent_indent="  ")
    yield from wrap(f"  takes one of {', '.join(key.kind for key in found)}; {given}", WIDTH, subsequent_indent="    ")


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
    yield from ("", f"Choices: {name}=NAME", *listing({**choices_of(name), **sources_of_packages(name)}))
    below = {key.name: key.setting.says for key in keys() if key.name.startswith(f"{name}.")}
    if name == "network":
        yield from ("", "A layer's keys are op, inputs, and the settings of its operation: convpipe help max_pool")
    elif below:
        yield from ("", "Keys", *listing(below))


def sources_of_packages(role: str) -> dict[str, str]:
    """The sources for a group that installed packages bring; of a package that is broken nothing."""
    names = [name for name in SOURCES.names() if name not in SOURCES.ours()]
    found = {name: kind for name in names if (kind := SOURCES.find(name)) and role in kind.roles}
    of = origins(SOURCES, tuple(found))
    return {name: f"{sentence(kind)} ({of[name]})" for name, kind in found.items()}


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
    if name in OPERATIONS.ours() and (call := python_call(name)):
        yield from wrap(call, WIDTH, initial_indent="  In Python: ", subsequent_indent="    ")


def python_call(name: str) -> str:
    """How the array function of an operation of ours is called; nothing where it has none.

    >>> python_call("leaky_relu"), python_call("grad_bias")
    ("cp.leaky_relu(x, slope=0.01, overflow='error')", '')
    """
    function = getattr(import_module("convpipe"), name, None)
    if function is None:
        return ""
    given = signature(function).parameters.values()
    plain = [each.replace(annotation=Parameter.empty) for each in given]
    return f"cp.{name}{Signature(plain)}"


def of_source(name: str) -> Iterator[str]:
    """A source: what it gives, where, and its settings."""
    if name not in SOURCES.names():
        return
    kind = SOURCES.get("help", name)
    yield from wrap(f"{name}, a source of {', '.join(kind.roles)}: {sentence(kind)}", WIDTH, subsequent_indent="  ")
    settings = {each: setting for role in kind.roles for each, setting in settings_of(kind, role).items()}
    yield from settings_lines({each: setting for each, setting in settings.items() if each != "source"})


def of_choice(name: str) -> Iterator[str]:
    """A choice: in which groups, and what each says of it."""
    found = {f"{group}={name}": choices_of(group)[name] for group in named_choices(name)}
    if found:
        yield from (f"{name}, a choice", *listing(found))


def of_value(word: str) -> Iterator[str]:
    """A value: of which keys."""
    if found := keys_with_value(word):
        yield from wrap(f"{word}, a value of {', '.join(found)}", WIDTH, subsequent_indent="  ")


def sentence(kind: type[Any]) -> str:
    """The first sentence about a class."""
    return " ".join((kind.__doc__ or "").split("\n\n")[0].split())


def settings_lines(settings: Mapping[str, Setting]) -> Iterator[str]:
    """Settings, each with its sentence and its default."""
    return listing({name: f"{each.says} ({default_text(each.default)})" for name, each in settings.items()})
