"""From a sweep's overrides to the space of its points."""

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from itertools import accumulate, chain
from typing import Any

from hydra._internal.hydra import Hydra
from hydra.core.override_parser.types import Override

from convpipe.config.hydra_safety import parsed, refuse_unsafe
from convpipe.config.settings import EXECUTION_KEYS, Execution, SweepSettings
from convpipe.config.tree import config_folder
from convpipe.errors import ConfigError
from convpipe.sweeps.axes import Axis, Interval, Listed, Setting, Space, axis_of, zipped
from convpipe.sweeps.listed import KEY, listed_points, points_file

# How to execute, and yet each point may have its own. Axes of threads and repeats are measured, one run after another;
# the others give no rows of their own.
MEASURED = ("threads", "timing.repeats")
ROWLESS = ("keep", "pictures", "limits.memory")
OF_A_POINT = ("name", "root", "label", "note", "keep", "pictures", "threads", "timing", "limits.memory")


@dataclass(frozen=True)
class Sweep:
    """Overrides that all points share, and the space of those in which they differ."""

    fixed: tuple[Setting, ...]
    space: Space

    @cached_property
    def tangled(self) -> bool:
        """Whether two overrides set the same value, or one a part of the other's: then their order counts."""
        keys = [bare(each.key) for each in self.fixed if not each.is_group]
        keys += [bare(key) for axis in (*self.space.axes, *self.space.intervals) for key in value_keys(axis)]
        above = {group for key in keys for group in accumulate(key.split("."), "{}.{}".format) if group != key}
        return len(set(keys)) < len(keys) or not above.isdisjoint(keys)

    @cached_property
    def measures(self) -> bool:
        """Whether it is about how to execute: the same runs with several counts of threads, or of repeats."""
        return any(len(values) > 1 for key, values in self.values_of_executing if key in MEASURED)

    @cached_property
    def rowless(self) -> tuple[str, ...]:
        """The axes about how to execute whose points have no rows of their own."""
        found = (key for key, values in self.values_of_executing if key in ROWLESS and len(values) > 1)
        return tuple(dict.fromkeys(found))

    @property
    def values_of_executing(self) -> Iterator[tuple[str, Sequence[Any]]]:
        """The values of the keys that say how to execute, of axes and of listed points."""
        for axis in self.space.axes:
            for key, values in values_by_key(axis):
                if bare(key).split(".")[0] in EXECUTION_KEYS:
                    yield bare(key), values


def values_by_key(axis: Axis | Listed) -> Iterator[tuple[str, Sequence[Any]]]:
    """The keys of an axis with their values; of listed points each value once, and None where one does not set it."""
    if isinstance(axis, Axis):
        yield from ((part.key, part.values) for part in axis.parts)
        return
    for key in dict.fromkeys(setting.key for setting in chain.from_iterable(axis.steps)):
        if bare(key).split(".")[0] in EXECUTION_KEYS:
            texts = {next((each.text for each in step if each.key == key), None) for step in axis.steps}
            yield key, list(texts)


def value_keys(axis: Axis | Listed | Interval) -> Iterable[str]:
    """The keys of an axis that set values, not choices of a group alone: a group's dict sets what is in it."""
    if isinstance(axis, Interval):
        return [axis.key]
    if isinstance(axis, Axis):
        return [part.key for part in axis.parts if not part.is_group or any(isinstance(v, dict) for v in part.values)]
    return {setting.key for setting in chain.from_iterable(axis.steps) if not setting.is_group}


def bare(key: str) -> str:
    """A key without its prefix."""
    return key.lstrip("+~")


def sweep_of(hydra: Hydra, overrides: Sequence[str], execution: Execution) -> Sweep:
    """Sort overrides into those all points share and the axes of the space.

    Raises:
        ConfigError: an axis without values, more points than limits.runs, or settings of sweep.* that do not fit.
    """
    fixed: dict[str, Setting] = {}
    axes: dict[str, Axis | Interval] = {}
    for rank, override in enumerate(parse(hydra, overrides)):
        key = override.get_key_element()
        fixed.pop(key, None)
        axes.pop(key, None)  # the last word counts, as in Hydra
        options = group_options(hydra, override.key_or_group)
        if override.is_sweep_override():
            check_sweepable(key, override)
            axes[key] = axis_of(override, rank, options, execution.limits.runs, execution.sweep.seed)
        else:
            value = override.value()
            chooses = options is not None and not isinstance(value, dict)
            fixed[key] = Setting(key, value, str(override.input_line), chooses, rank)
    space = space_of(hydra, axes, fixed, execution.sweep)
    if space.size > execution.limits.runs:
        raise ConfigError("limits.runs", execution.limits.runs, f"at least {space.size}, the points of this sweep")
    return Sweep(tuple(fixed.values()), space)


