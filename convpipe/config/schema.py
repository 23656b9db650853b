"""The JSON Schema of a config, for editors that complete and check an experiment file as it is written."""

from convpipe.config.keys import EXPERIMENT, is_group
from convpipe.config.parts import SETTINGS
from convpipe.config.tree import choices_of
from convpipe.fields import Schema, object_schema

DIALECT = "https://json-schema.org/draft/2020-12/schema"
# What Hydra itself reads in such a file.
HYDRAS = {"defaults": {"type": "array"}, "hydra": {"type": "object"}}


def schema() -> Schema:
    """The JSON Schema of an experiment file: the keys of a config, a group also by the name of a choice.

    >>> schema()["properties"]["seed"]["default"]
    0
    """
    found = object_schema({**SETTINGS, "experiment": EXPERIMENT})
    for name, entry in found["properties"].items():
        if is_group(name):
            entry["anyOf"].insert(0, {"enum": list(choices_of(name))})
    return {"$schema": DIALECT, "title": "convpipe", **found, "properties": {**found["properties"], **HYDRAS}}
