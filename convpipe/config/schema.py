"""The JSON Schema of a config, for editors that complete and check an experiment file as it is written."""

import re

from convpipe.config.keys import EXPERIMENT, is_group, keys
from convpipe.config.parts import SETTINGS
from convpipe.config.tree import choices_of
from convpipe.fields import Schema, object_schema

DIALECT = "https://json-schema.org/draft/2020-12/schema"
# What Hydra itself reads in such a file.
HYDRA = {"sweeper": {"type": "object"}, "launcher": {"type": "object"}, "verbose": {}}
HYDRAS = {
    "defaults": {"type": "array", "items": {"type": ["string", "object"], "maxProperties": 1}},
    "hydra": {"type": "object", "properties": HYDRA, "additionalProperties": False},
}


def schema() -> Schema:
    """The JSON Schema of an experiment file: the keys of a config, a group also by the name of a choice.

    >>> schema()["properties"]["seed"]["default"]
    0
    """
    found = object_schema({**SETTINGS, "experiment": EXPERIMENT})
    for name, entry in found["properties"].items():
        if is_group(name):
            entry["anyOf"].insert(0, {"enum": list(choices_of(name))})
    found["properties"]["experiment"]["anyOf"] = [{"enum": [*choices_of("experiment"), None]}]
    found["properties"].update(HYDRAS)
    return {"$schema": DIALECT, "title": "convpipe", **found, "patternProperties": {dotted_keys(): {}}}


def dotted_keys() -> str:
    """The pattern of a key from the top, such as ``conv.pad``: the value of one is anything."""
    names = {re.escape(key.name).replace("LAYER", r"\w+") for key in keys() if "." in key.name}
    hydras = {re.escape(f"hydra.{name}") for name in HYDRA}
    return rf"^({'|'.join(sorted(names))}|({'|'.join(sorted(hydras))})(\..+)?|network\.\w+)$"
