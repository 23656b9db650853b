"""What the words of a command, or of a call, come to before Hydra sees them: its overrides, and choices it can find."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import MISSING
from pathlib import Path
from typing import Any

from convpipe.config.hydra_errors import explained
from convpipe.config.tree import GLOBAL, GROUPS, YAML, config_folder
from convpipe.errors import ConfigError, UsageError
from convpipe.fields import settings_of
from convpipe.files.yaml import dotted
from convpipe.sources.kinds.source import ROLES, SOURCES

OWN = "_own_"  # what an experiment file of the user's is called among the experiments, as no file there is


def is_own_file(word: str) -> bool:
    """Whether a word is an experiment file of the user's own.

    >>> is_own_file("my.yaml"), is_own_file("input.path=my.yaml")
    (True, False)
    """
    return word.endswith(YAML) and "=" not in word


def words_for_hydra(words: Sequence[str]) -> list[str]:
    """Words as Hydra takes them: an experiment file in front becomes an experiment of Hydra's.

    Raises:
        ConvpipeError: it cannot be read, or is no such file.
    """
    for word in filter(is_own_file, words[1:]):
        raise UsageError(f"{word}: expected settings as key=value here; an experiment file is the first word, and one")
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().repo.get("experiment", {}).pop(f"{OWN}.yaml", None)  # of an earlier call in this process
    store_installed(words)
    if not words or not is_own_file(words[0]):
        return list(words)
    from convpipe.config.own import experiment  # which a command without such a file does without

    for word in words[1:]:
        key, _, value = word.partition("=")
        if key.lstrip("+~").split("@")[0] == "experiment":
            line = f", which itself may have a line experiment: {value}" if value else ""
            raise ConfigError(key, value, f"none beside {words[0]}{line}")
    node = experiment(Path(words[0]), groups_chosen(words[1:]))
    chosen = (pair for entry in node["defaults"] if isinstance(entry, dict) for pair in entry.items())
    store_installed([f"{key.rpartition('/')[2]}={name}" for key, name in chosen])
    store("experiment", OWN, node, words[0], GLOBAL)
    return [f"experiment={OWN}", *words[1:]]


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
