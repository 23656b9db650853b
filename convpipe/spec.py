"""What one run is: frozen, checked settings. Equal specs are the same run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from convpipe.lowerings.settings import ConvSettings, LoweringSettings
from convpipe.sources import BiasSource, FilterSource, GradSource, InputSource, LabelSource, WeightSource

if TYPE_CHECKING:
    from convpipe.layers import Layer

__all__ = ["KEEPS", "ConvSettings", "LoweringSettings", "Spec", "plain", "run_id"]

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


def plain(spec: Spec) -> dict[str, Any]:
    """A spec as the config that makes it: nested dicts and lists of plain values.

    A value that is null is left out, so that a setting added later changes no older run's identity.
    """
    config: dict[str, Any] = listed(spec)
    return config


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
    ordered = {"network": list(config["network"].items())} if "network" in config else {}
    canonical = json.dumps({**config, **ordered}, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]
