"""From overrides to a composed config of plain values: nested dicts and lists, interpolations resolved.

Configs choose, they never execute: nothing here instantiates, and `hydra_safety` refuses what Hydra itself
could be told to run or to write elsewhere.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import MISSING
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convpipe.config.hydra_errors import explained
from convpipe.config.hydra_safety import check_hydra_node, parsed, refuse_unsafe
from convpipe.config.settings import EXECUTION_KEYS, SPEC_KEYS
from convpipe.config.tree import GROUPS, MAIN_CONFIG, config_folder
from convpipe.errors import ConfigError, ConvpipeError, UsageError
from convpipe.fields import settings_of
from convpipe.files.yaml import dotted
from convpipe.sources.kinds.source import ROLES, SOURCES

if TYPE_CHECKING:
    from hydra._internal.hydra import Hydra
    from omegaconf import DictConfig

LAYER_SETTING = re.compile(r"network\.\w+\.\w+=")
FREE_SETTING = "data="  # of a key that the config has only where it is used
NO_SEARCH_PATH = "hydra.searchpath=[]"
YAML = (".yaml", ".yml")
OWN = "_own_"  # what an experiment file of the user's is called among the experiments, as no file there is
GLOBAL = "_global_"
# What else Hydra raises at odd configs: a list where it has a group, a text where it has a list.
WRONG = (ValueError, TypeError, AttributeError, OSError, KeyError, RecursionError)


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
    from convpipe.config.own import experiment

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


def compose(hydra: Hydra, config_name: str, overrides: Sequence[str]) -> dict[str, Any]:
    """Compose one config: nested dicts and lists, interpolations resolved, Hydra's own node checked and left out.

    Raises:
        ConvpipeError: whatever is wrong with it, in one line.
    """
    return plain_config(composed(hydra, config_name, overrides))


def composed(hydra: Hydra, config_name: str | None, overrides: Sequence[str], *, multirun: bool = False) -> DictConfig:
    """Hydra's composed config, its own node checked; None for Hydra's settings alone.

    Raises:
        ConvpipeError: whatever is wrong with it, in one line.
    """
    from hydra.errors import HydraException
    from hydra.types import RunMode
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    refuse_unsafe(overrides)
    check_single_values(overrides, multirun)
    mode = RunMode.MULTIRUN if multirun else RunMode.RUN
    try:
        check_search_path(hydra, config_name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Hydra's advice to programmers
            lines = [*map(of_layer, overrides), NO_SEARCH_PATH]
            config = hydra.compose_config(config_name, lines, run_mode=mode)
    except ConvpipeError:
        raise
    except (HydraException, OmegaConfBaseException, YAMLError, *WRONG) as error:
        known = partial(siblings, hydra, config_name, overrides)
        raise explained(error, overrides, known) from error
    check_hydra_node(config.hydra)
    return config


def of_layer(override: str) -> str:
    """A layer's setting may be one that its file leaves at the default; `read_network` knows which there are.

    >>> of_layer("network.conv1.stride=2"), of_layer("conv.stride=2"), of_layer("data=x")
    ('++network.conv1.stride=2', 'conv.stride=2', '++data=x')
    """
    return f"++{override}" if LAYER_SETTING.match(override) or override.startswith(FREE_SETTING) else override


def check_single_values(overrides: Sequence[str], multirun: bool) -> None:
    """A sweep's several values are for -m, and a group's choice is a name, or several, or its settings as a dict."""
    from hydra.core.override_parser.types import ValueType

    for line in overrides:
        override = parsed(line)
        key, value = override.key_or_group, line.partition("=")[2]
        if override.is_sweep_override() and not multirun:
            quoted = " or quotes" if override.value_type == ValueType.SIMPLE_CHOICE_SWEEP else ""
            raise ConfigError(key, value, f"one value, [a list]{quoted}, or -m for a sweep")
        if key in GROUPS and not (override.is_delete() or override.is_sweep_override()):
            chosen = override.value()
            names = chosen if isinstance(chosen, list) else [chosen]
            if not isinstance(chosen, dict) and not all(isinstance(name, str) for name in names):
                hint = "~experiment leaves it out" if key == "experiment" else ""
                raise ConfigError(key, value, f"the name of a choice of {key}", hint)


def check_single_run(overrides: Sequence[str]) -> None:
    """Nothing is asked for that only a sweep looks at.

    Raises:
        ConfigError: sweep.* or a cluster.
    """
    for line in overrides:
        key, value = parsed(line).key_or_group, line.partition("=")[2]
        if key.split(".")[0] in ("sweep", "cluster") and value != "none":
            raise ConfigError(key, value, "-m beside it, as it is for sweeps")


def check_search_path(hydra: Hydra, config_name: str | None) -> None:
    """A main config of the user's own brings no search path: Hydra imports the packages named there."""
    from omegaconf import OmegaConf

    if config_name in (None, MAIN_CONFIG):
        return
    loaded = hydra.config_loader.repository.load_config(config_name)  # type: ignore[attr-defined]
    found = OmegaConf.select(loaded.config, "hydra.searchpath") if loaded else None
    if found:
        raise ConfigError("hydra.searchpath", found, "none, as it could run code; use --config-dir")


