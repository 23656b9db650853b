"""What each key of a config is: the check that reads it, its default, and a sentence about it."""

from collections.abc import Mapping
from dataclasses import MISSING, replace
from typing import Any

from convpipe.config.settings import Execution
from convpipe.errors import ConfigError, did_you_mean
from convpipe.fields import (
    Check,
    Kinds,
    Setting,
    alternatives,
    choice,
    group,
    if_given,
    mapping,
    optional,
    path,
    read,
    settings_of,
    several,
    text,
    whole,
)
from convpipe.graph import lowerings
from convpipe.graph.spec import Layer, LoweringSettings
from convpipe.ops import OPERATIONS
from convpipe.ops.conv import Conv
from convpipe.ops.kinds.convolving import ConvSettings
from convpipe.ops.kinds.operation import stands_alone
from convpipe.ops.kinds.quantised import QUANT, QUANTITIES, Quant, setting_of
from convpipe.ops.kinds.suiting import key_of
from convpipe.sources import SOURCES, read_source

SEED = "The one integer that all random numbers come from; every source draws from a stream of its own."
GRAD = "Where the gradient of the loss with respect to the convolution's output comes from."
LABELS = "Where the true class of each image comes from, which a network's answers are held against."
RECORD = "Of a network: how many images of the batch have their stages recorded; null is all. The rest runs in slices."
DATA = "A folder of your own that other settings may refer to, as in ${data}/x.npy."
OP = "What the layer does: the name of an operation."
INPUTS = "The layers it reads, by name, instead of the one before it."
# Of a layer, beside the settings of its operation.
WIRING = {"op": Setting(text, MISSING, OP), "inputs": Setting(optional(several(text)), None, INPUTS)}


def read_layer(key: str, settings: Mapping[str, Any]) -> Layer:
    """One layer: its operation, that one's settings, and what it reads.

    Raises:
        ConfigError: an operation that cannot stand alone.
    """
    given = {name: value for name, value in settings.items() if name not in WIRING}
    op = settings["op"]
    kind = OPERATIONS.get(f"{key}.op", op)
    if not stands_alone(kind):
        raise ConfigError(f"{key}.op", op, "an operation that can be a layer, not a stage of a convolution")
    operation = read(kind, key, given, tuple(WIRING))
    if isinstance(operation, Conv) and isinstance(operation.stages, str):
        operation = replace(operation, stages=lowerings.chain(op, operation.stages, f"{key}.stages"))
    check_written(key, getattr(operation, "quant", None))
    return Layer(op, operation, WIRING["inputs"].check(f"{key}.inputs", settings.get("inputs")))


def check_written(key: str, quant: Quant | None) -> None:
    """The numbers of a layer that is quantised are written out, or lie beside its weights.

    Raises:
        ConfigError: a file or a source of their own.
    """
    if quant is None:
        return
    for role in QUANTITIES:
        value = setting_of(quant, role)
        if isinstance(value, Mapping) or (isinstance(value, str) and value.endswith(".npy")):
            raise ConfigError(
                f"{key}.{key_of(role)}", value, "numbers, or the name that they have in the file of weights"
            )


def layer_kinds() -> Kinds:
    """The settings of a layer, by its operation."""
    found = {name: OPERATIONS.find(name) for name in OPERATIONS.names()}  # of a broken package nothing
    return {name: of_kind("op", name, kind) for name, kind in found.items() if kind and stands_alone(kind)}


def of_kind(by: str, name: str, kind: type[Any], key: str = "") -> dict[str, Setting]:
    """The settings of a kind under a key, beside the one that says its name."""
    settings = {**(WIRING if by == "op" else {}), **settings_of(kind, key)}
    return settings | {by: Setting(choice([name]), MISSING, settings[by].says)}


class Layers(Check):
    """A network: layers by name, in their order."""

    below = "LAYER"

    def __call__(self, key: str, value: Any) -> dict[str, Layer]:
        """Each layer, read."""
        found = {}
        for name, settings in mapping(key, value).items():
            if isinstance(settings, str):
                raise ConfigError(f"{key}.{name}", settings, "a group of settings", f"{{op: {settings}}}")
            layer = mapping(f"{key}.{name}", settings)
            if "op" not in layer:
                hint = did_you_mean(str(name), [other for other in value if other != name])
                raise ConfigError(f"{key}.{name}.op", None, "the kind of a new layer, or another layer's name", hint)
            found[str(name)] = read_layer(f"{key}.{name}", layer)
        return found

    def kinds(self) -> Kinds:
        """The settings of a layer, by its operation."""
        return layer_kinds()


def sources_for(role: str) -> Check:
    """A source of any kind, for a role."""

    def kinds() -> Kinds:
        found = {name: kind for name in SOURCES.names() if (kind := SOURCES.find(name)) and role in kind.roles}
        return {name: of_kind("source", name, kind, role) for name, kind in found.items()}

    return alternatives(lambda key, value: read_source(role, mapping(key, value)), "a group of settings", kinds)


class QuantSettings(group):
    """How sums become a target's integers; numbers may lie in a .npy, as what a source reads."""

    def __call__(self, key: str, value: Any) -> Quant:
        """The settings, their files as sources."""
        found: Quant = super().__call__(key, value)
        filters = replace(found.filters, scale=from_file(f"{key}.filters.scale", found.filters.scale))
        names = ("multiplier", "shift", "thresholds")
        return replace(
            found, filters=filters, **{name: from_file(f"{key}.{name}", getattr(found, name)) for name in names}
        )


def from_file(key: str, value: Any) -> Any:
    """The path of a .npy, or the settings of a source, as that; numbers as they are."""
    if isinstance(value, str):
        if not value.endswith(".npy"):
            raise ConfigError(key, value, "numbers, or the path of a .npy")
        value = {"source": "npy", "path": value}
    return read_source(key, value) if isinstance(value, Mapping) else value


# The keys of a spec, in its order.
PARTS: dict[str, Setting] = {
    "seed": Setting(whole(0, 2**64 - 1), 0, SEED),
    "input": Setting(sources_for("input"), MISSING, "Where the input comes from."),
    "filters": Setting(if_given(sources_for("filters")), None, "Where the filters of a convolution come from."),
    "conv": Setting(if_given(group(ConvSettings)), None, "How the filters meet the input."),
    "lowering": Setting(if_given(group(LoweringSettings)), None, "Which chain of stages does the convolution."),
    "bias": Setting(if_given(sources_for("bias")), None, "Where the bias comes from, one value per filter."),
    "grad": Setting(if_given(sources_for("grad")), None, GRAD),
    "network": Setting(if_given(Layers("layers by name")), None, "A network instead of one convolution: its layers."),
    "weights": Setting(if_given(sources_for("weights")), None, "Where the weights of a network come from."),
    "labels": Setting(if_given(sources_for("labels")), None, LABELS),
    "quant": Setting(if_given(QuantSettings(Quant)), None, QUANT),
    "record": Setting(optional(whole(1)), None, RECORD),
}
FREE = {"data": Setting(optional(path), None, DATA)}
# Every key of a config.
SETTINGS = {**PARTS, **settings_of(Execution, ""), **FREE}
