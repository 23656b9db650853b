"""Texts of people's own, read whole: regular files of a sane size only, as a name may lead to anything.

A pipe would be waited for, /dev/zero never ends, and a file of gigabytes fills the memory before anybody looks at it.
"""

from __future__ import annotations

import os
import stat

from convpipe.files.contents import SYSTEMS_OWN, at_once


def regular_bytes(path: str | os.PathLike[str], most: int) -> bytes:
    """What a regular file holds.

    Raises:
        OSError: the system refused.
        ValueError: it is no regular file, or one of the system's own, such as a process's environment, or has more
            bytes than `most`.
    """
    if os.path.realpath(path).startswith(SYSTEMS_OWN):
        raise ValueError("expected a regular file, none of the system's own")
    with open(path, "rb", opener=at_once) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("expected a regular file, no pipe, device or the like")
        content = file.read(most + 1) if found.st_size <= most else b""
        if found.st_size > most or len(content) > most:
            size = f"{found.st_size} bytes" if found.st_size > most else "more"
            raise ValueError(f"got {size}, expected at most {most}")
        return content
