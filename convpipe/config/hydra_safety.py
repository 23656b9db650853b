"""What Hydra may be told, and what it may not: a config chooses, it never executes and never writes outside the root.

Checked twice: the overrides before Hydra composes (`refuse_unsafe`), and Hydra's own node after (`check_hydra_node`),
as config files and their package directives reach it too. Composing itself runs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from convpipe.config.plain_words import check_length, plain_override
from convpipe.config.references import check_references
from convpipe.errors import ConfigError, shown
from convpipe.files.limits import MOST_KEY

if TYPE_CHECKING:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig

PARAMS = "hydra.sweeper.params"
SWEEPS = f"{PARAMS}."
LAUNCHER = "hydra.launcher."
HYDRAS = ("sweeper", "launcher", "verbose")  # what an experiment file of the user's may say of Hydra itself
SAFE_KEYS = ("hydra/launcher", "hydra/sweeper", "hydra.verbose")
OWN = "convpipe"  # the name of our own sweeper and launcher
SWEEPER = "hydra_plugins.convpipe_plugin.ConvpipeSweeper"  # the only one, as each point is checked before any runs
SAFE_TARGETS = (
    SWEEPER,
    "hydra_plugins.convpipe_plugin.ConvpipeLauncher",
    "hydra._internal.core_plugins.basic_launcher.BasicLauncher",
    "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher",
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher",
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher",
)
# The extras that bring launchers.
EXTRAS = {"joblib": "joblib", "submitit_local": "slurm", "submitit_slurm": "slurm"}
NO_LOGGING = {"version": 1, "root": {"level": "ERROR"}, "disable_existing_loggers": True}
# What only our own config.yaml may say: Hydra would run it, or write there. Compared as written, not resolved.
FIXED_VALUES: dict[str, Any] = {
    "callbacks": {},
    "output_subdir": None,
    "run.dir": ".",
    "sweep.dir": ".",
    "sweep.subdir": ".",
    "searchpath": [],
    "env": {},
    "job.chdir": False,
    "job.env_copy": [],  # before what Hydra has copied, whose values no message has
    "job.env_set": {},
    "job_logging": NO_LOGGING,
    "hydra_logging": NO_LOGGING,
}
# The same of a launcher: shell commands of the cluster's scheduler, and folders it would write to.
FIXED_LAUNCHER_VALUES: dict[str, Any] = {
    "submitit_folder": "${hydra.sweep.dir}/.submitit/%j",
    "setup": None,
    "python": None,
    "srun_args": None,
    "additional_parameters": {},
    "temp_folder": None,
}
CODE_KEYS = ("_target_", "()")  # what hydra.utils.instantiate and logging.config call
TARGET = re.compile(r"(?<![A-Za-z0-9])_target_(?![A-Za-z0-9_])")
NOTHING_THERE = re.compile(r"(?:^|[,\[{(])\s*,|,\s*(?:$|[\]})])")
KEY = re.compile(r"[+~]{0,2}[A-Za-z_][\w.@$/]*")
LIKE_CODE = re.compile(r"['\"\\$\n]|.{60}", re.DOTALL)  # what no advice repeats
SAMPLE = "sweep.sample=20 draws as many at random"
MOST_REASON = 200  # characters of what the grammar says, which may repeat the whole word
REASON = "as it could run code or write outside the root"


@cache
def parser() -> OverridesParser:
    """Hydra's, made once, as it looks at each of its functions anew, which takes half as long as a short word."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return OverridesParser.create()


@lru_cache(maxsize=1024)  # each is looked at twice
def parsed(text: str) -> Override:
    """One override as Hydra's grammar has it.

    Raises:
        ConfigError: it is not of the form key=value, or its value is not one.
    """
    key, equals, value = text.partition("=")
    if not key.strip("+~@ ") or not (equals or key.startswith("~")):
        raise ConfigError(shown(text), "no '=' with a key before it", "a setting as key=value")
    if len(key) > MOST_KEY:
        raise ConfigError(shown(key), value, f"a key of at most {MOST_KEY} characters")
    found = plain_override(key, value)
    if found is not None:
        return found
    check_length(shown(key), value)
    from hydra.errors import HydraException

    if not __debug__:
        from convpipe.config.optimized import mend_grammar

        mend_grammar()
    try:
        override = parser().parse_override(text)
        override.value()
    except (HydraException, ValueError) as error:
        raise ConfigError(key, value, "key=value in Hydra's grammar", grammar_hint(error, key, value)) from error
    except RecursionError as error:
        raise ConfigError(key, value, "fewer brackets within each other") from error
    return override


def grammar_hint(error: Exception, key: str, value: str) -> str:
    """Why an override does not parse, without the parser's list of tokens, and the way out."""
    reason = " ".join(str(error).split()).split(" expecting {")[0].split(" See http")[0]
    reason = shown(re.sub(r"^Error parsing override '.*' (?=\S)", "", reason), MOST_REASON)
    if not key.isascii():
        return f"{reason}; a key has letters from a to z"
    if "while evaluating" in reason:
        return reason
    if any(value.count(left) != value.count(right) for left, right in ("()", "[]", "{}")):
        return f"{reason}; its brackets do not match"
    if value.count("'") % 2 or value.count('"') % 2:
        return f"{reason}; a quote is without the other one"
    if NOTHING_THERE.search(value):
        return f"{reason}; a value is missing at a comma"
    from convpipe.config.keys import key_meant  # which only such an error needs

    if not KEY.fullmatch(key):
        spelled = key_meant(key)
        return f"did you mean {spelled}?" if spelled else f"{reason}; a key is such as conv.pad"
    return reason if LIKE_CODE.search(value) else f"{reason}; a text like this needs quotes: '{key}=\"{value}\"'"


