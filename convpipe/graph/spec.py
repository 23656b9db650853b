"""What one run is: frozen, checked settings. Equal specs are the same run."""

import dataclasses
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from operator import attrgetter
from typing import Any

from convpipe.archive.identity import Described, Part, canonical_entry, config_cells, joined_id
from convpipe.fields import Setting, choice, field, judged, optional, settings_of, whole
from convpipe.files.yaml import yaml_lines
from convpipe.geometry.columns import AS_USUAL, ORDERS, Columns, Order, Tile
from convpipe.graph.memo import Memo
from convpipe.ops import MAIN, Convolving, ConvSettings, Operation
from convpipe.ops.conv import Conv
from convpipe.ops.kinds.quantised import QUANTITIES, Quant, setting_of, with_setting
from convpipe.ops.kinds.stages import STAGES, Stage, stage_list
from convpipe.ops.kinds.suiting import key_of
from convpipe.sources import Source
from convpipe.sources.kinds.source import ROLES, Stored, is_stored

by_role = attrgetter(*ROLES)  # of a spec


ORDER = "How a row of the columns lies: channels first, as C,kh,kw, or the taps, as NHWC machines have it, kh,kw,C."
TILE = "[rows,K,F]: the size of the array that columns and filters are cut for, filled up with zeros; null cuts none."


def tile_sizes(key: str, value: Any) -> tuple[int, ...]:
    """Three whole numbers."""
    if not isinstance(value, list | tuple) or len(value) != len(fields(Tile)):
        raise sizes_of_a_tile.refused(key, value)
    return tuple(whole(1)(f"{key}[{position}]", entry) for position, entry in enumerate(value))


sizes_of_a_tile = judged(
    tile_sizes,
    "[rows,K,F], three sizes from 1",
    {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 3, "maxItems": 3},
)


@dataclass(frozen=True)
class LoweringSettings:
    """The chain of stages of a convolution, and how its columns lie and are cut."""

    stages: Any = field(stage_list, None, STAGES)  # as read a name or null, in a spec a tuple of stages
    order: Order = field(choice(ORDERS), ORDERS[0], ORDER, later=True)
    tile: Any = field(optional(sizes_of_a_tile), None, TILE, later=True)

    @property
    def columns(self) -> Columns:
        """How columns lie and are cut."""
        return Columns(self.order, None if self.tile is None else Tile(*self.tile))


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
    bias: Source | None = None
    grad: Source | None = None
    network: dict[str, Layer] | None = None
    weights: Source | None = None
    labels: Source | None = None
    quant: Quant | None = None
    record: int | None = None  # how many images of the batch have their stages recorded; None is all


def sources_by_key(spec: Spec) -> dict[str, Source]:
    """All sources of a spec, by the keys that they are under: mostly a group, of numbers of a quantised convolution
    a setting of that.
    """
    found = {role: source for role, source in zip(ROLES, by_role(spec), strict=True) if source is not None}
    quant = spec.quant
    if quant is not None:
        values = {key_of(role): setting_of(quant, role) for role in QUANTITIES}
        found |= {key: value for key, value in values.items() if isinstance(value, Source)}
    return found


def with_sources(spec: Spec, sources: Mapping[str, Source]) -> Spec:
    """A spec with other sources, by their keys."""
    changes: dict[str, Any] = {key: source for key, source in sources.items() if key in ROLES}
    quant = spec.quant
    for role in QUANTITIES:
        if quant is not None and key_of(role) in sources:
            quant = with_setting(quant, role, sources[key_of(role)])
    return replace(spec, **changes, quant=quant)


def sources_of(spec: Spec) -> list[Source]:
    """All sources of a spec."""
    return list(sources_by_key(spec).values())


def stored_sources(spec: Spec) -> dict[str, Stored]:
    """Those that read a file, by key."""
    return {key: source for key, source in sources_by_key(spec).items() if is_stored(source)}


