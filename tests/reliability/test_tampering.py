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
    assert_found(tampering, mine)


def assert_found(tampering: Tampering, collection: Collection) -> None:
    """A change comes to what is expected of it."""
    tampering.change(collection)
    answer = judged(collection.root)
    assert outcome(answer) == tampering.expected, answer.err


# Where `verify` does not look, by what it does not do, and a change that it misses so.
BLIND = (
    ("verify.check_sha256", "maps.png other bytes of the same size"),
    ("verify.check_listed", "notes.txt added"),
    ("audit.check_name", "two runs swapped"),
    ("audit.judge_books", "results.csv: seed changed"),
    ("audit.judge_beside", "timings: no text"),
    ("beside.check_input", "an input changed"),
    ("beside.check_facts", "sweep: label changed"),
    ("beside.tell_foreign", "a foreign file beside the runs"),
)


@pytest.mark.parametrize(("what", "name"), BLIND)
def test_a_verify_that_is_blind_is_caught(
    what: str, name: str, mine: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tampering,) = (each for each in TAMPERINGS if each.name == name)
    monkeypatch.setattr(f"convpipe.archive.{what}", lambda *given, **settings: None)
    with pytest.raises(AssertionError, match="nothing"):
        assert_found(tampering, mine)


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
