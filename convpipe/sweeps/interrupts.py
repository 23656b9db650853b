"""Signals that wait, as what must be done whole is."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let signals that would end the process wait until this is over.

    A lock that is interrupted while it is being taken would be held by nobody who can release it. Blocking the
    signals in this thread would not do: another one takes them, and Python's handler runs in this one.
    """
    waiting: list[int] = []
    numbers = ENDING if threading.current_thread() is threading.main_thread() else ()  # others set no handlers
    before = {number: signal.signal(number, lambda number, frame: waiting.append(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for came in waiting[:1]:
            signal.raise_signal(came)
