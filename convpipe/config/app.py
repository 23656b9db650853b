"""Hydra on our config tree, and what words mean to it: the command line and the front door both come here."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeVar

from convpipe.config.compose import check_single_run, composed, plain_config, sweep_params
from convpipe.config.hydra_safety import parsed
from convpipe.config.read import read_job
from convpipe.config.settings import Execution, Job
from convpipe.config.somewhere import in_some_folder
from convpipe.config.tree import GROUPS, MAIN_CONFIG, config_folder

if TYPE_CHECKING:
    from hydra._internal.hydra import Hydra
    from omegaconf import DictConfig

PLUGINS = Path(__file__).resolve().parents[1] / "sweeps" / "plugins"  # the namespace hydra_plugins, where Hydra looks
T = TypeVar("T")
Instances = dict[Any, Any]  # of Hydra's singletons, by their classes
# What only a sweep looks at, and the values of it that are good for a single run as well.
OF_SWEEPS: dict[str, tuple[object, ...]] = {
    "where": (),
    "invalid": (),
    "on_error": (),
    "workers": (),
    "reuse": (),
    "retry": ("all",),
}
LAUNCHER = ("hydra/launcher", "hydra.launcher.")
HERE = ("=basic", "=convpipe")  # launchers
ONE_AT_A_TIME = RLock()  # what Hydra keeps, it keeps for the whole process


# What words come to


def job_of(hydra: Hydra, words: Sequence[str], config_name: str = MAIN_CONFIG) -> Job:
    """The checked job that words describe, such as ``conv.stride=2``: of a run, whoever asks for it.

    Raises:
        ConvpipeError: whatever is wrong with them, in one line.
    """
    config = composed(hydra, config_name, words)
    job = read_job(plain_config(config))
    check_single_run(words)
    is_sweep = bool(config.hydra.sweeper.params) or job.execution.sweep.points is not None
    return replace(job, is_sweep=True) if is_sweep else job


def passed_over(execution: Execution, words: Sequence[str]) -> list[str]:
    """The keys of words that a single run does not look at, as they are for sweeps."""
    usual = {entry.name: entry.default for entry in fields(Execution)}
    typed = [(override.key_or_group, override.input_line) for override in map(parsed, words)]
    found = [
        key for key, _ in typed if key in OF_SWEEPS and getattr(execution, key) not in (usual[key], *OF_SWEEPS[key])
    ]
    launchers = [key for key, word in typed if key.startswith(LAUNCHER) and not str(word).endswith(HERE)]
    return list(dict.fromkeys([*found, *launchers]))


def sweep_config(hydra: Hydra, words: Sequence[str], config_name: str = MAIN_CONFIG) -> DictConfig:
    """The config of a sweep as a whole that words describe, such as ``seed=1,2``: whoever asks for it.

    Raises:
        ConvpipeError: whatever is wrong with them, in one line.
    """
    config = composed(hydra, config_name, [*map(first_choice, words)], multirun=True)
    sweep_params(config)  # Hydra resolves them, too, before anything of ours does
    return config


def first_choice(word: str) -> str:
    """A word as it is, but of several choices of a group that it lists the first: settings beside them may be of these alone.

    >>> first_choice("quant=tflite,onnx"), first_choice("seed=1,2"), first_choice("quant=onnx")
    ('quant=tflite', 'seed=1,2', 'quant=onnx')
    """
    override = parsed(word)
    listed = override.value_type is not None and override.value_type.name in ("CHOICE_SWEEP", "SIMPLE_CHOICE_SWEEP")
    if override.key_or_group not in GROUPS - {"experiment"} or not listed:
        return word
    return f"{override.key_or_group}={next(iter(override.sweep_string_iterator()))}"


def read_words(overrides: Sequence[str], settings: Mapping[str, Any]) -> Job:
    """The checked job of settings in both forms."""
    from convpipe.config.grammar import words_of
    from convpipe.config.words import words_for_hydra

    words = words_of(overrides, settings)
    with OwnHydra().here() as hydra:
        words = words_for_hydra(words)
        job = job_of(hydra, words)
    if job.is_sweep:
        warnings.warn("this is one run of a sweep; cp.sweep runs all its points", stacklevel=3)
    elif keys := passed_over(job.execution, words):
        warnings.warn(f"{', '.join(keys)}: of sweeps alone (cp.sweep), passed over by a single run", stacklevel=3)
    return job


# Hydra itself


def make_hydra(config_dir: str | None = None) -> Hydra:
    """Hydra on our config tree, and perhaps a folder of the user's before it: from now on that of the process."""
    from hydra import version
    from hydra._internal.hydra import Hydra
    from hydra._internal.utils import create_config_search_path
    from hydra.core.config_search_path import SearchPathQuery
    from hydra.core.global_hydra import GlobalHydra

    from convpipe.config.repository import USERS, Repository

    if str(PLUGINS) not in sys.path:
        sys.path.append(str(PLUGINS))
    GlobalHydra.instance().clear()  # `main` may be called more than once in a process
    version.setbase("1.3")
    search_path = create_config_search_path(str(config_folder()))
    if config_dir is not None:
        path = f"file://{os.path.abspath(config_dir)}"
        search_path.prepend(provider=USERS, path=path, anchor=SearchPathQuery(provider="main"))
    with in_some_folder():
        hydra = Hydra.create_main_hydra2("convpipe", search_path)
    loader: Any = hydra.config_loader
    loader.repository = Repository(search_path)
    loader._parse_overrides_and_create_caching_repo = partial(parsed_once, loader)
    return hydra


