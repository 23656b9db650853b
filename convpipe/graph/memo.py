"""What was made last under each name, so that runs one after another do not make the same thing again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import is_
from typing import Any


class Latest:
    """The last thing made under each name: made again only of other objects than then.

    Nothing leaks from run to run: what is made here depends on nothing else, and nobody changes it or what it
    was made of.

    >>> latest, pair = Latest(), [1, 2]
    >>> first = latest.each({"one": pair, "two": 3}, lambda name, source: [source])
    >>> second = latest.each({"one": pair, "two": 4}, lambda name, source: [source])
    >>> second, second["one"] is first["one"]
    ({'one': [[1, 2]], 'two': [4]}, True)
    """

    def __init__(self) -> None:
        self.kept: dict[str, tuple[Any, Any]] = {}

    def each(self, sources: Mapping[str, Any], make: Callable[[str, Any], Any]) -> dict[str, Any]:
        """``make(name, source)`` for each name."""
        kept = self.kept
        return {
            name: last[1] if (last := kept.get(name)) and last[0] is source else self.anew(name, source, make)
            for name, source in sources.items()
        }

    def anew(self, name: str, source: Any, make: Callable[[str, Any], Any]) -> Any:
        """One thing, made and kept for the next time."""
        made = make(name, source)
        self.kept[name] = (source, made)
        return made

    def of_all(self, name: str, sources: Sequence[Any], make: Callable[[], Any]) -> Any:
        """One thing that is made of several objects, as many of them under one name each time."""
        last = self.kept.get(name)
        if last is None or not all(map(is_, last[0], sources)):
            last = self.kept[name] = (sources, make())
        return last[1]
