"""The shipped config tree: where it lies, its groups, the choices of each, and what its files say."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from convpipe.config.settings import SPEC_KEYS
from convpipe.fields import mapping
from convpipe.files.yaml import read_yaml
from convpipe.sources.kinds.source import ARRAYS

MAIN_CONFIG = "config"
YAML = (".yaml", ".yml")
TABLES, LISTS = ("csv", "tsv"), ("yaml", "yml", "json")  # how files of points end; JSON is YAML
GLOBAL = "_global_"  # the package of what stands at the top of a config
GROUPS = {*SPEC_KEYS, "cluster", "experiment"} - {"seed", "record"}
PACKAGE = "# @package"
CHOICE = ""  # stands among a group's settings for the name of its choice, where that is given by itself
# The setting that says which choice of its group the others belong to.
SOURCE = "source"
NAMING = {"conv": "operation", "cluster": "kind", "network": CHOICE}
WRITTEN = "values"  # the choice of numbers that are written out, and the setting that has them
WRITTEN_OUT = (*ARRAYS, "labels")  # the groups that have it


def config_folder() -> Path:
    """The shipped config tree: beside the package in a checkout, inside it once installed."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "conf" / "config.yaml").is_file():
        return checkout / "conf"
    return package / "conf"


def choices_of(group: str) -> dict[str, str]:
    """The choices that a group of the config has, each with the first line about it."""
    paths = sorted((config_folder() / group).glob("*.yaml"))
    return {path.stem: first_line(path) for path in paths}


def choice(group: str, value: Any) -> list[str | None]:
    """The choice of a group that a value asks for, None for an empty one; nothing leaves the one that there is.

    Raises:
        ConfigError: neither a name nor settings.
    """
    if value is None or value == {}:
        return [None]
    if CHOICE in mapping(group, value):
        return [value[CHOICE]]
    naming = NAMING.get(group, SOURCE)
    wanted = value.get(naming)
    if wanted is None:
        whole = group == "network" and all(isinstance(layer, Mapping) and "op" in layer for layer in value.values())
        return [None] if whole else []
    if not isinstance(wanted, str):  # which who reads it refuses
        return [None]
    there = choices_of(group)
    says_so = (name for name in there if values_of(config_folder() / group / f"{name}.yaml").get(naming) == wanted)
    return [wanted if wanted in there else next(says_so, None)]  # conv/transpose says operation: conv_transpose


def written_dtype(values: Any) -> str | None:
    """The dtype that numbers have which are written out: an array's own, float64 where one of them has a point.

    >>> written_dtype([[1, 2.5]]), written_dtype([[1, 2]])
    ('float64', None)
    """
    if isinstance(values, np.ndarray):
        return str(values.dtype.name)
    return "float64" if has_point(values) else None


def has_point(values: Any) -> bool:
    """Whether lists of lists have a number with a point, or an array of such, among them."""
    if isinstance(values, list | tuple):
        return any(map(has_point, values))
    return isinstance(values, float) or (isinstance(values, np.ndarray) and values.dtype.kind == "f")


def first_line(path: Path) -> str:
    """The first comment of a config file, at the start of a line or at its end; Hydra's own left out."""
    with open(path, encoding="utf-8") as lines:
        comments = (line.partition("# ")[2].strip() for line in lines if not line.startswith(PACKAGE))
        return next(filter(None, comments), "")


@cache
def shipped() -> Mapping[str, Any]:
    """The main config's own values."""
    return values_of(config_folder() / f"{MAIN_CONFIG}.yaml")


def values_of(path: Path) -> Mapping[str, Any]:
    """The values of a config file."""
    found: Mapping[str, Any] = read_yaml(path.read_bytes()) or {}
    return found
