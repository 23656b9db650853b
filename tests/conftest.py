"""For every test: Hypothesis's examples, however slow the machine, and signals, however pytest was started."""

import gc
import signal
from pathlib import Path
from types import FrameType

import pytest
from browser import chromium as chromium, page_of as page_of
from hypothesis import settings

settings.register_profile("convpipe", derandomize=True, deadline=None)  # the same examples everywhere and every day
settings.load_profile("convpipe")


def go_on(number: int, frame: FrameType | None) -> None:
    """Pass over a signal, in this process alone: those it starts have the system's default, which ends them."""


# A shell lets what it starts with & ignore SIGINT, and nohup lets it ignore SIGHUP; so would every process of a test.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, go_on)


def pytest_collection_finish() -> None:
    """Leave what the collected tests are made of out of every later search for garbage, which took 0.3 s each."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, where the default root would be made."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work
