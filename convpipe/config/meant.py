"""What words that are no settings were meant to be, as what to type instead: settings in another form, files, flags."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from convpipe.config.hydra_errors import FILES
from convpipe.config.keys import as_setting, key_meant, named_choices
from convpipe.config.tree import GROUPS, YAML, choices_of
from convpipe.config.typed import is_text, one_word, without_pair
from convpipe.errors import nearest

# What other tools call what is asked for here in another way; VALUE is the word behind.
FLAGS = {
    **dict.fromkeys(("-o", "--output", "--out", "--output-dir", "--out-dir", "--outdir"), "root=VALUE"),
    **dict.fromkeys(("-n", "--dry", "--simulate"), "dry_run=true"),
    **dict.fromkeys(("-f", "--force", "--overwrite"), "replace=true"),
    **dict.fromkeys(("-j", "--jobs", "--num-workers"), "workers=VALUE"),
    **dict.fromkeys(("-i", "--image", "--picture"), "input=VALUE"),
    **dict.fromkeys(("-s", "--random-seed"), "seed=VALUE"),
    **dict.fromkeys(("-l", "--list", "--ls"), "convpipe runs"),
    **dict.fromkeys(("-v", "--ver"), "-V for the version"),
    **dict.fromkeys(("-q", "--quiet", "--silent"), "> /dev/null behind the command"),
    **dict.fromkeys(("--verbose", "--debug"), "CONVPIPE_DEBUG=1 before the command"),
    **dict.fromkeys(("-?", "--usage"), "--help"),
    "--sweep": "-m",
}
EXAMPLE = {"root=VALUE": "results", "workers=VALUE": "2", "seed=VALUE": "1", "input=VALUE": "image"}
# Verbs of other tools before the name of what is to be run.
RUNNING = ("run", "start", "exec", "execute", "launch", "experiment", "exp", "config", "show", "use", "load", "open")
HELPING = ("?", "/?", "/h", "/help", "man")
FULL_WIDTH_EQUALS = "\uff1d"
QUOTES = "\u2018\u2019\u201c\u201d\u201e"


def meant(words: Sequence[str]) -> str:
    """What to type for the first of some words, which is no setting; nothing where nobody knows.

    >>> meant(["seed:", "3"]), meant(["stride", "2"]), meant(["conv", "stride=2"]), meant(["run", "lecture_4d"])
    ('seed=3', 'conv.stride=2', 'conv.stride=2', 'experiment=lecture_4d')
    >>> meant(["/seed=3"]), meant(["experiment", "Tiny"]), meant(["photo.png"]), meant(["nothing", "like", "it"])
    ('seed=3', 'experiment=tiny', 'input=image input.path=photo.png', '')
    """
    word, *behind = words
    if word.lower() in HELPING:
        return "--help"
    if word.lower() in RUNNING and behind and (thing := named(without_pair(behind[0]))):
        return thing
    return setting_of(word, behind) or named(without_pair(word.strip()))


def setting_of(word: str, behind: Sequence[str]) -> str:
    """A word that is a key, or one with its value, in another form than key=value; or nothing."""
    text = word.replace(FULL_WIDTH_EQUALS, "=").lstrip("-/,;")
    key, sign, value = re.match(r"([^=:\s]*)\s*([=:]?)\s*(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    if not key_meant(key):
        return ""
    if key in GROUPS and not value and behind and "=" in behind[0] and not behind[0].startswith("="):
        below, _, given = behind[0].partition("=")
        return as_setting(f"{key}.{below}", given)
    left = [each for each in behind[:2] if each not in ("=", ":")] if not value else []
    value = value or next((each.lstrip("=:") for each in left[:1] if "=" not in each.lstrip("=")), "")
    return written(key, value) if value or sign or key in (key_meant(key), key.lower()) else ""


def written(key: str, value: str) -> str:
    """A key in any spelling and its value as what to type; of a file that is an input, its source, too."""
    name = key_meant(key)
    if source := FILES.get(os.path.splitext(value)[1].lower()) if name in GROUPS else None:
        return f"{name}={source} {one_word(f'{name}.path', value)}"
    found = as_setting(name, value)
    if found and is_text(name):
        return one_word(name, found.partition("=")[2])
    return shlex.quote(found) if " " in found else found


def named(word: str) -> str:
    """A word that is a choice without its group, a file or a folder, as what to type for it; or nothing.

    >>> named("lecture_4d"), named("SOBEL_X"), named("a b.csv")
    ('experiment=lecture_4d', 'filters=sobel_x', "input=csv 'input.path=a b.csv'")
    """
    if word.lower().endswith(YAML):
        return shlex.quote(word)
    source = FILES.get(os.path.splitext(word)[1].lower())
    if source:
        return f"input={source} {one_word('input.path', word)}"
    if os.path.isdir(word):
        return f"convpipe runs {shlex.quote(word)}"
    if groups := named_choices(word.lower()):
        return f"{groups[0]}={word.lower()}"
    files = {path.stem: shlex.quote(path.name) for ending in YAML for path in sorted(Path().glob(f"[!.]*{ending}"))}
    known = {**{name: f"experiment={name}" for name in choices_of("experiment")}, **files}
    near = nearest(word, known)
    return known[near] if near else ""


def flag_meant(flag: str, value: str = "") -> str:
    """What to type for a flag that there is not: a setting, a file of one's own, what other tools call so; or nothing.

    >>> flag_meant("--conv-stride", "2"), flag_meant("-o", "out"), flag_meant("--config", "my.yaml"), flag_meant("-x")
    ('conv.stride=2', 'root=out', 'convpipe my.yaml', '')
    """
    if value.lower().endswith(YAML) and flag.lstrip("-") not in ("experiment", "points"):
        return f"convpipe {shlex.quote(value)}"
    here = FLAGS.get(flag, "")
    if here.startswith("input="):
        return written("input", value or "photo.png")
    if here.endswith("=VALUE"):
        return one_word(here.partition("=")[0], value or EXAMPLE[here])
    return here or written(flag.lstrip("-"), value)


def half_quoted(words: Sequence[str]) -> str:
    """Words between typographic quotes, at which a shell has split them, in quotes that it knows; or nothing."""
    text = " ".join(words)
    found = re.search(f"[{QUOTES}]([^{QUOTES}]+)[{QUOTES}]", text)
    return shlex.quote(found[1]) if found and "=" in found[1] else ""
