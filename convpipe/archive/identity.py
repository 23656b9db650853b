"""What a run is called: the hash of its config in canonical form; and the config in the forms an archive needs."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from convpipe.archive.cells import cell_text
from convpipe.archive.format import CANONICAL
from convpipe.errors import ConfigError
from convpipe.files.limits import MOST_CONFIG_BYTES
from convpipe.files.yaml import dotted, encoded

RUN_ID = re.compile(r"[0-9a-f]{12}\Z")


@dataclass(frozen=True)
class Part:
    """One key of a spec in every form that an archive needs of it."""

    value: Any  # plain: nested dicts and lists
    entry: str  # canonical JSON, as the run id has it
    yaml: str  # its lines of config.yaml
    cells: tuple[tuple[str, str], ...]  # dotted keys and texts, as results.csv has them


@dataclass(frozen=True)
class Described:
    """A spec as the config that makes it, key by key."""

    parts: Mapping[str, Part]
    identity: str  # the run id
    paths: Mapping[str, str] = field(default_factory=dict)  # where files lie that it reads, by group: no part of it

    @property
    def config(self) -> dict[str, Any]:
        """Nested dicts and lists of plain values."""
        return {key: part.value for key, part in self.parts.items()}

    @property
    def yaml(self) -> bytes:
        """config.yaml."""
        return encoded("".join([part.yaml for part in self.parts.values()]))

    @property
    def cells(self) -> dict[str, str]:
        """The config's cells in a table of results."""
        return {key: text for part in self.parts.values() for key, text in part.cells}


def check_written(parts: Mapping[str, Part], others: int = 0) -> None:
    """A config is no larger than what is read of an archive's config.yaml.

    Args:
        others: bytes that are left for parts which are not there.

    Raises:
        ConfigError: it is, by its longest key; before anything is computed.
    """
    most = MOST_CONFIG_BYTES - others
    if 4 * sum([len(part.yaml) for part in parts.values()]) <= most:  # UTF-8 has at most 4 bytes for each
        return
    lengths = {key: len(encoded(part.yaml)) for key, part in parts.items()}
    size, longest = sum(lengths.values()), max(lengths, key=lengths.__getitem__)
    if size > most:
        expected = f"at most {most} in all"
        hint = f"write the numbers to a .npy file: {longest}=npy {longest}.path=FILE.npy"
        raise ConfigError(longest, f"a config of {size} bytes", expected, hint if longest != "network" else "")


def config_cells(config: Mapping[str, Any]) -> dict[str, str]:
    """A plain config as cells of a table, by dotted key.

    >>> config_cells({"conv": {"stride": [1, 2]}, "seed": 0})
    {'conv.stride': '[1, 2]', 'seed': '0'}
    """
    return {key: cell_text(value) for key, value in dotted(config)}


def run_id(config: Mapping[str, Any]) -> str:
    """The first 12 hex digits of the SHA-256 of a plain config, written as canonical JSON.

    Keys are sorted, but for a network's layers, whose order has a meaning.
    """
    return joined_id([canonical_entry(key, config[key]) for key in sorted(config)])


def canonical_entry(key: str, value: Any) -> str:
    """One key of a plain config and its value as canonical JSON."""
    ordered = list(value.items()) if key == "network" else value
    return f"{CANONICAL.encode(key)}:{CANONICAL.encode(ordered)}"


def joined_id(entries: Iterable[str]) -> str:
    """The run id of a config whose sorted entries are canonical JSON already."""
    return hashlib.sha256(f"{{{','.join(entries)}}}".encode()).hexdigest()[:12]
