"""What a check of many things finds: what is whole, what is damaged, and what is only to be told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from convpipe.archive.read import Run
from convpipe.errors import ArchiveError, first_few

MOST_NAMED = 5  # of many things that one note is about


def ignored(found: object) -> None:
    """What is done with what nobody asked to be told."""


@dataclass
class Findings:
    """What has been found so far: whole runs and notes are told as they come, all damage at the end."""

    on_run: Callable[[Run], object] = ignored
    on_note: Callable[[str], object] = ignored
    whole: list[Run] = field(default_factory=list)
    damaged: list[ArchiveError] = field(default_factory=list)
    judged: Counter[str] = field(default_factory=Counter)  # how many things there were of each kind
    lost: Counter[str] = field(default_factory=Counter)

    def check(self, kind: str, judge: Callable[[Path], object], path: Path) -> None:
        """Judge one thing of a kind by a check that raises what is wrong with it."""
        self.judged[kind] += 1
        try:
            judge(path)
        except ArchiveError as error:
            self.damage(kind, [error])

    def damage(self, kind: str, errors: Iterable[ArchiveError]) -> None:
        """Take down what is wrong with things that have been judged."""
        found = list(errors)
        if found:
            self.lost[kind] += len(found)
            self.damaged += found

    def note(self, place: Path, what: str, names: Iterable[str] = ()) -> None:
        """Tell what is no damage; of many names, the first few."""
        found = first_few(sorted(names), MOST_NAMED)
        self.on_note(f"{place}: {what}: {found}" if found else f"{place}: {what}")

    def note_names(self, place: Path, what: str, names: Collection[str]) -> None:
        """The same where there are any names."""
        if names:
            self.note(place, what, names)

    def close(self) -> list[Run]:
        """The runs that are whole.

        Raises:
            ArchiveError: naming all that is damaged.
        """
        if len(self.damaged) == 1:
            raise self.damaged[0]
        if self.damaged:
            counts = [f"{number} of {max(number, self.judged[kind])} {kind}" for kind, number in self.lost.items()]
            raise ArchiveError(f"{' and '.join(counts)} are damaged: {'; '.join(map(str, self.damaged))}")
        return self.whole
