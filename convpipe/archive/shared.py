"""What one folder's users share: a collection's own files, which whoever may write to the folder may write to.

A file is made with the mask of who makes it, so that of another user it could only be read. So these files are given
the bits of their folder; one that is another's nevertheless is locked as it is, and written to as a copy in its place.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from convpipe.archive.limits import too_large
from convpipe.errors import NOT_OF_THE_FILE, unread
from convpipe.files.staging import hidden_name

LOCK = ".lock"
LOCK_SECONDS = 60
POLL_SECONDS = 0.05
FILE_BITS = 0o666
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
NO_FLOCK = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF)
WRITING = os.O_WRONLY | os.O_RDWR


def locked(folder: Path) -> Lock:
    """A lock that one process at a time holds to write to the index or the table."""
    return Lock(folder / LOCK)


class Lock:
    """A lock on a file, whoever's it is: filelock refuses another user's, but in what knows no `flock` it steps in."""

    def __init__(self, path: Path) -> None:
        self.path, self.file = path, -1
        self.other: Any = None

    def acquire(self, timeout: float = LOCK_SECONDS) -> Lock:
        """Wait until nobody else holds it, and hold it.

        Raises:
            OSError: somebody does for too long, or the folder has none and may not be written to.
        """
        try:
            import fcntl
        except ImportError:  # Windows
            return self.held_otherwise(timeout)
        self.file = lock_file(self.path)
        end = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return self
            except BlockingIOError as error:
                if time.monotonic() >= end:
                    self.__exit__()
                    raise TimeoutError(errno.ETIMEDOUT, "held by another process", str(self.path)) from error
                time.sleep(POLL_SECONDS)
            except BaseException as error:
                self.__exit__()
                if isinstance(error, OSError) and error.errno in NO_FLOCK:
                    return self.held_otherwise(timeout)
                raise

    def held_otherwise(self, timeout: float) -> Lock:
        """The same by what filelock knows."""
        from filelock import FileLock

        self.other = FileLock(self.path, timeout=timeout)
        self.other.acquire()
        return self

    def __enter__(self) -> Lock:
        """Hold it, unless that is so already."""
        return self if self.file >= 0 or self.other else self.acquire()

    def __exit__(self, *error: object) -> None:
        """Let it go, in the copies of it, too, that a fork has made."""
        if self.other:
            self.other.release()
        elif self.file >= 0:
            import fcntl

            file, self.file = self.file, -1
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_UN)
            with suppress(OSError):  # all has been done, and the lock let go: there is nothing to tell
                os.close(file)

    def __del__(self) -> None:
        """Let it go where an interrupt came before anybody could."""
        self.__exit__()


def lock_file(path: Path) -> int:
    """Open a lock's file, for reading alone where it is another user's; `flock` does not mind."""
    try:
        return opened(str(path), os.O_RDWR | os.O_CREAT)
    except PermissionError:
        return opened(str(path), os.O_RDONLY)


def own_file(path: str, flags: int) -> int:
    """Open a file of a collection's own: no link, which may lead anywhere, and nothing that one may wait for.

    Raises:
        OSError: it is something else.
    """
    try:
        return opened(path, flags)
    except PermissionError:
        if not flags & WRITING or not os.access(path, os.R_OK):
            raise
        take_over(path)
        return opened(path, flags)


def opened(path: str, flags: int) -> int:
    """Open it; where it is new, who may write to its folder may write to it."""
    there = mode_of(path)
    if there is not None:
        check_own(path, there)
        flags &= ~os.O_CREAT  # with which Linux refuses another user's file in a folder like /tmp
    new = there is None and flags & os.O_CREAT
    file = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), FILE_BITS)
    try:
        status = os.fstat(file)
        found = status.st_mode
        check_own(path, found)  # it may be another by now
        if error := too_large(path, status.st_size):
            raise error
    except OSError:
        os.close(file)
        raise
    if new and hasattr(os, "fchmod"):
        writing = os.stat(os.path.dirname(path) or ".").st_mode & OTHERS_WRITE
        with suppress(OSError):
            os.fchmod(file, stat.S_IMODE(found) | writing | writing << 1)  # and read
    return file


def is_folder(path: str | Path) -> bool:
    """Whether a path leads to a folder: of a name that is too long none, and of a disk that fails nobody knows.

    Raises:
        StorageError: the disk fails.
    """
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None) in NOT_OF_THE_FILE:
            raise unread(path, error) from error
        return False


def mode_of(path: str | Path) -> int | None:
    """What lies there itself, and not what a link leads to, as the bits of its mode; None of nothing."""
    try:
        return os.lstat(path).st_mode
    except (OSError, ValueError):
        return None


def check_own(path: str, mode: int) -> None:
    """A file of a collection is one of its own.

    Raises:
        OSError: it is something else.
    """
    if not stat.S_ISREG(mode):
        kinds = ((stat.S_ISLNK, "a link"), (stat.S_ISDIR, "a folder"))
        what = next((name for is_one, name in kinds if is_one(mode)), "a pipe, a device or the like")
        raise OSError(errno.EINVAL, f"{what}, expected a regular file; remove it", path)


def is_own_folder(path: str | Path) -> bool:
    """Whether a folder lies there itself: what a link leads to is no part of a collection."""
    found = mode_of(path)
    return found is not None and stat.S_ISDIR(found)


def make_shared(folder: Path) -> None:
    """Make a folder to which may write who may write to the one around it.

    Raises:
        OSError: something else lies there, such as a link, which may lead anywhere.
    """
    try:
        folder.mkdir()
    except FileExistsError:
        if not is_own_folder(folder):
            what = "a link" if folder.is_symlink() else "a file"
            raise OSError(errno.ENOTDIR, f"{what}, expected a folder", str(folder)) from None
        return
    writing = folder.parent.stat().st_mode & OTHERS_WRITE
    folder.chmod(stat.S_IMODE(folder.stat().st_mode) | writing | writing << 1 | writing >> 1)


def take_over(path: str) -> None:
    """Put a copy of ours in the place of another user's file; the folder's lock is held.

    Raises:
        OSError: the folder may not be written to.
    """
    temporary = os.path.join(os.path.dirname(path), hidden_name("file"))
    try:
        with (
            open(path, "rb", opener=opened) as theirs,
            open(temporary, "wb", opener=opened) as ours,
        ):
            shutil.copyfileobj(theirs, ours)
        os.replace(temporary, path)
    finally:
        with suppress(OSError):
            os.unlink(temporary)
