"""What `verify` makes of a collection, in the words of the tests."""

from __future__ import annotations

from pathlib import Path

from cli_runs import Answer, convpipe

DAMAGE, TOLD, QUIET = "exit 3", "a note", "nothing"


def judged(folder: Path, *options: str) -> Answer:
    """What `verify` says, which must look like itself in any case."""
    answer = convpipe("verify", str(folder), *options)
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
