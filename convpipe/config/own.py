"""An experiment file of the user's own, in any folder: plain keys, as `convpipe --cfg job` shows them.

It becomes an experiment of Hydra's: a group that names its source (or operation, or kind) is that choice of the
config tree with the file's settings on top, so that whatever the file leaves out has its usual default and can be
set on the command line. Hydra's defaults list and package line are accepted, and not needed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from convpipe.config.hydra_safety import HYDRAS, REASON
from convpipe.config.own_text import contents
from convpipe.config.parts import SETTINGS
from convpipe.config.places import at_their_places
from convpipe.config.read import unknown_key
from convpipe.config.settings import MOST_NAME_BYTES, composed, without_marks
from convpipe.config.tree import (
    CHOICE,
    GROUPS,
    NAMING,
    SOURCE,
    WRITTEN,
    WRITTEN_OUT,
    choice,
    config_folder,
    values_of,
    written_dtype,
)
from convpipe.errors import ConfigError, shown
from convpipe.fields import check_names, choice as choice_check, group as settings_group, join, mapping
from convpipe.files.yaml import DEEPEST
from convpipe.sources.kinds.source import ROLES, SOURCES

CHOOSING = GROUPS - {"experiment"}
# Groups without choices: what they are is settings.
GROUPED = {"hydra", *(name for name, each in SETTINGS.items() if isinstance(each.check, settings_group))} - CHOOSING
PLUGINS = ("launcher", "sweeper")  # of Hydra's, which a file may choose
NAMED = re.compile(r"a[\w.-]?\Z")


def experiment(path: Path, elsewhere: Collection[str] = (), folder: Path | None = None) -> dict[str, Any]:
    """A file as Hydra has an experiment.

    Args:
        elsewhere: groups whose choice is made beside the file: that takes the place of the file's own, and of all
            that belongs to it.
        folder: choices of the user's own, before ours: the experiment that a file starts from may be there.

    Raises:
        UsageError: it is not there, not YAML, or no config.
        ConfigError: one of its values cannot be.
    """
    found = grouped(at_their_places(checked(with_plugins(nested(contents(path)))), path.parent))
    chosen = dict(choices(found))
    check_known(found, chosen)
    found = {key: value for key, value in found.items() if key not in elsewhere or key not in chosen}
    base = base_of(found.pop("experiment", None), {*chosen, *elsewhere}, folder)
    defaults = [*base.pop("defaults", []), *listed_defaults(found)]
    defaults += [{f"override /{group}": name} for group, name in chosen.items() if group not in elsewhere]
    own = {key: settings(key, value, chosen) for key, value in found.items() if key != "defaults"}
    own = {key: value for key, value in own.items() if key not in CHOOSING or value}
    own.setdefault("name", name_of(path.stem))
    return {"defaults": [*defaults, "_self_"], **merged(base, own)}


def name_of(stem: str) -> str:
    """A file's name as that of its collection: what such a name cannot have, as blanks, is an underscore.

    >>> name_of("my file (1)"), name_of("수업"), name_of(".a=b"), name_of("k" * 300) == "k" * MOST_NAME_BYTES
    ('my_file__1_', '수업', '_a_b', True)
    """
    kept = [mark if NAMED.match(without_marks(f"a{mark}")) else "_" for mark in composed(stem)]
    first = kept[0] if kept[0].isalnum() else "_"
    return "".join([first, *kept[1:]]).encode()[:MOST_NAME_BYTES].decode(errors="ignore")


def check_known(found: Mapping[str, Any], chosen: Mapping[str, str | None]) -> None:
    """The file's keys are ones that there are, those of a source it chooses among them.

    Said before a value that is missing, which a key that was meant to give it may be the cause of.

    Raises:
        ConfigError: one is none.
    """
    known = [*SETTINGS, "experiment"]
    for key, value in found.items():
        if key not in (*known, "defaults", "hydra"):
            raise unknown_key(key, value, known)
    for role in ROLES:
        settings, path = found.get(role), config_folder() / role / f"{chosen.get(role)}.yaml"
        source = values_of(path).get(SOURCE) if chosen.get(role) and path.is_file() else None
        if source and isinstance(settings, Mapping):
            given = {name: entry for name, entry in settings.items() if name not in (CHOICE, SOURCE)}
            check_names(SOURCES.get(role, source), role, given)


def settings(key: str, value: Any, chosen: Mapping[str, str | None]) -> Any:
    """What a file sets in a group beside its choice, or a value of another key."""
    if key not in CHOOSING:
        return value
    said = {CHOICE} if chosen.get(key) is None else {CHOICE, NAMING.get(key, SOURCE)}  # the choice itself says so
    return {name: entry for name, entry in (value or {}).items() if name not in said}


def base_of(name: Any, chosen: Collection[str], folder: Path | None = None) -> dict[str, Any]:
    """The experiment that a file starts from, without what it says of groups that the file chooses itself.

    Raises:
        ConfigError: there is none of that name.
    """
    if name is None:
        return {}
    places = [place / "experiment" for place in (config_folder(), folder) if place]
    there = {each.stem: each for place in places for each in sorted(place.glob("*.yaml"))}
    found: dict[str, Any] = dict(contents(there[choice_check(there)("experiment", name)]))
    overrides = {f"override /{group}" for group in chosen}
    kept = [entry for entry in listed_defaults(found) if overrides.isdisjoint(names(entry))]
    return {**{key: value for key, value in found.items() if key not in chosen}, "defaults": kept}


def merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of two groups, those of the second counting more.

    >>> merged({"conv": {"pad": 1}, "seed": 1}, {"conv": {"stride": 2}, "seed": 0})
    {'conv': {'pad': 1, 'stride': 2}, 'seed': 0}
    """
    found = dict(base)
    for key, value in own.items():
        below = found.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            value = merged(below, value)
        found[key] = value
    return found


