"""A working directory that has been deleted: with absolute paths nobody needs it, but Hydra asks where it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from convpipe.errors import folder_is_there


@contextmanager
def in_some_folder() -> Iterator[None]:
    """While Hydra asks where we are, be in a folder that is there."""
    if folder_is_there():
        yield
        return
    ours = os.open(".", os.O_RDONLY)
    try:
        os.chdir(os.path.dirname(__file__))
        yield
    finally:
        os.fchdir(ours)
        os.close(ours)
