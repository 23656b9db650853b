"""The shipped config tree: where it lies, its groups, the choices of each, and what its files say."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from convpipe.config.settings import SPEC_KEYS
from convpipe.files.yaml import read_yaml

MAIN_CONFIG = "config"
GROUPS = {*SPEC_KEYS, "cluster", "experiment"} - {"seed", "keep", "record"}
PACKAGE = "# @package"


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


def first_line(path: Path) -> str:
    """The first comment of a config file, Hydra's own left out."""
    with open(path, encoding="utf-8") as lines:
        return next((line[1:].strip() for line in lines if line[:1] == "#" and not line.startswith(PACKAGE)), "")


@cache
def shipped() -> Mapping[str, Any]:
    """The main config's own values."""
    return values_of(config_folder() / f"{MAIN_CONFIG}.yaml")


def values_of(path: Path) -> Mapping[str, Any]:
    """The values of a config file."""
    found: Mapping[str, Any] = read_yaml(path.read_bytes())
    return found