def checked(found: dict[str, Any]) -> dict[str, Any]:
    """The file's keys and values, if Hydra can take them; what their values may be is checked with all others.

    Raises:
        ConfigError: it cannot, or would be told what nobody may tell it.
    """
    for key, value in found.items():
        check_plain(key, value, 1)
        if key in GROUPED:
            mapping(key, value)
    for key, value in found.get("hydra", {}).items():
        if key not in HYDRAS:
            raise ConfigError(f"hydra.{key}", value, f"of Hydra's own settings only {', '.join(HYDRAS)}", REASON)
        if key != "verbose":
            mapping(f"hydra.{key}", value)
    return found


def check_plain(key: str, value: Any, depth: int) -> None:
    """A value is one that a config may have: texts, numbers, truths, nulls, and lists and groups of such.

    Raises:
        ConfigError: it is none, or is nested too deeply, or a key in it is no text.
    """
    if depth > DEEPEST:
        raise ConfigError(shown(key), value, f"at most {DEEPEST} levels")
    if isinstance(value, Mapping):
        for name, entry in value.items():
            if not isinstance(name, str):
                raise ConfigError(key, f"{name} for a key", "names for keys", "YAML needs quotes around some, as 'on'")
            check_plain(join(key, name), entry, depth + 1)
    elif isinstance(value, list):
        for position, entry in enumerate(value):
            check_plain(f"{key}[{position}]", entry, depth + 1)
    elif not (value is None or isinstance(value, str | int | float)):
        raise ConfigError(key, f"a {type(value).__name__}", "a text, a number, a list or a group of settings")


def nested(found: Mapping[str, Any]) -> dict[str, Any]:
    """Keys with points in them as groups.

    Raises:
        ConfigError: a key is there twice.

    >>> nested({"conv.stride": 2, "conv": {"pad": 1}, "seed": 3})
    {'conv': {'stride': 2, 'pad': 1}, 'seed': 3}
    """
    tree: dict[str, Any] = {}
    for key, value in found.items():
        *groups, last = key.split(".")
        if not all([*groups, last]):
            raise ConfigError(key or "''", value, "names for keys, such as conv.stride")
        if len(groups) > DEEPEST:
            raise ConfigError(shown(key), value, f"at most {DEEPEST} levels")
        if not groups and last in CHOOSING and isinstance(value, str):
            value = {CHOICE: value}
        place = tree
        for group in groups:
            place = place.setdefault(group, {})
            if not isinstance(place, dict):
                raise ConfigError(key, value, f"{group} once, as settings")
        if isinstance(value, Mapping) and isinstance(place.get(last), dict):
            twice = next((name for name in value if name in place[last]), None)
            if twice is not None:
                raise ConfigError(f"{key}.{twice}", value[twice], "a key once")
            value = {**place.pop(last), **value}
        elif last in place:
            raise ConfigError(key, value, "a key once")
        place[last] = dict(value) if isinstance(value, Mapping) else value
    return tree


