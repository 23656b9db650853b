"""The text of an experiment file of the user's own: what it says, or what is wrong with it and what to do."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml

from convpipe.config.keys import key_meant
from convpipe.config.references import check_references
from convpipe.config.repository import quick_loader
from convpipe.config.settings import composed
from convpipe.config.tree import GLOBAL, YAML, choices_of
from convpipe.config.typed import check_form
from convpipe.errors import ConfigError, StorageError, UsageError, nearest, shown
from convpipe.files.limits import MOST_CONFIG_BYTES, MOST_VALUES
from convpipe.files.regular import regular_bytes
from convpipe.files.yaml import check_events, dotted

TO_A_FILE = "numbers go into a .npy file, which input: {source: npy, path: FILE.npy} reads"
SEVERAL = re.compile(r"\d{1,9}(\s*,\s*\d{1,9})+")


def contents(path: Path) -> Mapping[str, Any]:
    """What the file holds.

    Raises:
        UsageError: it is not there, or no config of ours.
        StorageError: the disk refused.
    """
    try:
        path = in_other_form(path)
        if not path.is_file():
            raise UsageError(
                f"{path}: {no_file(path)}; expected an experiment file, or settings as key=value{near(path)}"
            )
        text = regular_bytes(path, MOST_CONFIG_BYTES)
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"{path}: {error} ({TO_A_FILE})") from error
    check_package(path, text)
    found = values_in(path, text)
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise UsageError(f"{path}: expected keys and values, such as seed: 1{as_lines(found)}")
    check_references("", found)
    check_no_sweep(found)
    return found


def file_of_choices(path: Path, most: int) -> tuple[str, dict[Any, Any], int]:
    """The text of a file in a folder of choices of the user's own, what it says, and how many values that are.

    Args:
        most: how many there may be.

    Raises:
        OSError: the system refused.
        ConvpipeError: it is no file of keys and values, or says more than a config may.
    """
    content = b""
    try:
        content = regular_bytes(path, MOST_CONFIG_BYTES)
        text = content.decode("utf-8-sig")
        count = check_events(content, most, aliases=True)
        found = yaml.load(text, quick_loader())
    except (ValueError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: {unreadable(content, error)}") from error
    if found is not None and not isinstance(found, dict):
        raise UsageError(f"{path}: expected keys and values, such as seed: 1{as_lines(found)}")
    try:
        check_references("", found)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.key}", error.got, error.expected, error.hint) from error
    return text, found or {}, count


def no_file(path: Path) -> str:
    """What is in the place of a file."""
    if path.is_dir():
        return "no such file, but a folder"
    return "no regular file" if path.exists() else "no such file"


def values_in(path: Path, text: bytes) -> Any:
    """What the text of a file says.

    Raises:
        UsageError: it is no YAML, or says more than a config may.
    """
    try:
        return plain_values(text)
    except (ValueError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: {unreadable(text, error)}") from error


def check_package(path: Path, text: bytes) -> None:
    """The keys of the file stand at the top; Hydra's first line that says so may be there."""
    first = text.partition(b"\n")[0].split()
    if first[:2] == [b"#", b"@package"] and first[2:] != [GLOBAL.encode()]:
        raise UsageError(f"{path}: got {b' '.join(first).decode(errors='replace')}, expected {GLOBAL}, or no such line")


def in_other_form(path: Path) -> Path:
    """The file whose name has the same letters as one that is not there, such as one that macOS has written."""
    if str(path).isascii() or path.exists() or not path.parent.is_dir():
        return path
    return next((each for each in path.parent.iterdir() if composed(each.name) == composed(path.name)), path)


