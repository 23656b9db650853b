"""Work in progress on disk: hidden, named after its process, and cleared away when that was killed."""

import hashlib
import os
import platform
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from convpipe.errors import BY_WHOM, NOTHING_KEPT, StorageError, what_the_system_says

# .<what>-<machine>-<process>-<random>
HIDDEN = re.compile(rf"\..+{BY_WHOM}", re.ASCII)


class storing:  # noqa: N801 - reads as a word; no @contextmanager, which takes three times as long
    """What the system says against writing there becomes a StorageError."""

    def __init__(self, path: str | Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise StorageError(f"{what_the_system_says(error, self.path)}{NOTHING_KEPT}") from error


def hidden_name(what: str) -> str:
    """A name for work in progress: hidden, its own, and of this process."""
    return f".{what}-{machine_mark()}-{os.getpid()}-{os.urandom(4).hex()}"


@cache
def machine_mark() -> str:
    """Where this process's number means something: a hash of the machine and its process namespace."""
    try:
        namespace = os.readlink("/proc/self/ns/pid")  # containers on one machine each count from 1
    except OSError:
        namespace = ""
    return hashlib.sha256(f"{platform.node()} {namespace}".encode()).hexdigest()[:8]


def write_whole(path: Path, content: bytes, beside: Path | None = None) -> None:
    """Write a file that is there whole or not at all; what was there before stays where that fails.

    Args:
        beside: a folder where what a kill leaves half written is cleared away, if the file's own is none.

    Raises:
        StorageError: the disk refused.
    """
    temporary = (beside or path.parent) / hidden_name("file")  # the name itself may be as long as names can be
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError as error:
        error.filename = path  # not that of the copy
        raise StorageError(f"{what_the_system_says(error, path)}{NOTHING_KEPT}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def remove_abandoned(folder: Path) -> None:
    """Remove what killed processes of this machine left half done; a living one's work is never touched."""
    for path, process in half_done(folder):
        if not is_alive(process):
            remove_hidden(path)


def remove_own(folder: Path) -> None:
    """Remove what this very process has half done, as it is about to end."""
    for path, process in half_done(folder):
        if process == os.getpid():
            remove_hidden(path)


def half_done(folder: Path) -> Iterator[tuple[Path, int]]:
    """What processes of this machine have half done in a folder, with their numbers."""
    for name in os.listdir(folder):
        match = HIDDEN.fullmatch(name) if name[0] == "." else None  # of a hundred thousand names few are hidden
        if match and match[1] == machine_mark():
            yield folder / name, int(match[2])


def is_alive(process: int) -> bool:
    """Whether a process of that number runs, whoever's it is."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not has_ended(process)


def has_ended(process: int) -> bool:
    """Whether a process only waits for its parent to take note of its end, which may take seconds; Linux tells."""
    try:
        status = Path(f"/proc/{process}/stat").read_bytes()
    except OSError:
        return False
    return status.rpartition(b")")[2].split()[:1] == [b"Z"]


def remove_hidden(path: Path) -> None:
    """Remove a file or a folder, if it lets itself be removed; it is out of sight in any case."""
    try:
        path.unlink()
    except OSError:
        with suppress(RecursionError):  # of folders a thousand deep, which nobody of ours has made
            shutil.rmtree(path, ignore_errors=True)


def make_folder(folder: Path, made: list[Path]) -> None:
    """Make a folder, with those above it that are missing; these are added to `made`, innermost first."""
    try:
        os.mkdir(folder)  # a sweep's thousands have theirs above them: one call
    except FileNotFoundError:
        made += [above for above in folder.parents if not above.exists()]
        folder.mkdir(parents=True)


def remove_empty(folders: Sequence[Path]) -> None:
    """Take away the folders made for a draft that came to nothing, innermost first."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()
