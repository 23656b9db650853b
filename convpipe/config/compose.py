"""From overrides to a composed config of plain values: nested dicts and lists, interpolations resolved.

Configs choose, they never execute: nothing here instantiates, and `hydra_safety` refuses what Hydra itself
could be told to run or to write elsewhere.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from convpipe.config.hydra_errors import explained
from convpipe.config.hydra_safety import PARAMS, check_hydra_node, parsed, refuse_unsafe
from convpipe.config.parts import FREE
from convpipe.config.references import Growth, check_references
from convpipe.config.settings import EXECUTION_KEYS, SPEC_KEYS
from convpipe.config.somewhere import in_some_folder
from convpipe.config.tree import GROUPS, MAIN_CONFIG, WRITTEN_OUT, config_folder
from convpipe.config.typed import axis_text, check_form, one_value, typed_texts
from convpipe.errors import ConfigError, ConvpipeError, UsageError, pass_on
from convpipe.files.limits import MOST_SETTINGS

if TYPE_CHECKING:
    from hydra._internal.hydra import Hydra
    from omegaconf import DictConfig

LAYER_SETTING = re.compile(r"network\.\w+\.\w+=")
FREE_SETTINGS = tuple(f"{name}=" for name in FREE)  # of keys that the config has only where they are used
MOST_REPEATED = 200  # characters of what was typed, in an advice
NO_SEARCH_PATH = "hydra.searchpath=[]"
# What else Hydra raises at odd configs: a list where it has a group, a text where it has a list.
WRONG = (ValueError, TypeError, AttributeError, OSError, KeyError, RecursionError, AssertionError)


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

    if len(overrides) > MOST_SETTINGS:
        raise UsageError(f"got {len(overrides)} settings, expected at most {MOST_SETTINGS}; a .yaml file takes more")
    refuse_unsafe(overrides)
    check_single_values(overrides, multirun)
    mode = RunMode.MULTIRUN if multirun else RunMode.RUN
    try:
        check_search_path(hydra, config_name)
        with warnings.catch_warnings(), in_some_folder():
            warnings.simplefilter("ignore")  # Hydra's advice to programmers
            lines = [*map(of_layer, overrides), NO_SEARCH_PATH]
            hydra.config_loader.repository.begin()  # type: ignore[attr-defined]
            config = hydra.compose_config(config_name, lines, run_mode=mode)
    except ConvpipeError:
        raise
    except (HydraException, OmegaConfBaseException, YAMLError, *WRONG) as error:
        pass_on(error)
        known = partial(siblings, hydra, config_name, overrides)
        raise explained(error, overrides, known) from error
    check_hydra_node(config.hydra)
    params = plain_items(config.hydra.sweeper.params, resolve=False)
    check_growth(config, params)
    for key, value in params if multirun else ():
        check_form(key, str(value), several=True)
    refuse_unsafe(f"{key}={axis_text(key, value)}" for key, value in params)
    return config


def of_layer(override: str) -> str:
    """A layer's setting may be one that its file leaves at the default; `read_network` knows which there are.

    >>> of_layer("network.conv1.stride=2"), of_layer("conv.stride=2"), of_layer("data=x")
    ('++network.conv1.stride=2', 'conv.stride=2', '++data=x')
    """
    return f"++{override}" if LAYER_SETTING.match(override) or override.startswith(FREE_SETTINGS) else override


def check_single_values(overrides: Sequence[str], multirun: bool) -> None:
    """A sweep's several values are for -m, and a group's choice is a name, or several, or its settings as a dict."""
    from hydra.core.override_parser.types import ValueType

    for line in overrides:
        override = parsed(line)
        key, value = override.key_or_group, line.partition("=")[2]
        if override.is_sweep_override() and not multirun:
            quoted = " or quotes" if override.value_type == ValueType.SIMPLE_CHOICE_SWEEP else ""
            hint = one_value(key, typed_texts(override)) if quoted else ""
            raise ConfigError(key, typed_texts(override), f"one value, [a list]{quoted}, or -m for a sweep", hint)
        if key in GROUPS and not (override.is_delete() or override.is_sweep_override()):
            chosen = override.value()
            names = chosen if isinstance(chosen, list) else [chosen]
            if not isinstance(chosen, dict) and not all(isinstance(name, str) for name in names):
                hint = "~experiment leaves it out" if key == "experiment" else ""
                hint = numbers_hint(key, value, listed=isinstance(chosen, list)) if key in WRITTEN_OUT else hint
                raise ConfigError(key, value, f"the name of a choice of {key}", hint)


def numbers_hint(key: str, value: str, *, listed: bool) -> str:
    """How numbers are typed where a choice is expected; a single one is a list of one for each filter, or a matrix.

    >>> numbers_hint("bias", "1", listed=False), numbers_hint("input", "[[1, 2]]", listed=True)
    ("write bias=values 'bias.values=[1]'", "write input=values 'input.values=[[1, 2]]'")
    """
    import shlex  # which only an advice needs

    found = value if listed else f"[{value}]" if key == "bias" else f"[[{value}]]"
    if len(found) > MOST_REPEATED:
        return f"numbers of a file: {key}=npy {key}.path=FILE.npy"
    return f"write {key}=values {shlex.quote(f'{key}.values={found}')}"


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
    """A main config of the user's own is one, and brings no search path: Hydra imports the packages named there."""
    from omegaconf import OmegaConf

    repository: Any = hydra.config_loader.repository  # type: ignore[attr-defined]
    folder = repository.users_folder if config_name == MAIN_CONFIG else None
    own = folder and folder / f"{MAIN_CONFIG}.yaml"
    if config_name is None or (config_name == MAIN_CONFIG and not (own and own.is_file())):
        return
    loaded = repository.load_config(config_name)
    if own is not None and loaded and not loaded.defaults_list:
        ours = config_folder() / f"{MAIN_CONFIG}.yaml"
        raise UsageError(f"{own}: no list of defaults, by which it could stand in for {ours}; another name leaves that")
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
    except Exception as error:  # noqa: BLE001 - only for a better message, and another override may be wrong as well
        pass_on(error)
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
            pass_on(error)
            raise explained(error, written(config, getattr(error, "full_key", None)), lambda key: ("", ())) from error
    return plain


