"""What is changed in a good collection is found by `verify`, bit by bit and kind by kind."""

from __future__ import annotations

import random

import pytest
from good_collections import Collection, flip
from tamperings import Tampering, tamperings
from verdicts import QUIET, judged, outcome

FLIPS = 300
TAMPERINGS = tuple(tamperings())
NOT_HELD = (".lock", "timings.csv", ".failed.jsonl", ".html")  # against anything else that tells the same


def test_the_good_one_is_good(good: Collection) -> None:
    answer = judged(good.root)
    assert outcome(answer) == QUIET, answer.err
    assert len(answer.out.splitlines()) == len([*good.ids(), *good.ids("d"), good.aside])


@pytest.mark.parametrize("tampering", TAMPERINGS, ids=lambda tampering: tampering.name)
def test_what_is_changed_is_found(tampering: Tampering, mine: Collection) -> None:
    tampering.change(mine)
    answer = judged(mine.root)
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
        if outcome(judged(mine.root)) == QUIET:
            missed.append((str(path.relative_to(mine.root)), bit))
        path.write_bytes(before)
    assert missed == []
