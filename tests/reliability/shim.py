"""The same without strace: what Python asks of the system, counted and struck just below our own code.

It lives in the child that is struck, and knows of the files below one folder alone. Beside what strace can do it
tears a write: half of it arrives before the end.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import signal
from collections.abc import Callable
from typing import Any

TORN, KILL = "TORN", "KILL"
CHANGING = ("rename", "replace", "mkdir", "unlink", "remove", "rmdir", "truncate", "link", "symlink", "chmod", "utime")
LOOKING = ("stat", "lstat", "listdir", "scandir", "access")
OF_OPEN_FILES = ("fsync", "ftruncate", "fchmod", "fstat")
WRITES = os.O_CREAT | os.O_TRUNC
REAL: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in (*CHANGING, *LOOKING, *OF_OPEN_FILES)}
REAL |= {name: getattr(os, name) for name in ("open", "write", "read", "close")}
REAL_OPEN, REAL_FILE = builtins.open, io.FileIO


class Counter:
    """The calls so far, and which of them is struck."""

    def __init__(self, below: str, number: int, blow: str, log: str) -> None:
        self.below, self.number, self.blow = below, number, blow
        self.log = REAL["open"](log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.count = 0
        self.files: dict[int, str] = {}

    def place(self, path: object, folder: object = None) -> str:
        """A path as it is known here, or nothing where it lies elsewhere."""
        if isinstance(path, int):
            return self.files.get(path, "")
        if not isinstance(path, str | os.PathLike):
            return ""
        text = os.fspath(path)
        if not isinstance(text, str):
            return ""
        text = os.path.join(self.files.get(folder, ""), text) if isinstance(folder, int) else os.path.abspath(text)
        return text if text == self.below or text.startswith(f"{self.below}/") else ""

    def meet(self, name: str, path: str, *, changes: bool, torn: Callable[[], object] | None = None) -> None:
        """Count one call, and strike it if it is the one."""
        if not path:
            return
        self.count += 1
        REAL["write"](self.log, f"{name}\t{int(changes)}\t{path[len(self.below) :] or '/'}\n".encode())
        if self.count != self.number or (self.blow == TORN and torn is None):
            return
        if self.blow == TORN and torn is not None:
            torn()
        if self.blow in (KILL, TORN):
            os.kill(os.getpid(), signal.SIGKILL)
        code = getattr(errno, self.blow)
        raise OSError(code, os.strerror(code), path)


def install(below: str, number: int, blow: str, log: str) -> None:
    """Count from now on, and strike the so-many-th call; none for 0."""
    counter = Counter(below, number, blow, log)
    for name in (*CHANGING, *LOOKING):
        setattr(os, name, of_a_path(counter, name))
    for name in OF_OPEN_FILES:
        setattr(os, name, of_a_file(counter, name))
    for name, call in own_calls(counter).items():
        setattr(os, name, call)
    builtins.open = io.open = opening(counter)  # type: ignore[assignment]


def of_a_path(counter: Counter, name: str) -> Callable[..., Any]:
    """A function of os that takes a path."""

    def counted(path: Any = ".", *others: Any, **settings: Any) -> Any:
        counter.meet(name, counter.place(path, settings.get("dir_fd")), changes=name in CHANGING)
        return REAL[name](path, *others, **settings)

    return counted


def of_a_file(counter: Counter, name: str) -> Callable[..., Any]:
    """A function of os that takes an open file."""

    def counted(file: int, *others: Any) -> Any:
        counter.meet(name, counter.files.get(file, ""), changes=name != "fstat")
        return REAL[name](file, *others)

    return counted


def own_calls(counter: Counter) -> dict[str, Callable[..., Any]]:
    """Opening, reading, writing and closing by file number."""

    def opened(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        place = counter.place(path, dir_fd)
        counter.meet("open", place, changes=bool(flags & WRITES))
        file: int = REAL["open"](path, flags, mode, dir_fd=dir_fd)
        if place:
            counter.files[file] = place
        return file

    def write(file: int, content: Any) -> Any:
        half = len(content) // 2
        tear = lambda: REAL["write"](file, content[:half])  # noqa: E731
        counter.meet("write", counter.files.get(file, ""), changes=True, torn=tear)
        return REAL["write"](file, content)

    def read(file: int, size: int) -> Any:
        counter.meet("read", counter.files.get(file, ""), changes=False)
        return REAL["read"](file, size)

    def close(file: int) -> None:
        counter.meet("close", counter.files.pop(file, ""), changes=False)
        REAL["close"](file)

    return {"open": opened, "write": write, "read": read, "close": close}


def counted_file(counter: Counter) -> type[io.FileIO]:
    """An open file whose reads and writes are counted."""

    class Counted(REAL_FILE):
        def place(self) -> str:
            return counter.files.get(self.fileno(), "")

        def write(self, content: Any) -> Any:
            tear = lambda: REAL_FILE.write(self, memoryview(content)[: len(content) // 2])  # noqa: E731
            counter.meet("write", self.place(), changes=True, torn=tear)
            return super().write(content)

        def readinto(self, target: Any) -> Any:
            counter.meet("read", self.place(), changes=False)
            return super().readinto(target)

        def readall(self) -> Any:
            counter.meet("read", self.place(), changes=False)
            return super().readall()

        def read(self, size: int | None = -1) -> Any:
            counter.meet("read", self.place(), changes=False)
            return super().read(-1 if size is None else size)

        def close(self) -> None:
            if not self.closed:
                counter.meet("close", counter.files.pop(self.fileno(), ""), changes=False)
            super().close()

    return Counted


def opening(counter: Counter) -> Callable[..., Any]:
    """What stands in for `open`."""
    counted = counted_file(counter)

    def open_counted(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        file = file if isinstance(file, int) else os.fspath(file)
        place = counter.place(file)
        if not place:
            return REAL_OPEN(file, mode, buffering, encoding, errors, newline, closefd, opener)
        raw = counted(
            file,
            mode.replace("b", "").replace("t", ""),
            closefd,
            opener or (lambda path, flags: os.open(path, flags, 0o666)),
        )
        if buffering == 0:
            return raw
        kind = io.BufferedRandom if "+" in mode else io.BufferedReader if "r" in mode else io.BufferedWriter
        buffer = kind(raw)
        return buffer if "b" in mode else io.TextIOWrapper(buffer, encoding or "utf-8", errors, newline)

    return open_counted
