"""What must be done whole is, whatever signal comes meanwhile; and what lasts long does not hold one up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from cli_runs import CHECKOUT
from run_cases import hidden

from convpipe.archive.index import failures, note
from convpipe.archive.shared import locked
from convpipe.cli.ending import ending_soon
from convpipe.cli.signals import Stopped, stopping_on_signals
from convpipe.files.staging import machine_mark
from convpipe.sweeps.interrupts import uninterrupted

SOON = 20  # seconds, on however busy a machine; tests/benchmarks/waiting.py measures


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits(number: int) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    done = []
    with stopping_on_signals(), pytest.raises(KeyboardInterrupt) as stopped, uninterrupted():  # noqa: PT012
        signal.raise_signal(number)
        signal.raise_signal(number)
        done.append("whole")
    assert done == ["whole"]
    assert isinstance(stopped.value, Stopped)
    assert stopped.value.number == number
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
        note(tmp_path, [{"run": "0" * 12, "status": "failed", "error": "none"}])
    assert len(failures(tmp_path)) == 1
    with locked(tmp_path).acquire(timeout=0):
        pass


# "ready" is said once the main thread has computed for a while: it can only be in the product, which lasts minutes.
LONG_CALL = """
import sys, threading, time
from pathlib import Path
import numpy as np
from convpipe.cli.ending import ending_soon
from convpipe.cli.signals import stopping_on_signals
from convpipe.files.staging import hidden_name

folder = Path(sys.argv[1])
(folder / hidden_name("staging-x")).mkdir()
values = np.ones((5000, 5000), np.int8)
clock = time.pthread_getcpuclockid(threading.main_thread().ident)

def say_when_computing(before):
    while time.clock_gettime(clock) - before < 0.1:
        time.sleep(0.01)
    print("ready", flush=True)

with stopping_on_signals(), ending_soon([folder]):
    threading.Thread(target=say_when_computing, args=(time.clock_gettime(clock),)).start()
    values @ values
    print("over", flush=True)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_does_not_wait_for_a_long_call(number: int, code: int, tmp_path: Path) -> None:
    others = tmp_path / f".staging-y-{machine_mark()}-1-01234567"  # of a process that lives
    others.mkdir()
    command = [sys.executable, "-c", LONG_CALL, str(tmp_path)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    running = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(CHECKOUT)}, **pipes)  # type: ignore[call-overload]
    assert running.stdout.readline() == "ready\n"
    running.send_signal(number)
    try:
        out, err = running.communicate(timeout=SOON)
    finally:
        running.kill()
    assert (running.returncode, out) == (code, "")
    assert err == "convpipe: interrupted; what is done is kept, and the same command goes on from there\n"
    assert hidden(tmp_path) == [others.name]
    assert (tmp_path / "results.csv").is_file()


def test_a_signal_that_is_seen_in_time(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), ending_soon([tmp_path]):
        signal.raise_signal(signal.SIGINT)
    assert signal.set_wakeup_fd(-1) == -1
    time.sleep(0.1)
    assert list(tmp_path.iterdir()) == []
