"""Failures grouped by their cause, so that thousands of one kind are one line with a count."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from convpipe.errors import shown
from convpipe.sweeps.outcomes import Done

MOST_CAUSES = 50  # that are told apart; a sweep in which every point fails in its own way must fit into memory
MOST_POINTS = 3  # of each that are named
MOST_CHARACTERS = 300
# What differs between points that fail for one cause, and what stands for it, in this order: the value that came,
# places on disk, hashes, numbers.
DIFFERENT = (
    (re.compile(r"\bgot .*?, expected "), "got ..., expected "),
    (re.compile(r"[^\s'\"=]*/[^\s'\",;:]*|[\w-]+\.(?:npy|npz|csv|safetensors|png|jpe?g|bmp|tiff?|webp)\b"), "..."),
    (re.compile(r"\b[0-9a-f]{12,64}\b"), "..."),
    (re.compile(r"(?<![A-Za-z_])[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?", re.IGNORECASE), "..."),
)


def kind_of(text: str) -> str:
    """An error's text without what differs between points.

    >>> kind_of("x: got 3, expected up to 2"), kind_of("runs/a/0123456789ab: stage 'matmul' differs: 5 and 4.5")
    ('x: got ..., expected up to ...', "...: stage 'matmul' differs: ... and ...")
    """
    kind = text[: 2 * MOST_CHARACTERS]
    for pattern, word in DIFFERENT:
        kind = pattern.sub(word, kind)
    return kind[:MOST_CHARACTERS]


@dataclass
class Cause:
    """Failures of one kind: how many, and what is told of the first ones."""

    status: str
    text: str  # of the first
    points: list[str]
    count: int = 0


@dataclass
class Causes:
    """The failures of a sweep by their cause; of the first causes, with a count of the failures of others."""

    most: int = MOST_CAUSES
    found: dict[tuple[str, str], Cause] = field(default_factory=dict)
    others: int = 0

    def add(self, failure: Done) -> Cause | None:
        """Count a failure; gives its cause, or None where that is one too many to be told apart."""
        key = failure.status, kind_of(failure.error)
        cause = self.found.get(key)
        if cause is None:
            if len(self.found) >= self.most:
                self.others += 1
                return None
            cause = self.found[key] = Cause(failure.status, shown(failure.error, MOST_CHARACTERS), [])
        cause.count += 1
        if len(cause.points) < MOST_POINTS:
            cause.points.append(failure.overrides)
        return cause

    def __iter__(self) -> Iterator[Cause]:
        """The causes, the most frequent first."""
        return iter(sorted(self.found.values(), key=lambda cause: -cause.count))