def parsed_once(loader: Any, config_name: str | None, overrides: list[str]) -> tuple[list[Any], Any]:
    """What Hydra's loader starts from: overrides, which have been parsed already, and its cache of configs."""
    from hydra._internal.config_repository import CachingConfigRepository

    found, repository = [parsed(text) for text in overrides], CachingConfigRepository(loader.repository)
    loader._process_config_searchpath(config_name, found, repository)
    return found, repository


class OwnHydra:
    """Hydra on our config tree beside whatever Hydra the process has: that is set aside for a while and put back.

    A lock lets one thread at a time do so, as Hydra's state belongs to the whole process.
    """

    def __init__(self) -> None:
        self.state: Instances | None = None

    @contextmanager
    def here(self) -> Iterator[Hydra]:
        """This Hydra as that of the process; the same each time."""
        from hydra.core.global_hydra import GlobalHydra
        from hydra.core.singleton import Singleton
        from omegaconf.basecontainer import BaseContainer

        instances, resolvers = Singleton._instances, BaseContainer._resolvers
        with ONE_AT_A_TIME:
            theirs = {kind: instances.get(kind) for kind in set_aside()}
            their_resolvers = dict(resolvers)
            try:
                put(instances, dict.fromkeys(theirs) | (fresh_state() if self.state is None else self.state))
                yield GlobalHydra.instance().hydra or make_hydra()
            finally:
                self.state = {kind: instances.get(kind) for kind in theirs}
                put(instances, theirs)
                put(resolvers, dict.fromkeys(resolvers) | their_resolvers)

    def each(self, found: Generator[T]) -> Iterator[T]:
        """What a generator gives, each made while this Hydra is in place; in between, others may have theirs."""
        try:
            while True:
                with self.here():
                    try:
                        made = next(found)
                    except StopIteration:
                        return
                yield made
        finally:
            with self.here():
                found.close()


def set_aside() -> tuple[type, ...]:
    """What Hydra keeps for the whole process and we set aside; its plugins, which are only ever added to, stay."""
    from hydra.core.config_store import ConfigStore
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.utils import JobRuntime
    from hydra.version import VersionBase

    return GlobalHydra, HydraConfig, JobRuntime, VersionBase, ConfigStore


def fresh_state() -> Instances:
    """Hydra as it starts: its store without the configs of an app around us, which may be called as ours are."""
    from hydra.core.config_store import ConfigStore
    from hydra.core.plugins import Plugins

    if str(PLUGINS) not in sys.path:
        sys.path.append(str(PLUGINS))
    plugins = Plugins.instance()
    ours = import_module("hydra_plugins.convpipe_plugin")  # Hydra may have looked for plugins before we came
    plugins.register(ours.ConvpipeSweeper)
    plugins.register(ours.ConvpipeLauncher)
    store = object.__new__(ConfigStore)
    there = ConfigStore.instance().repo
    store.repo = {name: node for name, node in there.items() if "hydra" in (name, getattr(node, "provider", None))}
    return {ConfigStore: store}


def put(there: dict[Any, Any], wanted: Mapping[Any, Any]) -> None:
    """Set entries, one by one, as another thread may look at them; those that are to be None are taken out."""
    for key, value in wanted.items():
        if value is None:
            there.pop(key, None)
        else:
            there[key] = value


@contextmanager
def logging_kept() -> Iterator[None]:
    """Put back what Hydra changes of the process's logging, which it sets up for what it shows and for each job."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    loggers = [each for each in logging.Logger.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    disabled = {each: each.disabled for each in loggers}
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for each, state in disabled.items():
            each.disabled = state
