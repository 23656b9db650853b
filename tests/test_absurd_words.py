"""Words and files that nobody means: each is refused in one line, soon, and its key is not printed whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_runs import convpipe, refused

LINE = 2000  # characters, of any line
A_KEY = "a" * 1000
ABSURD: dict[str, tuple[tuple[str, ...], str]] = {
    "a range of 1e300": (("-m", "seed=range(0,1e300,1)"), "limits.runs: got"),
    "steps of 1e-300": (("-m", "seed=range(0,1,1e-300)"), "limits.runs: got"),
    "steps beyond floats": (("-m", "seed=range(0,1e308,1e-308)"), "limits.runs: got"),
    "a long key": ((f"{A_KEY}=1",), "expected a key of at most 255 characters"),
    "a long new key": ((f"+{A_KEY}=1",), "expected a key of at most 255 characters"),
    "a deep key": ((f"+{'.'.join(A_KEY)}=1",), "expected a key of at most 255 characters"),
    "three thousand settings": (tuple(f"+a{number}=1" for number in range(3000)), "expected at most 2000"),
    "a long reference": ((f"note=${{{'.'.join(A_KEY)}}}",), "note: got ${a.a."),
}


@pytest.mark.parametrize("kind", ABSURD)
def test_absurd_words_are_one_line(kind: str, folder: Path) -> None:
    words, said = ABSURD[kind]
    line = refused(folder, *words)
    assert said in line
    assert len(line) < LINE


FILES = {
    "a long reference": (f"note: '${{{'.'.join('a' * 100_000)}}}'", "note: got ${a.a."),
    "a long key": (f"? {'a' * 900_000}\n: 1", "aaa"),
}


@pytest.mark.parametrize("kind", FILES)
def test_absurd_files_are_one_line(kind: str, folder: Path) -> None:
    text, said = FILES[kind]
    Path("my.yaml").write_text(text)
    line = refused(folder, "my.yaml")
    assert line.startswith(said)
    assert len(line) < LINE


def test_a_long_key_of_points_is_one_line(folder: Path) -> None:
    Path("p.csv").write_text(f"{'.'.join(A_KEY)}\n1\n")
    line = refused(folder, "-m", "sweep.points=p.csv")
    assert "expected a key of at most 255 characters" in line
    assert len(line) < LINE


@pytest.mark.parametrize("entry", ["{1: 2}", "{1.5: a}", "{true: [a]}", "[[a]]"])
def test_defaults_that_are_no_names_are_one_line(entry: str, folder: Path) -> None:
    Path("c/experiment").mkdir(parents=True)
    Path("c/experiment/u.yaml").write_text(f"defaults: [{entry}]\n")
    refused(folder, "--config-dir", "c", "experiment=u")


def test_two_thousand_settings_are_taken(folder: Path) -> None:
    answer = convpipe("dry_run=true", *["seed=1"] * 1999)
    assert (answer.code, answer.err) == (0, "")
