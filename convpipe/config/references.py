"""What a config may refer to: its other settings, by their keys, and nothing else of the process or the machine.

OmegaConf would work out `${oc.env:SECRET}`, `${now:}` and whatever somebody in the process has registered: a value of
the environment would end up in a folder's name, in an archive and in messages. A config that only chooses needs none of
them, so what a text may have is a list of one entry: `${key}`. All else is refused as it is written, before Hydra
composes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from convpipe.errors import ConfigError
from convpipe.fields import join
from convpipe.files.limits import MOST_FOLLOWED, MOST_GROWN, MOST_REFERENCE

OPENED = re.compile(r"(?<!\\)(\\*)\$\{")  # of a row of backslashes from the first one on, lest it be tried from each
PLAIN = re.compile(r"\$\{\s*(\.*[\w.\[\]/-]+)\s*\}")
PARTS = re.compile(r"[.\[\]]+")
ENVIRONMENT = re.compile(r"env\s*:\s*['\"]?(\w+)", re.IGNORECASE)
HYDRAS = "hydra"  # its own node says where and when a process runs
EXPECTED = "references to other settings alone, such as ${seed}"


def check_references(key: str, value: Any) -> None:
    """Every reference in a value, the names of its groups included, is a key of the config.

    Raises:
        ConfigError: one is something else, by the key that it stands under, as it is written.

    >>> check_references("seed", "${input.seed} and \\\\${no reference}")
    """
    for name, text in texts_of(key, value):
        if not all(is_setting(text, place) for place in references(text)):
            raise ConfigError(name, text, EXPECTED, way_out(name, text))


def references(text: str) -> Iterator[int]:
    """Where references begin in a text; one behind an odd number of backslashes is letters."""
    for found in OPENED.finditer(text):
        if len(found[1]) % 2 == 0:
            yield found.end() - 2


def is_setting(text: str, place: int) -> bool:
    """Whether a reference leads to a setting, by a name that nobody made to be long."""
    found = PLAIN.match(text, place)
    return found is not None and len(found[1]) <= MOST_REFERENCE and not is_hydras(text, place)


def is_hydras(text: str, place: int) -> bool:
    """Whether a reference leads into Hydra's own node, which a relative one may, too."""
    found = PLAIN.match(text, place)
    return found is not None and HYDRAS in PARTS.split(found[1])


def way_out(key: str, text: str) -> str:
    """How a value of the environment comes into a setting: by the shell, where its user sees it."""
    found = ENVIRONMENT.search(text)
    name = found[1] if found else "NAME"
    setting = key.removeprefix("hydra.sweeper.params.")
    where = f'{setting}="${name}"' if re.fullmatch(r"[\w.]+", setting) and setting != "defaults" else f'"${name}"'
    return f"nothing else is worked out; the shell can put a value in: {where}"


def texts_of(key: str, value: Any) -> Iterator[tuple[str, str]]:
    """Every text in a plain value with its key; a group's names are texts, too."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, entry in value.items():
            yield from texts_of(join(key, str(name)), str(name))
            yield from texts_of(join(key, str(name)), entry)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from texts_of(key, entry)


class Growth:
    """How long the texts and lists of a config become once their references are followed.

    Ten texts that each refer to the next one twice, and so on, are the alias bomb without an alias.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config
        self.known: dict[tuple[str, ...], tuple[int, int]] = {}
        self.under_way: set[tuple[str, ...]] = set()

    def check(self, key: str) -> None:
        """A key of the config stays within what a config may be.

        Raises:
            ConfigError: it does not.
        """
        try:
            size, followed = self.of((key,), self.config[key])
        except RecursionError as error:
            raise ConfigError(key, self.config[key], "fewer references that each lead to the next") from error
        if size > MOST_GROWN or followed > MOST_FOLLOWED:
            what = f"at most {MOST_GROWN} characters and values, and {MOST_FOLLOWED} references followed"
            raise ConfigError(key, self.config[key], what, "each reference brings all that it leads to")

    def of(self, place: tuple[str, ...], value: Any) -> tuple[int, int]:
        """The size of what is at a place, and the references that were followed for it."""
        if place in self.known:
            return self.known[place]
        if place in self.under_way:
            return 0, 0  # it leads to itself, which OmegaConf says in its own words
        self.under_way.add(place)
        entries = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
        found = [self.of((*place, str(name)), entry) for name, entry in entries]
        if isinstance(value, str):
            found = [self.target(place, value, at) for at in references(value)]
        self.under_way.discard(place)
        own = len(value) if isinstance(value, str) else 1
        self.known[place] = own + sum(size for size, _ in found), sum(followed for _, followed in found)
        return self.known[place]

    def target(self, place: tuple[str, ...], text: str, at: int) -> tuple[int, int]:
        """The same of what a reference in the text at a place leads to."""
        found = PLAIN.match(text, at)
        name = found[1] if found else ""
        above = len(name) - len(name.lstrip("."))
        names = (*(place[: max(0, len(place) - above)] if above else ()), *filter(None, PARTS.split(name)))
        value: Any = self.config
        for each in names:
            value = entry_of(value, each)
        size, followed = self.of(names, value)
        return size, followed + 1


def entry_of(value: Any, name: str) -> Any:
    """What a group has under a name, or a list at a place; None where there is nothing."""
    if isinstance(value, Mapping):
        return value.get(name)
    in_list = isinstance(value, list) and name.isdecimal() and int(name) < len(value)
    return value[int(name)] if in_list else None
