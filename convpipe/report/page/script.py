"""The page's own modules, styles and words as texts that stand in it: each module with those that it imports."""

import json
import re
from functools import cache
from importlib.resources import files
from typing import Any

from convpipe.report.page.shrink import shrunk

IMPORT = re.compile(r'import \{[^}]*\} from "\./(\w+)\.mjs";')
LANGUAGES = ("en", "ko")


@cache
def part(name: str) -> str:
    """One of the files beside this module; nothing where there is none of that name."""
    found = files("convpipe.report.page").joinpath(*name.split("/"))
    return found.read_text("utf-8") if found.is_file() else ""


@cache
def modules(entry: str) -> tuple[str, ...]:
    """A module and all that it imports, each after those that it needs itself."""
    found = dict[str, None]()
    for name in IMPORT.findall(part(f"{entry}.mjs")):
        found |= dict.fromkeys(modules(name))
    return (*found, entry)


@cache
def script(entry: str) -> str:
    """The modules as one script, as a page that is opened from disk can load no other.

    Imports, the word `export` and comments go, and names are short: they are told apart in all modules together.
    """
    lines = [line.strip() for name in modules(entry) for line in part(f"{name}.mjs").splitlines()]
    kept = (line for line in lines if line and not line.startswith("//") and not IMPORT.fullmatch(line))
    return shrunk("\n".join(line.removeprefix("export ") for line in kept)) + "\n"


@cache
def style(entry: str) -> str:
    """The styles of all modules that have some."""
    lines = "\n".join(part(f"{name}.css") for name in modules(entry)).splitlines()
    return re.sub(r"\s*([{};,])\s*|(?<=:) ", r"\1", " ".join(line.strip() for line in lines)).strip() + "\n"


@cache
def words(entry: str) -> dict[str, dict[str, str]]:
    """What the page says, by language and key: each module's in words/<module>.json, a line for each key."""
    found: dict[str, dict[str, str]] = {language: {} for language in LANGUAGES}
    for name in modules(entry):
        texts: dict[str, Any] = json.loads(part(f"words/{name}.json") or "{}")
        for key, each in texts.items():
            for language in LANGUAGES:
                found[language][key] = each[language]
    return found