def check_growth(config: DictConfig, params: Iterable[tuple[str, Any]]) -> None:
    """A composed config, and the axes that files give, stay small once their references are followed.

    These are all checked once more, in case that something of them has come together only by composing.

    Raises:
        ConfigError: one is no reference to another setting, or leads to too much.
    """
    from omegaconf import OmegaConf

    found: Any = OmegaConf.to_container(config, resolve=False)
    settings = {str(key): value for key, value in found.items() if key != "hydra"} | {PARAMS: dict(params)}
    check_references("", settings)
    growth = Growth(settings)
    for key in settings:
        growth.check(key)


def sweep_params(config: DictConfig) -> dict[str, Any]:
    """The axes that config files give a sweep, references to other keys resolved.

    Raises:
        ConfigError: one that is missing, or a reference that leads nowhere.
    """
    from omegaconf.errors import OmegaConfBaseException

    try:
        found = dict(plain_items(config.hydra.sweeper.params, resolve=True))
    except (OmegaConfBaseException, RecursionError) as error:
        raise explained(error, written(config, getattr(error, "full_key", None)), lambda key: ("", ())) from error
    return {key: axis_text(key, value) for key, value in found.items()}


def plain_items(params: Any, *, resolve: bool) -> Sequence[tuple[str, Any]]:
    """The axes that files give, as plain keys and values."""
    from omegaconf import OmegaConf

    found: Any = OmegaConf.to_container(params, resolve=resolve, throw_on_missing=resolve) if params else {}
    return [(str(key), value) for key, value in found.items()]


def written(config: DictConfig, key: str | None) -> list[str]:
    """The value of one key as an override would give it, interpolations as they are written."""
    from omegaconf import OmegaConf

    value: Any = OmegaConf.to_container(config, resolve=False)
    for part in (key or "").split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return [f"{key}={value}"]
