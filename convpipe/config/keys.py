"""Every key of a config and every choice of a group, to be asked: what it takes, its default, a sentence about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from convpipe.config.compose import GROUPS, MAIN_CONFIG, config_folder
from convpipe.config.parts import SETTINGS
from convpipe.fields import Setting, join, text
from convpipe.files.yaml import read_yaml

EXPERIMENT = Setting(text, "lecture_3d", "A complete named experiment; what is set beside it counts more.")
PACKAGE = "# @package"


@dataclass(frozen=True)
class Key:
    """One key, of one kind where several have it: ``input.low`` of the source `random`."""

    name: str
    kind: str
    setting: Setting

    @property
    def default(self) -> Any:
        """What it is where nobody sets it; MISSING where somebody has to."""
        group, _, below = self.name.partition(".")
        there = choice_values(group, self.kind) if below and self.kind else shipped()
        return there.get(below or group, self.setting.default)


def keys() -> Iterator[Key]:
    """Every key, groups before what is in them; under `network`, ``LAYER`` stands for a layer's name."""
    for name, setting in {**SETTINGS, "experiment": EXPERIMENT}.items():
        yield from with_below(Key(name, "", setting))


def with_below(key: Key) -> Iterator[Key]:
    """A key and those below it."""
    yield key
    check = key.setting.check
    place = join(key.name, check.below) if check.below else key.name
    for kind, settings in check.kinds().items():
        for name, setting in settings.items():
            yield from with_below(Key(join(place, name), kind or key.kind, setting))


def as_listed(name: str) -> str:
    """A key with the word that stands for a layer's name.

    A layer itself is as the group of them says.

    >>> as_listed("network.conv1.pad"), as_listed("network.conv1"), as_listed("conv.pad")
    ('network.LAYER.pad', 'network', 'conv.pad')
    """
    parts = name.split(".")
    if parts[0] == "network" and len(parts) == 2 and parts[1]:
        return "network"
    return ".".join(["network", "LAYER", *parts[2:]]) if parts[0] == "network" and len(parts) > 2 else name


def place_of(word: str) -> str:
    """A hint with the key that ends in a word, such as `stride`; nothing where there is none.

    >>> place_of("stride"), place_of("strid")
    ('did you mean conv.stride?', '')
    """
    ends = (key.name for key in keys() if key.name.endswith(f".{word}"))
    return next((f"did you mean {name}?" for name in ends), "")


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


@cache
def choice_values(group: str, kind: str) -> Mapping[str, Any]:
    """What the choice of that kind sets, where the config tree has one; what is to be given is left out."""
    path = config_folder() / group / f"{kind}.yaml"
    values = values_of(path) if path.is_file() else {}
    return {name: value for name, value in values.items() if value != "???"}


def values_of(path: Path) -> Mapping[str, Any]:
    """The values of a config file."""
    found: Mapping[str, Any] = read_yaml(path.read_bytes())
    return found


def is_group(name: str) -> bool:
    """Whether a key is a group, which has choices."""
    return name in GROUPS