def near(path: Path) -> str:
    """A hint at a file, or an experiment, that a missing one was meant to be; or nothing."""
    if path.is_dir():
        return ""
    address, _, place = str(path).partition("file:")
    if not address and place and os.path.isfile(there := unquote(place)):
        return f" (did you mean {there}?)"
    several = str(path).split(",")
    if several[1:] and all(each.endswith(YAML) and os.path.isfile(each) for each in several):
        return f" (a sweep over several is -m {shlex.quote(f'experiment={path}')})"
    files = {composed(str(each)): str(each) for ending in YAML for each in sorted(path.parent.glob(f"*{ending}"))}
    files = {name: each for name, each in files.items() if os.path.isfile(each)}
    known = files | {f"{name}{path.suffix}": f"experiment={name}" for name in choices_of("experiment")}
    found = nearest(composed(str(path)), known)
    return f" (did you mean {shlex.quote(known[found])}?)" if found else ""


def as_lines(found: Any) -> str:
    """A hint at how settings that are written in another form stand in a file; or nothing.

    >>> as_lines("conv.stride=2 conv.pad=1"), as_lines(["seed=3"]), as_lines("seed:3"), as_lines("<html>")
    (' (write conv.stride: 2)', ' (write seed: 3)', ' (write seed: 3)', '')
    """
    first = found[0] if isinstance(found, list) and found else found
    written = re.match(r"\W*([A-Za-z_][\w.]*)\s*[=:]\s*([^\s=]+)", first) if isinstance(first, str) else None
    if written and (name := key_meant(written[1])):
        return f" (write {name}: {written[2].rstrip(',;')})"
    return " (a file has groups of keys, no list)" if isinstance(found, list) else ""


def check_no_sweep(found: Mapping[str, Any]) -> None:
    """No setting has several numbers where it takes but one: a sweep over them is the command's.

    Raises:
        ConfigError: one has.
    """
    for name, value in dotted({key: each for key, each in found.items() if key not in ("defaults", "hydra")}):
        if isinstance(value, str) and SEVERAL.fullmatch(value):
            check_form(name, f"[{value}]", several=False)
        elif isinstance(value, str | list):
            check_form(name, str(value), several=False)


def unreadable(text: bytes, error: Exception) -> str:
    """What is wrong with a YAML text, in which line, and what to do about the most frequent mistakes."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is None or problem is None:
        if "aliases" in str(error):
            return f"not readable: {error} (what a * refers to is to be written out)"
        if "names and values" in str(error):
            return f"not readable: {error} ({TO_A_FILE})"
        if (place := not_utf_8(text)) is not None:
            return f"expected UTF-8, which it is not at byte {place} (an editor saves it so)"
        return "not readable: " + shown(error, 200).replace(' in "<byte string>", position', ", at byte")
    lines = text.splitlines() or [b""]
    number = min(mark.line + 1, len(lines))  # the end counts as one more
    line = lines[number - 1]
    hint = ""
    if b"\t" in line[: len(line) - len(line.lstrip())]:
        hint = " (YAML takes blanks, no tabs, before a key)"
    elif "another document" in problem:
        problem, hint = "a second document", " (one file is one experiment: no line of --- after the first)"
    elif "duplicate key" in problem:
        hint = " (a key once; beside a name, settings have keys of their own: input: npy and input.path: x.npy)"
    elif problem.startswith(("mapping values are not allowed", "could not find expected ':'")):
        hint = " (a colon needs a blank behind it, and a text with ': ' quotes)"
    return f"line {number}: {shown(problem, 200)}{hint}"


def not_utf_8(text: bytes) -> int | None:
    """At which byte a text is not in UTF-8; nothing where it is, or says itself that it is in UTF-16."""
    if text.startswith((b"\xff\xfe", b"\xfe\xff")):
        return None
    if 0 < text[:64].count(b"\0") * 2 >= len(text[:64]) - 1:
        return text.index(b"\0")
    try:
        text.decode()
    except UnicodeDecodeError as error:
        return error.start
    return None


def plain_values(text: bytes) -> Any:
    """What a YAML text says, by the rules of conf's files: 1e-5 is a number, and a date a text.

    Raises:
        ValueError, YAMLError: it is none, is nested too deeply, or has aliases.
    """
    check_events(text, MOST_VALUES)
    return yaml.load(text, quick_loader())