def siblings(hydra: Hydra, config_name: str | None, overrides: Sequence[str], key: str) -> tuple[str, Sequence[str]]:
    """The nearest group above an unknown key, and that group's keys, from the config without the key's override."""
    from hydra.types import RunMode
    from omegaconf import DictConfig, OmegaConf

    kept = [line for line in overrides if "=" in line and not parsed(line).is_sweep_override()]
    others = [line for line in kept if parsed(line).key_or_group != key]
    try:
        config = hydra.compose_config(config_name or MAIN_CONFIG, [*others, NO_SEARCH_PATH], run_mode=RunMode.RUN)
    except Exception:  # noqa: BLE001 - it is only for a better message, and another override may be wrong as well
        return "", (*SPEC_KEYS, *EXECUTION_KEYS, "experiment")
    group = key
    while "." in group:
        group = group.rpartition(".")[0]
        node = OmegaConf.select(config, group, throw_on_missing=False)
        if isinstance(node, DictConfig):
            return group, [str(name) for name in node]
    return "", [str(name) for name in config if name != "hydra"] + ["experiment"]


def plain_config(config: DictConfig, *, missing: bool = False) -> dict[str, Any]:
    """A composed config as nested dicts and lists, interpolations resolved, Hydra's node left out.

    Args:
        missing: let a mandatory value that is missing pass, as ``???``.

    Raises:
        ConfigError: a mandatory value that is missing, or an interpolation that leads nowhere.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    plain: dict[str, Any] = {}
    for key in config:
        if key == "hydra":
            continue
        try:
            if missing and OmegaConf.is_missing(config, key):
                plain[str(key)] = "???"
                continue
            value = config[key]
            if OmegaConf.is_config(value):
                value = OmegaConf.to_container(value, resolve=True, throw_on_missing=not missing)
            plain[str(key)] = value
        except (OmegaConfBaseException, RecursionError) as error:
            raise explained(error, written(config, getattr(error, "full_key", None)), lambda key: ("", ())) from error
    return plain


def sweep_params(config: DictConfig) -> dict[str, Any]:
    """The axes that config files give a sweep, references to other keys resolved.

    Raises:
        ConfigError: one that is missing, or a reference that leads nowhere.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    params = config.hydra.sweeper.params
    try:
        found: Any = OmegaConf.to_container(params, resolve=True, throw_on_missing=True) if params else {}
    except OmegaConfBaseException as error:
        raise explained(error, written(config, getattr(error, "full_key", None)), lambda key: ("", ())) from error
    return {str(key): value for key, value in found.items()}


def written(config: DictConfig, key: str | None) -> list[str]:
    """The value of one key as an override would give it, interpolations as they are written."""
    from omegaconf import OmegaConf

    value: Any = OmegaConf.to_container(config, resolve=False)
    for part in (key or "").split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return [f"{key}={value}"]
