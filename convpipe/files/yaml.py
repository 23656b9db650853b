"""Plain configs as YAML and back: nested keys with numbers, texts and lists, and nothing that could be code."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import yaml

from convpipe.errors import ConfigError, shown
from convpipe.files.limits import MOST_ARCHIVED_VALUES, MOST_DIGITS

PLAIN_KEY = re.compile(r"[A-Za-z_]\w*", re.ASCII)
WORDS = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")
DEEPEST = 50  # levels
TEXT = "tag:yaml.org,2002:str"
NUMBER = re.compile(r"[-+.]?[0-9][0-9a-fA-FxobO_:.+-]*\Z")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class PlainLoader(LOADER):  # type: ignore[misc, valid-type]
    """A loader that refuses a key that is in its mapping twice, of which PyYAML's own would keep the last."""

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict[Any, Any]:
        """The values of a mapping whose keys are all different."""
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()
        seen: set[str] = set()
        for key in (key for key, _ in pairs if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise ValueError(f"line {key.start_mark.line + 1}: got {shown(key.value)} again, expected a key once")
            seen.add(key.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def dotted(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """A plain config as dotted keys and values.

    >>> dict(dotted({"conv": {"stride": [1, 2]}, "seed": 0}))
    {'conv.stride': [1, 2], 'seed': 0}
    """
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def config_yaml(config: Mapping[str, Any]) -> bytes:
    """A plain config as YAML: groups as blocks, values as JSON has them, keys in their own order.

    Twenty times faster than PyYAML's C dumper, which would be a third of a small run's time.

    Raises:
        ConfigError: a text that no UTF-8 file can hold.

    >>> print(config_yaml({"seed": 0, "conv": {"stride": [1, 2], "pad_mode": "edge"}}).decode(), end="")
    seed: 0
    conv:
      stride: [1, 2]
      pad_mode: "edge"
    """
    return encoded("".join(yaml_lines(config)))


def encoded(text: str) -> bytes:
    """The bytes of a YAML text of ours.

    Raises:
        ConfigError: a text that no UTF-8 file can hold, with its key.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        key, _, value = text.split("\n")[text.count("\n", 0, error.start)].partition(": ")
        raise ConfigError(key.strip(), ascii(value), "text that UTF-8 can hold") from error


def yaml_lines(config: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """The lines of a nested config."""
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield f"{indent}{yaml_key(key)}:\n"
            yield from yaml_lines(value, indent + "  ")
        else:
            yield f"{indent}{yaml_key(key)}: {yaml_value(value)}\n"


@lru_cache(maxsize=1024)
def yaml_key(key: str) -> str:
    """A key, bare where YAML reads it as a text."""
    return key if PLAIN_KEY.fullmatch(key) and key.lower() not in WORDS else yaml_text(key)


def yaml_value(value: Any) -> str:
    """A plain value that YAML 1.1 and JSON read alike."""
    if type(value) is int:  # the most frequent: json takes ten times as long
        return str(value)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{yaml_key(key)}: {yaml_value(entry)}' for key, entry in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(yaml_value(entry) for entry in value)}]"
    if isinstance(value, str):
        return yaml_text(value)
    text = json.dumps(value, allow_nan=False)
    # YAML 1.1 takes 1e-05 for a text: a float needs its point
    return text.replace("e", ".0e") if isinstance(value, float) and "e" in text and "." not in text else text


@lru_cache(maxsize=1024)
def yaml_text(value: str) -> str:
    """A text in double quotes, escaped where YAML would not take a character as it is.

    >>> yaml_text("a\\u2028b")
    '"a\\\\u2028b"'
    """
    quoted = json.dumps(value, ensure_ascii=False)
    return quoted if quoted.isprintable() else "".join(map(yaml_character, quoted))


def yaml_character(character: str) -> str:
    """One character; halves of surrogate pairs stay, as no YAML can say them."""
    code = ord(character)
    if character.isprintable() or 0xD800 <= code <= 0xDFFF:
        return character
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def read_yaml(content: bytes, most: int = MOST_ARCHIVED_VALUES) -> Any:
    """The plain values of a YAML text, at most so many.

    Raises:
        ValueError: it is none, or no config of ours: nested too deeply, with aliases, or with a key twice.

    >>> read_yaml(b"conv: {stride: [1, 2]}")
    {'conv': {'stride': [1, 2]}}
    """
    try:
        check_events(content, most)
        return yaml.load(content, PlainLoader)
    except yaml.YAMLError as error:
        raise ValueError(shown(error, 200)) from error


def check_events(content: bytes, most: int, *, aliases: bool = False) -> int:
    """Refuse what would harm its reader: the loader of C crashes on deep nesting, an alias may stand for ten others,
    each of those for ten, and so on, and each value costs more than its byte. Gives how many there are.

    Args:
        aliases: whether there may be such, each of which counts as all that it stands for.

    Raises:
        ValueError: it would.
        YAMLError: it is no YAML.
    """
    values = 0
    opened: list[tuple[str | None, int]] = []  # collections, each with its anchor, and the values before it
    sizes: dict[str | None, int] = {}
    for event in yaml.parse(content, LOADER):
        if isinstance(event, yaml.AliasEvent):
            if not aliases or event.anchor not in sizes:
                raise ValueError(f"aliases are not for {'values of themselves' if aliases else 'plain values'}")
            values += sizes[event.anchor]
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            sizes[anchor] = values - before
        elif isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, values))
            values += 1
        elif isinstance(event, yaml.ScalarEvent):
            sizes[event.anchor] = 1
            values += 1
            check_digits(event)
        if values > most or len(opened) > DEEPEST:
            raise ValueError(f"more than {most} names and values" if values > most else f"more than {DEEPEST} levels")
    return values


def check_digits(event: yaml.ScalarEvent) -> None:
    """A scalar that may become a number, as it has no quotes, or a tag of its own, has few digits.

    Raises:
        ValueError: it has many.
    """
    text = event.value
    if len(text) <= MOST_DIGITS or event.tag == TEXT:
        return
    if event.tag is not None or (not event.style and NUMBER.match(text)):
        raise ValueError(f"a number of {len(text)} digits, expected at most {MOST_DIGITS}")
