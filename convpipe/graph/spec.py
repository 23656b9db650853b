"""What one run is: frozen, checked settings. Equal specs are the same run."""

import dataclasses
from collections.abc import Hashable
from dataclasses import dataclass
from functools import cache
from typing import Any

from convpipe.archive.identity import Described, Part, canonical_entry, config_cells, joined_id
from convpipe.fields import field
from convpipe.files.yaml import yaml_lines
from convpipe.graph.memo import Memo
from convpipe.ops import Operation
from convpipe.ops.kinds.convolving import ConvSettings
from convpipe.ops.kinds.stages import STAGES, Stage, stage_list
from convpipe.sources import Source

KEEPS = ("output", "stages")


@dataclass(frozen=True)
class LoweringSettings:
    """The chain of stages of a convolution."""

    stages: Any = field(stage_list, None, STAGES)  # as read a name or null, in a spec a tuple of stages


@dataclass(frozen=True)
class Layer:
    """One node of a network: its operation, and what it reads instead of the layer before it."""

    op: str
    operation: Operation
    inputs: tuple[str, ...] | None = None

    def plain(self) -> dict[str, Any]:
        """The layer as YAML has it."""
        return {"op": self.op, "inputs": self.inputs, **told(self.operation)}


@dataclass(frozen=True)
class Spec:
    """One run: its config without what only says where and how to execute it.

    Either a single convolution (filters and conv) or a network (and its weights).
    """

    seed: int
    input: Source
    filters: Source | None
    conv: ConvSettings | None
    lowering: LoweringSettings
    keep: str
    bias: Source | None = None
    grad: Source | None = None
    network: dict[str, Layer] | None = None
    weights: Source | None = None
    labels: Source | None = None
    record: int | None = None  # how many images of the batch have their stages recorded; None is all


def describe(spec: Spec, memo: Memo | None = None) -> Described:
    """A spec in every form that an archive needs; what is the same object as in the spec before is kept.

    A value that is null is left out, so that a setting added later changes no older run's identity.
    """
    there = {name: value for name, value in vars(spec).items() if value is not None}
    parts: dict[str, Part] = (memo or Memo()).each("described", there, part_of)
    return Described(parts, joined_id([parts[key].entry for key in sorted(parts)]))


def part_of(key: str, value: Any) -> Part:
    """One key of a spec in all its forms."""
    found = listed(value)
    lines = "".join(yaml_lines({key: found}))
    return Part(found, canonical_entry(key, found), lines, tuple(config_cells({key: found}).items()))


def listed(value: Any) -> Any:
    """Settings as dicts, tuples as lists, nulls left out; a quarter of the time of `dataclasses.asdict`."""
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, list | tuple):
        return [listed(entry) for entry in value]
    if isinstance(value, Stage | Layer):
        return listed(value.plain())
    if not isinstance(value, dict):
        value = told(value)
    return {key: listed(entry) for key, entry in value.items() if entry is not None}


def told(value: Any) -> dict[str, Any]:
    """The settings of one kind, without those at their defaults that came later than archives did."""
    found = {name: getattr(value, name) for name in field_names(type(value))}  # type: ignore[arg-type]
    for name, default in later_defaults(type(value)):  # type: ignore[arg-type]
        if found[name] == default:
            del found[name]
    return found


@cache
def field_names(kind: Hashable) -> tuple[str, ...]:
    """The names of a dataclass's settings, in order."""
    return tuple(entry.name for entry in dataclasses.fields(kind) if "check" in entry.metadata)  # type: ignore[arg-type]


@cache
def later_defaults(kind: Hashable) -> tuple[tuple[str, Any], ...]:
    """The settings that came later than archives did, and their defaults."""
    entries = dataclasses.fields(kind)  # type: ignore[arg-type]
    return tuple((entry.name, entry.default) for entry in entries if entry.metadata.get("later"))
