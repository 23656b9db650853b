"""What must be done whole is, whatever signal comes meanwhile."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest

from convpipe import collection
from convpipe.cli import Stopped, stopping_on_signals
from convpipe.sweep.interrupts import uninterrupted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits(number: int) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    done = []
    with stopping_on_signals(), pytest.raises(KeyboardInterrupt) as stopped, uninterrupted():  # noqa: PT012
        signal.raise_signal(number)
        signal.raise_signal(number)
        done.append("whole")
    assert done == ["whole"]
    assert isinstance(stopped.value, Stopped) is (number == signal.SIGTERM)
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_an_error_within_passes() -> None:
    with pytest.raises(ValueError, match="mine"), uninterrupted():
        raise ValueError("mine")
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012, SIM117
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
            raise ValueError("mine")


def test_another_thread_is_not_concerned() -> None:
    ran: list[bool] = []

    def work() -> None:
        with uninterrupted():
            ran.append(signal.getsignal(signal.SIGINT) is signal.default_int_handler)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ran == [True]


def test_a_row_is_noted_and_its_lock_let_go(tmp_path: Path) -> None:
    # an interrupt while the lock is taken would leave it held, and the table's writer waiting for a minute
    with pytest.raises(KeyboardInterrupt), uninterrupted():  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        collection.note(tmp_path, [{"run": "0" * 12, "status": "failed", "error": "none"}])
    assert len(collection.failures(tmp_path)) == 1
    with collection.locked(tmp_path).acquire(timeout=0):
        pass
