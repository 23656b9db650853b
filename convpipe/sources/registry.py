"""A closed list of names, each with the class it stands for, imported when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Generic, TypeVar, cast

from convpipe.errors import ConfigError, did_you_mean

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """Names to classes, given as ``{"npy": "files.NpyInput"}`` below `convpipe.sources`.

    A run needs one or two of some twenty sources; importing them all would be a tenth of its start-up.
    """

    def __init__(self, key: str, homes: Mapping[str, str]) -> None:
        self.key, self.homes = key, dict(homes)

    def __getitem__(self, name: str) -> T:
        module, _, kind = self.homes[name].partition(".")
        return cast(T, getattr(import_module(f"convpipe.sources.{module}"), kind))

    def __iter__(self) -> Iterator[str]:
        return iter(self.homes)

    def __len__(self) -> int:
        return len(self.homes)

    def named(self, name: object) -> T:
        """The class of that name.

        Raises:
            ConfigError: there is none; it lists the names there are.
        """
        if not isinstance(name, str) or name not in self.homes:
            raise ConfigError(self.key, name, f"one of {', '.join(self)}", did_you_mean(str(name), self))
        return self[name]