def refuse_unsafe(overrides: Iterable[str]) -> None:
    """Refuse overrides that are malformed, or through which Hydra would run code or write outside the root.

    Raises:
        ConfigError: naming the override's key.
    """
    for text in overrides:
        override = parsed(text)
        key, value = override.key_or_group, text.partition("=")[2]
        if TARGET.search(text):
            raise ConfigError(key, value, "values only: a config chooses, it cannot execute (_target_)")
        if override.package is not None:
            raise ConfigError(f"{key}@{override.package}", value, "a group without '@'; each has its place")
        if "$" in text:
            check_references(key, values_of(override))
        if key.startswith(SWEEPS):
            refuse_unsafe([f"{key.removeprefix(SWEEPS)}={value}"])
        elif key == "hydra/sweeper" and value != OWN:
            raise no_sweeper(value)
        elif re.match(r"hydra\b", key) and not is_safe(key):
            allowed = ", ".join((*SAFE_KEYS, f"{LAUNCHER}*", f"{SWEEPS}*"))
            raise ConfigError(key, value, f"of Hydra's own settings only {allowed}", REASON)


def values_of(override: Override) -> Any:
    """What an override says, of a sweep all its values, without the quotes and the escapes of the grammar."""
    from hydra.core.override_parser.types import Override

    found: Any = override._value
    return Override._convert_value(getattr(found, "list", found))


def is_safe(key: str) -> bool:
    """Whether one of Hydra's own settings can neither run code nor write outside the root."""
    name = key.removeprefix(LAUNCHER)
    return key in SAFE_KEYS or (name != key and name.split(".")[0] not in FIXED_LAUNCHER_VALUES)


def check_hydra_node(hydra: DictConfig) -> None:
    """Refuse what a config file, or a package directive, has put into Hydra's node.

    Raises:
        ConfigError: naming the key.
    """
    from omegaconf import OmegaConf

    node: Any = OmegaConf.to_container(hydra, resolve=False)
    check_fixed("hydra", node, FIXED_VALUES)
    if node.get("mode") is not None:
        raise ConfigError("hydra.mode", node["mode"], "no such key: -m beside it makes a sweep")
    for group in ("launcher", "sweeper"):
        check_target(group, node.get(group), node["runtime"]["choices"].get(f"hydra/{group}"))
    check_fixed("hydra.launcher", node["launcher"], FIXED_LAUNCHER_VALUES)
    for key, value in code_keys("hydra", node):
        if key not in ("hydra.launcher._target_", "hydra.sweeper._target_"):
            raise ConfigError(key, value, "no such key: a config chooses, it cannot execute")
    check_settings(node["launcher"], node["sweeper"])
    params = node["sweeper"].get("params") or {}
    if not isinstance(params, Mapping):
        raise ConfigError("hydra.sweeper.params", params, "a group of keys, each with the values to sweep over")


def check_target(group: str, settings: Any, choice: Any) -> None:
    """A launcher is one that we know, and the sweeper ours.

    Raises:
        ConfigError: naming the key, or the choice.
    """
    target = settings.get("_target_") if isinstance(settings, dict) else settings
    if group == "sweeper" and target != SWEEPER and choice != OWN:
        raise no_sweeper(choice)
    if target not in SAFE_TARGETS:
        raise ConfigError(f"hydra.{group}._target_", target, "a launcher or sweeper that convpipe knows", REASON)


def check_settings(launcher: Mapping[str, Any], sweeper: Mapping[str, Any]) -> None:
    """Nothing is set that our own sweeper and launcher would pass over; others know their settings themselves.

    Raises:
        ConfigError: naming the key.
    """
    for name, value in sweeper.items():
        if name not in ("_target_", "params"):
            raise ConfigError(f"hydra.sweeper.{name}", value, "params alone, which are the axes", SAMPLE)
    ours = sweeper["_target_"].replace("Sweeper", "Launcher")
    for name, value in launcher.items() if launcher["_target_"] == ours else ():
        if name != "_target_":
            raise ConfigError(
                f"hydra.launcher.{name}",
                value,
                "no settings of the launcher convpipe",
                "hydra/launcher=joblib has some",
            )


def no_sweeper(choice: Any) -> ConfigError:
    """Another sweeper than ours is asked for."""
    return ConfigError("hydra/sweeper", choice, f"{OWN}, which runs every point of all axes", SAMPLE)


def check_fixed(group: str, node: Mapping[str, Any], fixed: Mapping[str, Any]) -> None:
    """The settings of one group that nobody may change, where the group has them."""
    for key, expected in fixed.items():
        found: Any = node
        for part in key.split("."):
            found = found.get(part, expected) if isinstance(found, dict) else found
        if found != expected:
            raise ConfigError(f"{group}.{key}", found, f"{expected}, {REASON}")


def code_keys(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every key below a node that names something to call."""
    if isinstance(value, dict):
        for name, entry in value.items():
            if name in CODE_KEYS:
                yield f"{key}.{name}", entry
            yield from code_keys(f"{key}.{name}", entry)
    elif isinstance(value, list):
        for position, entry in enumerate(value):
            yield from code_keys(f"{key}[{position}]", entry)
