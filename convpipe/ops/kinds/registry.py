"""Kinds of things by name: each in a file that is called as it is, imported when it is asked for."""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from string import capwords
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from convpipe.errors import ConfigError, did_you_mean
from convpipe.ops.kinds.operation import Operation

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")


@dataclass(frozen=True)
class Registry(Generic[T]):
    """The classes that the files of a package hold, and those that installed packages add to them.

    A file's class is called as the file, in capitals: ``max_pool.py`` has `MaxPool`. Other packages join by an
    entry point, which is looked for only where no file of ours has the name.
    """

    package: str  # whose files they are, and the group of entry points
    kind: type[T]

    def get(self, key: str, name: object) -> type[T]:
        """The class of a name.

        Raises:
            ConfigError: under `key`, there is none, or there are two.
        """
        if isinstance(name, str) and name in self.ours():
            home = import_module(f"{self.package}.{name}")
            return cast(type[T], vars(home)[capwords(name, "_").replace("_", "")])
        entry = self.entry(key, name) if isinstance(name, str) else None
        if entry is None:
            known = self.names()
            raise ConfigError(key, name, f"one of {', '.join(known)}", did_you_mean(str(name), known))
        return self.loaded(key, entry)

    def find(self, name: str) -> type[T] | None:
        """The class of a name, or None where there is none (any more)."""
        try:
            return self.get(self.package, name)
        except ConfigError:
            return None

    def names(self) -> list[str]:
        """All names, ours first."""
        return [*self.ours(), *sorted({entry.name for entry in installed(self.package)} - {*self.ours()})]

    def ours(self) -> Sequence[str]:
        """The names of our own files."""
        return file_names(self.package)

    def entry(self, key: str, name: str) -> EntryPoint | None:
        """The entry point of a name, if there is one."""
        found = [entry for entry in installed(self.package) if entry.name == name]
        if len({distribution(entry) for entry in found}) > 1:
            both = " and ".join(sorted(distribution(entry) for entry in found))
            raise ConfigError(key, name, f"a name that one installed package has, not {both}")
        return found[0] if found else None

    def loaded(self, key: str, entry: EntryPoint) -> type[T]:
        """The class that an entry point leads to."""
        try:
            found = entry.load()
        except Exception as error:
            reason = f"{distribution(entry)}: {type(error).__name__}: {error}"
            raise ConfigError(key, entry.name, "a package that can be imported", reason) from error
        if not (isinstance(found, type) and issubclass(found, self.kind)):
            raise ConfigError(key, entry.name, f"a class of the kind {self.kind.__name__}", distribution(entry))
        return found


@cache
def file_names(package: str) -> tuple[str, ...]:
    """The modules that lie in a package, sub-packages left out."""
    return tuple(sorted(each.name for each in pkgutil.iter_modules(import_module(package).__path__) if not each.ispkg))


@cache
def origins(registry: Registry[Any], names: tuple[str, ...]) -> dict[str, str]:
    """The distributions and versions of those names that are not ours."""
    return {name: distribution(entry) for name, entry in installed_ones(registry, names).items()}


def installed_ones(registry: Registry[Any], names: Sequence[str]) -> dict[str, EntryPoint]:
    """The entry points of those names that are not ours."""
    found = {name: registry.entry(registry.package, name) for name in names if name not in registry.ours()}
    return {name: entry for name, entry in found.items() if entry is not None}


def installed(group: str) -> list[EntryPoint]:
    """What installed packages add; looking for it costs 13 ms once, and the start does without."""
    from importlib.metadata import entry_points

    return list(entry_points(group=group))


def distribution(entry: EntryPoint) -> str:
    """The distribution of an entry point, and its version."""
    found: Any = entry.dist
    return f"{found.name} {found.version}" if found else entry.value


OPERATIONS: Registry[Operation] = Registry("convpipe.ops", Operation)
