"""What the tests of hostile archives share: a good collection to be spoilt, every command on it, and what may come."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cli_runs import Answer, convpipe

import convpipe as cp

NAME = "c"
AGAIN = ("experiment=lecture_3d", f"name={NAME}", "keep=stages")
SECONDS = 30  # in which a hang is told; a command takes a tenth of one
ODD_CHARACTER = re.compile(r"[^\x20-\x7e\n\u00a1-\uffff]|[\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


@dataclass(frozen=True)
class Collection:
    """A collection below the current folder, and its one run."""

    folder: Path
    run: Path


def a_collection(root: Path) -> Collection:
    """A collection with two runs, of which the first is meant, a sweep on record, a page and a measured time."""
    run = cp.run(*AGAIN, label="first", note="a note", root=str(root)).folder
    cp.sweep(*AGAIN[:2], "conv.stride=1,2", "timing.repeats=2", root=str(root), threads=1)
    return Collection(root / NAME, run)


def a_copy(of: Collection, root: Path) -> Collection:
    """The same elsewhere."""
    shutil.copytree(of.folder, root / NAME, symlinks=True)
    return Collection(root / NAME, root / NAME / of.run.name)


def commands(found: Collection) -> Iterator[tuple[str, ...]]:
    """What somebody may do with a collection that came by mail, what reads it first."""
    folder, run, root = str(found.folder), str(found.run), f"root={found.folder.parent}"
    yield ("runs", folder)
    yield ("runs", folder, "--points")
    yield ("runs", folder, "--where", "seconds > 0", "--sort", "-seconds", "--output", f"{found.folder.parent}/x.csv")
    yield ("runs", folder, "--format", "json", "--columns", "all")
    yield ("runs", str(found.folder.parent))
    yield ("explain", run, "--at", "0,0,0,0")
    yield ("page", run)
    yield ("page", folder)
    yield ("reproduce", run)
    yield (*AGAIN, root, "label=second")
    yield ("-m", *AGAIN, root, "seed=0,1")
    yield ("-m", *AGAIN[:2], root, "conv.stride=1,2", "timing.repeats=3")
    yield ("runs", folder, "--rebuild")
    yield (*AGAIN, root, "seed=7")


@contextmanager
def no_hang() -> Iterator[None]:
    """An end to what waits for ever, as an error that says so."""

    def ring(number: int, frame: object) -> None:
        raise AssertionError(f"no end after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def answers(found: Collection) -> Iterator[tuple[tuple[str, ...], Answer]]:
    """What each command says; each of them has worked, or has refused in one line of ours."""
    for words in commands(found):
        with no_hang():
            answer = convpipe(*words)
        check(words, answer)
        yield words, answer


def check(words: tuple[str, ...], answer: Answer) -> None:
    """A command has worked, or refused in one line, and has printed nothing that moves a cursor."""
    assert answer.code in (0, 1, 2, 3, 4), f"{words}: exit {answer.code}: {answer.err}"
    assert "unexpected" not in answer.err, f"{words}: {answer.err}"
    assert "Traceback" not in answer.err, f"{words}: {answer.err}"
    if answer.code > 1:
        last = answer.err.splitlines()[-1]
        assert last.startswith(("convpipe: ", "failed: ")), f"{words}: {answer.err!r}"
        assert len(last) < 2000, f"{words}: {last[:300]}"
    odd = ODD_CHARACTER.search(answer.out + answer.err)
    assert odd is None, f"{words}: printed {odd and ascii(odd[0])} in {(answer.out + answer.err)!r}"


def spoil(path: Path, make: Callable[[Path], object]) -> None:
    """Put something else in the place of a file or a folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    make(path)


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a folder, with its time and what it holds."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(folder)): (os.stat(path).st_mtime_ns, path.read_bytes()) for path in found}
