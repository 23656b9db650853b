"""Signals that come before anything is there to clear away: one line, and the end. It imports next to nothing."""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False  # typing takes 4 ms
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType
    from typing import Any, NoReturn

STOPPED = 128  # with a signal's number the exit code, as a shell has it
NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


def end_at_once(number: int, frame: FrameType | None) -> NoReturn:
    """Say that the process was interrupted, and end it: an import that is cut short would print a traceback."""
    try:
        os.write(2, b"convpipe: interrupted\n")
    finally:
        os._exit(STOPPED + number)


def end_on_signals() -> None:
    """From now on end at once; what is ignored stays so, as SIGHUP under nohup."""
    replace_handlers({signal.SIG_DFL: end_at_once, signal.default_int_handler: end_at_once})


def end_well_on_signals(code: int) -> None:
    """From now on end at once with the exit code that there is: all is done and told, however long threads may last."""
    replace_handlers({end_at_once: lambda number, frame: os._exit(code)})


def pass_over_signals() -> None:
    """Let no signal reach what is left of the process, which lasts some milliseconds and is Python's alone."""
    for name in NAMES:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


def replace_handlers(others: Mapping[Any, Any]) -> None:
    """Put other handlers in the place of some, of those signals that end a process."""
    for name in NAMES:
        number = getattr(signal, name, None)
        if number is not None and (found := signal.getsignal(number)) in others:
            signal.signal(number, others[found])
