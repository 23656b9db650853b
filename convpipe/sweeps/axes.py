"""The points of a sweep: axes from Hydra's override grammar, and what goes beyond their product.

An axis is a list of settings that advance together; the points are the product of the axes, thinned by a
random sample where one is asked for. Nothing is expanded before its size is known.
"""

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice
from math import ceil, prod
from typing import Any

from hydra.core.override_parser.types import Override, Transformer

from convpipe.config.words import as_typed
from convpipe.errors import ConfigError, did_you_mean
from convpipe.fields import LARGEST

MOST_READY = 10_000  # steps of an axis that are kept once made; of a longer one only the last is
LAST = 1 << 30  # the rank of what comes after all overrides


@dataclass(frozen=True)
class Setting:
    """One override of a point: its key (with any prefix), its parsed value, and both as typed.

    Its rank is its place among all overrides, as the last word counts.
    """

    key: str
    value: Any
    text: str
    is_group: bool = False
    rank: int = LAST


Point = tuple[Setting, ...]


def point_text(point: Point, experiment: str = "") -> str:
    """A point's overrides as one would type them, behind the word that chooses its experiment, if there are several.

    >>> point_text(()), point_text((), "experiment=tiny")
    ('the only point', 'experiment=tiny')
    """
    text = as_typed(" ".join([setting.text for setting in point]))
    return f"{experiment} {text}".strip() or "the only point"


@dataclass(frozen=True)
class Swept:
    """One key and all its values."""

    key: str
    values: Sequence[Any]
    is_group: bool
    rank: int

    def at(self, position: int) -> Setting:
        """The setting of one step."""
        value = self.values[position]
        chooses = self.is_group and not isinstance(value, dict)
        plain = Override._convert_value(value)  # as Hydra has it where there is one value
        text = str(value) if type(value) is int else Transformer.str(value)  # a tenth of the time
        return Setting(self.key, plain, f"{self.key}={text}", chooses, self.rank)


@dataclass(frozen=True)
class Axis:
    """Keys that advance together, each with equally many values."""

    parts: tuple[Swept, ...]

    def __len__(self) -> int:
        return len(self.parts[0].values)

    @property
    def keys(self) -> tuple[str, ...]:
        """Its keys."""
        return tuple(part.key for part in self.parts)

    @cached_property
    def at(self) -> Callable[[int], Point]:
        """What gives the settings of one step: the same objects again, so that what reads configs knows them."""
        most = MOST_READY if len(self) <= MOST_READY else 1
        return lru_cache(most)(lambda position: tuple(part.at(position) for part in self.parts))


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
    """All numbers from `start` to `end`, or all whole ones; only a random sample can have it as an axis."""

    key: str
    start: float
    end: float
    rank: int = LAST

    def draw(self, numbers: random.Random) -> Setting:
        """One number of it."""
        whole = isinstance(self.start, int) and isinstance(self.end, int)
        value = numbers.randint(self.start, self.end) if whole else numbers.uniform(self.start, self.end)  # type: ignore[arg-type]
        return Setting(self.key, value, f"{self.key}={value!r}", rank=self.rank)


@dataclass(frozen=True)
class Space:
    """All points of a sweep, known by their number before any is made."""

    axes: tuple[Axis | Listed, ...]
    intervals: tuple[Interval, ...] = ()
    sample: int | None = None
    seed: int = 0

    @property
    def whole(self) -> int:
        """How many points the product of the axes has."""
        return prod(len(axis) for axis in self.axes)

    @property
    def size(self) -> int:
        """How many points there are."""
        if self.sample is None:
            return self.whole
        return self.sample if self.intervals else min(self.sample, self.whole)

    def points(self, start: int = 0, stop: int | None = None) -> Iterator[Point]:
        """Each point in turn, from one up to another, the last axis fastest; a sample in the order of the product."""
        if self.sample is None:
            return map(self.at, range(start, self.whole if stop is None else stop))
        if self.is_indexed:
            return map(self.at, self.indices[start:stop])
        return islice(self.drawn(), start, stop)

    @property
    def is_indexed(self) -> bool:
        """Whether a point can be made without those before it; the numbers of intervals come one after another."""
        return not self.intervals

    @cached_property
    def indices(self) -> Sequence[int]:
        """Which points of the product are in the sample, where nothing else is drawn."""
        return self.sampled(random.Random(self.seed))

    def drawn(self) -> Iterator[Point]:
        """The points of a sample, and their numbers of intervals, always the same."""
        numbers = random.Random(self.seed)
        for index in self.sampled(numbers):
            yield self.at(index) + tuple(interval.draw(numbers) for interval in self.intervals)

    def sampled(self, numbers: random.Random) -> list[int]:
        """Which points of the product are in the sample: without repetition, but where intervals tell them apart."""
        if self.intervals:
            return sorted(numbers.randrange(self.whole) for _ in range(self.size))
        return sorted(numbers.sample(range(self.whole), self.size))

    def at(self, index: int) -> Point:
        """The index-th point of the product."""
        steps = []
        for axis in reversed(self.axes):
            index, step = divmod(index, len(axis))
            steps.append(axis.at(step))
        return tuple(setting for step in reversed(steps) for setting in step)


