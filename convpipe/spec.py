"""What one run is: frozen, checked settings. Equal specs are the same run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from convpipe.fields import anything, choice, dtype_name, field, number, optional, several, text, whole
from convpipe.ops.matmul import OVERFLOWS
from convpipe.sources import FilterSource, InputSource

KEEPS = ("output", "stages")


@dataclass(frozen=True)
class ConvSettings:
    """How filters meet the input; what only the rank can judge is judged by `geometry`."""

    stride: Any = field(anything, 1)
    pad: Any = field(anything, 0)
    dilation: Any = field(anything, 1)
    groups: int = field(whole(1), 1)
    pad_mode: str = field(text, "constant")
    pad_value: float = field(number(), 0)
    dtype: str | None = field(optional(dtype_name()), None)
    overflow: str = field(choice(OVERFLOWS), "error")


@dataclass(frozen=True)
class LoweringSettings:
    """The chain of stages."""

    stages: tuple[str, ...] = field(several(text))


@dataclass(frozen=True)
class Spec:
    """One run: its config without what only says where and how to execute it."""

    seed: int
    input: InputSource
    filters: FilterSource
    conv: ConvSettings
    lowering: LoweringSettings
    keep: str


def plain(spec: Spec) -> dict[str, Any]:
    """A spec as the config that makes it: nested dicts and lists of plain values.

    A value that is null is left out, so that a setting added later changes no older run's identity.
    """
    config: dict[str, Any] = listed(dataclasses.asdict(spec))
    return config


def listed(value: Any) -> Any:
    """Tuples as lists, nulls left out."""
    if isinstance(value, dict):
        return {key: listed(entry) for key, entry in value.items() if entry is not None}
    return [listed(entry) for entry in value] if isinstance(value, list | tuple) else value


def run_id(config: dict[str, Any]) -> str:
    """The first 12 hex digits of the SHA-256 of a plain config, written as canonical JSON."""
    canonical = json.dumps(config, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]
