"""What is changed in a good collection is found by `verify`, bit by bit and kind by kind."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_runs import Answer, convpipe
from good_collections import Collection, flip, make_good
from sweep_cases import fast_folder
from tamperings import DAMAGE, QUIET, TOLD, Tampering, tamperings

FLIPS = 300
TAMPERINGS = tuple(tamperings())
NOT_HELD = (".lock", "timings.csv", ".failed.jsonl", ".html")  # against anything else that tells the same


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


def judged(collection: Collection) -> Answer:
    """What `verify` says, which must look like itself in any case."""
    answer = convpipe("verify", str(collection.root))
    assert "Traceback" not in answer.err
    assert "unexpected" not in answer.err, answer.err
    lines = answer.err.splitlines()
    told = lines if answer.code == 0 else lines[:-1]
    assert all(line.startswith("note: ") for line in told), answer.err
    assert answer.code == 0 or lines[-1].startswith("convpipe: "), answer.err
    return answer


def outcome(answer: Answer) -> str:
    """What came of it, in the words of the table."""
    if answer.code == 3:
        return DAMAGE
    assert answer.code == 0, answer
    return TOLD if answer.err else QUIET


def test_the_good_one_is_good(good: Collection) -> None:
    answer = judged(good)
    assert outcome(answer) == QUIET, answer.err
    assert len(answer.out.splitlines()) == len([*good.ids(), *good.ids("d"), good.aside])


@pytest.mark.parametrize("tampering", TAMPERINGS, ids=lambda tampering: tampering.name)
def test_what_is_changed_is_found(tampering: Tampering, mine: Collection) -> None:
    tampering.change(mine)
    answer = judged(mine)
    assert outcome(answer) == tampering.expected, answer.err


def test_every_flipped_bit_is_found(mine: Collection) -> None:
    """Each of the files that hold anything, whatever its size, has its share of the flips."""
    files = sorted(path for path in mine.root.rglob("*") if path.is_file() and not path.name.endswith(NOT_HELD))
    draw = random.Random(14)
    missed = []
    for number in range(FLIPS):
        path = files[number % len(files)]
        before = path.read_bytes()
        bit = draw.randrange(8 * len(before))
        flip(path, bit)
        if outcome(judged(mine)) == QUIET:
            missed.append((str(path.relative_to(mine.root)), bit))
        path.write_bytes(before)
    assert missed == []
