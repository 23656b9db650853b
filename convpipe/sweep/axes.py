"""The points of a sweep: axes from Hydra's override grammar, and what goes beyond their product.

An axis is a list of settings that advance together; the points are the product of the axes, thinned by a
random sample where one is asked for. Nothing is expanded before its size is known.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil, prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convpipe.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override


@dataclass(frozen=True)
class Setting:
    """One override of a point: its key (with any prefix), its parsed value, and both as typed."""

    key: str
    value: Any
    text: str
    is_group: bool = False


Point = tuple[Setting, ...]


@dataclass(frozen=True)
class Axis:
    """Keys that advance together, and how many steps there are; `values` gives each key's values."""

    keys: tuple[str, ...]
    values: tuple[Sequence[Any], ...]
    is_group: tuple[bool, ...]

    def __len__(self) -> int:
        return len(self.values[0])

    def at(self, position: int) -> Point:
        """The settings of one step."""
        return tuple(
            Setting(key, plain_value(values[position]), f"{key}={text_of(values[position])}", group)
            for key, values, group in zip(self.keys, self.values, self.is_group, strict=True)
        )


@dataclass(frozen=True)
class Listed:
    """Points written out one by one: an axis of its own."""

    steps: tuple[Point, ...]

    def __len__(self) -> int:
        return len(self.steps)

    def at(self, position: int) -> Point:
        """The settings of one step."""
        return self.steps[position]


@dataclass(frozen=True)
class Interval:
    """All numbers from `start` to `end`; only a random sample can have it as an axis."""

    key: str
    start: float
    end: float

    def draw(self, numbers: random.Random) -> Setting:
        """One number of it."""
        value = numbers.uniform(self.start, self.end)
        return Setting(self.key, value, f"{self.key}={value!r}")


@dataclass(frozen=True)
class Space:
    """All points of a sweep, known by their number before any is made."""

    axes: tuple[Axis | Listed, ...]
    intervals: tuple[Interval, ...] = ()
    sample: int | None = None
    seed: int = 0

    @property
    def size(self) -> int:
        """How many points there are."""
        whole = prod(len(axis) for axis in self.axes)
        if self.sample is None:
            return whole
        return self.sample if self.intervals else min(self.sample, whole)

    def points(self) -> Iterator[Point]:
        """Each point in turn, the last axis fastest; a sample in the order of the product."""
        if self.sample is None:
            for position in product(*(range(len(axis)) for axis in self.axes)):
                yield self.at(position)
            return
        numbers = random.Random(self.seed)
        for index in self.sampled(numbers):
            drawn = tuple(interval.draw(numbers) for interval in self.intervals)
            yield self.at(self.position(index)) + drawn

    def sampled(self, numbers: random.Random) -> list[int]:
        """Which points of the product are in the sample: without repetition, but where intervals tell them apart."""
        whole = prod(len(axis) for axis in self.axes)
        assert self.sample is not None
        if self.intervals:
            return sorted(numbers.randrange(whole) for _ in range(self.sample))
        return sorted(numbers.sample(range(whole), min(self.sample, whole)))

    def position(self, index: int) -> tuple[int, ...]:
        """The step on each axis of the index-th point of the product."""
        steps = []
        for axis in reversed(self.axes):
            index, step = divmod(index, len(axis))
            steps.append(step)
        return tuple(reversed(steps))

    def at(self, position: Sequence[int]) -> Point:
        """The point at one step of each axis."""
        return tuple(setting for axis, step in zip(self.axes, position, strict=True) for setting in axis.at(step))


def axis_of(override: Override, is_group: bool, options: Sequence[str], most: int) -> Axis | Interval:
    """The axis that one swept override describes.

    Args:
        options: the group's options, which a glob chooses from.
        most: how many runs there may be; a longer axis is not expanded.

    Raises:
        ConfigError: an axis without values, with too many, or an interval that is not of numbers.
    """
    key = override.get_key_element()
    swept = override.value()
    if override.is_interval_sweep():
        if not (isinstance(swept.start, int | float) and isinstance(swept.end, int | float)):  # type: ignore[union-attr]
            raise ConfigError(key, override.input_line, "an interval of numbers")
        return Interval(key, float(swept.start), float(swept.end))  # type: ignore[union-attr]
    if override.is_range_sweep():
        values: Sequence[Any] = range_values(override, swept, most)
    else:
        values = list(override.sweep_iterator())
    if not values:
        hint = did_you_mean(str(override.input_line).partition("=")[2], options)
        raise ConfigError(key, override.input_line, "at least one value", hint)
    return Axis((key,), (values,), (is_group,))