def describe(spec: Spec, memo: Memo | None = None) -> Described:
    """A spec in every form that an archive needs; what is the same object as in the spec before is kept.

    A value that is null is left out, so that a setting added later changes no older run's identity.
    """
    there = {name: value for name, value in vars(spec).items() if value is not None}
    for name in unread_parts(spec):
        there.pop(name, None)
    parts: dict[str, Part] = (memo or Memo()).each("described", there, part_of)
    return Described(parts, joined_id([parts[key].entry for key in sorted(parts)]), paths_of(spec))


def long_parts(spec: Spec, memo: Memo) -> Mapping[str, Part]:
    """Of a spec the parts that may be long, described: numbers that are written out, and a network."""
    names = (name for name in (*ROLES, "network") if getattr(spec, name) is not None)
    return memo.each("described", {name: getattr(spec, name) for name in names}, part_of)


def unread_parts(spec: Spec) -> tuple[str, ...]:
    """Parts of a spec that nothing reads: of a network, weights that no layer has, stages that none does without."""
    if spec.network is None:
        return ()
    layers = [layer.operation for layer in spec.network.values()]
    weighed = any(has_weights(operation) for operation in layers)
    usual = spec.lowering.columns == AS_USUAL  # or else it counts for layers that have stages of their own, too
    lowered = any(isinstance(each, Conv) and not (usual and (each.stages or not each.forward)) for each in layers)
    return ("weights",) * (not weighed) + ("lowering",) * (not lowered)


def has_weights(operation: Operation) -> bool:
    """Whether a layer reads more than what other layers make."""
    kind = type(operation)
    return isinstance(operation, Convolving) or any(role != MAIN for role in kind.reads)


def paths_of(spec: Spec) -> dict[str, str]:
    """Where the files lie that a spec's sources read, as they were given, by key; those of packages left out."""
    return {key: source.path for key, source in sources_by_key(spec).items() if hasattr(source, "path")}


def part_of(key: str, value: Any) -> Part:
    """One key of a spec in all its forms."""
    found = listed(wired(value) if key == "network" else value)
    lines = "".join(yaml_lines({key: found}))
    return Part(found, canonical_entry(key, found), lines, tuple(config_cells({key: found}).items()))


def wired(network: Mapping[str, Layer]) -> dict[str, Layer]:
    """Layers that read the one before them, without saying so."""
    befores = zip(network.items(), ("input", *network), strict=False)
    return {
        name: replace(layer, inputs=None) if layer.inputs == (before,) else layer for (name, layer), before in befores
    }


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
    """The settings of one kind in canonical form: each in its shortest spelling, and what nothing reads at its default.

    Left out are those that say no more than where a file lies, and at their defaults those that came later than
    archives did.
    """
    kind: Any = type(value)
    unread = value.unread() if hasattr(value, "unread") else ()
    written = kind.as_written(vars(value)) if hasattr(kind, "as_written") else ()
    found = {}
    for name, setting in counting(kind, getattr(value, "role", "")):
        given = setting.default if name in unread else getattr(value, name)
        found[name] = given if name in written else setting.check.canonical(given)
    for name, default in later_defaults(kind):
        if found[name] == default:
            del found[name]
    return found


@cache
def counting(kind: Hashable, role: str) -> tuple[tuple[str, Setting], ...]:
    """The settings of a dataclass that say what is computed, in order; of a source, those that it has in its role."""
    somewhere = {entry.name for entry in dataclasses.fields(kind) if entry.metadata.get("identity") is False}  # type: ignore[arg-type]
    settings = settings_of(kind, role)  # type: ignore[arg-type]
    return tuple((name, setting) for name, setting in settings.items() if name not in somewhere)


@cache
def later_defaults(kind: Hashable) -> tuple[tuple[str, Any], ...]:
    """The settings that came later than archives did, and their defaults."""
    entries = dataclasses.fields(kind)  # type: ignore[arg-type]
    return tuple((entry.name, entry.default) for entry in entries if entry.metadata.get("later"))
