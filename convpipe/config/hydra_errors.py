"""Hydra's and OmegaConf's errors as one line of ours: the key, what came, what was expected, a did-you-mean."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from convpipe.config.hydra_safety import EXTRAS, LAUNCHER, no_sweeper
from convpipe.errors import ConfigError, ConvpipeError, StorageError, UsageError, did_you_mean, nearest, shown

Siblings = Callable[[str], tuple[str, Sequence[str]]]  # a key -> the nearest group there is, and that group's keys

# The sources that read a file, by how its name ends.
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
FILES = {".npy": "npy", ".npz": "npz", ".csv": "csv", ".safetensors": "safetensors", **dict.fromkeys(IMAGES, "image")}
UNKNOWN = re.compile(r"Could not (?:override|delete from config\.) '([^']+)'")
NOT_THAT_VALUE = re.compile(r"Could not delete from config\. The value of '([^']+)' is (.*) and not (.*)\.", re.DOTALL)
THERE_ALREADY = re.compile(r"Could not append to config\. An item is already at '([^']+)'")
NOT_FOUND = re.compile(r"Could not load '([^']+)'|Cannot find primary config '([^']+)'")
# Of another key, by way of an interpolation.
MISSING = re.compile(r"resolving interpolation: Missing mandatory value: (\S+)")
NOT_A_VALUE = re.compile(r"Value '(.*)' of type '.*' (.*)")
MERGE = re.compile(r"Error merging override ([^=\s]+)=")


def explained(error: Exception, overrides: Sequence[str], siblings: Siblings) -> ConvpipeError:
    """An error of Hydra's or OmegaConf's in our words."""
    if (cause := of_launcher(error)) is not None:
        return launcher_setting(cause)
    message = str(error) or str(error.__cause__ or type(error).__name__)
    if isinstance(error, UnicodeDecodeError):
        return UsageError(f"config: expected files in UTF-8: {message}")
    if isinstance(error, OSError) and error.errno is not None:  # Hydra has its own, without one
        return not_found(error, overrides)
    if isinstance(error, AssertionError):  # Hydra's, of what is no text
        return UsageError("config: expected names in defaults, such as override /input: random")
    if isinstance(error, RecursionError):
        return UsageError("config: expected fewer lists or groups within each other")
    if isinstance(error, KeyError):  # the only look-up of Hydra's own that depends on a config file
        return ConfigError("hydra.job.env_copy", error.args[0], "nothing, as it could run code or write elsewhere")
    if getattr(error, "missing_cfg_file", None) and getattr(error, "options", None) is not None:
        return unknown_choice(str(error.missing_cfg_file), error.options, overrides)  # type: ignore[attr-defined]
    if found := MISSING.search(message):
        return ConfigError(found[1], None, "a value for it")
    if found := NOT_FOUND.search(message):
        group, _, name = (found[1] or f"--config-name/{found[2]}").rpartition("/")
        return ConfigError(group or "config", name, "a config of that name in conf or --config-dir")
    if found := NOT_THAT_VALUE.search(message):
        return ConfigError(f"~{found[1]}", found[3], f"its value {found[2]}, or none at all")
    if found := THERE_ALREADY.search(message):
        return ConfigError(found[1], given(found[1], overrides), "no '+', as the key is there already")
    if found := UNKNOWN.search(message):
        return unknown_key(found[1].split("@")[0], overrides, siblings)
    key = getattr(error, "full_key", None) or ""
    if found := MERGE.search(message):
        key = found[1].lstrip("+~")
        message = str(error.__cause__ or error)
    if type(error).__name__ == "MissingMandatoryValue":
        return ConfigError(str(key), None, "a value for it")
    reason = " ".join(message.split("full_key:")[0].split())
    if key:
        return ConfigError(str(key), given(str(key), overrides), "a value that can be worked out", reason)
    return UsageError(f"config: {reason}")


def not_found(error: OSError, overrides: Iterable[str]) -> ConvpipeError:
    """What the disk said when a config was looked for: of a name that is none of a file, or of no working directory."""
    for override in overrides:
        key, _, value = override.partition("=")
        if value and f"/{value}" in str(error.filename or ""):
            return ConfigError(
                key.lstrip("+"), value, f"the name of a choice of {key.lstrip('+')}", str(error.strerror)
            )
    if error.filename is None:
        return StorageError(f"the working directory: {error.strerror}")
    return UsageError(f"config: {shown(error, 300)}")


def unknown_choice(path: str, options: Sequence[str], overrides: Iterable[str]) -> ConfigError:
    """A group's choice that there is not, such as ``input=rando``."""
    group, _, name = path.rpartition("/")
    for override in overrides:
        key, _, value = override.partition("=")
        key = key.lstrip("+").split("@")[0]
        if f"{key}/{value}" == path:
            group, name = key, value
    if group == "hydra/sweeper":
        return no_sweeper(name)
    if group == "hydra/launcher" and name in EXTRAS:
        return ConfigError(group, name, f"one of {', '.join(options)}", f"pip install 'convpipe[{EXTRAS[name]}]'")
    source = next((source for ending, source in FILES.items() if name.lower().endswith(ending)), "")
    hint = f"{group}={source} {group}.path={name}" if source in options else did_you_mean(name, options)
    return ConfigError(group or "config", name, f"one of {', '.join(options)}", hint)


