"""From Hydra's composed config to frozen, checked settings. With sweep and cli the only modules that know Hydra.

Configs choose, they never execute: nothing here instantiates, and `hydra_safety` refuses what Hydra itself
could be told to run or to write elsewhere.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from convpipe import provenance, sources
from convpipe.errors import ConfigError, ConvpipeError, did_you_mean
from convpipe.fields import choice, field, one_or_several, optional, read, several, size_in_bytes, text, truth, whole
from convpipe.hydra_errors import explained
from convpipe.hydra_safety import check_hydra_node, parsed, refuse_unsafe
from convpipe.latest import Latest
from convpipe.runner import Place
from convpipe.spec import KEEPS, ConvSettings, LoweringSettings, Spec

if TYPE_CHECKING:
    from hydra._internal.hydra import Hydra
    from omegaconf import DictConfig

    from convpipe.layers import Layer

T = TypeVar("T")

COLLECTION_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}\Z")  # file systems end at 255 bytes
LAYER_SETTING = re.compile(r"network\.\w+\.\w+=")
MEMORY_SHARE = 0.8
MAIN_CONFIG = "config"
GROUPS = (
    "input",
    "filters",
    "conv",
    "lowering",
    "bias",
    "grad",
    "network",
    "weights",
    "labels",
    "cluster",
    "experiment",
)
NO_SEARCH_PATH = "hydra.searchpath=[]"


def collection_name(key: str, value: Any) -> str:
    """A folder's name: it cannot lead out of the root."""
    if not isinstance(value, str) or not COLLECTION_NAME.match(value):
        hint = f"in quotes: name=\"'{value}'\"" if isinstance(value, int) else ""
        raise ConfigError(key, value, "a folder name of at most 200 letters, digits, '_', '-' and '.'", hint)
    return value


@dataclass(frozen=True)
class Limits:
    """What a run may use."""

    memory: int | None = field(optional(size_in_bytes), None)
    runs: int = field(whole(1), 1_000_000)


@dataclass(frozen=True)
class Timing:
    """How stages are timed."""

    repeats: int = field(whole(1, 10_000), 1)


@dataclass(frozen=True)
class SweepSettings:
    """What makes the points of a sweep, beyond the product of all values given."""

    zip: tuple[Any, ...] | None = field(optional(several(one_or_several(text))), None)
    points: str | None = field(optional(text), None)
    sample: int | None = field(optional(whole(1)), None)
    seed: int = field(whole(0), 0)


@dataclass(frozen=True)
class Cluster:
    """Other machines to run a sweep on."""

    kind: str = field(choice(["dask", "ray"]))
    address: str | None = field(optional(text), None)


@dataclass(frozen=True)
class Execution:
    """How to run, and where to put it: never part of a run's identity."""

    name: str = field(collection_name)
    root: str = field(text)
    dry_run: bool = field(truth, False)
    trace: bool = field(truth, False)
    workers: int = field(whole(1, 4096), 1)
    threads: int = field(whole(1, 4096), 1)
    limits: Limits = field(lambda key, value: read(Limits, key, mapping(key, value)), Limits())
    timing: Timing = field(lambda key, value: read(Timing, key, mapping(key, value)), Timing())
    sweep: SweepSettings = field(lambda key, value: read(SweepSettings, key, mapping(key, value)), SweepSettings())
    where: str | None = field(optional(text), None)
    invalid: str = field(choice(["error", "skip"]), "error")
    retry: str | None = field(optional(choice(["failed"])), None)
    on_error: str = field(choice(["continue", "stop"]), "continue")
    cluster: Cluster | None = field(lambda key, value: read_cluster(key, value), None)

    @cached_property
    def place(self) -> Place:
        """Where and how, as the runner takes it."""
        memory = self.limits.memory or int(MEMORY_SHARE * provenance.memory_bytes())
        return Place(Path(self.root) / self.name, memory, self.threads, self.timing.repeats)


@dataclass(frozen=True)
class Job:
    """A whole config, checked: what to run and how."""

    spec: Spec
    execution: Execution


def read_cluster(key: str, value: Any) -> Cluster | None:
    """A cluster's settings, or none."""
    return read(Cluster, key, mapping(key, value)) if value else None


def mapping(key: str, value: Any) -> Mapping[str, Any]:
    """A group of settings."""
    if not isinstance(value, Mapping):
        raise ConfigError(key, value, "a group of settings")
    return value


SPEC_KEYS = tuple(entry.name for entry in fields(Spec))
REQUIRED_KEYS = ("seed", "input", "lowering", "keep")
FREE_KEYS = ("data",)  # values that others may refer to, as ${data}
EXECUTION_KEYS = tuple(entry.name for entry in fields(Execution))
KNOWN_KEYS = dict.fromkeys(SPEC_KEYS + EXECUTION_KEYS + FREE_KEYS)  # a set in their order


def read_job(config: Mapping[str, Any]) -> Job:
    """Check a plain config, every key of it.

    Raises:
        ConfigError: the first key that is unknown, missing or has an illegal value.
    """
    return JobReader().read(config)


