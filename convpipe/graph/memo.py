"""What was made last under each name, so that points one after another do not make the same thing again."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from operator import is_
from typing import Any


class Memo:
    """What was made last under each name, kept while it is made of the same things.

    It is handed on from call to call, and lives as long as a sweep or a batch of it. Nothing leaks from run to run:
    what is made here depends on nothing else, and nobody changes it or what it was made of.

    >>> memo, pair = Memo(), [1, 2]
    >>> first = memo.each("copy", {"one": pair, "two": 3}, lambda name, thing: [thing])
    >>> second = memo.each("copy", {"one": pair, "two": 4}, lambda name, thing: [thing])
    >>> second, second["one"] is first["one"]
    ({'one': [[1, 2]], 'two': [4]}, True)
    """

    def __init__(self) -> None:
        self.kept: dict[Hashable, tuple[Any, Any]] = {}
        self.kinds: dict[str, dict[str, tuple[Any, Any]]] = {}

    def each(self, kind: str, things: Mapping[str, Any], make: Callable[[str, Any], Any]) -> dict[str, Any]:
        """``make(name, thing)`` for each name, made again only of another object than the last."""
        kept = self.kinds.setdefault(kind, {})
        made = {}
        for name, thing in things.items():
            last = kept.get(name)
            if last is None or last[0] is not thing:
                last = kept[name] = (thing, make(name, thing))
            made[name] = last[1]
        return made

    def of_same(self, name: Hashable, things: Sequence[Any], make: Callable[[], Any]) -> Any:
        """One thing that is made of several, as many each time: made again unless all are the same objects.

        Not equal ones: a config's 1, 1.0 and true are equal and yet read otherwise.
        """
        last = self.kept.get(name)
        if last is None or not all(map(is_, last[0], things)):
            last = self.kept[name] = (things, make())
        return last[1]

    def of_equal(self, name: Hashable, recipe: Sequence[Any], make: Callable[[], Any]) -> Any:
        """One thing that is made by a recipe, as long each time: made again unless that is the last to the letter."""
        last = self.kept.get(name)
        if last is None or not all(map(is_alike, last[0], recipe)):
            del last
            self.kept.pop(name, None)  # first, as both may be large
            last = self.kept[name] = (recipe, make())
        return last[1]


def is_alike(thing: Any, other: Any) -> bool:
    """Whether two things are equal and are spelled alike, which 0.0 and -0.0 are not, nor 1, 1.0 and true.

    >>> is_alike((2, 0.0), (2, 0.0)), is_alike((2, 0.0), (2, -0.0))
    (True, False)
    """
    return thing is other or (thing == other and repr(thing) == repr(other))
