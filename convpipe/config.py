"""From Hydra's composed config to frozen, checked settings. With sweep and cli the only modules that know Hydra.

Configs choose, they never execute: nothing here instantiates, and what Hydra itself could be told to run
or to write elsewhere is refused before it composes (`refuse_unsafe`) and after (`check_hydra_node`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from convpipe import provenance, sources
from convpipe.errors import ConfigError, ConvpipeError, UsageError, did_you_mean
from convpipe.fields import choice, field, optional, read, size_in_bytes, text, truth, whole
from convpipe.runner import Place
from convpipe.spec import KEEPS, ConvSettings, LoweringSettings, Spec

if TYPE_CHECKING:
    from hydra._internal.hydra import Hydra
    from omegaconf import DictConfig

T = TypeVar("T")

COLLECTION_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")
MEMORY_SHARE = 0.8

# The overrides of Hydra's own node that cannot run code or write outside the root.
SAFE_HYDRA_KEYS = ("hydra/launcher", "hydra/sweeper", "hydra.verbose")
SAFE_HYDRA_PREFIXES = ("hydra.launcher.", "hydra.sweeper.params.")
SAFE_TARGETS = (
    "hydra._internal.core_plugins.basic_launcher.BasicLauncher",
    "hydra._internal.core_plugins.basic_sweeper.BasicSweeper",
    "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher",
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher",
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher",
)
NO_LOGGING = {"version": 1, "root": {"level": "ERROR"}, "disable_existing_loggers": True}
# What a config file may not change: Hydra would run it, or write there.
FIXED_HYDRA_VALUES: dict[str, Any] = {
    "callbacks": {},
    "output_subdir": None,
    "run.dir": ".",
    "sweep.dir": ".",
    "sweep.subdir": ".",
    "searchpath": [],
    "env": {},
    "job.chdir": False,
    "job.env_set": {},
    "job.env_copy": [],
    "job_logging": NO_LOGGING,
    "hydra_logging": NO_LOGGING,
}


def collection_name(key: str, value: Any) -> str:
    """A folder's name: it cannot lead out of the root."""
    if not isinstance(value, str) or not COLLECTION_NAME.match(value):
        raise ConfigError(key, value, "a folder name of letters, digits, '_', '-' and '.'")
    return value


@dataclass(frozen=True)
class Limits:
    """What a run may use."""

    memory: int | None = field(optional(size_in_bytes), None)


@dataclass(frozen=True)
class Timing:
    """How stages are timed."""

    repeats: int = field(whole(1, 10_000), 1)


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

    @property
    def place(self) -> Place:
        """Where and how, as the runner takes it."""
        memory = self.limits.memory or int(MEMORY_SHARE * provenance.memory_bytes())
        return Place(Path(self.root) / self.name, memory, self.threads, self.timing.repeats)


@dataclass(frozen=True)
class Job:
    """A whole config, checked: what to run and how."""

    spec: Spec
    execution: Execution


def mapping(key: str, value: Any) -> Mapping[str, Any]:
    """A group of settings."""
    if not isinstance(value, Mapping):
        raise ConfigError(key, value, "a group of settings")
    return value


SPEC_KEYS = tuple(entry.name for entry in fields(Spec))
EXECUTION_KEYS = tuple(entry.name for entry in fields(Execution))


def read_job(config: Mapping[str, Any]) -> Job:
    """Check a plain config, every key of it.

    Raises:
        ConfigError: the first key that is unknown, missing or has an illegal value.
    """
    known = SPEC_KEYS + EXECUTION_KEYS
    for key in config:
        if key not in known:
            hint = did_you_mean(str(key), known)
            raise ConfigError(str(key), config[key], f"no such key; there are {', '.join(known)}", hint)
    execution = read(Execution, "", {key: value for key, value in config.items() if key in EXECUTION_KEYS})
    spec = read_spec({key: value for key, value in config.items() if key in SPEC_KEYS})
    if execution.trace and spec.keep != "stages":
        raise ConfigError("trace", True, "keep=stages beside it, as the trace is read from the archive")
    return Job(spec, execution)


def read_spec(config: Mapping[str, Any]) -> Spec:
    """Check the part of a config that is a run's identity, such as an archive's config.yaml.

    Raises:
        ConfigError: the first key that is unknown, missing or has an illegal value.
    """
    missing = object()
    for key in SPEC_KEYS:
        if config.get(key, missing) is missing:
            raise ConfigError(key, None, "a value for it")
    return Spec(
        seed=whole(0, 2**64 - 1)("seed", config["seed"]),
        input=read_source("input", config["input"], sources.get_input),
        filters=read_source("filters", config["filters"], sources.get_filters),
        conv=read(ConvSettings, "conv", mapping("conv", config["conv"])),
        lowering=read(LoweringSettings, "lowering", mapping("lowering", config["lowering"])),
        keep=choice(KEEPS)("keep", config["keep"]),
    )


def read_source(group: str, value: Any, get: Callable[[object], type[T]]) -> T:
    """The settings of the source that a group names."""
    settings = mapping(group, value)
    return read(get(settings.get("source")), group, settings)


def config_folder() -> Path:
    """The shipped config tree: beside the package in a checkout, inside it once installed."""
    package = Path(__file__).resolve().parent
    checkout = package.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "conf" / "config.yaml").is_file():
        return checkout / "conf"
    return package / "conf"