def read_execution(config: Mapping[str, Any]) -> Execution:
    """Check the part of a config that says how to execute.

    Raises:
        ConfigError: an illegal value.
    """
    return read(Execution, "", {key: value for key, value in config.items() if key in EXECUTION_KEYS})


class JobReader:
    """Reads one config after another; a part that is the same object as last time is not read again."""

    def __init__(self) -> None:
        self.parts = Latest()

    def read(self, config: Mapping[str, Any]) -> Job:
        """Check a plain config, every key of it.

        Raises:
            ConfigError: the first key that is unknown, missing or has an illegal value.
        """
        if not config.keys() <= KNOWN_KEYS.keys():
            key = next(key for key in config if key not in KNOWN_KEYS)
            raise unknown_key(str(key), config[key], list(KNOWN_KEYS))
        settings = [config.get(key) for key in EXECUTION_KEYS]
        execution: Execution = self.parts.of_all("execution", settings, lambda: read_execution(config))
        check_there(config)
        spec = Spec(**self.parts.each({key: config.get(key) for key in SPEC_KEYS}, read_part))
        check_kind(spec)
        if execution.trace:
            check_trace(spec)
        return Job(spec, execution)


def check_trace(spec: Spec) -> None:
    """The trace of the columns is read from the archive: they have to be made and kept."""
    if spec.network is not None:
        raise ConfigError("trace", True, "a single convolution, not a network")
    if spec.keep != "stages":
        raise ConfigError("trace", True, "keep=stages beside it, as the trace is read from the archive")
    if not {"pad", "im2col"} <= set(spec.lowering.stages):
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
    spec = Spec(**{key: read_part(key, config.get(key)) for key in SPEC_KEYS})
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


def read_group(kind: type[T], key: str, value: Any) -> T:
    """A group of settings of one kind."""
    return read(kind, key, mapping(key, value))


def read_network(key: str, value: Any) -> dict[str, Layer]:
    """A network's layers, in their order."""
    from convpipe.layers import get_layer

    layers = {}
    for name, settings in mapping(key, value).items():
        layer = mapping(f"{key}.{name}", settings)
        if "op" not in layer:
            hint = did_you_mean(str(name), [other for other in value if other != name])
            raise ConfigError(f"{key}.{name}.op", None, "the kind of a new layer, or another layer's name", hint)
        layers[str(name)] = read(get_layer(f"{key}.{name}.op", layer.get("op")), f"{key}.{name}", layer)
    return layers


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
    if spec.grad is not None and not str(spec.conv.operation).startswith("grad"):  # type: ignore[union-attr]
        raise ConfigError("grad", spec.grad.source, "grad=none, as conv.operation is no gradient")
    if spec.bias is not None and str(spec.conv.operation).startswith("grad"):  # type: ignore[union-attr]
        raise ConfigError("bias", spec.bias.source, "bias=none, as a gradient does not depend on it")


def read_source(group: str, value: Any, get: Callable[[object], type[T]]) -> T:
    """The settings of the source that a group names."""
    settings = mapping(group, value)
    return read(get(settings.get("source")), group, settings)


# How each key of a spec is read.
PARTS: dict[str, Callable[[str, Any], Any]] = {
    "seed": whole(0, 2**64 - 1),
    "input": partial(read_source, get=sources.INPUTS.named),
    "filters": if_given(partial(read_source, get=sources.FILTERS.named)),
    "conv": if_given(partial(read_group, ConvSettings)),
    "lowering": partial(read_group, LoweringSettings),
    "keep": choice(KEEPS),
    "bias": if_given(partial(read_source, get=sources.BIASES.named)),
    "grad": if_given(partial(read_source, get=sources.GRADS.named)),
    "network": if_given(read_network),
    "weights": if_given(partial(read_source, get=sources.WEIGHTS.named)),
    "labels": if_given(partial(read_source, get=sources.LABELS.named)),
    "record": optional(whole(1)),
}


def config_folder() -> Path:
    """The shipped config tree: beside the package in a checkout, inside it once installed."""
    package = Path(__file__).resolve().parent
    checkout = package.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "conf" / "config.yaml").is_file():
        return checkout / "conf"
    return package / "conf"


def compose(hydra: Hydra, config_name: str, overrides: Sequence[str]) -> dict[str, Any]:
    """Compose one config: nested dicts and lists, interpolations resolved, Hydra's own node checked and left out.

    Raises:
        ConvpipeError: whatever is wrong with it, in one line.
    """
    return plain_config(composed(hydra, config_name, overrides))


def composed(hydra: Hydra, config_name: str | None, overrides: Sequence[str], *, multirun: bool = False) -> DictConfig:
    """Hydra's composed config, its own node checked; None for Hydra's settings alone.

    Raises:
        ConvpipeError: whatever is wrong with it, in one line.
    """
    from hydra.errors import HydraException
    from hydra.types import RunMode
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    refuse_unsafe(overrides)
    check_single_values(overrides, multirun)
    mode = RunMode.MULTIRUN if multirun else RunMode.RUN
    try:
        check_search_path(hydra, config_name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Hydra's advice to programmers
            lines = [*map(of_layer, overrides), NO_SEARCH_PATH]
            config = hydra.compose_config(config_name, lines, run_mode=mode)
    except ConvpipeError:
        raise
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError, OSError, KeyError, RecursionError) as error:
        known = partial(siblings, hydra, config_name, overrides)
        raise explained(error, overrides, known) from error
    check_hydra_node(config.hydra)
    return config


