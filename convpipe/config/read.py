"""From plain config values to checked settings, every key of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from convpipe.config.settings import EXECUTION_KEYS, SPEC_KEYS, Execution, Job
from convpipe.errors import ConfigError, did_you_mean
from convpipe.fields import choice, group, mapping, optional, read, several, text, whole
from convpipe.graph import lowerings
from convpipe.graph.memo import Memo
from convpipe.graph.single import operation_class
from convpipe.graph.spec import KEEPS, Layer, LoweringSettings, Spec
from convpipe.ops import OPERATIONS
from convpipe.ops.conv import Conv
from convpipe.ops.kinds.convolving import ConvSettings
from convpipe.ops.kinds.operation import op_name, stands_alone
from convpipe.sources import Source, read_source
from convpipe.sources.kinds.source import ROLES

T = TypeVar("T")
WIRING = ("op", "inputs")  # of a layer, beside the settings of its operation
REQUIRED_KEYS = ("seed", "input", "lowering", "keep")
FREE_KEYS = ("data",)  # values that others may refer to, as ${data}
KNOWN_KEYS = dict.fromkeys(SPEC_KEYS + EXECUTION_KEYS + FREE_KEYS)  # a set in their order


def read_job(config: Mapping[str, Any], memo: Memo | None = None) -> Job:
    """Check a plain config, every key of it; a part that is the same object as in the last one is not read again.

    Raises:
        ConfigError: the first key that is unknown, missing or has an illegal value.
    """
    if not config.keys() <= KNOWN_KEYS.keys():
        key = next(key for key in config if key not in KNOWN_KEYS)
        raise unknown_key(str(key), config[key], list(KNOWN_KEYS))
    memo = memo or Memo()
    settings = [config.get(key) for key in EXECUTION_KEYS]
    execution: Execution = memo.of_same("execution", settings, lambda: read_execution(config))
    check_there(config)
    spec = whole_spec(memo.each("settings", {key: config.get(key) for key in SPEC_KEYS}, read_part), memo)
    if execution.trace:
        check_trace(spec)
    return Job(spec, execution)


def read_execution(config: Mapping[str, Any]) -> Execution:
    """Check the part of a config that says how to execute.

    Raises:
        ConfigError: an illegal value.
    """
    return read(Execution, "", {key: value for key, value in config.items() if key in EXECUTION_KEYS})


def check_trace(spec: Spec) -> None:
    """The trace of the columns is read from the archive: they have to be made and kept."""
    if spec.network is not None:
        raise ConfigError("trace", True, "a single convolution, not a network")
    if spec.keep != "stages":
        raise ConfigError("trace", True, "keep=stages beside it, as the trace is read from the archive")
    if not {"pad", "im2col"} <= {stage.op for stage in spec.lowering.stages}:
        raise ConfigError("trace", True, "the stages pad and im2col in lowering.stages, whose columns it shows")


def unknown_key(key: str, value: object, known: Sequence[str]) -> ConfigError:
    """A top-level key that there is not."""
    if key == "experiment":
        return ConfigError(key, value, "settings from the top", "the file's first line must be '# @package _global_'")
    return ConfigError(key, value, f"one of the keys: {', '.join(known)}", did_you_mean(key, known))


def read_spec(config: Mapping[str, Any]) -> Spec:
    """Check the part of a config that is a run's identity, such as an archive's config.yaml.

    Raises:
        ConfigError: the first key that is unknown, missing or has an illegal value.
    """
    check_there(config)
    return whole_spec({key: read_part(key, config.get(key)) for key in SPEC_KEYS}, Memo())


def whole_spec(parts: Mapping[str, Any], memo: Memo) -> Spec:
    """A spec of parts that are each checked: they go together, and the chain of stages is worked out.

    Where only the seed differs from the last, they do as they did.

    Raises:
        ConfigError: parts that do not go together.
    """
    others = [part for key, part in parts.items() if key != "seed"]
    spec: Spec = memo.of_same("spec", others, lambda: checked_spec(parts, memo))
    return Spec(**{**vars(spec), "seed": parts["seed"]})


def checked_spec(parts: Mapping[str, Any], memo: Memo) -> Spec:
    """A spec of parts that go together, with its chain of stages: the same object as the last, if it is equal."""
    conv, lowering = parts["conv"], parts["lowering"]
    if not isinstance(lowering.stages, tuple):
        chosen = ("conv" if conv is None else op_name(operation_class(conv)), lowering.stages)
        chain = partial(lowerings.chain, *chosen, "lowering.stages")
        lowering = memo.of_equal("lowering", chosen, lambda: LoweringSettings(chain()))
    spec = Spec(**{**parts, "lowering": lowering})
    check_kind(spec)
    return spec


def check_there(config: Mapping[str, Any]) -> None:
    """What every run needs is there."""
    for key in REQUIRED_KEYS:
        if config.get(key) is None:
            raise ConfigError(key, None, "a value for it")


def read_part(key: str, value: Any) -> Any:
    """One key of a spec, checked."""
    return PARTS[key](key, value)


def if_given(read_value: Callable[[str, Any], T]) -> Callable[[str, Any], T | None]:
    """A reader of a group of settings that gives None where it is null or empty."""
    return lambda key, value: None if value is None or value == {} else read_value(key, value)


def read_network(key: str, value: Any) -> dict[str, Layer]:
    """A network's layers, in their order."""
    layers = {}
    for name, settings in mapping(key, value).items():
        layer = mapping(f"{key}.{name}", settings)
        if "op" not in layer:
            hint = did_you_mean(str(name), [other for other in value if other != name])
            raise ConfigError(f"{key}.{name}.op", None, "the kind of a new layer, or another layer's name", hint)
        layers[str(name)] = read_layer(f"{key}.{name}", layer)
    return layers


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
    operation = read(kind, key, given, WIRING)
    if isinstance(operation, Conv) and isinstance(operation.stages, str):
        operation = replace(operation, stages=lowerings.chain(op, operation.stages, f"{key}.stages"))
    return Layer(op, operation, optional(several(text))(f"{key}.inputs", settings.get("inputs")))


def check_kind(spec: Spec) -> None:
    """A spec is one convolution or one network, not a mixture."""
    wanted = ("filters", "conv")
    beside = ("weights", "labels", "record") if spec.network is None else ("filters", "conv", "bias", "grad")
    for name in wanted if spec.network is None else ():
        if getattr(spec, name) is None:
            raise ConfigError(name, None, f"a choice of {name}, or a network")
    for name in beside:
        if getattr(spec, name) is not None:
            other = "without a network" if spec.network is None else "beside a network (its layers have their own)"
            raise ConfigError(name, "settings", f"{name}=none {other}" if name != "record" else f"null {other}")
    if spec.conv is None:
        return
    given = operation_class(spec.conv).given
    if spec.grad is not None and "grad" not in given:
        raise ConfigError("grad", spec.grad.source, "grad=none, as conv.operation is no gradient")
    if spec.bias is not None and "bias" not in given:
        raise ConfigError("bias", spec.bias.source, "bias=none, as a gradient does not depend on it")


def read_group_source(role: str, value: Any) -> Source:
    """The source that a group of settings names."""
    return read_source(role, mapping(role, value))


# How each key of a spec is read.
PARTS: dict[str, Callable[[str, Any], Any]] = {
    "seed": whole(0, 2**64 - 1),
    **dict.fromkeys(ROLES, if_given(read_group_source)),
    "input": read_group_source,
    "conv": if_given(group(ConvSettings)),
    "lowering": group(LoweringSettings),
    "keep": choice(KEEPS),
    "network": if_given(read_network),
    "record": optional(whole(1)),
}
