"""What a config may say, as frozen dataclasses: how to execute, and the job as a whole."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from convpipe.errors import ConfigError
from convpipe.execution import provenance
from convpipe.execution.runner import Place
from convpipe.fields import choice, field, one_or_several, optional, read, several, size_in_bytes, text, truth, whole
from convpipe.graph.spec import Spec

T = TypeVar("T")
COLLECTION_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}\Z")  # file systems end at 255 bytes
MEMORY_SHARE = 0.8


def collection_name(key: str, value: Any) -> str:
    """A folder's name: it cannot lead out of the root."""
    if not isinstance(value, str) or not COLLECTION_NAME.match(value):
        hint = f"in quotes: name=\"'{value}'\"" if isinstance(value, int) else ""
        raise ConfigError(key, value, "a folder name of at most 200 letters, digits, '_', '-' and '.'", hint)
    return value


def mapping(key: str, value: Any) -> Mapping[str, Any]:
    """A group of settings."""
    if not isinstance(value, Mapping):
        raise ConfigError(key, value, "a group of settings")
    return value


def group(kind: type[T]) -> Callable[[str, Any], T]:
    """A reader of a group of settings of one kind."""
    return lambda key, value: read(kind, key, mapping(key, value))


@dataclass(frozen=True)
class Limits:
    """What a run may use."""

    memory: int | None = field(optional(size_in_bytes), None)
    runs: int = field(whole(1), 1_000_000)


@dataclass(frozen=True)
class Timing:
    """How stages are timed."""

    repeats: int = field(whole(1, 10_000), 1)


@dataclass(frozen=True)
class SweepSettings:
    """What makes the points of a sweep, beyond the product of all values given."""

    zip: tuple[Any, ...] | None = field(optional(several(one_or_several(text))), None)
    points: str | None = field(optional(text), None)
    sample: int | None = field(optional(whole(1)), None)
    seed: int = field(whole(0), 0)


@dataclass(frozen=True)
class Cluster:
    """Other machines to run a sweep on."""

    kind: str = field(text)  # one of the files in sweeps/clusters
    address: str | None = field(optional(text), None)


@dataclass(frozen=True)
class Execution:
    """How to run, and where to put it: never part of a run's identity."""

    name: str = field(collection_name)
    root: str = field(text)
    dry_run: bool = field(truth, False)
    trace: bool = field(truth, False)
    workers: int = field(whole(1, 4096), 1)
    threads: int = field(whole(1, 4096), 1)
    limits: Limits = field(group(Limits), Limits())
    timing: Timing = field(group(Timing), Timing())
    sweep: SweepSettings = field(group(SweepSettings), SweepSettings())
    where: str | None = field(optional(text), None)
    invalid: str = field(choice(["error", "skip"]), "error")
    retry: str | None = field(optional(choice(["failed"])), None)
    on_error: str = field(choice(["continue", "stop"]), "continue")
    cluster: Cluster | None = field(lambda key, value: group(Cluster)(key, value) if value else None, None)

    @cached_property
    def place(self) -> Place:
        """Where and how, as the runner takes it."""
        memory = self.limits.memory or int(MEMORY_SHARE * provenance.memory_bytes())
        return Place(Path(self.root) / self.name, memory, self.threads, self.timing.repeats)


@dataclass(frozen=True)
class Job:
    """A whole config, checked: what to run and how."""

    spec: Spec
    execution: Execution


SPEC_KEYS = tuple(entry.name for entry in fields(Spec))
EXECUTION_KEYS = tuple(entry.name for entry in fields(Execution))
