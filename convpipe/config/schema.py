"""The JSON Schema of a config, for editors that complete and check an experiment file as it is written.

A group is one object whose other forms (the name of a choice, a list of numbers) stand beside it, and what belongs to
one source or operation comes by `if` and `then`: so a validator names the wrong key, and not each way to be right.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from convpipe.config.hydra_safety import HYDRAS
from convpipe.config.keys import EXPERIMENT, is_group
from convpipe.config.parts import SETTINGS
from convpipe.config.tree import WRITTEN_OUT, choices_of, config_folder, values_of
from convpipe.fields import Check, Kinds, Schema, Setting, join, optional

DIALECT = "https://json-schema.org/draft/2020-12/schema"
# What Hydra itself reads in such a file.
HYDRA = {name: {} if name == "verbose" else {"type": "object"} for name in HYDRAS}
OF_HYDRA = {
    "defaults": {"type": "array", "items": {"type": ["string", "object"], "maxProperties": 1}},
    "hydra": {"type": "object", "properties": HYDRA, "additionalProperties": False},
}
HYDRAS_DOTTED = rf"^hydra\.({'|'.join(HYDRA)})(\..+)?$"
LAYER = "network.LAYER"
REFERENCE = {"type": "string", "pattern": r"\$\{|^\?\?\?$"}  # to another key; or a value that is to come
REFERENCES = {"type": "array", "contains": REFERENCE}


def schema() -> Schema:
    """The JSON Schema of an experiment file: the keys of a config, a group also by the name of a choice.

    >>> schema()["properties"]["seed"]["default"]
    0
    """
    groups = {name: Group(name, each) for name, each in SETTINGS.items() if each.check.kinds()}
    found = {name: groups[name].schema() if name in groups else leaf(each) for name, each in SETTINGS.items()}
    experiment = {"description": EXPERIMENT.says, "enum": [*choices_of("experiment"), None]}
    below = {name: reference(name) for group in groups.values() for name in group.below}
    dotted = {name: each for name, each in below.items() if not name.startswith(LAYER)}
    in_layers = {LAYER: reference(LAYER), **{name: each for name, each in below.items() if name not in dotted}}
    layers = {f"^{re.escape(name).replace('LAYER', '[^.]+')}$": each for name, each in in_layers.items()}
    return {
        "$schema": DIALECT,
        "title": "convpipe",
        "type": "object",
        "properties": {**found, "experiment": experiment, **OF_HYDRA, **dotted},
        "patternProperties": {HYDRAS_DOTTED: {}, **layers},
        "additionalProperties": False,
        "$defs": {name: each for group in groups.values() for name, each in group.definitions()},
    }


# Values


def leaf(setting: Setting) -> Schema:
    """The JSON Schema of a setting that is no group; it may refer to another, too.

    >>> leaf(SETTINGS["workers"])["default"]
    1
    """
    found = {"description": setting.says, "anyOf": [taken(setting.check), REFERENCE, REFERENCES]}
    default = list(setting.default) if isinstance(setting.default, tuple) else setting.default
    plain = default is None or isinstance(default, str | int | float | list)
    return {**found, "default": default} if plain else found


def taken(check: Check) -> Schema:
    """What a check takes; of a group within a group, that of its settings."""
    kinds = check.kinds()
    if list(kinds) != [""]:
        return check.schema()
    settings = {"type": "object", **closed({name: leaf(each) for name, each in kinds[""].items()})}
    return {"anyOf": [{"type": "null"}, settings]} if isinstance(check, optional) else settings


def reference(name: str) -> Schema:
    """What is defined under a name."""
    return {"$ref": f"#/$defs/{name}"}


def closed(properties: Mapping[str, Schema]) -> Schema:
    """These keys and no others."""
    return {"properties": dict(properties), "additionalProperties": False}


# Groups


@dataclass(frozen=True)
class Group:
    """A group of settings; where it has kinds, a setting `by` tells which one the others belong to."""

    name: str
    setting: Setting

    def schema(self) -> Schema:
        """Settings, a choice by its name, nothing where that may be, and a list of numbers where one may be."""
        may_be_null = isinstance(self.setting.check, optional)
        may_be_list = self.name in WRITTEN_OUT
        types = ["object", "string", *["null"] * may_be_null, *["array"] * may_be_list]
        named: Schema = {"type": "string", "not": REFERENCE}
        chosen: Schema = {"enum": self.choices} if self.choices else {"type": "object"}
        content = {"additionalProperties": reference(LAYER)} if self.setting.check.below else self.content()
        return {"description": self.setting.says, "type": types, "if": named, "then": chosen, **content}

    def content(self) -> Schema:
        """The keywords about the settings: by the kind that they name, or of any."""
        if not self.by:
            return closed(self.own(""))
        branches = [{"if": self.says(self.called[kind]), "then": closed(self.own(kind))} for kind in self.kinds]
        known = [name for names in self.called.values() for name in names]
        every = {name.rpartition(".")[2]: reference(name) for name in self.below}
        return {"allOf": [*branches, {"if": {"not": self.says(known)}, "then": closed(every)}]}

    def says(self, names: list[str]) -> Schema:
        """A group that says that it is of a kind, or what is no group."""
        return {"properties": {self.by: {"enum": names}}, "required": [self.by]}

    def own(self, kind: str) -> dict[str, Schema]:
        """The settings of a kind."""
        return {name: reference(self.home(join(self.place, name), kind)) for name in self.kinds[kind]}

    @cached_property
    def kinds(self) -> Kinds:
        """The settings of each kind."""
        return self.setting.check.kinds()

    @property
    def place(self) -> str:
        """The key under which the settings are."""
        return LAYER if self.setting.check.below else self.name

    @property
    def by(self) -> str:
        """The setting by which kinds are told apart; nothing where there is but one."""
        return next((by for by in ("source", "op") if all(by in settings for settings in self.kinds.values())), "")

    @cached_property
    def choices(self) -> list[str]:
        """What the group may be called by in a file."""
        return list(choices_of(self.name)) if is_group(self.name) else []

    @cached_property
    def called(self) -> dict[str, list[str]]:
        """What each kind is called in a file: by its own name, and by choices that are of that kind."""
        found = {kind: [kind] for kind in self.kinds}
        for choice in choices_of(self.name) if self.by == "source" else ():
            kind = values_of(config_folder() / self.name / f"{choice}.yaml").get("source")
            if kind in found and choice not in found:
                found[kind].append(choice)
        return found

    @cached_property
    def below(self) -> dict[str, dict[str, Schema]]:
        """The schemas of the settings: by their keys, then by their kinds."""
        found: dict[str, dict[str, Schema]] = {}
        for kind, settings in self.kinds.items():
            for name, each in settings.items():
                made = self.naming(each) if name == self.by else leaf(each)
                found.setdefault(join(self.place, name), {})[kind] = made
        return found

    def naming(self, setting: Setting) -> Schema:
        """The setting that names the kind."""
        names = [*self.kinds, *(self.choices if self.by == "source" else ())]
        return {"description": setting.says, "if": {"not": REFERENCE}, "then": {"enum": list(dict.fromkeys(names))}}

    def definitions(self) -> Iterator[tuple[str, Schema]]:
        """Each different setting once, under its key where there is but one; and a layer."""
        for name, schemas in self.below.items():
            homes = {self.home(name, kind): each for kind, each in schemas.items()}
            yield from homes.items()
            if name not in homes:
                yield name, {"anyOf": [reference(each) for each in homes]}
        if self.setting.check.below:
            yield LAYER, {"type": "object", **self.content()}

    def home(self, name: str, kind: str) -> str:
        """Where the schema of a setting is defined: that of the first kind that has the same, or of all."""
        schemas = self.below[name]
        same = [other for other, each in schemas.items() if each == schemas[kind]]
        return name if len(same) == len(schemas) else f"{name}.{same[0]}"
