"""A chain as settings: its stages, each an operation by its name, perhaps with settings of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from convpipe.errors import ConfigError
from convpipe.fields import judged, read_given, settings_of
from convpipe.ops.kinds.operation import chosen
from convpipe.ops.kinds.registry import OPERATIONS


@dataclass(frozen=True)
class Stage:
    """One stage of a chain: its operation's name, and the settings that say something else than the default.

    `usual` names those that say the default, which is no part of what a run is.
    """

    op: str
    settings: tuple[tuple[str, Any], ...] = ()
    usual: tuple[str, ...] = ()

    def plain(self) -> Any:
        """The stage as YAML has it.

        >>> Stage("clip", (("low", 0),)).plain(), Stage("pad").plain()
        ({'clip': {'low': 0}}, 'pad')
        """
        if not self.settings:
            return self.op
        kind = OPERATIONS.get("stages", self.op)
        known, written = settings_of(kind, ""), kind.as_written(dict(self.settings))
        canonical = {name: known[name].check.canonical(value) for name, value in self.settings if name not in written}
        return {self.op: {**dict(self.settings), **canonical}}


def listed_stages(key: str, value: Any) -> str | tuple[Stage, ...] | None:
    """Null, the name of a lowering, or a list of stages.

    Raises:
        ConfigError: a stage that there is not, or settings that it does not have.
    """
    if value is None or (isinstance(value, str) and value):
        return value
    if not isinstance(value, Sequence) or not value:
        raise ConfigError(key, value, "a list of at least one stage, or the name of a lowering")
    return tuple(read_stage(f"{key}[{position}]", entry) for position, entry in enumerate(value))


def read_stage(key: str, value: Any) -> Stage:
    """One stage: a name, or a name with settings."""
    if isinstance(value, Stage):
        return value
    with_settings = isinstance(value, Mapping) and len(value) == 1
    ((name, given),) = value.items() if with_settings else [(value, None)]
    if given is not None and not isinstance(given, Mapping):
        raise ConfigError(f"{key}.{name}", given, "settings of the stage")
    kind = OPERATIONS.get(key, name)
    if not kind.stage:
        raise ConfigError(key, name, "an operation that can be a stage, not one that has stages itself")
    read = read_given(kind, f"{key}.{name}", given or {})
    known = settings_of(kind, "")
    other = chosen(kind, {setting: known[setting].check.canonical(entry) for setting, entry in read.items()})
    return Stage(name, tuple((each, read[each]) for each in sorted(other)), tuple(sorted(read.keys() - other.keys())))


STAGES = "The chain of stages: the name of a lowering, or a list of stages, each a name or a name with settings."
STAGE = {"anyOf": [{"type": "string"}, {"type": "object", "minProperties": 1, "maxProperties": 1}]}
stage_list = judged(
    listed_stages,
    "null, the name of a lowering, or a list of stages",
    {"anyOf": [{"type": ["string", "null"]}, {"type": "array", "items": STAGE, "minItems": 1}]},
)
