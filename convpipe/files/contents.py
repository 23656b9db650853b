"""What a file holds, told by its SHA-256: worked out once in a process for as long as the file stays as it is."""

import hashlib
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO

from convpipe.errors import NOT_OF_THE_FILE, ConfigError, StorageError

# A file that has changed so lately may change again within one tick of its file system's clock, which shows nothing.
LATELY = 2.0  # seconds; the coarsest clock in use is FAT's
MOST_KNOWN = 10_000
MOST_HASHED = 4 << 30  # bytes of a file that a stranger names, or of many that may be meant: some 5 s
SYSTEMS_OWN = ("/proc/", "/sys/")  # devices are no regular files anyway, and /dev/shm is for everybody
Stamp = tuple[str, int, int, int, int, int]
# A hash follows from nothing but the file, whose stamp says whether it is the same: no answer depends on who asked.
KNOWN: dict[Stamp, str] = {}


def content_sha256(path: str, key: str) -> str:
    """The SHA-256 of what a file holds now.

    A file that has not changed since it was last asked for is not read again: same path, size, times and inode.

    Raises:
        ConfigError: under `key`, it cannot be read.
        StorageError: the disk fails, or the machine, which is no fault of the file.
    """
    try:
        with open(path, "rb", buffering=0, opener=at_once) as file:
            stamp = stamp_of(path, file)
            known = KNOWN.get(stamp)
            return known if known is not None and is_settled(stamp) else hashed(path, file, stamp)
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error)
        if getattr(error, "errno", None) in NOT_OF_THE_FILE:
            raise StorageError(f"{key}: {path}: {reason}") from error
        raise ConfigError(key, path, "a readable file", reason) from error


def regular_sha256(path: str) -> str | None:
    """The SHA-256 of what a file holds, or None where there is none that can be read in seconds.

    The path may come from a stranger: of pipes, devices and files of the system's own none is opened, as to read
    from them may wait for ever, never end, or do something.
    """
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode) or found.st_size > MOST_HASHED:
            return None
        if os.path.realpath(path).startswith(SYSTEMS_OWN):
            return None
        return content_sha256(path, "path")
    except (OSError, ValueError):  # which a ConfigError is
        return None


def hashed(path: str, file: FileIO, stamp: Stamp) -> str:
    """The SHA-256 of an open file, kept for the next time where it has not changed meanwhile."""
    found = hashlib.file_digest(file, "sha256").hexdigest()
    if stamp_of(path, file) == stamp:
        if len(KNOWN) >= MOST_KNOWN:
            KNOWN.clear()
        KNOWN[stamp] = found
    return found


def at_once(path: str, flags: int) -> int:
    """Open a file without waiting for who writes to it, should it be a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def stamp_of(path: str, file: FileIO) -> Stamp:
    """What tells an open file from another, and from itself before a change.

    Raises:
        ValueError: it is a pipe, a device or the like, or empty, as the system's own files say of themselves.
    """
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode) or not found.st_size:
        raise ValueError("it is empty, or no regular file")
    return path, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev


def is_settled(stamp: Stamp) -> bool:
    """Whether a file's last change is so long ago that another would show in its times.

    The time of its content may lie ahead, as somebody has set it: to write there now would set it back.
    """
    _, _, written, changed, *_ = stamp
    now = time.time()
    return abs(now - written / 1e9) > LATELY and now - changed / 1e9 > LATELY


@contextmanager
def holding(path: str, sha256: str | None, key: str) -> Iterator[None]:
    """Read a file in here: before and after, it holds what was planned, if anything was.

    Raises:
        ConfigError: under `key`, it holds something else.
    """
    check_holds(path, sha256, key)
    yield
    check_holds(path, sha256, key)


def check_holds(path: str, sha256: str | None, key: str) -> None:
    """A file holds what was planned, if anything was."""
    if sha256 is not None and (found := content_sha256(path, key)) != sha256:
        raise changed_meanwhile(path, key, sha256, found)


def changed_meanwhile(path: str, key: str, planned: str, found: str) -> ConfigError:
    """A file that does not hold any more what was planned."""
    expected = f"the content it had when planned, sha256 {planned}"
    return ConfigError(key, path, expected, f"it has changed meanwhile: {found}")
