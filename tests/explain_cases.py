"""What the tests of `convpipe explain` share: a run by the command line, what is printed of it, how it is refused."""

from __future__ import annotations

import re
from pathlib import Path

from cli_runs import convpipe, only_run


def a_run(root: Path, *words: str) -> Path:
    """A run made by the command line."""
    answer = convpipe(f"root={root}", *words)
    assert answer.code == 0, answer.err
    return only_run(root)


def explain(run: Path, *words: str) -> str:
    """What explain prints of a run, without an error."""
    answer = convpipe("explain", str(run), *words)
    assert (answer.code, answer.err) == (0, "")
    return answer.out


def refusal(run: Path, *words: str, code: int = 2) -> str:
    """The one line in which explain refuses."""
    answer = convpipe("explain", str(run), *words)
    assert answer.code == code
    assert re.fullmatch(r"convpipe: [^\n]+\n", answer.err)
    return answer.err.removeprefix("convpipe: ").rstrip("\n")