def parse(hydra: Hydra, overrides: Sequence[str]) -> list[Override]:
    """Overrides, parsed with the config groups at hand, which a glob chooses from."""
    refuse_unsafe(overrides)  # and errors in our words
    found = [own_copy(parsed(text), hydra) for text in overrides]
    return [override for override in found if not override.is_hydra_override()]


def own_copy(override: Override, hydra: Hydra) -> Override:
    """An override with the config groups at hand, and its values for itself, as a shuffled axis is changed."""
    return replace(override, _value=copy(override._value), config_loader=hydra.config_loader)


def check_sweepable(key: str, override: Override) -> None:
    """What says how the whole sweep is run has one value."""
    name = bare(key)
    if name.split(".")[0] in EXECUTION_KEYS and name not in OF_A_POINT and name.split(".")[0] not in OF_A_POINT:
        raise ConfigError(name, str(override.input_line).partition("=")[2], "one value for the whole sweep")


def group_options(hydra: Hydra, group: str) -> list[str] | None:
    """The options of a config group; None for a key that is no group."""
    return hydra.config_loader.get_group_options(group) or None


def space_of(hydra: Hydra, axes: dict[str, Axis | Interval], fixed: Container[str], settings: SweepSettings) -> Space:
    """The space of all axes, zipped, listed and sampled as sweep.* says."""
    intervals = tuple(axis for axis in axes.values() if isinstance(axis, Interval))
    if intervals and settings.sample is None:
        raise ConfigError(intervals[0].key, "an interval", "sweep.sample=COUNT beside it", "how many numbers to draw")
    swept = [axis for axis in axes.values() if isinstance(axis, Axis)]
    steps: tuple[Axis | Listed, ...] = zipped(swept, lists(settings))
    if settings.points is not None:
        listed = points_axis(hydra, settings.points)
        for key in (setting.key for setting in chain.from_iterable(listed.steps)):
            if key in fixed or key in axes:
                raise ConfigError(key, "another value", "none beside sweep.points, which sets it for each point")
        steps = (listed, *steps)
    return Space(steps, intervals, settings.sample, settings.seed)


def lists(settings: SweepSettings) -> Sequence[Sequence[str]]:
    """The lists of keys of sweep.zip, which may also be a single one."""
    together = settings.zip or ()
    if together and all(isinstance(keys, str) for keys in together):
        return (together,)
    if not all(isinstance(keys, tuple) for keys in together):
        raise ConfigError("sweep.zip", settings.zip, "one list of keys, or several")
    return together


def points_axis(hydra: Hydra, name: str) -> Listed:
    """The points of a file, or of a list in conf/points by its name, each a step of one axis."""
    own = hydra.config_loader.repository.users_folder  # type: ignore[attr-defined]
    path = points_file(name, [folder / "points" for folder in (own, config_folder()) if folder])
    setting = cache(partial(listed_setting, cache(partial(group_options, hydra))))  # most values stand in many rows
    points = []
    for number, row in enumerate(listed_points(path), start=1):
        try:
            points.append(tuple([setting(key, value) for key, value in row.items()]))
        except ConfigError as error:
            raise ConfigError(f"{KEY}: point {number}: {error.key}", error.got, error.expected, error.hint) from error
    return Listed(tuple(points))


def listed_setting(options: Callable[[str], list[str] | None], key: str, value: str) -> Setting:
    """One value of a listed point; `options` gives those of a group."""
    text = f"{key}={value}"
    refuse_unsafe([text])
    override = parsed(text)
    if override.is_sweep_override() or override.is_hydra_override():
        raise ConfigError(key, value, "one value of convpipe's own, [a list] in brackets")
    check_sweepable(key, override)
    return Setting(key, override.value(), text, options(override.key_or_group) is not None)
