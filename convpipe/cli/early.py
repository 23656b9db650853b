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


def leave_signals() -> None:
    """Let signals end the process as the system does: all is done, and Python would print a traceback."""
    replace_handlers({end_at_once: signal.SIG_DFL})


def replace_handlers(others: Mapping[Any, Any]) -> None:
    """Put other handlers in the place of some, of those signals that end a process."""
    for name in NAMES:
        number = getattr(signal, name, None)
        if number is not None and (found := signal.getsignal(number)) in others:
            signal.signal(number, others[found])
