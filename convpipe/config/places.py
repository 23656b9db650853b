"""Where the files lie that an experiment file of the user's own names: its relative paths start at its own folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from convpipe.config.grammar import choices_text
from convpipe.config.keys import keys
from convpipe.config.pieces import at_commas
from convpipe.config.tree import LISTS, TABLES
from convpipe.config.typed import is_function, text_of_word
from convpipe.fields import path as is_path
from convpipe.files.endings import ending
from convpipe.files.yaml import dotted

POINTS = "sweep.points"  # a file where it ends like one, else the name of a shipped list


def at_their_places(found: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The file's relative paths, which start at its folder, as paths from here."""
    if folder == Path():
        return found
    paths = {key.name for key in keys() if getattr(key.setting.check, "check", key.setting.check) is is_path}
    for name, value in dotted({key: value for key, value in found.items() if key not in ("defaults", "hydra")}):
        a_path = name in paths or (name == POINTS and ending(str(value)) in (*TABLES, *LISTS))
        if a_path and isinstance(value, str) and not value.startswith(("${", "~", "???")):
            set_at(found, name, os.path.normpath(Path(literal(str(folder))) / value))
    params = found.get("hydra", {}).get("sweeper", {}).get("params")
    for name, value in params.items() if isinstance(params, dict) else ():
        if name in paths and isinstance(value, str):
            params[name] = axis_there(name, value, folder)
    return found


def axis_there(name: str, value: str, folder: Path) -> str:
    """The paths of an axis, which start at a folder, as paths from here; of a choice() or the like as they are."""
    if is_function(value) or "${" in value:
        return value
    paths = [text_of_word(name, each) for each in at_commas(value)]
    there = [each if each.startswith(("~", "???")) else os.path.normpath(folder / each) for each in paths]
    return literal(choices_text(name, there))


def literal(text: str) -> str:
    """A text in which nothing refers to another key.

    >>> print(literal("a"), literal("${seed}"))
    a \\${seed}
    """
    return text.replace("${", "\\${")


def set_at(tree: dict[str, Any], name: str, value: Any) -> None:
    """Set the value of a dotted key that is there."""
    *groups, last = name.split(".")
    for group in groups:
        tree = tree[group]
    tree[last] = value