def axis_of(override: Override, rank: int, options: Sequence[str] | None, most: int, seed: int) -> Axis | Interval:
    """The axis that one swept override describes.

    Args:
        rank: the override's place among all.
        options: the options of the group that it chooses from, None where it is no group.
        most: how many runs there may be; a longer axis is not expanded.
        seed: what shuffles an axis where ``shuffle`` is asked for.

    Raises:
        ConfigError: an axis without values, with too many, or an interval that is not of numbers.
    """
    key = override.get_key_element()
    if override.is_interval_sweep():  # of whole numbers where its ends are such: int(interval(1,8))
        swept: Any = override.value()
        ends = (swept.start, swept.end)
        if not all(map(is_finite, ends)) or not swept.start <= swept.end or swept.tags:
            raise ConfigError(key, override.input_line, "an interval(low, high) of numbers, without tags")
        return Interval(key, *ends, rank)
    values = swept_values(override, most, seed)
    if not values:
        hint = did_you_mean(str(override.input_line).partition("=")[2], options or ())
        raise ConfigError(key, override.input_line, "at least one value", hint)
    return Axis((Swept(key, values, options is not None, rank),))


def steps_of(swept: Any) -> int:
    """How many values a range has; of more than Python can count, as many as it can."""
    try:
        count: int = ceil((swept.stop - swept.start) / swept.step)
    except OverflowError:
        return sys.maxsize
    return min(sys.maxsize, max(0, count))


def swept_values(override: Override, most: int, seed: int) -> Sequence[Any]:
    """The values of a choice or a range; shuffled ones in the same order every time."""
    swept: Any = override.value()
    if override.is_range_sweep():
        if not all(map(is_finite, (swept.start, swept.stop, swept.step))):
            raise ConfigError(override.get_key_element(), override.input_line, "a range of finite numbers")
        if not swept.step:
            raise ConfigError(override.get_key_element(), override.input_line, "a step other than 0")
        count = steps_of(swept)  # range(0,1000000000) costs nothing yet
        whole = isinstance(swept.range(), range) and count < sys.maxsize
        if count > most or (whole and not swept.shuffle):
            return swept.range() if whole else range(count)  # refused by its length
    shuffled = getattr(swept, "shuffle", False)
    swept.shuffle = False  # Hydra's own would come out otherwise each time
    values = list(override.sweep_iterator())
    if shuffled:
        random.Random(seed).shuffle(values)
    return values


def is_finite(value: Any) -> bool:
    """Whether a value is a number that floats have; inf, nan and 1e400 are words of Hydra's grammar, too."""
    return isinstance(value, int | float) and abs(value) <= LARGEST


def zipped(axes: Sequence[Axis], together: Sequence[Sequence[str]]) -> tuple[Axis, ...]:
    """Axes in which each list of keys advances together, at the place of the first of them.

    Raises:
        ConfigError: a key that is not swept, or stands in two lists, or lists of different lengths.
    """
    merged = list(axes)
    for keys in together:
        found = [single_axis(key, merged, axes) for key in dict.fromkeys(keys)]
        if len({len(axis) for axis in found}) > 1:
            lengths = ", ".join(f"{axis.keys[0]} has {len(axis)}" for axis in found)
            raise ConfigError("sweep.zip", list(keys), "keys with equally many values", lengths)
        place = min(map(merged.index, found))
        joined = Axis(tuple(part for axis in found for part in axis.parts))
        merged = [joined if at == place else axis for at, axis in enumerate(merged) if at == place or axis not in found]
    return tuple(merged)


def single_axis(key: str, merged: Sequence[Axis], axes: Sequence[Axis]) -> Axis:
    """The axis of one key that is not zipped yet."""
    for axis in merged:
        if axis.keys == (key,):
            return axis
    swept = ", ".join(key for axis in axes for key in axis.keys) or "there is none"
    raise ConfigError("sweep.zip", key, f"a key that is swept, once in all lists ({swept})")
