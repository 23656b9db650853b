"""What the words of a command, or of a call, come to before Hydra sees them: its overrides, and choices it can find."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import MISSING
from itertools import takewhile
from pathlib import Path
from typing import Any

from convpipe.config.grammar import quoted
from convpipe.config.hydra_errors import explained
from convpipe.config.parts import SETTINGS
from convpipe.config.pieces import at_commas
from convpipe.config.tree import GLOBAL, GROUPS, YAML, config_folder
from convpipe.config.typed import file_at, is_text, one_word, typed, without_pair
from convpipe.errors import ConfigError, ConvpipeError, UsageError
from convpipe.fields import settings_of
from convpipe.files.yaml import dotted
from convpipe.sources.kinds.source import ROLES, SOURCES

KNOWN = {*SETTINGS, *GROUPS, "experiment", "hydra"}  # what a key begins with
OWN = "_own_"  # what experiment files of the user's are called among the experiments, as no file there is


def is_own_file(word: str) -> bool:
    """Whether a word is an experiment file of the user's own.

    >>> is_own_file("my.yaml"), is_own_file("input.path=my.yaml")
    (True, False)
    """
    if not word.lower().endswith(YAML):
        return False
    key, equals, _ = word.partition("=")
    return not equals or (key.lstrip("+~").partition(".")[0] not in KNOWN and os.path.isfile(word))


def words_for_hydra(words: Sequence[str], several: bool = False, config_dir: str | None = None) -> list[str]:
    """Words as Hydra takes them: in its grammar, and experiment files as experiments of Hydra's.

    Args:
        several: whether they are a sweep's.
        config_dir: a folder of choices of the user's own.

    Raises:
        ConvpipeError: a file cannot be read, or is no such file.
    """
    from hydra.core.config_store import ConfigStore

    for name in own_nodes():  # of an earlier call in this process
        ConfigStore.instance().repo["experiment"].pop(name)
    files, others = own_files(words)
    check_settings(others)
    given = [text for word in others for text in typed(word, several)]
    store_installed(given)
    if not files:
        return given
    stored = [stored_own(number, file, given, config_dir) for number, file in enumerate(files)]
    return [f"experiment={','.join(stored)}", *given]


def own_files(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The experiments that words name where one of them is a file, and the other words.

    Raises:
        ConvpipeError: there are several such words.
    """
    files: list[str] = []
    others: list[str] = []
    for word in map(without_pair, words):
        key, _, value = word.partition("=")
        is_experiment = key.strip().lstrip("+") == "experiment"
        names = at_commas(value.strip()) if is_experiment else [word]
        if not any(is_own_file(without_pair(name)) for name in names) and not (is_experiment and files):
            others.append(word)
        elif not files:
            files = [without_pair(name) for name in names]
        else:
            raise second_experiment(word, files)
    before = [word for word in others if word.lstrip("+~").split("@")[0].partition("=")[0] == "experiment"]
    if files and before:
        raise second_experiment(before[0], files)
    return files, others


def check_settings(words: Sequence[str]) -> None:
    """Each word is a setting.

    Raises:
        ConfigError: one has no '=', as it is a choice without its group, or what a blank has cut off.
    """
    for place, word in enumerate(words):
        if (word.partition("=")[0] and "=" in word) or word.startswith("~") or not word:
            continue
        hint = not_a_setting(words[place - 1] if place else "", words[place:])
        raise ConfigError(word, "no '=' with a key before it", "a setting as key=value", hint)


def not_a_setting(before: str, words: Sequence[str]) -> str:
    """A hint at what the first of some words, which is no setting, was meant to be.

    >>> not_a_setting("seed=1", ["tiny"]), not_a_setting("seed=1,", ["2", "3"])
    ('did you mean experiment=tiny?', 'several values have no blanks between them: seed=1,2,3')
    >>> not_a_setting("note=two", ["words"])
    "what has blanks in it needs quotes: 'note=two words'"
    """
    from convpipe.config.meant import half_quoted, meant  # which only such an error needs

    key, equals, value = before.partition("=")
    if equals and not value:
        return f"no blanks around '=': {one_word(key, words[0])}"
    cut = list(takewhile(lambda each: "=" not in each, words))
    if equals and value and all(each[:1].isdigit() for each in cut):
        joined = ",".join(each.strip(",") for each in (value, *cut))
        return f"several values have no blanks between them: {key}={joined}"
    typed = meant(words)
    if equals and is_text(key) and not typed:
        return f"what has blanks in it needs quotes: {one_word(key, ' '.join([value, *cut]))}"
    typed = half_quoted([before, *words]) or typed
    return f"did you mean {typed}?" if typed else ""


