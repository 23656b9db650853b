"""From plain config values to checked settings, every key of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from convpipe.archive.keep import Keep
from convpipe.archive.read import Run
from convpipe.config.parts import PARTS, SETTINGS
from convpipe.config.settings import EXECUTION_KEYS, SPEC_KEYS, Execution, Job
from convpipe.errors import ConfigError, did_you_mean
from convpipe.fields import UnknownSettingError, read
from convpipe.graph import lowerings
from convpipe.graph.memo import Memo
from convpipe.graph.single import operation_class
from convpipe.graph.spec import Layer, LoweringSettings, Spec
from convpipe.ops.conv import Conv
from convpipe.ops.kinds.operation import op_name

REQUIRED_KEYS = ("seed", "input")


def read_job(config: Mapping[str, Any], memo: Memo | None = None) -> Job:
    """Check a plain config, every key of it; a part that is the same object as in the last one is not read again.

    Raises:
        ConfigError: the first key that is unknown, missing or has an illegal value.
    """
    if not config.keys() <= SETTINGS.keys():
        key = next(key for key in config if key not in SETTINGS)
        raise unknown_key(str(key), config[key], list(SETTINGS))
    memo = memo or Memo()
    settings = [config.get(key) for key in EXECUTION_KEYS]
    execution: Execution = memo.of_same("execution", settings, lambda: read_execution(config))
    check_there(config)
    spec = whole_spec(memo.each("settings", {key: config.get(key) for key in SPEC_KEYS}, read_part), memo)
    if execution.trace:
        check_trace(spec, execution.keep)
    return Job(spec, execution)


def read_execution(config: Mapping[str, Any]) -> Execution:
    """Check the part of a config that says how to execute.

    Raises:
        ConfigError: an illegal value.
    """
    return read(Execution, "", {key: value for key, value in config.items() if key in EXECUTION_KEYS})


def check_trace(spec: Spec, keep: str) -> None:
    """The trace of the columns is read from the archive: they have to be made and kept."""
    if spec.network is not None:
        raise ConfigError("trace", True, "a single convolution, not a network")
    if Keep(keep).arrays != Keep.STAGES:
        raise ConfigError("trace", True, "keep=stages beside it, as the trace is read from the archive")
    if not {"pad", "im2col"} <= {stage.op for stage in spec.lowering.stages}:
        raise ConfigError("trace", True, "the stages pad and im2col in lowering.stages, whose columns it shows")


def unknown_key(key: str, value: object, known: Sequence[str]) -> ConfigError:
    """A top-level key that there is not."""
    if key == "experiment":
        return ConfigError(key, value, "settings from the top", "the file's first line must be '# @package _global_'")
    from convpipe.config.hydra_errors import invisible
    from convpipe.config.keys import key_meant, place_near  # which the others do without

    meant = key_meant(key)
    hint = invisible(key) or (f"did you mean {meant}?" if meant else "") or did_you_mean(key, known) or place_near(key)
    return ConfigError(key, value, f"one of the keys: {', '.join(known)}", hint)


def read_spec(config: Mapping[str, Any]) -> Spec:
    """Check the part of a config that is a run's identity, such as an archive's config.yaml.

    Raises:
        ConfigError: the first key that is unknown, missing or has an illegal value.
    """
    check_there(config)
    return whole_spec({key: read_part(key, config.get(key)) for key in SPEC_KEYS}, Memo())


def read_archived(run: Run) -> Spec:
    """What an archived run computed, by the rules of its format; its files are looked for when they are read.

    Raises:
        ConfigError: as `read_spec`.
    """
    if run.manifest["format"] > 1:
        from convpipe.execution.recalled import recalled  # which a new run does without

        return recalled(run, read_spec(placed(run.config, run.manifest["paths"])))
    spec = read_spec(run.config)
    from convpipe.graph.format_1 import as_then  # which a new run does without

    return as_then(spec)


def placed(config: Mapping[str, Any], paths: Mapping[str, str]) -> dict[str, Any]:
    """A config with the paths of the files that it reads, by the keys of what reads them."""
    found = dict(config)
    for key, path in paths.items():
        group, _, inner = key.partition(".")
        settings = found.get(group)
        if isinstance(settings, Mapping):
            found[group] = placed(settings, {inner: path}) if inner else {**settings, "path": path}
    return found


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
    conv, lowering = parts["conv"], parts["lowering"] or LoweringSettings()
    if not isinstance(lowering.stages, tuple):
        operation = "conv" if conv is None else op_name(operation_class(conv))
        quantised = parts["quant"] is not None or all_quantised(parts["network"])
        chosen = (operation, lowerings.for_quant(operation, lowering.stages, quantised))
        lowering = memo.of_equal("lowering", (*chosen, lowering.columns), partial(chained, lowering, *chosen))
    spec = Spec(**{**parts, "lowering": lowering})
    check_kind(spec)
    return spec


def all_quantised(network: Mapping[str, Layer] | None) -> bool:
    """Whether a network has convolutions, and all of them are quantised, so that no other chain is read."""
    layers = [layer.operation for layer in (network or {}).values()]
    found = [each.quant is not None for each in layers if isinstance(each, Conv) and each.forward and not each.stages]
    return bool(found) and all(found)


def chained(lowering: LoweringSettings, operation: str, name: str | None) -> LoweringSettings:
    """A lowering by its name, with the stages that it has for an operation."""
    return replace(lowering, stages=lowerings.chain(operation, name, "lowering.stages"))


def check_there(config: Mapping[str, Any]) -> None:
    """What every run needs is there."""
    for key in REQUIRED_KEYS:
        if config.get(key) is None:
            raise ConfigError(key, None, "a value for it")


def check_quantized(spec: Spec) -> None:
    """A chain that goes on to a target's integers, where there is a target, and only there."""
    name = lowerings.name_of("conv", spec.lowering.stages)
    if name == lowerings.QUANTIZED and spec.quant is None:
        raise ConfigError("quant", None, f"a choice of quant, as lowering={name} goes on to its integers")
    if name and name != lowerings.QUANTIZED and spec.quant is not None:
        raise ConfigError("lowering", name, f"{lowerings.QUANTIZED}, or a list of stages, as there is a quant")


