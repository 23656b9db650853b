"""Signals while something is being written: the first stops the work, which clears away; a later one cannot hurt."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING

from convpipe.cli.early import NAMES, end_at_once

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

SOON_SECONDS = 0.01
CLEARING_SECONDS = 1.0  # in which a second Ctrl-C does not cut short what clears away


class Stopped(KeyboardInterrupt):
    """A signal that ends the process: like Ctrl-C, no ``except Exception`` holds it up, and every cleanup runs."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(number)
        self.number = number


class Stopping:
    """The handler of the signals that end a process: it raises for the first of them, and remembers it."""

    def __init__(self) -> None:
        self.came: Stopped | None = None
        self.since = 0.0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Stop; where that has been asked for before, and nothing came of it, end at once."""
        if self.came is None:
            self.came, self.since = Stopped(number), monotonic()
            raise self.came
        if monotonic() - self.since > CLEARING_SECONDS:
            end_at_once(number, frame)

    def lost(self, unraisable: UnraisableHookArgs) -> None:
        """Raise it once more where Python passes it over, as in a ``__del__``; such say all else on standard error."""
        if self.came is None or unraisable.exc_value is not self.came:
            sys.__unraisablehook__(unraisable)
            return
        number, self.came = self.came.number, None
        later = threading.Timer(SOON_SECONDS, os.kill, (os.getpid(), number))  # here it would be passed over, too
        later.daemon = True
        later.start()


@contextmanager
def stopping_on_signals() -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and SIGHUP stop the process, so that nothing is left behind.

    Around what writes, and no more: what reads settings has nothing to clear away.
    """
    stop, before = Stopping(), {}
    if threading.current_thread() is threading.main_thread():  # which alone may set handlers
        numbers = [number for name in NAMES if (number := getattr(signal, name, None)) is not None]
        before = {number: signal.getsignal(number) for number in numbers}
    # one that is ignored stays so: nohup ignores SIGHUP
    usual = (signal.SIG_DFL, signal.default_int_handler, end_at_once)
    ours = [number for number, found in before.items() if found in usual]
    hook = sys.unraisablehook
    if ours:
        sys.unraisablehook = stop.lost
    for number in ours:
        signal.signal(number, stop)
    try:
        yield
    except Exception as error:
        if stop.came is None:
            raise
        raise stop.came from error  # OmegaConf and others make another error of it
    finally:
        for number in ours:
            signal.signal(number, before[number])
        sys.unraisablehook = hook
