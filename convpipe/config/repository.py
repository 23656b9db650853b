"""Where Hydra finds configs, found faster: the files of its own and of ours are parsed by LibYAML.

A file that something is wrong with is read by Hydra's own source, as what that says of it stays what it says. A folder
of the user's own comes before ours; what its files may cost and refer to is limited, and they say so in our words.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.core_plugins.importlib_resources_config_source import ImportlibResourcesConfigSource
from hydra.core.default_element import GroupDefault
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import OmegaConf
from omegaconf._utils import get_yaml_loader

from convpipe.config.tree import GLOBAL
from convpipe.files.limits import MOST_VALUES

if TYPE_CHECKING:
    from hydra.core.config_search_path import ConfigSearchPath

USERS = "command-line"  # the provider of --config-dir
HEADER_CHARACTERS = 512  # in which Hydra looks for "# @package"
HYDRAS_OWN = "hydra/config"
# What Hydra starts from instead of its own choices. Overrides in our config.yaml would be the first word on them, which
# counts: an experiment's `override /hydra/launcher: joblib` came too late. What no run needs costs milliseconds each.
CHOSEN = {
    "sweeper": "convpipe",
    "launcher": "convpipe",
    "help": None,
    "hydra_help": None,
    "output": None,
    "env": None,
    "job_logging": "disabled",
    "hydra_logging": "disabled",
}


class Repository(ConfigRepository):
    """Hydra's repository of configs with sources of ours for the files that are shipped."""

    def initialize_sources(self, config_search_path: ConfigSearchPath) -> None:
        """Make the sources that a search path names."""
        super().initialize_sources(config_search_path)
        shipped = {"main": ShippedFiles, "hydra": ShippedResources} if hasattr(yaml, "CSafeLoader") else {}
        for position, source in enumerate(self.sources):
            if source.provider in shipped:
                self.sources[position] = shipped[source.provider](source.provider, source.full_path())
            elif source.provider == USERS:
                self.sources[position] = UserFiles(source.provider, source.full_path())

    @property
    def users_folder(self) -> Path | None:
        """The folder of the user's own, if there is one."""
        return next((Path(source.path) for source in self.sources if source.provider == USERS), None)

    def begin(self) -> None:
        """A config is composed anew: of the user's files none has been read for it."""
        for source in self.sources:
            if isinstance(source, UserFiles):
                source.values.clear()

    def load_config(self, config_path: str) -> ConfigResult | None:
        """One config, by its path in any of the sources; Hydra's own chooses what suits us."""
        found = super().load_config(config_path)
        if found is not None and config_path == HYDRAS_OWN:
            for entry in found.defaults_list or ():
                if isinstance(entry, GroupDefault) and entry.group in CHOSEN:
                    entry.value = CHOSEN[entry.group]
        return found

    def __deepcopy__(self, memo: dict[int, Any]) -> Repository:
        """Itself: Hydra copies it, and all its own configs with it, lest a search path change it; ours has none."""
        return self


class UserFiles(FileConfigSource):
    """A folder of the user's own, whose files say no more than a file of the user's own may."""

    def __init__(self, provider: str, path: str) -> None:
        super().__init__(provider, path)
        self.values: dict[str, int] = {}  # of the files that one config is composed of

    def load_config(self, config_path: str) -> ConfigResult:
        """One config, by its path in the folder: a mark of UTF-8 in front, as some editors make it, is none of it.

        What an experiment says stands at the top, whether its first line says so or not.

        Raises:
            ConvpipeError: it is no file of keys and values, or says more than a config may.
        """
        from convpipe.config.own_text import file_of_choices  # which is for such files alone

        path = os.path.join(self.path, self._normalize_file_name(config_path))
        others = sum(count for other, count in self.values.items() if other != path)
        text, values, self.values[path] = file_of_choices(Path(path), MOST_VALUES - others)
        found = of_values(self, text, values)
        if config_path.startswith("experiment/"):
            found.header["package"] = found.header.get("package") or GLOBAL
        return found


class ShippedFiles(FileConfigSource):
    """Our config tree."""

    def load_config(self, config_path: str) -> ConfigResult:
        """One config, by its path in the tree."""
        path = os.path.join(self.path, self._normalize_file_name(config_path))
        with suppress(OSError, ValueError, yaml.YAMLError), open(path, encoding="utf-8") as file:
            return result(self, file.read())
        return super().load_config(config_path)


class ShippedResources(ImportlibResourcesConfigSource):
    """Hydra's own configs, in a package that is looked for once."""

    def __init__(self, provider: str, path: str) -> None:
        super().__init__(provider, path)
        self.folder = resources.files(self.path)

    def is_config(self, config_path: str) -> bool:
        """Whether there is a config of that path."""
        return self.folder.joinpath(self._normalize_file_name(config_path)).is_file()

    def load_config(self, config_path: str) -> ConfigResult:
        """One config, by its path in the package."""
        path = self.folder.joinpath(self._normalize_file_name(config_path))
        with suppress(OSError, ValueError, yaml.YAMLError):
            return result(self, path.read_text(encoding="utf-8"))
        return super().load_config(config_path)


def result(source: ConfigSource, text: str) -> ConfigResult:
    """The config of a YAML text, as Hydra's sources give it.

    Raises:
        ValueError: it is no mapping.
        YAMLError: it is no YAML.
    """
    found = yaml.load(text, quick_loader())
    if found is None:  # an empty file
        found = {}
    if not isinstance(found, dict):
        raise ValueError(f"got {type(found).__name__}, expected a mapping")
    return of_values(source, text, found)


def of_values(source: ConfigSource, text: str, values: dict[Any, Any]) -> ConfigResult:
    """The config of a text that says such values."""
    header = source._get_header_dict(text[:HEADER_CHARACTERS])
    return ConfigResult(source.provider, source.full_path(), OmegaConf.create(values), header)


@cache
def quick_loader() -> Any:
    """OmegaConf's loader, with its rules for numbers, dates and keys given twice, by LibYAML if there is one."""
    theirs = get_yaml_loader()
    return type("QuickLoader", (yaml.CSafeLoader, theirs), {}) if hasattr(yaml, "CSafeLoader") else theirs