def of_layer(override: str) -> str:
    """A layer's setting may be one that its file leaves at the default; `read_network` knows which there are.

    >>> of_layer("network.conv1.stride=2"), of_layer("conv.stride=2")
    ('++network.conv1.stride=2', 'conv.stride=2')
    """
    return f"++{override}" if LAYER_SETTING.match(override) else override


def check_single_values(overrides: Sequence[str], multirun: bool) -> None:
    """A sweep's several values are for -m, and a group's choice is a name."""
    from hydra.core.override_parser.types import ValueType

    for line in overrides:
        override = parsed(line)
        key, value = override.key_or_group, line.partition("=")[2]
        if override.is_sweep_override() and not multirun:
            quoted = " or quotes" if override.value_type == ValueType.SIMPLE_CHOICE_SWEEP else ""
            raise ConfigError(key, value, f"one value, [a list]{quoted}, or -m for a sweep")
        if key in GROUPS and not (override.is_delete() or override.is_sweep_override()):
            check_choice(key, value, override.value())


def check_single_run(overrides: Sequence[str]) -> None:
    """Nothing is asked for that only a sweep looks at.

    Raises:
        ConfigError: sweep.* or a cluster.
    """
    for line in overrides:
        key, value = parsed(line).key_or_group, line.partition("=")[2]
        if key.split(".")[0] in ("sweep", "cluster") and value != "none":
            raise ConfigError(key, value, "-m beside it, as it is for sweeps")


def check_choice(key: str, given: str, value: object) -> None:
    """A group's choice is a name, or several, or its settings as a dict."""
    names = value if isinstance(value, list) else [value]
    if not isinstance(value, dict) and not all(isinstance(name, str) for name in names):
        hint = "~experiment leaves it out" if key == "experiment" else ""
        raise ConfigError(key, given, f"the name of a choice of {key}", hint)


def check_search_path(hydra: Hydra, config_name: str | None) -> None:
    """A main config of the user's own brings no search path: Hydra imports the packages named there."""
    from omegaconf import OmegaConf

    if config_name in (None, MAIN_CONFIG):
        return
    loaded = hydra.config_loader.repository.load_config(config_name)  # type: ignore[attr-defined]
    found = OmegaConf.select(loaded.config, "hydra.searchpath") if loaded else None
    if found:
        raise ConfigError("hydra.searchpath", found, "none, as it could run code; use --config-dir")


def siblings(hydra: Hydra, config_name: str | None, overrides: Sequence[str], key: str) -> tuple[str, Sequence[str]]:
    """The nearest group above an unknown key, and that group's keys, from the config without the key's override."""
    from hydra.types import RunMode
    from omegaconf import DictConfig, OmegaConf

    kept = [line for line in overrides if "=" in line and not parsed(line).is_sweep_override()]
    others = [line for line in kept if parsed(line).key_or_group != key]
    try:
        config = hydra.compose_config(config_name or MAIN_CONFIG, [*others, NO_SEARCH_PATH], run_mode=RunMode.RUN)
    except Exception:  # noqa: BLE001 - it is only for a better message, and another override may be wrong as well
        return "", (*SPEC_KEYS, *EXECUTION_KEYS, "experiment")
    group = key
    while "." in group:
        group = group.rpartition(".")[0]
        node = OmegaConf.select(config, group, throw_on_missing=False)
        if isinstance(node, DictConfig):
            return group, [str(name) for name in node]
    return "", [str(name) for name in config if name != "hydra"] + ["experiment"]


def plain_config(config: DictConfig, *, missing: bool = False) -> dict[str, Any]:
    """A composed config as nested dicts and lists, interpolations resolved, Hydra's node left out.

    Args:
        missing: let a mandatory value that is missing pass, as ``???``.

    Raises:
        ConfigError: a mandatory value that is missing, or an interpolation that leads nowhere.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    plain: dict[str, Any] = {}
    for key in config:
        if key == "hydra":
            continue
        try:
            if OmegaConf.is_missing(config, key):
                plain[str(key)] = "???"
                if not missing:
                    raise ConfigError(str(key), "???", "a value for it")
                continue
            node = config[key]
            nested = OmegaConf.is_config(node)
            plain[str(key)] = (
                OmegaConf.to_container(node, resolve=True, throw_on_missing=not missing) if nested else node
            )
        except (OmegaConfBaseException, RecursionError) as error:
            raise explained(error, written(config, getattr(error, "full_key", None)), lambda key: ("", ())) from error
    return plain


def written(config: DictConfig, key: str | None) -> list[str]:
    """The value of one key as an override would give it, interpolations as they are written."""
    from omegaconf import OmegaConf

    value: Any = OmegaConf.to_container(config, resolve=False)
    for part in (key or "").split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return [f"{key}={value}"]
