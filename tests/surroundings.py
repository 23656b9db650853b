"""Commands of every kind, run in odd surroundings: as processes, and with a signal at any moment."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cli_runs import CHECKOUT

LONG = os.environ.get("CONVPIPE_LONG") == "1"
RUN = "runs/lecture_3d/4014ffa24254"
# What is typed, of each kind of command; all end well in a folder with the collection runs/lecture_3d.
COMMANDS: dict[str, tuple[str, ...]] = {
    "a run": ("name=new",),
    "a repeat": (),
    "a sweep": ("-m", "seed=1,2", "name=new"),
    "workers": ("-m", "seed=1,2,3", "workers=2", "name=new"),
    "verify": ("verify", "runs"),
    "reproduce": ("reproduce", RUN),
    "explain": ("explain", RUN, "--at", "0,0,0,0"),
    "page": ("page", RUN),
    "runs": ("runs", "runs/lecture_3d"),
    "rebuild": ("runs", "runs/lecture_3d", "--rebuild"),
    "help": ("help", "conv.pad"),
    "schema": ("schema",),
    "--help": ("--help",),
    "a command's": ("page", "--help"),
    "--cfg": ("--cfg", "job"),
    "--version": ("--version",),
    "completion": ("-sc", "query=bash"),
}
# Those that differ in what they read, write and start; the others are of the long version alone.
FEW = ("a run", "workers", "verify", "reproduce", "page", "rebuild", "--help")
CHOSEN = {name: words for name, words in COMMANDS.items() if LONG or name in FEW}
OWN = (".index.jsonl", ".failed.jsonl", ".lock", ".table.json")  # hidden files that a collection has


def in_shell(
    line: str, folder: Path, words: Sequence[str], environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """convpipe by a shell; in the line, "$@" stands for it and its words."""
    return subprocess.run(
        ["sh", "-c", line, "sh", sys.executable, "-m", "convpipe", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "COMP_LINE": "convpipe conv.st", **(environment or {})},
        capture_output=True,
        text=True,
        errors="backslashreplace",
        check=False,
        timeout=120,
    )


def with_limits(
    words: Sequence[str], folder: Path, limits: Mapping[int, int], environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """convpipe as a process that may have no more than `limits` says, of each of the RLIMITs."""
    import resource

    def limit() -> None:
        for which, most in limits.items():
            resource.setrlimit(which, (most, most))

    return subprocess.run(
        [sys.executable, "-m", "convpipe", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), **(environment or {})},
        capture_output=True,
        text=True,
        errors="backslashreplace",
        check=False,
        timeout=120,
        preexec_fn=limit,
    )


def by_script(script: str, words: Sequence[str], folder: Path) -> tuple[int, str, list[int]]:
    """The exit code of a script, what it has said on standard error, and the processes of its session that are left."""
    child = subprocess.Popen(
        [sys.executable, "-c", script, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "tests")])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        said = child.communicate(timeout=120)[1]
    finally:
        child.kill()
    return child.returncode, said, session(child.pid)


def session(leader: int) -> list[int]:
    """The processes of a session that live, as Linux tells."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, of = path.read_text().rpartition(")")[2].split()[:4]
            found += [int(path.parent.name)] if int(of) == leader and state != "Z" else []
    return found


def one_line(said: str) -> str:
    """What was said on standard error, which is one line of ours."""
    assert re.fullmatch(r"convpipe: [^\n]+\n", said), f"not one line: {said!r}"
    assert "unexpected" not in said, said
    return said


def leftovers(folder: Path) -> list[str]:
    """Hidden files and folders that are none of a collection's own: work that was half done."""
    return [str(path.relative_to(folder)) for path in folder.rglob(".*") if path.name not in OWN]


def fresh(collection: Path, folder: Path) -> Path:
    """A folder with a copy of a collection as runs/lecture_3d, and nothing else."""
    shutil.rmtree(folder / "runs", ignore_errors=True)
    shutil.copytree(collection, folder / "runs" / "lecture_3d")
    return folder


def at_call(number: int, act: Callable[[], object]) -> Callable[[object, str, object], None]:
    """What `sys.setprofile` takes: at the so-many-th call of a Python function something is done."""
    left = number

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal left
        if event == "call":
            left -= 1
            if left == 0:
                sys.setprofile(None)
                act()

    return count