def second_experiment(word: str, files: Sequence[str]) -> ConvpipeError:
    """There are two words that say which experiment it is."""
    key, equals, value = word.partition("=")
    file = ",".join(files)
    if not equals and is_own_file(key):
        several = shlex.quote(f"experiment={','.join(quoted(each) if ',' in each else each for each in (*files, key))}")
        return UsageError(f"{key}: expected one experiment file; a sweep over several is -m {several}")
    line = f", which itself may have a line experiment: {value}" if value and not is_own_file(value) else ""
    return ConfigError(key, value, f"none beside {file}{line}")


def stored_own(number: int, file: str, words: Sequence[str], config_dir: str | None) -> str:
    """What an experiment is called for Hydra: a file is stored for it, and a name is one already."""
    if not is_own_file(file):
        return file
    from convpipe.config.own import experiment  # which a command without such a file does without

    name = f"{OWN}{number or ''}"
    folder = Path(config_dir) if config_dir else None
    node = experiment(file_at("experiment", file), groups_chosen(words), folder)
    chosen = (pair for entry in node["defaults"] if isinstance(entry, dict) for pair in entry.items())
    store_installed([f"{key.rpartition('/')[2]}={choice}" for key, choice in chosen])
    store("experiment", name, node, file, GLOBAL)
    return name


def groups_chosen(words: Sequence[str]) -> set[str]:
    """The groups for which words choose by name, so that a file's settings of them are of another choice.

    >>> groups_chosen(["input=random", "conv={pad: 1}", "bias.low=0"])
    {'input'}
    """
    pairs = [word.lstrip("+").partition("=") for word in words]
    return {key for key, _, value in pairs if key in GROUPS and value and not value.startswith("{")}


def store_installed(words: Sequence[str]) -> None:
    """Let Hydra find the choices among words that are sources of installed packages."""
    for role, name in installed_sources(words):
        store(role, name, source_node(role, name), name)


def installed_sources(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The choices among words that no file of the config tree is, but a source of an installed package, by role."""
    for key, _, value in (word.partition("=") for word in words):
        for name in value.split(",") if key in ROLES else ():
            no_file = name.isidentifier() and not os.path.isfile(config_folder() / key / f"{name}.yaml")
            if no_file and SOURCES.entry(key, name) is not None:
                yield key, name


def source_node(role: str, name: str) -> dict[str, Any]:
    """A source as a choice of Hydra's: every setting at its default, or to be given."""
    defaults = {each: setting.default for each, setting in settings_of(SOURCES.get(role, name), role).items()}
    return {each: written_default(default) for each, default in defaults.items()} | {"source": name}


def written_default(default: Any) -> Any:
    """A default as a config file would have it.

    >>> written_default((3, 3)), written_default(MISSING)
    ([3, 3], '???')
    """
    return "???" if default is MISSING else list(default) if isinstance(default, tuple) else default


def store(group: str, name: str, node: dict[str, Any], provider: str, package: str | None = None) -> None:
    """Let Hydra find a choice that no file of the config tree is.

    Raises:
        ConvpipeError: one of its references to other keys cannot be read.
    """
    from hydra.core.config_store import ConfigStore
    from omegaconf.errors import OmegaConfBaseException

    try:
        ConfigStore.instance().store(group=group, name=name, node=node, package=package, provider=provider)
    except OmegaConfBaseException as error:
        lines = [f"{key}={value}" for key, value in dotted(node)]
        raise explained(error, lines, lambda key: ("", ())) from error


def as_typed(text: str) -> str:
    """Overrides for people: an experiment file of the user's by its name, and not by what it is called for Hydra."""
    if OWN not in text:
        return text
    stored = {name.removesuffix(".yaml"): node.provider for name, node in own_nodes().items()}
    for name in sorted(stored, key=len, reverse=True):  # as one begins with another
        text = text.replace(f"experiment={name}", one_word("experiment", stored[name]))
    return text


def own_nodes() -> dict[str, Any]:
    """The experiment files of the user's that Hydra has been given."""
    from hydra.core.config_store import ConfigStore

    stored: dict[str, Any] = ConfigStore.instance().repo.get("experiment", {})
    return {name: node for name, node in stored.items() if name.startswith(OWN)}
