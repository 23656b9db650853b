"""What a file's name ends in, where that decides what is in it."""

from os import PathLike
from pathlib import Path


def ending(path: str | PathLike[str]) -> str:
    """The last part of a file's name without its point, in small letters; empty where there is none.

    >>> ending("points/VGG16.CSV"), ending("notes")
    ('csv', '')
    """
    return Path(path).suffix.removeprefix(".").lower()
