"""Looking on at points that run elsewhere: what jobs note in the indexes of collections says how many have ended."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

from convpipe.archive.index import FAILURES, INDEX
from convpipe.archive.shared import own_file

LOOK_SECONDS = 1.0


class Growth:
    """How many lines files have got since it was made."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.lines = 0
        self.places = {path: size(path) for path in paths}

    def look(self) -> int:
        """Count what is new."""
        for path, place in self.places.items():
            with suppress(OSError), open(path, "rb", opener=own_file) as file:
                file.seek(place)
                while piece := file.read(1 << 20):
                    self.lines += piece.count(b"\n")
                self.places[path] = file.tell()
        return self.lines


def size(path: Path) -> int:
    """The bytes of a file, 0 where it is not there yet."""
    with suppress(OSError):
        return os.stat(path, follow_symlinks=False).st_size
    return 0


@contextmanager
def told_of_rows(folders: Sequence[Path], told: Callable[[int], None]) -> Iterator[None]:
    """Have it told now and then how many rows the indexes of collections have got since."""
    growth, over = Growth([folder / name for folder in folders for name in (INDEX, FAILURES)]), Event()

    def look_on() -> None:
        while not over.wait(LOOK_SECONDS):
            told(growth.look())

    looking = Thread(target=look_on, daemon=True)
    looking.start()
    try:
        yield
    finally:
        over.set()
        looking.join()
