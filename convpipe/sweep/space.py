"""From a sweep's overrides to the space of its points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from convpipe.config import Execution, config_folder
from convpipe.errors import ConfigError
from convpipe.hydra_safety import parsed, refuse_unsafe
from convpipe.sweep.axes import Axis, Interval, Listed, Setting, Space, axis_of, listed_points, plain_value, zipped

if TYPE_CHECKING:
    from hydra._internal.hydra import Hydra
    from hydra.core.override_parser.types import Override


@dataclass(frozen=True)
class Sweep:
    """Overrides that all points share, and the space of those in which they differ."""

    fixed: tuple[str, ...]
    space: Space


def sweep_of(hydra: Hydra, overrides: Sequence[str], execution: Execution) -> Sweep:
    """Sort overrides into those all points share and the axes of the space.

    Raises:
        ConfigError: an axis without values, more points than limits.runs, or settings of sweep.* that do not fit.
    """
    fixed: dict[str, str] = {}
    axes: dict[str, Axis | Interval] = {}
    for override in parse(hydra, overrides):
        key = override.get_key_element()
        fixed.pop(key, None)
        axes.pop(key, None)  # the last word counts, as in Hydra
        if override.is_sweep_override():
            options = group_options(hydra, override.key_or_group)
            axes[key] = axis_of(override, bool(options), options, execution.limits.runs)
        else:
            fixed[key] = str(override.input_line)
    space = space_of(hydra, list(axes.values()), execution)
    check_size(space, execution.limits.runs)
    return Sweep(tuple(fixed.values()), space)


def parse(hydra: Hydra, overrides: Sequence[str]) -> list[Override]:
    """Overrides, parsed with the config groups at hand, which a glob chooses from."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    refuse_unsafe(overrides)
    for text in overrides:
        parsed(text)  # for errors in our words
    found: list[Override] = OverridesParser.create(config_loader=hydra.config_loader).parse_overrides(list(overrides))
    return [override for override in found if not override.is_hydra_override()]


def group_options(hydra: Hydra, group: str) -> list[str]:
    """The options of a config group; none for a key that is no group."""
    options: list[str] = hydra.config_loader.get_group_options(group.replace(".", "/"))
    return options if "." not in group else []


def space_of(hydra: Hydra, axes: Sequence[Axis | Interval], execution: Execution) -> Space:
    """The space of all axes, zipped, listed and sampled as sweep.* says."""
    settings = execution.sweep
    intervals = tuple(axis for axis in axes if isinstance(axis, Interval))
    if intervals and settings.sample is None:
        key = intervals[0].key
        raise ConfigError(key, "an interval", "sweep.sample beside it: how many numbers to draw from it")
    together = settings.zip or ()
    if together and all(isinstance(keys, str) for keys in together):
        together = (together,)
    if not all(isinstance(keys, tuple) for keys in together):
        raise ConfigError("sweep.zip", settings.zip, "one list of keys, or several")
    steps: list[Axis | Listed] = list(zipped([axis for axis in axes if isinstance(axis, Axis)], together))
    if settings.points is not None:
        steps.insert(0, points_axis(hydra, settings.points))
    return Space(tuple(steps), intervals, settings.sample, settings.seed)


def points_axis(hydra: Hydra, name: str) -> Listed:
    """The points of a file, or of a list in conf/points by its name, each a step of one axis."""
    path = Path(name)
    if path.suffix not in (".csv", ".yaml", ".yml"):
        shipped = config_folder() / "points" / f"{name}.csv"
        names = sorted(found.stem for found in shipped.parent.glob("*.csv"))
        if name not in names:
            raise ConfigError("sweep.points", name, f"a .csv or .yaml file, or one of {', '.join(names)}")
        path = shipped
    groups: dict[str, bool] = {}
    points = []
    for row in listed_points(path):
        texts = [f"{key}={value}" for key, value in row.items()]
        refuse_unsafe(texts)
        settings = []
        for key, text in zip(row, texts, strict=True):
            override = parsed(text)
            if override.is_sweep_override():
                raise ConfigError(f"sweep.points: {key}", row[key], "one value, [a list] in brackets")
            if key not in groups:
                groups[key] = bool(group_options(hydra, key))
            settings.append(Setting(key, plain_value(override.value()), text, groups[key]))
        points.append(tuple(settings))
    return Listed(tuple(points))


def check_size(space: Space, most: int) -> None:
    """There are not more points than allowed, counted before any is made."""
    if space.size > most:
        raise ConfigError("limits.runs", most, f"at least {space.size}, the points of this sweep")
