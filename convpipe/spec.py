"""What one run is: frozen, checked settings. Equal specs are the same run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from convpipe.latest import Latest
from convpipe.lowerings.settings import ConvSettings, LoweringSettings
from convpipe.plainyaml import dotted, encoded, yaml_lines
from convpipe.sources import BiasSource, FilterSource, GradSource, InputSource, LabelSource, WeightSource

if TYPE_CHECKING:
    from convpipe.layers import Layer

__all__ = ["KEEPS", "ConvSettings", "LoweringSettings", "Spec", "describe", "plain", "run_id"]

CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)
KEEPS = ("output", "stages")


@dataclass(frozen=True)
class Spec:
    """One run: its config without what only says where and how to execute it.

    Either a single convolution (filters and conv) or a network (and its weights).
    """

    seed: int
    input: InputSource
    filters: FilterSource | None
    conv: ConvSettings | None
    lowering: LoweringSettings
    keep: str
    bias: BiasSource | None = None
    grad: GradSource | None = None
    network: dict[str, Layer] | None = None
    weights: WeightSource | None = None
    labels: LabelSource | None = None
    record: int | None = None  # how many images of the batch have their stages recorded; None is all


@dataclass(frozen=True)
class Part:
    """One key of a spec in every form that an archive needs of it."""

    value: Any  # plain: nested dicts and lists
    entry: str  # canonical JSON, as the run id has it
    yaml: str  # its lines of config.yaml
    cells: tuple[tuple[str, str], ...]  # dotted keys and texts, as results.csv has them


@dataclass(frozen=True)
class Described:
    """A spec as the config that makes it, key by key."""

    parts: Mapping[str, Part]
    identity: str  # the run id

    @property
    def config(self) -> dict[str, Any]:
        """Nested dicts and lists of plain values."""
        return {key: part.value for key, part in self.parts.items()}

    @property
    def yaml(self) -> bytes:
        """config.yaml."""
        return encoded("".join([part.yaml for part in self.parts.values()]))

    @property
    def cells(self) -> dict[str, str]:
        """The config's cells in a table of results."""
        return {key: text for part in self.parts.values() for key, text in part.cells}


def describe(spec: Spec, latest: Latest | None = None) -> Described:
    """A spec in every form that an archive needs; what is the same object as in the spec before is kept.

    A value that is null is left out, so that a setting added later changes no older run's identity.
    """
    there = {name: value for name, value in vars(spec).items() if value is not None}
    parts: dict[str, Part] = (latest or Latest()).each(there, part_of)
    return Described(parts, joined_id([parts[key].entry for key in sorted(parts)]))


def part_of(key: str, value: Any) -> Part:
    """One key of a spec in all its forms."""
    found = listed(value)
    lines = "".join(yaml_lines({key: found}))
    return Part(found, canonical_entry(key, found), lines, tuple(config_cells({key: found}).items()))


def config_cells(config: Mapping[str, Any]) -> dict[str, str]:
    """A plain config as cells of a table, by dotted key.

    >>> config_cells({"conv": {"stride": [1, 2]}, "seed": 0})
    {'conv.stride': '[1, 2]', 'seed': '0'}
    """
    return {key: str(value) for key, value in dotted(config)}


def plain(spec: Spec) -> dict[str, Any]:
    """A spec as the config that makes it: nested dicts and lists of plain values, nulls left out."""
    return describe(spec).config


def listed(value: Any) -> Any:
    """Settings as dicts, tuples as lists, nulls left out; a quarter of the time of `dataclasses.asdict`."""
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, list | tuple):
        return [listed(entry) for entry in value]
    if not isinstance(value, dict):
        value = {name: getattr(value, name) for name in field_names(type(value))}  # type: ignore[arg-type]
    return {key: listed(entry) for key, entry in value.items() if entry is not None}


@cache
def field_names(kind: Hashable) -> tuple[str, ...]:
    """The names of a dataclass's fields, in order."""
    return tuple(entry.name for entry in dataclasses.fields(kind))  # type: ignore[arg-type]


def run_id(config: Mapping[str, Any]) -> str:
    """The first 12 hex digits of the SHA-256 of a plain config, written as canonical JSON.

    Keys are sorted, but for a network's layers, whose order has a meaning.
    """
    return joined_id([canonical_entry(key, config[key]) for key in sorted(config)])


def canonical_entry(key: str, value: Any) -> str:
    """One key of a plain config and its value as canonical JSON."""
    ordered = list(value.items()) if key == "network" else value
    return f"{CANONICAL.encode(key)}:{CANONICAL.encode(ordered)}"


def joined_id(entries: Iterable[str]) -> str:
    """The run id of a config whose sorted entries are canonical JSON already."""
    return hashlib.sha256(f"{{{','.join(entries)}}}".encode()).hexdigest()[:12]