def refuse_unsafe(overrides: Iterable[str]) -> None:
    """Refuse overrides through which Hydra would run code or write outside the root.

    Raises:
        ConfigError: naming the override's key.
    """
    for override in overrides:
        key, _, value = override.partition("=")
        key = key.lstrip("+~")
        if "_target_" in override:
            raise ConfigError(key, value, "values only: a config chooses, it cannot execute (_target_)")
        if not re.match(r"hydra\b", key):
            continue
        if key not in SAFE_HYDRA_KEYS and not key.startswith(SAFE_HYDRA_PREFIXES):
            allowed = ", ".join((*SAFE_HYDRA_KEYS, *(f"{prefix}*" for prefix in SAFE_HYDRA_PREFIXES)))
            raise ConfigError(key, value, f"of Hydra's own settings only {allowed}")


def check_hydra_node(hydra: DictConfig) -> None:
    """Refuse what a config file set in Hydra's node and Hydra would run, or write outside the root.

    Raises:
        ConfigError: naming the key.
    """
    from omegaconf import OmegaConf

    for key, expected in FIXED_HYDRA_VALUES.items():
        found = OmegaConf.select(hydra, key)
        plain = OmegaConf.to_container(found) if OmegaConf.is_config(found) else found
        if plain != expected:
            raise ConfigError(f"hydra.{key}", plain, f"{expected!r}, as it could run code or write outside the root")
    for group in ("launcher", "sweeper"):
        target = OmegaConf.select(hydra, f"{group}._target_")
        if target not in SAFE_TARGETS:
            raise ConfigError(f"hydra.{group}._target_", target, "a launcher or sweeper that convpipe knows")


def plain_config(config: DictConfig) -> dict[str, Any]:
    """A composed config as nested dicts and lists, interpolations resolved, Hydra's node left out.

    Raises:
        ConfigError: a mandatory value that is missing, or an interpolation that leads nowhere.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    plain = {}
    for key in config:
        if key == "hydra":
            continue
        try:
            if OmegaConf.is_missing(config, key):
                raise ConfigError(str(key), "???", "a value for it")
            node = config[key]
            plain[str(key)] = (
                OmegaConf.to_container(node, resolve=True, throw_on_missing=True) if OmegaConf.is_config(node) else node
            )
        except OmegaConfBaseException as error:
            raise explained(error, []) from error
    return plain


def compose(hydra: Hydra, config_name: str, overrides: list[str]) -> dict[str, Any]:
    """Compose one config.

    Raises:
        ConvpipeError: whatever Hydra found wrong, in one line.
    """
    config = composed(hydra, config_name, overrides, multirun=False)
    check_hydra_node(config.hydra)
    return plain_config(config)


def composed(hydra: Hydra, config_name: str, overrides: list[str], *, multirun: bool) -> DictConfig:
    """Hydra's composed config, its errors explained."""
    from hydra.errors import HydraException
    from hydra.types import RunMode
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    mode = RunMode.MULTIRUN if multirun else RunMode.RUN
    try:
        return hydra.compose_config(config_name, [*overrides, "hydra.searchpath=[]"], run_mode=mode)
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:
        raise explained(error, overrides) from error


def explained(error: Exception, overrides: list[str]) -> ConvpipeError:
    """Hydra's or OmegaConf's error as one line: the key, what came, what was expected, a did-you-mean."""
    message = str(error)
    option = getattr(error, "missing_cfg_file", None)
    options = getattr(error, "options", None)
    if option and options is not None:
        group, _, name = str(option).rpartition("/")
        hint = did_you_mean(name, options)
        return ConfigError(group or "config", name, f"one of {', '.join(options)}", hint)
    unknown = re.search(r"Could not (?:override|append to config|delete from config\.?) ?'?([^'\s]+)'?", message)
    appended = re.search(r"Could not append to config\. An item is already at '([^']+)'", message)
    if appended:
        return ConfigError(appended[1], given(appended[1], overrides), "no '+', as the key is there already")
    if unknown:
        key = unknown[1].split("@")[0].rstrip(".")
        return ConfigError(key, given(key, overrides), "a key that there is", did_you_mean_key(key))
    ambiguous = re.search(r"Ambiguous value for argument '([^=']+)=(.*)'", message)
    if ambiguous:
        return ConfigError(ambiguous[1], ambiguous[2], "one value, [a list], or -m for a sweep")
    full_key = getattr(error, "full_key", None)
    if full_key and type(error).__name__ == "MissingMandatoryValue":
        return ConfigError(str(full_key), "???", "a value for it")
    prefix = f"{full_key}: " if full_key else ""
    return UsageError(prefix + " ".join(message.split("full_key:")[0].split()))


def given(key: str, overrides: list[str]) -> str:
    """What the user typed for a key."""
    for override in reversed(overrides):
        name, _, value = override.partition("=")
        if name.lstrip("+~").split("@")[0] == key:
            return value
    return ""


def did_you_mean_key(key: str) -> str:
    """The hint for a mistyped config key, from all keys that any choice has."""
    return did_you_mean(key, known_keys())


def known_keys() -> tuple[str, ...]:
    """Every dotted key that some config may have, and every group."""
    keys = {*SPEC_KEYS, *EXECUTION_KEYS, "experiment"}
    kinds: list[tuple[str, Any]] = [("conv", ConvSettings), ("lowering", LoweringSettings)]
    kinds += [("limits", Limits), ("timing", Timing)]
    kinds += [("input", kind) for kind in sources.INPUTS.values()]
    kinds += [("filters", kind) for kind in sources.FILTERS.values()]
    keys |= {f"{group}.{entry.name}" for group, kind in kinds for entry in fields(kind)}
    return tuple(sorted(keys))