def unknown_key(key: str, overrides: Sequence[str], siblings: Siblings) -> ConfigError:
    """A key that the config does not have, such as ``conv.strid``."""
    from convpipe.config.keys import key_meant, place_near, place_of, who_has  # which only such an error needs

    group, there = siblings(key)
    above = f"{group}." if group else ""
    name, _, rest = key.removeprefix(above).partition(".")
    if name in there and given(key, overrides).startswith("{"):
        hint = f"{name}=NAME chooses, and {name}.KEY=VALUE sets what that has"
        return ConfigError(key, given(key, overrides), f"settings that {name} has as it is chosen", hint)
    if name in there and (having := who_has(key) if rest else ""):
        return ConfigError(key, given(key, overrides), f"a key of {name} as it is chosen", having)
    if name in there:
        return ConfigError(key, given(key, overrides), f"{above}{name} itself, as nothing is below it")
    near = nearest(name, there)
    meant = f"did you mean {above}{near}{'.' if rest else ''}{rest}?" if near else ""
    spelled = key_meant(key)
    hint = (
        invisible(key)
        or who_has(key)
        or (f"did you mean {spelled}?" if spelled and spelled != key else "")
        or (place_of(key) if not group else "")
        or meant
        or place_of(name)
        or ("" if group else place_near(key.replace("/", ".")))
    )
    where = f" of {group}" if group else ""
    expected = f"one of the keys{where}: {', '.join(there)}" if there else f"nothing below {group}, which is empty"
    return ConfigError(key, given(key, overrides), expected, hint)


def invisible(key: str) -> str:
    """A hint at what is wrong with a key of a file that a colon or a blank of another kind has become a part of."""
    name = key.rpartition(".")[2]
    bare = "".join(mark for mark in name if mark.isprintable()).strip()
    if ":" in name:
        text, _, value = bare.partition(":")
        return f"a colon needs a blank behind it: {text}: {value.strip()}"
    return f"write {bare} with blanks of the keyboard before and behind it" if bare != name else ""


def given(key: str, overrides: Sequence[str]) -> str:
    """What the user typed for a key."""
    for override in reversed(overrides):
        name, _, value = override.partition("=")
        if name.lstrip("+~").split("@")[0] == key:
            return value
    return ""


# Settings of a launcher in a config file


def of_launcher(error: Exception) -> BaseException | None:
    """The cause of an error, where that is a setting of a launcher."""
    cause = error.__cause__ or error.__context__
    return cause if str(getattr(cause, "full_key", None)).startswith(LAUNCHER) else None


def launcher_setting(cause: Any) -> ConfigError:
    """A setting that a launcher does not have, or a value that it does not take."""
    name = cause.full_key.removeprefix(LAUNCHER)
    if found := NOT_A_VALUE.match(str(cause)):
        return ConfigError(cause.full_key, found[1], "a value that the launcher takes", found[2])
    names = [each for each in getattr(cause.object_type, "__dataclass_fields__", ()) if not each.startswith("_")]
    has = f"one of the launcher's settings: {', '.join(names)}" if names else "no settings of this launcher"
    return ConfigError(cause.full_key, name, has, did_you_mean(name, names))