def range_values(override: Override, swept: Any, most: int) -> Sequence[Any]:
    """The values of a range; of whole numbers not expanded: ``range(0,1000000000)`` costs nothing yet."""
    start, stop, step = swept.start, swept.stop, swept.step
    if not step:
        raise ConfigError(override.get_key_element(), override.input_line, "a step other than 0")
    count = max(0, ceil((stop - start) / step))
    if count <= most and (swept.shuffle or not isinstance(swept.range(), range)):
        return list(override.sweep_iterator())
    return range(count) if not isinstance(swept.range(), range) else range(start, stop, step)  # refused by its length


def plain_value(element: Any) -> Any:
    """A parsed value as plain Python: quoted texts without their quotes, ranges' numbers as they are."""
    from hydra.core.override_parser.types import QuotedString

    if isinstance(element, QuotedString):
        return element.text
    if isinstance(element, list):
        return [plain_value(entry) for entry in element]
    if isinstance(element, dict):
        return {plain_value(key): plain_value(value) for key, value in element.items()}
    return element


def text_of(element: Any) -> str:
    """A parsed value as one would type it."""
    from hydra.core.override_parser.types import Transformer

    return str(Transformer.str(element))


def zipped(axes: Sequence[Axis], together: Sequence[Sequence[str]]) -> tuple[Axis, ...]:
    """Axes in which each list of keys advances together, at the place of the first of them.

    Raises:
        ConfigError: a key that is not swept, or stands in two lists, or lists of different lengths.
    """
    merged = list(axes)
    for keys in together:
        parts = [next((axis for axis in merged if axis.keys == (key,)), None) for key in keys]
        for key, part in zip(keys, parts, strict=True):
            if part is None:
                swept = ", ".join(key for axis in axes for key in axis.keys)
                raise ConfigError("sweep.zip", key, f"a key that is swept once ({swept})")
        found = [part for part in parts if part is not None]
        if len({len(part) for part in found}) > 1:
            lengths = ", ".join(f"{part.keys[0]} has {len(part)}" for part in found)
            raise ConfigError("sweep.zip", list(keys), "keys with equally many values", lengths)
        place = merged.index(found[0])
        merged[place] = Axis(
            tuple(part.keys[0] for part in found),
            tuple(part.values[0] for part in found),
            tuple(part.is_group[0] for part in found),
        )
        merged = [axis for axis in merged if axis not in found[1:]]
    return tuple(merged)


def listed_points(path: Path) -> list[dict[str, str]]:
    """The points of a CSV file (a header of keys, a row per point) or a YAML file (a list of mappings).

    Values are texts in the grammar of overrides; what a point does not set is left out.

    Raises:
        ConfigError: a file that cannot be read as either.
    """
    import yaml

    try:
        content = path.read_text()
        if path.suffix == ".csv":
            rows: Any = [
                {key: value for key, value in row.items() if value not in (None, "")}
                for row in csv.DictReader(content.splitlines(), strict=True)
            ]
        else:
            rows = yaml.load(content, Loader=yaml.CSafeLoader)
    except (OSError, UnicodeDecodeError, csv.Error, yaml.YAMLError) as error:
        raise ConfigError("sweep.points", path, "a file of points", " ".join(str(error).split())) from error
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) and row for row in rows):
        raise ConfigError("sweep.points", path, "a list of points, each a mapping of keys to values")
    return [{str(key): as_override_text(value) for key, value in row.items() if key} for row in rows]


def as_override_text(value: Any) -> str:
    """A value of a points file in the grammar of overrides."""
    if isinstance(value, list):
        return f"[{','.join(as_override_text(entry) for entry in value)}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
