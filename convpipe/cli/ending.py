"""Signals that do not wait: Ctrl-C ends a sweep within two seconds, whatever it is doing."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from convpipe.archive.collection import refresh
from convpipe.errors import STOPPED
from convpipe.files.staging import remove_own
from convpipe.sweeps.interrupts import ENDING
from convpipe.sweeps.outcomes import GOES_ON

GRACE_SECONDS = 1.0  # for the main thread to take note of a signal
TABLE_SECONDS = 0.5
SHOW_CURSOR = "\r\x1b[K\x1b[?25h"  # a progress bar hides it


@contextmanager
def ending_soon(folders: Sequence[Path]) -> Iterator[None]:
    """End this process soon after a signal even while one long call holds it up.

    Python's handlers run between two of its own instructions, and a product of large matrices is a single one.
    So a thread waits for signals as well, and where the main thread has not come here by then, it clears away
    what is half done in `folders`, brings their tables up to date and ends the process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    over, last_word = threading.Event(), threading.Lock()
    watch = threading.Thread(target=watch_signals, args=(reading, over, last_word, folders), daemon=True)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    watch.start()
    try:
        yield
    finally:
        over.set()
        with last_word:  # where the thread has it already, the process ends while we wait
            signal.set_wakeup_fd(before)
            os.close(writing)
        watch.join()
        os.close(reading)


def watch_signals(reading: int, over: threading.Event, last_word: threading.Lock, folders: Sequence[Path]) -> None:
    """Wait for signals until the pipe is closed; end the process after one that the main thread does not see."""
    while came := os.read(reading, 1):
        if came[0] in ENDING and not over.wait(GRACE_SECONDS):
            with last_word:
                if not over.is_set():
                    end(came[0], folders)


def end(number: int, folders: Sequence[Path]) -> None:
    """Leave the collections whole, say so, and end the process at once."""
    for folder in filter(Path.is_dir, folders):
        remove_own(folder)
        table = threading.Thread(target=refresh_quietly, args=(folder,), daemon=True)
        table.start()
        table.join(TABLE_SECONDS)
    if sys.stderr.isatty():
        sys.stderr.write(SHOW_CURSOR)
    print(f"convpipe: interrupted; {GOES_ON}", file=sys.stderr, flush=True)
    os._exit(STOPPED + number)


def refresh_quietly(folder: Path) -> None:
    """Bring a table up to date, if that can be done; `convpipe runs` finds out where it was not."""
    with suppress(Exception):
        refresh(folder)
