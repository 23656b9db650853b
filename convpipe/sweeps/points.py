"""The points of a sweep as jobs: each composed, sifted by `where` and read when it is its turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from convpipe.config.expressions import Expression
from convpipe.config.read import JobReader
from convpipe.config.settings import Job
from convpipe.errors import ConfigError, GeometryError, GeometrySettingError, UsageError, shown
from convpipe.files.yaml import dotted
from convpipe.graph.memo import Latest
from convpipe.graph.spec import describe
from convpipe.sweeps.axes import Point
from convpipe.sweeps.composer import Composer

# What says how the whole sweep is run: an experiment that is swept over cannot say something else.
OF_THE_SWEEP = ("where", "invalid", "retry", "on_error", "sweep", "workers", "cluster", "dry_run")
MOST_CHARACTERS = 200  # of a point's overrides in a line


@dataclass
class Points:
    """The points of one sweep."""

    composer: Composer
    whole: Mapping[str, Any]  # the config of the sweep as a whole
    where: Expression | None
    reader: JobReader = field(default_factory=JobReader)
    parts: Latest = field(default_factory=Latest)
    left_out: int = 0

    def jobs(self) -> Iterator[tuple[Point, Job]]:
        """The job of every point that `where` lets through.

        Raises:
            UsageError: a point whose config cannot be, named by its overrides.
        """
        self.left_out = 0
        for point in self.composer.sweep.space.points():
            try:
                config = self.composer.compose(point)
                self.check_whole(config)
                if self.where is not None and not self.where(dict(dotted(config))):
                    self.left_out += 1
                    continue
                yield point, self.reader.read(config)
            except ConfigError as error:
                raise at_point(point, error) from error

    def identity(self, job: Job) -> str:
        """The id of a job's run."""
        return describe(job.spec, self.parts).identity

    def check_whole(self, config: Mapping[str, Any]) -> None:
        """A point says nothing of its own about how the sweep is run."""
        for key in OF_THE_SWEEP:
            if config.get(key) != self.whole.get(key):
                raise not_of_the_sweep(key, config.get(key), self.whole.get(key))


def not_of_the_sweep(key: str, found: Any, whole: Any) -> ConfigError:
    """A point that says something of its own about the sweep, by the innermost key that differs."""
    if isinstance(found, Mapping) and isinstance(whole, Mapping):
        name = next(name for name in {**whole, **found} if found.get(name) != whole.get(name))
        return not_of_the_sweep(f"{key}.{name}", found.get(name), whole.get(name))
    return ConfigError(key, found, f"{shown(whole)}, as the sweep itself has it", "sweep over such an experiment alone")


def point_text(point: Point) -> str:
    """A point's overrides as one would type them.

    >>> point_text(())
    'the only point'
    """
    return " ".join(setting.text for setting in point) or "the only point"


def at_point(point: Point, error: Exception) -> UsageError:
    """An error with the overrides of the point that it is about."""
    return UsageError(f"{shown(point_text(point), MOST_CHARACTERS)}: {error}")


def is_impossible(error: ConfigError) -> bool:
    """Whether an error is about sizes that cannot be, and not about a setting that nobody understands."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, GeometryError):
        found = found.__cause__
    return found is not None and not isinstance(found, GeometrySettingError)
