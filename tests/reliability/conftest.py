"""What the tests of reliability share: a good collection, a copy of it, and a process that is ready to run commands."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from good_collections import Collection, make_good
from sweep_cases import fast_folder
from warm import Warm, warm


@pytest.fixture(scope="module")
def good() -> Iterator[Collection]:
    """A good collection, which no test changes."""
    before = os.getcwd()
    with fast_folder() as folder:
        os.chdir(folder)
        yield make_good(folder)
        os.chdir(before)


@pytest.fixture
def mine(good: Collection, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collection]:
    """A copy of it to be changed, in a working folder of its own."""
    with fast_folder() as folder:
        shutil.copytree(good.root, folder / "r", symlinks=True)
        monkeypatch.chdir(folder)
        yield Collection(Path("r").absolute())


@pytest.fixture(scope="module")
def ready() -> Iterator[Warm]:
    """A process that is ready to run commands."""
    with warm() as process:
        yield process