def check_layers_lowering(spec: Spec) -> None:
    """Where all convolutions of a network are quantised, no other chain is asked for, as none would be read."""
    name = lowerings.name_of("conv", spec.lowering.stages)
    if all_quantised(spec.network) and name and name != lowerings.QUANTIZED:
        why = "as the convolutions are quantised"
        raise ConfigError("lowering", name, f"{lowerings.QUANTIZED}, or a list of stages, {why}")


def read_part(key: str, value: Any) -> Any:
    """One key of a spec, checked; of a setting below it that there is not, who has it is said."""
    try:
        return PARTS[key].check(key, value)
    except UnknownSettingError as error:
        from convpipe.config.hydra_errors import invisible
        from convpipe.config.keys import place_of, who_has

        hint = invisible(error.key) or who_has(error.key) or error.hint or place_of(error.key.rpartition(".")[2])
        raise ConfigError(error.key, error.got, error.expected, hint) from error


def check_kind(spec: Spec) -> None:
    """A spec is one convolution or one network, not a mixture."""
    wanted = ("filters", "conv")
    others = ("filters", "conv", "bias", "grad", "quant")
    beside = ("weights", "labels", "record") if spec.network is None else others
    for name in wanted if spec.network is None else ():
        if getattr(spec, name) is None:
            raise ConfigError(name, None, f"a choice of {name}, or a network")
    for name in beside:
        if getattr(spec, name) is not None:
            other = "without a network" if spec.network is None else "beside a network (its layers have their own)"
            raise ConfigError(name, "settings", f"{name}=none {other}" if name != "record" else f"null {other}")
    if spec.conv is None:
        check_layers_lowering(spec)
        return
    if spec.quant is not None and not operation_class(spec.conv).forward:
        raise ConfigError("quant", spec.quant.rule, "quant=none, as only a convolution is quantised")
    check_quantized(spec)
    given = operation_class(spec.conv).given
    if spec.grad is not None and "grad" not in given:
        raise ConfigError("grad", spec.grad.source, "grad=none, as conv.operation is no gradient")
    if spec.bias is not None and "bias" not in given:
        raise ConfigError("bias", spec.bias.source, "bias=none, as a gradient does not depend on it")