def grouped(found: dict[str, Any]) -> dict[str, Any]:
    """Lists that stand for arrays as numbers written out, in floats where one of them has a point."""
    for role in WRITTEN_OUT:
        if isinstance(found.get(role), list):
            found[role] = {CHOICE: WRITTEN, WRITTEN: found[role]}
        value = found.get(role)
        if isinstance(value, int | float):
            raise ConfigError(role, value, "a list of numbers, the name of a choice, or settings", f"[{value}]")
        if isinstance(value, dict) and (dtype := written_dtype(value.get(WRITTEN))):
            value.setdefault("dtype", dtype)
    return found


# Choices


def with_plugins(found: dict[str, Any]) -> dict[str, Any]:
    """A launcher that is named as on the command line, or as a group's choice is, in the defaults list of Hydra's.

    >>> with_plugins({"hydra/launcher": "joblib"}), with_plugins({"hydra": {"launcher": "joblib"}, "seed": 1})
    ({'defaults': [{'override /hydra/launcher': 'joblib'}]}, \
{'seed': 1, 'defaults': [{'override /hydra/launcher': 'joblib'}]})
    """
    hydra, chosen = found.get("hydra"), dict[str, Any]()
    for name in PLUGINS:
        if f"hydra/{name}" in found:
            chosen[name] = found.pop(f"hydra/{name}")
        if isinstance(hydra, dict) and isinstance(hydra.get(name), str):
            chosen[name] = hydra.pop(name)
    if not chosen:
        return found
    rest = {key: value for key, value in found.items() if key not in ("defaults", "hydra") or value}
    entries = [{f"override /hydra/{name}": value} for name, value in chosen.items()]
    return {**rest, "defaults": [*listed_defaults(found), *entries]}


def choices(found: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    """The groups for which the file chooses, each with the name of its choice."""
    listed = {str(key).removeprefix("override").strip(" /") for entry in listed_defaults(found) for key in names(entry)}
    network = isinstance(found.get("network"), Mapping) and choice("network", found["network"])
    given = {**(dict.fromkeys(("filters", "conv")) if network else {}), **found}
    for group in sorted(CHOOSING):
        if group in given and group not in listed:
            yield from ((group, name) for name in choice(group, given[group]))


def names(entry: Any) -> tuple[Any, ...]:
    """The names in an entry of a defaults list."""
    return tuple(entry) if isinstance(entry, Mapping) else (entry,)


def listed_defaults(found: Mapping[str, Any]) -> list[Any]:
    """The file's own defaults list, `_self_` left out, as its values count in any case.

    Raises:
        ConfigError: it is no list, or an entry is none of Hydra's.
    """
    defaults = found.get("defaults") or []
    if not isinstance(defaults, list):
        raise ConfigError("defaults", defaults, "a list, as Hydra has it, or no such key")
    return [from_the_top(entry) for entry in defaults if entry != "_self_"]


def from_the_top(entry: Any) -> Any:
    """An entry whose group is found from the top, and the choice of which counts instead of the one there is.

    Raises:
        ConfigError: it is no entry, or an experiment.

    >>> from_the_top({"override hydra/launcher": "basic"}), from_the_top({"input": "random"})
    ({'override /hydra/launcher': 'basic'}, {'override /input': 'random'})
    """
    name, value = named(entry)
    *words, group = name.split()
    group = group.removeprefix("/")
    if group.split("@")[0].split("/")[0] == "experiment":
        raise ConfigError("defaults", entry, "no experiment here", "a line of its own says it, as experiment: tiny")
    if not isinstance(entry, Mapping):
        return entry
    if group in CHOOSING and "override" not in words:
        words.append("override")
    return {" ".join([*words, f"/{group}"]): value}


def named(entry: Any) -> tuple[str, Any]:
    """The name in an entry of a defaults list, and what it chooses.

    Raises:
        ConfigError: it is no entry of Hydra's.
    """
    pairs = list(entry.items()) if isinstance(entry, Mapping) else [(entry, None)]
    texts = [each for name, value in pairs for each in (name, *(value if isinstance(value, list) else [value or ""]))]
    if len(pairs) != 1 or not all(isinstance(each, str) for each in texts) or not pairs[0][0].split():
        raise ConfigError("defaults", entry, "entries such as override /input: random")
    return pairs[0]
